"""Output in a store is that of a folder on disk, byte for byte, and nothing unfinished looks finished in it."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.findings_folder import Findings
from curricula.curate import curate
from curricula.output import Output
from curricula.sections import Shape
from curricula.undo import undo
from curricula.verify import verify
from detectors.errors import ConfigError, InputError, OutputError
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration
from tests.curricula.test_curate import ROOT, tree, wide
from tests.curricula.test_emit import SMALL
from tests.stores import S3Server

URL = "s3://bucket/sets/out"
PREFIX = "sets/out/"


@pytest.fixture(autouse=True)
def _calibration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patch_calibration(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    inputs = [
        write_parquet(tmp_path / "in" / f"{name}.parquet", pa.table({"text": texts(rows, rows), "key": range(rows)}))
        for name, rows in (("a", 300), ("b", 200))
    ]
    return make_findings(tmp_path / "audit", inputs)


def stored(s3: S3Server) -> dict[str, bytes]:
    return {key.removeprefix(PREFIX): s3.get(key) for key in s3.objects() if key.startswith(PREFIX)}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in tree(folder)}


@pytest.mark.parametrize("curriculum", ["human-first", "original"], ids=["in another order", "as it was"])
def test_output_in_a_store_is_the_output_on_disk(
    tmp_path: Path, findings: Findings, s3: S3Server, curriculum: str
) -> None:
    request = wide(drop=("FX101",), curriculum=(curriculum,), shape=Shape(stages=2))
    curate(findings, RULES, tmp_path / "out", request)
    made = curate(findings, RULES, URL, request, work=tmp_path / "work")
    assert stored(s3) == on_disk(tmp_path / "out")
    assert len(stored(s3)) > 5
    assert made.path == f"{URL}/manifest.json"
    assert [path for path in (tmp_path / "work").rglob("*") if path.is_file()] == []
    assert tree(tmp_path / "in") and curate(findings, RULES, URL, request, work=tmp_path / "work").already


def test_the_manifest_is_sent_after_all_other_files(findings: Findings, s3: S3Server) -> None:
    seen: list[list[str]] = []
    s3.on_request = lambda asked: seen.append(s3.objects())
    curate(findings, RULES, URL, wide())
    before = [keys for keys in seen if f"{PREFIX}manifest.json" not in keys]
    finished = {key for key in s3.objects() if not key.endswith("manifest.json")}
    assert set(before[-1]) == {*finished, f"{PREFIX}.work/run.json"}


def test_it_is_verified_and_undone_where_it_is(tmp_path: Path, findings: Findings, s3: S3Server) -> None:
    curate(findings, RULES, URL, wide(drop=("FX101",)))
    for named in (URL, f"{URL}/", f"{URL}/manifest.json"):
        found = verify(named)
        assert (found.problems, found.inputs, found.rows) == ([], 2, 500)
    back = undo(f"{URL}/manifest.json", tmp_path / "back")
    assert back.rows == 500
    for name in ("a.parquet", "b.parquet"):
        assert pq.read_table(tmp_path / "back" / name).equals(pq.read_table(tmp_path / "in" / name))


def test_verify_tells_what_is_wrong_in_a_store(tmp_path: Path, findings: Findings, s3: S3Server) -> None:
    curate(findings, RULES, URL, wide(drop=("FX101",)))
    first = f"{PREFIX}data/part-00000.parquet"
    whole = s3.get(first)
    s3.put(first, whole[:-9])
    s3.put(f"{PREFIX}data/part-99999.parquet", whole)
    problems = " ".join(verify(URL).problems)
    assert "data/part-00000.parquet: its SHA-256 is not the recorded one" in problems
    assert "data/part-99999.parquet: is not in the manifest" in problems
    with pytest.raises(InputError, match=r"data/part-00000\.parquet"):
        undo(URL, tmp_path / "back")
    with pytest.raises(OutputError, match="is missing or changed"):
        curate(findings, RULES, URL, wide(drop=("FX101",)))
    curate(findings, RULES, URL, wide(drop=("FX101",)), fresh=True)
    assert verify(URL).problems == []


def test_verify_names_a_plan_that_cannot_be_fetched(findings: Findings, s3: S3Server) -> None:
    curate(findings, RULES, URL, wide())
    s3.on_request = lambda asked: s3.fail("GET object", 403, 1) if s3.path.endswith("plan.parquet") else None
    (problem,) = verify(URL).problems
    assert problem.startswith("plan.parquet: cannot be read")


def test_what_is_not_there_is_an_error_of_one_line(s3: S3Server) -> None:
    with pytest.raises(InputError, match="no such file"):
        verify(f"{URL}/manifest.json")
    with pytest.raises(InputError, match="no such file"):
        undo("s3://no-such-bucket/out", "back")


def test_a_folder_that_is_not_ours_is_left_alone(findings: Findings, s3: S3Server) -> None:
    s3.put(f"{PREFIX}theirs.txt", b"keep me")
    for fresh in (False, True):
        with pytest.raises(OutputError, match="holds no output of foxing curate"):
            curate(findings, RULES, URL, wide(), fresh=fresh)
    assert s3.objects() == [f"{PREFIX}theirs.txt"]
    s3.put(f"{PREFIX}.work/run.json", b"[not ours")
    with pytest.raises(OutputError, match="holds no output of foxing curate"):
        curate(findings, RULES, URL, wide())
    s3.put("sets/file", b"a file")
    with pytest.raises(OutputError, match="is a file"):
        curate(findings, RULES, "s3://bucket/sets/file", wide())
    with pytest.raises(OutputError, match="no-such-bucket"):
        curate(findings, RULES, "s3://no-such-bucket/out", wide())


def test_another_request_needs_fresh(findings: Findings, s3: S3Server) -> None:
    curate(findings, RULES, URL, wide())
    with pytest.raises(ConfigError, match="holds the output of another request"):
        curate(findings, RULES, URL, wide(curriculum=("original",)))
    curate(findings, RULES, URL, wide(curriculum=("original",)), fresh=True)
    assert verify(URL).problems == []


class InterruptionError(Exception):
    """What a test interrupts a run with."""


def interrupt(findings: Findings, s3: S3Server, work: Path, *, after: int) -> None:
    """Stop a run at its so many-th file."""

    def progress(phase: str, done: float, total: float) -> None:
        if s3.requests["PUT object"] > after:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        curate(findings, RULES, URL, wide(), work=work, on_progress=progress)
    s3.requests.clear()


@pytest.mark.parametrize("kept", [True, False], ids=["on this machine", "on another machine"])
def test_interrupted_run_goes_on_or_begins_anew(
    tmp_path: Path, findings: Findings, s3: S3Server, *, kept: bool
) -> None:
    curate(findings, RULES, tmp_path / "out", wide())
    all_files = len(tree(tmp_path / "out")) + 1  # the mark
    interrupt(findings, s3, tmp_path / "work", after=3)
    assert f"{PREFIX}manifest.json" not in s3.objects()
    with pytest.raises(ConfigError, match="holds the beginning of another request"):
        curate(findings, RULES, URL, wide(seed=5), work=tmp_path / "work")
    if not kept:
        shutil.rmtree(tmp_path / "work")
    s3.requests.clear()
    curate(findings, RULES, URL, wide(), work=tmp_path / "work")
    assert stored(s3) == on_disk(tmp_path / "out")
    assert (s3.requests["PUT object"] <= all_files - 3) == kept


def test_work_of_a_folder_that_was_cleared_meanwhile_is_not_trusted(
    tmp_path: Path, findings: Findings, s3: S3Server
) -> None:
    interrupt(findings, s3, tmp_path / "work", after=3)
    s3.reset()
    curate(findings, RULES, URL, wide(), work=tmp_path / "work")
    assert verify(URL).problems == []
    s3.reset()
    interrupt(findings, s3, tmp_path / "work", after=3)
    s3.remove(next(key for key in s3.objects() if "/part-" in key))
    with pytest.raises(OutputError, match="is missing or changed since it was written"):
        curate(findings, RULES, URL, wide(), work=tmp_path / "work")
    curate(findings, RULES, URL, wide(), work=tmp_path / "work", fresh=True)
    assert verify(URL).problems == []


@pytest.mark.parametrize("name", ["data/part-00000.parquet", "plan.parquet"])
def test_a_run_whose_folder_another_took_sends_nothing_more(findings: Findings, s3: S3Server, name: str) -> None:
    sent: list[str] = []

    def taken(asked: str) -> None:
        sent.extend([s3.path] if asked == "PUT object" else [])
        if asked == "PUT object" and s3.path.endswith(name):
            s3.put(f"{PREFIX}.work/run.json", json.dumps({"seed": 99}).encode())

    s3.on_request = taken
    with pytest.raises(OutputError, match="was taken by another run"):
        curate(findings, RULES, URL, wide())
    assert sent[-1].endswith(name)
    assert f"{PREFIX}manifest.json" not in s3.objects()


def test_a_worker_that_is_given_the_folder_heeds_whose_it_is(tmp_path: Path, s3: S3Server) -> None:
    output, settings = Output.of(URL, tmp_path / "work"), {"seed": 1}
    output.open(settings, fresh=False)
    sent = pickle.loads(pickle.dumps(output.held(settings)))
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(b"1")
    sent.put(tmp_path / "first", "data/first")
    s3.put(f"{PREFIX}.work/run.json", b"{}")
    with pytest.raises(OutputError, match="was taken by another run"):
        sent.put(tmp_path / "second", "data/second")
    assert sorted(stored(s3)) == [".work/run.json", "data/first"]


def test_a_run_whose_request_another_finished_meanwhile_ends_well(
    tmp_path: Path, findings: Findings, s3: S3Server
) -> None:
    curate(findings, RULES, tmp_path / "out", wide())

    def finished(asked: str) -> None:
        if asked == "PUT object" and s3.path.endswith("data/part-00001.parquet"):
            s3.send(tmp_path / "out", "sets/out")
            s3.remove(f"{PREFIX}.work/run.json")

    s3.on_request = finished
    curate(findings, RULES, URL, wide())
    assert stored(s3) == on_disk(tmp_path / "out")


def test_while_an_output_is_cleared_nothing_says_that_it_is_finished(
    tmp_path: Path, findings: Findings, s3: S3Server
) -> None:
    curate(findings, RULES, URL, wide())
    whole, seen = set(s3.objects()), list[set[str]]()

    def stop(asked: str) -> None:
        seen.append(set(s3.objects()))
        if not any("/data/" in key for key in s3.objects()):
            s3.fail("POST object", 403, 10**6)  # which removes

    s3.on_request = stop
    with pytest.raises(OutputError, match="cannot be cleared"):
        curate(findings, RULES, URL, wide(), fresh=True)
    s3.on_request = lambda asked: None
    s3.fail("", 0, 0)
    assert seen[-1] < whole | {f"{PREFIX}.work/run.json"}
    assert all(whole <= keys for keys in seen if f"{PREFIX}manifest.json" in keys)
    with pytest.raises(ConfigError, match="holds the beginning of another request"):
        curate(findings, RULES, URL, wide())
    curate(findings, RULES, URL, wide(), fresh=True)
    assert set(s3.objects()) == whole


def test_work_is_thrown_away_before_another_run_can_begin_in_it(
    tmp_path: Path, findings: Findings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[str] = []
    remove = shutil.rmtree

    def watched(path: Path, **options: bool) -> None:
        if Path(path).name == ".work" and not (Path(path).parent / ".lock").exists():
            free.append(str(path))
        remove(path, **options)

    monkeypatch.setattr("curricula.output.shutil.rmtree", watched)
    curate(findings, RULES, URL, wide(), work=tmp_path / "work")
    assert free == []
    assert list((tmp_path / "work").iterdir()) == []


def test_killed_while_files_are_sent_it_ends_with_the_same_bytes(
    tmp_path: Path, findings: Findings, s3: S3Server
) -> None:
    curate(findings, RULES, tmp_path / "out", wide(drop=("FX101",)))
    command = [sys.executable, "-m", "tests.curricula.kill_sending", str(tmp_path / "audit"), URL]
    with subprocess.Popen(
        [*command, str(tmp_path / "work"), str(tmp_path / "pid")],
        cwd=ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None

        def run(name: str) -> int:
            """How a run ended that is killed while a file is under way."""

            def kill(asked: str) -> None:
                if asked == "PUT object" and s3.path.endswith(name):
                    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
                    s3.fail(asked, 500, 1)  # what was under way is not stored

            s3.on_request = kill
            print("run", file=child.stdin, flush=True)
            return int(child.stdout.readline())  # type: ignore[union-attr]

        for name in ("data/part-00001.parquet", "manifest.json"):
            assert run(name) == signal.SIGKILL, name
            assert f"{PREFIX}manifest.json" not in s3.objects()
        child.stdin.close()
    s3.on_request = lambda asked: None
    s3.fail("", 0, 0)
    curate(findings, RULES, URL, wide(drop=("FX101",)), work=tmp_path / "work")
    assert stored(s3) == on_disk(tmp_path / "out")


def test_faults_in_passing_are_tried_again(findings: Findings, s3: S3Server) -> None:
    s3.fail("PUT object", 503, 1)
    curate(findings, RULES, URL, wide())
    s3.fail("GET object", 500, 1)
    assert verify(URL).problems == []


def test_faults_that_stay_are_told_and_the_run_goes_on_later(findings: Findings, s3: S3Server) -> None:
    s3.fail("PUT object", 403, 10**6)
    with pytest.raises(OutputError, match=r"s3://bucket/sets/out: cannot be written to .* run it again"):
        curate(findings, RULES, URL, wide())
    s3.fail("", 0, 0)
    curate(findings, RULES, URL, wide())
    assert verify(URL).problems == []


def test_an_output_on_disk_takes_no_folder_of_work(tmp_path: Path, findings: Findings) -> None:
    with pytest.raises(ConfigError, match="--work"):
        curate(findings, RULES, tmp_path / "out", wide(), work=tmp_path / "work")
    assert not (tmp_path / "out").exists()


def test_work_lies_apart_from_findings_and_inputs(tmp_path: Path, findings: Findings, s3: S3Server) -> None:
    for work in (tmp_path / "audit" / "work", tmp_path / "in" / "work"):
        with pytest.raises(OutputError):
            curate(findings, RULES, URL, wide(), work=work)


@pytest.mark.parametrize("url", ["https://example.org/out", "s3://bucket/a*b", "s3://"])
def test_what_cannot_be_written_to_is_refused(tmp_path: Path, findings: Findings, url: str) -> None:
    before = tree(tmp_path)
    for out in (url, Path(url)):
        with pytest.raises(OutputError, match="cannot be written to"):
            curate(findings, RULES, out, wide())
    assert tree(tmp_path) == before


def test_stores_without_whole_writes_are_sent_files_aside_and_renamed(tmp_path: Path, findings: Findings) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    moved: list[str] = []
    sent: list[str] = []
    rename = type(memory).mv

    def mv(self: object, path1: str, path2: str, **options: object) -> None:
        moved.append(path2)
        sent.append(path1)
        rename(self, path1, path2, **options)

    url = f"memory://{tmp_path.name}/out"
    request = dataclasses.replace(wide(drop=("FX101",)), layout=dataclasses.replace(SMALL, file_rows=100))
    curate(findings, RULES, tmp_path / "out", request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(memory), "mv", mv)
        curate(findings, RULES, url, request)
    there = {name.split("/out/")[1]: memory.cat_file(name) for name in memory.find(f"/{tmp_path.name}/out")}
    assert there == on_disk(tmp_path / "out")
    assert {name.split("/out/")[1] for name in moved} == {*there, ".work/run.json"}
    assert len(set(sent)) == len(sent), "files of one name in two folders are sent by two names"
    assert verify(url).problems == []
