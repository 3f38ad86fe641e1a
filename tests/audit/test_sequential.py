from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.sequential import ShareSequence
from audit.sequential_check import meeting_share

Units = list[tuple[int, int, int]]


def drawn(random: np.random.Generator, units: Units) -> Units:
    """Units in an order in which each next one is drawn in proportion to its rows."""
    rows = np.array([rows for rows, _, _ in units])
    return [units[at] for at in np.argsort(random.exponential(size=len(rows)) / rows)]


def share(units: Units) -> float:
    return float(Fraction(sum(hits for *_, hits in units), sum(judged for _, judged, _ in units)))


def total(units: Units) -> int:
    return sum(rows for rows, _, _ in units)


units_of_any_kind = st.lists(
    st.integers(1, 64).flatmap(
        lambda rows: st.integers(0, rows).flatmap(
            lambda judged: st.tuples(st.just(rows), st.just(judged), st.integers(0, judged))
        )
    ),
    min_size=1,
    max_size=12,
).filter(lambda units: sum(judged for _, judged, _ in units) > 0)


@given(units_of_any_kind, st.floats(0, 1))
def test_when_everything_was_drawn_the_interval_is_the_share_itself(units: Units, budget: float) -> None:
    sequence = ShareSequence(total(units), budget=budget, error=0.05)
    for unit in units:
        sequence.update(*unit)
    assert sequence.interval.low == sequence.interval.high == share(units)
    assert sequence.is_above != sequence.is_within


@given(units_of_any_kind)
@settings(max_examples=60)
def test_the_interval_only_narrows_and_stays_within_0_and_1(units: Units) -> None:
    sequence = ShareSequence(total(units), budget=0.05, error=0.05)
    low, high = 0.0, 1.0
    for unit in units[:-1]:
        sequence.update(*unit)
        now = sequence.interval
        assert 0 <= low <= now.low <= now.high <= high <= 1
        low, high = now.low, now.high


def test_the_capital_of_a_true_share_is_a_martingale_for_units_of_any_size() -> None:
    """The mean over all orders of drawing, each with its chance, of exp(capital) at the corpus' own share is 1."""
    units = [(64, 60, 0), (10, 10, 7), (3, 3, 0), (40, 40, 1)]
    budget = share(units)
    for side in (0, 1):
        mean = 0.0
        for order in itertools.permutations(units):
            chance, left = 1.0, total(units)
            sequence = ShareSequence(left, budget=budget, error=0.05)
            for unit in order[:-1]:
                chance, left = chance * unit[0] / left, left - unit[0]
                sequence.update(*unit)
            at = int(np.searchsorted(sequence._grid, budget))
            mean += chance * float(np.exp(sequence._capital[side, :, at]).mean())
        assert mean == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_share_of_the_corpus_leaves_the_interval_no_oftener_than_promised(clustered: bool) -> None:
    """Unequal units, and with `clustered` units that are hit wholly or not at all. 300 corpora, error 0.2 a side."""
    random, missed = np.random.default_rng(5), 0
    for _ in range(300):
        rows = random.integers(1, 65, 60)
        hit = random.random(60) < 0.1
        units = [
            (int(n), int(n), int(n * h) if clustered else int(random.binomial(n, 0.1)))
            for n, h in zip(rows, hit, strict=True)
        ]
        truth = share(units)
        sequence = ShareSequence(total(units), budget=0.1, error=0.2)
        for unit in drawn(random, units)[:50]:
            sequence.update(*unit)
            if not sequence.interval.low <= truth <= sequence.interval.high:
                missed += 1
                break
    assert missed <= 120 + 3 * 8.5


def test_few_units_show_a_share_far_over_the_budget_and_more_show_one_far_below() -> None:
    random = np.random.default_rng(3)
    over = ShareSequence(10**6, budget=0.05, error=0.004)
    for _ in range(40):
        over.update(64, 64, int(random.binomial(64, 0.3)))
    assert over.is_above and not over.is_within and over.interval.low >= 0.05
    below = ShareSequence(10**6, budget=0.05, error=0.004)
    for _ in range(150):
        below.update(64, 64, 0)
    assert below.is_within and not below.is_above and below.interval.high <= 0.05 and below.interval.low == 0


def test_a_budget_of_nothing_is_exceeded_by_the_first_hit_and_not_before() -> None:
    sequence = ShareSequence(1000, budget=0.0, error=0.01)
    for _ in range(5):
        sequence.update(64, 64, 0)
    assert not sequence.is_above and not sequence.is_within
    sequence.update(64, 64, 1)
    assert sequence.is_above
    clean = ShareSequence(64, budget=0.0, error=0.01)
    clean.update(64, 64, 0)
    assert clean.is_within and not clean.is_above


def test_a_share_that_is_the_budget_itself_is_within_it_once_everything_was_drawn() -> None:
    for hits in range(1, 1000):
        sequence = ShareSequence(1000, budget=hits / 1000, error=0.05)
        sequence.update(1000, 1000, hits)
        assert sequence.is_within and not sequence.is_above


def test_what_no_row_that_is_left_could_bring_about_is_ruled_out_at_once() -> None:
    sequence = ShareSequence(100, budget=0.3, error=1e-9)
    sequence.update(60, 60, 31)
    assert sequence.is_above and 0.3 <= sequence.interval.low <= 0.31 and 0.71 <= sequence.interval.high <= 0.721
    few = ShareSequence(100, budget=0.3, error=1e-9)
    few.update(80, 80, 9)
    assert few.is_within and 0.29 <= few.interval.high <= 0.301 and 0.079 <= few.interval.low <= 0.09


def test_units_to_go_are_as_many_as_it_then_takes() -> None:
    sequence = ShareSequence(10**7, budget=0.01, error=0.004)
    for _ in range(100):
        sequence.update(64, 64, 0)
    expected, taken = sequence.units_to_go, 0
    while sequence.interval.high > 0.01:
        sequence.update(64, 64, 0)
        taken += 1
    assert taken == pytest.approx(expected, rel=0.2)


def test_meeting_share_is_where_the_end_of_the_corrected_share_meets_the_budget() -> None:
    assert meeting_share(0.05, lambda flagged: max(0.0, flagged - 0.01) / 0.8) == pytest.approx(0.05, abs=1e-9)
    assert meeting_share(0.05, lambda flagged: 0.2 + flagged / 2) is None
    assert meeting_share(0.05, lambda flagged: 0.0) == 1.0
