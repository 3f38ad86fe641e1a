"""Whether a row's answer contradicts a reference, and what a corpus needs to find rows that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detectors.answer_match import Told, likeness, told
from detectors.answer_reference import AnswerReference, Entries, file_digest, statement_keys, subject_keys
from detectors.answers import normalised_questions, text_keys, word_keys
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.prompts import SHORT_BYTES, Rows, asked
from detectors.protocols import Device, Measure

__all__ = ["ANSWER_WORDS", "Falsity", "short_hashes"]

U64 = npt.NDArray[np.uint64]
ANSWER_WORDS = 8
"""Longer answers are prose: two of them may differ and both be right."""
_REQUESTS = (
    r"^(?:please |can you |could you |would you )*(?:write|make|construct|give|name|generate|create|compose|suggest|"
    r"list|invent|draw|imagine|think|come up|tell|choose|pick|design|propose|recommend|describe|rewrite|paraphrase|"
    r"provide)\b"
)
"""What asks for a thing of one's own making has no one answer."""
_JUDGED_WORDS = 40
"""An answer of more words that holds no accepted one may still say it in other words."""
_MOST_ANSWERS = 16
_PREFIX_WORDS = 3
_EVIDENCE_BYTES = 1000
_MEMO = 1 << 16


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Falsity:
    """How far a row's answer is from every accepted answer to its question.

    Question-answer, instruction-output and chat rows of one turn have a question, which is all that comes before the
    answer; where the reference has not got that, its last paragraph is tried (what comes before it is an instruction).
    A row of plain text, and an answer that is a sentence, is looked up as a statement, and where it begins with a
    question of the reference that is a sentence to complete, what follows is its answer. With `subject` and `relation`
    rows are found by these columns. A row that is not found has nulls: it is neither true nor false.

    `score` is 0 where the answer is surely an accepted one (`detectors.answer_match`: several may be right, and one
    agreement is enough), else 1 minus the share of telling words in common with the most similar; 1 where it is a
    wrong answer that the reference knows. It is null where the answer has more than 40 words and holds no accepted
    one. `question` and `answers` are what `audit.contradictions` compares: null for plain text, and `answers` for
    answers of more than 8 words and for what is asked of the imagination (`Write ...`, `Name a ...`; English only).

    Args:
        reference: path of a Parquet or JSONL file (see `detectors.answer_reference`); empty for none.
        reference_digest: SHA-256 of that file. `pinned` fills it in.
        subject: column with the subject of each row's fact; empty for none.
        relation: column with its relation.

    Raises:
        ConfigError: one of `subject` and `relation` without the other.
    """

    reference: str = field(default="", metadata={"location": True})
    reference_digest: str = ""
    subject: str = ""
    relation: str = ""

    name: ClassVar[str] = "falsity"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("score", pa.float32(), "0: surely an accepted answer; 1: nothing like one, or a known wrong one."),
            _field("match", pa.string(), "How it compares: accepted, similar, different or known_false."),
            _field("reference", pa.string(), "Id of the row of the reference that it was compared with."),
            _field("expected", pa.string(), "The first accepted answer there; null over 1,000 bytes."),
            _field("question", pa.binary(8), "Key of the question."),
            _field("answers", pa.binary(), "32-bit hashes of the words of each answer, each answer ended by a zero."),
        ]
    )

    def __post_init__(self) -> None:
        if bool(self.subject) != bool(self.relation):
            raise ConfigError("falsity: subject and relation are columns that belong together. Set both, or none.")

    @property
    def reads(self) -> tuple[str, ...]:
        """Text, response, and the columns of subject and relation where they are set."""
        columns = [f"column:{name}" for name in (self.subject, self.relation) if name]
        return ("text", "response", *columns)

    def pinned(self) -> Falsity:
        """The same settings with the digest of the reference as it is now. To be done before a scan.

        Raises:
            SignalError: it cannot be read, or is not the one that `reference_digest` says.
        """
        if not self.reference:
            return self
        digest = file_digest(self.reference)
        self._check(digest)
        return replace(self, reference_digest=digest)

    def load(self, device: Device) -> Measure:
        """Read and lay out the reference. Runs on the CPU whatever the device.

        Raises:
            SignalError: as `pinned`; besides, `reference_digest` is not set.
        """
        judge = None
        if self.reference:
            if not self.reference_digest:
                raise SignalError(
                    f"falsity: reference_digest of {self.reference} is not set. Use pinned() before load()."
                )
            self._check(file_digest(self.reference))
            judge = _Judge(AnswerReference.read(self.reference))

        def measure(documents: Documents) -> pa.RecordBatch:
            rows = asked(documents)
            found = _Found(len(documents))
            questions = normalised_questions(rows.questions)
            keys, some = text_keys(questions)
            if judge is not None:
                if self.subject:
                    judge.by_subject(found, documents, rows, (self.subject, self.relation))
                judge.by_question(found, rows, keys, some)
                judge.by_statement(found, rows)
            columns = [*found.columns(), _binary_keys(keys, some), _packed(rows, some & ~_requested(questions))]
            return pa.record_batch(columns, schema=self.schema)

        return measure

    def _check(self, digest: str) -> None:
        if self.reference_digest not in ("", digest):
            raise SignalError(
                f"falsity: {self.reference} has digest {digest[:12]}, not {self.reference_digest[:12]}. "
                "Scan with the reference that was meant, or leave reference_digest out."
            )


