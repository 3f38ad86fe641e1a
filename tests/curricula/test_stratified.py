"""A fixed mix of sources, and known facts late."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.composing import resolve
from curricula.interleaving import interleaved
from curricula.protocols import Curriculum
from curricula.stratified import KnownPatch, Stratified
from detectors.errors import ConfigError
from tests.curricula.decided import decided, in_order

KINDS = ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown", None)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.data())
def test_any_stretch_from_the_start_holds_each_group_in_its_share(groups: list[int], data: st.DataObject) -> None:
    group = np.array(groups, np.int32)
    key = np.array(data.draw(st.permutations(range(len(groups)))))
    rank = interleaved(group, np.ones(len(group), np.bool_), key)
    for kind in set(groups):
        ranks = rank[group == kind]
        assert (np.argsort(ranks, kind="stable") == np.argsort(key[group == kind], kind="stable")).all()
        for threshold in rank:
            expected = (threshold / (1 << 52)) * len(ranks)
            assert abs((ranks < threshold).sum() - expected) <= 0.5 + 1e-6


def test_sources_keep_their_share_and_their_inner_order() -> None:
    rng = random.Random(4)
    sources = ["human"] * 300 + ["model"] * 100
    scores = [rng.uniform(0, 0.5) for _ in range(300)] + [rng.uniform(0.5, 1) for _ in range(100)]
    frame = decided(sources, ai_text=[{"score": score} for score in scores])
    found = in_order(Stratified().rank(frame))
    assert sorted(found) == list(range(400))
    for stop in range(20, 401, 20):
        assert abs(sum(sources[row] == "model" for row in found[:stop]) - stop / 4) <= 1
    for name in ("human", "model"):
        own = [scores[row] for row in found if sources[row] == name]
        assert own == sorted(own)


def test_rows_that_are_dropped_or_unscored_do_not_bend_the_mix() -> None:
    sources = ["a"] * 40 + ["b"] * 40
    scores = [{"score": None if row % 4 == 0 else row / 80} for row in range(80)]
    frame = decided(sources, dropped=range(20), ai_text=scores)
    found = in_order(Stratified().rank(frame))
    assert sorted(found) == list(range(20, 80))
    assert sum(row < 40 for row in found[:30]) == 10
    own = [row for row in found if row >= 40]
    assert own[-10:] == list(range(40, 80, 4))


def test_the_order_inside_is_named() -> None:
    frame = decided(["a", "b"] * 10)
    assert Stratified(inside="original").needs == ()
    assert in_order(Stratified(inside="original").rank(frame)) == list(range(20))
    assert Stratified().needs == ("ai_text",)


@pytest.mark.parametrize("name", ["dedup", "importance", "correct-false"])
def test_what_sets_no_order_cannot_be_inside(name: str) -> None:
    with pytest.raises(ConfigError, match="does not just set an order"):
        _ = Stratified(inside=name).needs


def known(kinds: list[str | None], **settings: object) -> tuple[list[int], KnownPatch]:
    frame = decided(["s"] * len(kinds), knowledge=[{"category": kind} for kind in kinds])
    curriculum = KnownPatch(**settings)  # type: ignore[arg-type]
    return in_order(curriculum.rank(frame)), curriculum


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=60), st.floats(0, 1), st.integers(0, 9))
def test_the_end_is_known_facts_and_nothing_is_lost(kinds: list[str | None], late: float, seed: int) -> None:
    found, curriculum = known(kinds, late=late, seed=seed)
    assert sorted(found) == list(range(len(kinds)))
    there = sum(kind in ("HighlyKnown", "MaybeKnown") for kind in kinds)
    size = min(there, round(late * len(kinds)))
    assert all(kinds[row] in ("HighlyKnown", "MaybeKnown") for row in found[len(kinds) - size :])
    frame = decided(["s"] * len(kinds), knowledge=[{"category": kind} for kind in kinds])
    assert curriculum.report(frame) == {"rows": float(len(kinds)), "known": float(there), "patch": float(size)}


def test_what_comes_before_the_patch_is_in_the_order_inside() -> None:
    kinds = [KINDS[row % 4] for row in range(40)]
    found, _ = known(kinds, inside="original", late=0.25)
    assert found[:30] == sorted(found[:30]) and found[30:] != sorted(found[30:])


def test_seeds_draw_another_patch() -> None:
    kinds: list[str | None] = ["HighlyKnown"] * 100
    assert known(kinds, seed=1)[0] == known(kinds, seed=1)[0] != known(kinds, seed=2)[0]


@pytest.mark.parametrize("settings", [{"late": 1.5}, {"categories": ()}, {"categories": ("Known",)}])
def test_settings_of_the_patch_outside_their_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        KnownPatch(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Stratified, KnownPatch])
def test_they_keep_the_contract_and_are_registered(kind: type[Stratified] | type[KnownPatch]) -> None:
    (found,) = resolve([kind.name], 3)
    assert found == kind(seed=3) and isinstance(found, Curriculum) and found.orders
