"""docs/architecture.md tells the truth: a folder of findings holds what the page lists, and nothing else."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.code_blocks import blocks
from tests.conftest import Answer
from tests.corpora import texts, write_texts

LISTED = next(block for block in blocks("docs/architecture.md") if block.text.startswith("DIR/"))


def patterns() -> Iterator[str]:
    """Of the paths that are listed, from DIR; a name that begins with a dot is another ending of the first one."""
    for line in LISTED.lines:
        base = ""
        for name in re.split(r", +", re.split(r" {2,}", line)[0]) if line.strip() and line[0] != " " else ():
            path = name.removeprefix("DIR/") if name.startswith("DIR/") else base.rpartition(".")[0] + name
            base = base or path
            whole = re.escape(path).replace(r"\[\.COLUMN\]", r"(\.\w+)?").replace(re.escape("...."), r"\d{12}.")
            yield whole.replace("SIGNAL", r"(?!sketches)\w+").replace("SHARD", r"[^/]+")


def test_a_folder_of_findings_holds_what_is_listed_and_nothing_else(
    tmp_path: Path, foxing: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        write_texts(tmp_path / "corpus" / f"{number}.parquet", list(texts(20, number)))
    light = ("--signals", "document,diversity", "--workers", "1")
    for options in (("-o", "parts", "--part", "2/4"), ("-o", "whole")):
        assert foxing("scan", "corpus", *options, *light).code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "one two three"}\n')))
    assert foxing("scan", "-", "-o", "piped", *light).code == 0
    held = [path for path in tmp_path.rglob("*") if path.is_file() and path.parts[len(tmp_path.parts)] != "corpus"]
    there = {path.relative_to(tmp_path).as_posix().partition("/")[2] for path in held}
    listed = list(patterns())
    assert len(listed) == 9
    assert [path for path in there if not any(re.fullmatch(each, path) for each in listed)] == []
    assert [each for each in listed if not any(re.fullmatch(each, path) for path in there)] == []
    part = pq.read_schema(next(Path("whole/findings/document").rglob("*.parquet")))
    assert part.names == ["row", "document", "error"]
    assert [str(part.field(name).type) for name in ("row", "error")] == ["int64", "string"]
