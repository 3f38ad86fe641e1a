from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from audit.calibrate import (
    OwnCalibration,
    calibrated,
    current_model,
    reference,
    tables_for,
    uncalibrated,
    window_p_human,
)
from audit.reference_file import EVERYTHING, Model, OwnReference, group_table
from detectors.ai_text import AiText
from detectors.errors import ConfigError
from tests.audit.judging import Tables, row, write_findings

NORMAL = np.random.default_rng(4).normal(0.0, 1.0, 3000)


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """A part of findings: keys are fields of ai_text, besides `source` and `domain`."""
    usual = {"margin": 0.0, "tier": "fast", "language": "en", "length": 900}
    fields = [{**usual, **{k: v for k, v in one.items() if k not in ("source", "domain")}} for one in rows]
    kinds: dict[str, pl.DataType | type[pl.DataType]]
    kinds = {"margin": pl.Float32, "tier": pl.String, "language": pl.String, "length": pl.Int32}
    kinds |= {name: pl.List(pl.Float32) for name in ("style", "windows") if any(name in one for one in rows)}
    filled = [{name: one.get(name) for name in kinds} for one in fields]
    found = pl.DataFrame({"ai_text": pl.Series(filled, dtype=pl.Struct(kinds))})
    groups = {
        name: [one.get(name) for one in rows] for name in ("source", "domain") if any(name in one for one in rows)
    }
    return found.with_columns(**{name: pl.Series(values, dtype=pl.String) for name, values in groups.items()})


def p_of(found: pl.DataFrame) -> list[float | None]:
    values: list[float | None] = found["ai_text"].struct.field("p_human").to_list()
    return values


def own(groups: dict[str, np.ndarray], tier: str = "fast", by: str | None = "domain") -> OwnCalibration:
    tables = {name: group_table(values) for name, values in groups.items()}
    return OwnCalibration(reference(), OwnReference(current_model(tier, AiText.version), by, tables, "c0", "d0" * 16))


def test_a_frame_without_the_detector_comes_back_as_it_is() -> None:
    found = pl.DataFrame({"row": [1, 2]})
    assert calibrated(found, Tables()) is found


def test_p_human_and_score_are_null_where_the_margin_is(tmp_path: Path) -> None:
    rows = [row(2.0), row(None), {"document": None}, row(0.0)]
    (part,) = write_findings(tmp_path, {"a": rows}).parts()
    found = calibrated(part, Tables())
    fields = found["ai_text"].struct
    assert fields.field("p_human").to_list() == [pytest.approx(0.01), None, None, 1.0]
    assert fields.field("score").to_list() == [pytest.approx(0.8808, abs=1e-4), None, None, 0.5]
    assert found["ai_text"].is_null().to_list() == [False, False, True, False]
    assert fields.field("p_human").dtype == pl.Float32 and fields.field("score").dtype == pl.Float32
    assert fields.field("abstained").to_list() == [False, True, None, False]
    assert found.drop("ai_text").equals(part.drop("ai_text"))


def test_the_bundled_tables_load_and_fit() -> None:
    assert any(rate.kind == "human" for rate in reference().error_rates(0.01))


def test_style_of_findings_adjusts_the_margin() -> None:
    style = [3.5, 0.2, 0.05, 0.0, 0.02]
    part = frame({"margin": 0.0, "style": style}, {"margin": 0.0, "style": None})
    found = calibrated(part)["ai_text"].struct.field("p_human").to_numpy()
    tables = reference()
    expected = [*tables.p_human([0.0], ["en"], [900], [style]), *tables.p_human([0.0], ["en"], [900])]
    assert found.tolist() == [float(p) for p in expected]
    assert found[0] != found[1]


def test_margins_of_another_model_have_no_p_human_and_it_is_said_why() -> None:
    found = calibrated(frame({"margin": 9.0, "tier": "encoder:1a2b"}, {"margin": 9.0}))
    assert [p is None for p in p_of(found)] == [True, False]
    assert found["ai_text"].struct.field("score").is_null().to_list() == [True, False]
    assert uncalibrated(["fast"]) is None
    assert "encoder:1a2b" in str(uncalibrated(["fast", "encoder:1a2b"]))
    assert uncalibrated(["encoder:1a2b"], own({"news": NORMAL}, "encoder:1a2b")) is None


