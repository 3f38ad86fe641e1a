from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.findings_folder import FailedShard
from tests.audit.judging import row, write_findings

Run = Callable[..., Any]


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    """Findings without the detector: one row in ten holds assistant residue."""
    rows = [row(hits=int(i % 10 == 0)) for i in range(100)]
    write_findings(tmp_path / "audit", {"a.parquet": rows}, signals=("document", "residue"))
    return tmp_path / "audit"


def test_over_budget_exits_1_and_says_what_and_where(foxing: Run, scanned: Path) -> None:
    answer = foxing("check", scanned)
    assert answer.code == 1 and "Over budget: FX102 assistant residue." in answer.out
    assert "/data/a.parquet row 0" in answer.out and "signature foxing:" in answer.out and not answer.err


@pytest.mark.parametrize("options", [["--budget", "FX102=0.1"], ["--ignore", "FX102"], ["--select", "FX9"]])
def test_within_budget_exits_0(foxing: Run, scanned: Path, options: list[str]) -> None:
    answer = foxing("check", scanned, *options)
    assert answer.code == 0 and "Every rule is within budget." in answer.out


def test_exit_zero_hides_a_1_and_never_a_2(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    assert foxing("check", scanned, "--exit-zero").code == 0
    failed = [FailedShard("/data/b.parquet", "FX904", "/data/b.parquet: is torn. Fetch it again.")]
    write_findings(tmp_path / "torn", {"a": [row()]}, signals=("document",), failed=failed)
    answer = foxing("check", tmp_path / "torn", "--exit-zero")
    assert answer.code == 2 and "/data/b.parquet: is torn. Fetch it again." in answer.out


def test_files_are_scanned_into_a_temporary_folder_and_judged(foxing: Run, tmp_path: Path) -> None:
    texts = ["A short note about gardens.", "As an AI language model, I cannot smell flowers.", None]
    pq.write_table(pa.table({"text": texts}), tmp_path / "c.parquet")
    (tmp_path / "foxing.toml").write_text('signals = ["document", "residue"]\nworkers = 1\n')
    before = set(tmp_path.iterdir())
    answer = foxing(
        "check", tmp_path / "c.parquet", "--config", tmp_path / "foxing.toml", "--format", "json", settings=True
    )
    found = {rule["id"]: rule for rule in json.loads(answer.out)["rules"]}
    assert answer.code == 1 and set(tmp_path.iterdir()) == before
    assert (found["FX102"]["hits"], found["FX102"]["n"], found["FX901"]["hits"]) == (1, 2, 1)
    assert found["FX102"]["worst"][0]["uri"].endswith("c.parquet") and found["FX102"]["worst"][0]["row"] == 1


def test_the_cascade_may_be_the_tier_of_the_settings_file(foxing: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["A short note about gardens."]}), tmp_path / "c.parquet")
    (tmp_path / "foxing.toml").write_text(
        'signals = ["document", "ai_text"]\nworkers = 1\n[signal.ai_text]\ntier = "cascade"\nmodel = "nowhere"\n'
    )
    words = tmp_path / "c.parquet", "--config", tmp_path / "foxing.toml"
    answer = foxing("check", *words, settings=True)
    assert answer.code == 2 and "nowhere" in answer.err and "is a stage over" not in answer.err
    # The fast tier explains and calibrates; no model is asked for.
    assert foxing("explain", *words, settings=True).code == 0
    answer = foxing("calibrate", *words, "-o", tmp_path / "r.json", settings=True)
    assert answer.code == 2 and "no row long enough to judge" in answer.err


def test_output_file_takes_the_place_of_stdout(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    answer = foxing("check", scanned, "--format", "json", "--output-file", tmp_path / "r.json")
    assert answer.code == 1 and not answer.out
    assert json.loads((tmp_path / "r.json").read_text())["format"] == "foxing-assessment"
    assert foxing("check", scanned, "--output-file", tmp_path / "no" / "r.txt").code == 2


def test_github_prints_workflow_commands(foxing: Run, scanned: Path) -> None:
    answer = foxing("check", scanned, "--format", "github")
    assert answer.out.startswith("::error file=/data/a.parquet,title=FX102 assistant residue::")


def test_verbose_names_every_worst_row_and_explains(foxing: Run, scanned: Path) -> None:
    assert "row 90:" not in foxing("check", scanned).out
    answer = foxing("check", scanned, "-v")
    assert (
        "row 90: residue.hits=1 residue.phrase=en.as_an_ai" in answer.out and "What to do: drop the rows" in answer.out
    )


def test_statistics_lists_sources(foxing: Run, scanned: Path) -> None:
    assert "FX901 unmeasured by source" in foxing("check", scanned, "--statistics").out
    assert "by source" not in foxing("check", scanned).out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--select", "FX7"], "no rule begins with 'FX7'"),
        (["--budget", "FX102"], "is not ID=SHARE"),
        (["--budget", "FX102=2"], "is not ID=SHARE"),
        (["--budget", "FX12=0.1"], "Did you mean 'FX102'"),
        (["--format", "jsn"], "Did you mean 'json'"),
        (["--select", "FX101"], "FX101: reads ai_text, which was not scanned"),
        (["--select", "FX1", "--ignore", "FX102"], "no rule could be judged: FX101 (not scanned: ai_text)"),
        (["--ignore", "FX"], "no rule could be judged: none was chosen"),
        (["--max-rows", "5"], "--max-rows: is about a sample"),
        (["--error-rate", "0.1"], "--error-rate: is about a sample"),
        (["--reference", "."], "--reference: only --statistics compares with it"),
    ],
)
def test_wrong_options_exit_2_with_one_line(foxing: Run, scanned: Path, options: list[str], says: str) -> None:
    answer = foxing("check", scanned, *options)
    assert answer.code == 2 and says in answer.err and len(answer.err.splitlines()) == 1 and not answer.out


def test_an_unfinished_scan_or_a_missing_path_exits_2(foxing: Run, tmp_path: Path) -> None:
    (tmp_path / "half" / "findings").mkdir(parents=True)
    assert "did not finish" in foxing("check", tmp_path / "half").err
    assert foxing("check", tmp_path / "nowhere").code == 2


def test_settings_select_budget_and_add_rules(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    settings = tmp_path / "foxing.toml"
    settings.write_text(
        '[check]\nignore = ["FX9"]\nbudget = { FX102 = 0.2 }\n'
        '[rule.MY101]\nname = "tiny"\nwhen = "document.words < 1000"\nbudget = 0.5\n'
    )
    answer = foxing("check", scanned, "--config", settings, settings=True)
    assert answer.code == 1 and "Over budget: MY101 tiny." in answer.out and "FX901" not in answer.out
    settings.write_text('[rule.MY101]\nwhen = "docment.words < 1000"\n')
    answer = foxing("check", scanned, "--config", settings, settings=True)
    assert answer.code == 2 and "Did you mean 'document'" in answer.err
