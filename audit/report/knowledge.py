"""What a model knows, in a report: SliCK categories by source, and facts of plain text that it does not know."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from audit.report.content import Absent
from audit.report.content_training import Knowledge, Unknown
from audit.unknown_share import UnknownCounts
from detectors.slick import Category

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KnownCounts", "knowledge_section"]

SIGNAL, CLOZE = "knowledge", "cloze"
_LABELS = tuple(category.label for category in Category)
_SHOWN_SOURCES = 30


class KnownCounts:
    """Rows by source and category, and facts of plain text. Adds up in any order."""

    def __init__(self) -> None:
        self.unknown: UnknownCounts | None = None
        self.sources: dict[str, Counter[str]] = {}
        self.corrected: Counter[str] = Counter()

    def add(self, frame: pl.DataFrame) -> None:
        """Take in one part of findings; nothing where neither `knowledge` nor `cloze` was measured."""
        if CLOZE in frame.columns:
            self.unknown = self.unknown or UnknownCounts()
            self.unknown.add(frame)
        if SIGNAL not in frame.columns:
            return
        fields = frame[SIGNAL].struct
        rows = frame.select("source", fields.field("category"), fields.field("corrected")).drop_nulls("category")
        for source, category, n in rows.group_by("source", "category").len().iter_rows():
            self.sources.setdefault(str(source), Counter())[str(category)] += n
        for category, n in rows.group_by("corrected").len().iter_rows():
            self.corrected[str(category)] += n


def knowledge_section(counts: KnownCounts) -> Knowledge | Absent:
    """Categories of the corpus and of its largest sources; the unknown share where plain text was asked."""
    unknown = None
    if counts.unknown is not None:
        whole = counts.unknown.shares()[0].measures["unknown"]
        unknown = None if whole.share is None else Unknown(whole.share, whole.interval, whole.items)
    total: Counter[str] = sum(counts.sources.values(), Counter())
    if not total and unknown is None:
        return Absent("No model was asked. Run foxing probe on questions and answers, and report on that folder.")
    largest = sorted(counts.sources, key=lambda name: (-counts.sources[name].total(), name))[:_SHOWN_SOURCES]
    listed = {"": total, **{name: counts.sources[name] for name in largest if len(counts.sources) > 1}}
    return Knowledge(
        categories=_LABELS,
        sources={name: tuple(found[label] for label in _LABELS) for name, found in listed.items() if found},
        corrected=tuple(counts.corrected[label] for label in _LABELS),
        unknown=unknown,
    )
