from __future__ import annotations

import polars as pl
import pytest

from audit.calibrate import calibrated
from tests.audit.judging import Tables, row, write_findings


def test_a_frame_without_the_detector_comes_back_as_it_is() -> None:
    frame = pl.DataFrame({"row": [1, 2]})
    assert calibrated(frame, Tables()) is frame


def test_p_human_and_score_are_null_where_the_margin_is(tmp_path: object) -> None:
    from pathlib import Path

    rows = [row(2.0), row(None), {"document": None}, row(0.0)]
    (part,) = write_findings(Path(str(tmp_path)), {"a": rows}).parts()
    found = calibrated(part, Tables())
    fields = found["ai_text"].struct
    assert fields.field("p_human").to_list() == [pytest.approx(0.01), None, None, 1.0]
    assert fields.field("score").to_list() == [pytest.approx(0.8808, abs=1e-4), None, None, 0.5]
    assert found["ai_text"].is_null().to_list() == [False, False, True, False]
    assert fields.field("p_human").dtype == pl.Float32 and fields.field("score").dtype == pl.Float32
    assert fields.field("abstained").to_list() == [False, True, None, False]
    assert found.drop("ai_text").equals(part.drop("ai_text"))


def test_the_bundled_tables_load_and_fit() -> None:
    from audit.calibrate import reference

    tables = reference()
    assert any(rate.kind == "human" for rate in tables.error_rates(0.01))
