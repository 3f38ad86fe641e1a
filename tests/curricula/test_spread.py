"""What curate and trials give to other processes comes out as from one."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from audit.execute import Executor, Process, Serial
from curricula.curate import Request, curate
from curricula.part_files import Layout
from detectors.errors import InputError, OutputError
from tests.conftest import Answer
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings


def output(folder: Path) -> dict[str, bytes]:
    """Data and dropped rows, byte for byte."""
    found = [path for name in ("data", "dropped") for path in sorted((folder / name).rglob("*.parquet"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("order", ["original", "shuffled"])
def test_units_that_processes_write_make_the_same_files(tmp_path: Path, order: str) -> None:
    inputs = [write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(150, n)})) for n in range(4)]
    findings = make_findings(tmp_path / "audit", inputs)
    request = Request(curriculum=(order,), layout=Layout(group_rows=64, file_bytes=60_000, unit_bytes=1))
    told: dict[int, list[float]] = {}
    for workers in (1, 2):
        executor: Executor = Serial() if workers == 1 else Process(workers)
        seen = told.setdefault(workers, [])

        def note(phase: str, done: float, total: float, seen: list[float] = seen) -> None:
            seen.extend([done / total] if phase == "rows" else [])

        made = curate(findings, RULES, tmp_path / f"out-{workers}", request, on_progress=note, executor=executor)
        assert made.manifest.totals()["rows"] == 600
        assert not (tmp_path / f"out-{workers}" / ".work").exists()
    assert output(tmp_path / "out-1") == output(tmp_path / "out-2") != {}
    assert told[2] == sorted(told[2]) and told[1][-1] == told[2][-1] == 1.0, "progress counts rows once"


def test_an_input_that_changed_is_said_by_the_process_that_reads_it(tmp_path: Path) -> None:
    inputs = [write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(50, n)})) for n in range(2)]
    findings = make_findings(tmp_path / "audit", inputs)

    def change(phase: str, done: float, total: float) -> None:
        if phase == "digest" and done == total:  # after it was checked, and before it is read
            write_parquet(inputs[1], pa.table({"text": texts(49, 1)}))

    request = Request(curriculum=("original",), layout=Layout(unit_bytes=1))
    with pytest.raises(InputError, match=r"1\.parquet: .* 50 were scanned"):
        curate(findings, RULES, tmp_path / "out", request, on_progress=change, executor=Process(2))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_output_that_cannot_be_written_is_named_whoever_writes_it(tmp_path: Path, workers: int) -> None:
    inputs = [write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(20, n)})) for n in range(8)]
    findings = make_findings(tmp_path / "audit", inputs)
    work = tmp_path / "out" / ".work"

    def spoil(phase: str, done: float, total: float) -> None:
        if phase == "rows" and not (tmp_path / "aside").exists():
            work.rename(tmp_path / "aside")
            work.touch()

    request = Request(curriculum=("shuffled",), layout=Layout(unit_bytes=1))
    executor: Executor = Serial() if workers == 1 else Process(workers)
    with pytest.raises(OutputError, match=r"out.*: cannot be written \(.*Not a directory"):
        curate(findings, RULES, tmp_path / "out", request, on_progress=spoil, executor=executor)


def test_a_disk_that_fills_up_while_rows_are_written_is_named(tmp_path: Path, foxing: Callable[..., Answer]) -> None:
    write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(900, 1)}))
    foxing("scan", tmp_path / "in", "-o", tmp_path / "audit", "--signals", "document", "--workers", 1)
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, most))
    try:
        answer = foxing("curate", tmp_path / "audit", "-o", tmp_path / "out", "--curriculum", "shuffled")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert answer.code == 2
    assert f"error: {tmp_path / 'out'}" in answer.err and "cannot be written" in answer.err, answer.err
    assert foxing("curate", tmp_path / "audit", "-o", tmp_path / "out", "--curriculum", "shuffled").code == 0


def test_curate_takes_workers_on_the_command_line(tmp_path: Path, foxing: Callable[..., Answer]) -> None:
    write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(60, 1)}))
    foxing("scan", tmp_path / "in", "-o", tmp_path / "audit", "--signals", "document", "--workers", 1)
    for workers in (1, 2):
        out = tmp_path / f"out-{workers}"
        answer = foxing("curate", tmp_path / "audit", "-o", out, "--curriculum", "shuffled", "--workers", workers)
        assert answer.code == 0, answer.err
    assert output(tmp_path / "out-1") == output(tmp_path / "out-2") != {}
    answer = foxing("curate", tmp_path / "audit", "-o", tmp_path / "out-3", "--ray-address", "auto")
    assert answer.code == 2 and "--executor ray" in answer.err
