"""Held-out rows: whole clusters, a stated share, the same whatever else is done."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.order import Shuffled
from curricula.ranking import rank_rows
from curricula.splitting import held_out
from tests.curricula.spooled import spooled


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 8)), min_size=1, max_size=60), st.floats(0.05, 0.95), st.integers(0, 5)
)
def test_no_cluster_straddles(clusters: list[int | None], share: float, seed: int) -> None:
    found = []
    for cut in (3, 100):
        with closing(spooled("x" * len(clusters), clusters=clusters, cut=cut)) as spool:
            found.append(held_out(spool, share, seed))
    assert np.array_equal(*found), "the size of parts changes nothing"
    for cluster in {value for value in clusters if value is not None}:
        members = [at for at, value in enumerate(clusters) if value == cluster]
        assert len(set(found[0][members].tolist())) == 1


def test_share_of_clusters_is_held_out() -> None:
    rows = 20_000
    clusters = [at // 2 if at % 4 < 2 else None for at in range(rows)]
    with closing(spooled("x" * rows, clusters=clusters, cut=4096)) as spool:
        found = held_out(spool, 0.1, 1)
        other = held_out(spool, 0.1, 2)
    units = rows * 3 // 4
    assert abs(found.sum() / rows - 0.1) < 5 * (0.09 / units) ** 0.5
    assert not np.array_equal(found, other)


def test_more_is_held_out_by_a_larger_share_and_nothing_else_moves() -> None:
    with closing(spooled("x" * 500)) as spool:
        small, large = held_out(spool, 0.1, 1), held_out(spool, 0.3, 1)
    assert large[small].all()
    assert large.sum() > small.sum()


def test_a_budget_on_a_shuffled_order_does_not_take_held_out_rows_first() -> None:
    rows = 20_000
    with closing(spooled("x" * rows, cut=4096)) as spool:
        found = held_out(spool, 0.1, 17)
        first = rank_rows(spool, [], [Shuffled(17)]).order()[: rows // 10]
    assert abs(found[first].mean() - 0.1) < 5 * (0.09 / len(first)) ** 0.5


def test_rows_without_a_word_are_never_held_out() -> None:
    words = [0 if at % 3 else 5 for at in range(600)]
    with closing(spooled("x" * 600, tokens=words)) as spool:
        found = held_out(spool, 0.5, 1)
    assert not found[[at for at, number in enumerate(words) if not number]].any()
    assert 60 < found.sum() < 140
    with closing(spooled("x" * 600, tokens=[None] * 600)) as spool:
        assert held_out(spool, 0.5, 1).sum() > 200, "where words were not counted, nothing is said of them"
