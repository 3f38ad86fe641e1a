"""The lexical profile of a corpus: sizes, different n-grams and their growth, lengths, phrases that documents share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audit.parts import part_path, read_identity
from audit.signature import config_hash
from audit.sketch_parts import read_sketches
from detectors.errors import FindingsError
from detectors.sketches import LISTS, MEASURES, Sketches, SourceRow, SourceSketch, rows_of

if TYPE_CHECKING:
    from audit.findings_folder import Findings, ShardRecord
    from audit.parts import PartIdentity
    from detectors.frequent import Item
    from detectors.growth import Point

__all__ = [
    "PROFILE_VERSION",
    "QUANTILES",
    "Distinct",
    "Heaps",
    "Phrases",
    "Profile",
    "SourceProfile",
    "corpus_profile",
    "distinct_at",
    "fit_heaps",
]

PROFILE_VERSION = 1
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
OTHER_SOURCES = "(other sources)"
MAX_SOURCES = 256
"""Sources that are profiled apart, those with most words; a sketch takes 0.2 MB."""
_MIN_EQUAL_WORDS = 10_000
_MIN_FIT_WORDS = 1_000
_MIN_FIT_DOCUMENTS = 8
_MIN_FIT_POINTS = 4
_TOP = 20
_MERGED_AT_ONCE = 32
_MAX_ITEMS = 1 << 16
_CUT_ITEMS = 1 << 15


@dataclass(frozen=True)
class Distinct:
    """Different n-grams.

    Attributes:
        n: words in each.
        count: estimated number of different ones.
        total: all, repeated ones counted each time.
        share: count / total; None where there are none.
        relative_error: standard error of count and share, as a share of them.
        equal: share among `Profile.equal_words` words, read off the growth curve; None where the source is smaller.
    """

    n: int
    count: float
    total: int
    share: float | None
    relative_error: float
    equal: float | None


@dataclass(frozen=True)
class Heaps:
    """Different words = k * words**beta, fitted to the growth curve by least squares on logarithms (Heaps 1978).

    Attributes:
        k: factor.
        beta: exponent: 1 when every word is new, 0 when none is.
        residual: largest relative distance of a point from the fit. The points are nested samples, so no error of
            beta follows from it; it says how far to trust the law.
    """

    k: float
    beta: float
    residual: float


@dataclass(frozen=True)
class Phrases:
    """A list of items that many documents share.

    Attributes:
        items: those in most documents, at most 20.
        candidates: estimated number of documents that are long enough to have one.
        shortfall: an item may be in so many more documents than is said, or, if it is not listed, in so many at all.
    """

    items: tuple[Item, ...]
    candidates: int
    shortfall: int


@dataclass(frozen=True)
class SourceProfile:
    """One source, or the corpus.

    Attributes:
        documents, words, size_bytes: with a text.
        distinct: for n = 1, 2, 3.
        heaps: None where the curve has too few points.
        points: growth curve, smallest sample first, all of it last.
        quantiles: measure to its values at `QUANTILES`, each within 1 % of a true one; None without documents.
        phrases: list to its items.
    """

    documents: int
    words: int
    size_bytes: int
    distinct: tuple[Distinct, ...]
    heaps: Heaps | None
    points: tuple[Point, ...]
    quantiles: Mapping[str, tuple[float | None, ...]]
    phrases: Mapping[str, Phrases]


@dataclass(frozen=True)
class Profile:
    """The lexical profile of a corpus.

    Attributes:
        signature: name, version and hash of the settings of the sketches behind it.
        total: over all sources.
        sources: by name, most words first; `(other sources)` stands last for those that were not kept apart.
        apart: number of sources that were kept apart.
        equal_words: words at which `Distinct.equal` compares sources; None where no source has 10,000.
    """

    signature: str
    total: SourceProfile
    sources: Mapping[str, SourceProfile]
    apart: int
    equal_words: int | None


def corpus_profile(findings: Findings) -> Profile | None:
    """Merge the sketches of all parts, by source.

    Returns:
        The profile; None where the scan made no sketches.

    Raises:
        FindingsError: some parts have sketches and others have none, are damaged or were made with other settings.
    """
    name = Sketches(by=findings.by).name
    parts = [(shard, first_row) for shard in findings.shards for first_row in shard.parts]
    paths = [part_path(findings.directory, name, shard.key, first_row) for shard, first_row in parts]
    if not any(path.exists() for path in paths):
        return None
    identities = [read_identity(path) for path in paths]
    made = _same_settings(findings, parts, identities)
    p = made.config.get("p")
    kept = _largest_sources(
        (shard, read_sketches(path, ["source", "overflow", "words"]).to_pylist())
        for (shard, _), path in zip(parts, paths, strict=True)
    )
    merged = _Merged(p if isinstance(p, int) else Sketches().p)
    for (shard, _), path in zip(parts, paths, strict=True):
        for row in rows_of(read_sketches(path)):
            source = _source(row.source, row.overflow, shard)
            merged.add(source if source in kept else OTHER_SOURCES, row)
    signature = f"{name}:{made.version}:{config_hash([made.version, made.config])[:4]}"
    return _profile(merged.finish(), merged.p, signature)


def _same_settings(
    findings: Findings, parts: Sequence[tuple[ShardRecord, int]], identities: Sequence[PartIdentity | None]
) -> PartIdentity:
    first = next((identity for identity in identities if identity is not None), None)
    for (shard, first_row), identity in zip(parts, identities, strict=True):
        where = f"{findings.directory}: sketches of {shard.key} from row {first_row}"
        if first is None or identity is None:
            raise FindingsError(
                f"{where} are missing or torn. Run foxing scan again, with sketches: it makes what is missing."
            )
        if (identity.version, identity.config) != (first.version, first.config) or identity.digest != shard.digest:
            raise FindingsError(f"{where} were made otherwise than those of other parts. Scan again with --fresh.")
    if first is None:
        raise FindingsError(f"{findings.directory}: no sketches. Run foxing scan again.")
    return first


def _source(source: str | None, overflow: bool, shard: ShardRecord) -> str:
    if overflow:
        return OTHER_SOURCES
    return shard.key if source is None else source


def _largest_sources(parts: Iterator[tuple[ShardRecord, list[Mapping[str, object]]]]) -> set[str]:
    words: dict[str, int] = {}
    for shard, rows in parts:
        for row in rows:
            if not row["overflow"]:
                name = shard.key if row["source"] is None else str(row["source"])
                words[name] = words.get(name, 0) + int(str(row["words"]))
    return set(sorted(words, key=lambda name: (-words[name], name))[:MAX_SOURCES])


class _Merged:
    """The sketches of each source, merged some at a time, in the order in which they come."""

    def __init__(self, p: int) -> None:
        self.p = p
        self._waiting: dict[str, list[SourceSketch]] = {}
        self._sketches: dict[str, SourceSketch] = {}

    def add(self, source: str, row: SourceRow) -> None:
        waiting = self._waiting.setdefault(source, [])
        waiting.append(row.sketch)
        # One source that is in every part gains most from merging many at once; many sources wait with one each.
        if len(waiting) >= max(1, _MERGED_AT_ONCE // len(self._waiting)):
            self._merge(source)

    def _merge(self, source: str) -> None:
        waiting = self._waiting.pop(source)
        sketch = self._sketches.setdefault(source, SourceSketch.empty(self.p))
        sketch.merge_all(waiting)
        _cut(sketch)

    def finish(self) -> dict[str, SourceSketch]:
        for source in sorted(self._waiting):
            self._merge(source)
        return self._sketches


def _cut(sketch: SourceSketch) -> None:
    for name, found in sketch.frequent.items():
        if len(found) > _MAX_ITEMS:
            sketch.frequent[name] = found.cut(_CUT_ITEMS)


def _profile(sketches: Mapping[str, SourceSketch], p: int, signature: str) -> Profile:
    total = SourceSketch.empty(p)
    for _, sketch in sorted(sketches.items()):
        total.merge(sketch)
        _cut(total)
    names = sorted(sketches, key=lambda name: (name == OTHER_SOURCES, -sketches[name].growth.words, name))
    apart = [name for name in names if name != OTHER_SOURCES]
    sizes = [sketches[name].growth.words for name in apart if sketches[name].growth.words >= _MIN_EQUAL_WORDS]
    equal_words = min(sizes, default=None)
    return Profile(
        signature=signature,
        total=_source_profile(total, equal_words),
        sources={name: _source_profile(sketches[name], equal_words) for name in names},
        apart=len(apart),
        equal_words=equal_words,
    )


def _source_profile(sketch: SourceSketch, equal_words: int | None) -> SourceProfile:
    points = sketch.growth.points()
    last = points[-1] if points else None
    distinct = tuple(
        Distinct(
            n=n,
            count=last.distinct[n - 1] if last else 0.0,
            total=last.totals[n - 1] if last else 0,
            share=min(1.0, last.distinct[n - 1] / last.totals[n - 1]) if last and last.totals[n - 1] else None,
            relative_error=sketch.growth.relative_error,
            equal=None if equal_words is None else distinct_at(points, n, equal_words),
        )
        for n in (1, 2, 3)
    )
    return SourceProfile(
        documents=sketch.documents,
        words=sketch.growth.words,
        size_bytes=sketch.size_bytes,
        distinct=distinct,
        heaps=fit_heaps(points),
        points=tuple(points),
        quantiles={name: tuple(sketch.lengths[name].quantile(q) for q in QUANTILES) for name in MEASURES},
        phrases={
            name: Phrases(tuple(found.top(_TOP)), found.candidates, found.floor)
            for name, found in ((name, sketch.frequent[name]) for name in LISTS)
        },
    )


def fit_heaps(points: Sequence[Point]) -> Heaps | None:
    """Fit Heaps' law to a growth curve; None under 4 points of at least 8 documents and 1,000 words."""
    used = [point for point in points if point.words >= _MIN_FIT_WORDS and point.documents >= _MIN_FIT_DOCUMENTS]
    if len({point.words for point in used}) < _MIN_FIT_POINTS:
        return None
    x = np.log([point.words for point in used])
    y = np.log([max(point.distinct[0], 1.0) for point in used])
    centred = x - x.mean()
    beta = float((centred * y).sum() / (centred**2).sum())
    intercept = float(y.mean() - beta * x.mean())
    residual = float(np.abs(np.expm1(y - (intercept + beta * x))).max())
    return Heaps(math.exp(intercept), beta, residual)


def distinct_at(points: Sequence[Point], n: int, words: int) -> float | None:
    """Different n-grams / n-grams in a random sample of documents with so many words.

    Read off the growth curve, straight between its points on logarithmic scales. None beyond its ends.
    """
    usable = [point for point in points if point.words and point.totals[n - 1] and point.distinct[n - 1] > 0]
    if not usable or not usable[0].words <= words <= usable[-1].words:
        return None
    x = np.log([point.words for point in usable])
    shares = np.log([min(1.0, point.distinct[n - 1] / point.totals[n - 1]) for point in usable])
    return float(np.exp(np.interp(math.log(words), x, shares)))
