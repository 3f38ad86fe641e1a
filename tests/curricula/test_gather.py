"""Gathered rows are those that Arrow would take, for every type, with nulls, slices and repetitions."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.calibrate import calibrated
from audit.rules import applicable, decide, dropping
from curricula import gather
from curricula.decisions import Spool, decided_parts
from curricula.gather import gathered
from tests.corpora import write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration
from tests.curricula.test_emit import awkward

LEFT_OUT = ("view", "views", "odd")  # Arrow cannot gather views, and NaN is not equal to itself
ROWS = 60
BATCH = awkward(ROWS).combine_chunks().drop_columns(list(LEFT_OUT)).to_batches()[0]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, ROWS - 1), max_size=90), st.lists(st.integers(0, ROWS), max_size=4))
def test_gathered_rows_are_the_rows_asked_for(order: list[int], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), ROWS]
    pieces = [BATCH.slice(begin, end - begin) for begin, end in itertools.pairwise(edges)]
    found = gathered(pieces, np.array(order, np.int64))
    found.validate(full=True)
    assert found.equals(pa.Table.from_batches([BATCH]).take(pa.array(order, pa.int64())))


def test_text_too_long_for_its_offsets_is_gathered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "_MOST", 100)
    order = np.arange(ROWS)[::-1].copy()
    assert gathered([BATCH], order).equals(pa.Table.from_batches([BATCH]).take(pa.array(order)))


def test_fields_read_for_a_plan_decide_as_all_of_them_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)
    path = write_parquet(tmp_path / "a.parquet", pa.table({"text": ["x"] * 400}))
    findings = make_findings(tmp_path / "audit", [path], faults_of={"a.parquet": [5]})
    whole = calibrated(next(findings.parts()))
    rules = [rule for rule in dropping(RULES, ["FX101"]) if applicable(rule, whole.schema)]
    expected = decide(whole, rules)
    with closing(Spool()) as spool:
        spool.fill(decided_parts(findings, rules), ["ai_text"])
        (found,) = spool.frames()
        (again,) = spool.frames(["rules", "_score"])
    same = ["shard", "row", "source", "rules", "action", "dropped_by"]
    assert found.select(same).equals(expected.select(same))
    assert found["_score"].equals(expected["ai_text"].struct.field("score"), null_equal=True)
    assert again.equals(found.select("rules", "_score"))
