"""What is written is read as it is by the loaders that people train with: splits, order and every row."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricula.curate import Request, curate
from curricula.sections import Shape
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration
from tests.curricula.test_emit import SMALL

ROWS = 300


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A split, staged and shuffled output of 300 rows."""
    patch_calibration(monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    table = pa.table({"text": texts(ROWS), "id": [f"row {at}" for at in range(ROWS)]})
    path = write_parquet(tmp_path / "in" / "a.parquet", table)
    findings = make_findings(tmp_path / "audit", [path], clusters_of={})
    layout = dataclasses.replace(SMALL, file_rows=50)
    curate(findings, RULES, tmp_path / "out", Request(layout=layout, shape=Shape(0.2, 2, 30)))
    return tmp_path / "out" / "data"


def in_order(folder: Path) -> list[str]:
    files = sorted(folder.rglob("*.parquet"))
    return [value for file in files for value in pq.read_table(file).column("id").to_pylist()]


@pytest.mark.filterwarnings("ignore")
def test_datasets_reads_splits_in_order(data: Path, tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    found = datasets.load_dataset("parquet", data_dir=str(data), cache_dir=str(tmp_path / "cache"))
    assert sorted(found) == ["train", "validation"]
    for split in found:
        assert found[split]["id"][:] == in_order(data / split)
    streamed = datasets.load_dataset("parquet", data_dir=str(data), split="train", streaming=True)
    assert [row["id"] for row in streamed] == in_order(data / "train")


@pytest.mark.filterwarnings("ignore")
def test_datatrove_reads_every_row_once(data: Path) -> None:
    from datatrove.pipeline.readers import ParquetReader

    reader = ParquetReader(str(data / "train"), glob_pattern="**/*.parquet")
    documents = list(reader.run(rank=0, world_size=1))
    assert [document.id for document in documents] == in_order(data / "train")
    assert documents[0].text in texts(ROWS)
    halves = [document.id for rank in (0, 1) for document in reader.run(rank=rank, world_size=2)]
    assert sorted(halves) == sorted(in_order(data / "train"))


@pytest.mark.filterwarnings("ignore")
def test_a_torch_loader_with_workers_reads_every_row_once(data: Path) -> None:
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info

    files = sorted((data / "train").rglob("*.parquet"))

    class Rows(IterableDataset[str]):
        def __iter__(self) -> Iterator[str]:
            worker = get_worker_info()
            first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
            for file in files[first::step]:
                with pq.ParquetFile(file) as opened:
                    for batch in opened.iter_batches(16, columns=["id"]):
                        yield from batch.column("id").to_pylist()

    alone = [value for batch in DataLoader(Rows(), batch_size=32) for value in batch]
    assert alone == in_order(data / "train")
    workers = 2 if os.name == "posix" else 0
    shared = [value for batch in DataLoader(Rows(), batch_size=32, num_workers=workers) for value in batch]
    assert sorted(shared) == sorted(alone)
    assert len({pq.read_metadata(file).num_rows for file in files}) <= 3, "workers get files of even size"
