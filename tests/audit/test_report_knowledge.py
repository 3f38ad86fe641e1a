"""What a model knows is counted by source, over any parts."""

from __future__ import annotations

import polars as pl

from audit.report.content import Absent
from audit.report.content_training import Knowledge
from audit.report.knowledge import KnownCounts, knowledge_section


def part(rows: list[tuple[str, str | None, str | None]]) -> pl.DataFrame:
    """Rows of a source, a category and a corrected one; None was not measured."""
    return pl.DataFrame(
        {
            "source": [source for source, _, _ in rows],
            "knowledge": [{"category": category, "corrected": corrected} for _, category, corrected in rows],
        },
        {"source": pl.String, "knowledge": pl.Struct({"category": pl.String, "corrected": pl.String})},
    )


def test_categories_are_counted_by_source_and_over_all() -> None:
    counts = KnownCounts()
    counts.add(part([("a", "Unknown", "Unknown"), ("b", "HighlyKnown", "Unknown"), ("a", None, None)]))
    counts.add(part([("b", "Unknown", "Unknown"), ("b", "MaybeKnown", "MaybeKnown")]))
    found = knowledge_section(counts)
    assert isinstance(found, Knowledge)
    assert found.categories == ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")
    assert dict(found.sources) == {"": (1, 1, 0, 2), "b": (1, 1, 0, 1), "a": (0, 0, 0, 1)}
    assert found.corrected == (0, 1, 0, 3) and found.unknown is None


def test_a_corpus_that_no_model_was_asked_about_says_how_to_ask() -> None:
    counts = KnownCounts()
    counts.add(part([("a", None, None)]))
    counts.add(pl.DataFrame({"source": ["a"]}))
    found = knowledge_section(counts)
    assert isinstance(found, Absent) and "foxing probe" in found.absent
