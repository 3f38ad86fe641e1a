"""One unit of a scan: read a run of row groups, measure every signal on it, write its parts."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from audit.allocator import keep_memory
from audit.corpus import Shard
from audit.evaluate import measure_blocks
from audit.layout import Layout
from audit.parts import PartIdentity, PartWriter, part_path, read_identity
from audit.readers import Group
from audit.signature import signal_config
from audit.sketch_parts import SketchWriter
from audit.warm import warm
from detectors.documents import Documents
from detectors.errors import ConfigError, FoxingError, OutputError
from detectors.protocols import Device, Signal
from detectors.sketches import Sketches

__all__ = [
    "MeasureUnit",
    "Part",
    "PartReceipt",
    "Receipt",
    "Unit",
    "columns_of",
    "identity",
    "parts_of",
    "refuse_other",
]

# Errors of reading are the shard's own by the time they come here: see `audit.readers`.
_NOT_WRITTEN = {
    getattr(errno, name)
    for name in "ENOSPC EDQUOT EROFS EACCES EPERM EFBIG EIO EMFILE ENFILE ENOENT ENOTDIR ESTALE EEXIST".split()
}
PART_BYTES = 32 << 20
PART_ROWS = 8192


@dataclass(frozen=True)
class Part:
    """A fixed run of rows: row groups of a Parquet file.

    Attributes:
        first_row: position in the shard.
        rows: how many.
        first_group: first row group.
        groups: how many row groups.
    """

    first_row: int
    rows: int
    first_group: int
    groups: int


def parts_of(groups: Sequence[Group]) -> list[Part]:
    """Cut row groups into parts of about 32 MB uncompressed, a function of the file's footer alone."""
    parts: list[Part] = []
    first_row = first_group = rows = size = 0
    for index, group in enumerate(groups):
        rows, size = rows + group.rows, size + group.size_bytes
        if size >= PART_BYTES or index == len(groups) - 1:
            if rows:
                parts.append(Part(first_row, rows, first_group, index + 1 - first_group))
            first_row, first_group, rows, size = first_row + rows, index + 1, 0, 0
    return parts


@dataclass(frozen=True)
class Unit:
    """What one task does: one part of a Parquet shard, or all of a shard that can only be read from its start.

    Attributes:
        shard: where the rows are.
        digest: of the shard.
        layout: columns that make up a row's text.
        part: the part; None for a sequential shard, which is cut every 8,192 rows.
        known: parts of a sequential shard that an earlier scan of the same bytes finished.
    """

    shard: Shard
    digest: str
    layout: Layout
    part: Part | None
    known: tuple[PartReceipt, ...] = ()

    @property
    def planned(self) -> tuple[PartReceipt, ...]:
        """Its parts, as far as they are known before the shard is read."""
        return (PartReceipt(self.part.first_row, self.part.rows),) if self.part is not None else self.known


@dataclass(frozen=True)
class PartReceipt:
    """One part that is in place, and the text it covers."""

    first_row: int
    rows: int


@dataclass(frozen=True)
class Receipt:
    """What a unit did.

    Attributes:
        key: of the shard.
        parts: every part of the unit, found or made.
        columns: name to Arrow type of the shard's columns; None where an earlier scan knows them.
        text_bytes: UTF-8 bytes that were measured now.
        measured_rows: rows that were measured now (0 when all parts were found).
        faults: rows on which a signal raised.
        seconds: of CPU time, spent.
    """

    key: str
    parts: tuple[PartReceipt, ...]
    columns: Mapping[str, str] | None
    text_bytes: int
    measured_rows: int
    faults: int
    seconds: float


