"""Data files to mutate, one maker a format, and the reading of them as a scan reads."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "arrow_seeds",
    "compressed_seeds",
    "csv_seeds",
    "jsonl_seeds",
    "parquet_seeds",
    "reader",
    "write",
    "zstd_seeds",
]


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def _read_all(uri: str) -> None:
    from audit.corpus import Corpus
    from audit.layout import find_layout

    for shard in Corpus.open([uri]).shards:
        schema = shard.schema()
        shard.groups()
        layout = find_layout(schema.names, shard.uri)
        for batch in shard.batches(None):
            layout.documents(batch, shard.uri)


def reader(name: str) -> Callable[[bytes, Path], None]:
    return lambda data, folder: _read_all(write(folder, name, data))


def _table() -> pa.Table:
    return pa.table(
        {
            "text": pa.array(
                ["Paper keeps what ink forgets.", None, "ä 漢字 \u202e", "", "the end " * 40] * 3, pa.large_string()
            ),
            "source": pa.array(["web", "books", None, "web", "web"] * 3).dictionary_encode(),
            "meta": [{"path": "a", "tags": ["x", "y"]}] * 15,
            "n": pa.array(range(15), pa.int32()),
            "score": pa.array([0.5] * 15, pa.float32()),
        }
    )


def parquet_seeds() -> list[bytes]:
    found = []
    for options in ({"compression": "none"}, {"compression": "snappy", "row_group_size": 5}, {"compression": "zstd"}):
        sink = io.BytesIO()
        pq.write_table(_table(), sink, **options)
        found.append(sink.getvalue())
    sink = io.BytesIO()
    pq.write_table(_table().select(["text", "n"]), sink, use_dictionary=False, data_page_version="2.0")
    return [*found, sink.getvalue()]


def arrow_seeds() -> list[bytes]:
    found = []
    for opened in (pa.ipc.new_file, pa.ipc.new_stream):
        sink = io.BytesIO()
        with opened(sink, _table().schema) as writer:
            writer.write_table(_table())
        found.append(sink.getvalue())
    return found


def jsonl_seeds() -> list[bytes]:
    rows = [
        {"text": "one two three", "n": 1, "score": 0.5},
        {"text": "ünï \ud83d\ude00", "n": 2**40, "meta": {"a": [1, 2], "b": None}},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}], "text": "x"},
        {"question": "why", "answer": "because", "text": None},
    ]
    lines = [json.dumps(row).encode() for row in rows]
    return [b"\n".join(lines) + b"\n", lines[0] * 1, b"\n\n".join(lines[:2]), b"\xef\xbb\xbf" + lines[3]]


def compressed_seeds() -> list[bytes]:
    return [gzip.compress(seed, 1) for seed in jsonl_seeds()]


def zstd_seeds() -> list[bytes]:
    import zstandard

    return [zstandard.compress(seed, 1) for seed in jsonl_seeds()]


def csv_seeds() -> list[bytes]:
    return [b'text,source\n"a, b",web\nplain,books\n"two\nlines",x\n', b"text\nsolo\n", b'text,n\n"q ""quoted""",1\n']
