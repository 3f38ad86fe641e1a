"""Writes the output: original rows by plan, kept ones in order to data/, dropped ones to dropped/, in bounded memory.

Work goes in units of consecutive shards: a unit's rows are read once, checked against the plan, and scattered by
position. When all units are scattered, files are written one by one. Each step leaves a record in the work folder, so a
killed run goes on where it was; all boundaries follow from the plan and the inputs, so it ends with the same bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.corpus import Shard
from audit.execute import Executor, Serial
from audit.findings_folder import write_json
from audit.folders import Folder
from audit.layout import Layout as TextLayout
from audit.replacing import explained
from curricula.edit import KeptAnswers
from curricula.ordered_files import Scattered, write_ordered
from curricula.part_files import FileWriter, Layout, Receipt, Target
from curricula.plan import Plan, PlanCursor
from curricula.row_hash import hash_rows, place, total
from curricula.scatter import Bounds, Buckets
from curricula.sections import Section, Sections, Span, cut
from curricula.stored import Series, as_array, as_numbers, compacted, in_transit, logical_bytes, recast
from detectors.errors import FoxingError, InputError

__all__ = ["Emission", "Emitted", "ShardSums", "dropped_names", "emit"]

_EXTRA = (
    pa.field("shard", pa.string()),
    pa.field("row", pa.int64()),
    pa.field("rules", pa.list_(pa.field("element", pa.string()))),
    pa.field("score", pa.float32()),
    pa.field("dropped_by", pa.string()),
)
_SAMPLED_SHARDS = 8
_SLICE_ROWS = 128


@dataclass(frozen=True)
class Emission:
    """What to write.

    Attributes:
        out: output folder.
        work: folder for what is unfinished, on the file system of the output where that is on disk.
        shards: inputs in corpus order, with `rows` of each.
        rows: rows of each shard.
        series: shards by schema.
        plan: what becomes of every row.
        layout: sizes.
        advance: called with rows done, for progress.
        layouts: of each series; empty where no answers are edited.
        executor: whose workers scatter units; Serial does it in this process.
    """

    out: Folder
    work: Path
    shards: Sequence[Shard]
    rows: Sequence[int]
    series: Sequence[Series]
    plan: Plan
    layout: Layout
    advance: Callable[[int], None]
    layouts: Sequence[TextLayout] = ()
    executor: Executor = field(default_factory=Serial)


@dataclass
class ShardSums:
    """Sums of row hashes modulo 2^64 over one shard: rows read, kept (once, times copies, in place), dropped.

    `unedited` counts kept rows whose answer was to be replaced, and which have none that is text.
    """

    rows: int = 0
    content: int = 0
    once_content: int = 0
    kept_content: int = 0
    kept_order: int = 0
    dropped_content: int = 0
    unedited: int = 0


@dataclass
class Emitted:
    """What was written: receipts of data/, dropped/ and mask/, and sums per shard by position in the corpus."""

    data: list[Receipt] = field(default_factory=list)
    dropped: list[Receipt] = field(default_factory=list)
    masks: list[Receipt] = field(default_factory=list)
    sums: dict[int, ShardSums] = field(default_factory=dict)


def emit(emission: Emission) -> Emitted:
    """Write data/ and dropped/, or what is left of them to write.

    Raises:
        InputError: a shard that does not hold the rows that the plan has.
        OutputError: the output cannot be written.
    """
    emitted = Emitted()
    temporary = emission.work / "tmp"
    with explained(emission.work.parent):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        writers = [_SeriesWriter(emission, number, temporary) for number in range(len(emission.series))]
        if not isinstance(emission.executor, Serial):
            _spread(emission, [(number, unit) for number, writer in enumerate(writers) for unit in writer.missing()])
        for writer in writers:
            writer.run(emitted)
    return emitted


@dataclass(frozen=True)
class _Scatter:
    """Scatters a unit of a series and returns its rows: the task of an executor."""

    emission: Emission

    def __call__(self, place: tuple[int, int]) -> int:
        number, unit = place
        with explained(self.emission.work.parent):
            temporary = tempfile.mkdtemp(dir=self.emission.work / "tmp")
            return _SeriesWriter(self.emission, number, Path(temporary)).scatter(unit)


def _spread(emission: Emission, places: Sequence[tuple[int, int]]) -> None:
    """Have workers scatter units; their records say what this process need not do again."""
    task = _Scatter(dataclasses.replace(emission, advance=_unseen, executor=Serial()))
    if places:
        emission.executor.reach(emission.work, (shard.uri for shard in emission.shards))
    for outcome in emission.executor.map(task, places):
        if outcome.value is None:
            if isinstance(outcome.error, FoxingError):
                raise outcome.error
            first = emission.shards[emission.series[outcome.item[0]].shards[0]].uri
            raise InputError(f"{first}: cannot be written again ({outcome.error}). Run the same command: it goes on.")
        emission.advance(outcome.value)


def _unseen(rows: int) -> None:
    """Rows of a worker, which the process that gave out the unit counts."""


def dropped_names(schema: pa.Schema) -> tuple[str, ...]:
    """Names of the columns added to dropped rows: `foxing_shard`, `_row`, `_rules`, `_score` and `_dropped_by`.

    Where one of them is taken, all begin with `foxing2`, and so on.
    """
    prefix, number = "foxing", 1
    while any(f"{prefix}_{extra.name}" in schema.names for extra in _EXTRA):
        number += 1
        prefix = f"foxing{number}"
    return tuple(f"{prefix}_{extra.name}" for extra in _EXTRA)


class _SeriesWriter:
    """Writes one series."""

    def __init__(self, emission: Emission, number: int, temporary: Path) -> None:
        series = emission.series[number]
        plan = emission.plan
        self._emission, self._series, self._in_order = emission, series, plan.sorted[number]
        self._sections = plan.sections[number]
        self._work = emission.work / (series.name or "all")
        self._transit = pa.schema([entry.with_type(in_transit(entry.type)) for entry in series.schema])
        row_bytes = _row_bytes([emission.shards[at] for at in series.shards])
        self._width = _bucket_width(self._sections.rows, row_bytes, emission.layout.bounds)
        names = dropped_names(series.schema)
        extra = [entry.with_name(name) for entry, name in zip(_EXTRA, names, strict=True)]
        wide = pa.schema([*series.schema, *extra], metadata=series.schema.metadata)
        edits = sum(plan.edited[at] for at in series.shards)
        self._kept = self._keeping(number) if edits else None
        data = series.schema if self._kept is None else self._kept.widened(series.schema)
        original = None if self._kept is None else self._kept.restored
        self._data = Target(
            emission.out, temporary, series.name, data, len(series.schema), series.compliant, original=original
        )
        self._dropped = Target(emission.out, temporary, series.name, wide, len(series.schema), series.compliant)
        self._dropped_transit = pa.schema([*self._transit, *extra])
        self._files = self._spans(number, emission.layout.rows_per_file(row_bytes))

    def _keeping(self, number: int) -> KeptAnswers:
        try:
            return KeptAnswers.of(self._transit, self._emission.layouts[number])
        except InputError as error:
            raise InputError(f"{self._emission.shards[self._series.shards[0]].uri}: {error}") from error

    def _spans(self, number: int, rows: int) -> dict[str, tuple[Span, ...]]:
        """All files of data/ and dropped/, by folder. Where rows are written as they are read, units end files."""
        plan, units = self._emission.plan, list(self._units())
        inner = {
            folder: np.cumsum([sum(counts[at] for at in unit) for unit in units]).tolist()
            for folder, counts in (("data", plan.kept), ("dropped", plan.dropped))
        }
        gone = inner["dropped"][-1]
        folders = {name: "/".join(filter(None, (name, self._series.name))) for name in inner}
        breaks = [*plan.breaks[number], *(inner["data"] if self._in_order else [])]
        dropped = [Section("", 0, gone)] if gone else []
        return {
            "data": cut(folders["data"], self._sections.members, breaks, rows) if self._sections.rows else (),
            "dropped": cut(folders["dropped"], dropped, inner["dropped"], rows),
        }

    def run(self, emitted: Emitted) -> None:
        """Scatter what is not scattered yet, then write what is not written yet."""
        folders = []
        for number in self.missing():
            self.scatter(number)
        for number, _ in enumerate(self._units()):
            folder = self._folder(number)
            done = json.loads(folder.with_suffix(".json").read_text("utf-8"))
            emitted.data += [Receipt(**receipt) for receipt in done["data"]]
            emitted.dropped += [Receipt(**receipt) for receipt in done["dropped"]]
            emitted.sums |= {int(at): ShardSums(**sums) for at, sums in done["sums"].items()}
            folders.append(folder)
        if not self._in_order:
            bounds = self._emission.layout.bounds
            scattered = Scattered(folders, self._sections.rows, self._width, self._work / "finer", bounds)
            emitted.data += write_ordered(
                scattered,
                self._files["data"],
                partial(FileWriter, self._data, self._emission.layout),
                self._work / "written",
                self._emission.advance,
            )

    def missing(self) -> list[int]:
        """Numbers of the units that are not scattered yet."""
        every = range(sum(1 for _ in self._units()))
        return [number for number in every if not self._folder(number).with_suffix(".json").exists()]

    def scatter(self, number: int) -> int:
        """Scatter a unit, and returns its rows. Aside first: a worker that was given up may be at it, too."""
        self._work.mkdir(parents=True, exist_ok=True)
        folder, aside = self._folder(number), Path(tempfile.mkdtemp(prefix=".unit-", dir=self._work))
        done = self._scatter(next(itertools.islice(self._units(), number, None)), aside)
        if not folder.with_suffix(".json").exists():  # else the other one was first, and its files are being read
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
            write_json(folder.with_suffix(".json"), done)
        return sum(sums["rows"] for sums in done["sums"].values())

    def _folder(self, number: int) -> Path:
        return self._work / f"unit-{number:05d}"

    def _units(self) -> Iterator[list[int]]:
        unit: list[int] = []
        size = 0
        for at in self._series.shards:
            unit.append(at)
            size += self._emission.shards[at].size_bytes
            if size >= self._emission.layout.unit_bytes:
                yield unit
                unit, size = [], 0
        if unit:
            yield unit

    def _within(self, folder: str, unit: Sequence[int], counts: Sequence[int]) -> list[Span]:
        """Files of a folder that hold rows of a unit alone."""
        start = sum(counts[at] for at in self._series.shards if at < unit[0])
        stop = start + sum(counts[at] for at in unit)
        return [span for span in self._files[folder] if start <= span.start < stop]

    def _scatter(self, unit: Sequence[int], folder: Path) -> dict[str, Any]:
        """Read a unit once: dropped rows to their files, kept rows to buckets, or to their files when in order."""
        pa.default_memory_pool().release_unused()
        data: list[Receipt] = []
        dropped: list[Receipt] = []
        layout, plan = self._emission.layout, self._emission.plan
        drops = FileWriter(self._dropped, layout, self._within("dropped", unit, plan.dropped), dropped.append)
        files = self._within("data", unit, plan.kept) if self._in_order else []
        keeps = FileWriter(self._data, layout, files, data.append)
        buckets = Buckets(folder, 0, self._width, layout.bounds.chunk_bytes)
        sums = {}
        for at in unit:
            sums[at] = ShardSums()
            for batch, hashes, decisions in self._rows_of(at):
                self._emission.advance(batch.num_rows)
                kept, positions = _kept(decisions, self._sections, sums[at], hashes)
                gone = np.flatnonzero(as_numbers(decisions.column("copies")) == 0)
                if len(gone):
                    sums[at].dropped_content = (sums[at].dropped_content + total(hashes[gone])) % 2**64
                    drops.write(self._with_reasons(batch, decisions, gone))
                if self._kept is not None:
                    batch = self._edited(self._kept, batch, decisions, at)
                    asked = len(batch) - decisions.column("answer").null_count
                    sums[at].unedited += asked - (len(batch) - batch.column(batch.num_columns - 1).null_count)
                for piece in _chosen(batch, kept):
                    if self._in_order:
                        keeps.write(piece)
                    else:
                        buckets.add(piece, positions[: piece.num_rows])
                        positions = positions[piece.num_rows :]
        for writer in (drops, keeps, buckets):
            writer.close()
        return {
            "data": [dataclasses.asdict(receipt) for receipt in data],
            "dropped": [dataclasses.asdict(receipt) for receipt in dropped],
            "sums": {str(at): dataclasses.asdict(sum_) for at, sum_ in sums.items()},
        }

    def _rows_of(self, at: int) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.uint64], pa.Table]]:
        """Batches of one shard with row hashes and the plan's rows."""
        shard, rows = self._emission.shards[at], self._emission.rows[at]
        plan = self._emission.plan
        reasons = [entry.name for entry in _EXTRA] if plan.dropped[at] else []
        answers = ["answer"] if self._kept is not None else []
        cursor = PlanCursor(plan.path, plan.first[at], ["copies", "rank", *answers, *reasons])
        seen = 0
        try:
            for stored in shard.batches(None):
                batch = compacted(recast(recast(stored, self._series.schema), self._transit))
                seen += batch.num_rows
                if seen > rows:
                    break
                yield batch, hash_rows(batch), cursor.read(batch.num_rows)
        except pa.ArrowException as error:
            raise InputError(f"{shard.uri}: {str(error).splitlines()[0]}. Scan it again, or leave it out.") from error
        finally:
            cursor.close()
        if seen != rows:
            raise InputError(f"{shard.uri}: holds {seen:,} rows or more, {rows:,} were scanned. Scan it again.")

    def _edited(self, kept: KeptAnswers, batch: pa.RecordBatch, decisions: pa.Table, at: int) -> pa.RecordBatch:
        """The rows with other answers, and the column of what stood there."""
        try:
            return kept.edited(batch, decisions.column("answer").combine_chunks())
        except InputError as error:
            raise InputError(f"{self._emission.shards[at].uri}: {error}") from error

    def _with_reasons(self, batch: pa.RecordBatch, decisions: pa.Table, gone: npt.NDArray[np.int64]) -> pa.RecordBatch:
        chosen = decisions.take(as_array(gone)).combine_chunks()
        extra = [chosen.column(entry.name).combine_chunks() for entry in _EXTRA]
        columns = [*batch.take(as_array(gone)).columns, *extra]
        return pa.RecordBatch.from_arrays(columns, schema=self._dropped_transit)