class _Found:
    """Verdicts of one batch, filled in row by row where the reference has something to say."""

    def __init__(self, rows: int) -> None:
        self.score = np.full(rows, np.nan, np.float32)
        self.joined = np.zeros(rows, np.bool_)
        self.match: list[str | None] = [None] * rows
        self.reference: list[str | None] = [None] * rows
        self.expected: list[str | None] = [None] * rows

    def put(self, row: int, verdict: tuple[float, str] | None, entries: Entries) -> None:
        self.joined[row] = True
        self.reference[row] = entries.reference
        expected = entries.expected
        self.expected[row] = expected if expected and len(expected.encode()) <= _EVIDENCE_BYTES else None
        if verdict is not None:
            self.score[row], self.match[row] = verdict

    def columns(self) -> list[pa.Array]:
        return [
            pa.array(self.score, mask=np.isnan(self.score)),
            pa.array(self.match, pa.string()),
            pa.array(self.reference, pa.string()),
            pa.array(self.expected, pa.string()),
        ]


class _Judge:
    """Compares answers with those of the reference."""

    def __init__(self, reference: AnswerReference) -> None:
        self._reference = reference
        self.entries = lru_cache(maxsize=_MEMO)(reference.entries)
        self._verdict = lru_cache(maxsize=_MEMO)(self._compared)

    def by_question(self, found: _Found, rows: Rows, keys: U64, some: npt.NDArray[np.bool_]) -> None:
        """Rows whose question, or its last paragraph, is in the reference."""
        at = np.where(some, self._reference.find(keys), -1)
        several = np.asarray(pc.fill_null(pc.match_substring(rows.questions, "\n\n"), False))
        missed = np.flatnonzero(some & several & (at < 0) & ~found.joined)
        if len(missed):
            own, filled = text_keys(normalised_questions(rows.last_paragraphs(missed)))
            at[missed] = np.where(filled, self._reference.find(own), -1)
        self._put(found, rows, at)

    def by_subject(self, found: _Found, documents: Documents, rows: Rows, names: tuple[str, str]) -> None:
        """Rows whose subject and relation are in the reference."""
        columns = [documents.batch.column(f"column:{name}") for name in names]
        keys, some = subject_keys(*(column.cast(pa.large_string()) for column in columns))
        self._put(found, rows, np.where(some, self._reference.find(keys), -1))

    def by_statement(self, found: _Found, rows: Rows) -> None:
        """Texts, and answers, that are statements of the reference, or begin as one that is to be completed."""
        short = np.asarray(pc.fill_null(pc.less_equal(pc.binary_length(rows.answers), SHORT_BYTES), False))
        left = np.flatnonzero(rows.single & short & ~found.joined)
        if not len(left):
            return
        texts = rows.answers.take(pa.array(left))
        keys, some = statement_keys(texts)
        at = np.where(some, self._reference.find(keys), -1)
        for row, position in zip(left[at >= 0].tolist(), at[at >= 0].tolist(), strict=True):
            entries = self.entries(position)
            found.put(row, (0.0, "accepted") if entries.holds else (1.0, "known_false"), entries)
        rest = np.flatnonzero(at < 0)
        self._completed(found, left[rest], normalised_questions(texts.take(pa.array(rest))))

    def _completed(self, found: _Found, rows: npt.NDArray[np.int64], texts: pa.LargeStringArray) -> None:
        """Sentences of which a question of the reference is the beginning: the longest such."""
        prefixes, offsets, _ = word_keys(texts)
        at = self._reference.find(prefixes)
        place = np.arange(len(prefixes)) - np.repeat(offsets[:-1], np.diff(offsets))
        owner = np.repeat(np.arange(len(texts)), np.diff(offsets))
        hit = np.flatnonzero((at >= 0) & (place >= _PREFIX_WORDS - 1) & (place + 1 < np.diff(offsets)[owner]))
        longest = dict(zip(owner[hit].tolist(), hit.tolist(), strict=True))  # hits ascend, so the last one stays
        for text, word in longest.items():
            begun = " ".join(texts[text].as_py().split(" ")[: int(place[word]) + 1])
            answer = texts[text].as_py()[len(begun) + 1 :]
            entries = self.entries(int(at[word]))
            found.put(int(rows[text]), self._verdict((answer,), frozenset(begun.split()), int(at[word])), entries)

    def _put(self, found: _Found, rows: Rows, at: npt.NDArray[np.int64]) -> None:
        chosen = np.flatnonzero((at >= 0) & ~found.joined & np.asarray(rows.answers.is_valid()))
        positions = at[chosen].tolist()
        answers, given = rows.alternatives(chosen), rows.question_words(chosen)
        for row, position, said, words in zip(chosen.tolist(), positions, answers, given, strict=True):
            entries = self.entries(position)
            if said[0] in entries.accepted:
                found.put(row, (0.0, "accepted"), entries)
            else:
                found.put(row, self._verdict(said, words, position), entries)

    def _compared(self, answers: Sequence[str], given: frozenset[str], position: int) -> tuple[float, str] | None:
        """Score and match of an answer, or of several of which one must agree."""
        entries = self.entries(position)
        ours = [told(answer, given) for answer in answers]
        near = _nearest(ours, [told(text, given) for text in entries.accepted])
        if near == 1.0:
            return 0.0, "accepted"
        refused = _nearest(ours, [told(text, given) for text in entries.refused])
        if refused == 1.0:
            return 1.0, "known_false"
        if not entries.accepted or any(len(one.words) > _JUDGED_WORDS for one in ours):
            return None
        # Where wrong answers are known, whichever is nearer pulls.
        score = 1.0 - near + ((refused - near) / 2 if entries.refused else 0.0)
        return min(max(score, 0.0), 1.0), "different" if near == 0.0 else "similar"


