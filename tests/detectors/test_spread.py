from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ai_text.spread import BIN_ODDS, BINS, HUMAN, Profiles, fit_profiles, score_bins


@given(st.lists(st.floats(0, 1), min_size=2))
def test_higher_scores_never_fall_into_lower_bins(scores: list[float]) -> None:
    bins = score_bins(sorted(scores))
    assert (np.diff(bins) >= 0).all() and bins.min() >= 0 and bins.max() < BINS


def test_each_bin_holds_its_own_middle() -> None:
    assert score_bins(1 / (1 + np.exp(-BIN_ODDS))).tolist() == list(range(BINS))
    assert score_bins([0.0, 0.5, 1.0]).tolist() == [0, 9, BINS - 1]


def labelled() -> Profiles:
    source = ["web"] * 60 + ["chat"] * 70 + ["tiny"] * 24
    label = [0] * 60 + [1] * 70 + [0] * 24
    generator = [HUMAN] * 60 + ["a"] * 30 + ["b"] * 25 + ["c"] * 10 + ["d"] * 5 + [HUMAN] * 24
    return fit_profiles(np.full(154, 0.5), label, source, generator)


def test_small_generators_share_a_row_and_small_sources_have_none() -> None:
    found = labelled()
    rows = list(zip(found.sources, found.generators, found.counts.sum(axis=1).tolist(), strict=True))
    assert rows == [("chat", "a", 30), ("chat", "b", 25), ("chat", "(others)", 15), ("web", HUMAN, 60)]
    assert (found.counts[:, 9] == found.counts.sum(axis=1)).all()


def test_documents_without_a_score_are_left_out() -> None:
    found = fit_profiles([0.5] * 30 + [float("nan")] * 30, [0] * 60, ["web"] * 60, [HUMAN] * 60)
    assert found.counts.sum() == 30


def test_the_generator_of_human_text_does_not_matter() -> None:
    found = fit_profiles([0.5] * 60, [0] * 60, ["web"] * 60, ["x", "y"] * 30)
    assert found.generators == (HUMAN,)


def test_profiles_come_back_from_arrays_as_they_were() -> None:
    found = labelled()
    again = Profiles.from_arrays(found.arrays())
    assert (again.sources, again.generators) == (found.sources, found.generators)
    assert (again.counts == found.counts).all()


@pytest.mark.parametrize("found", [Profiles(), Profiles.from_arrays({}), fit_profiles([], [], [], [])])
def test_no_labelled_source_is_no_row(found: Profiles) -> None:
    assert found.sources == () and found.counts.shape == (0, BINS)
