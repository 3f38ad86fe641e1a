"""Benchmark items as sequences of word hashes: what a corpus is searched for by `detectors.leakage`.

An index holds no text, so it can be handed round without publishing the benchmark. It does not depend on the order in
which items came: equal items give equal bytes and digest. With the words lie what was learned from clean text: which
8-grams are stop-grams (`detectors.stop_grams`), and how often a rule flags documents that cannot hold the benchmark.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.jit import read_only

__all__ = ["DEFAULT_N", "BenchmarkIndex", "FalseFlags", "Header", "header", "stored_digest"]

DEFAULT_N = 13
"""Words of an n-gram, as in Brown et al. 2020 (arXiv:2005.14165, appendix C)."""
_FORMAT = "2"
_META_FORMAT, _META_WORDS, _META_DIGEST = b"foxing.benchmark_index", b"foxing.words", b"foxing.digest"
_META_FACTS = b"foxing.facts"
_SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("id", pa.string()),
        ("words", pa.large_list(pa.uint64())),
        ("stops", pa.large_list(pa.bool_())),
        ("question_words", pa.int32()),
        ("answer_words", pa.int32()),
    ]
)
_SAMPLE = (
    "The fox’s 3 dens: Zürich-West, ΟΔΟΣ, лиса, 漢字カナ, น้ำใส, हिन्दी, كتاب, 빠른 여우, 👩🏽‍⚕️🇩🇪. e\u0301te\u0301 don't."
)


@dataclass(frozen=True)
class FalseFlags:
    """How often a rule flagged documents that cannot hold the benchmarks.

    Attributes:
        when: the rule's condition, as it was.
        documents: clean documents that were looked at; none of those that stop-grams were learned from.
        flagged: of them flagged.
        by_benchmark: of these, how many for an item of each benchmark; benchmarks by name, those without any too.
    """

    when: str
    documents: int
    flagged: int
    by_benchmark: Mapping[str, int] = field(default_factory=dict)


class Header(NamedTuple):
    """What an index file says of itself, items aside."""

    digest: str
    n: Mapping[str, int]
    false_flags: FalseFlags | None


@dataclass(frozen=True, eq=False)
class BenchmarkIndex:
    """The items of one or more benchmarks, sorted by benchmark, id and words; items that are wholly alike are one.

    Attributes:
        benchmarks: string[items]; the benchmark that each item belongs to.
        ids: string[items]; the name of each item within its benchmark.
        words: uint64[words of all items]; hashes of the words (`detectors.words`), item after item.
        offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
        question_words: int32[items]; so many of its first words are its question, 0 where that is unknown.
        answer_words: int32[items]; so many of its last words are its answer, 0 where that is unknown.
        stops: bool[words of all items]; whether the 8-gram that begins there is a stop-gram.
        n: words of an n-gram, for every benchmark.
        false_flags: None where no clean text was measured.
    """

    benchmarks: pa.StringArray
    ids: pa.StringArray
    words: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]
    question_words: npt.NDArray[np.int32]
    answer_words: npt.NDArray[np.int32]
    stops: npt.NDArray[np.bool_]
    n: Mapping[str, int]
    false_flags: FalseFlags | None = None

    def __len__(self) -> int:
        """Number of items."""
        return len(self.ids)

    @classmethod
    def from_documents(
        cls,
        items: Documents,
        benchmarks: Sequence[str],
        ids: Sequence[str],
        *,
        question_words: Sequence[int] | None = None,
        answer_words: Sequence[int] | None = None,
        n: Mapping[str, int] | None = None,
    ) -> BenchmarkIndex:
        """Index the text of each item; a null text is an item without words.

        Args:
            items: texts of the items.
            benchmarks: benchmark of each item.
            ids: name of each item.
            question_words: so many of each item's first words are its question. None: unknown.
            answer_words: so many of its last words are its answer. None: unknown.
            n: words of an n-gram, by benchmark; 13 where it is not said.

        Raises:
            ValueError: benchmarks, ids, counts and items are not equally many, or parts have more words than items.
        """
        questions = np.zeros(len(items), np.int32) if question_words is None else np.asarray(question_words, np.int32)
        answers = np.zeros(len(items), np.int32) if answer_words is None else np.asarray(answer_words, np.int32)
        if not len(items) == len(benchmarks) == len(ids) == len(questions) == len(answers):
            raise ValueError(
                f"{len(items)} items, {len(benchmarks)} benchmarks and {len(ids)} ids: one of each an item"
            )
        words = items.words
        if len(items) and (questions + answers > words.counts).any():
            raise ValueError("an item has fewer words than its question and its answer together")
        texts = words.hashes, words.doc_offsets, np.zeros(len(words), np.bool_)
        known = {name: (n or {}).get(name, DEFAULT_N) for name in benchmarks}
        return cls._sorted(list(benchmarks), list(ids), texts, (questions, answers), known)

    @classmethod
    def merge(cls, indexes: Iterable[BenchmarkIndex]) -> BenchmarkIndex:
        """One index of the items of all, whatever their order. How often they flag clean text together is not known.

        Raises:
            ValueError: indexes that search for one benchmark with different n.
        """
        parts = list(indexes)
        known: dict[str, int] = {}
        for part in parts:
            for name, n in part.n.items():
                if known.setdefault(name, n) != n:
                    raise ValueError(f"{name}: searched for with n = {known[name]} and n = {n}")
        sizes = [np.diff(part.offsets) for part in parts]
        none = np.empty(0, np.int32)
        texts = (
            np.concatenate([part.words for part in parts] or [np.empty(0, np.uint64)]),
            np.cumsum(np.concatenate([[0], *sizes])),
            np.concatenate([part.stops for part in parts] or [np.empty(0, np.bool_)]),
        )
        return cls._sorted(
            [name for part in parts for name in part.benchmarks.to_pylist()],
            [name for part in parts for name in part.ids.to_pylist()],
            texts,
            (
                np.concatenate([none, *(part.question_words for part in parts)]),
                np.concatenate([none, *(part.answer_words for part in parts)]),
            ),
            known,
        )

    @classmethod
    def _sorted(
        cls,
        benchmarks: list[str],
        ids: list[str],
        texts: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.bool_]],
        parts: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
        n: Mapping[str, int],
    ) -> BenchmarkIndex:
        words, offsets, stops = texts
        spans = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
        sequences = [words[first:end].astype("<u8").tobytes() for first, end in spans]
        stopped = [stops[first:end].tobytes() for first, end in spans]
        counts = (part.tolist() for part in parts)
        items = sorted(set(zip(benchmarks, ids, sequences, *counts, stopped, strict=True)))
        return cls(
            benchmarks=pa.array([item[0] for item in items], pa.string()),
            ids=pa.array([item[1] for item in items], pa.string()),
            words=read_only(np.frombuffer(b"".join(item[2] for item in items), "<u8").astype(np.uint64)),
            offsets=read_only(np.cumsum([0, *(len(item[2]) // 8 for item in items)], dtype=np.int64)),
            question_words=read_only(np.array([item[3] for item in items], np.int32)),
            answer_words=read_only(np.array([item[4] for item in items], np.int32)),
            stops=read_only(np.frombuffer(b"".join(item[5] for item in items), np.bool_)),
            n=dict(sorted(n.items())),
        )

    def with_stops(self, stops: npt.NDArray[np.bool_]) -> BenchmarkIndex:
        """The same items with these stop-grams; how often they flag clean text is then not known."""
        return dataclasses.replace(self, stops=read_only(stops), false_flags=None)

    def with_false_flags(self, found: FalseFlags) -> BenchmarkIndex:
        """The same index with what was measured on clean text."""
        return dataclasses.replace(self, false_flags=found)

    @property
    def n_words(self) -> npt.NDArray[np.int64]:
        """int64[items]: words of an n-gram for each item."""
        return np.array([self.n[name] for name in self.benchmarks.to_pylist()], np.int64)

    @cached_property
    def _facts(self) -> str:
        flags = None if self.false_flags is None else dataclasses.asdict(self.false_flags)
        return json.dumps({"n": dict(self.n), "false_flags": flags}, sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of everything in the index and of how texts are cut into words."""
        names = [_FORMAT, _segmentation(), self.benchmarks.to_pylist(), self.ids.to_pylist(), self._facts]
        total = hashlib.sha256(json.dumps(names).encode())
        for array in (self.offsets.astype("<i8", copy=False), self.words.astype("<u8", copy=False)):
            total.update(array.data)
        for counts in (self.question_words, self.answer_words):
            total.update(counts.astype("<i4", copy=False).data)
        total.update(np.packbits(self.stops).data)
        return total.hexdigest()

    def to_bytes(self) -> bytes:
        """An Arrow IPC file; `from_bytes` reads it."""
        sink = pa.BufferOutputStream()
        metadata = {
            _META_FORMAT: _FORMAT,
            _META_WORDS: _segmentation(),
            _META_DIGEST: self.digest,
            _META_FACTS: self._facts,
        }
        lists = [
            pa.LargeListArray.from_arrays(pa.array(self.offsets), pa.array(values))
            for values in (self.words, self.stops)
        ]
        columns = [self.benchmarks, self.ids, *lists, pa.array(self.question_words), pa.array(self.answer_words)]
        batch = pa.record_batch(columns, _SCHEMA.names).replace_schema_metadata(metadata)
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        written: bytes = sink.getvalue().to_pybytes()
        return written

    @classmethod
    def from_bytes(cls, source: bytes | pa.Buffer) -> BenchmarkIndex:
        """Read what `to_bytes` wrote; words in a memory-mapped buffer are not copied.

        Raises:
            SignalError: not an index, one that was damaged, or one made when texts were cut into words differently.
        """
        reader, metadata = _opened(source)
        known = _header(metadata)
        try:
            batch = reader.get_batch(0)
            # Before anything follows an offset that a damaged file has in it.
            batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SignalError(f"benchmark index: damaged ({error}). Make it again from the items.") from None
        words, stops = batch["words"], batch["stops"]
        if not words.offsets.equals(stops.offsets) or any(column.null_count for column in batch.columns):
            raise SignalError("benchmark index: damaged (its columns do not agree). Make it again from the items.")
        index = cls(
            batch["benchmark"],
            batch["id"],
            read_only(np.asarray(words.values)),
            read_only(np.asarray(words.offsets)),
            read_only(np.asarray(batch["question_words"])),
            read_only(np.asarray(batch["answer_words"])),
            read_only(stops.values.to_numpy(zero_copy_only=False)),
            known.n,
            known.false_flags,
        )
        if index.digest != known.digest or index._facts.encode() != metadata[_META_FACTS]:
            raise SignalError("benchmark index: its content does not match its digest. Make it again from the items.")
        return index


