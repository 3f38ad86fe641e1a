"""What a scan says of stages that cannot run, and of what an earlier scan of the folder knew and it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Answer

Foxing = Callable[..., Answer]
TEXT = " ".join(f"word{number}" for number in range(400))
NEAR = ("--signals", "near_dup", "--workers", "1", "--no-sketches")


@pytest.fixture
def corpora(foxing: Foxing, tmp_path: Path) -> Path:
    """A folder with a corpus, another one, and `old`, the scan of that."""
    pl.DataFrame({"text": [TEXT, "something else that is here"]}).write_parquet(tmp_path / "old.parquet")
    changed = TEXT.replace("word60 ", "other ")
    pl.DataFrame({"text": [TEXT, changed, "a row of its own"]}).write_parquet(tmp_path / "new.parquet")
    assert foxing("scan", tmp_path / "old.parquet", "-o", tmp_path / "old", *NEAR).code == 0
    return tmp_path


def test_a_scan_again_without_the_reference_says_what_is_no_longer_reported(foxing: Foxing, corpora: Path) -> None:
    scan = ("scan", corpora / "new.parquet", "-o", corpora / "audit", *NEAR)
    assert "--reference" not in foxing(*scan, "--reference", corpora / "old").err
    assert "--reference" not in foxing(*scan, "--reference", corpora / "old").err
    without = foxing(*scan)
    assert without.code == 0 and f"was scanned with --reference {corpora / 'old'}" in without.err
    assert "--reference" not in foxing(*scan).err


def test_nothing_is_said_of_a_reference_where_all_is_thrown_away_or_no_duplicates_are_sought(
    foxing: Foxing, corpora: Path
) -> None:
    scan = ("scan", corpora / "new.parquet", "-o", corpora / "audit", *NEAR)
    foxing(*scan, "--reference", corpora / "old")
    assert "--reference" not in foxing(*scan, "--stages", "").err
    foxing(*scan, "--reference", corpora / "old")
    assert "--reference" not in foxing(*scan, "--fresh").err


def test_a_stage_whose_signal_is_not_measured_is_refused_before_anything_is_written(
    foxing: Foxing, corpora: Path
) -> None:
    audit = corpora / "audit"
    answer = foxing("scan", corpora / "new.parquet", "-o", audit, *NEAR, "--stages", "duplicates,templates")
    assert answer.code == 2 and answer.out == "" and answer.err.count("\n") == 1
    assert "stage templates: needs format, which is not measured. Add it to --signals" in answer.err
    assert not audit.exists()


def test_signals_that_the_folder_has_are_enough_for_a_stage(foxing: Foxing, corpora: Path) -> None:
    scan = ("scan", corpora / "new.parquet", "-o", corpora / "audit", "--workers", "1", "--no-sketches")
    assert foxing(*scan, "--signals", "near_dup", "--stages", "").code == 0
    answer = foxing(*scan, "--signals", "document", "--stages", "duplicates")
    assert answer.code == 0 and "near_dup, duplicates" in answer.out
    fresh = foxing(*scan, "--signals", "document", "--stages", "duplicates", "--fresh")
    assert fresh.code == 2 and "needs near_dup" in fresh.err


def test_a_stage_that_was_asked_for_and_cannot_use_what_was_measured_is_named(foxing: Foxing, corpora: Path) -> None:
    (corpora / "foxing.toml").write_text("[signal.near_dup]\nbits = 4\n")
    scan = ("scan", corpora / "new.parquet", "-o", corpora / "audit", *NEAR, "--config", corpora / "foxing.toml")
    assert foxing(*scan, settings=True).err == ""
    answer = foxing(*scan, "--stages", "duplicates", settings=True)
    assert answer.code == 0 and "--stages duplicates: did not run" in answer.err and "bits = 0" in answer.err


def test_a_kept_row_of_the_reference_is_called_so_in_review_and_on_github(foxing: Foxing, corpora: Path) -> None:
    foxing("scan", corpora / "new.parquet", "-o", corpora / "audit", *NEAR, "--reference", corpora / "old")
    assert "old row 0 (of the reference, stays)" in foxing("review", corpora / "audit", "FX302").out
    budget = ("--budget", "FX301=0", "--budget", "FX302=0", "--select", "FX301,FX302")
    github = foxing("check", corpora / "audit", "--format", "github", *budget).out
    assert github.count("duplicates.keeper_row=0 (of the reference)") == 2 and "in_reference" not in github
    foxing("scan", corpora / "new.parquet", "-o", corpora / "alone", *NEAR)
    own = foxing("check", corpora / "alone", "--format", "github", *budget).out
    assert "duplicates.keeper_row=0" in own and "reference" not in own
