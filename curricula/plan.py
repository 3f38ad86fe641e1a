"""The plan: what becomes of every row of the corpus, and its place in the output, as one Parquet file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audit.replacing import explained
from audit.rules import Action
from curricula.decisions import Spool
from curricula.part_files import Layout
from curricula.ranking import Ranked
from curricula.sections import Division, Section, Sections, Shape, divide, even_breaks
from curricula.stored import as_array
from detectors.errors import FindingsError, InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PLAN_SCHEMA", "Places", "Plan", "PlanCursor", "Settled", "build_plan"]

I64 = npt.NDArray[np.int64]

PLAN_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rules", pa.list_(pa.field("element", pa.string())), nullable=False),
        pa.field("dropped_by", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("rank", pa.int64()),
        pa.field("copies", pa.int32(), nullable=False),
        pa.field("answer", pa.large_string()),
    ]
)
"""One row per corpus row, in corpus order.

`rank` is the position of the row's first copy in the output of its series (see `curricula.stored.Series`), null where
dropped; further copies follow it. Where order is random within blocks, `curricula.sections.Sections.final` says where
each position goes. `copies` is 0 where dropped. `rules` are those that hit the row and, last, what dropped it where
that is no rule; `dropped_by` is what dropped it, null where kept. `score` is the AI score, null where there is none.
`answer` is the text that the row's answer is replaced with, null where it stays.
"""
_SPOOLED = ("shard", "row", "action", "rules", "_score")


@dataclass(frozen=True)
class Settled:
    """What was decided of all rows, before it is written down.

    Attributes:
        ranked: copies, reasons and answers, by position in the corpus.
        order: rows of the output, in order, over the whole corpus.
        division: which part of the output each row goes to.
    """

    ranked: Ranked
    order: I64
    division: Division


@dataclass(frozen=True)
class Plan:
    """A written plan.

    Attributes:
        path: of the Parquet file.
        first: position in the plan of each shard's first row, and the number of rows at the end.
        kept: per shard, output rows (sum of copies).
        dropped: per shard, rows dropped.
        unranked: kept rows that the curriculum left without a rank.
        sorted: per series, True when its output order is corpus order and its files may be of any size.
        edited: per shard, kept rows whose answer is replaced.
        sections: per series, its output positions divided and shuffled.
        breaks: per series, positions where files end besides; empty unless files are to be even in bytes.
    """

    path: Path
    first: tuple[int, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    unranked: int
    sorted: tuple[bool, ...]
    edited: tuple[int, ...]
    sections: tuple[Sections, ...]
    breaks: tuple[tuple[int, ...], ...]

    @classmethod
    def from_record(cls, path: Path, facts: Mapping[str, Any]) -> Plan:
        """The plan whose facts were written as JSON."""
        sections = [
            Sections(tuple(Section(**member) for member in one["members"]), one["block"], one["seed"])
            for one in facts["sections"]
        ]
        return cls(
            path=path,
            unranked=facts["unranked"],
            sections=tuple(sections),
            breaks=tuple(tuple(one) for one in facts["breaks"]),
            **{name: tuple(facts[name]) for name in ("first", "kept", "dropped", "sorted", "edited")},
        )


@dataclass(frozen=True)
class Places:
    """Where rows go.

    Attributes:
        shards: key and rows of each shard, in corpus order.
        series: shards (by position) that share an output order.
        editable: shards whose rows have an answer that can be replaced.
        shape: how the output is divided.
        layout: sizes of files.
        seed: of the order within blocks.
    """

    shards: Sequence[tuple[str, int]]
    series: Sequence[Sequence[int]]
    editable: Sequence[int] = ()
    shape: Shape = field(default_factory=Shape)
    layout: Layout = field(default_factory=Layout)
    seed: int = 0

    @property
    def first(self) -> I64:
        """Position in the corpus of each shard's first row, and the number of rows."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum([rows for _, rows in self.shards], dtype=np.int64)])


def build_plan(spool: Spool, settled: Settled, places: Places, path: Path, work: Path) -> Plan:
    """Give each output row its place and write the plan.

    Args:
        spool: of the decided rows.
        settled: what is to become of them.
        places: where rows may go.
        path: of the plan; written under a temporary name and renamed.
        work: folder for the temporary file, on the same file system.

    Raises:
        FindingsError: decided rows that do not cover the shards row by row.
        OutputError: the plan cannot be written.
    """
    _check_rows(spool, places)
    first, ranked = places.first, settled.ranked
    answered = ranked.copies > 0
    for at in set(range(len(places.shards))) - set(places.editable):
        answered[first[at] : first[at + 1]] = False
    ranked.edits = ranked.edits.only(answered)
    del answered
    position = np.full(len(ranked.copies), -1, np.int64)
    placed = [_place(members, settled, places, position, spool) for members in places.series]
    with explained(path):
        _write(spool, ranked, position, path, work)
    edges = first.tolist()
    spans = list(itertools.pairwise(edges))
    return Plan(
        path=path,
        first=tuple(edges),
        kept=tuple(int(ranked.copies[a:b].sum(dtype=np.int64)) for a, b in spans),
        dropped=tuple(int((ranked.copies[a:b] == 0).sum()) for a, b in spans),
        unranked=int((~ranked.ranked[ranked.copies > 0]).sum()),
        sorted=tuple(in_order for _, _, in_order in placed),
        edited=tuple(np.diff(np.searchsorted(ranked.edits.index, edges)).tolist()),
        sections=tuple(sections for sections, _, _ in placed),
        breaks=tuple(breaks for _, breaks, _ in placed),
    )


