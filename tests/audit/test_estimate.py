from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest

from audit import estimate as module
from audit.config import Config, ScanConfig
from audit.estimate import Estimate, estimate
from audit.readers import ShardError
from audit.sketch_parts import SketchWriter
from detectors.documents import Documents
from tests.corpora import texts, write_texts

ROWS = 20_000


def predict(path: Path, by: str | None = None) -> Estimate:
    return estimate([str(path)], Config(scan=ScanConfig(signals=("document",), workers=1, by=by)))


def write(path: Path, rows: list[str]) -> Path:
    """Write rows in the format that the name promises."""
    if path.name.startswith("a.jsonl"):
        data = "".join(json.dumps({"text": row, "n": at}) + "\n" for at, row in enumerate(rows)).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    elif path.suffix == ".csv":
        path.write_text("text,n\n" + "".join(f"{row},{at}\n" for at, row in enumerate(rows)))
    elif path.suffix == ".arrow":
        table = pa.table({"text": rows, "n": range(len(rows))})
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
        path.write_bytes(sink.getvalue())
    else:
        write_texts(path, list(rows), rows_per_group=1000)
    return path


@pytest.fixture(scope="module")
def rows() -> list[str]:
    return (texts(500) * (ROWS // 500))[:ROWS]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.arrow", "a.parquet"])
def test_a_file_that_is_read_to_its_end_is_counted_exactly(tmp_path: Path, name: str, rows: list[str]) -> None:
    found = predict(write(tmp_path / name, rows))
    assert (found.rows, found.rows_exact) == (ROWS, True)
    assert found.text_bytes == pytest.approx(sum(map(len, rows)), rel=0.1)
    assert found.sample_rows < ROWS / 4


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.arrow"])
def test_a_longer_file_is_extrapolated(
    tmp_path: Path, name: str, rows: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COUNTED_BYTES", 1 << 20)
    found = predict(write(tmp_path / name, rows))
    assert found.rows == pytest.approx(ROWS, rel=0.1)
    assert found.text_bytes == pytest.approx(sum(map(len, rows)), rel=0.15)
    if name != "a.jsonl.gz":  # compressed, these rows are shorter than what is counted
        assert not found.rows_exact


def test_files_that_are_not_sampled_are_extrapolated(tmp_path: Path, rows: list[str]) -> None:
    for at in range(12):
        path = tmp_path / f"{at:02d}"
        path.mkdir()
        write(path / "a.jsonl", rows[:1000])
    found = predict(tmp_path)
    assert found.rows == pytest.approx(12_000, rel=0.01)
    assert found.shards == 12
    assert not found.rows_exact


def test_text_files_are_a_row_each(tmp_path: Path) -> None:
    for at, text in enumerate(texts(40)):
        (tmp_path / f"{at}.txt").write_text(text)
    found = predict(tmp_path)
    assert (found.rows, found.rows_exact) == (40, True)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.arrow"])
def test_the_column_of_sources_is_read_and_measured_too(tmp_path: Path, name: str, rows: list[str]) -> None:
    path = write(tmp_path / name, rows[:5000])
    plain, by = predict(path), predict(path, by="n")
    assert by.signals == plain.signals + 1
    assert by.findings_bytes > plain.findings_bytes
    with pytest.raises(ShardError, match="no column 'm'"):
        predict(path, by="m")


@pytest.mark.parametrize("wanted", [True, False])
def test_sketches_are_timed_where_a_scan_makes_them(
    tmp_path: Path, rows: list[str], monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    seen = []
    update = SketchWriter.update

    def noted(writer: SketchWriter, documents: Documents) -> None:
        seen.append(len(documents))
        update(writer, documents)

    monkeypatch.setattr(SketchWriter, "update", noted)
    settings = ScanConfig(signals=("document",), workers=1, sketches=wanted)
    found = estimate([str(write(tmp_path / "a.parquet", rows))], Config(scan=settings))
    assert sum(seen) == (found.sample_rows if wanted else 0)
