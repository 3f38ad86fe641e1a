"""The sample corpus: the same bytes each time, and every trap that its README promises."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.code_blocks import blocks

SAMPLES = Path(__file__).parent.parent / "samples"
FILES = {
    "content_farm.parquet",
    "crawl.parquet",
    "docstrings.parquet",
    "handbook.parquet",
    "qa.parquet",
    "support_chat.jsonl",
    "translated.jsonl.gz",
}


def _make(out: Path, hash_seed: str) -> Path:
    command = [sys.executable, str(SAMPLES / "make_samples.py"), str(out)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    return out


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(tmp_path_factory.mktemp("samples") / "corpus", "1")


def _jsonl(path: Path) -> list[dict[str, object]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def test_the_line_of_the_readme_writes_the_same_bytes_where_it_says(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES, tmp_path / "samples", ignore=shutil.ignore_patterns("corpus", "__pycache__"))
    ((line,),) = [block.commands for block in blocks("samples/README.md")]
    program, *words = line.split()
    assert program == "python"
    environment = {**os.environ, "PYTHONHASHSEED": "2"}
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, env=environment)
    assert {path.name: path.read_bytes() for path in (tmp_path / "samples" / "corpus").iterdir()} == {
        path.name: path.read_bytes() for path in corpus.iterdir()
    }


def test_readme_lists_every_file_and_every_file_is_made(corpus: Path) -> None:
    assert {path.name for path in corpus.iterdir()} == FILES
    readme = (SAMPLES / "README.md").read_text("utf-8")
    assert all(f"| `{name}` |" in readme for name in FILES)


def test_corpus_is_small_and_every_row_says_who_wrote_it(corpus: Path) -> None:
    authors: list[object] = []
    for path in corpus.glob("*.parquet"):
        assert pq.ParquetFile(path).num_row_groups > 1
        authors += pq.read_table(path)["written_by"].to_pylist()
    for path in corpus.glob("*.jsonl*"):
        authors += [row["written_by"] for row in _jsonl(path)]
    assert set(authors) == {"person", "machine", "program"}
    assert 1_500 <= len(authors) <= 3_000


def test_handbook_pages_are_long_enough_to_judge_and_hold_no_machine_text(corpus: Path) -> None:
    table = pq.read_table(corpus / "handbook.parquet")
    assert set(table["written_by"].to_pylist()) == {"person"}
    assert min(len(text) for text in table["text"].to_pylist()) >= 400


def test_a_few_chatbot_answers_hide_among_the_docstrings(corpus: Path) -> None:
    authors = pq.read_table(corpus / "docstrings.parquet")["written_by"].to_pylist()
    assert authors.count("machine") == 24
    assert authors.count("person") > 20 * 24


def test_crawl_has_an_awkward_schema(corpus: Path) -> None:
    table = pq.read_table(corpus / "crawl.parquet")
    assert pa.types.is_dictionary(table.schema.field("site").type)
    assert pa.types.is_list(table.schema.field("where").type.field("links").type)
    assert table.schema.field("fetched").type == pa.timestamp("us", tz="Europe/Berlin")
    assert table.schema.metadata[b"note"] == "späße".encode()
    assert table["quality"].slice(0, table.num_rows - 5).null_count == table.num_rows - 5
    assert table["quality"].slice(table.num_rows - 5).null_count < 5


def test_crawl_has_rows_without_text_copies_and_spam(corpus: Path) -> None:
    table = pq.read_table(corpus / "crawl.parquet")
    texts = table["text"].to_pylist()
    handbook = set(pq.read_table(corpus / "handbook.parquet")["text"].to_pylist())
    assert texts.count(None) == 2
    assert "" in texts
    assert sum(text in handbook for text in texts) == 60
    assert table["written_by"].to_pylist().count("program") == 50


def test_machine_text_has_at_least_sixty_passages_in_four_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLES))
    from machine_text import compose, passages

    written = passages()
    assert len({passage.text for passage in written}) == len(written) >= 60
    assert {passage.language for passage in written} == {"en", "de", "es", "zh"}
    assert len({passage.text for passage in compose(260)}) == 260
    assert compose(20, seed=3) == compose(20, seed=3)


def test_sample_config_loads_and_names_every_setting() -> None:
    from audit.config import CheckConfig, CurateConfig, ScanConfig, load_config

    config = load_config(SAMPLES / "foxing.toml")
    assert config.scan == ScanConfig()
    lines = (SAMPLES / "foxing.toml").read_text("utf-8").splitlines()
    named = {line.removeprefix("# ").partition(" = ")[0] for line in lines if " = " in line}
    keys = {field.name for kind in (ScanConfig, CheckConfig, CurateConfig) for field in dataclasses.fields(kind)}
    assert keys - {"budget"} <= named
    assert config.check.budget == {"FX101": 0.02}
