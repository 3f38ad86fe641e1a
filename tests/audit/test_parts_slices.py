"""`foxing scan --part i/n`: which units a part has, and that all parts together are one scan, byte for byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import measure
from audit.config import Config, ScanConfig
from audit.corpus import Shard, open_shard
from audit.findings_folder import Findings
from audit.lock import locked
from audit.measure import Part
from audit.scan_part import scan_part
from audit.scan_run import scan
from audit.slices import SLICES, Line, Slice, unfinished
from detectors.errors import ConfigError, FindingsError, InputError, OutputError
from tests.conftest import Answer
from tests.corpora import awkward_table, texts, write_parquet, write_texts
from tests.torture.kinds import several

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Config(scan=ScanConfig(signals=("document", "near_dup"), workers=1))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large and small Parquet files, one without rows, and two that can only be read from their start."""
    folder = tmp_path_factory.mktemp("corpus")
    write_parquet(folder / "a.parquet", awkward_table(700))
    write_texts(folder / "empty.parquet", [])
    for number in range(4):
        write_texts(folder / "small" / f"{number}.parquet", list(texts(20, number)))
        (folder / f"lines{number}.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts(15, number)))
    write_texts(folder / "sub" / "b.parquet", list(texts(350, 2)), rows_per_group=50)
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PART_BYTES", 40_000)


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of the scan in one go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "PART_BYTES", 40_000)
        scan([str(corpus)], tmp_path_factory.mktemp("whole") / "out", CONFIG)
    return files(next(tmp_path_factory.getbasetemp().glob("whole*/out")))


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an output; which process held it is none of it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[Shard], dict[str, list[int] | None]]:
    """Shards, and bytes of their parts; None of those that are one unit."""
    shards, parts = [], {}
    for number in range(draw(st.integers(1, 8))):
        size = draw(st.integers(0, 10**13))
        shards.append(open_shard(f"/{number}.parquet", "parquet", key=str(number), size_bytes=size))
        parts[str(number)] = draw(st.none() | st.lists(st.integers(0, 10**9), max_size=12))
    return shards, parts


@given(line=lines(), of=st.integers(1, 12))
def test_every_unit_is_in_one_slice_and_no_slice_has_more_than_its_share_and_a_unit(
    line: tuple[list[Shard], dict[str, list[int] | None]], of: int
) -> None:
    shards, sizes = line
    placed = Line(shards)
    total, largest = sum(shard.size_bytes for shard in shards), 0.0
    held = dict.fromkeys(range(1, of + 1), 0.0)
    for shard in shards:
        groups = sizes[shard.key]
        parts = [Part(at, 1, at, 1) for at in range(len(groups or []))]
        stored = [float(shard.size_bytes)] if groups is None else []
        stored += [shard.size_bytes * size / max(1, sum(groups)) for size in groups or []]
        found = {n: placed.units(shard, parts, groups or [], Slice(n, of)) for n in held}
        if groups is None:
            found = {n: [0] if placed.has_middle(shard, Slice(n, of)) else [] for n in held}
        assert sorted(unit for units in found.values() for unit in units) == list(range(len(stored)))
        for number, units in found.items():
            assert not units or placed.touches(shard, Slice(number, of)), "the file would not be opened"
            held[number] += sum(stored[unit] for unit in units)
        order = [number for number, units in sorted(found.items()) for _ in units]
        assert [unit for _, units in sorted(found.items()) for unit in units] == list(range(len(stored))), order
        largest = max(largest, *stored, 0.0)
    assert max(held.values()) <= total / of + largest + 1e-6 * max(1, total)


@settings(max_examples=several(4, 100))
@given(data=st.data(), of=st.integers(1, 7))
def test_parts_in_any_order_are_one_scan_byte_for_byte(
    corpus: Path, whole: dict[str, bytes], data: st.DataObject, of: int
) -> None:
    order = data.draw(st.permutations(range(1, of + 1)))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        done = [scan_part([str(corpus)], out, Slice(number, of), CONFIG) for number in order]
        assert [len(result.left) for result in done] == list(range(of - 1, -1, -1))
        put_together = scan([str(corpus)], out, CONFIG)
        assert put_together.measured_rows == 0, "parts leave nothing to measure"
        assert sum(result.measured_rows for result in done) == put_together.findings.rows == 1190
        assert files(out) == whole


