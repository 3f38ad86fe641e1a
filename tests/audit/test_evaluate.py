"""Blocks, long documents and rows that raise, as a scan measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from audit.evaluate import measure_blocks
from detectors.diversity import Diversity
from detectors.document import Document
from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.pieces import LONG_BYTES, cuts
from detectors.protocols import Device, Measure, Signal

SCHEMA = pa.schema([pa.field("bytes", pa.int64())])


@dataclass(frozen=True)
class Sizes:
    """Bytes of a text, measured in pieces; raises on a text, or on a piece, that holds `poison`."""

    poison: bytes = b"poison"
    name: ClassVar[str] = "sizes"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = SCHEMA

    def load(self, device: Device) -> Measure:
        def measure(documents: Documents) -> pa.RecordBatch:
            texts = documents.batch.column("text").to_pylist()
            if any(self.poison in (text or b"") for text in texts):
                raise ValueError("poisoned")
            return pa.record_batch([pa.array([len(text or b"") for text in texts], pa.int64())], schema=SCHEMA)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        assert starts[0] == 0 and len(starts) == pieces.num_rows > 1
        return pa.record_batch([pa.array([sum(pieces.column(0).to_pylist())])], schema=SCHEMA)


@dataclass(frozen=True)
class Whole(Sizes):
    """The same without pieces."""

    name: ClassVar[str] = "whole"
    combine: ClassVar[None] = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Liar(Sizes):
    """Returns a row too few."""

    def load(self, device: Device) -> Measure:
        return lambda documents: super(Liar, self).load(device)(documents.slice(1, len(documents) - 1))


def run(signals: Sequence[Signal], texts: list[bytes | None]) -> dict[str, list[tuple[object, bool, str | None]]]:
    rows: dict[str, list[tuple[object, bool, str | None]]] = {signal.name: [] for signal in signals}
    batch = Documents(pa.record_batch({"text": pa.array(texts, pa.large_binary())}))
    for part in measure_blocks(signals, batch, Device.CPU):
        errors = part.errors or [None] * part.found.num_rows
        rows[part.signal.name] += zip(part.found.column(0).to_pylist(), part.valid.tolist(), errors, strict=True)
    return rows


LONG = b"word " * (LONG_BYTES // 5 + 1000)


def test_rows_come_in_order_whatever_their_length() -> None:
    texts: list[bytes | None] = [b"a", LONG, b"bc", None, LONG * 2, b"def"]
    rows = run([Sizes(), Document()], texts)
    expected = [1, len(LONG), 2, 0, 2 * len(LONG), 3]
    assert [value for value, _, _ in rows["sizes"]] == expected
    assert [value for value, _, _ in rows["document"]] == expected
    assert [valid for _, valid, _ in rows["sizes"]] == [True, True, True, False, True, True]


def test_a_signal_without_combine_is_given_a_long_document_whole() -> None:
    assert run([Whole()], [b"a", LONG])["whole"][1][0] == len(LONG)


def test_a_row_that_raises_costs_itself_alone_even_in_one_of_its_pieces() -> None:
    rows = run([Sizes(), Document()], [b"a", b"poison", LONG + b"poison " + LONG, b"b"])
    assert [error for _, _, error in rows["sizes"]] == [None, "ValueError: poisoned", "ValueError: poisoned", None]
    assert [valid for _, valid, _ in rows["sizes"]] == [True, False, False, True]
    assert [error for _, _, error in rows["document"]] == [None] * 4


def test_a_measure_that_loses_rows_stops_the_scan() -> None:
    with pytest.raises(SignalError, match="returned 1 rows of bytes int64, not 2"):
        run([Liar()], [b"a", b"b"])


@dataclass(frozen=True)
class Doubling(Sizes):
    """Returns two rows for each piece of a long document."""

    def load(self, device: Device) -> Measure:
        measure = super().load(device)

        def twice(documents: Documents) -> pa.RecordBatch:
            found = measure(documents)
            long = found.column(0)[0].as_py() > 1000
            return pa.concat_batches([found, found]) if long else found

        return twice


@dataclass(frozen=True)
class Refusing(Sizes):
    """Cannot be combined, and says so with an error of foxing's."""

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        raise SignalError("sizes cannot be combined")


@dataclass(frozen=True)
class Failing(Sizes):
    """Raises when it combines."""

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        raise ValueError("no sum")


def test_a_measure_that_doubles_a_piece_stops_the_scan() -> None:
    with pytest.raises(SignalError, match="returned 18 rows of bytes int64, not 9"):
        run([Doubling()], [b"a", LONG])


def test_what_combining_raises_costs_its_row_unless_the_signal_itself_is_at_fault() -> None:
    rows = run([Failing()], [b"a", LONG])["sizes"]
    assert [(valid, error) for _, valid, error in rows] == [(True, None), (False, "ValueError: no sum")]
    with pytest.raises(SignalError, match="cannot be combined"):
        run([Refusing()], [b"a", LONG])


def test_diversity_of_a_long_document_is_the_mean_of_its_pieces() -> None:
    words = b" ".join(b"%d" % (i * i % 7919) for i in range(300_000))
    edges = cuts(memoryview(words))
    assert len(edges) > 10
    batch = Documents(pa.record_batch({"text": pa.array([words], pa.large_binary())}))
    (whole,) = measure_blocks([Diversity()], batch, Device.CPU)
    parts = Diversity().load(Device.CPU)(Documents.from_texts([words[a:b] for a, b in pairwise(edges)]))
    counts = parts.column("words").to_pylist()
    found = whole.found.to_pylist()[0]
    assert found["words"] == sum(counts) == 300_000
    for name in ("ttr", "mattr", "mtld", "hdd", "yule_k", "distinct_3", "dup_5gram"):
        expected = np.average(np.array(parts.column(name).to_pylist()), weights=counts)
        assert found[name] == pytest.approx(expected, rel=1e-5), name
