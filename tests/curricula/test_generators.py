"""Mixing generators: in turn, and by what is new."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.block_order import Blocks, gained, greedy_order
from curricula.composing import resolve
from curricula.generators import MixGenerators
from curricula.protocols import Curriculum
from detectors.errors import ConfigError
from tests.curricula.decided import decided, in_order

ROWS = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 20), max_size=6)), min_size=1, max_size=30)


def blocks_of(rows: list[tuple[int, list[int]]], least: int) -> Blocks:
    rows = sorted(rows, key=lambda row: row[0])
    source = np.array([row[0] for row in rows], np.int32)
    grams = np.array([len(row[1]) + 1 for row in rows], np.int64)
    drawn = np.array([len(row[1]) for row in rows], np.int64)
    return Blocks.of(
        source, np.arange(len(rows)), (grams, drawn), pa.array([row[1] for row in rows], pa.list_(pa.uint32())), least
    )


def sets_of(blocks: Blocks) -> list[set[int]]:
    return [
        {gram for row in range(a, b) for gram in blocks.ids[blocks.offsets[row] : blocks.offsets[row + 1]].tolist()}
        for a, b in zip(blocks.rows, blocks.rows[1:], strict=False)
    ]


@given(ROWS, st.integers(1, 12))
def test_it_takes_what_plain_python_finds_to_be_newest(rows: list[tuple[int, list[int]]], least: int) -> None:
    blocks = blocks_of(rows, least)
    sets, seen, taken = sets_of(blocks), set[int](), list[int]()
    left = {source: [at for at in range(len(sets)) if blocks.source[at] == source] for source in set(blocks.source)}
    while any(left.values()):
        heads = [
            (-len(sets[own[0]] - seen) / max(1, blocks.drawn[own[0]]), source) for source, own in left.items() if own
        ]
        taken.append(left[min(heads)[1]].pop(0))
        seen |= sets[taken[-1]]
    assert greedy_order(blocks).tolist() == taken
    assert gained(blocks, np.array(taken), 1.0) == len(seen)


@given(ROWS, st.integers(1, 12))
def test_blocks_hold_every_row_once_and_no_two_sources(rows: list[tuple[int, list[int]]], least: int) -> None:
    blocks = blocks_of(rows, least)
    sources = sorted(row[0] for row in rows)
    assert blocks.rows[0] == 0 and blocks.rows[-1] == len(rows) and (np.diff(blocks.rows) > 0).all()
    for at, (begin, end) in enumerate(zip(blocks.rows, blocks.rows[1:], strict=False)):
        assert set(sources[begin:end]) == {blocks.source[at]}
    assert blocks.grams.sum() == sum(len(row[1]) + 1 for row in rows)


def corpus(seed: int = 3) -> tuple[list[str], pl.LazyFrame]:
    """A source of ever new n-grams, one that repeats a few, and one that repeats the first one's."""
    rng = random.Random(seed)
    sources = ["varied"] * 60 + ["narrow"] * 60 + ["parrot"] * 60
    rng.shuffle(sources)
    reach = {"varied": (0, 1 << 30), "narrow": (1 << 31, (1 << 31) + 40), "parrot": (0, 60)}
    samples = [sorted({rng.randrange(*reach[source]) for _ in range(20)}) for source in sources]
    found = [{"sample": sample, "drawn": 20, "grams": 320} for sample in samples]
    return sources, decided(sources, gram_sample=found)


def test_greedy_puts_the_varied_source_first_and_gains_over_taking_turns() -> None:
    sources, frame = corpus()
    curriculum = MixGenerators(method="greedy", block=640)
    found = in_order(curriculum.rank(frame))
    assert sorted(found) == list(range(180))
    assert sum(sources[row] == "varied" for row in found[:60]) >= 54
    told = curriculum.report(frame)
    assert told["distinct_at_25"] > 1.5 and told["distinct_at_50"] > 1.2


def test_samples_beyond_a_bound_are_thinned_and_the_order_stays_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, frame = corpus()
    kept: list[int] = []
    cut = Blocks.of

    def of(source: object, order: object, counts: object, samples: pa.Array, least: int) -> Blocks:
        kept.append(len(samples.flatten()))
        return cut(source, order, counts, samples, least)  # type: ignore[arg-type]

    monkeypatch.setattr(Blocks, "of", of)
    curriculum = MixGenerators(method="greedy", block=80)
    whole = in_order(curriculum.rank(frame))
    monkeypatch.setattr("curricula.generators._MOST_GRAMS", kept[0] // 3)
    thin = in_order(curriculum.rank(frame))
    assert kept[1] < kept[0] / 3 and sorted(thin) == sorted(whole) == list(range(180))
    for found in (whole, thin):
        assert sum(sources[row] == "varied" for row in found[:60]) >= 48
    assert curriculum.report(frame)["distinct_at_25"] > 1.3


def test_round_robin_takes_each_source_in_proportion() -> None:
    sources = ["a"] * 90 + ["b"] * 30
    found = in_order(MixGenerators().rank(decided(sources, dropped=range(10))))
    assert sorted(found) == list(range(10, 120))
    for stop in range(10, 111, 10):
        assert abs(sum(sources[row] == "b" for row in found[:stop]) - stop * 30 / 110) <= 1
    assert MixGenerators().report(decided(sources)) == {} and MixGenerators().needs == ()


def test_rows_without_a_sample_or_that_are_dropped_get_no_rank() -> None:
    found = [
        {"sample": [1, 2], "drawn": 2, "grams": 9},
        None,
        {"sample": None, "drawn": None, "grams": None},
        {"sample": [3], "drawn": 1, "grams": 5},
    ]
    frame = decided(["a"] * 4, dropped=(3,), gram_sample=found)
    assert in_order(MixGenerators(method="greedy").rank(frame)) == [0]
    empty = decided(["a"] * 2, gram_sample=[{"sample": [7], "drawn": 1, "grams": 9}] * 2, dropped=(0, 1))
    assert (
        in_order(MixGenerators(method="greedy").rank(empty)) == [] == list(MixGenerators(method="greedy").report(empty))
    )


@pytest.mark.parametrize("method", ["round-robin", "greedy"])
def test_a_seed_gives_another_order(method: str) -> None:
    _, frame = corpus()
    first, again, other = (in_order(MixGenerators(method=method, seed=seed).rank(frame)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("settings", [{"method": "random"}, {"block": 0}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        MixGenerators(**settings)  # type: ignore[arg-type]


def test_it_keeps_the_contract_and_is_registered() -> None:
    (found,) = resolve(["mix-generators"], 3)
    assert found == MixGenerators(seed=3) and isinstance(found, Curriculum) and found.orders
    assert MixGenerators(method="greedy").needs == ("gram_sample",)