def test_putting_together_reads_no_file_again_and_digests_none(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        scan_part([str(corpus)], tmp_path / "out", Slice(number, 2), CONFIG)
    monkeypatch.setattr("audit.corpus.Shard.batches", lambda *_, **__: pytest.fail("read again"))
    monkeypatch.setattr("audit.corpus.digest", lambda *_: pytest.fail("digested again"))
    assert scan([str(corpus)], tmp_path / "out", CONFIG).findings.rows == 1190


def test_a_part_digests_only_files_that_it_has_a_share_in(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    for number in (1, 2, 3, 4):
        scan_part([str(corpus)], tmp_path / "out", Slice(number, 4), CONFIG)
        kept = json.loads((tmp_path / "out" / SLICES / f"{number}-of-4.digests.json").read_text())
        seen.append(set(kept))
    assert sum(map(len, seen)) <= len(set().union(*seen)) + 3, "only files that lie across an edge are digested twice"


def test_no_command_reads_parts_before_they_are_put_together(
    corpus: Path, tmp_path: Path, foxing: Callable[..., Answer]
) -> None:
    out = tmp_path / "out"
    chosen = ("--signals", "document,near_dup", "--workers", "1")
    answer = foxing("scan", corpus, "-o", out, *chosen, "--part", "2/4")
    assert answer.code == 0 and answer.out.splitlines()[-1] == "not finished yet: 1, 3, 4 of 4"
    for command in (("check", out), ("findings", out), ("curate", out, "-o", tmp_path / "curated")):
        answer = foxing(*command)
        assert answer.code == 2 and "parts 1, 3-4 of 4 have not finished" in answer.err, answer.err
        assert f"foxing scan PATHS -o {out} --part 1/4" in answer.err
    for part in ("1/4", "3/4", "4/4"):
        answer = foxing("scan", corpus, "-o", out, *chosen, "--part", part)
    assert "all parts are measured" in answer.out
    assert "all 4 parts are measured, but not put together" in foxing("check", out).err
    answer = foxing("scan", corpus, "-o", out, *chosen)
    assert answer.code == 0 and "measured now: nothing" in answer.out
    assert foxing("check", out).code in (0, 1)
    assert not (out / SLICES).exists()


def test_two_parts_run_at_once_and_the_same_part_or_the_whole_does_not(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked(out, shared=True), locked(out / SLICES, "1-of-2.lock"):
        scan_part([str(corpus)], out, Slice(2, 2), CONFIG)
        with pytest.raises(OutputError, match=f"in use by process {os.getpid()} on "):
            scan_part([str(corpus)], out, Slice(1, 2), CONFIG)
        with pytest.raises(OutputError, match="in use by process"):
            scan([str(corpus)], out, CONFIG)
    with locked(out), pytest.raises(OutputError, match="in use by process"):
        scan_part([str(corpus)], out, Slice(1, 2), CONFIG)


def test_parts_of_several_processes_at_once_some_killed_are_one_scan(tmp_path: Path) -> None:
    for number in range(24):
        write_texts(tmp_path / "data" / f"{number:02d}.parquet", list(texts(120, number)), rows_per_group=200)
    chosen = Config(scan=ScanConfig(signals=("document", "diversity"), workers=1))
    scan([str(tmp_path / "data")], tmp_path / "one", chosen)
    out = tmp_path / "many"

    def start(part: str) -> subprocess.Popen[bytes]:
        words = ["scan", str(tmp_path / "data"), "-o", str(out), "--isolated", "--signals", "document,diversity"]
        code = "from curricula.cli import main; main()"
        command = [sys.executable, "-c", code, *words, "--workers", "1", "--part", part]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    first, second = start("1/2"), start("2/2")
    deadline = time.monotonic() + 120
    while len(list((out / "findings").glob("diversity/*/part-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    second.kill()
    assert second.wait() == -signal.SIGKILL
    assert first.wait() == 0
    assert "part 2 of 2 has not finished" in str(unfinished(out))
    assert start("2/2").wait() == 0
    assert scan([str(tmp_path / "data")], out, chosen).measured_rows == 0
    assert files(out) == files(tmp_path / "one")


def test_the_whole_measures_what_parts_left(corpus: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    scan_part([str(corpus)], tmp_path / "out", Slice(2, 3), CONFIG)
    assert 0 < scan([str(corpus)], tmp_path / "out", CONFIG).measured_rows < 1190
    assert files(tmp_path / "out") == whole


def test_parts_with_other_settings_are_refused(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan_part([str(corpus)], out, Slice(1, 2), CONFIG)
    other = Config(scan=ScanConfig(signals=("document",), workers=1))
    with pytest.raises(ConfigError, match=r"signals: .*near_dup.* in part 1/2, .* now"):
        scan_part([str(corpus)], out, Slice(2, 2), other)
    with pytest.raises(ConfigError, match=r"signals: .*near_dup.* in part 1/2, .* now"):
        scan([str(corpus)], out, other)
    with pytest.raises(ConfigError, match="parts: 2 in part 1/2, 3 now"):
        scan_part([str(corpus)], out, Slice(2, 3), CONFIG)
    assert scan([str(corpus)], out, other, fresh=True).findings.rows == 1190, "--fresh starts over"
    assert not (out / SLICES).exists()


def test_files_that_cannot_be_read_are_named_by_one_part_and_tried_again_by_the_whole(
    corpus: Path, tmp_path: Path, foxing: Callable[..., Answer]
) -> None:
    write_texts(tmp_path / "data" / "good.parquet", list(texts(50, 1)))
    torn = (tmp_path / "data" / "good.parquet").read_bytes()
    (tmp_path / "data" / "torn.parquet").write_bytes(torn[: len(torn) // 2])
    results = [scan_part([str(tmp_path / "data")], tmp_path / "out", Slice(n, 2), CONFIG) for n in (1, 2)]
    named = [Path(failed.uri).name for result in results for failed in result.failed]
    assert named == ["torn.parquet"]
    (tmp_path / "data" / "torn.parquet").write_bytes(torn)
    assert scan([str(tmp_path / "data")], tmp_path / "out", CONFIG).findings.rows == 100


def test_a_finished_scan_is_extended_in_parts(tmp_path: Path) -> None:
    write_texts(tmp_path / "data" / "a.parquet", list(texts(50, 1)))
    scan([str(tmp_path / "data")], tmp_path / "out", CONFIG)
    write_texts(tmp_path / "data" / "b.parquet", list(texts(50, 2)))
    for number in (1, 2):
        scan_part([str(tmp_path / "data")], tmp_path / "out", Slice(number, 2), CONFIG)
    assert Findings.open(tmp_path / "out").rows == 50, "what was whole stays whole until then"
    result = scan([str(tmp_path / "data")], tmp_path / "out", CONFIG)
    assert (result.measured_rows, result.findings.rows) == (0, 100)


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "a/b", "-1/2", "1/0", "1/2/3", "1/1000000"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no part\. Give it as i/n"):
        Slice.parse(text)


def test_what_is_about_the_whole_is_refused_for_a_part(
    corpus: Path, tmp_path: Path, foxing: Callable[..., Answer]
) -> None:
    for flag in ("--fresh", "--dry-run"):
        answer = foxing("scan", corpus, "-o", tmp_path / "out", "--part", "1/2", flag)
        assert answer.code == 2 and "about the whole scan" in answer.err
    with pytest.raises(InputError, match="cannot be read in parts"):
        scan_part(["-"], tmp_path / "out", Slice(1, 2), CONFIG)


def test_a_damaged_record_of_a_part_is_named(corpus: Path, tmp_path: Path) -> None:
    scan_part([str(corpus)], tmp_path / "out", Slice(1, 2), CONFIG)
    (tmp_path / "out" / SLICES / "1-of-2.json").write_text("{")
    with pytest.raises(FindingsError, match=r"1-of-2\.json: is damaged .* run that part again"):
        Findings.open(tmp_path / "out")
