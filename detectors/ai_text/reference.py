"""What a margin means: how often human text looks at least this machine-like, and a probability at a stated prior.

Both look at the margin adjusted for language and style (`detectors.ai_text.adjustment`), so that they rank alike.
`p_human` is the upper 95 % bound of the share of human text at or above it, in a source that the detector never saw
(`detectors.ai_text.tail`): one that lies so far above the mean of sources that no domain left out of the reference
shows a rate over twice the promised one (`detectors.ai_text.left_out`). `score` is a logistic map of adjusted margin
and length. Languages without a reference of their own take the largest offset of all. All functions are vectorised and
pure; null goes in and comes out as NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ai_text.adjustment import Adjustment, effective, kinds
from detectors.ai_text.model import MODEL_DIR, read_arrays
from detectors.ai_text.spread import Profiles

__all__ = ["CALIBRATION_FILE", "PRIOR", "TIER", "Allowance", "ErrorRate", "Reference", "load_reference", "score_terms"]

CALIBRATION_FILE = "calibration.npz"
PRIOR = 0.5
TIER = "fast"
"""What the `tier` column says of the margins that the bundled reference is for."""
LOG_STEPS = 6000.0

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]


class ErrorRate(NamedTuple):
    """Documents of one source at or below a p-value, by a model and a reference that never saw that source.

    Attributes:
        source: name of the data source.
        kind: "human" or "ai".
        n: documents long enough to judge.
        hits: how many of them have `p_human` at or below the rate asked for: false or true positives.
    """

    source: str
    kind: str
    n: int
    hits: int


class Allowance(NamedTuple):
    """Human text of one domain and language, and the margins that so much of it is above.

    Attributes:
        domain: as the sources name it.
        language: as the signal finds it.
        n: human documents.
        margins: rate to raw margin: a document above it is among that share of this human text or fewer, with 95 %
            confidence; None where n cannot vouch for the rate.
    """

    domain: str
    language: str
    n: int
    margins: dict[float, float | None]


@dataclass(frozen=True, eq=False)
class Reference:
    """Calibration tables of one model.

    Attributes:
        adjustment: of margins for language and style.
        style_limits: float64[2, len(KINDS), len(STYLE)], between which the style of nearly all human text lies.
        deviations: how far above the mean of sources the source of a document is taken to lie.
        grid: float64[g], ascending adjusted margins.
        tail: float64[g], `p_human` at each.
        coefficients: float64[len(KINDS), 4], logistic weights of `score_terms`.
        prior: share of machine text at which `score` is a probability.
        sources: names of the sources behind `error_rates`.
        kinds: int8[sources], 1 for machine text.
        starts: int64[sources + 1], spans of `surprises`.
        surprises: uint16, -log(p_human) of every out-of-source document, in steps of 1/6000, ascending per source.
        allowances: the table by domain and language.
        profiles: how out-of-source scores are spread in each source and generator.
        digest: first half of the SHA-256 of the file, for signatures.
    """

    adjustment: Adjustment
    style_limits: Floats
    deviations: float
    grid: Floats
    tail: Floats
    coefficients: Floats
    prior: float
    sources: tuple[str, ...]
    kinds: npt.NDArray[np.int8]
    starts: npt.NDArray[np.int64]
    surprises: npt.NDArray[np.uint16]
    allowances: tuple[Allowance, ...]
    profiles: Profiles
    digest: str

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with a reference of their own."""
        return self.adjustment.languages

    @property
    def tier(self) -> str:
        """Name of the model that the tables belong to, as the `tier` column has it."""
        return TIER

    def p_human(
        self,
        margin: npt.ArrayLike,
        language: Sequence[str] | Names,
        length: npt.ArrayLike,
        style: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.float32]:
        """float32[n] in (0, 1]: never increases with the margin; NaN where the margin is NaN.

        Args:
            margin: float[n], raw margins of the `ai_text` signal, of documents or of windows of them.
            language: n language codes as that signal gives them.
            length: number[n], characters; not looked at, as no length was found to need a scale of its own.
            style: float[n, len(STYLE)] as that signal gives it; None or NaN counts as usual.
        """
        adjusted = self.adjustment(margin, language, style)
        # The grid point at or below the margin: rounding never makes a document look more surprising than it is.
        column = np.clip(np.searchsorted(self.grid, adjusted, side="right") - 1, 0, len(self.grid) - 1)
        found: npt.NDArray[np.float32] = np.where(np.isnan(adjusted), np.nan, self.tail[column]).astype(np.float32)
        return found

    def score(
        self,
        margin: npt.ArrayLike,
        language: Sequence[str] | Names,
        length: npt.ArrayLike,
        style: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.float32]:
        """float32[n] in [0, 1]: probability of machine text if a share `prior` of such texts were; NaN where null."""
        codes = np.asarray(language, dtype=np.str_)
        adjusted = self.adjustment(margin, codes, style)
        logit = (self.coefficients[kinds(codes)] * score_terms(adjusted, effective(length, codes))).sum(axis=1)
        with np.errstate(over="ignore"):
            probability: npt.NDArray[np.float32] = (1.0 / (1.0 + np.exp(-logit))).astype(np.float32)
        return probability

    def unlike(self, language: Sequence[str] | Names, style: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """bool[n]: the language was never calibrated, or the style lies beyond that of nearly all human text."""
        codes = np.asarray(language, dtype=np.str_)
        values, kind = np.asarray(style, np.float64), kinds(codes)
        low, high = self.style_limits[0][kind], self.style_limits[1][kind]
        outside: npt.NDArray[np.bool_] = ((values < low) | (values > high)).any(axis=1)
        outside |= self.adjustment.row(codes) == len(self.languages)
        return outside

    def error_rates(self, fpr: float) -> tuple[ErrorRate, ...]:
        """Out-of-source hits at `p_human <= fpr`, per source: the spread that a corrected share must carry."""
        least = np.ceil(-np.log(fpr) * LOG_STEPS - 1e-6)
        records = []
        for index, source in enumerate(self.sources):
            part = self.surprises[self.starts[index] : self.starts[index + 1]]
            hits = int(len(part) - np.searchsorted(part, least, side="left"))
            records.append(ErrorRate(source, "ai" if self.kinds[index] else "human", len(part), hits))
        return tuple(records)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The tables as named arrays, for `detectors.ai_text.model.write_files`."""
        rates = sorted({rate for row in self.allowances for rate in row.margins}, reverse=True)
        margins = [[np.nan if (m := row.margins[rate]) is None else m for rate in rates] for row in self.allowances]
        return {
            "centre": self.adjustment.centre,
            "scale": self.adjustment.scale,
            "weights": self.adjustment.weights,
            "languages": np.array(self.adjustment.languages, np.str_),
            "offsets": self.adjustment.offsets,
            "style_limits": self.style_limits,
            "deviations": np.array(self.deviations),
            "grid": self.grid,
            "tail": self.tail.astype(np.float32),
            "coefficients": self.coefficients,
            "prior": np.array(self.prior),
            "sources": np.array(self.sources, np.str_),
            "kinds": self.kinds,
            "starts": self.starts,
            "surprises": self.surprises,
            "rates": np.array(rates),
            "domains": np.array([row.domain for row in self.allowances], np.str_),
            "domain_languages": np.array([row.language for row in self.allowances], np.str_),
            "domain_n": np.array([row.n for row in self.allowances], np.int64),
            "domain_margins": np.array(margins, np.float32).reshape(len(self.allowances), len(rates)),
            **self.profiles.arrays(),
        }


def load_reference(directory: Path = MODEL_DIR) -> Reference:
    """Load the bundled calibration, or that of a model that `curricula.train_detector` wrote to `directory`.

    Raises:
        SignalError: a missing file or a checksum that does not match.
    """
    arrays, digest = read_arrays(directory, CALIBRATION_FILE)
    floats = {name: values.astype(np.float64) for name, values in arrays.items() if values.dtype.kind == "f"}
    names = {name: tuple(values.tolist()) for name, values in arrays.items() if values.dtype.kind == "U"}
    return Reference(
        adjustment=Adjustment(
            floats["centre"], floats["scale"], floats["weights"], names["languages"], floats["offsets"]
        ),
        style_limits=floats["style_limits"],
        deviations=float(floats["deviations"]),
        grid=floats["grid"],
        tail=floats["tail"],
        coefficients=floats["coefficients"],
        prior=float(floats["prior"]),
        sources=names["sources"],
        kinds=arrays["kinds"].astype(np.int8),
        starts=arrays["starts"].astype(np.int64),
        surprises=arrays["surprises"].astype(np.uint16),
        allowances=_allowances(names, floats, arrays["domain_n"].astype(np.int64)),
        profiles=Profiles.from_arrays(arrays),
        digest=digest[:32],
    )


def score_terms(adjusted: Floats, length: Floats) -> Floats:
    """float64[n, 4]: (1, m, l, m * l), where m is the adjusted margin and l the centred log length."""
    size = np.clip(np.log(length / 1000.0), -1.5, 2.0)
    return np.stack([np.ones(len(adjusted)), adjusted, size, adjusted * size], axis=1)


def _allowances(
    names: dict[str, tuple[str, ...]], floats: dict[str, Floats], counts: npt.NDArray[np.int64]
) -> tuple[Allowance, ...]:
    rates = floats["rates"].tolist()
    rows = zip(names["domains"], names["domain_languages"], counts.tolist(), floats["domain_margins"], strict=True)
    return tuple(
        Allowance(domain, language, n, {rates[i]: None if np.isnan(m) else m for i, m in enumerate(row.tolist())})
        for domain, language, n, row in rows
    )
