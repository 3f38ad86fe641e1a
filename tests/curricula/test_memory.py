"""Memory does not grow with the corpus when it is put in order."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.curricula.fake_findings import make_findings

ROOT = Path(__file__).resolve().parents[2]
CURATE = """
import sys
import audit.assess, audit.calibrate
from audit.findings import Findings
from curricula.curate import Request, curate
from tests.curricula.fake_findings import RULES, Tables
audit.calibrate.reference = audit.assess.reference = Tables
request = Request(curriculum=("human-first",), drop=("FX101",), allow_loss=1.0)
curate(Findings.open(sys.argv[1]), RULES, sys.argv[2], request)
# Not ru_maxrss: a child inherits that of the process that started it.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def one_row_group(path: Path, megabytes: int) -> Path:
    """Incompressible text in a single row group."""
    rng = random.Random(1)
    rows = [rng.randbytes(4000).hex() for _ in range(250)]
    table = pa.table({"text": pa.array(rows * (megabytes // 2), pa.large_string()), "key": range(125 * megabytes)})
    path.parent.mkdir(parents=True)
    pq.write_table(table, path, row_group_size=10**9, compression="none", use_dictionary=False)
    return path


def peak_mb(folder: Path, megabytes: int) -> int:
    make_findings(folder / "audit", [one_row_group(folder / "in" / "a.parquet", megabytes)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CURATE, folder / "audit", folder / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_corpus_four_times_as_large_needs_no_more_memory_to_reorder(tmp_path: Path) -> None:
    small, large = peak_mb(tmp_path / "small", 150), peak_mb(tmp_path / "large", 600)
    assert large < 500, f"{large} MB resident for 600 MB of text"
    assert large - small < 80, f"{small} MB resident for 150 MB of text, {large} MB for 600 MB"
