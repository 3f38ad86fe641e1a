from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.audit.judging import row, write_findings

Run = Callable[..., Any]


def audit(folder: Path, share: float, *, sources: int = 10, rows: int = 400) -> Path:
    """A scan in which a share of the rows of each source holds residue."""
    found = {f"{at}.parquet": [row(hits=int(one < share * rows)) for one in range(rows)] for at in range(sources)}
    write_findings(folder, found, signals=("document", "residue"))
    return folder


def test_weekly_audits_pass_until_one_drifts(foxing: Run, tmp_path: Path) -> None:
    ledger, chart, told = (tmp_path / name for name in ("web.ledger", "web.svg", "drift.json"))
    first = foxing("ledger", ledger, "--add", audit(tmp_path / "1", 0.02), "--chart", chart)
    assert first.code == 0 and "audit 1 is the baseline: there is nothing to compare yet" in first.out
    second = foxing("ledger", ledger, "--add", audit(tmp_path / "2", 0.0225), "--notify", told)
    assert second.code == 0 and "No drift since audit 1" in second.out and not told.exists()
    third = foxing("ledger", ledger, "--add", audit(tmp_path / "3", 0.2), "--notify", told, "--chart", chart)
    assert third.code == 1 and "FX102 assistant residue" in third.out and "higher" in third.out
    assert json.loads(told.read_text())["drift"] and 'class="drift"' in chart.read_text()
    assert "written down as audit 3" in third.err


def test_what_is_accepted_is_the_new_baseline(foxing: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "web.ledger"
    for at, share in enumerate((0.02, 0.2)):
        foxing("ledger", ledger, "--add", audit(tmp_path / str(at), share))
    assert foxing("ledger", ledger).code == 1
    answer = foxing("ledger", ledger, "--accept", 2)
    assert answer.code == 0 and "audit 2 is the baseline" in answer.out
    assert foxing("ledger", ledger, "--accept", 9).code == 2
    assert foxing("ledger", ledger, "--accept", 1).code == 1


def test_a_corpus_without_audits_and_an_audit_of_another_kind_are_named(foxing: Run, tmp_path: Path) -> None:
    ledger, scan = tmp_path / "web.ledger", audit(tmp_path / "1", 0.02)
    foxing("ledger", ledger, "--add", scan, "--corpus", "web")
    answer = foxing("ledger", ledger, "--corpus", "wbe")
    assert answer.code == 2 and "no audit of corpus 'wbe' (has: web)" in answer.err
    (tmp_path / "foxing.toml").write_text('[rule.MY101]\nname = "long"\nwhen = "document.words > 5"\n')
    added = foxing("ledger", ledger, "--add", scan, "--config", tmp_path / "foxing.toml", settings=True)
    assert added.code == 0 and "left out: 1 audit, measured or judged otherwise" in added.out
    answer = foxing("ledger", ledger, "--accept", 1)
    assert answer.code == 2 and "measured and judged like the newest. Those are: 2." in answer.err


def test_a_rule_that_was_not_judged_cannot_pass_for_one_that_did_not_drift(foxing: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "web.ledger"
    foxing("ledger", ledger, "--add", audit(tmp_path / "1", 0.02))
    answer = foxing("ledger", ledger, "--select", "FX1,FX999")
    assert answer.code == 2 and "audit 1 judged no rule that begins with 'FX999' (judged: FX102, FX901)" in answer.err
    assert not answer.out and foxing("ledger", ledger, "--select", "FX1").code == 0


def test_what_check_wrote_can_be_added_and_json_says_it_all(foxing: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "web.ledger"
    for at, share in enumerate((0.02, 0.2)):
        written = tmp_path / f"{at}.json"
        foxing("check", audit(tmp_path / str(at), share), "--format", "json", "--output-file", written)
        answer = foxing("ledger", ledger, "--add", written, "--corpus", "web", "--format", "json", "--select", "FX102")
    found = json.loads(answer.out)
    assert answer.code == 1 and found["drift"] and found["corpus"] == "web" and len(found["audits"]) == 2
    (change,) = found["changes"]
    assert change["rule"] == "FX102" and change["drifted"] and change["interval"][0] > 0
    assert found["look"] == {"number": 1, "error": 0.025}


def test_options_widen_what_is_no_drift(foxing: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "web.ledger"
    for at, share in enumerate((0.02, 0.2)):
        foxing("ledger", ledger, "--add", audit(tmp_path / str(at), share))
    assert foxing("ledger", ledger, "--min-change", 0.5).code == 0
    assert foxing("ledger", ledger, "--error-rate", 1e-6).code == 1
    assert foxing("ledger", ledger, "--error-rate", 0).code == 2


def test_a_ledger_of_several_corpora_must_be_told_which(foxing: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "all.ledger"
    for name in ("web", "books"):
        assert foxing("ledger", ledger, "--add", audit(tmp_path / name, 0.02), "--corpus", name).code == 0
    answer = foxing("ledger", ledger)
    assert answer.code == 2 and "holds 2 corpora (books, web). Name one with --corpus." in answer.err
    assert foxing("ledger", ledger, "--corpus", "books").code == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "foxing-assessment", "version": 1}'])
def test_what_cannot_be_added_exits_2_and_adds_nothing(foxing: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    answer = foxing("ledger", tmp_path / "web.ledger", "--add", tmp_path / "a.json")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1 and not (tmp_path / "web.ledger").exists()
    assert foxing("ledger", tmp_path / "web.ledger").code == 2
