"""`foxing verify` as a user types it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from curricula.curate import Request, curate
from tests.conftest import Answer
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration

Run = Callable[..., Answer]


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    patch_calibration(monkeypatch)
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(60)}))
    curate(make_findings(tmp_path / "audit", [path]), RULES, tmp_path / "out", Request())
    return tmp_path / "out"


def test_whole_output_exits_0(foxing: Run, out: Path) -> None:
    done = foxing("verify", out / "manifest.json")
    assert (done.code, done.err) == (0, "")
    assert "every input row is accounted for" in done.out


def test_mismatch_exits_1_and_is_named(foxing: Run, out: Path) -> None:
    (out / "data" / "part-00000.parquet").unlink()
    done = foxing("verify", out)
    assert done.code == 1
    assert "mismatch: data/part-00000.parquet: is missing (60 rows)" in done.out


def test_absent_inputs_are_said_and_found_where_they_moved(foxing: Run, out: Path) -> None:
    shutil.move(out.parent / "in", out.parent / "moved")
    done = foxing("verify", out)
    assert done.code == 0
    assert "inputs no longer there: 1" in done.out
    assert "1 inputs" in foxing("verify", out, "--corpus", out.parent / "moved").out


def test_unreadable_manifest_exits_2(foxing: Run, tmp_path: Path) -> None:
    done = foxing("verify", tmp_path / "manifest.json")
    assert done.code == 2
    assert "no such file" in done.err
    assert len(done.err.splitlines()) == 1


def test_several_manifests_are_checked_and_the_worst_gives_the_exit_code(
    foxing: Run, out: Path, tmp_path: Path
) -> None:
    shutil.copytree(out, tmp_path / "other")
    assert foxing("verify", out / "manifest.json", tmp_path / "other").out.count("every input row") == 2
    (tmp_path / "other" / "data" / "part-00000.parquet").unlink()
    done = foxing("verify", tmp_path / "other", out)
    assert done.code == 1 and "mismatch:" in done.out and "every input row" in done.out
