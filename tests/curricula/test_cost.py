"""What a request is predicted to cost, beside what it comes to."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from audit.findings_folder import Findings
from curricula.budgets import Budget
from curricula.cost import Cost, predict
from curricula.curate import Request, curate, preview
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration


@pytest.fixture
def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Findings:
    patch_calibration(monkeypatch)
    inputs = [
        write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(900, n), "n": range(900)}))
        for n in range(3)
    ]
    margins: dict[str, list[float | None]] = {
        f"{n}.parquet": [0.9 * (at % 3 == 0) for at in range(900)] for n in range(3)
    }
    return make_findings(tmp_path / "audit", inputs, margins)


def predicted(findings: Findings, request: Request) -> Cost:
    cost = predict(findings, request, preview(findings, RULES, request))
    assert cost is not None
    return cost


@pytest.mark.parametrize(
    "request_", [Request(), Request(curriculum=("original",), drop=("FX101",)), Request(budget=Budget(rows=300))]
)
def test_bytes_are_those_that_are_written_within_a_fifth(tmp_path: Path, findings: Findings, request_: Request) -> None:
    cost = predicted(findings, request_)
    manifest = curate(findings, RULES, tmp_path / "out", request_).manifest
    for name, receipts in (("data", manifest.data), ("dropped", manifest.dropped)):
        size = sum(receipt.size_bytes for receipt in receipts)
        said = getattr(cost, f"{name}_bytes")
        assert 0.8 * size - 5000 <= said <= 1.2 * size, name
    assert cost.read_bytes == sum(record.size_bytes for record in findings.shards)
    assert cost.tried_rows > 0 and cost.seconds > 0


def test_less_is_written_of_less(findings: Findings) -> None:
    whole, some = (predicted(findings, Request(budget=Budget(rows=rows))) for rows in (2700, 300))
    assert whole.dropped_bytes == 0
    assert some.data_bytes < whole.data_bytes / 5 and some.dropped_bytes > some.data_bytes


def test_nothing_is_predicted_of_inputs_that_are_gone(tmp_path: Path, findings: Findings) -> None:
    (tmp_path / "in").rename(tmp_path / "moved")
    assert predict(findings, Request(), preview(findings, RULES, Request())) is None
    assert predicted(findings, Request(corpus=str(tmp_path / "moved"))).data_bytes > 0
