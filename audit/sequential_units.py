"""The units of a corpus that a sample draws: short runs of rows, their order by the seed, and how they are read.

A unit is at most `UNIT_ROWS` consecutive rows of one row group, or of a file that has none. Which runs there are
depends on the files alone. A Parquet file tells its rows in its footer; of JSONL the lines are counted in one pass that
parses nothing, and a unit is then read where it lies; other formats are read through.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.readers import JsonLinesReader, ShardError
from audit.readers.sequential import lines_of, without_bom
from audit.storage import open_binary

if TYPE_CHECKING:
    from audit.corpus import Shard
    from audit.layout import Layout

__all__ = ["UNIT_ROWS", "Cut", "Population", "Unit", "cut", "first_names", "one_pass", "read"]

UNIT_ROWS = 64
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Unit:
    """One run of rows.

    Attributes:
        place: in the order of drawing, from 0.
        shard: the file.
        layout: columns that make up a row's text.
        first_row: position in the file.
        rows: how many.
        group: row group that it lies in; None where the file has none.
        skip: rows of that group, or of the file, before it.
        span: first byte of the decompressed file and the one after the last, for JSONL; None elsewhere.
    """

    place: int
    shard: Shard
    layout: Layout
    first_row: int
    rows: int
    group: int | None
    skip: int
    span: tuple[int, int] | None


@dataclass(frozen=True)
class Cut:
    """The units of one file, an array entry each.

    Attributes:
        first_row, rows: of each unit.
        group: row group of each, -1 where the file has none.
        skip: rows of the group before it.
        start: first byte of each in a decompressed JSONL file, and the end of the file; empty elsewhere.
    """

    first_row: Integers
    rows: Integers
    group: Integers
    skip: Integers
    start: Integers

    @property
    def total(self) -> int:
        """Rows of the file."""
        return int(self.rows.sum())


def cut(shard: Shard) -> Cut:
    """Cut a file into units.

    Raises:
        ShardError: it cannot be read.
    """
    groups = shard.groups()
    if groups is not None:
        pieces = [_runs(group.rows, at) for at, group in enumerate(groups) if group.rows]
        rows, group, skip = (
            (np.concatenate(each) if pieces else _none() for each in zip(*pieces, strict=True))
            if (pieces)
            else (_none(), _none(), _none())
        )
        return Cut(np.cumsum(rows) - rows, rows, group, skip, _none())
    reader = shard.reader
    if isinstance(reader, JsonLinesReader):
        total, start = _lines(reader)
    else:
        total, start = sum(batch.num_rows for batch in shard.batches(_one_column(shard))), _none()
    rows, group, skip = _runs(total, -1)
    return Cut(skip, rows, group, skip, start)


def _one_column(shard: Shard) -> list[str] | None:
    return shard.reader.names()[:1] or None


def _none() -> Integers:
    return np.zeros(0, np.int64)


def _runs(total: int, group: int) -> tuple[Integers, Integers, Integers]:
    """Rows, row group and rows before of each unit of a group."""
    skip = np.arange(0, total, UNIT_ROWS, dtype=np.int64)
    return np.minimum(UNIT_ROWS, total - skip), np.full(len(skip), group, np.int64), skip


def _lines(reader: JsonLinesReader) -> tuple[int, Integers]:
    """Rows of a JSONL file, and where each unit begins and the last one ends, in bytes of the decompressed file."""
    starts, at, rows = [0], 0, 0
    with reader._bytes() as raw:
        for line in lines_of(raw, reader.uri):
            at += len(line)
            if (without_bom(line) if rows == 0 else line).strip():
                rows += 1
                if rows % UNIT_ROWS == 0:
                    starts.append(at)
    if starts[-1] != at or len(starts) == 1:
        starts.append(at)
    return rows, np.array(starts if rows else [], np.int64)


def first_names(shard: Shard) -> list[str]:
    """Column names, of JSONL those of the first rows: more would take a pass over the file.

    Raises:
        ShardError: it cannot be read.
    """
    reader = shard.reader
    if not isinstance(reader, JsonLinesReader):
        return reader.names()
    return list(dict.fromkeys(key for row in next(reader._rows(), []) for key in row))


@dataclass(frozen=True)
class Population:
    """All units of a corpus.

    Attributes:
        shards: that have rows, each with how its text is laid out and its units.
    """

    shards: tuple[tuple[Shard, Layout, Cut], ...]

    @property
    def rows(self) -> int:
        """Rows of all units."""
        return sum(units.total for _, _, units in self.shards)

    @property
    def units(self) -> int:
        """How many there are."""
        return sum(len(units.rows) for _, _, units in self.shards)

    def drawn(self, seed: int) -> Iterator[Unit]:
        """All units, in an order in which each next one is drawn with a chance in proportion to its rows.

        That order is by exponential times with rates of the rows (Efraimidis and Spirakis 2006, Inf. Process. Lett.
        97:181).
        """
        rows = np.concatenate([units.rows for _, _, units in self.shards])
        which = np.repeat(np.arange(len(self.shards)), [len(units.rows) for _, _, units in self.shards])
        before = np.cumsum([0, *(len(units.rows) for _, _, units in self.shards)])
        times = np.random.default_rng(seed).exponential(size=len(rows)) / rows
        for place, at in enumerate(np.argsort(times, kind="stable").tolist()):
            shard, layout, units = self.shards[which[at]]
            own = at - int(before[which[at]])
            span = (int(units.start[own]), int(units.start[own + 1])) if len(units.start) else None
            group = int(units.group[own])
            yield Unit(
                place,
                shard,
                layout,
                int(units.first_row[own]),
                int(units.rows[own]),
                None if group < 0 else group,
                int(units.skip[own]),
                span,
            )


def read(units: Sequence[Unit], columns: Sequence[str]) -> Iterator[tuple[Unit, list[pa.RecordBatch]]]:
    """The rows of units of one file, in file order; the file is opened once, and passed over once where it must be.

    Raises:
        ShardError: it cannot be read, or has changed since it was cut.
    """
    ordered = sorted(units, key=lambda unit: unit.first_row)
    shard = ordered[0].shard
    if ordered[0].span is not None:
        found = _read_lines(shard.uri, ordered, columns)
    elif ordered[0].group is not None:
        found = _read_groups(ordered, columns)
    else:
        found = _pick(shard.batches(columns), ordered)
    for unit, batches in found:
        if sum(batch.num_rows for batch in batches) != unit.rows:
            raise ShardError(
                shard.uri,
                f"has other rows from row {unit.first_row} on than when it was looked at first",
                "Run the same command again when nothing writes to it.",
            )
        yield unit, batches


def _read_groups(units: list[Unit], columns: Sequence[str]) -> Iterator[tuple[Unit, list[pa.RecordBatch]]]:
    shard = units[0].shard
    for group in dict.fromkeys(unit.group for unit in units):
        assert group is not None
        batches = shard.batches(columns, first_group=group, groups=1)
        yield from _pick(batches, [unit for unit in units if unit.group == group])


def _pick(batches: Iterator[pa.RecordBatch], units: list[Unit]) -> Iterator[tuple[Unit, list[pa.RecordBatch]]]:
    """Cut units out of a stream that begins where their `skip` counts from, no further than the last one."""
    at = 0
    waiting = list(units)
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        end = at + batch.num_rows
        while waiting and waiting[0].skip < end:
            unit = waiting[0]
            first, last = max(unit.skip, at), min(unit.skip + unit.rows, end)
            kept.append(batch.slice(first - at, last - first))
            if last < unit.skip + unit.rows:
                break
            yield waiting.pop(0), kept
            kept = []
        at = end
        if not waiting:
            return
    for unit in waiting:
        yield unit, kept
        kept = []


class _Lines(JsonLinesReader):
    """Some lines of a JSONL file as if they were all of it."""

    def __init__(self, uri: str, content: bytes) -> None:
        super().__init__(uri)
        self._content = content

    @contextmanager
    def _bytes(self) -> Iterator[IO[bytes]]:
        yield io.BytesIO(self._content)


def _read_lines(uri: str, units: list[Unit], columns: Sequence[str]) -> Iterator[tuple[Unit, list[pa.RecordBatch]]]:
    whole = JsonLinesReader(uri)
    with whole._bytes() if whole._is_compressed else open_binary(uri) as raw:
        at = 0
        for unit in units:
            assert unit.span is not None
            start, stop = unit.span
            if whole._is_compressed:
                _skip(raw, start - at)
            else:
                raw.seek(start)
            content = raw.read(stop - start)
            at = stop
            yield unit, list(_parsed(_Lines(uri, content), columns, unit))


def _parsed(lines: _Lines, columns: Sequence[str], unit: Unit) -> Iterator[pa.RecordBatch]:
    try:
        yield from lines.sample(columns)
    except ShardError as error:
        what = str(error).removeprefix(f"{lines.uri}: ")
        raise ShardError(
            lines.uri, f"counted from row {unit.first_row}, {what}".rstrip("."), "", code=error.code
        ) from error


def _skip(raw: IO[bytes], size: int) -> None:
    while size > 0:
        piece = raw.read(min(size, 1 << 20))
        if not piece:
            return
        size -= len(piece)


def one_pass(unit: Unit) -> tuple[object, ...]:
    """What has to be read from its beginning for this unit: its row group, its file, or the unit alone."""
    uri = unit.shard.uri
    is_found = unit.group is None and unit.span is not None and not uri.lower().endswith((".gz", ".zst", ".zstd"))
    return (uri, None, unit.place) if is_found else (uri, unit.group)
