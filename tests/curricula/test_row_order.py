"""What a curriculum says of a row depends on the rows, not on the order or the pieces in which they reach it."""

from __future__ import annotations

import random

import polars as pl
import pytest

from curricula.forget_split import ForgetSplit
from curricula.generators import MixGenerators
from curricula.importance import Importance
from curricula.mixing import Accumulate, Replace
from curricula.protocols import Curriculum
from curricula.quality import QualityFirst
from curricula.stratified import KnownPatch, Stratified
from tests.curricula.decided import decided

ALL: list[Curriculum] = [
    Importance(),
    Stratified(),
    KnownPatch(inside="human-first"),
    MixGenerators(),
    MixGenerators(method="greedy", block=40),
    QualityFirst(metric="0 - ai_text.score"),
    Accumulate(real=("a", "b")),
    Replace(real=("a", "b"), share=0.25),
    ForgetSplit(sources=("c",)),
]


def frame() -> pl.DataFrame:
    rng = random.Random(7)
    rows = 200
    sources = [rng.choice("abc") for _ in range(rows)]
    scores = [{"score": rng.choice([None, rng.random()])} for _ in range(rows)]
    kinds = [{"category": rng.choice(["HighlyKnown", "Unknown", None])} for _ in range(rows)]
    grams = [{"sample": sorted({rng.randrange(300) for _ in range(5)}), "drawn": 5, "grams": 9} for _ in range(rows)]
    return decided(sources, dropped=range(0, rows, 11), ai_text=scores, knowledge=kinds, gram_sample=grams).collect()


@pytest.mark.parametrize("curriculum", ALL, ids=lambda curriculum: curriculum.name)
def test_pieces_and_order_of_the_rows_change_nothing(curriculum: Curriculum) -> None:
    whole = frame()
    pieces = pl.concat([whole.slice(start, 23).lazy() for start in range(0, whole.height, 23)])
    mixed = whole.sample(fraction=1, shuffle=True, seed=1).lazy()
    expected, *found = (curriculum.rank(seen).collect().sort("index") for seen in (whole.lazy(), pieces, mixed))
    assert all(one.equals(expected) for one in found)
    assert expected["index"].to_list() == list(range(whole.height))
