"""The share of unknown items: ratio, clusters, intervals that hold their level, sums that add up in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.intervals import Interval
from audit.unknown_share import Share, Sums


def sums(items: list[float], hits: list[float], weight: list[float] | None = None) -> Sums:
    found = Sums()
    found.update(np.array(items), np.array(hits), np.array(weight or [1.0] * len(items)))
    return found


def test_each_item_stands_for_those_of_its_document_that_were_not_asked() -> None:
    # 4 of 4 asked, 1 unknown; 2 of 10 asked, 2 unknown: (1 + 10) / (4 + 10).
    assert sums([4, 2], [1, 2], [1, 5]).share.share == pytest.approx(11 / 14)


def test_nothing_asked_leaves_everything_possible() -> None:
    assert sums([0, 0], [0, 0]).share == Share(None, Interval(0.0, 1.0), 0, 0)


def test_documents_that_agree_within_themselves_are_worth_no_more_than_documents() -> None:
    apart = sums([1] * 100, [0, 1] * 50).share
    together = sums([10] * 100, [0, 10] * 50).share
    assert together.share == apart.share == 0.5
    assert _width(together) == pytest.approx(_width(apart))
    assert _width(sums([10] * 100, [5] * 100).share) < 0.5 * _width(apart)


def _width(found: Share) -> float:
    return found.interval.high - found.interval.low


def test_one_large_document_among_small_ones_makes_the_interval_wide() -> None:
    even, uneven = sums([1] * 50, [0, 1] * 25), sums([1] * 50, [0, 1] * 25, [1.0] * 49 + [500.0])
    assert _width(uneven.share) > 2 * _width(even.share)


def test_where_all_items_are_unknown_the_interval_is_that_of_so_many_documents() -> None:
    found = sums([5] * 20, [5] * 20).share
    assert found.share == 1.0 and found.interval.high == 1.0 and 0.8 < found.interval.low < 0.9
    assert sums([5], [5]).share.interval.low < 0.25


@pytest.mark.parametrize("documents", [12, 40, 150])
@pytest.mark.parametrize(("alike", "truth"), [(3.0, 0.8), (0.7, 0.6), (1.0, 0.95)])
def test_intervals_hold_their_level_over_clustered_documents(documents: int, alike: float, truth: float) -> None:
    """Documents differ in their own share (Beta, `alike` pseudo-counts) and in size; four items of each are asked."""
    random = np.random.default_rng(documents)
    held, runs = 0, 400
    for _ in range(runs):
        found = random.geometric(0.2, documents).astype(np.float64)
        asked = np.minimum(found, 4.0)
        own = random.beta(alike * truth, alike * (1 - truth), documents)
        estimate = Sums()
        estimate.update(asked, random.binomial(asked.astype(np.int64), own).astype(np.float64), found / asked)
        interval = estimate.share.interval
        held += interval.low <= truth <= interval.high
    assert held / runs >= 0.91, held / runs


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_sums_are_the_same_however_documents_are_split(rows: list[tuple[int, int, int]], cut: int) -> None:
    columns = [[float(value) for value in column] for column in zip(*rows, strict=True)]
    items, hits, weight = columns[0], [min(a, b) for a, b in zip(*columns[:2], strict=True)], columns[2]
    whole = sums(items, hits, weight)
    one, two = sums(items[:cut], hits[:cut], weight[:cut]), sums(items[cut:], hits[cut:], weight[cut:])
    two.add(one)
    assert vars(two) == vars(whole)
    found = whole.share
    assert found.share is None or 0 <= found.interval.low <= found.share <= found.interval.high <= 1
