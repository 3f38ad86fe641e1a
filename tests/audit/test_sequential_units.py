from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.corpus import Corpus, Shard
from audit.layout import find_layout
from audit.readers import Format, ShardError, sequential
from audit.sequential_units import UNIT_ROWS, Cut, Population, cut, first_names, read

LINES = [f"row {at} " + "word " * (at % 7) for at in range(333)]


def shards(tmp_path: Path) -> list[Shard]:
    """The same rows as Parquet with odd row groups, JSONL with blank lines, gzipped JSONL, CSV and Arrow."""
    table = pa.table({"text": LINES})
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for first, last in ((0, 1), (1, 131), (131, 131), (131, 333)):
            writer.write_table(table.slice(first, last - first))
    text = "\n\n".join(json.dumps({"text": line}) for line in LINES) + "\n \n"
    (tmp_path / "b.jsonl").write_text("\ufeff" + text, "utf-8")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "d.csv").write_text("text\n" + "".join(f'"{line}"\n' for line in LINES), "utf-8")
    with pa.OSFile(str(tmp_path / "e.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return list(Corpus.open([str(tmp_path)]).shards)


def population(found: list[Shard]) -> Population:
    return Population(tuple((shard, find_layout(first_names(shard), shard.uri), cut(shard)) for shard in found))


@pytest.mark.parametrize("place", range(5))
def test_units_hold_every_row_once_and_are_read_as_the_file_has_them(tmp_path: Path, place: int) -> None:
    shard = shards(tmp_path)[place]
    units = list(population([shard]).drawn(3))
    assert sorted(row for unit in units for row in range(unit.first_row, unit.first_row + unit.rows)) == list(
        range(333)
    )
    assert max(unit.rows for unit in units) <= UNIT_ROWS
    wanted = units[:3] + units[4:]
    for unit, batches in read(wanted, ["text"]):
        texts = [value for batch in batches for value in batch["text"].to_pylist()]
        assert texts == LINES[unit.first_row : unit.first_row + unit.rows]


def test_a_seed_gives_one_order_and_large_units_come_earlier() -> None:
    rows = np.array([1, 63] * 2000)
    nothing = np.zeros(0, np.int64)
    units = Cut(np.cumsum(rows) - rows, rows, np.zeros(4000, np.int64), np.cumsum(rows) - rows, nothing)
    shard = Shard("a", "/a.parquet", Format.PARQUET, 1)
    found = Population(((shard, find_layout(["text"], "/a.parquet"), units),))
    order = list(found.drawn(7))
    assert [unit.first_row for unit in order] == [unit.first_row for unit in found.drawn(7)]
    assert [unit.first_row for unit in order] != [unit.first_row for unit in found.drawn(8)]
    assert [unit.place for unit in order] == list(range(4000)) and (found.units, found.rows) == (4000, 128_000)
    first = Counter(unit.rows for unit in order[:600])
    assert first[63] / 600 == pytest.approx(63 / 64, abs=0.03)


def test_a_broken_line_and_a_file_that_changed_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' * 4998 + "{oops\n", "utf-8")
    (shard,) = Corpus.open([str(tmp_path / "a.jsonl")]).shards
    units = sorted(population([shard]).drawn(1), key=lambda unit: unit.first_row)
    with pytest.raises(ShardError, match=r"a.jsonl: counted from row 4992, line 7 is not JSON"):
        list(read(units, ["text"]))
    pq.write_table(pa.table({"text": LINES}), tmp_path / "b.parquet")
    (shard,) = Corpus.open([str(tmp_path / "b.parquet")]).shards
    units = list(population([shard]).drawn(1))
    pq.write_table(pa.table({"text": LINES[:9]}), tmp_path / "b.parquet")
    with pytest.raises(ShardError, match="other rows from row"):
        list(read(units[:1] if units[0].first_row else units[1:2], ["text"]))


def test_a_line_without_end_is_refused_and_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "LONGEST_BYTES", 1 << 20)
    lines = b'{"text": "one"}\n' * 5000
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines + b" " * (1 << 24)))
    (shard,) = Corpus.open([str(tmp_path)]).shards
    with pytest.raises(ShardError, match="line 5001 has more than 1 MB"):
        cut(shard)
