from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.binomial import (
    allowed_above,
    at_least,
    documents_needed,
    holm,
    least_rate,
    lower_bound,
    upper_bound,
)


def cdf(hits: int, n: int, rate: float) -> float:
    return sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(hits + 1))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95]))
def test_bounds_are_where_the_binomial_says(counted: tuple[int, int], confidence: float) -> None:
    hits, n = counted
    high, low = float(upper_bound(hits, n, confidence)), float(lower_bound(hits, n, confidence))
    assert low <= hits / n <= high
    assert high == 1 if hits == n else cdf(hits, n, high) == pytest.approx(1 - confidence, abs=1e-9)
    assert low == 0 if hits == 0 else cdf(hits - 1, n, low) == pytest.approx(confidence, abs=1e-9)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.001, 0.9))
def test_chance_of_so_many_hits_is_the_binomial_tail(counted: tuple[int, int], rate: float) -> None:
    hits, n = counted
    expected = 1 - cdf(hits - 1, n, rate) if hits else 1.0
    assert float(at_least(hits, n, rate)) == pytest.approx(expected, abs=1e-9)


def test_large_counts_are_bounded_as_exactly_as_small_ones() -> None:
    high = upper_bound([0, 10_000, 999_999], 1_000_000)
    assert high == pytest.approx([2.9957278e-06, 0.0101659, 0.99999995], rel=1e-4)


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 299), (0.001, 2995)])
def test_a_rate_needs_so_many_documents(rate: float, needed: int) -> None:
    assert documents_needed(rate) == needed
    assert allowed_above(needed - 1, rate) is None
    assert allowed_above(needed, rate) == 0
    assert least_rate(needed) <= rate < least_rate(needed - 1)


@pytest.mark.parametrize("n", [299, 500, 1000, 3000])
def test_the_order_statistic_is_the_last_that_holds(n: int) -> None:
    allowed = allowed_above(n, 0.01)
    assert allowed is not None
    assert cdf(allowed, n, 0.01) <= 0.05 < cdf(allowed + 1, n, 0.01)


def test_a_threshold_by_the_order_statistic_holds_its_rate_in_95_of_100_draws() -> None:
    random = np.random.default_rng(5)
    n, rate, draws = 500, 0.01, 2000
    allowed = allowed_above(n, rate)
    assert allowed is not None
    thresholds = np.sort(random.random((draws, n)), axis=1)[:, n - 1 - allowed]
    assert ((1 - thresholds) <= rate).mean() >= 0.94


def test_no_document_vouches_for_nothing() -> None:
    assert least_rate(0) == 1
    assert float(upper_bound(0, 0)) == 1
    assert float(lower_bound(0, 0)) == 0


def test_holm_stops_at_the_first_that_is_not_small_enough() -> None:
    assert holm([0.04, 0.001, 0.02]).tolist() == [True, True, True]
    assert holm([0.001, 0.03, 0.04]).tolist() == [True, False, False]
    assert holm([0.01, 0.02, 0.03]).tolist() == [True, True, True]
    assert holm([]).tolist() == []
