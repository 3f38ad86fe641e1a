"""Benchmark items as sequences of word hashes: what a corpus is searched for by `detectors.leakage`.

An index holds no text, so it can be handed round without publishing the benchmark. It does not depend on the length of
the n-grams that are searched for, nor on the order in which items came: equal items give equal bytes and digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.jit import read_only

__all__ = ["BenchmarkIndex", "stored_digest"]

_FORMAT = "1"
_META_FORMAT, _META_WORDS, _META_DIGEST = b"foxing.benchmark_index", b"foxing.words", b"foxing.digest"
_SCHEMA = pa.schema([("benchmark", pa.string()), ("id", pa.string()), ("words", pa.large_list(pa.uint64()))])
_SAMPLE = (
    "The fox’s 3 dens: Zürich-West, ΟΔΟΣ, лиса, 漢字カナ, น้ำใส, हिन्दी, كتاب, 빠른 여우, 👩🏽‍⚕️🇩🇪. e\u0301te\u0301 don't."
)


@dataclass(frozen=True, eq=False)
class BenchmarkIndex:
    """The items of one or more benchmarks, sorted by benchmark, id and words; items that are wholly alike are one.

    Attributes:
        benchmarks: string[items]; the benchmark that each item belongs to.
        ids: string[items]; the name of each item within its benchmark.
        words: uint64[words of all items]; hashes of the words (`detectors.words`), item after item.
        offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
    """

    benchmarks: pa.StringArray
    ids: pa.StringArray
    words: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of items."""
        return len(self.ids)

    @classmethod
    def from_documents(cls, items: Documents, benchmarks: Sequence[str], ids: Sequence[str]) -> BenchmarkIndex:
        """Index the text of each item; a null text is an item without words.

        Args:
            items: texts of the items.
            benchmarks: benchmark of each item.
            ids: name of each item.

        Raises:
            ValueError: benchmarks, ids and items are not equally many.
        """
        if not len(items) == len(benchmarks) == len(ids):
            raise ValueError(
                f"{len(items)} items, {len(benchmarks)} benchmarks and {len(ids)} ids: one of each an item"
            )
        words = items.words
        return cls._sorted(list(benchmarks), list(ids), words.hashes, words.doc_offsets)

    @classmethod
    def merge(cls, indexes: Iterable[BenchmarkIndex]) -> BenchmarkIndex:
        """One index of the items of all, whatever their order."""
        parts = list(indexes)
        sizes = [np.diff(part.offsets) for part in parts]
        return cls._sorted(
            [name for part in parts for name in part.benchmarks.to_pylist()],
            [name for part in parts for name in part.ids.to_pylist()],
            np.concatenate([part.words for part in parts] or [np.empty(0, np.uint64)]),
            np.cumsum(np.concatenate([[0], *sizes])),
        )

    @classmethod
    def _sorted(
        cls, benchmarks: list[str], ids: list[str], words: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]
    ) -> BenchmarkIndex:
        spans = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        sequences = [words[first:end].astype("<u8").tobytes() for first, end in spans]
        items = sorted(set(zip(benchmarks, ids, sequences, strict=True)))
        sizes = [len(sequence) // 8 for _, _, sequence in items]
        return cls(
            pa.array([benchmark for benchmark, _, _ in items], pa.string()),
            pa.array([name for _, name, _ in items], pa.string()),
            read_only(np.frombuffer(b"".join(sequence for _, _, sequence in items), "<u8").astype(np.uint64)),
            read_only(np.cumsum([0, *sizes], dtype=np.int64)),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the items and of how texts are cut into words."""
        names = json.dumps([_FORMAT, _segmentation(), self.benchmarks.to_pylist(), self.ids.to_pylist()])
        total = hashlib.sha256(names.encode())
        total.update(self.offsets.astype("<i8", copy=False).data)
        total.update(self.words.astype("<u8", copy=False).data)
        return total.hexdigest()

    def to_bytes(self) -> bytes:
        """An Arrow IPC file of columns benchmark, id and words; `from_bytes` reads it."""
        sink = pa.BufferOutputStream()
        metadata = {_META_FORMAT: _FORMAT, _META_WORDS: _segmentation(), _META_DIGEST: self.digest}
        words = pa.LargeListArray.from_arrays(pa.array(self.offsets), pa.array(self.words))
        batch = pa.record_batch([self.benchmarks, self.ids, words], ["benchmark", "id", "words"])
        batch = batch.replace_schema_metadata(metadata)
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        written: bytes = sink.getvalue().to_pybytes()
        return written

    @classmethod
    def from_bytes(cls, source: bytes | pa.Buffer) -> BenchmarkIndex:
        """Read what `to_bytes` wrote; a memory-mapped buffer is not copied.

        Raises:
            SignalError: not an index, one that was damaged, or one made when texts were cut into words differently.
        """
        reader, metadata = _opened(source)
        try:
            batch = reader.get_batch(0)
            # Before anything follows an offset that a damaged file has in it.
            batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SignalError(f"benchmark index: damaged ({error}). Make it again from the items.") from None
        words = batch["words"]
        index = cls(
            batch["benchmark"], batch["id"], read_only(np.asarray(words.values)), read_only(np.asarray(words.offsets))
        )
        if index.digest.encode() != metadata[_META_DIGEST]:
            raise SignalError("benchmark index: its content does not match its digest. Make it again from the items.")
        return index


def stored_digest(source: bytes | pa.Buffer) -> str:
    """The digest that an index file carries, without reading its items.

    Raises:
        SignalError: as `BenchmarkIndex.from_bytes`, except that the content is not checked.
    """
    return _opened(source)[1][_META_DIGEST].decode("ascii", "replace")


def _opened(source: bytes | pa.Buffer) -> tuple[pa.RecordBatchFileReader, dict[bytes, bytes]]:
    try:
        reader = pa.ipc.open_file(source)
        schema = reader.schema
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SignalError(f"benchmark index: {error}. This is no index: make one from the benchmark's items.") from None
    metadata = schema.metadata or {}
    if metadata.get(_META_FORMAT) != _FORMAT.encode() or _META_DIGEST not in metadata or not schema.equals(_SCHEMA):
        raise SignalError(f"benchmark index: no index of format {_FORMAT}. Make it again from the benchmark's items.")
    if metadata.get(_META_WORDS) != _segmentation().encode():
        raise SignalError(
            "benchmark index: made by a version that cuts texts into other words, so nothing would be found. "
            "Make it again from the benchmark's items."
        )
    return reader, metadata


def _segmentation() -> str:
    """Changes whenever words or their hashes do."""
    hashes = Documents.from_texts([_SAMPLE]).words.hashes
    return hashlib.sha256(hashes.astype("<u8").tobytes()).hexdigest()[:16]
