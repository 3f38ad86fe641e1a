"""One thing broken at a time: a run says what it was, without a traceback, and the next one ends as if undisturbed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.torture.faults import FAULTS, Found, needs_mount

EXPECTED = {
    "file_size_limit": (2, "cannot be written"),
    "no_descriptors": (2, "Too many open files"),
    "disk_full": (2, "No space left on device"),
    "read_only": (2, "Read-only file system"),
    "file_deleted": (2, "3.parquet"),
    "file_changed": (2, "3.parquet: changed or went away while it was scanned"),
    "parquet_truncated": (2, "3.parquet: is not a whole Parquet file"),
    "row_group_torn": (2, "3.parquet"),
    "parquet_bits_flipped": (2, "3.parquet"),
    "signal_raises": (0, "1 measurements failed on single rows; foxing check counts them under FX901"),
    "ctrl_c": (130, "interrupted. Run the same command again to go on."),
    "ctrl_c_twice": (130, "interrupted"),
    "terminated": (-15, ""),
    "two_writers": (2, "in use by process FIRST on"),
    "no_locks": (2, "cannot be locked (No locks available)"),
    "rename_answers_twice": (2, "cannot be written"),
    "clock_jumps": (0, "540 rows in 6 shards"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    words = [sys.executable, "-m", "tests.torture.faults", str(tmp_path_factory.mktemp("faults") / "job")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: Found(**fields) for name, fields in json.loads(done.stdout).items()}


def test_every_fault_has_an_expectation() -> None:
    assert EXPECTED.keys() == FAULTS.keys()


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_is_named_and_the_next_run_ends_as_if_undisturbed(found: dict[str, Found], name: str) -> None:
    if name not in found:
        pytest.skip(f"{name}: {needs_mount()}. Run the tests as root to have it.")
    one, (code, words) = found[name], EXPECTED[name]
    assert one.code == code, one.said
    assert words in one.said
    assert "Traceback" not in one.said
    assert one.differs == ""


def test_rows_that_a_fault_does_not_concern_are_measured(found: dict[str, Found]) -> None:
    for name in ("file_deleted", "file_changed", "parquet_truncated", "row_group_torn", "parquet_bits_flipped"):
        assert "450 rows in 5 shards" in found[name].said
        assert "1 shard could not be read" in found[name].said
    assert "540 rows in 6 shards" in found["signal_raises"].said


def test_a_name_that_is_not_utf8_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(b'{"text": "one"}\n')
    folder = os.fsencode(tmp_path / "in")
    foxing = [sys.executable, "-c", "from curricula.cli import main; main()"]
    for words in ([folder], [folder + b"/caf\xe9.jsonl"]):
        done = subprocess.run([*foxing, "scan", *words, "-o", str(tmp_path / "out")], cwd=tmp_path, capture_output=True)
        assert done.returncode == 2
        assert b"caf\\xe9.jsonl" in done.stderr and b"not valid UTF-8. Rename" in done.stderr
        assert b"Traceback" not in done.stderr
        assert not (tmp_path / "out").exists()
