from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.findings_folder import FailedShard
from tests.audit.judging import row, write_findings

Run = Callable[..., Any]


def audit(folder: Path, shards: dict[str, float], *, rows: int = 1000, failed: tuple[str, ...] = ()) -> Path:
    """A scan in which a share of the rows of each shard holds residue."""
    found = {
        f"{name}.parquet": [row(hits=int(at < share * rows)) for at in range(rows)] for name, share in shards.items()
    }
    odd = [FailedShard(f"/data/{name}", "FX904", f"/data/{name}: is torn. Fetch it again.") for name in failed]
    write_findings(folder, found, signals=("document", "residue"), failed=odd)
    return folder


@pytest.fixture
def baseline(foxing: Run, tmp_path: Path) -> Path:
    scanned = audit(tmp_path / "old", {"a": 0.1, "b": 0.1})
    assert foxing("check", scanned, "--format", "json", "--output-file", tmp_path / "old.json").code == 1
    return tmp_path / "old.json"


def check(foxing: Run, scanned: Path, baseline: Path) -> tuple[int, dict[str, Any]]:
    answer = foxing("check", scanned, "--baseline", baseline, "--format", "json")
    found = json.loads(answer.out)
    return answer.code, {rule["id"]: rule for rule in found["rules"]} | {"baseline": found["baseline"]}


def test_what_was_over_budget_and_is_no_worse_passes_and_stays_named(
    foxing: Run, baseline: Path, tmp_path: Path
) -> None:
    code, found = check(foxing, audit(tmp_path / "new", {"a": 0.1, "b": 0.11}), baseline)
    assert code == 0 and found["FX102"]["verdict"] == "known" and "corpus:" in found["baseline"]["signature"]
    answer = foxing("check", tmp_path / "new", "--baseline", baseline)
    assert "Over budget as in the baseline, and not worse: FX102 assistant residue." in answer.out


def test_a_baseline_of_a_run_that_had_one_itself_still_knows(foxing: Run, baseline: Path, tmp_path: Path) -> None:
    scanned = audit(tmp_path / "new", {"a": 0.1, "b": 0.1})
    options = "--baseline", baseline, "--format", "json", "--output-file", tmp_path / "second.json"
    assert foxing("check", scanned, *options).code == 0
    assert check(foxing, scanned, tmp_path / "second.json")[0] == 0


@pytest.mark.parametrize(
    ("shards", "says"),
    [
        ({"a": 0.1, "b": 0.2}, "higher than in the baseline by 5.00 points"),
        ({"a": 0.09, "b": 0.09, "c": 0.11}, "over budget in new sources: 1"),
    ],
)
def test_what_is_worse_or_new_fails(
    foxing: Run, baseline: Path, tmp_path: Path, shards: dict[str, float], says: str
) -> None:
    code, found = check(foxing, audit(tmp_path / "new", shards), baseline)
    assert code == 1 and found["FX102"]["verdict"] == "over" and says in found["FX102"]["reason"]


def test_a_rule_that_was_within_budget_fails_as_ever(foxing: Run, tmp_path: Path) -> None:
    clean = audit(tmp_path / "old", {"a": 0.0})
    foxing("check", clean, "--format", "json", "--output-file", tmp_path / "old.json")
    code, found = check(foxing, audit(tmp_path / "new", {"a": 0.002}), tmp_path / "old.json")
    assert code == 1 and found["FX102"]["verdict"] == "over"


def test_a_file_that_cannot_be_read_is_an_exit_2_whatever_the_baseline(foxing: Run, tmp_path: Path) -> None:
    torn = audit(tmp_path / "old", {"a": 0.0}, failed=("t",))
    assert foxing("check", torn, "--format", "json", "--output-file", tmp_path / "old.json").code == 2
    code, found = check(foxing, torn, tmp_path / "old.json")
    assert code == 2 and found["FX904"]["verdict"] == "known"
    _, found = check(foxing, audit(tmp_path / "new", {"a": 0.0}, failed=("t", "u")), tmp_path / "old.json")
    assert found["FX904"]["verdict"] == "over" and found["FX904"]["reason"] == "1 not in the baseline"


def test_another_way_of_measuring_is_warned_of(foxing: Run, baseline: Path, tmp_path: Path) -> None:
    settings = tmp_path / "foxing.toml"
    settings.write_text('[rule.FX102]\nwhen = "residue.hits > 1"\n')
    scanned = audit(tmp_path / "new", {"a": 0.1})
    answer = foxing("check", scanned, "--baseline", baseline, "--config", settings, settings=True)
    assert "foxing: warning: baseline: rules was" in answer.err


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "foxing-assessment", "version": 1}', '{"format": "x"}'])
def test_what_is_no_baseline_is_refused(foxing: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    answer = foxing("check", audit(tmp_path / "new", {"a": 0.0}), "--baseline", tmp_path / "old.json")
    assert answer.code == 2 and "foxing check --format json --output-file" in answer.err and not answer.out
