"""Which documents a costlier tier judges: within the budget, near the decision, and a fair sample of the rest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ai_text.cascade import STRATA, Budget, Choice, Chooser, random_keys


def chosen(p: np.ndarray, budget: Budget, *, cuts: list[int] | None = None, backwards: bool = False) -> Choice:
    rows = np.arange(len(p))
    keys = random_keys(rows, 1, 17)
    edges = [0, *sorted(cuts or []), len(p)]
    spans = [slice(low, high) for low, high in itertools.pairwise(edges)]
    chooser = Chooser(budget)
    for span in reversed(spans) if backwards else spans:
        chooser.add(rows[span], p[span], keys[span])
    return chooser.choice()


def p_values(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.where(random.uniform(size=n) < 0.1, np.nan, random.uniform(size=n) ** 2)


@given(
    n=st.integers(0, 300),
    rows=st.integers(1, 400),
    share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    seed=st.integers(0, 5),
)
def test_choice_keeps_the_budget_and_not_the_order_in_which_rows_come(
    n: int, rows: int, share: float, cuts: list[int], seed: int
) -> None:
    p = np.round(p_values(n, seed), 2)
    budget = Budget(rows, share)
    whole = chosen(p, budget)
    parts = chosen(p, budget, cuts=[cut for cut in cuts if cut <= n], backwards=True)
    for name in ("row", "in_band", "chance"):
        assert getattr(whole, name).tolist() == getattr(parts, name).tolist(), name
    known = int(np.isfinite(p).sum())
    assert np.isfinite(p[whole.row]).all() and len(set(whole.row.tolist())) == len(whole.row)
    assert len(whole.row) == min(rows, known) if share < 1 else len(whole.row) <= rows
    assert (whole.chance > 0).all() and (whole.chance <= 1).all()
    assert (whole.chance[whole.in_band] == 1).all()


def test_band_holds_the_documents_nearest_to_the_decision() -> None:
    p = p_values(5000)
    choice = chosen(p, Budget(400, rate=0.01))
    band = choice.row[choice.in_band]
    distance = np.abs(np.log(p) - np.log(0.01))
    assert len(band) == 200
    others = np.setdiff1d(np.flatnonzero(np.isfinite(p)), band)
    assert distance[band].max() <= distance[others].min()
    assert choice.band == (p[band].min(), p[band].max())


def test_sample_is_spread_over_strata_and_its_chances_give_unbiased_totals() -> None:
    p = p_values(20_000)
    truth = np.flatnonzero(np.isfinite(p))
    choice = chosen(p, Budget(2000, band_share=0.2))
    strata = np.searchsorted(STRATA, p[choice.row[~choice.in_band]], side="left")
    assert np.bincount(strata, minlength=5).min() >= 300
    weights = 1 / choice.chance.astype(np.float64)
    assert weights.sum() == pytest.approx(len(truth), rel=1e-4)
    assert (weights * p[choice.row]).sum() == pytest.approx(p[truth].sum(), rel=0.05)


def test_a_budget_that_covers_everything_takes_everything_for_certain() -> None:
    p = p_values(300)
    choice = chosen(p, Budget(1000))
    assert choice.row.tolist() == np.flatnonzero(np.isfinite(p)).tolist()
    assert (choice.chance == 1).all()


def test_nothing_to_choose_from_is_no_error() -> None:
    choice = chosen(np.full(5, np.nan), Budget(10))
    assert len(choice.row) == 0 and np.isnan(choice.band).all()
    assert len(Chooser(Budget(3)).choice().row) == 0


def test_memory_is_bounded_by_the_budget() -> None:
    chooser = Chooser(Budget(10))
    for start in range(0, 50_000, 5000):
        rows = np.arange(start, start + 5000)
        chooser.add(rows, p_values(5000, start), random_keys(rows, 1, 17))
    held = sum(len(kept.row) for kept in (chooser._near, *chooser._strata))
    assert held <= 10 * (len(STRATA) + 2)


def test_keys_are_those_of_the_row_whatever_comes_with_it() -> None:
    rows = np.arange(1000)
    keys = random_keys(rows, 5, 17)
    assert keys[400:500].tolist() == random_keys(rows[400:500], 5, 17).tolist()
    assert len(set(keys.tolist())) == 1000
    assert keys.tolist() != random_keys(rows, 6, 17).tolist() != random_keys(rows, 5, 18).tolist()
    assert abs(float((keys / 2.0**64).mean()) - 0.5) < 0.03
