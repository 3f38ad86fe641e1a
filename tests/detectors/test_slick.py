"""Categories from tries: the paper's definitions, the exact probability of a hit, and the correction for chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.slick import Category, any_hit, categories, chance_corrected

SETS = 10


def test_categories_are_those_of_the_paper() -> None:
    greedy = np.zeros((5, SETS), np.bool_)
    greedy[0], greedy[1, 3] = True, True
    codes = categories(greedy, np.array([1.0, 0.9, 0.5, 0.49, 0.0]))
    assert [Category(code).label for code in codes] == [
        "HighlyKnown",
        "MaybeKnown",
        "WeaklyKnown",
        "Unknown",
        "Unknown",
    ]


@given(p=st.lists(st.floats(0, 1), min_size=SETS, max_size=SETS))
def test_a_hit_is_what_160_draws_miss_by(p: list[float]) -> None:
    assert any_hit(np.array([p]))[0] == pytest.approx(1 - np.prod([(1 - each) ** 16 for each in p]))


def test_sixty_plausible_objects_are_hit_by_luck() -> None:
    assert any_hit(np.full((1, SETS), 1 / 60))[0] == pytest.approx(0.932, abs=5e-4)


def test_tiny_probabilities_are_not_lost() -> None:
    assert any_hit(np.full((1, SETS), 1e-18))[0] == pytest.approx(1.6e-16)


def test_what_other_questions_make_as_probable_is_not_known() -> None:
    codes, lucky = np.array([0, 1, 2, 3], np.int8), np.array([False, True, True, False])
    assert chance_corrected(codes, lucky).tolist() == [0, 3, 3, 3]
