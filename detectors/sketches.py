"""What a corpus is like as a whole, in bounded memory: different n-grams and their growth, lengths, frequent items.

A `SketchState` takes in the documents of one part of a corpus and keeps a `SourceSketch` for each source. Those merge
exactly: associative, commutative, and the same for any split of the part into batches.

Items that are listed are 3-grams, which catch set phrases; 5-grams, which catch boilerplate and templates; the first
and the last three words of documents. The most frequent 2-grams are pairs of function words in every corpus: they are
counted (distinct-2) and not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import ConfigError, FindingsError

if TYPE_CHECKING:
    from detectors.frequent import FrequentItems
    from detectors.growth import Growth
    from detectors.histograms import LogHistogram

__all__ = ["LISTS", "MEASURES", "SCHEMA", "Sketch", "SketchState", "Sketches", "SourceRow", "SourceSketch", "rows_of"]

I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TABLE_VERSION: Final = 1
MEASURES: Final = {
    "bytes": "UTF-8 bytes of a document.",
    "words": "Words of a document.",
    "sentence_words": "Mean words per sentence of a document; documents without words have none.",
    "word_characters": "Mean characters per word of a document; documents without words have none.",
}
"""Measures of documents that have a histogram, and what they are."""
LISTS: Final = {
    "ngrams_3": "Three consecutive words.",
    "ngrams_5": "Five consecutive words.",
    "openings": "The first three words of a document.",
    "endings": "The last three words of a document.",
}
"""Lists of frequent items, and what they are."""
_EDGE_WORDS = 3
_FEWEST_ITEMS = 16

SCHEMA: Final = pa.schema(
    [
        pa.field("source", pa.string(), metadata={"doc": "Value of the source column; null where the shard is one."}),
        pa.field("overflow", pa.bool_(), metadata={"doc": "Sources beyond the ones kept apart, in one row."}),
        pa.field("documents", pa.int64(), metadata={"doc": "Documents with a text, empty ones among them."}),
        pa.field("words", pa.int64(), metadata={"doc": "Their words."}),
        pa.field("bytes", pa.int64(), metadata={"doc": "Their UTF-8 bytes."}),
        pa.field("growth", pa.binary(), metadata={"doc": "detectors.growth.Growth.to_bytes"}),
        *(
            pa.field(f"histogram_{name}", pa.binary(), metadata={"doc": f"{doc} LogHistogram.to_bytes"})
            for name, doc in MEASURES.items()
        ),
        *(
            pa.field(f"frequent_{name}", pa.binary(), metadata={"doc": f"{doc} FrequentItems.to_bytes"})
            for name, doc in LISTS.items()
        ),
    ],
    metadata={"foxing_sketches": str(TABLE_VERSION)},
)
"""One row a source of a part. A sketch's first bytes name its kind and version; numbers are little-endian."""


