from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.reference_file import EVERYTHING, Model, OwnReference, group_table, read_reference
from detectors.binomial import allowed_above, upper_bound
from detectors.errors import ConfigError

MODEL = Model(3, "custom:x", "", "")


def reference(**groups: Any) -> OwnReference:
    return OwnReference(MODEL, "domain", {name: group_table(np.asarray(v)) for name, v in groups.items()}, "c0rpus")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    made = reference(news=np.arange(400.0), blog=np.arange(50.0))
    made.write(path)
    again = read_reference(path)
    assert (again.model, again.by, dict(again.groups), again.corpus) == (MODEL, "domain", dict(made.groups), "c0rpus")
    assert len(again.digest) == 32
    assert path.stat().st_size < 20_000


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=80), st.lists(st.integers(-10, 10), max_size=20))
def test_p_is_the_bound_of_what_lies_at_or_above(margins: list[int], asked: list[int]) -> None:
    found = reference(a=margins).p_human(np.array(asked, np.float64), np.full(len(asked), "a"))
    above = np.array([sum(margin >= value for margin in margins) for value in asked])
    exact = np.where(above < len(margins), upper_bound(above, len(margins)), 1.0)
    assert found[above < 40] == pytest.approx(exact[above < 40])
    # The coarse end of the table may only make a text look less surprising.
    assert (found >= exact - 1e-9).all()


def test_a_rate_is_reached_from_299_documents_on_as_the_order_statistic_says() -> None:
    for n in (298, 299, 1000):
        margins = np.arange(float(n))
        p = reference(a=margins).p_human(margins + 0.5, np.full(n, "a"))
        allowed = allowed_above(n, 0.01)
        assert (p <= 0.01).sum() == (0 if allowed is None else allowed + 1)


def test_no_margin_and_no_group_have_no_p() -> None:
    found = reference(a=[1.0, 2.0]).p_human(np.array([np.nan, 3.0, 3.0]), np.array(["a", "b", "a"]))
    assert np.isnan(found).tolist() == [True, True, False]


def test_the_group_of_everything_takes_every_row() -> None:
    whole = OwnReference(MODEL, None, {EVERYTHING: group_table(np.arange(10.0))}, "c0")
    assert not np.isnan(whole.p_human(np.array([1.0, 2.0]), np.array(["", "x"]))).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "is no reference file"),
        ({"version": 9}, "version 9, this foxing reads 1"),
        ({"groups": {"a": {"n": 50, "above": [1.0], "p_human": [0.001]}}}, "out of reach of 50 documents"),
        ({"groups": {"a": {"n": 50, "above": [2.0, 1.0], "p_human": [0.9, 0.8]}}}, "must ascend"),
        ({"groups": {"a": {"n": 50, "above": [1.0, 2.0], "p_human": [0.9]}}}, "not of one length"),
        ({"groups": {"a": {}}}, "is damaged"),
        ({"groups": {}}, "it has no group"),
        ({"groups": {"a": {"n": 50, "above": [float("nan")], "p_human": [0.5]}}}, "must be finite"),
        ({"groups": {"a": {"n": 50, "above": [1.0], "p_human": [float("nan")]}}}, "must be finite"),
        ({"groups": {"a": {"n": 50, "above": [1.0, float("inf")], "p_human": [0.5, 0.4]}}}, "must be finite"),
        ({"model": {"tier": "x"}}, "is damaged"),
    ],
)
def test_a_file_that_promises_too_much_or_is_damaged_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "a.json"
    reference(a=np.arange(50.0)).write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match=said) as raised:
        read_reference(path)
    assert str(path) in str(raised.value)


def test_what_is_no_file_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_reference(tmp_path / "none.json")
    (tmp_path / "a.json").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is no reference file"):
        read_reference(tmp_path / "a.json")
