"""What a margin means: how often human text looks at least this machine-like, and a probability at a stated prior.

`p_human` is a conformal p-value, (1 + human margins at or above m) / (1 + human documents), against out-of-source human
margins of the same language and length. One threshold does not fit all domains, so documents are not taken to come
from the mean source but from one `SOURCE_DEVIATIONS` standard deviations of source means above it: at `p_human <= a`
about nine new sources in ten have a false-positive rate of at most a. It is never under the pooled p-value.
Languages
without a reference of their own take the largest tail of all. `score` is a logistic map of margin and length.
All functions are vectorised and pure; null goes in and comes out as NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ai_text.model import MODEL_DIR, read_arrays

__all__ = [
    "CALIBRATION_FILE",
    "PRIOR",
    "SOURCE_DEVIATIONS",
    "ErrorRate",
    "Reference",
    "fit_reference",
    "load_reference",
]

CALIBRATION_FILE = "calibration.npz"
PRIOR = 0.5
SOURCE_DEVIATIONS = 1.2816
"""How far above the mean of sources the source of a document is taken to lie; 1.2816 covers nine sources in ten."""
_EDGES = (500.0, 1000.0, 2000.0)
_MIN_HUMAN, _MIN_CELL, _MIN_SOURCE = 200, 100, 15
_USUAL_FREEDOM = 4.0
_GRID_SIZE = 600
_PER_CHARACTER = {"zh": 3.0, "ja": 3.0, "ko": 2.0}
_LOG_STEPS = 6000.0
_SCORE_GROUPS = ("en", "zh")

Floats = npt.NDArray[np.float64]


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


def _spread(length: npt.ArrayLike, language: Sequence[str] | npt.NDArray[np.str_]) -> Floats:
    """Characters, counted threefold for Chinese and Japanese and twofold for Korean."""
    codes = np.asarray(language, dtype=np.str_)
    factor = np.ones(len(codes))
    for code, value in _PER_CHARACTER.items():
        factor[codes == code] = value
    return np.maximum(np.asarray(length, np.float64), 1.0) * factor


@dataclass(frozen=True)
class Reference:
    """Calibration tables of one model.

    Attributes:
        languages: calibrated languages, in table order.
        grid: float64[g], ascending margins.
        tails: float64[languages + 1, lengths, g], `p_human` at each grid margin; the last row is for other languages.
        coefficients: float64[3, 4], logistic weights of (1, m, l, m * l) for English, Chinese and all else, where l is
            the centred log length.
        prior: share of machine text at which `score` is a probability.
        sources: names of the sources behind `error_rates`.
        kinds: int8[sources], 1 for machine text.
        starts: int64[sources + 1], spans of `surprises`.
        surprises: uint16, -log(p_human) of every out-of-source document, in steps of 1/6000, ascending per source.
        digest: first half of the SHA-256 of the file, for signatures.
    """

    languages: tuple[str, ...]
    grid: Floats
    tails: Floats
    coefficients: Floats
    prior: float
    sources: tuple[str, ...]
    kinds: npt.NDArray[np.int8]
    starts: npt.NDArray[np.int64]
    surprises: npt.NDArray[np.uint16]
    digest: str

    def p_human(
        self, margin: npt.ArrayLike, language: Sequence[str] | npt.NDArray[np.str_], length: npt.ArrayLike
    ) -> npt.NDArray[np.float32]:
        """float32[n] in (0, 1]: never increases with the margin; NaN where the margin is NaN.

        Args:
            margin: float[n], raw margins of the `ai_text` signal.
            language: n language codes as that signal gives them.
            length: number[n], characters.
        """
        values = np.asarray(margin, np.float64)
        codes = np.asarray(language, dtype=np.str_)
        row = np.full(len(values), len(self.languages))
        for index, code in enumerate(self.languages):
            row[codes == code] = index
        bucket = np.searchsorted(_EDGES, _spread(length, codes), side="right")
        # The grid point at or below the margin: rounding never makes a document look more surprising than it is.
        column = np.clip(np.searchsorted(self.grid, values, side="right") - 1, 0, len(self.grid) - 1)
        result = self.tails[row, bucket, column]
        found: npt.NDArray[np.float32] = np.where(np.isnan(values), np.nan, result).astype(np.float32)
        return found

    def score(
        self, margin: npt.ArrayLike, language: Sequence[str] | npt.NDArray[np.str_], length: npt.ArrayLike
    ) -> npt.NDArray[np.float32]:
        """float32[n] in [0, 1]: probability of machine text if a share `prior` of such texts were; NaN where null."""
        values = np.asarray(margin, np.float64)
        codes = np.asarray(language, dtype=np.str_)
        weights = self.coefficients[_score_group(codes)]
        logit = (weights * _score_features(values, _spread(length, codes))).sum(axis=1)
        with np.errstate(over="ignore"):
            probability: npt.NDArray[np.float32] = (1.0 / (1.0 + np.exp(-logit))).astype(np.float32)
        return probability

    def error_rates(self, fpr: float) -> tuple[ErrorRate, ...]:
        """Out-of-source hits at `p_human <= fpr`, per source: the spread that a corrected share must carry."""
        least = np.ceil(-np.log(fpr) * _LOG_STEPS - 1e-6)
        records = []
        for index, source in enumerate(self.sources):
            part = self.surprises[self.starts[index] : self.starts[index + 1]]
            hits = int(len(part) - np.searchsorted(part, least, side="left"))
            records.append(ErrorRate(source, "ai" if self.kinds[index] else "human", len(part), hits))
        return tuple(records)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The tables as named arrays, for `detectors.ai_text.model.write_files`."""
        return {
            "languages": np.array(self.languages),
            "grid": self.grid,
            "tails": self.tails.astype(np.float32),
            "coefficients": self.coefficients,
            "prior": np.array(self.prior),
            "sources": np.array(self.sources),
            "kinds": self.kinds,
            "starts": self.starts,
            "surprises": self.surprises,
        }


