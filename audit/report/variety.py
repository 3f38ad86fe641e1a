"""Lexical diversity of a corpus beside a reference of human text: quantiles from histograms, mixed by language.

The bundled reference (`human_diversity.json`, made by `python -m tests.bench.diversity_reference`) has histograms of
human documents by language. Languages differ in these measures, so they are mixed in the corpus's own proportions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.report.content import Absent
from audit.report.content_text import Measure, Variety
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings
    from audit.profile import Profile

__all__ = ["BINS", "LEVELS", "MEASURES", "Histograms", "Scale", "reference_of", "variety_section"]

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

BINS = 160
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SIGNAL = "diversity"
_MOST_SOURCES = 4096
_SHOWN_SOURCES = 12
_SHOWN_PHRASES = 8
_REFERENCE = "human_diversity.json"


@dataclass(frozen=True)
class Scale:
    """One measure, and the range that its histogram covers: on logarithms where `low` is above 0.

    Attributes:
        title: in words.
        low, high: ends; values beyond them count at them.
        high_is_bad: whether large values are the repetitive ones.
    """

    title: str
    low: float
    high: float
    high_is_bad: bool = False

    @property
    def edges(self) -> F64:
        """float64[BINS + 1]."""
        found: F64 = (
            np.geomspace(self.low, self.high, BINS + 1) if self.low else np.linspace(self.low, self.high, BINS + 1)
        )
        return found


MEASURES = {
    "mattr": Scale("different words in 50 (MATTR)", 0.0, 1.0),
    "mtld": Scale("words before they repeat (MTLD)", 2.0, 2000.0),
    "hdd": Scale("different words in 42 drawn (HD-D)", 0.0, 1.0),
    "yule_k": Scale("Yule's K", 1.0, 10_000.0, high_is_bad=True),
    "top_2gram": Scale("most frequent two words", 0.001, 1.0, high_is_bad=True),
    "sentence_length_std": Scale("spread of sentence lengths", 0.1, 1000.0),
}
"""Measures that hold still as documents get longer, or nearly so."""


class Histograms:
    """Documents by measure and bin, of the corpus by language and of each source, in whole numbers."""

    def __init__(self) -> None:
        self.languages: dict[str, I64] = {}
        self.sources: dict[str, I64] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Take in one part of findings that has `diversity`."""
        import polars as pl

        language = (
            frame["language"].struct.field("language").fill_null("und")
            if "language" in frame.columns
            else pl.Series(["und"] * frame.height, dtype=pl.String)
        )
        for into, names in ((self.languages, language), (self.sources, frame["source"])):
            _count(into, names.to_list(), frame[SIGNAL])

    @property
    def total(self) -> I64:
        """int64[measures, BINS], over all languages."""
        return sum(self.languages.values(), np.zeros((len(MEASURES), BINS), np.int64))


def _count(into: dict[str, I64], names: Sequence[str], values: pl.Series) -> None:
    import polars as pl

    found_kinds, found_place = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    new = [kind for kind in found_kinds.tolist() if kind not in into][: max(0, _MOST_SOURCES - len(into))]
    kinds = [kind for kind in found_kinds.tolist() if kind in into] + new
    # Rows of kinds beyond the limit count in a last place that nobody reads.
    rank = {kind: at for at, kind in enumerate(kinds)}
    place = np.array([rank.get(kind, len(kinds)) for kind in found_kinds.tolist()], np.int64)[found_place]
    counts = np.zeros((len(kinds) + 1, len(MEASURES), BINS), np.int64)
    for at, (measure, scale) in enumerate(MEASURES.items()):
        found = values.struct.field(measure).cast(pl.Float64)
        known = found.is_not_null().to_numpy()
        bins = np.clip(np.searchsorted(scale.edges, found.drop_nulls().to_numpy(), side="right") - 1, 0, BINS - 1)
        flat = np.bincount(place[known] * BINS + bins, minlength=(len(kinds) + 1) * BINS)
        counts[:, at] = flat.reshape(len(kinds) + 1, BINS)
    for kind, found_counts in zip(kinds, counts[:-1], strict=True):
        if kind in into:
            into[kind] += found_counts
        else:
            into[kind] = found_counts.copy()


@dataclass(frozen=True)
class Reference:
    """Histograms that a corpus is laid beside.

    Attributes:
        name: what it is, in words.
        languages: language to int64[measures, BINS]; the language "" stands for any.
    """

    name: str
    languages: Mapping[str, I64]

    def holds(self, language: str) -> bool:
        """Whether documents of a language can be laid beside it."""
        return "" in self.languages or language in self.languages

    def mixed(self, corpus: Mapping[str, I64]) -> F64:
        """float64[measures, BINS]: the reference in the languages of the corpus, in its proportions."""
        if "" in self.languages:
            return self.languages[""].astype(np.float64)
        found = np.zeros((len(MEASURES), BINS))
        for language, counts in corpus.items():
            if language in self.languages:
                one = self.languages[language].astype(np.float64)
                found += one / np.maximum(one.sum(axis=1, keepdims=True), 1) * counts.sum(axis=1, keepdims=True)
        return found


