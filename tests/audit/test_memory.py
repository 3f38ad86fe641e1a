"""Memory does not grow with the size of a file, whatever its row groups are."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpora import texts

SCAN = """
import sys
from audit.config import Config, ScanConfig
from audit.scan_run import scan
scan([sys.argv[1]], sys.argv[2], Config(scan=ScanConfig(workers=1)))
# Not ru_maxrss: a child inherits that of the process that started it.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

SEARCH = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from audit.duplicate_search import find_duplicates
from audit.findings_folder import Findings, ShardRecord, SignalRecord
from audit.parts import PartIdentity, PartWriter, part_path
from detectors.near_dup import NearDup

def findings(folder, rows):
    random, signal = np.random.default_rng(7), NearDup()
    minima = random.integers(0, 2**32, (rows, 128), np.uint32)
    minima[-rows // 20 :, 8:] = minima[: len(minima[-rows // 20 :]), 8:]
    exact = np.arange(rows).astype(np.uint64) // np.uint64(3)
    minima[1::3] = minima[0::3][: len(minima[1::3])]
    path = part_path(folder, signal.name, "made", 0)
    writer = PartWriter(path, PartIdentity(signal.name, 1, {}, 0, "text(text)", "", 0, rows), signal.schema)
    for at in range(0, rows, 16384):
        some = minima[at : at + 16384]
        hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(512), len(some), [None, pa.py_buffer(some.tobytes())])
        columns = [hashes, pa.array(np.full(len(some), 500, np.int32)), pa.array(exact[at : at + 16384])]
        writer.write(pa.record_batch(columns, schema=signal.schema), pa.array(np.ones(len(some), np.bool_)), None)
    writer.close()
    shard = ShardRecord("made", "made", "parquet", rows, 0, "", "text(text)", {}, (0,))
    config = {"permutations": 128, "shingle_words": 5, "bits": 0, "scheme": "datasketch.affine32"}
    return Findings(folder, (shard,), (), (SignalRecord(signal.name, 1, config, "made"),), 0, None)

def search(folder, rows):
    folder.mkdir(exist_ok=True)
    found = find_duplicates(findings(folder, rows), None, threshold=0.8, keep=("first",), work=folder)
    return int((found.keepers != np.arange(rows)).sum())

def resident(name):
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith(name))

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
search(folder / "small", 1000)
made = findings(folder, rows)
open("/proc/self/clear_refs", "w").write("5")
before = resident("VmRSS")
found = find_duplicates(made, None, threshold=0.8, keep=("first",), work=folder)
print(resident("VmHWM") - before, int((found.keepers != np.arange(rows)).sum()))
"""


def one_row_group(path: Path, megabytes: int) -> Path:
    """Incompressible text in a single row group."""
    rng = random.Random(1)
    rows = [f"{rng.randbytes(2000).hex()} {text}" for text in texts(200)]
    table = pa.table({"text": pa.array(rows * (megabytes * 1_000_000 // sum(map(len, rows)) + 1), pa.large_string())})
    pq.write_table(table, path, row_group_size=10**9, compression="none", use_dictionary=False)
    return path


def one_document(path: Path, megabytes: int) -> Path:
    """Words of one document, few of them alike."""
    rng = random.Random(1)
    words = " ".join(f"{rng.randrange(10**6):x}" for _ in range(400_000))
    text = words * (megabytes * 1_000_000 // len(words) + 1)
    pq.write_table(pa.table({"text": [text]}), path, compression="zstd", use_dictionary=False)
    return path


def peak_mb(source: Path, out: Path, enough: int | None = None) -> int:
    """The most resident memory of a scan; the lower of two where the first takes more than `enough`.

    Compiling takes 100 MB and more, and is done again where another process has just replaced a kernel on disk.
    """
    peaks = []
    for turn in "ab":
        done = subprocess.run(
            [sys.executable, "-c", SCAN, source, out / turn], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
        if enough is None or peaks[0] < enough:
            break
    return min(peaks)


def test_a_row_group_ten_times_as_large_needs_no_more_memory(tmp_path: Path) -> None:
    small = peak_mb(one_row_group(tmp_path / "small.parquet", 30), tmp_path / "a")
    large = peak_mb(one_row_group(tmp_path / "large.parquet", 300), tmp_path / "b", small + 135)
    # Half of what ten times the text would take if it were held: 270 MB; the allocator keeps some blocks more or less.
    assert large - small < 135, f"{small} MB resident for 30 MB of text, {large} MB for 300 MB"


def test_a_long_document_needs_little_more_than_what_reading_it_takes(tmp_path: Path) -> None:
    # Arrow holds a page as stored, decompressed and as an array while it reads it: three times the text at the worst.
    small = peak_mb(one_document(tmp_path / "small.parquet", 3), tmp_path / "a")
    large = peak_mb(one_document(tmp_path / "large.parquet", 60), tmp_path / "b", small + 220)
    assert large - small < 220, f"{small} MB resident for 3 MB in one document, {large} MB for 60 MB"


def test_a_search_for_duplicates_holds_no_more_than_a_part_of_the_signatures(tmp_path: Path) -> None:
    rows = 600_000
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, tmp_path, str(rows)], capture_output=True, text=True, check=True
    )
    grown, gone = map(int, done.stdout.split())
    # A third of the rows are copies of the row before; of the others one in twenty is like a row of the beginning.
    assert gone > 0.36 * rows
    signatures = rows * 512 // 1_000_000
    assert grown < 0.5 * signatures, f"{grown} MB more resident for {signatures} MB of signatures"
