"""Corpora in stores are read like those on disk: a real S3 server, and a web server, on the loopback."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from audit.corpus import Corpus
from audit.remote import shown
from audit.storage import digest, expand, stat
from detectors.errors import InputError
from tests.conftest import Answer
from tests.corpora import texts, write_parquet
from tests.stores import S3Server, served

Run = Callable[..., Answer]
SECRET = "hunter2"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "in" / "web" / "a.parquet", pa.table({"text": texts(80, 1), "n": range(80)}))
    (tmp_path / "in" / "books").mkdir()
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts(40, 2))
    (tmp_path / "in" / "books" / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return tmp_path / "in"


def test_a_corpus_in_a_store_is_scanned_curated_verified_and_undone(
    foxing: Run, tmp_path: Path, corpus: Path, s3: S3Server
) -> None:
    s3.send(corpus, "in")
    signals = ("--signals", "document", "--workers", "1")
    assert foxing("scan", corpus, "-o", tmp_path / "here", *signals).code == 0
    done = foxing("scan", "s3://bucket/in", "-o", tmp_path / "there", *signals)
    assert done.code == 0, done.err
    listed = [foxing("findings", tmp_path / name, "--format", "jsonl") for name in ("here", "there")]
    assert listed[0].out == listed[1].out and listed[0].out.count("\n") == 120
    out = "s3://bucket/out"
    shuffled = ("--curriculum", "shuffled", "--work", tmp_path / "work")
    done = foxing("curate", tmp_path / "there", "-o", out, *shuffled)
    assert done.code == 0, done.err
    assert f"foxing verify {out}/manifest.json" in done.out
    assert foxing("verify", f"{out}/manifest.json").code == 0
    assert foxing("undo", out, "-o", tmp_path / "back").code == 0
    back, read = (pq.read_table(folder / "web" / "a.parquet") for folder in (tmp_path / "back", corpus))
    assert back.equals(read)
    s3.put("in/web/a.parquet", s3.get("in/web/a.parquet") + b" ")
    changed = foxing("curate", tmp_path / "there", "-o", "s3://bucket/again", *shuffled)
    assert (changed.code, "changed since it was scanned" in changed.err) == (2, True)
    assert not [key for key in s3.objects() if key.startswith("again")]


def test_every_format_is_read_from_a_store_as_from_disk(tmp_path: Path, s3: S3Server) -> None:
    table = pa.table({"text": texts(40, 2)})
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts(40, 2)).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.zst").write_bytes(pa.compress(lines, "zstd", asbytes=True))
    csv.write_csv(table, tmp_path / "c.csv")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress((tmp_path / "c.csv").read_bytes()))
    (tmp_path / "e.txt").write_text(texts(1, 3)[0])
    with pa.OSFile(str(tmp_path / "f.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(tmp_path / "g.feather"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, tmp_path / "h.parquet")
    s3.send(tmp_path, "in")
    here, there = (Corpus.open([where]).shards for where in (str(tmp_path), "s3://bucket/in"))
    assert len(here) == len(there) == 8
    for one, other in zip(here, there, strict=True):
        found = [pa.Table.from_batches(shard.batches(["text"])) for shard in (one, other)]
        assert found[0].equals(found[1]) and found[0].num_rows in (1, 40), one.uri


def test_output_in_the_store_lies_apart_from_the_input(foxing: Run, tmp_path: Path, corpus: Path, s3: S3Server) -> None:
    s3.send(corpus, "in")
    assert (
        foxing("scan", "s3://bucket/in", "-o", tmp_path / "audit", "--signals", "document", "--workers", "1").code == 0
    )
    for out in ("s3://bucket/in/out", "s3://bucket/in", "s3://bucket"):
        done = foxing("curate", tmp_path / "audit", "-o", out, "--curriculum", "original")
        assert (done.code, "one inside the other" in done.err) == (2, True), done.err


def test_findings_in_a_store_are_refused_with_a_way_out(foxing: Run, tmp_path: Path, corpus: Path) -> None:
    done = foxing("scan", corpus, "-o", "s3://bucket/audit")
    assert done.code == 2
    assert "local folder" in done.err and "foxing curate writes its output to a URL" in done.err


def test_objects_are_listed_once_however_many(s3: S3Server) -> None:
    body = b'{"text": "one line"}\n'
    for number in range(1100):
        s3.put(f"in/{number % 7}/{number:05d}.jsonl", body)
    s3.put("in/0/", b"")  # what consoles make of a folder
    for pattern in ("in", "in/", "in/*/*.jsonl", "in/**/*.jsonl"):
        s3.forget()
        found = expand(f"s3://bucket/{pattern}")
        assert len(found) == 1100 == len({entry.relative for entry in found})
        pages = s3.requests["GET list"]
        assert 2 <= pages <= 8, "pages of a thousand, or the seven folders and what they are in"
        assert {entry.size_bytes for entry in found} == {len(body)}
        assert all(stat(entry.uri) for entry in found)
        assert s3.requests.total() == pages, "what was listed is not asked for again"


def test_what_cannot_be_listed_or_read_is_told(s3: S3Server) -> None:
    s3.put("in/a.jsonl", b"{}")
    s3.fail("GET list", 403, 10**6)
    with pytest.raises(InputError, match=r"s3://bucket/in: cannot be listed .* rights"):
        expand("s3://bucket/in")
    s3.fail("", 0, 0)
    for missing in ("s3://bucket/none", "s3://bucket/in/*.parquet", "s3://no-such-bucket/in"):
        with pytest.raises(InputError, match="no such file"):
            expand(missing)


def test_faults_in_passing_are_tried_again(s3: S3Server, corpus: Path) -> None:
    s3.send(corpus, "in")
    (shard, _) = Corpus.open(["s3://bucket/in"]).shards
    s3.fail("GET object", 503, 2)
    assert digest(shard.uri) == digest(str(corpus / "books" / "b.jsonl.gz"))


def test_files_are_read_from_the_web(corpus: Path) -> None:
    with served(corpus) as url:
        (shard,) = Corpus.open([f"{url}/web/a.parquet"]).shards
        assert shard.key == "a" and shard.size_bytes == (corpus / "web" / "a.parquet").stat().st_size
        read = pa.Table.from_batches(shard.batches())
        assert read.equals(pq.read_table(corpus / "web" / "a.parquet"))
        assert shard.digest() == digest(str(corpus / "web" / "a.parquet"))
        (listed,) = Corpus.open([f"{url}/books/"]).shards
        assert listed.size_bytes and sum(batch.num_rows for batch in listed.batches()) == 40
        with pytest.raises(InputError, match="no such file"):
            expand(f"{url}/none.parquet")


def test_a_web_server_without_ranges_is_told_apart_from_a_torn_file(corpus: Path) -> None:
    with served(corpus, ranges=False) as url, pytest.raises(InputError, match="Fetch the file first"):
        list(Corpus.open([f"{url}/web/a.parquet"]).shards[0].batches())


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@example.org/a.parquet",
        f"ftp://user:{SECRET}@example.org/in",
        f"https://{SECRET}@example.org/a.parquet",
        f"zip://a.parquet::https://user:{SECRET}@example.org/a.zip",
        f"https://example.org/a.parquet?X-Amz-Signature={SECRET}&x=1",
        f"https://example.org/a.parquet?sv=2&sig={SECRET}",
        f"https://example.org/a.parquet?x=1&token={SECRET}#part",
    ],
)
def test_credentials_in_an_address_are_refused_and_never_printed(foxing: Run, tmp_path: Path, url: str) -> None:
    write_parquet(tmp_path / "a.parquet", pa.table({"text": texts(40)}))
    assert (
        foxing("scan", tmp_path / "a.parquet", "-o", tmp_path / "audit", "--signals", "document", "--workers", "1").code
        == 0
    )
    for words in (
        ("scan", url, "-o", tmp_path / "again"),
        ("scan", tmp_path / "a.parquet", "-o", url),
        ("curate", tmp_path / "audit", "-o", url, "--curriculum", "original"),
        ("curate", tmp_path / "audit", "-o", tmp_path / "out", "--corpus", url, "--curriculum", "original"),
        ("verify", url),
        ("undo", url, "-o", tmp_path / "back"),
        ("undo", tmp_path / "audit", "-o", url),
    ):
        done = foxing(*words)
        assert done.code == 2, words
        assert SECRET not in done.out + done.err, words
    assert not any(SECRET in file.read_text("utf-8", "replace") for file in tmp_path.rglob("*.json"))


def test_credentials_of_the_environment_stand_nowhere(foxing: Run, tmp_path: Path, corpus: Path, s3: S3Server) -> None:
    s3.send(corpus, "in")
    said = [
        foxing("scan", "s3://bucket/in", "-o", tmp_path / "audit", "--signals", "document", "--workers", "1", "-v"),
        foxing("curate", tmp_path / "audit", "-o", "s3://bucket/out", "--curriculum", "original", "-v"),
        foxing("verify", "s3://bucket/out", "-v"),
    ]
    s3.fail("GET list", 403, 10**6)
    said.append(foxing("verify", "s3://bucket/out", "-v"))
    kept = s3.environment["AWS_SECRET_ACCESS_KEY"]
    assert not any(kept in answer.out + answer.err for answer in said)
    assert kept.encode() not in b"".join(s3.get(key) for key in s3.objects())
    assert json.loads(s3.get("out/manifest.json"))["inputs"][0]["uri"] == "s3://bucket/in/books/b.jsonl.gz"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/a.parquet", "s3://bucket/a.parquet"),
        ("/a/b?token=x", "/a/b?token=x"),
        ("https://u:pw@h:8080/a?x=1", "https://u:***@h:8080/a?x=1"),
        ("zip://a.csv::https://u:pw@h/a.zip", "zip://a.csv::https://u:***@h/a.zip"),
        ("simplecache::https://u:pw@h/a", "simplecache::https://u:***@h/a"),
        ("https:/u:pw@h/a", "https:/u:***@h/a"),
        ("https://token@h/a", "https://***@h/a"),
        ("sftp://user@h/a", "sftp://user@h/a"),
        ("https://h/a?x=1&Signature=ab%2Fc&y=2", "https://h/a?x=1&Signature=***&y=2"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(url: str, said: str) -> None:
    assert shown(url) == said
