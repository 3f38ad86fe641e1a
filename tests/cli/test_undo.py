"""`foxing undo` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Answer
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import make_findings, patch_calibration

Run = Callable[..., Answer]


@pytest.fixture
def out(foxing: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    patch_calibration(monkeypatch)
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(60), "n": range(60)}))
    make_findings(tmp_path / "audit", [path])
    done = foxing("curate", tmp_path / "audit", "-o", tmp_path / "out", "--drop", "FX101", "--allow-loss", "1")
    assert done.code == 0
    return tmp_path / "out"


def test_the_rows_come_back_in_their_order(foxing: Run, tmp_path: Path, out: Path) -> None:
    assert "foxing undo can rebuild the inputs" in foxing("verify", out).out
    done = foxing("undo", out / "manifest.json", "-o", tmp_path / "back")
    assert done.code == 0, done.err
    assert "60 rows in 1 files, as they were read" in done.out
    assert pq.read_table(tmp_path / "back" / "a.parquet").equals(pq.read_table(tmp_path / "in" / "a.parquet"))


def test_what_cannot_be_rebuilt_is_one_line(foxing: Run, tmp_path: Path, out: Path) -> None:
    (out / "data" / "part-00000.parquet").unlink()
    assert "foxing undo may not rebuild the inputs" in foxing("verify", out).out
    done = foxing("undo", out, "-o", tmp_path / "back")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "data/part-00000.parquet" in done.err


@pytest.mark.parametrize("target", ["s3://bucket/back", "in"])
def test_folders_that_cannot_take_it_are_refused(foxing: Run, tmp_path: Path, out: Path, target: str) -> None:
    done = foxing("undo", out, "-o", target if ":" in target else tmp_path / target)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