def test_rows_of_a_group_take_its_p_value_and_others_the_bundled_one() -> None:
    rows = [{"margin": 3.0, "domain": domain} for domain in ("news", "blog", None)]
    found, bundled = calibrated(frame(*rows), own({"news": NORMAL + 2})), calibrated(frame(*rows))
    above = int((3.0 - reference().adjustment.offsets[reference().languages.index("en")] <= NORMAL + 2).sum())
    ours, *others = p_of(found)
    assert ours is not None and above / len(NORMAL) < ours < 1.2 * above / len(NORMAL) + 0.003
    assert others == p_of(bundled)[1:]
    assert found["ai_text"].struct.field("score").equals(bundled["ai_text"].struct.field("score"))


def test_a_domain_comes_before_a_source_of_the_same_reference() -> None:
    tables = own({"strict": NORMAL - 9, "lax": NORMAL + 9})
    rows = [{"margin": 0.0, "domain": "strict", "source": "lax"}, {"margin": 0.0, "domain": "x", "source": "lax"}]
    first, second = p_of(calibrated(frame(*rows), tables))
    assert first is not None and second is not None
    assert first < 0.01 and second == 1


def test_a_reference_without_groups_stands_for_every_row_and_gives_other_models_one() -> None:
    tables = own({EVERYTHING: NORMAL}, "custom:x", by=None)
    found = p_of(calibrated(frame({"margin": 9.0, "tier": "custom:x", "source": "a"}, {"margin": 0.0}), tables))
    assert found[0] == pytest.approx(1 - 0.05 ** (1 / 3000), rel=1e-4)
    assert found[1] == p_of(calibrated(frame({"margin": 0.0})))[0]


def test_flagged_text_of_a_group_keeps_to_the_rate_on_fresh_text() -> None:
    tables = own({"news": NORMAL}, "custom:x")
    fresh = np.random.default_rng(8).normal(0.0, 1.0, 20_000)
    part = frame(*({"margin": float(m), "tier": "custom:x", "domain": "news"} for m in fresh))
    p = np.array(p_of(calibrated(part, tables)), np.float64)
    for rate in (0.05, 0.01, 0.002):
        assert 0 < (p <= rate).mean() <= rate
    assert (p <= 0.0009).sum() == 0


def test_the_digest_is_of_both_tables() -> None:
    one, two = own({"news": NORMAL}), own({"news": NORMAL})
    assert one.digest == two.digest != reference().digest
    changed = dataclasses.replace(two, own=dataclasses.replace(two.own, digest="d1" * 16))
    assert changed.digest != one.digest and len(one.digest) == 32


def test_error_rates_are_those_of_ones_own_text_and_of_machine_text_above_its_threshold() -> None:
    low, high = (own({EVERYTHING: NORMAL + shift}).error_rates(0.01) for shift in (-8.0, 4.0))
    assert [rate.n for rate in low if rate.kind == "human"] == [len(NORMAL)]
    found = [sum(rate.hits for rate in rates if rate.kind == "ai") for rates in (low, high)]
    assert found[0] > found[1]


@pytest.mark.parametrize(("groups", "tier"), [({"news": NORMAL}, "fast"), ({EVERYTHING: NORMAL}, "custom:x")])
def test_rows_that_ones_own_text_does_not_judge_keep_the_bundled_error_rates(
    groups: dict[str, np.ndarray], tier: str
) -> None:
    assert own(groups, tier).error_rates(0.01) == reference().error_rates(0.01)


def test_windows_are_judged_as_documents_of_the_whole() -> None:
    style = [3.0, 0.5, 0.0, 0.0, 0.1]
    part = frame(
        {"margin": 1.0, "windows": [0.0, 4.0, -3.0], "style": style, "length": 9000},
        {"margin": 1.0, "windows": None, "style": style},
        {"margin": 1.0, "windows": [5.0, None], "style": style, "length": 6000},
    )
    found = window_p_human(part).to_list()
    first = reference().p_human([0.0, 4.0, -3.0], ["en"] * 3, [3000] * 3, [style] * 3).astype(np.float64)
    assert found[0] == first.tolist() and found[1] is None
    assert found[2][1] is None and found[2][0] is not None
    assert window_p_human(part.clear()).to_list() == []


def test_a_reference_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.ref.json"
    own({"news": NORMAL}).own.write(path)
    assert isinstance(tables_for(path), OwnCalibration)
    other = Model(AiText.version, "fast", "another model", reference().digest)
    OwnReference(other, None, {EVERYTHING: group_table(NORMAL)}, "c0").write(tmp_path / "old.json")
    with pytest.raises(ConfigError, match=r"old\.json: was made with another ai_text.*foxing calibrate"):
        tables_for(tmp_path / "old.json")
    assert tables_for(None) is reference()
