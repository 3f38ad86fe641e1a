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
    assert (done.code, done.err) == (0, "")
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


def test_output_is_required(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit)
    assert done.code == 2
    assert "--output" in done.err
