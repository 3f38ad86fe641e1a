"""What stops a curate, and what it says to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from audit.config import AllowConfig
from audit.findings_folder import Findings
from audit.rules import Rule
from curricula.budgets import Budget
from curricula.curate import Request, curate, preview
from curricula.guards import parse_losses
from curricula.sections import Shape
from detectors.errors import ConfigError, OutputError
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration


@pytest.fixture(autouse=True)
def _calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)


def scanned(folder: Path, *shares: float, rows: int = 30) -> Findings:
    """One file a share, that share of its rows hit by FX101."""
    paths = [
        write_parquet(folder / "in" / f"{at}.parquet", pa.table({"text": texts(rows)})) for at in range(len(shares))
    ]
    margins: dict[str, list[float | None]] = {
        f"{at}.parquet": [0.9 if row < share * rows else 0.0 for row in range(rows)] for at, share in enumerate(shares)
    }
    return make_findings(folder / "audit", paths, margins)


def test_rule_that_hits_most_of_the_corpus_stops_with_sources_and_addresses(tmp_path: Path) -> None:
    findings = scanned(tmp_path, 0.2, 0.7, 0.9)
    with pytest.raises(
        OutputError,
        match=r"FX101 would drop 54 of all 90 rows \(60\.0%\), most of them in 2 27 of 30; 1 21 of 30; 0 6 of 30\. "
        r"Look at 0:0, 0:1, 0:2, or permit it with --allow-loss 0\.90\.",
    ):
        curate(findings, RULES, tmp_path / "out", Request(drop=("FX101",)))
    assert not (tmp_path / "out").exists()
    assert preview(findings, RULES, Request(drop=("FX101",), allow_loss=0.9)).refusal is None


def test_a_rule_whose_rows_other_rules_drop_first_is_named_without_addresses(tmp_path: Path) -> None:
    parts = ("document.words < 9", "document.words >= 9 and document.words < 18", "document.words < 18")
    rules = tuple(Rule(id=f"MY30{at}", name="part", when=when) for at, when in enumerate(parts))
    refused = str(preview(scanned(tmp_path, 0.0), rules, Request(drop=("MY3",))).refusal)
    assert "MY302 would drop 18 of all 30 rows" in refused
    assert "Look at its rows, or permit it with --allow-loss 0.60." in refused


def test_curriculum_that_drops_most_of_the_corpus_stops_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.curricula.spooled import Resampled

    monkeypatch.setattr("curricula.composing.load", lambda group, name: Resampled)
    findings = scanned(tmp_path, 0.0)
    tables = {"resampled": {"copies": (0,) * 20 + (1,) * 10}}
    request = Request(curriculum=("resampled",), tables=tables)
    assert "resampled would drop 20 of all 30 rows" in str(preview(findings, RULES, request).refusal)
    assert preview(findings, RULES, replace(request, allow_loss=0.7)).refusal is None


def test_what_a_budget_leaves_out_is_no_loss(tmp_path: Path) -> None:
    found = preview(scanned(tmp_path, 0.0, 0.0), RULES, Request(budget=Budget(rows=3), allow_loss=0.0))
    assert found.refusal is None
    assert (found.tally.kept, found.tally.total.dropped["budget"]) == (3, 57)


def test_too_few_rows_or_tokens_stop_with_both_numbers(tmp_path: Path) -> None:
    findings = scanned(tmp_path, 0.2)
    request = Request(drop=("FX101",), min_rows=25)
    assert "24 rows would be left, fewer than the 25 of --min-rows" in str(preview(findings, RULES, request).refusal)
    assert preview(findings, RULES, replace(request, min_rows=24)).refusal is None
    few = preview(findings, RULES, replace(request, min_rows=0, min_tokens=10**6)).refusal
    assert few is not None and "fewer than the 1,000,000 of --min-tokens" in few


def test_split_that_holds_out_nothing_or_everything_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(20)}))
    findings = make_findings(tmp_path / "audit", [path], clusters_of={"a.parquet": [1] * 20})
    refusals = {preview(findings, RULES, Request(shape=Shape(split=share))).refusal for share in (1e-9, 1 - 1e-9)}
    assert {str(said).partition(": ")[2].split(" ")[0] for said in refusals} == {"validation", "train"}


def test_split_without_clusters_says_what_to_scan(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--signals document,ai_text,near_dup"):
        preview(scanned(tmp_path, 0.0), RULES, Request(shape=Shape(split=0.1)))


@pytest.mark.parametrize("count", ["document.wrods", "nothing.words", "ai_text.margin", "document"])
def test_tokens_are_counted_by_a_whole_number_that_was_measured(tmp_path: Path, count: str) -> None:
    findings = scanned(tmp_path, 0.0)
    with pytest.raises(ConfigError, match="is no whole number"):
        preview(findings, RULES, Request(count=count))
    by_bytes = preview(findings, RULES, Request(count="document.bytes")).tally.total
    assert by_bytes.before.tokens == 10 * 30


def test_sources_may_lose_what_is_said_of_them_and_others_what_is_said_of_all(tmp_path: Path) -> None:
    findings = scanned(tmp_path, 0.2, 0.4, 0.8)
    request = Request(drop=("FX101",))
    alone = str(preview(findings, RULES, request).refusal)
    assert "1 source would lose more than 50% of rows: 2 80.0% (24 of 30 rows)" in alone
    assert alone.endswith("or permit it with --allow-loss 2=0.80.")
    assert preview(findings, RULES, replace(request, allow_loss_of={"2": 0.8})).refusal is None
    assert preview(findings, RULES, replace(request, allow_loss_of={"[12]": 0.8})).refusal is None
    strict = preview(findings, RULES, replace(request, allow_loss=0.1, allow_loss_of={"2": 0.9, "1": 0.3})).refusal
    assert strict is not None
    assert "2 sources would lose more than they may: 1 40.0% (12 of 30 rows, at most 30%); 0 20.0%" in strict
    named_first = replace(request, allow_loss_of={"?": 0.1, "2": 0.9, "1": 0.9, "0": 0.9})
    assert preview(findings, RULES, named_first).refusal is None, "a name goes before patterns"


def test_what_sources_may_lose_is_what_one_rule_may_drop(tmp_path: Path) -> None:
    """54 of 90 rows: more than half, and no more than 15 of the first source and all of the others."""
    findings = scanned(tmp_path, 0.2, 0.7, 0.9)
    request = Request(drop=("FX101",), allow_loss_of={"1": 1.0, "2": 1.0})
    assert preview(findings, RULES, request).refusal is None
    refused = preview(findings, RULES, replace(request, allow_loss_of={"1": 0.7}, allow_loss=0.2)).refusal
    assert refused is not None and "would drop 54 of all 90 rows" in refused


def test_a_limit_of_no_source_and_no_share_is_refused(tmp_path: Path) -> None:
    findings = scanned(tmp_path, 0.2)
    with pytest.raises(ConfigError, match="no source matches 'web'"):
        preview(findings, RULES, Request(allow_loss_of={"web": 0.5}))
    for wrong in ("2", "web=2", "=0.5", "web=", "web", "0.1,0.2", "a=1,a=1"):
        with pytest.raises(ConfigError, match="--allow-loss"):
            parse_losses([wrong])
    assert parse_losses(["0.25", "web/*=0.5,a=b=1"]) == (0.25, {"web/*": 0.5, "a=b": 1.0})


def test_rows_on_the_allow_list_count_for_the_rule_that_hits_them_only(tmp_path: Path) -> None:
    """FX101 drops 60 % of the corpus; that FX102 would hit rows on the allow-list is no excuse for it."""
    findings = scanned(tmp_path, 1.0, 0.2)
    rules = (*RULES, Rule(id="FX102", name="residue", when="ai_text.margin < 0.5"))
    request = Request(drop=("FX101", "FX102"), allow=AllowConfig(source=("1",)), allow_loss_of={"0": 1.0})
    tally = preview(findings, rules, request).tally.total
    assert (tally.hits["FX101"], tally.hits["FX102"], tally.spared) == (36, 24, 30)
    assert tally.excused == {"FX101": 6, "FX102": 24}
    assert preview(findings, rules, replace(request, allow_loss_of={})).refusal is not None
    findings = scanned(tmp_path / "more", 1.0, 0.1, rows=30)
    wide = Request(drop=("FX101", "FX102"), allow=AllowConfig(source=("1",)), allow_loss_of={"0": 1.0})
    assert preview(findings, rules, wide).refusal is None, "30 of 60 rows, and the source may lose all"