def _check_rows(spool: Spool, places: Places) -> None:
    """Shards must follow each other row by row."""
    import polars as pl

    index = 0
    starts = {key: at for (key, _), at in zip(places.shards, places.first.tolist(), strict=False)}
    for part in spool.frames(["shard", "row"]):
        there = part.select(pl.col("shard").replace_strict(starts, default=None, return_dtype=pl.Int64) + pl.col("row"))
        if not np.array_equal(there.to_series().to_numpy(), np.arange(index, index + part.height)):
            raise FindingsError(
                f"findings of {part['shard'][0]} are not row by row from {part['row'][0]}. Scan again with --fresh."
            )
        index += part.height
    if index != places.first[-1]:
        raise FindingsError(f"findings hold {index:,} rows of {places.first[-1]:,}. Scan again: it resumes.")


def _place(
    members: Sequence[int], settled: Settled, places: Places, position: I64, spool: Spool
) -> tuple[Sections, tuple[int, ...], bool]:
    """Put positions of a series' rows into `position`; its sections, breaks, and whether it is in corpus order."""
    copies, division, rows = settled.ranked.copies, settled.division, settled.order
    if len(places.series) > 1:
        belongs = np.zeros(len(copies), np.bool_)
        for at in members:
            belongs[places.first[at] : places.first[at + 1]] = True
        rows = rows[belongs[rows]]
        del belongs
    rows = division.written(rows)
    start = np.cumsum(copies[rows], dtype=np.int64)
    start -= copies[rows]
    position[rows] = start
    del start
    members_of = divide(division.rows(rows, copies), places.shape.stages)
    sections = Sections(members_of, places.shape.block, places.seed)
    breaks: tuple[int, ...] = ()
    if places.layout.text_bytes is not None:
        breaks = even_breaks(members_of, _sizes(spool, rows, copies, sections), places.layout.text_bytes)
    in_order = not places.layout.chosen and places.shape.block < 2 and bool((np.diff(rows) > 0).all())
    return sections, breaks, in_order


def _sizes(spool: Spool, rows: I64, copies: npt.NDArray[np.int32], sections: Sections) -> I64:
    """Bytes of the text of every output row, in output order."""
    text = spool.column("_bytes").fill_null(0).to_numpy()[rows] + 1
    sizes = np.repeat(text, copies[rows])
    placed = np.empty_like(sizes)
    placed[sections.final(np.arange(len(sizes)))] = sizes
    return placed


def _write(spool: Spool, ranked: Ranked, position: I64, path: Path, work: Path) -> None:
    import polars as pl

    work.mkdir(parents=True, exist_ok=True)
    temporary = work / f"{path.name}.tmp"
    reasons = pl.Series(ranked.reasons, dtype=pl.String)
    with pq.ParquetWriter(temporary, PLAN_SCHEMA, compression="zstd", use_compliant_nested_type=True) as writer:
        start = 0
        for part in spool.frames(_SPOOLED):
            stop = start + part.height
            place, reason = position[start:stop], ranked.reason[start:stop]
            dropped = ranked.copies[start:stop] == 0
            named = pl.Series("dropped_by", np.where(reason < 0, len(reasons), reason))
            told = part.with_columns(dropped_by=pl.concat([reasons, pl.Series([None], dtype=pl.String)]).gather(named))
            told = told.with_columns(
                action=pl.when(pl.Series(dropped)).then(pl.lit(Action.DROP.value)).otherwise("action"),
                rules=_told(told, dropped),
            )
            columns = [
                told["shard"].to_arrow().cast(pa.string()),
                as_array(part["row"].to_numpy()),
                told["action"].to_arrow().cast(pa.string()),
                told["rules"].to_arrow().cast(PLAN_SCHEMA.field("rules").type),
                told["dropped_by"].to_arrow().cast(pa.string()),
                part["_score"].to_arrow(),
                as_array(place, place >= 0),
                as_array(ranked.copies[start:stop]),
                ranked.edits.of(start, stop),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=PLAN_SCHEMA))
            start = stop
    temporary.replace(path)


def _told(told: pl.DataFrame, dropped: npt.NDArray[np.bool_]) -> pl.Series:
    """The rules of each row and, where something else dropped it, what did."""
    import polars as pl

    other = pl.Series(dropped) & ~pl.col("rules").list.contains(pl.col("dropped_by"))
    return told.select(pl.when(other).then(pl.concat_list("rules", "dropped_by")).otherwise("rules").alias("rules"))[
        "rules"
    ]


class PlanCursor:
    """Reads a plan, or some columns of it, forward from one row, in pieces of any length.

    Raises:
        InputError: a file that is no plan.
    """

    def __init__(self, path: Path, first: int, columns: Sequence[str] = tuple(PLAN_SCHEMA.names)) -> None:
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: cannot be read as a plan ({str(error).splitlines()[0]}).") from error
        kinds = {entry.name: entry.type for entry in self._file.schema_arrow}
        if wrong := [name for name in columns if kinds.get(name) != PLAN_SCHEMA.field(name).type]:
            self._file.close()
            raise InputError(f"{path}: is no plan, its column {wrong[0]!r} is {kinds.get(wrong[0], 'not there')}.")
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
