"""How much of a document is machine-written: the mean score of its windows, from findings and in rules."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from audit.calibrate import calibrated, reference, window_p_human
from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.rules import rules_from
from audit.scan_run import scan
from curricula.curate import Request, curate

HUMAN = "We went down to the harbour at six. He said nothing; it was cold, and the boat had gone. "
MACHINE = (
    "Furthermore, it is crucial to note that this comprehensive approach not only enhances overall efficiency but also "
    "fosters a deeper understanding of the intricate landscape. "
)
TEXTS = [HUMAN * 8, MACHINE * 8, HUMAN * 100, MACHINE * 60, HUMAN * 100 + MACHINE * 60, "short"]


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    pl.DataFrame({"text": TEXTS}).write_parquet(tmp_path / "a.parquet")
    config = Config(scan=ScanConfig(signals=("ai_text",), workers=1, sketches=False))
    return scan([str(tmp_path / "a.parquet")], tmp_path / "out", config).findings


def test_it_is_the_score_where_there_is_one_window_and_null_where_there_is_no_score(findings: Findings) -> None:
    frame = calibrated(next(findings.parts()))["ai_text"].struct.unnest()
    share = frame["machine_share"].to_list()
    assert share[0] == frame["score"][0] and share[1] == frame["score"][1] and share[5] is None
    assert share[4] != pytest.approx(frame["score"][4], abs=1e-3)
    sizes = frame["windows"].list.len().to_list()
    assert sizes[:2] == [None, None] and sizes[4] > 2


def test_windows_are_scored_as_documents_of_their_length(findings: Findings) -> None:
    (row,) = calibrated(next(findings.parts())).slice(4, 1)["ai_text"].to_list()
    n = len(row["windows"])
    expected = reference().score(row["windows"], [row["language"]] * n, [row["length"] / n] * n, [row["style"]] * n)
    assert row["machine_share"] == pytest.approx(float(expected.mean()), abs=1e-6)
    assert window_p_human(next(findings.parts())).list.len().to_list()[4] == n


def test_a_rule_may_read_it_and_curate_drops_by_it(findings: Findings, tmp_path: Path) -> None:
    scores = calibrated(next(findings.parts()))["ai_text"].struct.field("machine_share").to_list()
    rules = rules_from(
        {
            "MY101": {
                "name": "partly",
                "when": f"ai_text.machine_share >= {scores[4] - 1e-6} AND ai_text.machine_share <= {scores[4] + 1e-6}",
                "action": "drop",
            }
        }
    )
    curate(findings, rules, tmp_path / "curated", Request(curriculum=("original",), allow_loss=1.0))
    kept = pl.read_parquet(tmp_path / "curated" / "data" / "*.parquet")["text"].to_list()
    assert TEXTS[4] not in kept and TEXTS[2] in kept and TEXTS[5] in kept
