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
from audit.scan import scan
scan([sys.argv[1]], sys.argv[2], Config(scan=ScanConfig(workers=1)))
# Not ru_maxrss: a child inherits that of the process that started it.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
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


def peak_mb(source: Path, out: Path) -> int:
    done = subprocess.run([sys.executable, "-c", SCAN, source, out], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_row_group_ten_times_as_large_needs_no_more_memory(tmp_path: Path) -> None:
    small = peak_mb(one_row_group(tmp_path / "small.parquet", 30), tmp_path / "a")
    large = peak_mb(one_row_group(tmp_path / "large.parquet", 300), tmp_path / "b")
    # Half of what ten times the text would take if it were held: 270 MB; the allocator keeps some blocks more or less.
    assert large - small < 135, f"{small} MB resident for 30 MB of text, {large} MB for 300 MB"


def test_a_long_document_needs_little_more_than_what_reading_it_takes(tmp_path: Path) -> None:
    # Arrow holds a page as stored, decompressed and as an array while it reads it: three times the text at the worst.
    small = peak_mb(one_document(tmp_path / "small.parquet", 3), tmp_path / "a")
    large = peak_mb(one_document(tmp_path / "large.parquet", 60), tmp_path / "b")
    assert large - small < 220, f"{small} MB resident for 3 MB in one document, {large} MB for 60 MB"
