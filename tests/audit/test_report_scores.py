"""Flags at every rate are counted right, and what a filter leaves follows from them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.intervals import Interval
from audit.prevalence import Prevalence
from audit.report.content import Absent
from audit.report.content_scores import Yield
from audit.report.scores import RATES, Flags, yield_section
from detectors.ai_text.calibration import ErrorRate
from tests.audit.judging import Tables

ROW = st.tuples(st.none() | st.floats(0, 1, width=32), st.integers(0, 500))


def part(rows: list[tuple[float | None, int]]) -> pl.DataFrame:
    """A calibrated part: p_human and words of each row."""
    found = [
        {"document": {"words": words}, "ai_text": {"p_human": p, "score": None if p is None else 1 - p / 2}}
        for p, words in rows
    ]
    schema = {
        "document": pl.Struct({"words": pl.Int32}),
        "ai_text": pl.Struct({"p_human": pl.Float32, "score": pl.Float32}),
    }
    return pl.DataFrame(found, schema)


def flags_of(*parts: list[tuple[float | None, int]]) -> Flags:
    flags = Flags()
    for rows in parts:
        flags.add(part(rows))
    return flags


@given(st.lists(ROW, max_size=40), st.lists(ROW, max_size=40))
def test_flags_are_counted_as_a_loop_would_however_parts_are_cut(one: list, other: list) -> None:
    flags = flags_of(one, other)
    for rate in RATES:
        hit = [(p, words) for p, words in one + other if p is not None and np.float32(p) <= np.float32(rate)]
        assert flags.flagged(rate) == (len(hit), sum(words for _, words in hit))
    assert flags.all_words == sum(words for _, words in one + other)


def test_the_score_of_a_threshold_has_as_many_documents_above_it_as_are_flagged() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(2000)
    flags = flags_of([(float(value), 1) for value in p])
    flagged = flags.flagged(0.1)[0]
    score = flags.score_above(flagged)
    assert score is not None and abs(int((1 - p / 2 > score).sum()) - flagged) < 40
    assert flags.score_above(0) is None


class Exact(Tables):
    """Human text is flagged exactly as often as promised."""

    def error_rates(self, fpr: float) -> tuple[ErrorRate, ...]:
        return (ErrorRate("web", "human", 100_000, round(100_000 * fpr)), ErrorRate("chat", "ai", 1000, 700))


def found(share: float, low: float, high: float) -> Prevalence:
    return Prevalence(share, Interval(low, high), 1000)


def test_what_is_left_is_what_was_there_less_what_was_rightly_flagged() -> None:
    # 200 human documents, one of them flagged at 0.005, and 100 machine ones, of which 60 are.
    rows: list[tuple[float | None, int]] = [(0.004, 10)] + [(0.9, 10)] * 199 + [(0.003, 10)] * 60 + [(0.8, 10)] * 40
    made = yield_section(flags_of(rows), found(1 / 3, 1 / 3, 1 / 3), Exact(), rate=0.005)
    assert isinstance(made, Yield) and made.rate == 0.005
    at = next(point for point in made.points if point.rate == 0.005)
    assert at.kept == pytest.approx(239 / 300) and at.left == pytest.approx(40 / 239)
    assert at.interval.low == pytest.approx(at.left) == at.interval.high
    assert at.human_lost == pytest.approx(0.005)


@given(st.lists(ROW, min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_filter_keeps_fewer_words_and_never_more_machine_text(
    rows: list, one: float, other: float, third: float
) -> None:
    low, share, high = sorted((one, other, third))
    made = yield_section(flags_of(rows), found(share, low, high), Exact(), rate=None)
    if isinstance(made, Absent):
        assert not sum(words for _, words in rows)
        return
    first = made.points[0]
    assert (first.kept, first.left, first.interval) == (1.0, share, Interval(low, high))
    for before, after in zip(made.points, made.points[1:], strict=False):
        assert after.kept <= before.kept
        assert after.left * after.kept <= before.left * before.kept + 1e-9
        assert 0 <= after.interval.low <= after.left <= after.interval.high <= 1 + 1e-9


def test_without_words_or_without_a_share_the_section_says_why() -> None:
    no_words = yield_section(flags_of([(0.5, 0)]), found(0.1, 0, 1), Exact(), rate=None)
    no_share = yield_section(flags_of([(0.5, 9)]), Prevalence(None, None, 0), Exact(), rate=None)
    assert isinstance(no_words, Absent) and "Words were not counted" in no_words.absent
    assert isinstance(no_share, Absent) and "no estimate" in no_share.absent
