"""Importance resampling: the draw, its weights and what it says of itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.composing import resolve
from curricula.importance import Importance, systematic
from curricula.protocols import Curriculum, Resampling
from detectors.errors import ConfigError
from tests.curricula.decided import decided

EXPECTED = st.lists(st.floats(0, 5), min_size=1, max_size=50).filter(lambda values: sum(values) > 0.6)


def scored(scores: list[float | None], dropped: tuple[int, ...] = (), exempt: tuple[int, ...] = ()) -> pl.LazyFrame:
    return decided(["s"] * len(scores), dropped=dropped, exempt=exempt, ai_text=[{"score": score} for score in scores])


def copies(curriculum: Importance, frame: pl.LazyFrame) -> list[int]:
    return curriculum.rank(frame).collect().sort("index")["copies"].to_list()


@given(EXPECTED, st.integers(0, 2**31))
def test_each_count_is_within_one_of_what_is_expected_and_the_sum_is_fixed(expected: list[float], seed: int) -> None:
    values = np.array(expected)
    drawn = systematic(values, seed)
    total = round(values.sum())
    assert drawn.sum() == total
    assert (np.abs(drawn - values * total / values.sum()) < 1 + 1e-6).all()


def test_counts_average_over_seeds_to_what_is_expected() -> None:
    expected = np.array([0.1, 1.7, 0.0, 0.25, 0.95, 2.0])
    mean = np.mean([systematic(expected, seed) for seed in range(4000)], axis=0)
    assert np.abs(mean - expected).max() < 4 * 0.5 / np.sqrt(4000)
    assert mean[2] == 0 and mean[5] == 2


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_copies_follow_the_weights(strength: float) -> None:
    scores = [0.0] * 400 + [0.5] * 400 + [0.9] * 400
    found = np.array(copies(Importance(strength=strength), scored(list(scores)))).reshape(3, 400).mean(axis=1)
    weights = np.array([1.0, 0.5, 0.1]) ** strength
    assert np.allclose(found, weights * 3 / weights.sum(), atol=1 / 200)


def test_size_sets_how_many_rows_come_out() -> None:
    frame = scored([0.2, 0.4, 0.6, 0.8] * 100)
    assert [sum(copies(Importance(size=size), frame)) for size in (0.25, 1.0, 2.5)] == [100, 400, 1000]


def test_rows_without_a_probability_are_neither_lost_nor_repeated() -> None:
    found = copies(Importance(strength=50), scored([0.9, None, 0.0, None, float("nan"), 0.99]))
    assert [found[at] for at in (1, 3, 4)] == [1, 1, 1]
    assert found[0] == found[5] == 0 and found[2] == 3


def test_dropped_rows_take_no_part() -> None:
    assert copies(Importance(), scored([0.0, 0.0, 0.0, 1.0], dropped=(0, 1)))[2:] == [2, 0]


def test_rows_on_the_allow_list_get_one_copy_and_take_no_part() -> None:
    frame = scored([0.99] * 50 + [0.0, 0.5] * 50, exempt=tuple(range(50)))
    curriculum = Importance(strength=2)
    found = copies(curriculum, frame)
    assert found[:50] == [1] * 50
    assert sum(found[50:]) == 100, "as many rows out as take part"
    report = curriculum.report(frame)
    assert report["rows"] == 100 and report["left_out"] == found[50:].count(0)
    without = copies(curriculum, frame.drop("exempt"))
    assert without[:50] != [1] * 50, "rows that nobody marked take part"
    by_length = decided(["s"] * 4, exempt=(0,), document=[{"words": words} for words in (1, 0, 0, 1)])
    assert copies(Importance(probability="document.words"), by_length) == [0, 2, 2, 0], "it does not read ai_text"


def test_a_seed_below_0_draws_too() -> None:
    assert systematic(np.full(20, 0.5), -5).sum() == 10


def test_same_seed_same_draw_and_other_seed_another() -> None:
    frame = scored(np.linspace(0, 1, 300).tolist())
    assert copies(Importance(seed=1), frame) == copies(Importance(seed=1), frame)
    assert copies(Importance(seed=1), frame) != copies(Importance(seed=2), frame)


def test_report_gives_the_effective_sample_size_and_what_it_cost() -> None:
    told = Importance().report(scored([0.0, 0.5, 0.5, 1.0, None]))
    assert told["rows"] == 4 and told["effective_sample_size"] == pytest.approx(4 / 1.5)
    assert told["probability_before"] == 0.5 and told["probability_after"] < 0.5 and told["left_out"] >= 1


def test_any_expression_may_give_the_probability() -> None:
    frame = decided(["s"] * 2, given=[{"value": 10.0}, {"value": 0.0}])
    curriculum = Importance(probability="given.value / 10")
    assert curriculum.needs == ("given",) and copies(curriculum, frame) == [0, 2]


@pytest.mark.parametrize(
    ("curriculum", "match"),
    [
        (Importance(), "no row has a weight"),
        (Importance(probability="ai_text.scoer"), "score"),
        (Importance(probability="source"), "not a number"),
    ],
)
def test_what_gives_no_weights_is_refused(curriculum: Importance, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        curriculum.rank(scored([1.0, 1.0]))


@pytest.mark.parametrize("settings", [{"strength": -1.0}, {"size": 0.0}])
def test_settings_outside_their_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Importance(**settings)  # type: ignore[arg-type]


def test_it_keeps_the_contract_and_is_registered() -> None:
    (found,) = resolve(["importance"], 5)
    assert found == Importance(seed=5)
    assert isinstance(found, Curriculum) and isinstance(found, Resampling) and not found.orders