def header(source: bytes | pa.Buffer) -> Header:
    """What an index file says of itself, without reading its items.

    Raises:
        SignalError: as `BenchmarkIndex.from_bytes`, except that the content is not checked.
    """
    return _header(_opened(source)[1])


def stored_digest(source: bytes | pa.Buffer) -> str:
    """The digest that an index file carries.

    Raises:
        SignalError: as `header`.
    """
    return header(source).digest


def _header(metadata: Mapping[bytes, bytes]) -> Header:
    try:
        facts = json.loads(metadata[_META_FACTS])
        flags = facts["false_flags"]
        n = {str(name): int(value) for name, value in facts["n"].items()}
        found = None if flags is None else FalseFlags(**flags)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise SignalError(f"benchmark index: damaged ({error!r}). Make it again from the items.") from None
    return Header(metadata[_META_DIGEST].decode("ascii", "replace"), n, found)


def _opened(source: bytes | pa.Buffer) -> tuple[pa.RecordBatchFileReader, dict[bytes, bytes]]:
    try:
        reader = pa.ipc.open_file(source)
        schema = reader.schema
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SignalError(f"benchmark index: {error}. This is no index: make one from the benchmark's items.") from None
    metadata = schema.metadata or {}
    if metadata.get(_META_FORMAT) != _FORMAT.encode() or _META_DIGEST not in metadata or not schema.equals(_SCHEMA):
        raise SignalError(
            f"benchmark index: no index of format {_FORMAT}. Make it again from the benchmark's items: "
            "foxing index-benchmarks."
        )
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
