"""How much of a document stands in a benchmark, word for word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.protocols import Device, Measure

__all__ = ["Leakage"]

_LEAST_N, _MOST_N = 8, 1000


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Leakage:
    """Word n-grams that a document shares with the items of an index, each verified word by word.

    13 words as in Brown et al. 2020 (arXiv:2005.14165, appendix C) unless the index says otherwise for a benchmark, or
    `n` for all. A run of words that a document shares with an item counts when it has n words and holds an 8-gram that
    is neither a stop-gram of the index nor the form of many items (`detectors.gram_table`) nor said eight times before
    in the item. Every such run is found, and none is counted by its hash alone (`detectors.overlap`). An item of 8 to
    n - 1 words counts where the document has all of it; shorter items are never found. `overlap` is the share of tokens
    as in Dubey et al. 2024 (Llama 3, arXiv:2407.21783, section 5.1.4), tokens being words.

    Counts are 0 in documents that share nothing; `item`, `benchmark`, `start` and `end` are null there.

    A document measured in pieces has the sums over its pieces. Of each piece only its best item is known, so
    `item` is the best of these, and what an n-gram across a cut would add is missing: all fields are lower bounds.

    Args:
        index: path of a file that `foxing index-benchmarks` wrote.
        n: words of an n-gram, 8 to 1000, in place of what the index says of each benchmark.
        index_digest: of the index. `pinned` fills it in, so that what is recorded with findings says which items
            were searched for, and not only where they lay.
        clean_when: the condition whose false flags the index knows, filled in by `pinned`; empty where it knows none,
            or knows them for another n.
        clean_documents: clean documents on which that was measured, filled in by `pinned`.
        clean_flagged: of them flagged, filled in by `pinned`.

    Raises:
        ConfigError: `n` outside its range.
    """

    index: str = field(default="", metadata={"location": True})
    n: int | None = None
    index_digest: str = ""
    clean_when: str = ""
    clean_documents: int = 0
    clean_flagged: int = 0

    name: ClassVar[str] = "leakage"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("overlap", pa.float32(), "Share of the document's words that lie in a shared n-gram; 0 to 1."),
            _field("words", pa.int32(), "Words of the document."),
            _field("covered", pa.int32(), "Words of the document that lie in a shared n-gram."),
            _field("hits", pa.int32(), "Positions of the document where a shared n-gram begins."),
            _field("item", pa.string(), "Item with most words in shared n-grams; of these the shortest, the first."),
            _field("benchmark", pa.string(), "Benchmark of that item."),
            _field("item_covered", pa.int32(), "Words of that item that lie in a shared n-gram."),
            _field("item_share", pa.float32(), "Share of that item's words that lie in a shared n-gram; 0 to 1."),
            _field(
                "answer_near",
                pa.bool_(),
                "Whether the item's answer stands within 50 words of the passage; null where none of its question is "
                "shared or its answer is not known.",
            ),
            _field("start", pa.int64(), "First byte, in the text, of the longest passage shared with that item."),
            _field("end", pa.int64(), "The byte after its last."),
        ]
    )

    def __post_init__(self) -> None:
        if self.n is not None and not _LEAST_N <= self.n <= _MOST_N:
            raise ConfigError(f"leakage: n is {self.n}. Set it to a number from {_LEAST_N} to {_MOST_N}.")

    def pinned(self) -> Leakage:
        """The same settings with the digest of the index that lies at `index` now. To be done before a scan.

        Raises:
            SignalError: no index is named, it cannot be read, or it is not the one that `index_digest` says.
        """
        from detectors.benchmark_index import header

        known = header(self._file())
        self._check(known.digest)
        flags = known.false_flags
        if flags is None or (self.n is not None and set(known.n.values()) != {self.n}):
            return replace(self, index_digest=known.digest, clean_when="", clean_documents=0, clean_flagged=0)
        return replace(
            self,
            index_digest=known.digest,
            clean_when=flags.when,
            clean_documents=flags.documents,
            clean_flagged=flags.flagged,
        )

    def load(self, device: Device) -> Measure:
        """Read and lay out the index. Runs on the CPU whatever the device.

        Raises:
            SignalError: as `pinned`; besides, `index_digest` is not set.
        """
        from detectors.answer_near import answers_near
        from detectors.benchmark_index import BenchmarkIndex
        from detectors.overlap_layout import lay_out

        if self.index and not self.index_digest:
            raise SignalError(f"leakage: index_digest of {self.index} is not set. Use pinned() before load().")
        index = BenchmarkIndex.from_bytes(self._file())
        self._check(index.digest)
        finder = lay_out(
            index.words,
            index.offsets,
            index.n_words if self.n is None else self.n,
            stopped=index.stops,
            asking=index.question_words,
        )
        sizes = np.diff(index.offsets)

        def measure(documents: Documents) -> pa.RecordBatch:
            words = documents.words
            found = finder.find(words)
            none = found.item < 0
            items = pa.array(found.item, mask=none)
            item_words = np.maximum(sizes[np.where(none, 0, found.item)], 1) if len(sizes) else 1
            near = answers_near(words, index.words, index.offsets, index.answer_words, found)
            start, end = np.zeros((2, len(documents)), np.int64)
            some = np.flatnonzero(~none)
            start[some] = words.start[found.passage[some]] - documents.offsets[some]
            end[some] = words.end[found.passage[some] + found.passage_words[some] - 1] - documents.offsets[some]
            columns = [
                (found.covered / np.maximum(words.counts, 1)).astype(np.float32),
                words.counts.astype(np.int32),
                found.covered,
                found.hits,
                pc.take(index.ids, items),
                pc.take(index.benchmarks, items),
                found.item_covered,
                (found.item_covered / item_words).astype(np.float32),
                pa.array(near == 1, mask=near > 1),
                pa.array(start, mask=none),
                pa.array(end, mask=none),
            ]
            return pa.record_batch(columns, schema=self.schema)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """One finding for a document measured in pieces; see the class."""
        rows = pieces.to_pylist()
        words, covered = sum(row["words"] for row in rows), sum(row["covered"] for row in rows)
        combined = {
            "overlap": covered / max(words, 1),
            "words": words,
            "covered": covered,
            "hits": sum(row["hits"] for row in rows),
            "item_covered": 0,
            "item_share": 0.0,
        }
        return pa.RecordBatch.from_pylist([combined | _best_item(rows, starts)], schema=self.schema)

    def _file(self) -> pa.Buffer:
        if not self.index:
            raise SignalError(
                "leakage: no index is set. Make one with foxing index-benchmarks, and pass --benchmarks or set index."
            )
        if not Path(self.index).is_file():
            raise SignalError(f"leakage: no file {self.index}. Set index to the path of a benchmark index.")
        with pa.memory_map(self.index) as source:
            return source.read_buffer()

    def _check(self, digest: str) -> None:
        if self.index_digest not in ("", digest):
            raise SignalError(
                f"leakage: {self.index} has digest {digest[:12]}, not {self.index_digest[:12]}. "
                "Scan with the index that was meant, or leave index_digest out."
            )


def _best_item(rows: list[dict[str, Any]], starts: Sequence[int]) -> dict[str, Any]:
    """The fields about an item, summed over the pieces of which it is the best; none where nothing is shared."""
    by_item: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row["item"] is not None:
            by_item[row["benchmark"], row["item"]].append(i)
    ranked = []
    for name, places in by_item.items():
        size = round(rows[places[0]]["item_covered"] / rows[places[0]]["item_share"])
        ranked.append((-min(size, sum(rows[i]["item_covered"] for i in places)), size, name))
    if not ranked:
        return {}
    less_covered, size, name = min(ranked)
    longest = max(by_item[name], key=lambda i: rows[i]["end"] - rows[i]["start"])
    return {
        "item": name[1],
        "benchmark": name[0],
        "item_covered": -less_covered,
        "item_share": -less_covered / size,
        "answer_near": _any(rows[i]["answer_near"] for i in by_item[name]),
        "start": starts[longest] + rows[longest]["start"],
        "end": starts[longest] + rows[longest]["end"],
    }


def _any(known: Iterable[bool | None]) -> bool | None:
    """Whether any is true; None where none is known."""
    values = [value for value in known if value is not None]
    return any(values) if values else None