class Sketch(Protocol):
    """A summary that can be merged. Its `update` takes what it counts: hashes, values, documents."""

    def merge(self, other: Self) -> None:
        """Become the summary of both; associative and commutative."""
        ...

    def to_bytes(self) -> bytes:
        """A stable serial form, the same on every machine."""
        ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`; FindingsError where it is not."""
        ...


@dataclass(frozen=True)
class Sketches:
    """Settings of corpus sketches; `start` makes the state of one part.

    Args:
        by: column whose values are the sources; None takes each shard as one.
        p: precision of distinct counts: 2**p registers, standard error 1.04 / sqrt(2**p).
        sample_words: words of sampled documents that are held for counting n-grams, at most 2**20. Parts with no more
            words are counted whole.
        sample_documents: documents of which openings and endings are held.
        top: items that are listed of a source, in each list. Parts with many sources list fewer, 16 or more.
        max_sources: sources of a part that are kept apart, in the order of its rows; the rest share a row that is
            marked as overflow. Each takes up to 0.2 MB of memory and some 10 kB on disk.

    Raises:
        ConfigError: a setting outside its range.
    """

    by: str | None = None
    p: int = 12
    sample_words: int = 1 << 17
    sample_documents: int = 1 << 16
    top: int = 256
    max_sources: int = 256

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        limits = {
            "p": (4, 16),
            "sample_words": (1 << 10, 1 << 20),
            "sample_documents": (1 << 6, 1 << 18),
            "top": (_FEWEST_ITEMS, 1 << 14),
            "max_sources": (1, 1 << 14),
        }
        for setting, (least, most) in limits.items():
            value = getattr(self, setting)
            if not least <= value <= most:
                raise ConfigError(f"sketches: {setting} is {value}. Set it between {least} and {most}.")

    @property
    def name(self) -> str:
        """`sketches`, or `sketches.COLUMN`: grouping by another column adds a folder and changes none."""
        return "sketches" if self.by is None else f"sketches.{self.by}"

    @property
    def reads(self) -> tuple[str, ...]:
        """The text, and the source column."""
        return ("text",) if self.by is None else ("text", f"column:{self.by}")

    def start(self) -> SketchState:
        """An empty state, for one part."""
        return SketchState(self)


@dataclass
class SourceSketch:
    """What is known of one source.

    Attributes:
        size_bytes: UTF-8 text of all documents.
        growth: documents, n-grams and different n-grams.
        lengths: a histogram for each of `MEASURES`.
        frequent: a list for each of `LISTS`.
    """

    size_bytes: int
    growth: Growth
    lengths: dict[str, LogHistogram]
    frequent: dict[str, FrequentItems]

    @classmethod
    def empty(cls, p: int = 12) -> Self:
        """Of no documents."""
        from detectors.frequent import FrequentItems
        from detectors.growth import Growth
        from detectors.histograms import LogHistogram

        lengths = {name: LogHistogram() for name in MEASURES}
        return cls(0, Growth(p), lengths, {name: FrequentItems.empty() for name in LISTS})

    @property
    def documents(self) -> int:
        """Documents with a text."""
        return int(self.growth.documents.sum())

    def merge(self, other: Self) -> None:
        """Become the sketch of both; associative and commutative."""
        self.merge_all([other])

    def merge_all(self, others: Sequence[Self]) -> None:
        """Merge several at once, which is cheaper than one by one and gives the same."""
        for other in others:
            self.size_bytes += other.size_bytes
            self.growth.merge(other.growth)
            for name, histogram in self.lengths.items():
                histogram.merge(other.lengths[name])
        for name, found in self.frequent.items():
            self.frequent[name] = type(found).union([found, *(other.frequent[name] for other in others)])

    def to_columns(self) -> dict[str, int | bytes]:
        """The fields of `SCHEMA` from `documents` on."""
        return {
            "documents": self.documents,
            "words": self.growth.words,
            "bytes": self.size_bytes,
            "growth": self.growth.to_bytes(),
            **{f"histogram_{name}": histogram.to_bytes() for name, histogram in self.lengths.items()},
            **{f"frequent_{name}": found.to_bytes() for name, found in self.frequent.items()},
        }


@dataclass(frozen=True)
class SourceRow:
    """One row of a sketch table: source None stands for the shard, or, if `overflow`, for many sources."""

    source: str | None
    overflow: bool
    sketch: SourceSketch


class SketchState:
    """The sketches of one part while its documents pass by.

    Args:
        config: settings.
    """

    def __init__(self, config: Sketches) -> None:
        from detectors.growth import GrowthTable
        from detectors.histograms import BINS
        from detectors.samples import Sample, Stretch

        self._config = config
        self._indices: dict[str, int] = {}
        self._named = 0
        self._growth = GrowthTable(config.p, 1 if config.by is None else config.max_sources + 1)
        self._bytes: I64 = np.zeros(1, np.int64)
        self._lengths = np.zeros((1, len(MEASURES), BINS), np.int32)
        self._ngrams = Sample(Stretch.ALL, 1, config.sample_words)
        self._openings = Sample(Stretch.OPENING, _EDGE_WORDS, _EDGE_WORDS * config.sample_documents)
        self._endings = Sample(Stretch.ENDING, _EDGE_WORDS, _EDGE_WORDS * config.sample_documents)
        # Bytes, words, sentences and characters of a long document whose last piece has not come yet.
        self._open: I64 | None = None

    def update(self, documents: Documents, sources: pa.Array | None = None, *, ends: Bools | None = None) -> None:
        """Take in a batch. Rows without a text (null) count nowhere.

        Args:
            documents: the batch; its shared `words` are used.
            sources: string[n], source of each row, null being a source of its own; None puts all into one.
            ends: bool[n], False on a piece of a long document that is not its last; the next row, in this batch or the
                next, goes on with it. None: every row is a document. Lengths, openings and endings are then those of
                documents; n-grams that stretch over two pieces are not counted, and pieces are sampled each by itself.
        """
        from detectors.growth import LEVELS, document_hashes, trailing_levels

        if not len(documents):
            return
        words, valid = documents.words, documents.valid
        codes = self._codes(sources, valid)
        whole = np.ones(len(documents), np.bool_) if ends is None else np.asarray(ends, np.bool_)
        firsts = np.concatenate([[self._open is None], whole[:-1]])
        levels = trailing_levels(document_hashes(words))
        self._growth.update(words, codes, np.minimum(levels, LEVELS - 1), valid & whole)
        sizes = np.diff(documents.offsets)
        np.add.at(self._bytes, codes, sizes)
        self._measure(documents, sizes, codes, valid, whole)
        self._ngrams.update(words, documents.data, codes, levels, valid)
        self._openings.update(words, documents.data, codes, levels, valid & firsts)
        self._endings.update(words, documents.data, codes, levels, valid & whole)

    def rows(self) -> Iterator[SourceRow]:
        """The sources that have documents, in the order in which they came."""
        from detectors.frequent import count_items
        from detectors.histograms import LogHistogram

        config, n = self._config, len(self._bytes)
        apart = max(self._named, 1)
        most = min(config.top, max(_FEWEST_ITEMS, 4 * config.top // apart))
        lists = {
            "ngrams_3": count_items(self._ngrams, 3, n, most),
            "ngrams_5": count_items(self._ngrams, 5, n, most),
            "openings": count_items(self._openings, _EDGE_WORDS, n, most),
            "endings": count_items(self._endings, _EDGE_WORDS, n, most),
        }
        names = {index: name for name, index in self._indices.items() if index < config.max_sources}
        for index in range(n):
            growth = self._growth.source(index)
            if growth.documents.any():
                lengths = {name: LogHistogram(self._lengths[index, i]) for i, name in enumerate(MEASURES)}
                frequent = {name: found[index] for name, found in lists.items()}
                sketch = SourceSketch(int(self._bytes[index]), growth, lengths, frequent)
                yield SourceRow(names.get(index), index == config.max_sources, sketch)

    def table(self) -> pa.Table:
        """`SCHEMA`, one row a source."""
        rows = [{"source": row.source, "overflow": row.overflow, **row.sketch.to_columns()} for row in self.rows()]
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _codes(self, sources: pa.Array | None, valid: Bools) -> I64:
        """int64[n]: the number of each row's source; the sources beyond the last number that is given out share one."""
        if sources is None:
            return np.zeros(len(valid), np.int64)
        encoded = sources.fill_null("(null)").dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        # Only rows that count may name a source, in the order of the rows.
        seen = np.zeros(len(encoded.dictionary), np.bool_)
        seen[codes[valid]] = True
        names = encoded.dictionary.to_pylist()
        numbers = np.array(
            [self._number(name) if used else 0 for name, used in zip(names, seen, strict=True)], np.int64
        )
        self._make_room(int(numbers.max(initial=0)) + 1)
        found: I64 = numbers[codes]
        return found

    def _number(self, name: str) -> int:
        index = self._indices.get(name)
        if index is not None:
            return index
        if self._named == self._config.max_sources:
            return self._config.max_sources
        index = self._indices[name] = self._named
        self._named += 1
        return index

    def _make_room(self, sources: int) -> None:
        have = len(self._bytes)
        if sources > have:
            extra = max(sources, min(2 * have, self._config.max_sources)) - have
            self._bytes = np.concatenate([self._bytes, np.zeros(extra, np.int64)])
            more = np.zeros((extra, *self._lengths.shape[1:]), np.int32)
            self._lengths = np.concatenate([self._lengths, more])

    def _measure(self, documents: Documents, sizes: I64, codes: I64, valid: Bools, whole: Bools) -> None:
        """Put each document that ends in this batch into the histograms of its source."""
        from detectors.histograms import BINS, bins_of, sentences_and_characters

        sums = np.concatenate([[sizes, documents.words.counts], sentences_and_characters(documents.words)])
        ends = np.flatnonzero(whole)
        if len(ends) < len(whole) or self._open is not None:
            if self._open is not None:
                sums[:, 0] += self._open
            after = int(ends[-1]) + 1 if len(ends) else 0
            self._open = sums[:, after:].sum(axis=1) if after < len(whole) else None
            firsts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
            sums = np.add.reduceat(sums[:, :after], firsts, axis=1) if len(ends) else sums[:, :0]
        counted = valid[ends]
        n_bytes, n_words, n_sentences, n_letters = (values[counted].astype(np.float64) for values in sums)
        owners = codes[ends][counted]
        some = n_words > 0
        flat = self._lengths.reshape(-1)
        for i, (values, rows) in enumerate(
            (
                (n_bytes, owners),
                (n_words, owners),
                (n_words[some] / np.maximum(n_sentences[some], 1), owners[some]),
                (n_letters[some] / n_words[some], owners[some]),
            )
        ):
            np.add.at(flat, (rows * len(MEASURES) + i) * BINS + bins_of(values), 1)


def rows_of(table: pa.Table) -> list[SourceRow]:
    """The sketches in a table of `SCHEMA`.

    Raises:
        FindingsError: it is of another version, or damaged.
    """
    from detectors.frequent import FrequentItems
    from detectors.growth import Growth
    from detectors.histograms import LogHistogram

    version = (table.schema.metadata or {}).get(b"foxing_sketches", b"?").decode("ascii", "replace")
    if version != str(TABLE_VERSION) or not set(SCHEMA.names) <= set(table.schema.names):
        raise FindingsError(f"sketches of version {version}, this foxing reads {TABLE_VERSION}. Scan with --fresh.")

    def sketch(row: Mapping[str, bytes], n_bytes: int) -> SourceSketch:
        lengths = {name: LogHistogram.from_bytes(row[f"histogram_{name}"]) for name in MEASURES}
        frequent = {name: FrequentItems.from_bytes(row[f"frequent_{name}"]) for name in LISTS}
        return SourceSketch(n_bytes, Growth.from_bytes(row["growth"]), lengths, frequent)

    empty = [name for name in SCHEMA.names if name != "source" and table.column(name).null_count]
    if empty:
        raise FindingsError(f"sketches are damaged (no {empty[0]}). Scan with --fresh.")
    try:
        rows = table.to_pylist()
    except UnicodeDecodeError as error:
        raise FindingsError(f"sketches are damaged ({error}). Scan with --fresh.") from error
    return [SourceRow(row["source"], row["overflow"], sketch(row, row["bytes"])) for row in rows]