def _bucket_width(rows: int, row_bytes: float, bounds: Bounds) -> int:
    """Positions per bucket file: a bucket, or several when there would be more than may be open."""
    bucket = max(1, int(bounds.bucket_bytes / max(1.0, row_bytes)))
    return bucket * max(1, -(-rows // (bucket * bounds.fanout)))


def _kept(
    decisions: pa.Table, sections: Sections, sums: ShardSums, hashes: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the batch to write, as often as they are copied, and their positions; adds to the shard's sums."""
    copies = as_numbers(decisions.column("copies")).astype(np.int64)
    kept = np.repeat(np.arange(len(copies)), copies)
    nth = np.arange(len(kept)) - np.repeat(np.cumsum(copies) - copies, copies)
    positions = sections.final(as_numbers(decisions.column("rank"))[kept] + nth)
    sums.rows += len(copies)
    sums.content = (sums.content + total(hashes)) % 2**64
    sums.once_content = (sums.once_content + total(hashes[copies > 0])) % 2**64
    sums.kept_content = (sums.kept_content + total(hashes[kept])) % 2**64
    sums.kept_order = (sums.kept_order + total(place(hashes[kept], positions))) % 2**64
    return kept, positions


def _chosen(batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """Rows of a batch (ascending, some perhaps more than once): as slices while these are long, else gathered."""
    if not len(rows):
        return
    edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    if len(edges) - 1 > max(1, len(rows) // _SLICE_ROWS):
        yield batch.take(as_array(rows))
        return
    for begin, end in itertools.pairwise(edges):
        yield batch.slice(int(rows[begin]), end - begin)


def _row_bytes(shards: Sequence[Shard]) -> float:
    """Arrow bytes of a row, from the first batches of a few shards spread over the series."""
    chosen = [shards[at] for at in sorted({len(shards) * k // _SAMPLED_SHARDS for k in range(_SAMPLED_SHARDS)})]
    first = [batch for shard in chosen if (batch := next(iter(shard.batches(None)), None)) is not None]
    rows = sum(batch.num_rows for batch in first)
    return sum(logical_bytes(batch) for batch in first) / rows if rows else 1.0
