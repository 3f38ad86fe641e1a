"""How varied what was written is: at equal words, whatever the number and length of the texts."""

from __future__ import annotations

import math
import random

import pytest

from curricula.lexical_variety import INDICES, PIECE, lexical_variety

MANY = [f"word{at}" for at in range(3000)]


def written(words: list[str], count: int, each: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=each)) for _ in range(count)]


def test_fewer_words_to_draw_from_are_less_varied_by_every_index() -> None:
    rich, poor = (lexical_variety(written(words, 60, 20)) for words in (MANY, MANY[:30]))
    assert set(rich) == set(INDICES)
    assert all(rich[name] > poor[name] for name in INDICES)


def test_more_of_the_same_text_is_as_varied_as_less_of_it() -> None:
    few, many = (lexical_variety(written(MANY[:200], count, 20)) for count in (50, 500))
    for name in INDICES:
        assert many[name] == pytest.approx(few[name], rel=0.1)


def test_where_answers_end_makes_no_difference() -> None:
    words = " ".join(written(MANY[:300], 1, 3 * PIECE)).split()
    one = lexical_variety([" ".join(words)])
    assert lexical_variety([" ".join(words[at : at + 7]) for at in range(0, len(words), 7)]) == pytest.approx(one)


def test_distinct_shares_of_a_piece_are_those_of_plain_python() -> None:
    words = " ".join(written(MANY[:50], 1, PIECE)).split()
    found = lexical_variety([" ".join(words)])
    for n in (1, 2, 3):
        grams = list(zip(*(words[at:] for at in range(n)), strict=False))
        assert found[f"distinct_{n}"] == pytest.approx(len(set(grams)) / len(grams), rel=1e-6)


def test_what_fills_no_piece_has_no_index() -> None:
    assert all(math.isnan(value) for value in lexical_variety(["a few words"]).values())
    assert all(math.isnan(value) for value in lexical_variety([]).values())
    assert not math.isnan(lexical_variety([*written(MANY, 1, PIECE - 1), "last"])["mtld"])
