"""The whole of a curate: resume, refusals, accounting, moved inputs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.findings_folder import FailedShard, Findings
from curricula.budgets import Budget
from curricula.curate import Request, curate, preview
from curricula.manifest import accounting
from curricula.sections import Shape
from curricula.undo import undo
from curricula.verify import verify
from detectors.errors import ConfigError, FindingsError, FoxingError, InputError, OutputError, PluginError
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import DROPPING, RULES, make_findings, margins, patch_calibration
from tests.curricula.test_emit import SMALL

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    inputs = [
        write_parquet(tmp_path / "in" / f"{name}.parquet", pa.table({"text": texts(rows, rows), "key": range(rows)}))
        for name, rows in (("a", 300), ("b", 200))
    ]
    return make_findings(tmp_path / "audit", inputs)


def tree(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def wide(**fields: object) -> Request:
    return dataclasses.replace(Request(layout=SMALL, allow_loss=1.0), **fields)  # type: ignore[arg-type]


def test_same_request_gives_the_same_bytes(tmp_path: Path, findings: Findings) -> None:
    for name in ("one", "two"):
        curate(findings, RULES, tmp_path / name, wide(drop=("FX101",)))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert len(tree(tmp_path / "one")) > 5
    assert not (tmp_path / "one" / ".work").exists()


def test_another_seed_gives_another_order(tmp_path: Path, findings: Findings) -> None:
    for seed in (1, 2):
        curate(findings, RULES, tmp_path / str(seed), wide(curriculum=("shuffled",), seed=seed))
    one, two = (pq.read_table(tmp_path / str(seed) / "data").column("key").to_pylist() for seed in (1, 2))
    assert one != two
    assert sorted(one) == sorted(two)


def test_killed_curate_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    inputs = [
        write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(250, n)}), rows_per_group=50)
        for n in range(3)
    ]
    make_findings(tmp_path / "audit", inputs, clusters_of={"1.parquet": [at // 9 for at in range(250)]})
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.curricula.kill_me"]
    arguments = [str(tmp_path / name) for name in ("audit", "calm", "killed")]
    found = subprocess.run([*command, *arguments, "20", "7"], cwd=ROOT, check=True, capture_output=True, text=True)
    killed, at_renames = (int(word) for word in found.stdout.split())
    assert killed == 20
    assert at_renames >= 8, "the manifest among them, before and after it has its name"
    assert len(tree(tmp_path / "calm")) > 5
    for name in ("killed", "killed-renames"):
        assert tree(tmp_path / name) == tree(tmp_path / "calm")
        assert sorted(tmp_path.joinpath(name).iterdir()) == sorted(
            tmp_path / name / entry.name for entry in (tmp_path / "calm").iterdir()
        ), "nothing of the work is left"


class StoppedError(Exception):
    """A death at a chosen step."""


REQUESTS = {
    "ordered": {},
    "as it was": {"curriculum": ("original",)},
    "divided": {"shape": Shape(0.2, 4, 25), "budget": Budget(rows=200), "layout": replace(SMALL, file_rows=30)},
    "even": {"curriculum": ("original",), "layout": replace(SMALL, text_bytes=9_000)},
}


@settings(max_examples=24, deadline=None)
@given(st.integers(1, 60), st.sampled_from(list(REQUESTS)))
def test_stop_at_any_step_resumes_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, step: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("stop")
    inputs = [
        write_parquet(folder / "in" / f"{n}.parquet", pa.table({"text": texts(120, n)}), rows_per_group=20)
        for n in range(3)
    ]
    findings = make_findings(folder / "audit", inputs, clusters_of={"0.parquet": [at // 5 for at in range(120)]})
    left = step

    def stop(phase: str, done: float, total: float) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise StoppedError

    request = wide(drop=("FX101",), **REQUESTS[kind])
    try:
        curate(findings, RULES, folder / "out", request, on_progress=stop)
    except StoppedError:
        assert not (folder / "out" / "manifest.json").exists()
    curate(findings, RULES, folder / "out", request)
    curate(findings, RULES, folder / "whole", request)
    assert tree(folder / "out") == tree(folder / "whole")


def test_finished_files_are_not_written_again(tmp_path: Path, findings: Findings) -> None:
    def stop(phase: str, done: float, total: float) -> None:
        if phase == "rows" and done > 0.9 * total:
            raise StoppedError

    with pytest.raises(StoppedError):
        curate(findings, RULES, tmp_path / "out", wide(), on_progress=stop)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "data").iterdir()}
    assert len(before) > 1
    curate(findings, RULES, tmp_path / "out", wide())
    first = min(before)
    assert first.stat().st_mtime_ns == before[first]


def test_finished_output_is_left_alone(tmp_path: Path, findings: Findings) -> None:
    assert not curate(findings, RULES, tmp_path / "out", wide()).already
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert curate(findings, RULES, tmp_path / "out", wide()).already
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}


def test_another_request_in_the_same_folder_is_refused_unless_fresh(tmp_path: Path, findings: Findings) -> None:
    curate(findings, RULES, tmp_path / "out", wide())
    with pytest.raises(ConfigError, match="--fresh"):
        curate(findings, RULES, tmp_path / "out", wide(curriculum=("original",)))
    curate(findings, RULES, tmp_path / "out", wide(curriculum=("original",), drop=("FX101",)), fresh=True)
    curate(findings, RULES, tmp_path / "new", wide(curriculum=("original",), drop=("FX101",)))
    assert tree(tmp_path / "out") == tree(tmp_path / "new")


def test_beginning_of_another_request_is_refused_with_the_difference(tmp_path: Path, findings: Findings) -> None:
    def stop(phase: str, done: float, total: float) -> None:
        if phase == "rows":
            raise StoppedError

    with pytest.raises(StoppedError):
        curate(findings, RULES, tmp_path / "out", wide(seed=1), on_progress=stop)
    with pytest.raises(ConfigError, match="seed: 1 before, 2 now"):
        curate(findings, RULES, tmp_path / "out", wide(seed=2))


def test_folder_of_others_is_refused_even_when_fresh(tmp_path: Path, findings: Findings) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for fresh in (False, True):
        with pytest.raises(OutputError, match="not empty"):
            curate(findings, RULES, tmp_path / "out", wide(), fresh=fresh)
    assert tree(tmp_path / "out").keys() == {"thesis.txt"}


def test_strange_file_in_data_is_refused_before_the_manifest(tmp_path: Path, findings: Findings) -> None:
    out, strange = tmp_path / "out", tmp_path / "out" / "data" / "strange.parquet"

    def stop(phase: str, done: float, total: float) -> None:
        if phase == "rows":
            raise StoppedError

    with pytest.raises(StoppedError):
        curate(findings, RULES, out, wide(), on_progress=stop)
    write_parquet(strange, pa.table({"text": ["mine"]}))
    before = strange.read_bytes()
    with pytest.raises(OutputError, match=r"strange\.parquet: does not belong to this output"):
        curate(findings, RULES, out, wide())
    assert not (out / "manifest.json").exists()
    assert strange.read_bytes() == before
    strange.unlink()
    curate(findings, RULES, out, wide())
    curate(findings, RULES, tmp_path / "whole", wide())
    assert tree(out) == tree(tmp_path / "whole")


def test_two_curates_into_one_folder_do_not_meet(tmp_path: Path, findings: Findings) -> None:
    met: list[dict[str, str]] = []

    def second(phase: str, done: float, total: float) -> None:
        if phase == "rows" and not met:
            met.append(tree(tmp_path / "out"))
            for fresh in (False, True):
                with pytest.raises(OutputError, match=rf"in use by process {os.getpid()} "):
                    curate(findings, RULES, tmp_path / "out", wide(), fresh=fresh)
            assert tree(tmp_path / "out") == met[0]

    curate(findings, RULES, tmp_path / "out", wide(), on_progress=second)
    assert met
    assert not (tmp_path / "out" / ".lock").exists()
    curate(findings, RULES, tmp_path / "whole", wide())
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@dataclasses.dataclass(frozen=True)
class Twice:
    """Orders as the corpus does, and writes every row twice."""

    name: ClassVar[str] = "twice"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 0

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        return decided.select("index", rank=pl.col("index"), copies=pl.lit(2))


def test_copied_rows_do_not_hide_a_row_that_changed(
    tmp_path: Path, findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricula.composing.load", lambda group, name: Twice)
    made = curate(findings, RULES, tmp_path / "out", wide(curriculum=("twice",), drop=("FX101",)))
    totals = made.manifest.totals()
    assert totals["rows_out"] == 2 * totals["kept"]
    assert totals["dropped"] > 0
    assert verify(tmp_path / "out").problems == []
    (shard, *others) = made.manifest.inputs
    broken = dataclasses.replace(shard, content=shard.content ^ 1)
    problems = accounting(dataclasses.replace(made.manifest, inputs=(broken, *others)))
    assert problems == [f"{shard.key}: kept and dropped rows are not the rows read"]


def test_rows_without_a_score_follow_in_corpus_order_whatever_the_reason(tmp_path: Path) -> None:
    """Null text, a detector that abstained, a signal that raised, and a row that no signal measured."""
    rows = 62
    bodies: list[str | None] = list(texts(rows))
    found: list[float | None] = [(row * 37 % 41) / 41 for row in range(rows)]
    for row in (3, 40):
        bodies[row] = found[row] = None
    found[7] = found[21] = None
    found[50] = float("nan")
    raised = [11, 45]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": bodies, "key": range(rows)}))
    findings = make_findings(tmp_path / "audit", [path], {"a.parquet": found}, faults_of={"a.parquet": raised})
    made = curate(findings, RULES, tmp_path / "out", wide())
    table = pq.read_table(tmp_path / "out" / "data")
    keys = table.column("key").to_pylist()
    unscored = sorted([3, 40, 7, 21, 50, *raised, 30, 61])
    assert keys[-len(unscored) :] == unscored
    scores = [found[key] for key in keys[: -len(unscored)]]
    assert scores == sorted(score for score in scores if score is not None)
    assert made.manifest.unranked == made.manifest.totals()["unscored"] == len(unscored)
    assert [table.column("text")[keys.index(row)].as_py() for row in (3, 40)] == [None, None]
    assert made.manifest.totals()["kept"] == rows


def test_source_that_would_lose_too_much_stops_everything(tmp_path: Path) -> None:
    paths = [
        write_parquet(tmp_path / "in" / f"{name}.parquet", pa.table({"text": texts(40)})) for name in ("good", "bad")
    ]
    found: dict[str, list[float | None]] = {"good.parquet": [0.0] * 40, "bad.parquet": [*[0.9] * 24, *[0.0] * 16]}
    findings = make_findings(tmp_path / "audit", paths, found)
    with pytest.raises(OutputError, match=r"bad\S* 60\.0% \(24 of 40 rows\).*--allow-loss bad=0\.60"):
        curate(findings, RULES, tmp_path / "out", Request(drop=("FX101",)))
    assert not (tmp_path / "out").exists()
    curate(findings, RULES, tmp_path / "out", Request(drop=("FX101",), allow_loss=0.6))


def test_exactly_half_may_be_lost(tmp_path: Path) -> None:
    paths = [write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(20)}))]
    findings = make_findings(tmp_path / "audit", paths, {"a.parquet": [0.9] * 10 + [0.0] * 10})
    assert preview(findings, RULES, Request(drop=("FX101",))).refusal is None


def test_sources_are_those_of_the_scan(tmp_path: Path) -> None:
    paths = [write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(30)}))]
    findings = make_findings(
        tmp_path / "audit", paths, {"a.parquet": [0.9, 0.0, 0.0] * 10}, {"a.parquet": ["bad", "good", "good"] * 10}
    )
    found = preview(findings, RULES, Request(drop=("FX101",)))
    assert [(counts.name, counts.rows, counts.kept) for counts in found.tally.sources] == [
        ("bad", 10, 0),
        ("good", 20, 20),
    ]
    assert found.refusal is not None
    assert "bad" in found.refusal


def test_empty_output_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    paths = [write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(20)}))]
    findings = make_findings(tmp_path / "audit", paths, {"a.parquet": [0.9] * 20})
    with pytest.raises(OutputError, match="all 20 rows"):
        curate(findings, RULES, tmp_path / "out", Request(drop=("FX101",), allow_loss=1.0))
    assert not (tmp_path / "out").exists()


def test_unmeasured_row_is_never_dropped(tmp_path: Path, findings: Findings) -> None:
    with pytest.raises(ConfigError, match="never dropped"):
        curate(findings, RULES, tmp_path / "out", wide(drop=("FX9",)))
    curate(findings, RULES, tmp_path / "out", wide(drop=("FX101", "FX201")))
    kept = pq.read_table(tmp_path / "out" / "data").column("key").to_pylist()
    assert set(range(30, 200, 31)) <= set(kept)


@pytest.mark.parametrize(("drop", "said"), [("FX202", "not measured"), ("FX7", "no rule begins"), ("FX110", "FX101")])
def test_rule_that_was_not_measured_or_does_not_exist_is_refused(
    tmp_path: Path, findings: Findings, drop: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        curate(findings, RULES, tmp_path / "out", wide(drop=(drop,)))


def test_prefix_drops_what_was_measured_of_it(findings: Findings) -> None:
    assert preview(findings, RULES, wide(drop=("FX2", "FX101"))).drop == ("FX101", "FX201")


def test_rule_whose_action_is_drop_drops_without_being_named(findings: Findings) -> None:
    assert preview(findings, (*RULES, DROPPING), wide()).drop == ("MY101",)


def test_curriculum_that_needs_an_absent_signal_is_refused(tmp_path: Path, findings: Findings) -> None:
    bare = dataclasses.replace(findings, signals=findings.signals[:1])
    with pytest.raises(ConfigError, match="human-first needs ai_text"):
        preview(bare, RULES, wide())
    with pytest.raises(PluginError, match="human-first"):
        preview(findings, RULES, wide(curriculum=("human-frist",)))


def test_changed_input_is_refused_by_name(tmp_path: Path, findings: Findings) -> None:
    path = tmp_path / "in" / "b.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(InputError, match=r"b\.parquet: changed since it was scanned"):
        curate(findings, RULES, tmp_path / "out", wide())
    assert not (tmp_path / "out").exists()


def test_missing_input_is_refused_and_found_where_it_moved(tmp_path: Path, findings: Findings) -> None:
    curate(findings, RULES, tmp_path / "stayed", wide())
    shutil.move(tmp_path / "in", tmp_path / "elsewhere")
    with pytest.raises(InputError, match="--corpus"):
        curate(findings, RULES, tmp_path / "out", wide())
    with pytest.raises(InputError, match="is not below"):
        curate(findings, RULES, tmp_path / "out", wide(corpus=str(tmp_path / "audit")))
    curate(findings, RULES, tmp_path / "out", wide(corpus=str(tmp_path / "elsewhere")))
    assert tree(tmp_path / "out") == tree(tmp_path / "stayed")
    assert verify(tmp_path / "out").absent == [shard.key for shard in findings.shards]
    assert verify(tmp_path / "out", corpus=str(tmp_path / "elsewhere")).absent == []


def test_shards_that_were_not_scanned_stop_the_run(tmp_path: Path, findings: Findings) -> None:
    torn = dataclasses.replace(findings, failed=(FailedShard("x.parquet", "FX903", "is a pointer"),))
    with pytest.raises(FindingsError, match=r"x\.parquet"):
        curate(torn, RULES, tmp_path / "out", wide())


@pytest.mark.parametrize("out", ["in", "in/out", "audit", "audit/out", "."])
def test_output_inside_input_or_findings_is_refused(tmp_path: Path, findings: Findings, out: str) -> None:
    before = tree(tmp_path)
    with pytest.raises(FoxingError):
        curate(findings, RULES, tmp_path / out, wide())
    assert tree(tmp_path) == before


def test_output_beside_a_single_scanned_file_is_allowed(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", pa.table({"text": texts(20)}))
    findings = make_findings(tmp_path / "audit", [path])
    curate(findings, RULES, tmp_path / "out", wide())


def test_manifest_accounts_for_every_shard_and_rule(tmp_path: Path, findings: Findings) -> None:
    curate(findings, RULES, tmp_path / "out", wide(drop=("FX101", "FX201")))
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for shard in record["inputs"]:
        assert shard["rows"] == shard["kept"] + shard["dropped"] + shard["errored"]
        assert shard["dropped"] == sum(shard["dropped_by"].values())
    assert record["totals"]["rows"] == 500
    assert record["totals"]["unscored"] == record["unranked"] > 0
    assert record["rules"]["FX101"]["dropped"] == record["rules"]["FX101"]["hits"]
    assert 0 < record["rules"]["FX201"]["dropped"] < record["rules"]["FX201"]["hits"]
    assert sum(file["rows"] for file in record["data"]) == record["totals"]["rows_out"]
    assert record["signature"].startswith("foxing:")


def test_sums_of_a_preview_are_those_of_the_rows(findings: Findings) -> None:
    found = preview(findings, RULES, wide(drop=("FX101",)))
    (one, two), total = found.tally.sources, found.tally.total
    assert total.rows == one.rows + two.rows == 500
    assert total.after.score is not None
    assert total.before.score is not None
    assert total.after.score < total.before.score
    assert total.after.words == sum(counts.after.words or 0 for counts in (one, two))
    expected = [value for value in margins(300, 9 + 300) if value is not None]
    assert one.rows - one.before.unscored <= len(expected)


def test_schemas_share_a_budget_and_are_divided_each_for_itself(tmp_path: Path) -> None:
    tables = {
        "a": pa.table({"text": texts(100, 1), "key": range(100)}),
        "b": pa.table({"text": texts(80, 2), "key": range(100, 180)}),
        "c": pa.table({"text": texts(60, 3), "key": [f"{at}" for at in range(180, 240)]}),
    }
    inputs = [write_parquet(tmp_path / "in" / f"{name}.parquet", table) for name, table in tables.items()]
    findings = make_findings(tmp_path / "audit", inputs, clusters_of={"b.parquet": [at // 8 for at in range(80)]})
    request = wide(budget=Budget(rows=150), shape=Shape(0.3, 3, 8), drop=("FX101",))
    made = curate(findings, RULES, tmp_path / "out", request).manifest
    assert made.totals()["rows_out"] == 150
    assert sum(made.sections().values()) == 150
    rows = {series.name: sum(section.rows for section in series.sections) for series in made.series}
    assert rows == {
        name: pq.read_table(tmp_path / "out" / "data" / name, partitioning=None).num_rows
        for name in ("schema-00", "schema-01")
    }
    assert all(rows.values())
    held = {
        part: {
            int(key)
            for file in (tmp_path / "out" / "data").glob(f"*/{part}/**/*.parquet")
            for key in pq.read_table(file, partitioning=None).column("key").to_pylist()
        }
        for part in ("train", "validation")
    }
    for cluster in range(10):
        members = {100 + at for at in range(80) if at // 8 == cluster}
        assert not (members & held["train"] and members & held["validation"])
    assert verify(tmp_path / "out").problems == []
    for file in undo(tmp_path / "out", tmp_path / "back").files:
        assert pq.read_table(file).equals(tables[file.stem])


def test_first_rows_of_a_budget_are_those_of_the_whole_order(tmp_path: Path, findings: Findings) -> None:
    curate(findings, RULES, tmp_path / "whole", wide(drop=("FX101",)))
    curate(findings, RULES, tmp_path / "some", wide(drop=("FX101",), budget=Budget(rows=90)))
    whole, some = (pq.read_table(tmp_path / name / "data").column("key").to_pylist() for name in ("whole", "some"))
    assert some == whole[:90]
    dropped = pq.read_table(tmp_path / "some" / "dropped")
    reasons = dropped.column("foxing_dropped_by").to_pylist()
    assert reasons.count("budget") == len(whole) - 90
    assert set(reasons) == {"budget", "FX101"}
    rules = dropped.column("foxing_rules").to_pylist()
    assert all((hits[-1] == "budget") == (reason == "budget") for hits, reason in zip(rules, reasons, strict=True))
