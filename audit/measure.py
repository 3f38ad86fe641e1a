"""One unit of a scan: read a run of row groups, measure every signal on it, write its parts."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from audit.corpus import Shard
from audit.execute import attempt
from audit.layout import Layout
from audit.parts import PartIdentity, PartWriter, part_path, read_identity
from audit.readers import Group
from audit.signature import signal_config
from detectors.documents import Documents
from detectors.errors import ConfigError, FoxingError, OutputError, SignalError
from detectors.protocols import Device, Measure, Signal

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
        seconds: spent.
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
    """

    directory: Path
    signals: tuple[Signal, ...]
    device: Device
    seed: int

    def __call__(self, unit: Unit) -> Receipt:
        """Measure what is not there yet.

        Raises:
            ShardError: the shard cannot be read.
            SignalError: a signal broke its contract.
            OutputError: findings cannot be written.
        """
        began = time.monotonic()
        try:
            return self._measure(unit, began)
        except FoxingError:
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
                raise OutputError(
                    f"{self.directory}: cannot be written ({error.strerror}). Free space there; the scan resumes."
                ) from error
            raise

    def _measure(self, unit: Unit, began: float) -> Receipt:
        planned = (PartReceipt(unit.part.first_row, unit.part.rows),) if unit.part is not None else unit.known
        if planned and not any(self._missing(unit, part.first_row) for part in planned):
            return Receipt(unit.shard.key, planned, None, 0, 0, 0, 0.0)
        columns = sorted(
            {*unit.layout.columns, *(c.removeprefix("column:") for s in self.signals for c in s.reads if ":" in c)}
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
            time.monotonic() - began,
        )

    def _missing(self, unit: Unit, first_row: int) -> list[Signal]:
        return [signal for signal in self.signals if not self._is_done(signal, unit, first_row)]

    def _is_done(self, signal: Signal, unit: Unit, first_row: int) -> bool:
        """Whether the part is there, whole and measured alike; one that was measured otherwise stops the scan."""
        path = part_path(self.directory, signal.name, unit.shard.key, first_row)
        found = read_identity(path) if path.exists() else None
        if found is not None:
            refuse_other(identity(signal, unit, self.seed, first_row), found, self.directory, unit.shard.key)
        return found is not None

    def _write_part(self, unit: Unit, first_row: int, batches: Iterator[pa.RecordBatch], tally: _Tally) -> int:
        missing = self._missing(unit, first_row)
        writers: dict[Signal, PartWriter] = {}
        rows = 0
        try:
            for batch in batches:
                rows += batch.num_rows
                if missing and batch.num_rows:
                    documents = Documents(unit.layout.documents(batch, unit.shard.uri))
                    for signal in missing:
                        if signal not in writers:
                            path = part_path(self.directory, signal.name, unit.shard.key, first_row)
                            writers[signal] = PartWriter(
                                path, identity(signal, unit, self.seed, first_row), signal.schema
                            )
                        writers[signal].write(*self._measure_batch(signal, documents, tally))
                    tally.text_bytes += int(documents.offsets[-1] - documents.offsets[0])
                    tally.rows += len(documents)
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        for writer in writers.values():
            writer.close()
        return rows

    def _measure_batch(
        self, signal: Signal, documents: Documents, tally: _Tally
    ) -> tuple[pa.RecordBatch, pa.BooleanArray, list[str | None] | None]:
        measure = _loaded(signal, self.device)
        found, errors = _isolate(measure, signal, documents)
        if not _nullable(found.schema).equals(_nullable(signal.schema)) or found.num_rows != len(documents):
            raise SignalError(
                f"signal {signal.name!r} returned {found.num_rows} rows of {_types(found.schema)}, "
                f"not {len(documents)} of {_types(signal.schema)}. Run detectors.conformance.check_signal on it."
            )
        measured = np.ones(len(documents), bool)
        if "text" in signal.reads:
            measured &= documents.valid
        if "response" in signal.reads:
            measured &= documents.response.valid
        if errors:
            tally.faults += sum(error is not None for error in errors)
            measured &= np.array([error is None for error in errors])
        return found, pa.array(measured), errors


@dataclass
class _Tally:
    text_bytes: int = 0
    rows: int = 0
    faults: int = 0


def columns_of(shard: Shard) -> dict[str, str]:
    """Name to Arrow type of every column; for JSONL this reads the file once more."""
    return {field.name: str(field.type) for field in shard.schema()}


def identity(signal: Signal, unit: Unit, seed: int, first_row: int) -> PartIdentity:
    """What the numbers of one part depend on."""
    return PartIdentity(
        signal=signal.name,
        version=signal.version,
        config=signal_config(signal),
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
    what = "; ".join(wanted.differences(found)) or "another cut into parts"
    raise ConfigError(
        f"{directory}: findings of {wanted.signal} on {key} differ from this scan ({what}). "
        "Scan into another folder, or start over with --fresh."
    )


@lru_cache(maxsize=64)
def _loaded(signal: Signal, device: Device) -> Measure:
    """Models are loaded once per worker."""
    return signal.load(device)


def _isolate(measure: Measure, signal: Signal, documents: Documents) -> tuple[pa.RecordBatch, list[str | None] | None]:
    """Measure a batch; when it raises, halve it until the rows that raise stand alone: they cost nobody else."""
    outcome = attempt(measure, documents)
    if outcome.value is not None:
        return outcome.value, None
    if isinstance(outcome.error, FoxingError):
        raise outcome.error
    if len(documents) == 1:
        nulls = [pa.nulls(1, spec.type) for spec in signal.schema]
        return pa.record_batch(nulls, schema=_nullable(signal.schema)), [str(outcome.error)]
    half = len(documents) // 2
    pieces = [
        _isolate(measure, signal, part)
        for part in (documents.slice(0, half), documents.slice(half, len(documents) - half))
    ]
    table = pa.Table.from_batches([piece.cast(_nullable(signal.schema)) for piece, _ in pieces]).combine_chunks()
    errors = [error for piece, found in pieces for error in (found or [None] * piece.num_rows)]
    return table.to_batches(max_chunksize=len(documents))[0], errors


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(spec.name, spec.type) for spec in schema])


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
