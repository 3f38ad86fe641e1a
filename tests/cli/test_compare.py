"""`foxing compare` as people see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Run = Callable[..., Any]
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text("utf-8")


@pytest.fixture
def audits(foxing: Run, tmp_path: Path) -> tuple[Path, Path]:
    texts = [" ".join(f"t{row}w{word}" for word in range(30)) for row in range(50)]
    for name, rows in (("a", texts), ("b", texts + texts)):
        pl.DataFrame({"text": rows}).write_parquet(tmp_path / f"{name}.parquet")
        answer = foxing(
            "scan", tmp_path / f"{name}.parquet", "-o", tmp_path / name, "--signals", "near_dup", "--workers", "1"
        )
        assert answer.code == 0
    return tmp_path / "a", tmp_path / "b"


def test_changes_are_shown_with_their_interval(foxing: Run, audits: tuple[Path, Path]) -> None:
    answer = foxing("compare", *audits)
    (line,) = [line for line in answer.out.splitlines() if line.startswith("FX301")]
    assert answer.code == 0 and "0.00 %" in line and "50.00 %" in line and "+50.00" in line and "higher" in line
    (schema,) = [line for line in answer.out.splitlines() if line.startswith("FX902")]
    assert schema.split()[-6:] == ["%", "+0.00", "exact", "not", "told", "apart"]
    assert "sources that are new: b" in answer.out and "rows: 50 and 100" in answer.out
    assert "judged in neither: FX101" in answer.out


def test_json_is_versioned(foxing: Run, audits: tuple[Path, Path]) -> None:
    found = json.loads(foxing("compare", *audits, "--select", "FX3", "--format", "json").out)
    assert (found["format"], found["version"]) == ("foxing-comparison", 1)
    (copies,) = [rule for rule in found["rules"] if rule["rule"] == "FX301"]
    assert copies["verdict"] == "higher" and copies["before"] == [
        0.0,
        {"low": 0.0, "high": copies["before"][1]["high"]},
    ]
    described = DOCUMENT.partition("# The JSON of `foxing compare")[2].partition("\n# ")[0]
    keys = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", described, re.MULTILINE))))
    assert keys == set(found) | set(copies)


def test_a_folder_without_a_scan_is_refused(foxing: Run, audits: tuple[Path, Path], tmp_path: Path) -> None:
    answer = foxing("compare", audits[0], tmp_path / "none")
    assert answer.code == 2 and "holds no scan" in answer.err