def load_reference(directory: Path = MODEL_DIR) -> Reference:
    """Load the bundled calibration, or that of a model that `curricula.train_detector` wrote to `directory`.

    Raises:
        SignalError: a missing file or a checksum that does not match.
    """
    arrays, digest = read_arrays(directory, CALIBRATION_FILE)
    return Reference(
        languages=tuple(arrays["languages"].tolist()),
        grid=arrays["grid"].astype(np.float64),
        tails=arrays["tails"].astype(np.float64),
        coefficients=arrays["coefficients"].astype(np.float64),
        prior=float(arrays["prior"].item()),
        sources=tuple(arrays["sources"].tolist()),
        kinds=arrays["kinds"].astype(np.int8),
        starts=arrays["starts"].astype(np.int64),
        surprises=arrays["surprises"].astype(np.uint16),
        digest=digest[:32],
    )


def _score_group(codes: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    group = np.full(len(codes), len(_SCORE_GROUPS))
    for index, code in enumerate(_SCORE_GROUPS):
        group[codes == code] = index
    return group


def _score_features(margin: Floats, length: Floats) -> Floats:
    size = np.clip(np.log(length / 1000.0), -1.5, 2.0)
    return np.stack([np.ones(len(margin)), margin, size, margin * size], axis=1)


@dataclass(frozen=True)
class _Cells:
    """Human margins of one language, by length bucket and source, and the spread that is usual between sources."""

    sources: npt.NDArray[np.str_]
    margins: tuple[tuple[Floats, ...], ...]  # [length bucket][source]

    def without(self, name: str) -> _Cells:
        """The same without one source."""
        keep = np.flatnonzero(self.sources != name)
        return _Cells(self.sources[keep], tuple(tuple(parts[k] for k in keep) for parts in self.margins))

    def parts(self, bucket: int) -> list[Floats]:
        """Margins of each source at one length; at all lengths of the language if texts of that length are few."""
        parts = list(self.margins[bucket])
        if sum(map(len, parts)) >= _MIN_CELL:
            return parts
        return [np.concatenate([row[k] for row in self.margins]) for k in range(len(self.sources))]

    def tail(self, grid: Floats, usual: float) -> Floats | None:
        """float64[lengths, grid], or None where the documents are too few to say anything."""
        if sum(len(part) for row in self.margins for part in row) < _MIN_HUMAN:
            return None
        return np.stack([_tail(self.parts(bucket), grid, usual) for bucket in range(len(self.margins))])


def _tail(parts: list[Floats], grid: Floats, usual: float) -> Floats:
    """Tail of a new source that lies `SOURCE_DEVIATIONS` above the mean of sources; never under the pooled p-value."""
    pooled = _above(np.concatenate(parts), grid)
    large = [part for part in parts if len(part) >= _MIN_SOURCE]
    if not large:
        return pooled
    means = np.array([part.mean() for part in large])
    freedom = len(means) - 1 + _USUAL_FREEDOM
    variance = (((means - means.mean()) ** 2).sum() + _USUAL_FREEDOM * usual**2) / freedom
    shift = SOURCE_DEVIATIONS * np.sqrt(variance * (1.0 + 1.0 / len(means)))
    within = np.concatenate([part - mean for part, mean in zip(large, means, strict=True)])
    return np.maximum(pooled, _above(within, grid - means.mean() - shift))


def _above(margins: Floats, grid: Floats) -> Floats:
    """Conformal p-value of each grid margin."""
    ordered = np.sort(margins)
    above = len(ordered) - np.searchsorted(ordered, grid, side="left").astype(np.float64)
    return (1.0 + above) / (1.0 + len(ordered))


def _usual_spread(cells: dict[str, _Cells]) -> float:
    """Standard deviation of source means in languages with at least five sources, pooled over languages and lengths."""
    squares, freedom = 0.0, 0
    for cell in cells.values():
        for parts in cell.margins:
            means = [part.mean() for part in parts if len(part) >= _MIN_SOURCE]
            if len(means) >= 5:
                squares += float(np.var(means)) * len(means)
                freedom += len(means) - 1
    return float(np.sqrt(squares / freedom)) if freedom else 1.0


def fit_reference(
    margin: Floats,
    label: npt.NDArray[np.int64],
    source: npt.NDArray[np.str_],
    language: npt.NDArray[np.str_],
    length: npt.NDArray[np.int64],
) -> Reference:
    """Build the reference from out-of-source margins of documents long enough to judge.

    Args:
        margin: float64[n], each from a model that never saw that document's source.
        label: int64[n], 1 for machine text.
        source: str[n].
        language: str[n], as the signal guesses it.
        length: int64[n], characters.

    The p-values behind `error_rates` leave the document's own source out of the reference too.
    """
    human = label == 0
    grid = np.unique(np.quantile(margin, np.linspace(0.0, 1.0, _GRID_SIZE // 2)))
    top = np.quantile(margin[human], 1.0 - np.geomspace(0.2, 1.0 / (human.sum() + 1.0), _GRID_SIZE // 2))
    grid = np.unique(np.concatenate([[-np.inf], grid, top]))
    bucket = np.searchsorted(_EDGES, _spread(length, language), side="right")
    codes, counts = np.unique(language[human], return_counts=True)
    cells = {
        str(code): _cells(margin, source, bucket, human & (language == code))
        for code, count in zip(codes, counts, strict=True)
        if count >= _MIN_HUMAN and code != "und"
    }
    usual = _usual_spread(cells)
    whole = {code: cell.tail(grid, usual) for code, cell in cells.items()}
    surprises, names, kinds = [], [], []
    for name in np.unique(source):
        left = {
            code: cell.without(name).tail(grid, usual) if name in cell.sources else whole[code]
            for code, cell in cells.items()
        }
        part = Reference(tuple(cells), grid, _tables(left, grid), _NO_WEIGHTS, PRIOR, (), _NO8, _NO64, _NO16, "")
        for kind in (0, 1):
            rows = (source == name) & (label == kind)
            if rows.any():
                p = part.p_human(margin[rows], language[rows], length[rows]).astype(np.float64)
                # Rounded down, so that a hit counted here is a hit.
                steps = np.minimum(np.floor(-np.log(p) * _LOG_STEPS + 1e-3), 65535)
                surprises.append(np.sort(steps.astype(np.uint16)))
                names.append(str(name))
                kinds.append(kind)
    starts = np.cumsum([0, *(len(part) for part in surprises)])
    coefficients = _fit_score(margin, label, source, language, length)
    return Reference(
        languages=tuple(cells),
        grid=grid,
        tails=_tables(whole, grid),
        coefficients=coefficients,
        prior=PRIOR,
        sources=tuple(names),
        kinds=np.array(kinds, np.int8),
        starts=starts.astype(np.int64),
        surprises=np.concatenate(surprises),
        digest="",
    )


_NO8, _NO16, _NO64 = np.zeros(0, np.int8), np.zeros(0, np.uint16), np.zeros(0, np.int64)
_NO_WEIGHTS = np.zeros((len(_SCORE_GROUPS) + 1, 4))


def _cells(
    margin: Floats, source: npt.NDArray[np.str_], bucket: npt.NDArray[np.int64], rows: npt.NDArray[np.bool_]
) -> _Cells:
    names = np.unique(source[rows])
    margins = tuple(
        tuple(margin[rows & (source == name) & (bucket == size)] for name in names) for size in range(len(_EDGES) + 1)
    )
    return _Cells(names, margins)


def _tables(tails: dict[str, Floats | None], grid: Floats) -> Floats:
    """float64[languages + 1, lengths, grid]; a language that the rest cannot carry takes the largest tail of all."""
    present = [tail for tail in tails.values() if tail is not None]
    worst = np.max(present, axis=0) if present else np.ones((len(_EDGES) + 1, len(grid)))
    return np.stack([*(worst if tail is None else tail for tail in tails.values()), worst])


def _fit_score(
    margin: Floats,
    label: npt.NDArray[np.int64],
    source: npt.NDArray[np.str_],
    language: npt.NDArray[np.str_],
    length: npt.NDArray[np.int64],
) -> Floats:
    """Logistic weights by Newton steps, every source counting alike within its class and both classes alike."""
    groups = _score_group(language)
    features = _score_features(margin, _spread(length, language))
    start = _newton(features, label, source, np.zeros(4), np.full(4, 1e-3))
    result = [
        _newton(features[groups == g], label[groups == g], source[groups == g], start, np.full(4, 20.0))
        for g in range(len(_SCORE_GROUPS) + 1)
    ]
    # A larger margin must never lower the score, at any length.
    for weights in result:
        weights[1] = max(weights[1], 0.05)
        weights[3] = np.clip(weights[3], -weights[1] / 2.5, weights[1] / 2.0)
    return np.stack(result)


def _newton(
    features: Floats, label: npt.NDArray[np.int64], source: npt.NDArray[np.str_], start: Floats, ridge: Floats
) -> Floats:
    weights = start.copy()
    if len(label) == 0 or label.min() == label.max():
        return weights
    share = np.zeros(len(label))
    for kind in (0, 1):
        rows = np.flatnonzero(label == kind)
        _, inverse, counts = np.unique(source[rows], return_inverse=True, return_counts=True)
        part = 1.0 / np.sqrt(counts[inverse])
        share[rows] = part / part.sum() * min(len(label), 5000) / 2
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -30.0, 30.0)))
        gradient = features.T @ (share * (p - label)) + ridge * (weights - start)
        hessian = (features * (share * p * (1.0 - p))[:, None]).T @ features + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return weights
