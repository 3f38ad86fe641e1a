"""`foxing curate` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Answer
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import make_findings, patch_calibration

Run = Callable[..., Answer]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    patch_calibration(monkeypatch)
    paths = [
        write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(n), "key": range(n)})) for n in (60, 80)
    ]
    found: dict[str, list[float | None]] = {
        "60.parquet": [*[8.0] * 20, *[0.0] * 40],
        "80.parquet": [*[None] * 30, *[-1.0] * 50],
    }
    make_findings(tmp_path / "audit", paths, found)
    return tmp_path / "audit"


def test_writes_shards_and_says_where(foxing: Run, tmp_path: Path, audit: Path) -> None:
    done = foxing("curate", audit, "-o", tmp_path / "out", "--drop", "FX101")
    assert done.code == 0 and "warning" not in done.err and "error" not in done.err
    for said in ("140 rows in = 120 kept + 20 dropped + 0 errored", "dropped by FX101: 20 rows", "foxing verify"):
        assert said in done.out
    assert pq.read_table(tmp_path / "out" / "data").num_rows == 120
    assert "nothing to do" in foxing("curate", audit, "-o", tmp_path / "out", "--drop", "FX101").out


def test_dry_run_shows_each_source_and_writes_nothing(foxing: Run, tmp_path: Path, audit: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = foxing("curate", audit, "-o", tmp_path / "out", "--drop", "FX101", "--dry-run")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "source",
        "rows",
        "in",
        "FX101",
        "kept",
        "lost",
        "unscored",
        "words",
        "kept",
        "mean",
        "score",
        "after",
    ]
    assert lines[2].split()[1:6] == ["60", "20", "40", "33.3%", "1"]
    assert next(line for line in lines if line.startswith("total")).split()[1:5] == ["140", "20", "120", "14.3%"]
    assert lines[-1] == "nothing was written"
    assert sorted(tmp_path.rglob("*")) == before


def test_dry_run_of_a_refused_request_shows_the_table_and_exits_2(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit, "--drop", "FX101", "--allow-loss", "0.1", "--dry-run")
    assert done.code == 2
    assert "total" in done.out
    assert "--allow-loss 0.34" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--drop", "FX101", "--allow-loss", "0.1"], "60 33.3% (20 of 60 rows)"),
        (["--curriculum", "human-frist"], "Did you mean 'human-first'?"),
        (["--curriculum", "human-first,shuffled"], "both set an order"),
        (["--drop", "FX201"], "not measured"),
        (["--corpus", "/nowhere"], "/nowhere"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    foxing: Run, tmp_path: Path, audit: Path, arguments: list[str], said: str
) -> None:
    done = foxing("curate", audit, "-o", tmp_path / "out", *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_seed_and_curriculum_choose_the_order(foxing: Run, tmp_path: Path, audit: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        assert foxing("curate", audit, "-o", tmp_path / name, "--curriculum", "shuffled", "--seed", seed).code == 0
    one, again, two = (
        pq.read_table(tmp_path / name / "data").column("key").to_pylist() for name in ("one", "again", "two")
    )
    assert one == again != two


def test_remote_output_is_refused_and_makes_no_folder(
    foxing: Run, tmp_path: Path, audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = foxing("curate", audit, "-o", "s3://bucket/out")
    assert done.code == 2
    assert "s3://bucket/out: output must be a local folder" in done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_names_from_data_reach_the_terminal_without_control_characters(
    foxing: Run, tmp_path: Path, audit: Path
) -> None:
    table = pa.table({"text": texts(20), "\x1b[31mred": pa.array(range(20), pa.timestamp("s"))})
    path = tmp_path / "odd" / "a.arrow"
    path.parent.mkdir()
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    make_findings(tmp_path / "odd-audit", [path])
    done = foxing("curate", tmp_path / "odd-audit", "-o", tmp_path / "odd-out")
    assert done.code == 0
    assert "red" in done.err
    assert "\x1b" not in done.err + done.out


def test_output_is_required(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit)
    assert done.code == 2
    assert "--output" in done.err


def test_a_null_among_dictionary_values_is_kept_as_a_null(foxing: Callable[..., Answer], tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 2], pa.int8()), pa.array(["a", None, "c"]))
    table = pa.table({"text": ["one two"] * 5, "kind": column})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert foxing("scan", tmp_path / "a.arrow", "-o", tmp_path / "audit", "--signals", "document").code == 0
    made = foxing("curate", tmp_path / "audit", "-o", tmp_path / "out", "--curriculum", "original")
    assert made.code == 0, made.err
    assert foxing("verify", tmp_path / "out" / "manifest.json").code == 0
    found = pq.read_table(tmp_path / "out" / "data").column("kind")
    assert found.to_pylist() == ["a", None, "c", None, "c"] and found.type == column.type
