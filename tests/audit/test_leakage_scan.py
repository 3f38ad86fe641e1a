"""A scan for benchmark items: the index is identified by what it holds, not by where it lies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest

from audit.config import Config
from audit.findings_folder import Findings
from audit.scan_run import scan
from detectors.benchmark_index import BenchmarkIndex
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError

ITEM = "which of these old bindings was repaired with thread that had been waxed twice before the flood came"
OTHER = "how many leaves of the register were lost when the lower shelf of the archive stood under water"


def write_index(path: Path, *items: str) -> Path:
    names = [f"item {number}" for number in range(len(items))]
    index = BenchmarkIndex.from_documents(Documents.from_texts([*items]), ["made up"] * len(items), names)
    path.write_bytes(index.to_bytes())
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.parquet"
    texts = [f"Before. {ITEM}. After.", "Nothing of the kind stands here.", ITEM[:40]]
    pl.DataFrame({"text": texts}).write_parquet(path)
    return path


def settings(index: Path | str) -> Config:
    config = Config()
    chosen = dataclasses.replace(config.scan, signals=("leakage",), workers=1, sketches=False)
    return dataclasses.replace(config, scan=chosen, signals={"leakage": {"index": str(index)}})


def test_rows_that_hold_an_item_name_it(corpus: Path, tmp_path: Path) -> None:
    found = scan([str(corpus)], tmp_path / "out", settings(write_index(tmp_path / "a.idx", ITEM, OTHER))).findings
    rows = next(found.parts())["leakage"].struct.unnest()
    assert rows["benchmark"].to_list() == ["made up", None, None]
    assert rows["item_share"].to_list()[0] == 1.0
    assert rows["hits"].to_list()[1:] == [0, 0]


def test_an_index_that_moved_is_the_same_and_another_one_is_refused(corpus: Path, tmp_path: Path) -> None:
    first = write_index(tmp_path / "a.idx", ITEM)
    scan([str(corpus)], tmp_path / "out", settings(first))
    moved = first.rename(tmp_path / "b.idx")
    again = scan([str(corpus)], tmp_path / "out", settings(moved))
    assert again.measured_rows == 0
    before = Findings.open(tmp_path / "out").signature()
    with pytest.raises(ConfigError, match="index_digest"):
        scan([str(corpus)], tmp_path / "out", settings(write_index(tmp_path / "c.idx", ITEM, OTHER)))
    assert Findings.open(tmp_path / "out").signature() == before


def test_a_scan_without_its_index_says_so_and_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    for index in ("", tmp_path / "absent.idx"):
        with pytest.raises(SignalError, match="leakage"):
            scan([str(corpus)], tmp_path / "out", settings(index))
    assert not (tmp_path / "out").exists()
