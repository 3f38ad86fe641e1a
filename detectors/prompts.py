"""The question and the answer of each row, taken from its text and its answering part.

A row's text is its prompt, a blank line and its answer (`audit.layout`): what comes before the answer is the question.
A chat of several turns ends with one answer of several: it has no question here. Nor has plain text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detectors.answers import as_texts, normalised_answers
from detectors.documents import Documents

__all__ = ["ANSWER_BYTES", "QUESTION_BYTES", "SHORT_BYTES", "Rows", "asked"]

I64 = npt.NDArray[np.int64]
QUESTION_BYTES = 2048
ANSWER_BYTES = 4096
SHORT_BYTES = 1024
_BREAK = "\n\n"
_GAP = len(_BREAK)


@dataclass(frozen=True)
class Rows:
    """Questions and answers of a batch.

    Attributes:
        questions: large_string[n], null where there is none or it is longer than `QUESTION_BYTES`.
        answers: large_string[n], null where it is longer than `ANSWER_BYTES`; the text of plain rows, up to
            `SHORT_BYTES`.
        single: bool[n], whether the answer is one paragraph.
    """

    questions: pa.LargeStringArray
    answers: pa.LargeStringArray
    single: npt.NDArray[np.bool_]

    def last_paragraphs(self, rows: I64) -> pa.LargeStringArray:
        """The last paragraph of the questions of `rows`: what is asked after an instruction."""
        return pc.replace_substring_regex(self.questions.take(pa.array(rows)), r"(?s)^.*\n\s*\n", "")

    def question_words(self, rows: I64) -> list[frozenset[str]]:
        """Words of the questions of `rows`, as those of answers are spelled; none where there is no question."""
        texts = normalised_answers(self.questions.take(pa.array(rows))).to_pylist()
        return [frozenset(text.split()) if text else frozenset() for text in texts]

    def alternatives(self, rows: I64) -> list[tuple[str, ...]]:
        """The answers of `rows`, each followed by its paragraphs: of a list of answers one that agrees is enough."""
        chosen = self.answers.take(pa.array(rows))
        whole = normalised_answers(chosen).to_pylist()
        several = np.flatnonzero(~self.single[rows])
        lists = pc.split_pattern(chosen.take(pa.array(several)), _BREAK)
        parts = normalised_answers(lists.flatten()).to_pylist()
        ends = np.cumsum(np.asarray(pc.list_value_length(lists))).tolist()
        found: list[tuple[str, ...]] = [(text,) for text in whole]
        for at, begin, end in zip(several.tolist(), [0, *ends], ends, strict=False):
            found[at] += tuple(part for part in parts[begin:end] if part)
        return found

    def short_answers(self, asked: npt.NDArray[np.bool_]) -> tuple[pa.LargeStringArray, I64]:
        """Normalised answers, lists taken apart, and the row of each: of rows with a question and few bytes of answer.

        Args:
            asked: bool[n], which rows have a question.
        """
        sizes = np.asarray(pc.fill_null(pc.binary_length(self.answers), SHORT_BYTES + 1))
        rows = np.flatnonzero(asked & (sizes <= SHORT_BYTES))
        lists = pc.split_pattern(self.answers.take(pa.array(rows)), _BREAK)
        owner = np.repeat(rows, np.asarray(pc.list_value_length(lists)))
        texts = normalised_answers(lists.flatten())
        filled = pc.not_equal(texts, "")
        return texts.filter(filled), owner[np.asarray(filled)]


def asked(documents: Documents) -> Rows:
    """Take the rows of a batch apart."""
    response = documents.response
    starts, sizes = response.offsets[:-1], np.diff(response.offsets)
    longest = SHORT_BYTES if response is documents else ANSWER_BYTES
    answers = _cut(response, starts, np.where(response.valid & (sizes <= longest), sizes, -1))
    single = ~np.asarray(pc.fill_null(pc.match_substring(answers, _BREAK), False))
    if response is documents:
        return Rows(pa.nulls(len(documents), pa.large_string()), answers, single)
    first, whole = documents.offsets[:-1], np.diff(documents.offsets)
    before = whole - sizes - _GAP
    usable = (before > 0) & (before <= QUESTION_BYTES) & (sizes <= ANSWER_BYTES) & response.valid & documents.valid
    usable &= _ends_with(documents, response, usable, before)
    return Rows(_cut(documents, first, np.where(usable, before, -1)), answers, single)


def _bytes(data: npt.NDArray[np.uint8], starts: I64, sizes: I64) -> npt.NDArray[np.uint8]:
    """The bytes `starts[i]` to `starts[i] + sizes[i]`, one after the other."""
    ends = np.cumsum(sizes)
    at = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
    return np.asarray(data[at])


def _cut(documents: Documents, starts: I64, sizes: I64) -> pa.LargeStringArray:
    """Parts of documents as texts, null where the size is negative."""
    filled = np.maximum(sizes, 0)
    offsets = np.concatenate([[0], np.cumsum(filled)]).astype(np.int64)
    data = np.ascontiguousarray(_bytes(documents.data, starts, filled))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    parts = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), buffers)
    return as_texts(pc.if_else(pa.array(sizes >= 0), parts, pa.scalar(None, pa.large_binary())))


def _ends_with(
    documents: Documents, response: Documents, usable: npt.NDArray[np.bool_], before: I64
) -> npt.NDArray[np.bool_]:
    """Whether a text ends with a blank line and its response."""
    rows = np.flatnonzero(usable)
    same = np.zeros(len(usable), np.bool_)
    if not len(rows):
        return same
    sizes = np.diff(response.offsets)[rows]
    tails = _bytes(documents.data, documents.offsets[:-1][rows] + before[rows], sizes + _GAP)
    ends = np.cumsum(sizes + _GAP)
    breaks = np.stack([ends - sizes - _GAP, ends - sizes - 1], axis=1)
    wanted = np.full(len(tails), ord("\n"), np.uint8)
    inside = np.ones(len(tails), np.bool_)
    inside[breaks.ravel()] = False
    wanted[inside] = _bytes(response.data, response.offsets[:-1][rows], sizes)
    agree = np.logical_and.reduceat(tails == wanted, ends - sizes - _GAP)
    same[rows] = agree
    return same
