"""Text from a corpus is hostile: no command lets it move a cursor, start a command of a runner, or leave a folder."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.readers import parquet_pages, sequential
from audit.readers.jsonl import JsonLinesReader
from audit.readers.parquet import ParquetReader
from audit.readers.protocol import ShardError
from audit.readers.text import TextReader
from curricula.verify import verify
from tests.conftest import Answer

Foxing = Callable[..., Answer]

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f\u202egpj.exe\u2066\r"
HOSTILE = [
    f"::error file=x::{ESCAPES}",
    f"##[set-output name=a]{ESCAPES}",
    "=cmd|' /C calc'!A0",
    "../../../escape",
    "/etc/passwd",
]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LINE = "As an AI language model, I cannot help with that, and it is important to note how damp the book had become. "
WALK: list[tuple[str, ...]] = [
    ("check", "audit"),
    ("check", "audit", "--statistics"),
    ("check", "audit", "--select", "FX3,FX1"),
    ("review", "audit", "FX302"),
    ("review", "audit", "FX301"),
    ("explain", "audit", "FX302"),
    ("explain", "audit", "FX101"),
    ("compare", "audit", "audit"),
    ("curate", "audit", "-o", "shown", "--curriculum", "dedup", "--allow-loss", "1", "--dry-run"),
    ("curate", "audit", "-o", "out", "--curriculum", "dedup", "--allow-loss", "1", "--split", "0.3"),
    ("verify", "out"),
    ("undo", "out", "-o", "back"),
    ("config",),
    ("rule", "FX302"),
    ("findings", "audit", "-o", "f.parquet"),
    ("scan", "data", "-o", "audit", "-v"),
    ("scan", "data/nothing\x1b[2J.parquet", "-o", "other"),
    ("curate", "audit", "-o", "o2", "--curriculum", "de\x1b[2Jdup"),
    ("check", "audit", "--select", "\x1b[2J"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose texts, sources, column and file names are all out for trouble."""
    found = tmp_path_factory.mktemp("hostile")
    (found / "data").mkdir()
    for number, name in enumerate(("plain", f"::warning::{'x' * 5}\x1b[2J", "=1+1")):
        texts = [f"{line}{LINE * (2 + at % 3)}{line}" for at, line in enumerate(HOSTILE * 4)]
        table = pa.table({"text": texts, "sou\x1b[2Jrce": HOSTILE * 4, "n": [number] * len(texts)})
        pq.write_table(table, found / "data" / f"{name}.parquet")
    return found


def _walked(foxing: Foxing, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> Answer:
    monkeypatch.chdir(folder)
    if not (folder / "audit" / "scan.json").exists():
        made = foxing("scan", "data", "-o", "audit", "--by", "sou\x1b[2Jrce", "--workers", "1", "-q")
        assert made.code == 0, made.err
    return foxing(*words)


@pytest.mark.parametrize("words", WALK, ids=lambda words: ascii(" ".join(words)))
def test_no_control_sequence_and_no_workflow_command_reaches_the_terminal(
    foxing: Foxing, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    answer = _walked(foxing, folder, monkeypatch, words)
    said = answer.out + answer.err
    assert said.strip() and "Traceback" not in said
    assert not CONTROL.search(said), ascii(said)
    assert not [line for line in said.splitlines() if line.lstrip().startswith("::")], said
    assert "##[" not in said


def test_annotations_hold_what_data_says_on_their_own_line(
    foxing: Foxing, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _walked(foxing, folder, monkeypatch, ("check", "audit", "--format", "github", "--budget", "FX302=0")).out
    assert not CONTROL.search(said) and "##[" not in said
    starts = {line.split(" ")[0] for line in said.splitlines() if line}
    assert starts <= {"::error", "::notice", "::warning"}
    assert "::error" in starts


def test_exports_escape_control_characters_and_formulas(
    foxing: Foxing, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _walked(foxing, folder, monkeypatch, ("findings", "audit", "--columns", "row,source")).out
    assert {json.loads(line)["source"] for line in lines.splitlines()} >= set(HOSTILE)
    assert "\x1b" not in lines
    foxing("findings", "audit", "--format", "csv", "--columns", "source,row", "-o", "f.csv")
    assert "'=cmd" in (folder / "f.csv").read_text("utf-8") and "\n=cmd" not in (folder / "f.csv").read_text("utf-8")


def test_names_from_data_never_become_paths(foxing: Foxing, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _walked(
        foxing, folder, monkeypatch, ("curate", "audit", "-o", "named", "--curriculum", "dedup", "--allow-loss", "1")
    )
    outside = [path for path in folder.parent.rglob("*escape*") if path.is_file()]
    assert outside == []
    for made in ("audit", "named"):
        names = [path.relative_to(folder / made).as_posix() for path in (folder / made).rglob("*")]
        assert names and all(re.fullmatch(r"[\w.=+@~%/-]+", name, re.ASCII) for name in names), names


def test_inputs_at_urls_that_a_manifest_names_are_left_alone(
    foxing: Foxing, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _walked(
        foxing, folder, monkeypatch, ("curate", "audit", "-o", "strange", "--curriculum", "dedup", "--allow-loss", "1")
    )
    manifest = folder / "strange" / "manifest.json"
    record = json.loads(manifest.read_text("utf-8"))
    for shard in record["inputs"]:
        shard["uri"] = "https://127.0.0.1:9/collect?secret=1"
    manifest.write_text(json.dumps(record), "utf-8")
    opened: list[str] = []
    monkeypatch.setattr("audit.storage.filesystem", lambda uri: opened.append(uri))
    found = verify(folder / "strange")
    assert opened == [] and len(found.remote) == len(record["inputs"]) and found.inputs == 0
    answer = foxing("verify", "strange")
    assert "inputs at URLs that were not read: 3" in answer.out and "--remote" in answer.out


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("kind", ["jsonl", "txt"])
def test_a_small_file_that_unpacks_to_a_large_one_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, kind: str
) -> None:
    import zstandard

    monkeypatch.setattr(sequential, "LONGEST_BYTES", 8 << 20)
    path = tmp_path / f"bomb.{kind}.{ending}"
    zeros = b"0" * (1 << 22)
    if ending == "gz":
        with gzip.open(path, "wb", 1) as handle:
            for _ in range(40):
                handle.write(zeros)
    else:
        path.write_bytes(zstandard.compress(zeros * 128, 1))
    assert path.stat().st_size < 1 << 20
    reader = JsonLinesReader(str(path)) if kind == "jsonl" else TextReader(str(path))
    tracemalloc.start()
    try:
        with pytest.raises(ShardError, match="more than 8 MB"):
            for _ in reader.batches(None, None):
                pass
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert 8 < peak_mb < 160


@pytest.mark.parametrize("name", ["text", "page.text"])
def test_rows_that_refer_to_one_large_value_come_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(parquet_pages, "EXPANDED_BYTES", 8 << 20)
    value = "a b c d " * 125_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 60, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({name: column}), tmp_path / "bomb.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 1000
    sizes = [batch.num_rows for batch in ParquetReader(str(tmp_path / "bomb.parquet")).batches([name], None)]
    assert sum(sizes) == 60 and max(sizes) == 8
