"""Rows of a corpus that answer the same question differently: found in the findings of `falsity`, text is not read.

Two answers agree where the words of one are all among those of the other and neither denies what the other says
(`Paris`, `in Paris`), and where a row that gives several answers agrees with both. Rows linked by agreement are of one
mind; a row contradicts all rows of the question that are of another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.findings_folder import Findings
from audit.parts import part_path
from audit.stages import Rows
from detectors.errors import ConfigError, FindingsError

__all__ = ["Contradictions"]

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
_SIGNAL = "falsity"
_NEGATIONS = "no not never none cannot cant dont doesnt didnt isnt wasnt wont"


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Contradictions:
    """How contradictions are found, `[tool.foxing.stage.contradictions]`, and what is said of each row.

    Fields are null where a row has no question, or no answer of at most 8 words; and for a question that has more than
    `most_answers` different answers, which has no one answer (`Which colour is nice?`).

    Memory: 10 bytes a row, and the answers of the questions that several rows have.

    Attributes:
        most_answers: most different answers of a question that is compared, 2 or more.
    """

    most_answers: int = 32

    name: ClassVar[str] = "contradictions"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = (_SIGNAL,)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("rows", pa.int64(), "Rows with the same question, this one among them."),
            _field("others", pa.int64(), "Of these, rows with another answer."),
            _field("share", pa.float32(), "Share of the question's other rows that answer otherwise, 0 to 1."),
            _field("other_shard", pa.string(), "Shard of the first row that answers otherwise; null where none does."),
            _field("other_row", pa.int64(), "Its position there; null where none does."),
        ]
    )

    def __post_init__(self) -> None:
        if self.most_answers < 2:
            raise ConfigError(f"most_answers = {self.most_answers} leaves nothing to compare. Set it to 32, say.")

    def depends(self, findings: Findings) -> list[object]:
        """What the result depends on besides the settings: what was measured, how, and of which rows."""
        hashes = [signal.config_hash for signal in findings.measured if signal.name == _SIGNAL]
        return [*hashes, findings.corpus, [shard.key for shard in findings.shards]]

    def prepare(self, findings: Findings, work: Path, advance: Callable[[int], None]) -> Rows:
        """Compare all rows of each question that several rows have. Nothing is written to `work`."""
        measured, known = (np.zeros(findings.rows, np.bool_) for _ in range(2))
        keys = np.zeros(findings.rows, np.uint64)
        at = 0
        for found in _parts(findings):
            span = slice(at, at + len(found))
            questions, answers = found.field("question"), found.field("answers")
            measured[span] = np.asarray(found.is_valid())
            known[span] = measured[span] & np.asarray(questions.is_valid()) & np.asarray(answers.is_valid())
            keys[span] = _numbers(questions)
            at += len(found)
            advance(len(found))
        return _Table(findings, measured, known, self._compared(findings, keys, known)).rows

    def _compared(self, findings: Findings, keys: U64, known: npt.NDArray[np.bool_]) -> _Compared:
        unique, counts = np.unique(keys[known], return_counts=True)
        at = np.flatnonzero(known & np.isin(keys, unique[counts > 1]))
        answers = _answers(findings, at)
        rows, others = np.zeros((2, len(at)), np.int64)
        example = np.full(len(at), -1, np.int64)
        order = np.argsort(keys[at], kind="stable")
        starts = np.flatnonzero(np.diff(keys[at][order])) + 1
        negations = _hashes_of(_NEGATIONS)
        for members in np.split(order, starts) if len(at) else ():
            minds = _minds([answers[place] for place in members.tolist()], self.most_answers, negations)
            if minds is None:
                rows[members] = -1
                continue
            rows[members] = len(members)
            others[members] = len(members) - np.bincount(minds)[minds]
            for mind in range(int(minds.max()) + 1) if minds.any() else ():
                example[members[minds == mind]] = at[members[np.argmax(minds != mind)]]
        return _Compared(at, rows, others, example)


@dataclass(frozen=True)
class _Compared:
    """Rows whose question stands in several, ascending.

    Attributes:
        at: int64, their positions in the corpus.
        rows: int64, rows of the question; -1 where it has too many answers.
        others: int64, of these, rows with another answer.
        example: int64, position of the first of those; -1 where there is none.
    """

    at: I64
    rows: I64
    others: I64
    example: I64


@dataclass(frozen=True)
class _Table:
    """What was found, as batches of `Contradictions.schema`."""

    findings: Findings
    measured: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    compared: _Compared

    def rows(self, start: int, stop: int) -> tuple[pa.RecordBatch, pa.BooleanArray]:
        """Rows `start` to `stop` of the corpus, and whether the signal was measured there."""
        found = self.compared
        span = slice(*np.searchsorted(found.at, [start, stop]).tolist())
        rows, others = np.ones(stop - start, np.int64), np.zeros(stop - start, np.int64)
        example = np.full(stop - start, -1, np.int64)
        for column, values in ((rows, found.rows), (others, found.others), (example, found.example)):
            column[found.at[span] - start] = values[span]
        silent = ~self.known[start:stop] | (rows < 0)
        edges = np.cumsum([0, *(shard.rows for shard in self.findings.shards)])
        # Shards without rows share an edge with the next: `side="right"` takes the one that has the row.
        owner = np.searchsorted(edges, np.maximum(example, 0), side="right") - 1
        names = pa.array([shard.key for shard in self.findings.shards], pa.string())
        none = example < 0
        columns = [
            pa.array(rows, mask=silent),
            pa.array(others, mask=silent),
            pa.array((others / np.maximum(rows - 1, 1)).astype(np.float32), mask=silent),
            pc.if_else(pa.array(none), pa.scalar(None, pa.string()), names.take(pa.array(owner))),
            pa.array(example - edges[owner], mask=none),
        ]
        return pa.record_batch(columns, schema=Contradictions.schema), pa.array(self.measured[start:stop])


def _parts(findings: Findings) -> Iterator[pa.StructArray]:
    """Questions and answers, row group by row group in corpus order."""
    for shard in findings.shards:
        for first_row in shard.parts:
            path = part_path(findings.directory, _SIGNAL, shard.key, first_row)
            try:
                with pq.ParquetFile(path, memory_map=False) as file:
                    for group in range(file.metadata.num_row_groups):
                        table = file.read_row_group(group, columns=[f"{_SIGNAL}.question", f"{_SIGNAL}.answers"])
                        yield table.column(_SIGNAL).combine_chunks()
            except (OSError, pa.ArrowException) as error:
                raise FindingsError(
                    f"{path}: is missing or torn. Run foxing scan again: it makes what is missing."
                ) from error


def _numbers(questions: pa.Array) -> U64:
    if not len(questions):
        return np.zeros(0, np.uint64)
    filled = pc.fill_null(questions, bytes(8))
    return np.frombuffer(filled.buffers()[1], "<u8", count=len(filled), offset=8 * filled.offset).astype(np.uint64)


def _answers(findings: Findings, at: I64) -> list[bytes]:
    """The answers of some rows, by ascending position."""
    found: list[bytes] = []
    start = 0
    for part in _parts(findings):
        begin, end = np.searchsorted(at, [start, start + len(part)])
        found += part.field("answers").take(pa.array(at[begin:end] - start)).to_pylist()
        start += len(part)
    return found


def _minds(answers: Sequence[bytes], most: int, negations: frozenset[int]) -> I64 | None:
    """A number for each row, the same for rows linked by agreement; None where there are too many answers."""
    distinct = {packed: at for at, packed in enumerate(dict.fromkeys(answers))}
    if len(distinct) > most:
        return None
    parts = [_unpacked(packed) for packed in distinct]
    mind = list(range(len(parts)))
    for one, other in itertools.combinations(range(len(parts)), 2):
        if mind[one] != mind[other] and _agree(parts[one], parts[other], negations):
            mind = [mind[one] if each == mind[other] else each for each in mind]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(mind))}
    return np.array([numbers[mind[distinct[packed]]] for packed in answers], np.int64)


def _unpacked(packed: bytes) -> list[frozenset[int]]:
    """The word hashes of each answer of a row."""
    words = np.frombuffer(packed, "<u4")
    ends = np.flatnonzero(words == 0)
    return [frozenset(part[part != 0].tolist()) for part in np.split(words, ends[:-1] + 1)]


def _agree(ours: list[frozenset[int]], theirs: list[frozenset[int]], negations: frozenset[int]) -> bool:
    return any(
        (one <= other or other <= one) and bool(one & negations) == bool(other & negations)
        for one in ours
        for other in theirs
    )


def _hashes_of(words: str) -> frozenset[int]:
    """As `falsity` stores them."""
    from detectors.falsity import short_hashes

    return frozenset(short_hashes(pa.array([words], pa.large_string()))[0].tolist())
