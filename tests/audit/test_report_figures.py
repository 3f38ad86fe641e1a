"""Axes hold their values and mark round places."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from audit.report.figures import amount, axis_of, share_axis


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_holds_its_values_and_has_some_ticks_at_equal_distances(low: float, span: float) -> None:
    axis = axis_of("x", low, low + span)
    slack = 1e-6 * (abs(low) + span)
    assert axis.low <= low + slack and axis.high >= low + span - slack
    places = [place for place, _ in axis.ticks]
    assert 3 <= len(places) <= 10 and places == sorted(places)
    gaps = [second - first for first, second in itertools.pairwise(places)]
    assert max(gaps) - min(gaps) <= 1e-6 * max(1.0, abs(low) + span)


@given(st.floats(0, 1))
def test_an_axis_of_shares_begins_at_0_and_names_each_place_once(most: float) -> None:
    axis = share_axis("share", most)
    texts = [text for _, text in axis.ticks]
    assert axis.low == 0 and axis.high >= min(1.0, most) - 1e-9
    assert len(set(texts)) == len(texts) and all(text.endswith(" %") for text in texts)


def test_amounts_are_short() -> None:
    assert [amount(value) for value in (7, 1200, 2_500_000, 3e12)] == ["7", "1.2 k", "2.5 M", "3 T"]
