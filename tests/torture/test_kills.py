"""A sample of `make torture`: jobs that are killed at random points end as if undisturbed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.torture.__main__ import shares
from tests.torture.kinds import KINDS, several, tree


@pytest.mark.parametrize(
    ("name", "runs"), [("scan", several(3, 20)), ("cluster", several(1, 20)), ("curate", several(1, 20))]
)
def test_a_job_killed_at_random_points_leaves_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, name: str, runs: int
) -> None:
    words = [sys.executable, "-m", "tests.torture.kills", name, str(tmp_path / "job"), str(runs), "3", "600"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    tally = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"difference": done.stderr}
    assert (done.returncode, tally["difference"]) == (0, "")
    assert tally["runs"] == runs and tally["kills"] >= runs
    assert len(tree(tmp_path / "job" / "calm")) >= 4


def test_a_thousand_runs_are_shared_out_whole() -> None:
    found = shares(1000, list(KINDS))
    assert sum(found.values()) == 1000 and min(found.values()) >= 20


def test_files_that_differ_in_one_byte_differ(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.parquet").write_bytes(content)
        (tmp_path / name / "lock").write_bytes(name.encode())
    assert tree(tmp_path / "a").keys() == tree(tmp_path / "b").keys() == {"part.parquet"}
    assert tree(tmp_path / "a") != tree(tmp_path / "b")


def test_a_training_begins_without_what_a_killed_one_was_writing_or_removing(tmp_path: Path) -> None:
    from curricula.training import _sweep

    for name in (".best-77", ".last-77", ".state-77", ".tokenizer-77", "state-00000004", "state-00000008", "best"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in (".run-77", "metrics.77", "metrics.jsonl"):
        (tmp_path / name).touch()
    _sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"state-00000008", "best", "metrics.jsonl"}
