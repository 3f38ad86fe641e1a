"""Intervals of differences hold the truth as often as they say, and correction is Holm's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.contrasts import Contrast, contrast, corrected, seed_interval


def drawn(draw: np.random.Generator, effect: float, seeds: int, items: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two arms whose items share their difficulty, with a deviation of each seed."""
    pairs = []
    for _ in range(seeds):
        hard = draw.normal(size=items)
        shift = effect + draw.normal(scale=0.05)
        pairs.append((hard + shift + draw.normal(scale=0.3, size=items), hard + draw.normal(scale=0.3, size=items)))
    return pairs


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    held = 0
    for repeat in range(60):
        found = contrast("a - b", "loss", drawn(draw, 0.1, 5, 40), seed=repeat)
        held += found.low <= 0.1 <= found.high
    assert held >= 53


def test_no_difference_is_seldom_found_where_there_is_none() -> None:
    draw = np.random.default_rng(1)
    found = [contrast("a - b", "loss", drawn(draw, 0.0, 4, 40), seed=repeat) for repeat in range(60)]
    assert sum(each.p < 0.05 for each in found) <= 6
    assert all((each.p < 0.05) <= (each.low > 0 or each.high < 0) for each in found)


def test_items_that_all_seeds_share_are_not_averaged_out_by_seeds() -> None:
    draw = np.random.default_rng(4)
    held = {True: 0, False: 0}
    for repeat in range(60):
        common = draw.normal(scale=0.3, size=40)  # what an item does to the difference, whatever the seed
        pairs = [(common + draw.normal(scale=0.1, size=40), np.zeros(40)) for _ in range(5)]
        for shared in held:
            found = contrast("a - b", "loss", pairs, shared=shared, seed=repeat)
            held[shared] += found.low <= 0 <= found.high
    assert held[True] >= 53
    assert held[False] < held[True]


def test_three_seeds_of_one_sign_are_no_certainty() -> None:
    draw = np.random.default_rng(5)
    p = [contrast("a - b", "loss", [(draw.normal(size=1), np.zeros(1)) for _ in range(3)]).p for _ in range(400)]
    assert np.mean(np.array(p) < 0.01) <= 0.025
    assert np.mean(np.array(p) < 0.05) <= 0.08


@pytest.mark.parametrize(("t", "seeds"), [(12.706, 2), (4.303, 3), (3.182, 4), (2.776, 5), (2.365, 8), (2.045, 30)])
def test_p_is_that_of_student_where_it_is_known(t: float, seeds: int) -> None:
    values = np.random.default_rng(6).normal(size=seeds)
    values = (values - values.mean()) / values.std(ddof=1) + t / seeds**0.5
    assert contrast("a - b", "loss", [(np.array([value]), np.zeros(1)) for value in values]).p == pytest.approx(
        0.05, abs=2e-3
    )


def test_undefined_items_do_not_move_shared_ones() -> None:
    one = np.array([1.0, np.nan, 3.0, 4.0])
    found = contrast("a - b", "f1", [(one, one - 1), (one[::-1], one[::-1] - 1)], shared=True)
    assert (found.difference, found.low, found.high, found.items) == (1.0, 1.0, 1.0, 3)


def test_a_large_difference_is_found() -> None:
    found = contrast("a - b", "loss", drawn(np.random.default_rng(2), 1.0, 5, 40))
    assert found.low > 0.5 and found.p < 0.01
    assert (found.seeds, found.items) == (5, 40)


def test_a_single_seed_and_undefined_items_are_no_reason_to_fail() -> None:
    one = np.array([1.0, np.nan, 3.0])
    found = contrast("a - b", "f1", [(one, one - 1)])
    assert found.difference == pytest.approx(1.0) and found.items == 2
    assert contrast("a - b", "f1", [(one * np.nan, one)]).seeds == 0


def test_seed_interval_is_students() -> None:
    low, high = seed_interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert np.isnan(seed_interval(np.array([1.0]))).all()


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8))
def test_corrected_p_values_are_those_of_holm(p: list[float]) -> None:
    found = corrected([Contrast(str(at), "loss", 0, 0, 0, each, 3, 10) for at, each in enumerate(p)])
    values = [each.p_corrected or 0.0 for each in found]
    assert [each.name for each in found] == [str(at) for at in range(len(p))]
    assert all(value >= each for value, each in zip(values, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert values[order[0]] == pytest.approx(min(1.0, p[order[0]] * len(p)))
    assert all(values[one] <= values[other] for one, other in itertools.pairwise(order))
