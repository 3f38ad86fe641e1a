"""The plan: what becomes of every row of the corpus, and its place in the output, as one Parquet file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricula.protocols import Curriculum, Editing
from curricula.stored import as_array
from curricula.tally import score
from detectors.errors import FindingsError, PluginError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PLAN_SCHEMA", "Plan", "PlanCursor", "build_plan"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]

PLAN_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rules", pa.list_(pa.field("element", pa.string())), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("rank", pa.int64()),
        pa.field("copies", pa.int32(), nullable=False),
        pa.field("answer", pa.large_string()),
    ]
)
"""One row per corpus row, in corpus order.

`rank` is the position of the row's first copy in the output of its series (see `curricula.stored.Series`), null where
dropped; further copies follow it. `copies` is 0 where dropped. `score` is the AI score, null where there is none.
`answer` is the text that the row's answer is replaced with, null where it stays.
"""
_PLANNED = ("shard", "row", "action", "rules", "ai_text")


@dataclass(frozen=True)
class Plan:
    """A written plan.

    Attributes:
        path: of the Parquet file.
        first: position in the plan of each shard's first row, and the number of rows at the end.
        kept: per shard, output rows (sum of copies).
        dropped: per shard, rows dropped.
        unranked: kept rows that the curriculum left without a rank.
        sorted: per series, True when its output order is corpus order.
        edited: per shard, kept rows whose answer is replaced.
    """

    path: Path
    first: tuple[int, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    unranked: int
    sorted: tuple[bool, ...]
    edited: tuple[int, ...]


@dataclass(frozen=True)
class _Edits:
    """Rows that get another answer, by ascending corpus position.

    Attributes:
        index: int64.
        answers: large_string.
    """

    index: I64
    answers: pa.LargeStringArray

    @classmethod
    def none(cls) -> _Edits:
        return cls(np.zeros(0, np.int64), pa.array([], pa.large_string()))

    def of(self, start: int, stop: int) -> pa.LargeStringArray:
        """One answer, or null, for each row from one position up to another."""
        begin, end = np.searchsorted(self.index, [start, stop]).tolist()
        place, present = np.zeros(stop - start, np.int64), np.zeros(stop - start, np.bool_)
        rows = self.index[begin:end] - start
        place[rows], present[rows] = np.arange(begin, end), True
        return self.answers.take(as_array(place, present))

    def only(self, keep: npt.NDArray[np.bool_]) -> _Edits:
        """Those of rows that are kept."""
        kept = keep[self.index]
        return _Edits(self.index[kept], self.answers.filter(pa.array(kept)))


def build_plan(
    parts: Iterable[pl.DataFrame],
    shards: Sequence[tuple[str, int]],
    series: Sequence[Sequence[int]],
    curricula: Sequence[Curriculum],
    *,
    path: Path,
    work: Path,
    editable: Sequence[int] = (),
) -> Plan:
    """Rank the rows and write the plan.

    Parts are spooled to disk and ranked lazily, so signals are never in memory together; the sort needs about 40 bytes
    a row.

    Args:
        parts: judged parts in corpus order.
        shards: key and rows of each shard, in corpus order.
        series: shards (by position) that share an output order.
        curricula: one of them may order; copies multiply. They see the signals that the parts hold.
        path: of the plan; written under a temporary name and renamed.
        work: folder for the spool, emptied afterwards.
        editable: shards whose rows have an answer that can be replaced.

    Raises:
        FindingsError: parts that do not cover the shards row by row.
        PluginError: a curriculum that lost, doubled or mistyped rows.
    """
    work.mkdir(parents=True, exist_ok=True)
    spooled = _spool(parts, shards, work)
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum([rows for _, rows in shards], dtype=np.int64)])
    ranks, ranked, copies, edits = _ranked(spooled, int(first[-1]), curricula)
    keep = _kept(spooled, int(first[-1]))
    copies[~keep] = 0
    answered = keep.copy()
    for at in set(range(len(shards))) - set(editable):
        answered[first[at] : first[at + 1]] = False
    edits = edits.only(answered)
    position, in_order = _positions(ranks, ranked, copies, first, series)
    _write(spooled, position, copies, edits, path, work)
    for file in spooled:
        file.unlink()
    edges = first.tolist()
    spans = list(itertools.pairwise(edges))
    return Plan(
        path=path,
        first=tuple(edges),
        kept=tuple(int(copies[a:b].sum(dtype=np.int64)) for a, b in spans),
        dropped=tuple(int((copies[a:b] == 0).sum()) for a, b in spans),
        unranked=int((keep & ~ranked).sum()),
        sorted=in_order,
        edited=tuple(np.diff(np.searchsorted(edits.index, edges)).tolist()),
    )


def _spool(parts: Iterable[pl.DataFrame], shards: Sequence[tuple[str, int]], work: Path) -> list[Path]:
    """Write each part with its corpus position, checking that shards follow each other row by row."""
    import polars as pl

    files: list[Path] = []
    index = 0
    starts = {key: at for (key, _), at in zip(shards, _starts(shards), strict=True)}
    for part in parts:
        if not part.height:
            continue
        there = part.select(pl.col("shard").replace_strict(starts, default=None, return_dtype=pl.Int64) + pl.col("row"))
        if not np.array_equal(there.to_series().to_numpy(), np.arange(index, index + part.height)):
            raise FindingsError(
                f"findings of {part['shard'][0]} are not row by row from {part['row'][0]}. Scan again with --fresh."
            )
        file = work / f"decided-{len(files):06d}.parquet"
        part.insert_column(
            0, pl.int_range(index, index + part.height, dtype=pl.Int64, eager=True).alias("index")
        ).write_parquet(file, compression="lz4")
        files.append(file)
        index += part.height
    if index != sum(rows for _, rows in shards):
        raise FindingsError(
            f"findings hold {index:,} rows of {sum(rows for _, rows in shards):,}. Scan again: it resumes."
        )
    return files


def _starts(shards: Sequence[tuple[str, int]]) -> list[int]:
    return [0, *np.cumsum([rows for _, rows in shards]).tolist()[:-1]]


def _ranked(
    files: Sequence[Path], rows: int, curricula: Sequence[Curriculum]
) -> tuple[I64, npt.NDArray[np.bool_], I32, _Edits]:
    """Rank key, whether there is one, and copies, by corpus position; and the answers to be replaced."""
    import polars as pl

    key, ranked, copies = np.zeros(rows, np.int64), np.ones(rows, np.bool_), np.ones(rows, np.int32)
    edits = _Edits.none()
    for curriculum in curricula if files else ():
        answer = curriculum.rank(pl.scan_parquet(list(files)))
        columns = answer.collect_schema().names()
        if missing := {"index", "rank"} - set(columns):
            raise PluginError(
                f"curriculum {curriculum.name!r} gives no {' and '.join(sorted(missing))} but {', '.join(columns)}. "
                "See curricula/protocols.py."
            )
        wanted = [
            pl.col("index", "rank").cast(pl.Int64),
            *([pl.col("copies").cast(pl.Int32)] if "copies" in columns else []),
            *([pl.col("answer").cast(pl.String)] if isinstance(curriculum, Editing) else []),
        ]
        frame = answer.select(wanted).collect(engine="streaming")
        index = frame["index"].to_numpy()
        if frame["index"].null_count() or not _is_permutation(index, rows):
            raise PluginError(
                f"curriculum {curriculum.name!r} gave {len(index):,} rows for {rows:,}, or one twice. "
                "Each index goes out once."
            )
        if curriculum.orders:
            ranked[index] = frame["rank"].is_not_null().to_numpy()
            key[index] = frame["rank"].fill_null(0).to_numpy()
        if "copies" in columns:
            times = frame["copies"].fill_null(1).to_numpy()
            if (times < 1).any():
                raise PluginError(
                    f"curriculum {curriculum.name!r} asks for {times.min()} copies of a row. Only rules drop rows."
                )
            copies[index] *= times
        if isinstance(curriculum, Editing):
            found = frame.select("index", "answer").drop_nulls("answer").sort("index")
            edits = _Edits(found["index"].to_numpy(), found["answer"].to_arrow().cast(pa.large_string()))
    return key, ranked, copies, edits


def _is_permutation(index: I64, rows: int) -> bool:
    if len(index) != rows or (rows and not 0 <= index.min() <= index.max() < rows):
        return False
    seen = np.zeros(rows, np.bool_)
    seen[index] = True
    return bool(seen.all())


def _kept(files: Sequence[Path], rows: int) -> npt.NDArray[np.bool_]:
    import polars as pl

    if not files:
        return np.zeros(rows, np.bool_)
    keep = pl.scan_parquet(list(files)).select(pl.col("action") != "drop").collect(engine="streaming")
    return keep.to_series().to_numpy().astype(np.bool_)


def _positions(
    key: I64, ranked: npt.NDArray[np.bool_], copies: I32, first: I64, series: Sequence[Sequence[int]]
) -> tuple[I64, tuple[bool, ...]]:
    """Output position of each row within its series, -1 where dropped; and which series stay in corpus order."""
    position = np.full(len(key), -1, np.int64)
    in_order = []
    for members in series:
        kept = [first[at] + np.flatnonzero(copies[first[at] : first[at + 1]]) for at in members]
        rows = np.concatenate(kept or [np.zeros(0, np.int64)])
        del kept  # each array has 8 bytes a row of the whole corpus
        scored, rest = rows[ranked[rows]], rows[~ranked[rows]]
        del rows
        order = np.concatenate([scored[np.argsort(key[scored], kind="stable")], rest])
        del scored, rest
        start = np.cumsum(copies[order], dtype=np.int64)
        start -= copies[order]
        position[order] = start
        del start
        in_order.append(bool((np.diff(order) > 0).all()))
    return position, tuple(in_order)


def _write(files: Sequence[Path], position: I64, copies: I32, edits: _Edits, path: Path, work: Path) -> None:
    import polars as pl

    temporary = work / f"{path.name}.tmp"
    with pq.ParquetWriter(temporary, PLAN_SCHEMA, compression="zstd", use_compliant_nested_type=True) as writer:
        start = 0
        for file in files:
            # Signals stay on disk: a plan may have hundreds of columns of them.
            part = pl.read_parquet(file, columns=[name for name in _PLANNED if name in pl.read_parquet_schema(file)])
            stop = start + part.height
            place = position[start:stop]
            columns = [
                part["shard"].to_arrow().cast(pa.string()),
                as_array(part["row"].to_numpy()),
                part["action"].to_arrow().cast(pa.string()),
                part["rules"].to_arrow().cast(PLAN_SCHEMA.field("rules").type),
                part.select(score(part.columns).alias("score"))["score"].to_arrow()
                if "ai_text" in part.columns
                else pa.nulls(part.height, pa.float32()),
                as_array(place, place >= 0),
                as_array(copies[start:stop]),
                edits.of(start, stop),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=PLAN_SCHEMA))
            start = stop
    temporary.replace(path)


class PlanCursor:
    """Reads a plan, or some columns of it, forward from one row, in pieces of any length."""

    def __init__(self, path: Path, first: int, columns: Sequence[str] = tuple(PLAN_SCHEMA.names)) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False)
        metadata = self._file.metadata
        group = 0
        while group < metadata.num_row_groups and first >= metadata.row_group(group).num_rows:
            first -= metadata.row_group(group).num_rows
            group += 1
        groups = list(range(group, metadata.num_row_groups))
        self._batches: Iterator[pa.RecordBatch] = self._file.iter_batches(
            row_groups=groups, batch_size=1 << 16, columns=list(columns)
        )
        self._held = pa.Table.from_batches(
            [], schema=pa.schema([self._file.schema_arrow.field(name) for name in columns])
        )
        if first:
            self.read(first)

    def read(self, rows: int) -> pa.Table:
        """The next `rows` rows; fewer at the end."""
        while self._held.num_rows < rows:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([batch])])
        answer, self._held = self._held.slice(0, rows), self._held.slice(rows)
        return answer

    def close(self) -> None:
        """Close the file."""
        self._file.close()
