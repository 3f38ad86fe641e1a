"""What clean text teaches an index: which phrases anybody writes, and how often a rule flags text without the items.

Clean text is text that cannot hold the benchmark: older than it, or looked through. A document belongs to one half or
the other by a hash of its text and the seed, whatever its order and its file, so that copies of one text are on one
side. Stop-grams are learned on one half, and false flags are counted on the other: a rate measured on the
documents that it was tuned on would say nothing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.corpus import Corpus, Shard
from audit.evaluate import measure_blocks
from audit.layout import find_layout
from audit.rules import applicable, evaluate
from detectors.benchmark_index import BenchmarkIndex, FalseFlags
from detectors.documents import Documents
from detectors.errors import ConfigError, InputError
from detectors.pieces import blocks, cuts_of, pieces
from detectors.protocols import Device
from detectors.stop_grams import StopGrams

if TYPE_CHECKING:
    from audit.rules import Rule
    from detectors.leakage import Leakage

__all__ = ["CleanText", "Learned", "Measured", "Sighting", "learn_stops", "measure_flags"]

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_YEAR = r"^\d{4}"
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TOP = np.uint64(63)


@dataclass(frozen=True)
class CleanText:
    """A corpus without the benchmark, in two halves.

    Attributes:
        corpus: its files.
        seed: of the halves.
        text: text column; None finds one by convention.
        time: column of dates, ISO 8601 or a year first; None where `before` is.
        before: of the rows take those with an earlier date, in the same form; None takes all.

    Raises:
        ConfigError: `before` without `time` or the other way round, or no date.
    """

    corpus: Corpus
    seed: int = 17
    text: str | None = None
    time: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        if (self.time is None) != (self.before is None):
            raise ConfigError(
                "clean text: a column of dates and a date go together. Give --clean-time and --clean-before."
            )
        if self.before is not None and not _DATE.fullmatch(self.before):
            raise ConfigError(f"clean text: {self.before!r} is not a date. Write, for example, 2019 or 2019-06-30.")

    def half(
        self, which: int, on_progress: Callable[[int], None] | None = None
    ) -> Iterator[tuple[Shard, npt.NDArray[np.int64], Documents]]:
        """Documents of half 0 or 1 in corpus order, batch by batch: the shard, the row of each, and their text.

        Args:
            which: half.
            on_progress: called with the bytes of each shard that is done.
        """
        for shard in self.corpus.shards:
            layout = find_layout(shard.reader.names(), shard.uri, text=self.text)
            columns = sorted({*layout.columns, *([] if self.time is None else [self.time])})
            row = 0
            for batch in shard.batches(columns):
                documents = Documents(layout.documents(batch, shard.uri).select(["text"]))
                chosen = documents.valid & (self._halves(documents) == which) & self._is_old(batch)
                yield shard, row + np.flatnonzero(chosen), Documents(documents.batch.filter(chosen))
                row += batch.num_rows
            if on_progress is not None:
                on_progress(shard.size_bytes)

    def _is_old(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        if self.time is None or self.before is None:
            return np.ones(batch.num_rows, np.bool_)
        # Dates of this form are in order as text; a row without one may be of any age.
        dates = pc.cast(batch.column(self.time), pa.large_string())
        earlier = pc.less(dates, pa.scalar(self.before, pa.large_string()))
        return np.asarray(pc.fill_null(pc.and_(earlier, pc.match_substring_regex(dates, _YEAR)), False))

    def _halves(self, documents: Documents) -> npt.NDArray[np.uint64]:
        from detectors.content_hash import content_hashes

        hashes = content_hashes(documents.data, documents.offsets)
        mixed: npt.NDArray[np.uint64] = ((hashes ^ np.uint64(self.seed)) * _MIX) >> _TOP
        return mixed


@dataclass(frozen=True)
class Sighting:
    """An item that stands, in good part, in a document of clean text."""

    benchmark: str
    item: str
    uri: str
    row: int


@dataclass(frozen=True)
class Learned:
    """What one half taught.

    Attributes:
        index: with stop-grams.
        documents: that they were learned from.
        sightings: items of which more than half stands in one of them (in a piece of it, where it is long); none of
            their 8-grams is a stop-gram.
    """

    index: BenchmarkIndex
    documents: int
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True)
class Measured:
    """What was measured on the other half.

    Attributes:
        index: with its false flags.
        sightings: the item of each document that was flagged.
    """

    index: BenchmarkIndex
    sightings: tuple[Sighting, ...]


def learn_stops(index: BenchmarkIndex, clean: CleanText, on_progress: Callable[[int], None] | None = None) -> Learned:
    """Learn stop-grams on the first half.

    Raises:
        InputError: there is no document in it.
        ShardError: a file cannot be read.
    """
    learner = StopGrams(index.words, index.offsets)
    documents = 0
    found: dict[Sighting, None] = {}
    for shard, rows, batch in clean.half(0, on_progress):
        documents += len(rows)
        for at, document in _held(learner, batch):
            found[Sighting(*_named(index, document), shard.uri, int(rows[at]))] = None
    if not documents:
        raise InputError(f"clean text: no document in its first half ({_files(clean)}). Name more of it.")
    return Learned(index.with_stops(learner.stopped), documents, tuple(found))


def _held(learner: StopGrams, batch: Documents) -> Iterator[tuple[int, int]]:
    """Row of the batch and item, wherever a document holds more than half of one."""
    first = 0
    for block in blocks(batch):
        if block.is_long:
            for _, parts in pieces(block.documents, cuts_of(block.documents)):
                yield from ((first, item) for _, item in learner.update(parts.words))
        else:
            yield from ((first + at, item) for at, item in learner.update(block.documents.words))
        first += len(block.documents)


def measure_flags(
    index: BenchmarkIndex, clean: CleanText, rule: Rule, on_progress: Callable[[int], None] | None = None
) -> Measured:
    """Count the documents of the second half that a rule flags, as a scan would.

    A document counts for the benchmark of the item that it shares most words with.

    Raises:
        ConfigError: the rule looks at other things than leakage.
        InputError: there is no document in it.
        ShardError: a file cannot be read.
    """
    documents = flagged = 0
    by_benchmark = dict.fromkeys(index.n, 0)
    sightings: list[Sighting] = []
    with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
        signal = _signal(index, Path(folder))
        for shard, rows, batch in clean.half(1, on_progress):
            documents += len(rows)
            for at, benchmark, item in _flagged(signal, batch, rule):
                flagged += 1
                if benchmark is not None and item is not None:
                    by_benchmark[benchmark] += 1
                    sightings.append(Sighting(benchmark, item, shard.uri, int(rows[at])))
    if not documents:
        raise InputError(f"clean text: no document in its second half ({_files(clean)}). Name more of it.")
    total = FalseFlags(rule.when, documents, flagged, by_benchmark)
    return Measured(index.with_false_flags(total), tuple(sightings))


def _signal(index: BenchmarkIndex, folder: Path) -> Leakage:
    from detectors.leakage import Leakage

    path = folder / "index"
    path.write_bytes(index.to_bytes())
    return Leakage(str(path)).pinned()


def _flagged(signal: Leakage, batch: Documents, rule: Rule) -> Iterator[tuple[int, str | None, str | None]]:
    """Row of the batch, benchmark and item of every document that is flagged."""
    import polars as pl

    first = 0
    for measured in measure_blocks([signal], batch, Device.CPU):
        frame = pl.DataFrame({signal.name: pl.from_arrow(measured.found.to_struct_array())})
        if not applicable(rule, frame.schema):
            raise ConfigError(
                f"rule {rule.id}: {rule.when} looks at more than {signal.name}, so its false flags cannot be measured "
                "on text alone. Give it a condition over leakage."
            )
        hits = evaluate(frame, [rule])[rule.id].fill_null(value=False)
        for at in hits.arg_true():
            row = frame[signal.name][at]
            yield first + at, row["benchmark"], row["item"]
        first += frame.height


def _named(index: BenchmarkIndex, item: int) -> tuple[str, str]:
    return index.benchmarks[item].as_py(), index.ids[item].as_py()


def _files(clean: CleanText) -> str:
    names: Sequence[str] = [shard.uri for shard in clean.corpus.shards]
    return names[0] + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")
