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
from audit.findings_folder import Findings
from curricula.curate import Request, curate
from tests.curricula.fake_findings import RULES, Tables
audit.calibrate.reference = audit.assess.reference = Tables
request = Request(curriculum=("human-first",), drop=("FX101",), allow_loss=1.0)
curate(Findings.open(sys.argv[1]), RULES, sys.argv[2], request)
# Not ru_maxrss: a child inherits that of the process that started it.
print(open("/proc/self/status").read())
"""


def one_row_group(path: Path, megabytes: int) -> Path:
    """Incompressible text in a single row group."""
    rng = random.Random(1)
    rows = [rng.randbytes(4000).hex() for _ in range(250)]
    table = pa.table({"text": pa.array(rows * (megabytes // 2), pa.large_string()), "key": range(125 * megabytes)})
    path.parent.mkdir(parents=True)
    pq.write_table(table, path, row_group_size=10**9, compression="none", use_dictionary=False)
    return path


def peak_mb(folder: Path, megabytes: int) -> tuple[int, str]:
    """The most resident memory of a reorder, and where it lay at the end, for the message of a failure."""
    make_findings(folder / "audit", [one_row_group(folder / "in" / "a.parquet", megabytes)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CURATE, folder / "audit", folder / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    status = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    told = ", ".join(f"{name} {status[name].strip()}" for name in ("VmHWM", "RssAnon", "RssFile", "Threads"))
    return int(status["VmHWM"].split()[0]) // 1024, told


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_corpus_five_times_as_large_needs_no_more_memory_to_reorder(tmp_path: Path) -> None:
    # What libraries map and allocators keep differs between machines by 100 MB, and is the same for both sizes.
    (small, told_small), (large, told_large) = peak_mb(tmp_path / "small", 150), peak_mb(tmp_path / "large", 750)
    if large - small >= 150:  # kernels may have been compiled, which takes 100 MB and more
        large, told_large = peak_mb(tmp_path / "again", 750)
    assert large - small < 150, f"150 MB of text: {told_small}; 750 MB of text: {told_large}"
    assert large < 700, f"750 MB of text: {told_large}"
