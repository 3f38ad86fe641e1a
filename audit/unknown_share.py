"""The share of a corpus' cloze items that a model does not know, by source, with intervals that count by documents.

Items of one document stand or fall together, and of each document only so many were asked. The estimate is that of a
two-stage sample with documents as clusters: each asked item stands for `found / asked` items of its document, the share
is a ratio of sums, and its variance comes from the spread of whole documents by linearisation (Särndal, Swensson and
Wretman 1992, Model Assisted Survey Sampling, sections 5.6 and 8.6), which has the draw within documents in it. The
interval is Wilson's of as many independent items as the estimate is worth, which keeps its level near 0 and 1; with few
documents, or few large ones, Student's t takes the place of the normal quantile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from audit.intervals import Interval, wilson
from detectors.cloze import KINDS

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings

__all__ = ["MEASURES", "Share", "Sums", "UnknownCounts", "UnknownShares", "unknown_shares"]

MEASURES = ("unknown", "corrected")
_Z = 1.959963984540054
_FIELDS = frozenset(("found", "asked", "unknown", "corrected", "kind", "is_unknown", "is_corrected"))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """An estimated share.

    Attributes:
        share: 0 to 1; None where no item was asked.
        interval: 95 % interval; 0 to 1 where nothing is known.
        documents: with an item that was asked.
        items: that were asked.
    """

    share: float | None
    interval: Interval
    documents: int
    items: int


@dataclass
class Sums:
    """What a share needs of any number of documents; adding is associative and commutative."""

    documents: int = 0
    items: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def update(self, items: Floats, hits: Floats, weight: Floats) -> None:
        """Take in documents.

        Args:
            items: float64[n], items that were asked.
            hits: float64[n], of them counted.
            weight: float64[n], items of the document that each one stands for.
        """
        some = items > 0
        x, y = (weight * items)[some], (weight * hits)[some]
        self.documents += int(some.sum())
        self.items += int(items.sum())
        for name, value in (("x", x), ("y", y), ("xx", x * x), ("xy", x * y), ("yy", y * y)):
            setattr(self, name, getattr(self, name) + float(value.sum()))

    def add(self, other: Self) -> None:
        """Take in other sums."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def share(self) -> Share:
        """The estimate."""
        if not self.documents:
            return Share(None, Interval(0.0, 1.0), 0, 0)
        share = min(1.0, self.y / self.x)
        documents = self.x**2 / self.xx  # of equal size that are worth as much (Kish 1965, section 11.7)
        if 0 < share < 1 and documents > 1:
            squares = max(0.0, self.yy - 2 * share * self.xy + share * share * self.xx)
            variance = documents / (documents - 1) * squares / self.x**2
            independent = share * (1 - share) / variance if variance > 0 else float(self.items)
            worth = min(float(self.items), independent) * (_Z / _student(documents - 1)) ** 2
        else:
            worth = documents  # that all agree, and so say no more than so many items
        return Share(share, wilson(share * worth, worth), self.documents, self.items)


def _student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, by its expansion about the normal one; 3 % too low at 2, a quarter at 1."""
    cubic = (_Z**3 + _Z) / (4 * freedom)
    fifth = (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * freedom**2)
    seventh = (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / (384 * freedom**3)
    return _Z + cubic + fifth + seventh


@dataclass(frozen=True)
class UnknownShares:
    """Shares of one source, or of all.

    Attributes:
        source: its name; "" is the whole corpus.
        rows: of it.
        chosen: of them texts that were asked, with items or without.
        measures: each of `MEASURES` to its share.
        kinds: each of `detectors.cloze.KINDS` to the same.
    """

    source: str
    rows: int
    chosen: int
    measures: Mapping[str, Share]
    kinds: Mapping[str, Mapping[str, Share]]


@dataclass
class _Source:
    rows: int = 0
    chosen: int = 0
    sums: dict[tuple[str, str], Sums] = field(default_factory=dict)

    def add(self, other: Self) -> None:
        self.rows, self.chosen = self.rows + other.rows, self.chosen + other.chosen
        for key, sums in other.sums.items():
            self.sums.setdefault(key, Sums()).add(sums)

    def shares(self, name: str) -> UnknownShares:
        def of(kind: str) -> dict[str, Share]:
            return {measure: self.sums.get((kind, measure), Sums()).share for measure in MEASURES}

        return UnknownShares(name, self.rows, self.chosen, of(""), {kind: of(kind) for kind in KINDS})


def unknown_shares(findings: Findings) -> list[UnknownShares]:
    """Shares of a scan that measured `cloze`: those of the whole corpus first, then of each source, by name."""
    counts = UnknownCounts()
    for part in findings.parts({"cloze": _FIELDS}):
        counts.add(part)
    return counts.shares()


class UnknownCounts:
    """What `unknown_shares` counts, part by part: for who reads the same parts for something else besides."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def add(self, part: pl.DataFrame) -> None:
        """Take in the next part of findings, which has `cloze`."""
        import polars as pl

        flat = part.select("source", pl.col("cloze").struct.field(*sorted(_FIELDS)))
        for (name,), frame in flat.group_by("source", maintain_order=True):
            source = self._sources.setdefault(str(name), _Source())
            source.rows += frame.height
            asked = frame.filter(pl.col("asked").is_not_null())
            source.chosen += asked.height
            some = asked.filter(pl.col("asked") > 0)
            for kind in ("", *KINDS):
                for measure in MEASURES:
                    source.sums.setdefault((kind, measure), Sums()).update(*_columns(some, kind, measure))

    def shares(self) -> list[UnknownShares]:
        """What all parts say."""
        whole, sources = _Source(), self._sources
        for name in sorted(sources):
            whole.add(sources[name])
        return [whole.shares(""), *(sources[name].shares(name) for name in sorted(sources))]


def _columns(frame: pl.DataFrame, kind: str, measure: str) -> Sequence[Floats]:
    """Items, hits and weight of each document, of one kind or of all (`""`)."""
    import polars as pl

    weight = pl.col("found") / pl.col("asked")
    if not kind:
        chosen = frame.select(pl.col("asked"), pl.col(measure), weight.alias("weight"))
    else:
        of_kind = frame.with_row_index("document").select("document", weight.alias("weight"), "kind", f"is_{measure}")
        chosen = (
            of_kind.explode("kind", f"is_{measure}")
            .filter(pl.col("kind") == kind)
            .group_by("document", maintain_order=True)
            .agg(pl.len(), pl.col(f"is_{measure}").sum(), pl.col("weight").first())
            .drop("document")
        )
    return [column.cast(pl.Float64).to_numpy() for column in chosen.get_columns()]
