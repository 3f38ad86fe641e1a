"""The bench of formats: budgets are equal, differences have intervals, and made sets rank by their templates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.format_measures import Share
from audit.prevalence import Interval
from tests.bench.formats import Rows, above, compared, made


def rows(kinds: int, words: int, n: int = 1000) -> Rows:
    random = np.random.default_rng(kinds)
    return Rows(random.integers(0, kinds, n).astype(np.uint64), np.full(n, words))


def test_sets_are_compared_at_equal_rows_and_at_equal_words() -> None:
    found = compared({"dolly_15k": rows(5000, 60), "x": rows(50, 120, 800), "tiny": rows(2, 60, 10)}, 50)
    assert (found["equal rows"], found["equal words"]) == (800, 60_000)
    at_rows, at_words = found["at equal rows"], found["at equal words"]
    assert isinstance(at_rows, dict) and isinstance(at_words, dict)
    assert {name: one["rows"] for name, one in at_rows.items()} == {"x": 800, "dolly_15k": 800}
    assert {name: one["rows"] for name, one in at_words.items()} == {"x": 500, "dolly_15k": 1000}
    assert list(at_rows) == ["x", "dolly_15k"] and at_rows["x"]["above dolly"][1] > 0


def test_difference_has_the_interval_of_squares_and_sums() -> None:
    one, other = Share(0.5, Interval(0.4, 0.7), 100), Share(0.2, Interval(0.1, 0.5), 100)
    assert above(one, other) == pytest.approx([0.3, 0.3 - np.hypot(0.1, 0.3), 0.3 + np.hypot(0.2, 0.1)])


def test_uniformity_falls_from_one_template_to_none(tmp_path: Path) -> None:
    found = made(tmp_path / "made")
    values = [one["uniformity"] for one in found.values() if isinstance(one, dict)]
    assert next(iter(found)) == "1 templates" and list(found)[-1] == "no templates"
    assert values == sorted(values, reverse=True)
    assert values[0] == 1 and values[-1] == pytest.approx(0, abs=1e-9)
