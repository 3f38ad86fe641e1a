from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.intervals import Estimate, Interval, wilson
from audit.rogan_gladen import ErrorRates, Trial, estimate

PERFECT = ErrorRates((Trial("h", 10**6, 0),), tuple(Trial(f"m{i}", 10**6, 10**6) for i in range(200)))
GOOD = ErrorRates((Trial("h1", 1000, 5), Trial("h2", 1000, 10)), (Trial("m1", 1000, 900), Trial("m2", 1000, 800)))


@given(st.integers(1, 10_000), st.data())
def test_wilson_holds_the_share_and_stays_in_bounds(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    found = wilson(hits, n)
    assert 0 <= found.low <= hits / n <= found.high <= 1
    assert (found.low == 0) == (hits == 0) and (found.high == 1) == (hits == n)


def test_wilson_agrees_with_the_textbook() -> None:
    found = wilson(10, 100)
    assert found.low == pytest.approx(0.05523, abs=1e-5) and found.high == pytest.approx(0.17437, abs=1e-5)
    assert wilson(0, 0) == Interval(0.0, 1.0)


def test_a_perfect_detector_needs_no_correction() -> None:
    found = estimate(0.3, 10_000, 10_000, PERFECT, seed=17)
    assert found.share == pytest.approx(0.3) and found.interval is not None
    assert found.interval.low == pytest.approx(0.291, abs=2e-3) and found.interval.high == pytest.approx(
        0.309, abs=2e-3
    )


def test_the_share_is_that_of_rogan_and_gladen() -> None:
    found = estimate(0.4, 1000, 1000, GOOD, seed=17)
    assert found.share == pytest.approx((0.4 - 0.0075) / (0.85 - 0.0075))
    assert (found.n, found.observed) == (1000, 0.4)


def test_flags_at_the_rate_of_false_alarms_are_no_machine_text() -> None:
    found = estimate(0.007, 10_000, 10_000, GOOD, seed=17)
    assert found.share == 0 and found.interval is not None and found.interval.low == 0


def test_spread_between_sources_widens_the_interval() -> None:
    even = ErrorRates(GOOD.human, tuple(Trial(f"m{i}", 1000, 850) for i in range(100)))
    uneven = ErrorRates(GOOD.human, tuple(Trial(f"m{i}", 1000, 980 - 260 * (i % 2)) for i in range(100)))
    one, other = (estimate(0.4, 10_000, 10_000, rates, seed=17) for rates in (uneven, even))
    assert one.share == pytest.approx(other.share) and _width(one) > 2 * _width(other)


def test_few_labelled_sources_leave_much_open() -> None:
    few = ErrorRates(GOOD.human, (Trial("m", 10**6, 850_000),))
    many = ErrorRates(GOOD.human, tuple(Trial(f"m{i}", 10**6, 850_000) for i in range(100)))
    assert _width(estimate(0.4, 10_000, 10_000, few, seed=17)) > 2 * _width(
        estimate(0.4, 10_000, 10_000, many, seed=17)
    )


def test_a_rate_above_every_known_source_is_not_taken_for_certain() -> None:
    low = ErrorRates(GOOD.human, tuple(Trial(f"m{i}", 1000, 100 + i) for i in range(30)))
    found = estimate(0.6, 10_000, 10_000, low, seed=17)
    assert found.share == 1 and found.interval is not None and 0.5 < found.interval.low < 0.7


def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_sources() -> None:
    turned = ErrorRates(GOOD.human[::-1], GOOD.machine[::-1])
    assert estimate(0.1, 500, 500, GOOD, seed=3) == estimate(0.1, 500, 500, turned, seed=3)
    assert estimate(0.1, 500, 500, GOOD, seed=3) != estimate(0.1, 500, 500, GOOD, seed=4)


@pytest.mark.parametrize(
    ("n", "rates", "says"),
    [
        (0, GOOD, "no document could be scored"),
        (10, ErrorRates((), GOOD.machine), "on no labelled source"),
        (10, ErrorRates(GOOD.human, (Trial("m", 0, 0),)), "on no labelled source"),
        (10, ErrorRates(GOOD.human, (Trial("m", 1000, 20),)), "does not tell the classes apart"),
    ],
)
def test_no_estimate_comes_with_its_reason(n: int, rates: ErrorRates, says: str) -> None:
    found = estimate(0.1, n, n, rates, seed=17)
    assert found.share is None and found.interval is None and says in str(found.reason)


@given(st.floats(0, 1), st.integers(1, 5000), st.integers(0, 100))
def test_an_estimate_lies_in_its_interval_and_both_in_bounds(observed: float, n: int, seed: int) -> None:
    found = estimate(observed, n, n, GOOD, seed=seed)
    assert found.share is not None and found.interval is not None
    assert 0 <= found.interval.low <= found.share <= found.interval.high <= 1


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4])
def test_nine_in_ten_intervals_or_more_hold_the_truth(share: float) -> None:
    # Sources, and the corpus as one more source, draw their error rates from the same distributions.
    random = np.random.default_rng(5)
    held = 0
    for trial in range(150):
        human, machine = random.beta(2, 150, 16), random.beta(12, 5, 16)
        rates = ErrorRates(
            tuple(Trial(f"h{i}", 400, int(random.binomial(400, p))) for i, p in enumerate(human[1:])),
            tuple(Trial(f"m{i}", 400, int(random.binomial(400, p))) for i, p in enumerate(machine[1:])),
        )
        truth = share * machine[0] + (1 - share) * human[0]
        observed = random.binomial(3000, truth) / 3000
        interval = estimate(observed, 3000, 3000, rates, seed=trial).interval
        assert interval is not None
        held += interval.low <= share <= interval.high
    assert held >= 135


def test_a_rate_below_the_false_alarms_counts_as_no_machine_text_and_one_above_both_rates_is_left_out() -> None:
    # One source in four errs; each draw takes the errors of one source.
    clean, certain = Trial("c", 10**6, 0), tuple(Trial(f"m{i}", 10**6, 10**6) for i in range(200))
    alarmed = ErrorRates((*(Trial(f"h{i}", 10**6, 0) for i in range(3)), Trial("x", 10**6, 200_000)), certain)
    found = estimate(0.1, 10**6, 10**6, alarmed, seed=17)
    assert found.share == pytest.approx(0.05 / 0.95, abs=1e-4) and found.interval is not None
    assert found.interval.low == 0 and found.interval.high == pytest.approx(0.1, abs=2e-3)
    blind = tuple(Trial(f"m{i}", 10**6, 10**6 if i % 4 else 800_000) for i in range(200))
    found = estimate(0.9, 10**6, 10**6, ErrorRates((clean,), blind), seed=17)
    assert found.share == pytest.approx(0.9 / 0.95, abs=1e-4) and found.interval is not None
    assert found.interval.low == pytest.approx(0.9, abs=2e-3) and found.interval.high == found.share


def test_fewer_draws_give_nearly_the_same_interval() -> None:
    close, coarse = (estimate(0.2, 500, 500, GOOD, seed=17, draws=draws).interval for draws in (20_000, 1_000))
    assert close is not None and coarse is not None
    width = close.high - close.low
    assert abs(close.low - coarse.low) < 0.1 * width and abs(close.high - coarse.high) < 0.1 * width


def _width(found: Estimate) -> float:
    assert found.interval is not None
    return found.interval.high - found.interval.low