def reference_of(findings: Findings | None) -> Reference:
    """The bundled reference of human text, or the documents of another scan.

    Raises:
        ConfigError: the other scan did not measure diversity.
    """
    if findings is None:
        raw = json.loads(resources.files("audit.report").joinpath(_REFERENCE).read_text("utf-8"))
        return Reference(raw["name"], {name: np.array(rows, np.int64) for name, rows in raw["languages"].items()})
    if SIGNAL not in {signal.name for signal in findings.measured}:
        raise ConfigError(
            f"{findings.directory}: {SIGNAL} was not scanned. Scan the reference with --signals {SIGNAL}."
        )
    histograms = Histograms()
    for part in findings.parts({SIGNAL: frozenset(MEASURES), "language": frozenset(("language",))}):
        histograms.add(part)
    return Reference(f"the scan in {findings.directory}", {"": histograms.total})


def variety_section(histograms: Histograms, reference: Reference, profile: Profile | None) -> Variety | Absent:
    """Diversity of documents, and of the corpus where it was sketched."""
    total = histograms.total
    if not total.any():
        return Absent(
            "Diversity was not measured, or no document has 50 words. Scan with --signals document,diversity."
        )
    mixed = reference.mixed(histograms.languages)
    # Documents of a language that the reference has not got would pass for unlike it.
    alike = {name: counts for name, counts in histograms.languages.items() if reference.holds(name)}
    compared = sum(alike.values(), np.zeros_like(total))
    counted = compared if compared.any() else total
    behind = [counts for name, counts in reference.languages.items() if not name or name in histograms.languages]
    largest = sorted(histograms.sources, key=lambda name: (-int(histograms.sources[name].sum()), name))
    measures = tuple(
        _measure(name, scale, counted[at], mixed[at], {one: histograms.sources[one][at] for one in largest})
        for at, (name, scale) in enumerate(MEASURES.items())
    )
    distinct, phrases = {}, {}
    if profile is not None:
        for source, found in list(profile.sources.items())[:_SHOWN_SOURCES]:
            if (share := found.distinct[1].equal) is not None:
                distinct[source] = share
        listed = profile.total.phrases["ngrams_5"]
        for item in listed.items[:_SHOWN_PHRASES]:
            phrases[item.text] = min(1.0, item.documents / listed.candidates) if listed.candidates else 0.0
    heaps = None if profile is None or profile.total.heaps is None else profile.total.heaps.beta
    return Variety(
        reference=reference.name,
        reference_n=max((int(counts[0].sum()) for counts in [sum(behind, np.zeros_like(total))]), default=0),
        left_out=int((total[0] - compared[0]).sum()),
        measures=measures,
        distinct=distinct,
        equal_words=None if profile is None else profile.equal_words,
        heaps=heaps,
        phrases=phrases,
    )


def _measure(name: str, scale: Scale, corpus: I64, reference: F64, sources: Mapping[str, I64]) -> Measure:
    ends = None if not reference.any() else _quantiles(scale, reference, LEVELS)
    below = None
    if ends is not None and corpus.any():
        # Bin by bin: a value counts as beyond the point where the middle of its bin is.
        middles = (scale.edges[:-1] + scale.edges[1:]) / 2
        beyond = middles > ends[-1] if scale.high_is_bad else middles < ends[0]
        below = float(corpus[beyond].sum() / corpus.sum())
    medians = {one: _quantiles(scale, found, (0.5,))[0] for one, found in sources.items() if found.any()}
    return Measure(
        name=name,
        title=scale.title,
        levels=LEVELS,
        corpus=_quantiles(scale, corpus, LEVELS) if corpus.any() else None,
        reference=ends,
        n=int(corpus.sum()),
        below=below,
        high_is_bad=scale.high_is_bad,
        sources=dict(list(medians.items())[:_SHOWN_SOURCES]),
    )


def _quantiles(scale: Scale, counts: npt.NDArray[np.generic], levels: Sequence[float]) -> tuple[float, ...]:
    """Values at ranks, straight between the edges of a bin."""
    cumulated = np.concatenate([[0.0], np.cumsum(counts.astype(np.float64))])
    found = np.interp(np.array(levels) * cumulated[-1], cumulated, scale.edges)
    return tuple(float(value) for value in found)
