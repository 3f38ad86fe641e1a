"""Small corpora made in code."""

from __future__ import annotations

import datetime as dt
import decimal
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = (
    "river stone lantern quiet morning engine paper copper window garden winter signal harbour thread number orchard "
    "letter market shadow bridge corner silver paint mountain candle story kettle machine cloud table"
).split()


def sentence(rng: random.Random, words: int = 12) -> str:
    """A sentence-like string."""
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize() + "."


def document(rng: random.Random, sentences: int = 8) -> str:
    """A few sentences."""
    return " ".join(sentence(rng, rng.randint(5, 15)) for _ in range(sentences))


def texts(rows: int, seed: int = 1) -> list[str]:
    """Documents of different lengths."""
    rng = random.Random(seed)
    return [document(rng, rng.randint(1, 20)) for _ in range(rows)]


def awkward_table(rows: int, seed: int = 1) -> pa.Table:
    """A table with what real corpora have: dictionaries, nested values, late nulls, odd text, metadata."""
    found: list[str | None] = list(texts(rows, seed))
    odd: list[str | None] = [None, "", "\x00 odd \u202e bidi", "👩‍👩‍👧 ❤️", " \n\t ", "été ÅÅ 漢字かな ไทย", None]
    found[: len(odd)] = odd[: min(len(odd), rows)]
    fields = [
        pa.field("key", pa.string(), metadata={b"unit": b"none"}),
        pa.field("text", pa.large_string()),
        pa.field("source", pa.dictionary(pa.int32(), pa.string())),
        pa.field("late", pa.float32()),
        pa.field("meta", pa.struct([("path", pa.string()), ("part", pa.int32()), ("tags", pa.list_(pa.string()))])),
        pa.field("ts", pa.timestamp("us", tz="UTC")),
        pa.field("price", pa.decimal128(9, 2)),
        pa.field("blob", pa.binary()),
        pa.field("pairs", pa.map_(pa.string(), pa.int64())),
    ]
    columns = [
        pa.array([f"k{i}" for i in range(rows)], pa.string()),
        pa.array(found[:rows], pa.large_string()),
        pa.array([("web", "books", None)[i % 3] for i in range(rows)]).dictionary_encode(),
        pa.array([None] * (rows - 2) + [1.5] * min(2, rows), pa.float32()),
        pa.array(
            [{"path": f"p/{i}", "part": i % 7, "tags": ["a", "b"][: i % 3]} if i % 5 else None for i in range(rows)],
            fields[4].type,
        ),
        pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(rows)], fields[5].type),
        pa.array([decimal.Decimal(i) / 4 for i in range(rows)], fields[6].type),
        pa.array([bytes([i % 256, 255, 0]) for i in range(rows)], pa.binary()),
        pa.array([[("a", i)] if i % 2 else [] for i in range(rows)], fields[8].type),
    ]
    return pa.table(columns, schema=pa.schema(fields, metadata={b"owner": b"x", b"note": "späße".encode()}))


def write_parquet(path: Path, table: pa.Table, *, rows_per_group: int = 100) -> Path:
    """Write a table with several row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_per_group, compression="zstd")
    return path


def write_texts(path: Path, found: Sequence[str | None], *, rows_per_group: int = 100) -> Path:
    """Write a one-column corpus."""
    return write_parquet(path, pa.table({"text": pa.array(found, pa.string())}), rows_per_group=rows_per_group)