@dataclass(frozen=True)
class MeasureUnit:
    """The task of a scan, sent to workers as it is.

    Attributes:
        directory: where findings go.
        signals: to measure, raw columns among them.
        device: for signals with a model.
        seed: recorded in every part.
        sketches: of the corpus, to make beside the findings; None for none.
    """

    directory: Path
    signals: tuple[Signal, ...]
    device: Device
    seed: int
    sketches: Sketches | None = None

    def __call__(self, unit: Unit) -> Receipt:
        """Measure what is not there yet.

        Raises:
            ShardError: the shard cannot be read.
            SignalError: a signal broke its contract.
            OutputError: findings cannot be written.
        """
        began = time.process_time()
        keep_memory()
        try:
            return self._measure(unit, began)
        except FoxingError:
            raise
        except OSError as error:
            if error.errno in _NOT_WRITTEN:
                raise OutputError(
                    f"{self.directory}: cannot be written ({error.strerror}). Free space there; the scan resumes."
                ) from error
            raise

    def _measure(self, unit: Unit, began: float) -> Receipt:
        if not self.has_work(unit):
            return Receipt(unit.shard.key, unit.planned, None, 0, 0, 0, 0.0)
        measured: list[Signal | Sketches] = [*self.signals, *([self.sketches] if self.sketches else [])]
        columns = sorted(
            {*unit.layout.columns, *(c.removeprefix("column:") for s in measured for c in s.reads if ":" in c)}
        )
        if unit.part is not None:
            batches = unit.shard.batches(columns, first_group=unit.part.first_group, groups=unit.part.groups)
            runs = iter([(unit.part.first_row, batches)])
        else:
            runs = _cut(unit.shard.batches(columns))
        tally = _Tally()
        parts = []
        for first_row, run in runs:
            rows = self._write_part(unit, first_row, run, tally)
            if rows:
                parts.append(PartReceipt(first_row, rows))
        return Receipt(
            unit.shard.key,
            tuple(parts),
            columns_of(unit.shard),
            tally.text_bytes,
            tally.rows,
            tally.faults,
            time.process_time() - began,
        )

    def prepare(self) -> None:
        """Run every signal once, so that workers find all kernels compiled."""
        warm(self.signals, self.device, self.sketches)

    def has_work(self, unit: Unit) -> bool:
        """Whether something of a unit is not measured yet."""
        return not unit.planned or not all(self._is_complete(unit, part.first_row) for part in unit.planned)

    def _missing(self, unit: Unit, first_row: int) -> list[Signal]:
        return [signal for signal in self.signals if not self._is_done(signal, unit, first_row)]

    def _is_complete(self, unit: Unit, first_row: int) -> bool:
        sketched = self.sketches is None or self._is_done(self.sketches, unit, first_row)
        return sketched and not self._missing(unit, first_row)

    def _is_done(self, signal: Signal | Sketches, unit: Unit, first_row: int) -> bool:
        """Whether the part is there, whole and measured alike; one that was measured otherwise stops the scan."""
        path = part_path(self.directory, signal.name, unit.shard.key, first_row)
        found = read_identity(path) if path.exists() else None
        if found is not None:
            refuse_other(identity(signal, unit, self.seed, first_row), found, self.directory, unit.shard.key)
        return found is not None

    def _write_part(self, unit: Unit, first_row: int, batches: Iterator[pa.RecordBatch], tally: _Tally) -> int:
        missing, sketch = self._missing(unit, first_row), self._sketch(unit, first_row)
        writers: dict[Signal, PartWriter] = {}
        rows = 0
        try:
            for batch in batches:
                rows += batch.num_rows
                if (missing or sketch) and batch.num_rows:
                    documents = Documents(unit.layout.documents(batch, unit.shard.uri))
                    for signal in missing:
                        if signal not in writers:
                            path = part_path(self.directory, signal.name, unit.shard.key, first_row)
                            writers[signal] = PartWriter(
                                path, identity(signal, unit, self.seed, first_row), signal.schema
                            )
                    for measured in measure_blocks(missing, documents, self.device, sketch):
                        tally.faults += measured.faults
                        writers[measured.signal].write(measured.found, pa.array(measured.valid), measured.errors)
                    tally.text_bytes += int(documents.offsets[-1] - documents.offsets[0])
                    tally.rows += len(documents)
            for writer in writers.values():
                writer.close()
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        if sketch is not None and rows:
            sketch.close()
        return rows

    def _sketch(self, unit: Unit, first_row: int) -> SketchWriter | None:
        config = self.sketches
        if config is None or self._is_done(config, unit, first_row):
            return None
        path = part_path(self.directory, config.name, unit.shard.key, first_row)
        return SketchWriter(path, identity(config, unit, self.seed, first_row), config)


@dataclass
class _Tally:
    text_bytes: int = 0
    rows: int = 0
    faults: int = 0


def columns_of(shard: Shard) -> dict[str, str]:
    """Name to Arrow type of every column; for JSONL this reads the file once more."""
    return {field.name: str(field.type) for field in shard.schema()}


def identity(signal: Signal | Sketches, unit: Unit, seed: int, first_row: int) -> PartIdentity:
    """What the numbers of one part depend on."""
    return PartIdentity(
        signal=signal.name,
        version=signal.version,
        config=signal_config(signal, located=False),
        seed=seed,
        layout=str(unit.layout) if {"text", "response"} & set(signal.reads) else "",
        digest=unit.digest,
        first_row=first_row,
        rows=PART_ROWS if unit.part is None else unit.part.rows,
    )


def refuse_other(wanted: PartIdentity, found: PartIdentity, directory: Path, key: str) -> None:
    """Stop when a part on disk was made otherwise than this run would make it.

    Raises:
        ConfigError: with every difference spelled out.
    """
    if found == wanted:
        return
    differences = wanted.differences(found)
    what = "; ".join(differences) or "another cut into parts"
    is_changed = found.digest != wanted.digest and len(differences) == 1
    update = "Measure what has changed with --update, scan" if is_changed else "Scan"
    raise ConfigError(
        f"{directory}: findings of {wanted.signal} on {key} differ from this scan ({what}). "
        f"{update} into another folder, or start over with --fresh."
    )


def _cut(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Iterator[pa.RecordBatch]]]:
    """Cut a stream of batches every PART_ROWS rows: (first row, batches), each used up before the next is asked for."""
    rest: list[pa.RecordBatch] = []
    row = 0

    def run() -> Iterator[pa.RecordBatch]:
        wanted = PART_ROWS
        while wanted:
            batch = rest.pop() if rest else next(batches, None)
            if batch is None:
                return
            if batch.num_rows > wanted:
                rest.append(batch.slice(wanted))
                batch = batch.slice(0, wanted)
            wanted -= batch.num_rows
            yield batch

    while True:
        if not rest:
            ahead = next(batches, None)
            if ahead is None:
                return
            rest.append(ahead)
        yield row, run()
        row += PART_ROWS
