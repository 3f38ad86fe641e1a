"""Runs signals over a batch: block by block, long documents piece by piece, with the rows that raise kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.allocator import give_back
from audit.execute import attempt
from detectors.documents import Documents
from detectors.errors import FoxingError, SignalError
from detectors.pieces import blocks, cuts_of, is_piecewise, pieces
from detectors.protocols import Device, Measure, Piecewise, Signal

if TYPE_CHECKING:
    Errors = list[str | None] | None

__all__ = ["Measured", "Observer", "measure_blocks"]


@dataclass(frozen=True)
class Measured:
    """What one signal found in one block of rows.

    Attributes:
        signal: which.
        found: one row a document, of its schema.
        valid: bool[n], False where the text is null or the signal raised.
        errors: what it raised, row by row; None when it raised nothing.
    """

    signal: Signal
    found: pa.RecordBatch
    valid: npt.NDArray[np.bool_]
    errors: list[str | None] | None

    @property
    def faults(self) -> int:
        """Rows on which the signal raised."""
        return 0 if self.errors is None else sum(error is not None for error in self.errors)


class Observer(Protocol):
    """Looks at the very documents that signals measure, whose views are made by then; `audit.sketch_parts` is one."""

    def update(self, documents: Documents) -> None:
        """A block of rows."""
        ...

    def update_pieces(self, pieces: Documents, row: Documents, *, is_last: bool) -> None:
        """Pieces of one long document's text, which come in order; nothing comes between them."""
        ...


def measure_blocks(
    signals: Sequence[Signal], documents: Documents, device: Device, observer: Observer | None = None
) -> Iterator[Measured]:
    """Measure every signal on every block of a batch, in row order for each signal.

    Raises:
        SignalError: a signal broke its contract, or cannot be loaded.
    """
    for block in blocks(documents):
        found = _in_pieces(signals, block.documents, device, observer) if block.is_long else {}
        if observer is not None and not block.is_long:
            observer.update(block.documents)
        for signal in signals:
            batch, errors = found.get(signal) or _isolate(_loaded(signal, device), signal, block.documents)
            _check(signal, batch, len(block.documents))
            yield Measured(signal, batch, _valid(signal, block.documents, errors), errors)


def _check(signal: Signal, found: pa.RecordBatch, rows: int) -> None:
    same = found.schema.equals(signal.schema) or _types(found.schema) == _types(signal.schema)
    if not same or found.num_rows != rows:
        raise SignalError(
            f"signal {signal.name!r} returned {found.num_rows} rows of {_types(found.schema)}, "
            f"not {rows} of {_types(signal.schema)}. Run detectors.conformance.check_signal on it."
        )


def _valid(signal: Signal, documents: Documents, errors: Errors) -> npt.NDArray[np.bool_]:
    valid = np.ones(len(documents), np.bool_)
    if "text" in signal.reads:
        valid &= documents.valid
    if "response" in signal.reads:
        valid &= documents.response.valid
    if errors is not None:
        valid &= np.array([error is None for error in errors])
    return valid


def _in_pieces(
    signals: Sequence[Signal], documents: Documents, device: Device, observer: Observer | None
) -> dict[Signal, tuple[pa.RecordBatch, Errors]]:
    """Measure one long row piece by piece with the signals that can; each piece is looked at by all of them at once."""
    results: dict[Signal, tuple[pa.RecordBatch, Errors]] = {}
    for reads, whole in (("text", documents), ("response", documents.response)):
        watching = observer if reads == "text" else None
        chosen = [signal for signal in signals if is_piecewise(signal) and signal.reads == (reads,)]
        edges = cuts_of(whole) if chosen or watching else []
        starts = edges[:-1]
        if len(starts) < 2:
            if watching is not None:
                watching.update(documents)
            continue
        found: dict[Signal, list[pa.RecordBatch]] = {signal: [] for signal in chosen}
        for firsts, batch in pieces(whole, edges):
            if watching is not None:
                watching.update_pieces(batch, documents, is_last=firsts[-1] == starts[-1])
            for signal in chosen:
                if signal in results:
                    continue
                measured, errors = _isolate(_loaded(signal, device), signal, batch)
                if errors is not None:
                    results[signal] = _nothing(signal), [next(error for error in errors if error is not None)]
                else:
                    _check(signal, measured, len(batch))
                    found[signal].append(measured)
        for signal in chosen:
            if signal not in results:
                results[signal] = _combined(signal, found[signal], starts)
    return results


def _combined(signal: Signal, found: list[pa.RecordBatch], starts: list[int]) -> tuple[pa.RecordBatch, Errors]:
    table = pa.Table.from_batches(found).combine_chunks()
    (batch,) = table.to_batches()
    outcome = attempt(lambda part: cast(Piecewise, signal).combine(part, starts), batch)
    if outcome.value is not None:
        return outcome.value, None
    if isinstance(outcome.error, FoxingError):
        raise outcome.error
    return _nothing(signal), [str(outcome.error)]


def _nothing(signal: Signal) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(1, spec.type) for spec in signal.schema], schema=_nullable(signal.schema))


@lru_cache(maxsize=64)
def _loaded(signal: Signal, device: Device) -> Measure:
    """Models are loaded once per worker."""
    measure = signal.load(device)
    give_back()
    return measure


def _isolate(measure: Measure, signal: Signal, documents: Documents) -> tuple[pa.RecordBatch, Errors]:
    """Measure a batch; when it raises, halve it until the rows that raise stand alone: they cost nobody else."""
    outcome = attempt(measure, documents)
    if outcome.value is not None:
        return outcome.value, None
    if isinstance(outcome.error, FoxingError):
        raise outcome.error
    if len(documents) == 1:
        return _nothing(signal), [str(outcome.error)]
    half = len(documents) // 2
    parts = documents.slice(0, half), documents.slice(half, len(documents) - half)
    split = [_isolate(measure, signal, part) for part in parts]
    table = pa.Table.from_batches([piece.cast(_nullable(signal.schema)) for piece, _ in split]).combine_chunks()
    errors = [error for piece, found in split for error in (found or [None] * piece.num_rows)]
    return table.to_batches(max_chunksize=len(documents))[0], errors


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(spec.name, spec.type) for spec in schema])
