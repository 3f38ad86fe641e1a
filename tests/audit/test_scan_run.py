from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit import measure
from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.lock import locked
from audit.measure import parts_of
from audit.parts import part_path
from audit.readers import Group
from audit.scan_run import ScanResult, scan
from detectors.documents import Documents
from detectors.errors import ConfigError, FoxingError, InputError, OutputError, SignalError
from detectors.protocols import Device, Measure
from tests.corpora import awkward_table, texts, write_parquet, write_texts

LIGHT = ("document", "diversity")


def settings(*signals: str, **values: object) -> Config:
    return Config(scan=ScanConfig(signals=signals or ("document",), workers=1, **values))  # type: ignore[arg-type]


def run(source: Path, out: Path, *signals: str, fresh: bool = False, **values: object) -> ScanResult:
    return scan([str(source)], out, settings(*signals, **values), fresh=fresh)


def tree(folder: Path) -> dict[str, str]:
    """Digest of every part, byte for byte."""
    found = sorted((folder / "findings").rglob("*.parquet"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(measure, "PART_BYTES", 40_000)
    write_parquet(tmp_path / "data" / "a.parquet", awkward_table(700))
    write_texts(tmp_path / "data" / "sub" / "b.parquet", list(texts(350, 2)), rows_per_group=50)
    return tmp_path / "data"


def test_findings_are_row_aligned_with_the_corpus(corpus: Path, tmp_path: Path) -> None:
    result = run(corpus, tmp_path / "out", *LIGHT)
    frame = pl.concat(result.findings.parts())
    assert result.findings.rows == result.measured_rows == 1050
    assert frame["shard"].to_list() == ["a"] * 700 + ["sub/b"] * 350
    assert frame["row"].to_list() == [*range(700), *range(350)]
    found = pq.read_table(corpus / "a.parquet").column("text").to_pylist()
    sizes = frame["document"].struct.field("bytes").to_list()[:700]
    assert sizes == [None if text is None else len(text.encode()) for text in found]
    assert len(result.findings.shards[0].parts) > 2, "the corpus should be cut into several parts"


def test_null_text_is_unmeasured_and_nothing_else_is(corpus: Path, tmp_path: Path) -> None:
    frame = pl.concat(run(corpus, tmp_path / "out", *LIGHT).findings.parts())
    unmeasured = frame.filter(pl.col("unmeasured") > 0)
    assert unmeasured["row"].to_list() == [0, 6] and unmeasured["unmeasured"].to_list() == [2, 2]
    assert frame["errors"].list.len().sum() == 0


def test_worker_count_changes_no_byte(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "one", *LIGHT)
    scan([str(corpus)], tmp_path / "two", Config(scan=ScanConfig(signals=LIGHT, workers=2)))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    one, two = (Findings.open(tmp_path / name) for name in ("one", "two"))
    assert one.signature() == two.signature()
    assert pl.concat(one.parts()).equals(pl.concat(two.parts()))


def test_second_scan_measures_nothing(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out")
    before = tree(tmp_path / "out")
    assert run(corpus, tmp_path / "out").measured_rows == 0
    assert tree(tmp_path / "out") == before


def test_new_signals_and_new_files_extend(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", "document")
    before = tree(tmp_path / "out")
    write_texts(corpus / "c.parquet", list(texts(40, 3)))
    result = run(corpus, tmp_path / "out", "diversity", "document")
    assert tree(tmp_path / "out").items() >= before.items()
    assert [shard.key for shard in result.findings.shards] == ["a", "c", "sub/b"]
    # A signal that the folder already has is measured on new files even when it is not named again.
    write_texts(corpus / "d.parquet", list(texts(10, 4)))
    frame = pl.concat(run(corpus, tmp_path / "out", "document").findings.parts())
    assert frame.filter(pl.col("shard") == "d")["diversity"].null_count() == 0


def test_incremental_and_single_scan_agree(corpus: Path, tmp_path: Path) -> None:
    scan([str(corpus / "sub" / "b.parquet")], tmp_path / "steps", settings(*LIGHT))
    scan([str(corpus / "a.parquet")], tmp_path / "steps", settings(*LIGHT))
    scan([str(corpus / "a.parquet"), str(corpus / "sub" / "b.parquet")], tmp_path / "once", settings(*LIGHT))
    assert tree(tmp_path / "steps") == tree(tmp_path / "once")
    steps, once = (Findings.open(tmp_path / name) for name in ("steps", "once"))
    assert steps.signature() == once.signature()
    assert pl.concat(steps.parts()).equals(pl.concat(once.parts()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda corpus, out: scan([str(corpus)], out, settings("document", seed=18)), "seed: 17 before, 18 now"),
        (
            lambda corpus, out: scan(
                [str(corpus)], out, dataclasses.replace(settings(*LIGHT), signals={"diversity": {"min_words": 9}})
            ),
            r"diversity\.min_words: 50 before, 9 now",
        ),
        (
            lambda corpus, out: (
                write_parquet(corpus / "a.parquet", awkward_table(700, seed=9)),
                scan([str(corpus)], out, settings("document")),
            ),
            "digest: sha256:",
        ),
        (lambda corpus, out: scan([str(corpus / "a.parquet")], out, settings("document", text="key")), r"text\(key\)"),
    ],
    ids=["seed", "settings", "bytes", "column"],
)
def test_a_changed_scan_refuses_and_spells_out_the_difference(
    corpus: Path, tmp_path: Path, change: object, words: str
) -> None:
    run(corpus, tmp_path / "out", *LIGHT)
    before = tree(tmp_path / "out")
    with pytest.raises(ConfigError, match=words) as caught:
        change(corpus, tmp_path / "out")  # type: ignore[operator]
    assert "--fresh" in str(caught.value)
    assert tree(tmp_path / "out") == before


def test_fresh_starts_over(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", *LIGHT)
    result = run(corpus, tmp_path / "out", "document", fresh=True, seed=18)
    assert result.measured_rows == 1050
    assert [signal.name for signal in result.findings.signals] == ["document"]


def test_what_an_earlier_scan_could_not_read_is_not_forgotten(corpus: Path, tmp_path: Path) -> None:
    torn = corpus.parent / "elsewhere.parquet"
    torn.write_bytes(b"PAR1 torn")
    assert len(scan([str(corpus), str(torn)], tmp_path / "out", settings("document")).findings.failed) == 1
    again = run(corpus, tmp_path / "out").findings
    assert [Path(shard.uri).name for shard in again.failed] == ["elsewhere.parquet"]
    write_texts(torn, list(texts(5)))
    mended = run(corpus, tmp_path / "out").findings
    assert not mended.failed and mended.rows == 1055


def test_a_shard_that_left_a_scanned_folder_leaves_the_audit_and_is_named(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out")
    (corpus / "sub" / "b.parquet").unlink()
    result = run(corpus, tmp_path / "out")
    assert result.gone == (str(corpus / "sub" / "b.parquet"),) and result.findings.rows == 700


def test_a_shard_that_was_named_and_is_gone_is_a_failure(corpus: Path, tmp_path: Path) -> None:
    run(corpus / "sub" / "b.parquet", tmp_path / "out")
    (corpus / "sub" / "b.parquet").unlink()
    findings = run(corpus / "a.parquet", tmp_path / "out").findings
    assert [Path(shard.uri).name for shard in findings.failed] == ["b.parquet"] and findings.rows == 700


def test_the_signature_tells_which_column_was_read(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"title": ["x y"] * 9, "body": ["u v w"] * 9}))
    one, two = (run(tmp_path / "a.parquet", tmp_path / name, text=name).findings for name in ("title", "body"))
    assert one.signature() != two.signature()


def test_fresh_keeps_the_old_findings_when_the_new_scan_cannot_begin(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out")
    before = tree(tmp_path / "out")
    (tmp_path / "torn.parquet").write_bytes(b"torn")
    with pytest.raises(InputError):
        run(tmp_path / "torn.parquet", tmp_path / "out", fresh=True)
    assert tree(tmp_path / "out") == before and Findings.open(tmp_path / "out").rows == 1050


def test_a_strangers_findings_folder_is_never_cleared(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "findings").mkdir(parents=True)
    (tmp_path / "out" / "findings" / "mine.parquet").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        run(corpus, tmp_path / "out", fresh=True)
    assert (tmp_path / "out" / "findings" / "mine.parquet").exists()


def test_a_scan_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(tmp_path / "absent.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["s3://bucket/out", "memory://out", Path("s3://bucket/out")])
def test_remote_output_is_refused_before_anything_is_made(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | Path
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="must be a local folder"):
        scan([str(corpus)], name, settings("document"))
    assert sorted(tmp_path.iterdir()) == before


def test_a_recursive_glob_never_reads_its_own_findings(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="output inside the input"):
        scan([f"{corpus}/**/*.parquet"], corpus / "audit", settings("document"))
    scan([f"{corpus}/*.parquet"], corpus / "audit", settings("document"))


def test_sources_stay_when_a_later_scan_does_not_name_them(corpus: Path, tmp_path: Path) -> None:
    run(corpus / "a.parquet", tmp_path / "out", by="source")
    assert run(corpus / "a.parquet", tmp_path / "out").findings.by == "source"


def test_a_finished_jsonl_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n' * 50)
    before = run(path, tmp_path / "out").findings
    monkeypatch.setattr("audit.corpus.Shard.batches", lambda *_, **__: pytest.fail("read again"))
    monkeypatch.setattr("audit.corpus.Shard.schema", lambda *_: pytest.fail("read again"))
    assert run(path, tmp_path / "out").findings.shards == before.shards


def test_sources_come_from_a_column_and_another_column_only_adds(corpus: Path, tmp_path: Path) -> None:
    first = run(corpus / "a.parquet", tmp_path / "out", by="source")
    assert pl.concat(first.findings.parts())["source"].head(3).to_list() == ["web", "books", "(null)"]
    before = tree(tmp_path / "out")
    second = run(corpus / "a.parquet", tmp_path / "out", by="meta")
    assert second.measured_rows == 700 and tree(tmp_path / "out").items() > before.items()
    assert [signal.name for signal in second.findings.measured] == ["document"]


def test_shards_that_cannot_be_read_are_named_and_cost_nobody_else(corpus: Path, tmp_path: Path) -> None:
    (corpus / "torn.parquet").write_bytes((corpus / "a.parquet").read_bytes()[:5000])
    (corpus / "pointer.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
    write_parquet(corpus / "other.parquet", pa.table({"body_of": ["x"]}))
    findings = run(corpus, tmp_path / "out").findings
    assert {Path(shard.uri).name: shard.code for shard in findings.failed} == {
        "torn.parquet": "FX904",
        "pointer.parquet": "FX903",
        "other.parquet": "FX902",
    }
    assert findings.rows == 1050


def test_bytes_torn_in_the_middle_fail_that_shard_only(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "a.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[2000:6000] = bytes(4000)
    path.write_bytes(damaged)
    findings = run(corpus, tmp_path / "out").findings
    assert [Path(shard.uri).name for shard in findings.failed] == ["a.parquet"]
    assert findings.rows == 350
    assert not list((tmp_path / "out").rglob("*.tmp")), "nothing half-written stays"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda d: write_texts(d / "in.parquet", []), InputError, "no rows in all"),
        (
            lambda d: write_parquet(d / "in.parquet", pa.table({"text": pa.array([1, 2])})),
            InputError,
            "int64, not text",
        ),
        (lambda d: write_parquet(d / "in.parquet", pa.table({"body": pa.array([1, 2])})), InputError, "'body'"),
        (lambda d: (d / "in.parquet").touch(), InputError, "0 bytes"),
    ],
    ids=["zero rows", "wrong type", "wrong type by convention", "empty file"],
)
def test_what_holds_nothing_to_measure_is_an_error(
    tmp_path: Path, make: object, error: type[FoxingError], words: str
) -> None:
    (tmp_path / "d").mkdir()
    make(tmp_path / "d")  # type: ignore[operator]
    with pytest.raises(error, match=words):
        run(tmp_path / "d", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_output_and_input_must_be_apart(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="output inside the input"):
        run(corpus, corpus / "out")
    with pytest.raises(OutputError, match="inside the output"):
        run(corpus / "a.parquet", corpus)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        run(corpus, tmp_path / "mine")
    with pytest.raises(OutputError, match="is a file"):
        run(corpus, tmp_path / "mine" / "thesis.tex")


def test_two_scans_into_one_folder_do_not_meet(corpus: Path, tmp_path: Path) -> None:
    import fcntl

    run(corpus, tmp_path / "out")
    with (tmp_path / "out" / "lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="in use by process"):
            run(corpus, tmp_path / "out")


def test_a_scan_that_is_refused_because_another_began_leaves_the_folder_of_that_one(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with contextlib.ExitStack() as other:
        # Begun between our look at the folder and our lock on it.
        exists, looks = Path.exists, []

        def looked(path: Path) -> bool:
            found = exists(path)
            if path == out:
                looks.append(found)
            if looks == [False, False]:  # whose the folder is, whether this scan makes it
                other.enter_context(locked(out))
            return found

        monkeypatch.setattr(Path, "exists", looked)
        with pytest.raises(OutputError, match="in use by process"):
            run(corpus, out)
        assert looks == [False, False] and (out / "lock").is_file()


@dataclasses.dataclass(frozen=True)
class Fussy:
    """Raises on any batch that holds the word `lantern`, as a real model might on one bad row."""

    name: ClassVar[str] = "fussy"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("size", pa.int64())])

    def load(self, device: Device) -> Measure:
        def measure(documents: Documents) -> pa.RecordBatch:
            found = documents.texts()
            if any(text and "lantern" in text for text in found):
                raise ValueError("no lanterns")
            return pa.record_batch([pa.array([len(text or "") for text in found], pa.int64())], schema=self.schema)

        return measure


@dataclasses.dataclass(frozen=True)
class Wrong(Fussy):
    """Returns fewer rows than it was given."""

    name: ClassVar[str] = "wrong"

    def load(self, device: Device) -> Measure:
        return lambda documents: pa.record_batch([pa.array([1], pa.int64())], schema=self.schema)


@dataclasses.dataclass(frozen=True)
class Mistyped(Fussy):
    """Returns another type than it promised."""

    name: ClassVar[str] = "mistyped"

    def load(self, device: Device) -> Measure:
        return lambda documents: pa.record_batch({"size": pa.array([1.5] * len(documents))})


def register(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    from audit import signals as module

    known = module.load
    monkeypatch.setattr(module, "load", lambda group, name: kind if name == kind.name else known(group, name))  # type: ignore[attr-defined]


def test_rows_on_which_a_signal_raises_are_counted_and_cost_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Fussy)
    found = ["calm"] * 50
    found[3] = found[20] = "a lantern"
    write_texts(tmp_path / "a.parquet", list(found))
    result = run(tmp_path / "a.parquet", tmp_path / "out", "fussy")
    frame = pl.concat(result.findings.parts())
    assert result.faults == 2
    failed = frame.filter(pl.col("unmeasured") > 0)
    assert failed["row"].to_list() == [3, 20] and failed["fussy"].null_count() == 2
    assert failed["errors"].to_list() == [["fussy: ValueError: no lanterns"]] * 2
    assert frame["document"].null_count() == 0


@pytest.mark.parametrize(
    ("kind", "words"), [(Wrong, "returned 1 rows"), (Mistyped, "size double, not 50 of size int64")]
)
def test_a_signal_that_breaks_its_contract_stops_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Fussy], words: str
) -> None:
    register(monkeypatch, kind)
    write_texts(tmp_path / "a.parquet", list(texts(50)))
    with pytest.raises(SignalError, match=f"{words}.*check_signal"):
        run(tmp_path / "a.parquet", tmp_path / "out", kind.name)


def test_jsonl_is_cut_into_fixed_parts_and_resumes(tmp_path: Path) -> None:
    import json

    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts(20_000, 5)))
    findings = run(path, tmp_path / "out").findings
    assert findings.shards[0].parts == (0, 8192, 16384) and findings.rows == 20_000
    before = tree(tmp_path / "out")
    part_path(tmp_path / "out", "document", "a", 8192).unlink()
    assert run(path, tmp_path / "out").measured_rows == 8192
    assert tree(tmp_path / "out") == before


def test_parts_cover_every_row_once_and_depend_on_the_footer_alone() -> None:
    groups = [Group(rows, rows * 300_000) for rows in (10, 0, 200, 5, 1, 1, 0, 90, 3)]
    parts = parts_of(groups)
    assert sum(part.rows for part in parts) == 310
    assert [part.first_row for part in parts] == [sum(p.rows for p in parts[:i]) for i in range(len(parts))]
    assert [group for p in parts for group in range(p.first_group, p.first_group + p.groups)] == list(range(9))
    assert parts_of([Group(0, 0)]) == []


def test_a_torn_part_is_made_again(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out")
    before = tree(tmp_path / "out")
    victim = tmp_path / "out" / sorted(before)[1]
    victim.write_bytes(victim.read_bytes()[:50])
    run(corpus, tmp_path / "out")
    assert tree(tmp_path / "out") == before


KILLER = """
import os, random, shutil, signal, sys, time
from pathlib import Path
from audit import measure
from audit.config import Config, ScanConfig
from audit.scan_run import scan

measure.PART_BYTES = 200_000
source, calm, killed, kills, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
rng = random.Random(seed)

def child(out):
    # Forked before any thread exists, so that a run costs no imports.
    pid = os.fork()
    if pid == 0:
        scan([source], out, Config(scan=ScanConfig(signals=("document", "diversity"), workers=1)))
        os._exit(0)
    return pid

began = time.monotonic()
assert os.waitpid(child(calm), 0)[1] == 0
took = time.monotonic() - began
done = finished = 0
while done < kills:
    pid = child(killed)
    deadline = time.monotonic() + rng.uniform(0.05, 1.0) * took
    while time.monotonic() < deadline and os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.002)
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        done += 1
    except (ProcessLookupError, ChildProcessError):
        # It was done: take half of its parts away and go on.
        finished += 1
        (Path(killed) / "scan.json").unlink()
        for part in Path(killed).rglob("part-*.parquet"):
            if rng.random() < 0.5:
                part.unlink()
assert os.waitpid(child(killed), 0)[1] == 0
print(done, finished)
"""


def test_a_scan_killed_at_20_random_moments_ends_as_if_undisturbed(tmp_path: Path) -> None:
    for number in range(6):
        write_texts(tmp_path / "data" / f"{number}.parquet", list(texts(4000, number)), rows_per_group=500)
    (tmp_path / "killer.py").write_text(KILLER)
    folders = [str(tmp_path / name) for name in ("data", "calm", "killed")]
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(tmp_path / "killer.py"), *folders, "20", "4"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(found.stdout.split()[0]) == 20
    assert len(tree(tmp_path / "calm")) > 20
    assert tree(tmp_path / "killed") == tree(tmp_path / "calm")
    assert not list((tmp_path / "killed").rglob("*.tmp")), "leftovers of killed runs are swept"
    calm, killed = (pl.concat(Findings.open(tmp_path / name).parts()) for name in ("calm", "killed"))
    assert killed.equals(calm)
