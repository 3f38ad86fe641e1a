"""The commands of docs/scale.md and the Slurm sample, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from audit.findings_folder import Findings
from tests.code_blocks import blocks
from tests.conftest import Answer
from tests.corpora import texts, write_parquet

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "slurm_scan.sh"
# Runs each job of an array at once, and the last one after them; as `sbatch` names the jobs for what it runs.
SBATCH = """#!/bin/sh
echo "$*" >> sbatch.log
array= dependency=
while [ "${1#--}" != "$1" ]; do
  case "$1" in --array=*) array=${1#--array=1-};; --dependency=*) dependency=${1#--dependency=};; esac
  shift
done
if [ -n "$array" ]; then
  for task in $(seq 1 "$array"); do
    SLURM_JOB_ID=1 SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 sh "$@" >&2 || exit 1
  done
  echo 41
else
  [ "$dependency" = afterok:41 ] || exit 1
  SLURM_JOB_ID=2 SLURM_CPUS_PER_TASK=1 sh "$@" >&2 || exit 1
  echo 42
fi
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(5):
        rows = pa.table({"text": texts(40, number), "source": ["a", "b"] * 20})
        write_parquet(tmp_path / "corpus" / f"{number}.parquet", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_parts_as_the_document_has_them(here: Path, foxing: Callable[..., Answer]) -> None:
    section = (ROOT / "docs" / "scale.md").read_text("utf-8").partition("\n## Job arrays\n")[2].partition("\n## ")[0]
    commands = re.findall(r"^    foxing (.*)$", section, re.MULTILINE)
    assert len(commands) == 4
    chosen = ("--signals", "document", "--workers", "1")
    for command in commands:
        answer = foxing(*shlex.split(command), *chosen)
        assert answer.code == 0, answer.err
    assert "measured now: nothing" in answer.out
    foxing("scan", "corpus/", "-o", "alone", *chosen)
    assert Path("alone/scan.json").read_bytes() == Path("audit/scan.json").read_bytes()


def test_the_slurm_sample_submits_parts_and_then_the_whole(here: Path) -> None:
    tools = here / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH)
    (tools / "foxing").write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom curricula.cli import main\nmain()\n"
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    # With a folder that is set, if only to nothing, kernels are those that the tests have compiled already.
    environment = {"NUMBA_CACHE_DIR": "", **os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    ((line,),) = [block.commands for block in blocks("docs/scale.md") if block.text.startswith("sh ")]
    assert "/shared/corpus /shared/audit 64" in line
    words = line.replace("/shared/corpus /shared/audit 64", "corpus audit 2").replace("samples", str(SAMPLE.parent))
    command = [*words.split(), "--isolated", "--signals", "document", "--no-sketches"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42\n"
    said = done.stderr.splitlines()
    assert "not finished yet: 2 of 2" in said and any(line.startswith("all parts are measured") for line in said)
    assert said[-3] == "measured now: nothing, all findings were there"
    found = Findings.open(here / "audit")
    assert found.rows == 200 and set(pl.concat(found.parts({"document": None}))["source"]) == {"a", "b"}
    submitted = (here / "sbatch.log").read_text().splitlines()
    assert len(submitted) == 2 and "--array=1-2" in submitted[0] and "--dependency=afterok:41" in submitted[1]
