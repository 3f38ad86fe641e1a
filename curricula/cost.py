"""What a request would cost: bytes to read and write, and seconds on this machine, predicted from rows that are tried.

Sizes are those of the files that would be read, scaled by what the tried rows came to when written; tokens and MB of
text, before and after, stand in the table itself.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.corpus import Shard
from audit.findings_folder import Findings
from curricula.foresee import Preview, Request
from curricula.gather import gathered
from curricula.inputs import find_input
from curricula.part_files import Layout
from curricula.row_hash import hash_rows
from curricula.stored import compacted, in_transit, recast, storable
from detectors.errors import InputError

__all__ = ["Cost", "predict"]

_PIECES = 6
_WARM_ROWS = 8


@dataclass(frozen=True)
class Cost:
    """What writing an output would take.

    Attributes:
        read_bytes: of the inputs; they are read twice, once to check that they are what was scanned.
        data_bytes, dropped_bytes: of the files that would be written.
        seconds: from deciding to the manifest, on this machine as busy as it is now; the start of the program aside.
        tried_rows: rows that this was found by.
    """

    read_bytes: int
    data_bytes: int
    dropped_bytes: int
    seconds: float
    tried_rows: int


def predict(findings: Findings, request: Request, foreseen: Preview, *, deciding_s: float = 0.0) -> Cost | None:
    """Read some rows of a few inputs, write them to memory, and scale up. None where an input is not there.

    Args:
        findings: of the scan.
        request: what is asked for.
        foreseen: what it would come to.
        deciding_s: seconds that the preview took, which are spent again.
    """
    records = [record for record in findings.shards if record.rows]
    chosen = [records[len(records) * at // _PIECES] for at in range(_PIECES)] if records else []
    began = time.perf_counter()
    try:
        pieces = _pieces([find_input(record, request.corpus) for record in chosen])
    except (InputError, pa.ArrowException, OSError):
        return None
    reading_s = time.perf_counter() - began
    if not pieces:
        return None
    stored = sum(
        record.size_bytes * sum(one.num_rows for at, one in pieces if at == number) / record.rows
        for number, record in enumerate(chosen)
    )
    tried = _try([piece for _, piece in pieces], in_order=foreseen.in_order)
    read = sum(record.size_bytes for record in findings.shards)
    kept, gone = _shares(foreseen)
    factor = read / stored
    return Cost(
        read_bytes=read,
        data_bytes=round(tried.written * factor * kept),
        dropped_bytes=round(tried.written * factor * gone),
        seconds=deciding_s
        + read * tried.digesting_s
        + factor * (reading_s + tried.moving_s * kept + tried.writing_s * (kept + gone)),
        tried_rows=sum(piece.num_rows for _, piece in pieces),
    )


def _shares(foreseen: Preview) -> tuple[float, float]:
    """Text of the output and of what is dropped, for each byte of text that is read; rows where none was counted."""
    before, after = foreseen.tally.total.before, foreseen.tally.total.after
    kept = after.bytes / before.bytes if before.bytes and after.bytes is not None else after.rows / max(1, before.rows)
    return kept, foreseen.tally.total.lost_share


def _pieces(shards: Sequence[Shard]) -> list[tuple[int, pa.RecordBatch]]:
    """Batches of the first one's schema, each from another shard or row group, and which shard each is of."""
    found: list[tuple[int, pa.RecordBatch]] = []
    places = dict.fromkeys(
        (shards.index(shard), len(shard.groups() or "1") * at // len(shards)) for at, shard in enumerate(shards)
    )
    for at, group in places:
        grouped = shards[at].groups() is not None
        batches = shards[at].batches(None, first_group=group, groups=1) if grouped else shards[at].batches(None)
        batch = next(iter(batches), None)
        if batch is not None and batch.num_rows and (not found or batch.schema.equals(found[0][1].schema)):
            found.append((at, batch))
    return found


@dataclass(frozen=True)
class _Tried:
    """Rows that were tried: bytes as written; seconds of putting in order and of writing, of digesting for a byte."""

    written: int
    moving_s: float
    writing_s: float
    digesting_s: float


def _try(pieces: Sequence[pa.RecordBatch], *, in_order: bool) -> _Tried:
    own = pieces[0].schema
    schema = pa.schema([entry.with_type(in_transit(entry.type)) for entry in own])
    rows = [compacted(recast(piece, schema)) for piece in pieces]
    few = rows[0].slice(0, _WARM_ROWS)  # compiled once a machine
    hash_rows(few)
    gathered([few], np.arange(few.num_rows))
    clock = time.perf_counter
    began, moving_s = clock(), 0.0
    if not in_order:  # scattered by place, uncompressed, read, and gathered
        order = np.random.default_rng(0).permutation(sum(piece.num_rows for piece in rows))
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(gathered(rows, order))
        rows = gathered(pa.ipc.open_stream(sink.getvalue()).read_all().to_batches(), order).to_batches()
        moving_s = clock() - began
    began, sink = clock(), io.BytesIO()
    stored = storable(own)[0]
    with pq.ParquetWriter(sink, stored, compression="zstd", compression_level=Layout().compression_level) as writer:
        writer.write_table(pa.Table.from_batches([recast(piece, stored) for piece in rows], schema=stored))
    for piece in rows:
        hash_rows(compacted(piece))
        hash_rows(compacted(piece))  # as read, and as written
    file = sink.getvalue()
    writing_s, began = clock() - began, clock()
    hashlib.sha256(file).digest()
    return _Tried(len(file), moving_s, writing_s, (clock() - began) / len(file))
