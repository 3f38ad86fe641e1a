"""Attributes as the dolma toolkit lays them out: written beside documents line by line, and read back as a signal."""

from __future__ import annotations

import datetime
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import audit
from audit.dolma import export_attributes, join_attributes
from audit.rulebook import DEFAULTS
from detectors.errors import InputError
from tests.corpora import texts

RESIDUE = "As an AI language model, I cannot help with that. " * 8


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with two files of documents, scanned."""
    folder = tmp_path_factory.mktemp("dolma")
    rows: list[str | None] = [*texts(20), RESIDUE, None, "naïve café – 日本"]
    documents = [{"id": f"d{row}", "source": "web", "text": text} for row, text in enumerate(rows)]
    write(folder / "set" / "documents" / "2019" / "a.jsonl.gz", documents[:12])
    write(folder / "set" / "documents" / "b.json.gz", documents[12:])
    audit.scan(folder / "set" / "documents" / "2019", folder / "first", signals=["document", "residue", "ai_text"])
    audit.scan(
        [folder / "set" / "documents" / "2019", folder / "set" / "documents" / "b.json.gz"],
        folder / "audit",
        signals=["document", "residue", "ai_text"],
    )
    return folder


def test_attributes_lie_beside_documents_line_by_line(home: Path, foxing: Callable[..., Any]) -> None:
    out = home / "set" / "attributes" / "fox"
    answer = foxing("findings", home / "audit", "--format", "dolma", "-o", out)
    assert answer.code == 0, answer.err
    documents = home / "set" / "documents"
    below = {path.relative_to(documents) for path in documents.rglob("*.gz")}
    assert {path.relative_to(out) for path in out.rglob("*.gz")} == below
    frame = audit.open(home / "audit").findings("shard", "row", "ai_text.p_human", "document.words", "rules")
    shards = audit.open(home / "audit").recorded.shards
    seen = 0
    for path in sorted(below):
        pairs = list(zip(read(documents / path), read(out / path), strict=True))
        (key,) = {shard.key for shard in shards if shard.uri.endswith(path.name)}
        found = frame.filter(shard=key).to_dicts()
        for (document, line), row in zip(pairs, found, strict=True):
            assert (line["id"], line["source"]) == (document["id"], "web")
            spans = line["attributes"]
            if document["text"] is None:
                assert spans == {}
                continue
            whole = len(document["text"])
            assert spans["fox__document__words"] == [[0, whole, row["document.words"]]]
            assert ("fox__ai_text__p_human" in spans) == (row["ai_text.p_human"] is not None)
            assert {name.removeprefix("fox__rules__") for name in spans if "rules" in name} == set(row["rules"])
            seen += "fox__rules__FX102" in spans
    assert seen == 1


def test_attributes_come_back_as_a_given_score(home: Path, foxing: Callable[..., Any]) -> None:
    documents = home / "set" / "documents"
    tagged = home / "set" / "attributes" / "toxicity"
    for path in documents.rglob("*.gz"):
        lines = read(path)
        spans = [[[0, 3, 0.0], [3, 12, 1.0]], [], [[0, 0, 0.5]]]
        marks = [{"toxicity__doc": spans[row % 3], "flat": row} for row in range(len(lines))]
        write(
            tagged / path.relative_to(documents),
            [{"id": line["id"], "attributes": mark} for line, mark in zip(lines, marks, strict=True)],
        )
    join_attributes(documents, [tagged], home / "joined")
    (home / "given.toml").write_text('signals = ["given"]\n[signal.given]\ncolumn = "toxicity__doc"\n', "utf-8")
    found = audit.scan(home / "joined", home / "given", settings=home / "given.toml", text="text").findings(
        "given.value"
    )
    expected = [0.75, None, 0.5]
    assert found["given.value"].to_list() == [*(expected * 4), *(expected * 4)[:11]]
    assert [line["flat"] for line in read(home / "joined" / "2019" / "a.jsonl.gz")] == [float(row) for row in range(12)]


def test_files_that_do_not_go_together_are_refused(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "documents" / "a.jsonl.gz", [{"id": "1", "text": "x"}, {"id": "2", "text": "y"}])
    for lines, match in (
        ([{"id": "1", "attributes": {}}], r"line 2: id '2' goes with None"),
        ([{"id": "2", "attributes": {}}], r"line 1: id '1' goes with '2'"),
    ):
        write(tmp_path / "attributes" / "t" / "a.jsonl.gz", lines)
        with pytest.raises(InputError, match=match):
            join_attributes(tmp_path / "documents", [tmp_path / "attributes" / "t"], tmp_path / "out")
        assert not (tmp_path / "out" / "a.jsonl.gz").exists()
    for data in (None, gzip.compress(b"[1]\n"), gzip.compress(b'{"id": "1"}\n' * 99)[:-20] + b"x" * 20):
        if data is not None:
            (tmp_path / "attributes" / "t" / "a.jsonl.gz").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.jsonl\.gz: cannot be read"):
            join_attributes(
                tmp_path / "documents", [tmp_path / "attributes" / "t" if data else tmp_path], tmp_path / "o"
            )


def test_nothing_is_replaced_unseen(tmp_path: Path, foxing: Callable[..., Any]) -> None:
    write(tmp_path / "documents" / "a.jsonl.gz", [{"id": "1", "text": "x"}])
    write(tmp_path / "t" / "a.jsonl.gz", [{"id": "1", "attributes": {"text": 1, "n": [[0, 1, None]]}}])
    with pytest.raises(InputError, match="attribute 'text' is there already"):
        join_attributes(tmp_path / "documents", [tmp_path / "t"], tmp_path / "out")
    with pytest.raises(InputError, match="is the folder of the documents"):
        join_attributes(tmp_path / "documents", [tmp_path / "t"], tmp_path / "x" / ".." / "documents")
    for name in ("one", "two"):
        write(tmp_path / name / "documents" / "a.jsonl.gz", [{"id": name, "text": "some words"}])
    audit.scan([tmp_path / "one", tmp_path / "two"], tmp_path / "s", signals=["document"])
    answer = foxing("findings", tmp_path / "s", "--format", "dolma", "-o", tmp_path / "attributes" / "x")
    assert answer.code == 2 and "another file has its attributes at" in answer.err


def test_ids_that_json_has_no_kind_for_are_written_as_text(tmp_path: Path) -> None:
    table = pa.table({"id": [datetime.date(2020, 1, 2)], "text": ["some words"]})
    pq.write_table(table, tmp_path / "a.parquet")
    scanned = audit.scan(tmp_path / "a.parquet", tmp_path / "s", signals=["document"])
    (path,) = export_attributes(scanned.recorded, DEFAULTS, tmp_path / "attributes" / "x")
    assert [line["id"] for line in read(path)] == ["2020-01-02"]


def test_documents_without_ids_and_output_without_a_folder_are_refused(
    tmp_path: Path, foxing: Callable[..., Any]
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n', "utf-8")
    assert (
        foxing("scan", tmp_path / "a.jsonl", "-o", tmp_path / "s", "--signals", "document", "--workers", "1").code == 0
    )
    answer = foxing("findings", tmp_path / "s", "--format", "dolma", "-o", tmp_path / "attributes" / "x")
    assert answer.code == 2 and "no column 'id'" in answer.err
    assert not list((tmp_path / "attributes").rglob("*.gz"))
    assert "Name it with -o" in foxing("findings", tmp_path / "s", "--format", "dolma").err


def test_documents_that_changed_since_are_refused(tmp_path: Path, foxing: Callable[..., Any]) -> None:
    rows = [{"id": str(row), "text": "some words here"} for row in range(3)]
    write(tmp_path / "documents" / "a.jsonl.gz", rows)
    audit.scan(tmp_path / "documents", tmp_path / "s", signals=["document"])
    for other in (rows[:2], [*rows, rows[0]]):
        write(tmp_path / "documents" / "a.jsonl.gz", other)
        answer = foxing("findings", tmp_path / "s", "--format", "dolma", "-o", tmp_path / "attributes" / "x")
        assert answer.code == 2 and "has other rows than were scanned" in answer.err
        assert not (tmp_path / "attributes" / "x" / "a.jsonl.gz").exists()
