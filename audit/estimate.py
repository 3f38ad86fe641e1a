"""What a scan will cost, predicted from a timed sample of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from audit.config import Config
from audit.corpus import Corpus, Shard
from audit.evaluate import measure_blocks
from audit.execute import usable_cores
from audit.layout import find_layout
from audit.parts import PartIdentity, PartWriter
from audit.readers import Format, Sequential
from audit.signals import build_signals
from audit.sketch_parts import SketchWriter
from audit.warm import warm
from detectors.column import Column
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.protocols import Device, Signal
from detectors.sketches import Sketches

__all__ = ["Estimate", "estimate"]

_SAMPLE_SHARDS = 5
_SAMPLE_ROWS = 4000
_COUNTED_BYTES = 16 << 20


@dataclass(frozen=True)
class Estimate:
    """A prediction.

    Attributes:
        shards: number of shards.
        rows: number of rows.
        rows_exact: True when footers gave the rows, False when they were extrapolated.
        text_bytes: UTF-8 bytes of text, extrapolated.
        wall_s: seconds with `workers` processes.
        rate_mb_s: MB of text a second and worker.
        findings_bytes: size of the findings on disk.
        signals: number of signals.
        workers: number of processes.
        sample_rows: rows that were measured for this.
    """

    shards: int
    rows: int
    rows_exact: bool
    text_bytes: int
    wall_s: float
    rate_mb_s: float
    findings_bytes: int
    signals: int
    workers: int
    sample_rows: int


@dataclass
class _Sample:
    """What was measured, and how many stored bytes of the corpus it stands for."""

    rows: int = 0
    text_bytes: int = 0
    stored_bytes: float = 0.0
    seconds: float = 0.0
    findings_bytes: int = 0


@dataclass(frozen=True)
class _Extent:
    """How long a shard is.

    Attributes:
        rows: of the whole shard, counted where `exact`.
        exact: False when the rows follow from stored bytes a row.
    """

    rows: float
    exact: bool


def estimate(paths: Sequence[str], config: Config) -> Estimate:
    """Measure the start of up to five shards and extrapolate. Writes nothing but a temporary file.

    Rows come from footers; of a file that can only be read from its start, from its first 16 MB as stored.

    Raises:
        InputError: nothing to scan, or a sampled shard cannot be read.
    """
    if "-" in paths:
        raise InputError("-: standard input can be read only once. Predict from a file.")
    shards = Corpus.open(list(paths)).shards
    signals = build_signals(config)
    signals = (*signals, *map(Column, config.scan.columns))
    warm(signals, Device(config.scan.device), _sketches(config))
    sample = _Sample()
    step = max(1, len(shards) // _SAMPLE_SHARDS)
    sampled = {shard.uri: _measure_start(shard, signals, config, sample) for shard in shards[::step][:_SAMPLE_SHARDS]}
    extents = [sampled.get(shard.uri) or _known_extent(shard) for shard in shards]
    stored = sum(shard.size_bytes for shard in shards)
    ratio = stored / max(1.0, sample.stored_bytes)
    per_byte = _rows_per_byte(shards, sampled)
    rows = round(
        sum(
            shard.size_bytes * per_byte[shard.format] if extent is None else extent.rows
            for shard, extent in zip(shards, extents, strict=True)
        )
    )
    workers = config.scan.workers or usable_cores()
    return Estimate(
        shards=len(shards),
        rows=rows,
        rows_exact=all(extent is not None and extent.exact for extent in extents),
        text_bytes=round(sample.text_bytes * ratio),
        wall_s=sample.seconds * ratio / workers,
        rate_mb_s=sample.text_bytes / 1e6 / max(1e-9, sample.seconds),
        findings_bytes=round(sample.findings_bytes * rows / max(1, sample.rows)),
        signals=len(signals),
        workers=workers,
        sample_rows=sample.rows,
    )


def _sketches(config: Config) -> Sketches | None:
    return Sketches(by=config.scan.by) if config.scan.sketches else None


def _known_extent(shard: Shard) -> _Extent | None:
    """The rows that a footer or the format tells, None where neither does."""
    if shard.format is Format.TEXT:
        return _Extent(1, True)
    groups = shard.groups()
    return None if groups is None else _Extent(sum(group.rows for group in groups), True)


def _rows_per_byte(shards: Sequence[Shard], sampled: Mapping[str, _Extent]) -> dict[Format, float]:
    """Rows a stored byte, of each format by its sampled shards, of formats without any by all."""

    def share(chosen: Sequence[Shard]) -> float:
        return sum(sampled[shard.uri].rows for shard in chosen) / max(1, sum(shard.size_bytes for shard in chosen))

    seen = [shard for shard in shards if shard.uri in sampled]
    return {form: share([shard for shard in seen if shard.format is form] or seen) for form in Format}


def _measure_start(shard: Shard, signals: Sequence[Signal], config: Config, sample: _Sample) -> _Extent:
    """Measure a shard's first rows, add them to the sample, and find how long the shard is."""
    reader = shard.reader
    layout = find_layout(reader.names(), shard.uri, text=config.scan.text)
    raw = {name.removeprefix("column:") for signal in signals for name in signal.reads if ":" in name}
    columns = sorted({*layout.columns, *raw})
    batches = reader.sample(columns) if isinstance(reader, Sequential) else shard.batches(columns)
    pieces: dict[Signal, list[pa.RecordBatch]] = {signal: [] for signal in signals}
    marks = _Marks()
    sketches = _sketches(config)
    # Timed and thrown away: on disk sketches take some 50 kB a part, next to nothing.
    sketch = None if sketches is None else SketchWriter(Path(), _identity(sketches), sketches)
    rows = 0
    began = time.monotonic()
    for batch in batches:
        documents = Documents(layout.documents(batch, shard.uri))
        for measured in measure_blocks(signals, documents, Device(config.scan.device), sketch):
            pieces[measured.signal].append(measured.found)
        rows += len(documents)
        sample.text_bytes += int(documents.offsets[-1] - documents.offsets[0])
        if isinstance(reader, Sequential):
            marks.add(batch.num_rows, reader.consumed_bytes)
        if rows >= _SAMPLE_ROWS // _SAMPLE_SHARDS:
            break
    sample.seconds += time.monotonic() - began
    sample.rows += rows
    extent = _known_extent(shard)
    if extent is None and isinstance(reader, Sequential):
        extent = marks.run_on(batches, reader, shard.size_bytes)
    sample.stored_bytes += shard.size_bytes * (rows / extent.rows if extent and extent.rows else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        for signal, found in pieces.items():
            sample.findings_bytes += _size(signal, found, Path(folder) / "part.parquet")
    return extent or _Extent(rows, False)


@dataclass
class _Marks:
    """Rows against stored bytes along a file. Readers read ahead by a constant, which a difference leaves out."""

    rows: int = 0
    first: tuple[int, int] | None = None

    def add(self, rows: int, consumed_bytes: int) -> None:
        self.rows += rows
        self.first = self.first or (self.rows, consumed_bytes)

    def run_on(self, batches: Iterator[pa.RecordBatch], reader: Sequential, size_bytes: int) -> _Extent:
        """Read on to the file's end, or until the rows in 16 MB of it are counted."""
        for batch in batches:
            self.add(batch.num_rows, reader.consumed_bytes)
            assert self.first is not None
            rows, start = self.first
            passed = reader.consumed_bytes - start
            if passed >= _COUNTED_BYTES:
                return _Extent(size_bytes * (self.rows - rows) / passed, False)
        return _Extent(self.rows, True)


def _identity(signal: Signal | Sketches) -> PartIdentity:
    return PartIdentity(signal.name, signal.version, {}, 0, "", "", 0, 0)


def _size(signal: Signal, found: list[pa.RecordBatch], path: Path) -> int:
    writer = PartWriter(path, _identity(signal), signal.schema)
    for batch in found:
        writer.write(batch, pa.array([True] * batch.num_rows), None)
    writer.close()
    return path.stat().st_size
