"""A small scan and curate, made once: its manifest, commit record and a part of findings are seeds."""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path

__all__ = ["manifest_bytes", "one_part_record", "part_bytes", "scan_record"]


@lru_cache(maxsize=1)
def _made() -> tuple[bytes, bytes, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from audit.config import Config, ScanConfig
    from audit.rules import DEFAULTS
    from audit.scan_run import scan
    from curricula.curate import curate
    from curricula.foresee import Request
    from tests.corpora import texts

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for number in range(2):
            pq.write_table(pa.table({"text": texts(20, number)}), folder / "in" / f"{number}.parquet")
        config = Config(scan=ScanConfig(signals=("document", "residue"), workers=1, stages=()))
        findings = scan([str(folder / "in")], folder / "audit", config).findings
        curate(findings, DEFAULTS, folder / "out", Request(curriculum=("shuffled",)))
        part = next((folder / "audit" / "findings" / "document").glob("0/part-*.parquet"))
        return (
            (folder / "out" / "manifest.json").read_bytes(),
            (folder / "audit" / "scan.json").read_bytes(),
            part.read_bytes(),
        )


def manifest_bytes() -> bytes:
    """manifest.json."""
    return _made()[0]


def scan_record() -> bytes:
    """scan.json."""
    return _made()[1]


@lru_cache(maxsize=1)
def one_part_record() -> bytes:
    """The commit record of findings that hold that part alone."""
    record = json.loads(scan_record())
    record["signals"] = [signal for signal in record["signals"] if signal["name"] == "document"]
    record["shards"] = record["shards"][:1]
    return json.dumps(record).encode()


def part_bytes() -> bytes:
    """A part of findings."""
    return _made()[2]
