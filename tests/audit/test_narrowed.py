"""A wide interval of the share is cut to what flagged documents leave possible, and never widened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit.intervals import Interval
from audit.narrowing import WIDE, narrowed
from audit.prevalence import Prevalence

intervals = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: Interval(min(pair), max(pair)))


@given(found=intervals, flagged=intervals, place=st.floats(0, 1))
def test_it_never_widens_and_holds_the_share(found: Interval, flagged: Interval, place: float) -> None:
    share = found.low + place * (found.high - found.low)
    cut = narrowed(Prevalence(share, found, 100), lambda: flagged)
    assert cut.interval is not None and cut.share is not None
    assert found.low <= cut.interval.low <= cut.share <= cut.interval.high <= found.high
    if found.high - found.low <= WIDE:
        assert cut == Prevalence(share, found, 100)


def test_flags_keep_a_corpus_from_being_called_possibly_human() -> None:
    cut = narrowed(Prevalence(0.32, Interval(0.0, 1.0), 1679), lambda: Interval(0.226, 1.0))
    assert cut.interval == Interval(0.226, 1.0) and cut.share == 0.32 and "what was flagged" in cut.reasons[-1]


def test_without_flags_or_an_estimate_nothing_changes() -> None:
    whole = Prevalence(0.3, Interval(0.0, 1.0), 9)
    assert narrowed(whole, lambda: None) == whole
    assert narrowed(Prevalence(None, None, 0), lambda: Interval(0.2, 0.4)).interval is None


def test_methods_that_contradict_each_other_are_left_wide() -> None:
    whole = Prevalence(0.1, Interval(0.0, 0.6), 9)
    assert narrowed(whole, lambda: Interval(0.7, 1.0)) == whole


def test_flags_are_looked_at_only_where_an_interval_is_wide() -> None:
    def flagged() -> Interval:
        raise AssertionError("drawn for nothing")

    close = Prevalence(0.2, Interval(0.1, 0.4), 9)
    assert narrowed(close, flagged) == close
