"""Undoing a curate gives back every row, in its order, whatever was done."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricula.budgets import Budget
from curricula.curate import Request, curate
from curricula.edit import original_name
from curricula.part_files import sha256
from curricula.sections import Shape
from curricula.undo import undo
from curricula.verify import verify
from detectors.errors import InputError, OutputError
from tests.corpora import awkward_table, texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration
from tests.curricula.spooled import Resampled
from tests.curricula.test_edited_output import chats, made, qa
from tests.curricula.test_emit import SMALL, awkward


@pytest.fixture(autouse=True)
def _calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)


def small(**fields: Any) -> Request:
    return dataclasses.replace(Request(layout=SMALL, allow_loss=1.0, drop=("FX101",)), **fields)


REQUESTS = {
    "human-first": small(),
    "original": small(curriculum=("original",)),
    "resampled": small(curriculum=("resampled",), tables={"resampled": {"copies": tuple([0, 1, 3, 2] * 75)}}),
    "divided": small(shape=Shape(0.3, 4, 20), budget=Budget(rows=150)),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_rebuilt_files_equal_those_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if kind == "resampled":
        monkeypatch.setattr("curricula.composing.load", lambda group, name: Resampled)
    inputs = [
        write_parquet(tmp_path / "in" / "sub" / "a.parquet", awkward(160, 1)),
        write_parquet(tmp_path / "in" / "b.parquet", awkward(140, 2)),
    ]
    clusters = {path.name: [at // 4 for at in range(200)][: pq.read_metadata(path).num_rows] for path in inputs}
    findings = make_findings(tmp_path / "audit", inputs, clusters_of=clusters)
    curate(findings, RULES, tmp_path / "out", REQUESTS[kind])
    for path in inputs:
        path.rename(path.with_suffix(".gone"))
    done = undo(tmp_path / "out", tmp_path / "back")
    assert done.rows == 300
    assert sorted(file.name for file in done.files) == ["a.parquet", "b.parquet"]
    for file in done.files:
        back, was = pq.read_table(file), pq.read_table(tmp_path / "in" / _below(file, tmp_path).with_suffix(".gone"))
        assert back.schema.equals(was.schema, check_metadata=True)
        for name in set(was.schema.names) - {"odd"}:
            assert back.column(name).to_pylist() == was.column(name).to_pylist(), name
        assert [str(value) for value in back.column("odd")] == [str(value) for value in was.column("odd")]
    assert not (tmp_path / "back" / ".work").exists()


def _below(file: Path, root: Path) -> Path:
    return Path("sub/a") if file.name == "a.parquet" else Path("b")


def test_replaced_answers_come_back(tmp_path: Path) -> None:
    for number, table in enumerate((qa(70), chats(70))):
        folder = tmp_path / str(number)
        written = made(folder, table, "correct-false", "shuffled")
        assert written.column(original_name(table.schema)).null_count < 70
        (file,) = undo(folder / "out" / "manifest.json", folder / "back").files
        assert pq.read_table(file).equals(table)


def test_inputs_of_other_formats_and_schemas_come_back_as_parquet(tmp_path: Path) -> None:
    lines = tmp_path / "in" / "l.jsonl"
    lines.parent.mkdir()
    lines.write_text("".join(json.dumps({"text": text, "n": at}) + "\n" for at, text in enumerate(texts(60))))
    inputs = [lines, write_parquet(tmp_path / "in" / "p.parquet", awkward_table(50, 1))]
    empty = write_parquet(tmp_path / "in" / "q.parquet", awkward_table(50, 1).slice(0, 0))
    findings = make_findings(tmp_path / "audit", [*inputs, empty])
    curate(findings, RULES, tmp_path / "out", small())
    done = undo(tmp_path / "out", tmp_path / "back")
    tables = {file.name.partition(".")[0]: pq.read_table(file) for file in done.files}
    assert tables["l"].column("text").to_pylist() == texts(60)
    assert tables["l"].column("n").to_pylist() == list(range(60))
    assert tables["p"].equals(awkward_table(50, 1))
    assert tables["q"].num_rows == 0


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(200), "n": range(200)}))
    curate(make_findings(tmp_path / "audit", [path]), RULES, tmp_path / "out", small())
    return tmp_path / "out"


def _swap(out: Path) -> None:
    file = out / "data" / "part-00000.parquet"
    table = pq.read_table(file)
    pq.write_table(table.take([1, 0, *range(2, table.num_rows)]), file)


def _lose(out: Path) -> None:
    (out / "dropped" / "part-00000.parquet").unlink()


def _cut(out: Path) -> None:
    file = out / "data" / "part-00000.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)


def _change(out: Path) -> None:
    file = out / "data" / "part-00000.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(0, "text", pa.array(["x"] * table.num_rows)), file)


def _forget(out: Path) -> None:
    (out / "plan.parquet").unlink()


@pytest.mark.parametrize("harm", [_swap, _lose, _cut, _change, _forget])
def test_output_that_was_harmed_rebuilds_nothing(tmp_path: Path, out: Path, harm: Callable[[Path], None]) -> None:
    harm(out)
    with pytest.raises(InputError):
        undo(out, tmp_path / "back")
    assert not list((tmp_path / "back").glob("*.parquet"))


def test_verify_says_whether_undo_is_possible(tmp_path: Path, out: Path) -> None:
    assert verify(out).problems == []
    _swap(out)
    assert verify(out).problems


def test_folder_with_something_else_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "thesis.txt").write_text("mine")
    for where, said in (
        (tmp_path / "back", "not empty"),
        (out / "back", "inside the other"),
        (out, "inside the other"),
    ):
        with pytest.raises(OutputError, match=said):
            undo(out, where)
    assert (tmp_path / "back" / "thesis.txt").read_text() == "mine"


def test_killed_undo_goes_on(tmp_path: Path, out: Path) -> None:
    pid = os.fork()
    if pid == 0:
        undo(out, tmp_path / "back", advance=lambda rows: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert not list((tmp_path / "back").glob("*.parquet"))
    (file,) = undo(out, tmp_path / "back").files
    assert pq.read_table(file).column("n").to_pylist() == list(range(200))


def test_manifest_that_leads_elsewhere_writes_nothing_there(tmp_path: Path, out: Path) -> None:
    record = json.loads((out / "manifest.json").read_text())
    record["inputs"][0]["key"] = "../elsewhere"
    (out / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(InputError):
        undo(out, tmp_path / "back")
    assert not list(tmp_path.glob("elsewhere*"))


def _forged(out: Path, place: tuple[str | int, ...], value: object) -> None:
    """The manifest with another value in one place."""
    record = json.loads((out / "manifest.json").read_text())
    part = record
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    (out / "manifest.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("series", 0, "dropped_columns", 0), "x"),
        (("series", 0, "dropped_columns"), ["foxing_rules"]),
        (("series", 0, "original"), "x"),
        (("series", 0, "layout"), None),
        (("series", 0, "layout"), "answer(question, nowhere)"),
        (("series", 0, "seed"), "x"),
        (("series", 0, "sections"), []),
        (("series", 0, "sections", 0, "rows"), 0),
        (("series", 0, "sections", 0, "rows"), 10**12),
        (("data", 0, "rows"), 10**12),
        (("data", 0, "path"), "k" * 300),
        (("data", 0, "path"), "\ud800"),
        (("plan", "path"), "k" * 300),
        (("inputs", 0, "key"), "\ud800"),
        (("inputs", 0, "rows"), 10**12),
        (("run",), "\ud800"),
    ],
)
def test_manifest_with_a_value_that_cannot_be_is_refused_in_words(
    tmp_path: Path, place: tuple[str | int, ...], value: object
) -> None:
    made(tmp_path, qa(40), "correct-false", "shuffled")
    out = tmp_path / "out"
    assert verify(out).problems == []
    _forged(out, place, value)
    with pytest.raises(InputError):
        undo(out, tmp_path / "back")
    assert not list((tmp_path / "back").rglob("*.parquet"))
    try:
        assert verify(out).problems
    except InputError as error:
        assert "manifest.json" in str(error)


def test_sizes_are_those_of_the_files_and_not_what_a_manifest_says(tmp_path: Path, out: Path) -> None:
    record = json.loads((out / "manifest.json").read_text())
    (shard,), (series,), data = record["inputs"], record["series"], record["data"]
    more = 10**12
    for part, name in ((shard, "rows"), (shard, "kept"), (shard, "rows_out"), (data[-1], "rows")):
        part[name] += more
    series["sections"][-1]["rows"] += more
    (out / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"were written\. Without it rows are missing"):
        undo(out, tmp_path / "back")


@pytest.mark.parametrize("plan", [b"PAR1", None, "rank"])
def test_plan_that_is_none_is_refused_though_its_digest_is_forged(tmp_path: Path, plan: bytes | str | None) -> None:
    made(tmp_path, qa(40), "correct-false", "shuffled")
    out = tmp_path / "out"
    file = out / "plan.parquet"
    table = pq.read_table(file)
    if isinstance(plan, bytes):
        file.write_bytes(plan)
    elif plan is None:
        pq.write_table(table.drop_columns("rank"), file)
    else:
        far = pa.array([value + 10**9 for value in table.column("rank").to_pylist()], pa.int64())
        pq.write_table(table.set_column(table.schema.get_field_index("rank"), table.schema.field("rank"), far), file)
    _forged(out, ("plan", "sha256"), sha256(file))
    with pytest.raises(InputError, match=re.escape("plan.parquet")):
        undo(out, tmp_path / "back")
    assert any("plan.parquet" in problem for problem in verify(out).problems)


def test_a_file_and_a_folder_that_would_have_one_name_both_come_back(tmp_path: Path) -> None:
    inputs = [write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(n)})) for n in (20, 30)]
    request = small(curriculum=("original",), drop=())
    curate(make_findings(tmp_path / "audit", inputs), RULES, tmp_path / "out", request)
    _forged(tmp_path / "out", ("inputs", 1, "key"), "20.parquet/b")
    done = undo(tmp_path / "out", tmp_path / "back")
    assert [pq.read_metadata(file).num_rows for file in done.files] == [20, 30]