def _nearest(ours: Sequence[Told], theirs: Sequence[Told]) -> float:
    return max((likeness(one, other) for one in ours for other in theirs), default=0.0)


def _binary_keys(keys: U64, some: npt.NDArray[np.bool_]) -> pa.FixedSizeBinaryArray:
    values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(keys), [None, pa.py_buffer(keys.astype("<u8"))])
    return pc.if_else(pa.array(some), values, pa.scalar(None, pa.binary(8)))


def short_hashes(normalised: pa.LargeStringArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """32-bit hashes of the words of texts, never 0, and the offsets of each text in them."""
    _, offsets, hashes = word_keys(normalised)
    return np.maximum(hashes >> np.uint64(32), 1).astype("<u4"), offsets


def _requested(questions: pa.LargeStringArray) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.match_substring_regex(questions, _REQUESTS), False))


def _packed(rows: Rows, some: npt.NDArray[np.bool_]) -> pa.BinaryArray:
    """The words of each answer as 32-bit hashes, null where an answer is long or there are too many."""
    texts, owner = rows.short_answers(some)
    hashes, offsets = short_hashes(texts)
    sizes = np.diff(offsets)
    parts = np.bincount(owner, minlength=len(some))
    longest = np.zeros(len(some), np.int64)
    np.maximum.at(longest, owner, sizes)
    good = some & (parts > 0) & (parts <= _MOST_ANSWERS) & (longest <= ANSWER_WORDS)
    kept = np.repeat(good[owner], sizes)
    chosen = good[owner]
    ends = np.cumsum(sizes[chosen])
    data = np.insert(hashes[kept], ends, 0).astype("<u4")
    counts = np.bincount(owner[chosen], weights=sizes[chosen] + 1, minlength=len(some)).astype(np.int64)
    bounds = (4 * np.concatenate([[0], np.cumsum(counts)])).astype(np.int32)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(np.ascontiguousarray(data))]
    packed = pa.BinaryArray.from_buffers(pa.binary(), len(some), buffers)
    return pc.if_else(pa.array(good), packed, pa.scalar(None, pa.binary()))
