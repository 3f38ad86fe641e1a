"""`check_signal` finds each way of breaking the contract, and names it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.protocols import Device, Measure

SCHEMA = pa.schema([pa.field("size", pa.float32(), metadata={"doc": "Bytes."})])


def sizes(documents: Documents) -> pa.RecordBatch:
    return pa.record_batch([pa.array(np.diff(documents.offsets).astype(np.float32))], SCHEMA)


@dataclass(frozen=True)
class Honest:
    limit: int = 1
    name: ClassVar[str] = "honest"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = SCHEMA

    def load(self, device: Device) -> Measure:
        return self.measure

    def measure(self, documents: Documents) -> pa.RecordBatch:
        return sizes(documents)


def test_an_honest_signal_passes() -> None:
    check_signal(Honest())
    check_signal(Honest(), Documents.from_texts(["a", None]))
    check_signal(InPieces())


class BatchMean(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        found = np.diff(documents.offsets).astype(np.float32)
        return pa.record_batch([pa.array(found - found.sum() / max(1, len(found)))], SCHEMA)


class IgnoresOffset(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        return pa.record_batch([pa.array(documents.offsets[1:].astype(np.float32))], SCHEMA)


class Random(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        return pa.record_batch([pa.array(np.random.default_rng().random(len(documents), np.float32))], SCHEMA)


class LosesARow(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        return sizes(documents).slice(1)


class NanForNull(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        return pa.record_batch([pa.array(np.full(len(documents), np.nan, np.float32))], SCHEMA)


class OtherSchema(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        return pa.record_batch({"size": pa.array(np.diff(documents.offsets))})


class TripsOverInvalid(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        for text in documents.batch.column("text").to_pylist():
            (text or b"").decode()
        return sizes(documents)


class Writes(Honest):
    def measure(self, documents: Documents) -> pa.RecordBatch:
        found = sizes(documents)
        buffer = documents.batch.column("text").buffers()[2]
        if len(documents) > 20:
            np.ndarray(buffer.size, np.uint8, _Writable(buffer))[0] ^= 1
        return found


class _Writable:
    def __init__(self, buffer: pa.Buffer) -> None:
        self.__array_interface__ = {
            "data": (buffer.address, False),
            "shape": (buffer.size,),
            "typestr": "|u1",
            "version": 3,
        }


class Undocumented(Honest):
    schema = pa.schema([("size", pa.float32())])


class BadName(Honest):
    name = "Bad Name"


class BadReads(Honest):
    reads = ("title",)


class NoVersion(Honest):
    version = 0


@dataclass(frozen=True)
class Slow(Honest):
    def __post_init__(self) -> None:
        until = time.thread_time() + 0.06
        while time.thread_time() < until:
            pass


@dataclass(frozen=True)
class Heavy(Honest):
    weights: bytes = bytes(100_000)


@dataclass
class Thawed:
    name: ClassVar[str] = "thawed"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = SCHEMA

    def load(self, device: Device) -> Measure:
        return sizes


@dataclass(frozen=True)
class Closure(Honest):
    scale: Callable[[int], int] = lambda n: n


class InPieces(Honest):
    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        return pa.record_batch([pa.array([float(np.sum(pieces["size"].to_numpy()))], pa.float32())], SCHEMA)


class ManyRowsOfOne(Honest):
    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        return pieces


class NanOfPieces(Honest):
    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        return pa.record_batch([pa.array([float("nan")], pa.float32())], SCHEMA)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (BatchMean, "split into batches of 1"),
        (IgnoresOffset, "batches of|sliced out"),
        (Random, "measured twice"),
        (LosesARow, "rows for"),
        (NanForNull, "Undefined is null"),
        (OtherSchema, "promised"),
        (TripsOverInvalid, r"raised UnicodeDecodeError.*row \d+ alone"),
        (Undocumented, "lacks metadata"),
        (BadName, "Bad Name"),
        (BadReads, "'title'"),
        (NoVersion, "version 0"),
        (Slow, "Move the work to load"),
        (Heavy, "bytes pickled"),
        (Thawed, "not a frozen dataclass"),
        (Closure, "cannot be pickled"),
        (ManyRowsOfOne, r"combine made \d+ rows"),
        (NanOfPieces, "Undefined is null"),
    ],
)
def test_a_broken_contract_is_named(broken: type[Honest], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_signal(broken())


def test_awkward_documents_hold_what_signals_read() -> None:
    documents = awkward_documents(("text", "response", "column:title"))
    assert documents.batch.schema.names == ["text", "response", "title"]
    assert not documents.valid.all()
    assert not documents.utf8_valid.all()
    assert len(documents.response) == len(documents)


def test_signals_are_compared_by_their_settings() -> None:
    assert dataclasses.replace(Honest(), limit=2) != Honest()
