"""What a scan will cost, predicted from a timed sample of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from audit.config import Config
from audit.corpus import Corpus, Shard
from audit.execute import usable_cores
from audit.findings import PartIdentity, PartWriter
from audit.layout import find_layout
from audit.scan import build_signals
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.protocols import Device, Measure, Signal

__all__ = ["Estimate", "estimate"]

_SAMPLE_SHARDS = 5
_SAMPLE_ROWS = 4000


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
    rows: int = 0
    text_bytes: int = 0
    stored_bytes: float = 0.0
    seconds: float = 0.0
    findings_bytes: int = 0


def estimate(paths: Sequence[str], directory: Path, config: Config) -> Estimate:
    """Measure the start of up to five shards and extrapolate. Writes nothing but a temporary file.

    Raises:
        InputError: nothing to scan, or a sampled shard cannot be read.
    """
    if "-" in paths:
        raise InputError("-: standard input can be read only once. Predict from a file.")
    corpus = Corpus.open(list(paths))
    signals = build_signals(config)
    step = max(1, len(corpus.shards) // _SAMPLE_SHARDS)
    chosen = corpus.shards[::step][:_SAMPLE_SHARDS]
    device = Device(config.scan.device)
    measures = {signal: signal.load(device) for signal in signals}
    _warm(measures)
    sample = _Sample()
    for shard in chosen:
        _measure_start(shard, measures, config, sample)
    counted = [_footer_rows(shard) for shard in corpus.shards]
    stored = sum(shard.size_bytes for shard in corpus.shards)
    ratio = stored / max(1.0, sample.stored_bytes)
    exact = all(rows is not None for rows in counted)
    rows = sum(rows for rows in counted if rows is not None) if exact else round(sample.rows * ratio)
    scale = rows / max(1, sample.rows)
    workers = config.scan.workers or usable_cores()
    return Estimate(
        shards=len(corpus.shards),
        rows=rows,
        rows_exact=exact,
        text_bytes=round(sample.text_bytes * scale),
        wall_s=sample.seconds * scale / workers,
        rate_mb_s=sample.text_bytes / 1e6 / max(1e-9, sample.seconds),
        findings_bytes=round(sample.findings_bytes * scale),
        signals=len(signals),
        workers=workers,
        sample_rows=sample.rows,
    )


def _warm(measures: dict[Signal, Measure]) -> None:
    """Compile kernels outside the clock."""
    documents = Documents.from_texts(["A first document to warm up on. " * 20])
    for measure in measures.values():
        measure(documents)


def _footer_rows(shard: Shard) -> int | None:
    groups = shard.groups()
    return None if groups is None else sum(group.rows for group in groups)


def _measure_start(shard: Shard, measures: dict[Signal, Measure], config: Config, sample: _Sample) -> None:
    layout = find_layout(shard.reader.names(), shard.uri, text=config.scan.text)
    rows = 0
    began = time.monotonic()
    pieces: dict[Signal, list[pa.RecordBatch]] = {signal: [] for signal in measures}
    for batch in shard.batches(list(layout.columns)):
        if rows >= _SAMPLE_ROWS // _SAMPLE_SHARDS:
            break
        documents = Documents(layout.documents(batch, shard.uri))
        for signal, measure in measures.items():
            pieces[signal].append(measure(documents))
        rows += len(documents)
        sample.text_bytes += int(documents.offsets[-1] - documents.offsets[0])
    sample.seconds += time.monotonic() - began
    sample.rows += rows
    total = _footer_rows(shard)
    sample.stored_bytes += shard.size_bytes * (rows / total if total else 1.0)
    with tempfile.TemporaryDirectory() as folder:
        for signal, found in pieces.items():
            sample.findings_bytes += _size(signal, found, Path(folder) / "part.parquet")


def _size(signal: Signal, found: list[pa.RecordBatch], path: Path) -> int:
    writer = PartWriter(path, PartIdentity(signal.name, signal.version, {}, 0, "", "", 0), signal.schema)
    for batch in found:
        writer.write(batch, pa.array([True] * batch.num_rows), None)
    writer.close()
    return path.stat().st_size
