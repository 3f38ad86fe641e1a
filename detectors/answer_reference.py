"""A table of right answers, known wrong ones and judged statements, laid out so that questions find their own.

A Parquet or JSONL file with, by name: `question` (or prompt, query) and `answers` (or answer, true_answers; one text or
a list: all are right), optionally `false_answers`; or `subject`, `relation` and the answers (or `object`); or
`statement` and `label` (true: it holds). `id` names a row in the evidence, else its number does. Rows of one question
are put together. What is at once right and wrong is taken for right.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detectors.answers import normalised_answers, normalised_questions, text_keys
from detectors.errors import SignalError

__all__ = ["AnswerReference", "Entries", "file_digest", "question_keys", "statement_keys", "subject_keys"]

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
_QUESTIONS = ("question", "prompt", "query", "problem")
_ANSWERS = ("answers", "true_answers", "answer", "true_answer", "object")
_KINDS = {"subject": np.uint64(0x5375626A65637421), "statement": np.uint64(0x5374617465642121)}
_REMEDY = "Give columns question and answers, or subject, relation and answers, or statement and label."


@dataclass(frozen=True)
class Entries:
    """What the reference says about one question.

    Attributes:
        accepted: right answers, normalised.
        refused: known wrong answers, normalised; those that are right, too, left out.
        expected: the first right answer as it is written in the reference; None where there is none.
        reference: id of the row that it stands in.
        holds: of a statement, whether it holds; None for questions.
    """

    accepted: tuple[str, ...]
    refused: tuple[str, ...]
    expected: str | None
    reference: str
    holds: bool | None


def file_digest(path: str) -> str:
    """Hex SHA-256 of the file.

    Raises:
        SignalError: it is not there.
    """
    if not Path(path).is_file():
        raise SignalError(
            f"falsity: no file {path}. Set reference to a Parquet or JSONL file of questions and answers."
        )
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def question_keys(texts: pa.LargeStringArray) -> tuple[U64, npt.NDArray[np.bool_]]:
    """uint64[n] key of each question and bool[n], False where it has no word."""
    return text_keys(normalised_questions(texts))


def statement_keys(texts: pa.LargeStringArray) -> tuple[U64, npt.NDArray[np.bool_]]:
    """As `question_keys`, for statements to be judged."""
    keys, some = question_keys(texts)
    return keys ^ _KINDS["statement"], some


def subject_keys(subjects: pa.LargeStringArray, relations: pa.LargeStringArray) -> tuple[U64, npt.NDArray[np.bool_]]:
    """As `question_keys`, for facts about a subject."""
    keys, some = text_keys(normalised_answers(subjects))
    more, others = text_keys(normalised_answers(relations))
    return (keys * np.uint64(3) + more) ^ _KINDS["subject"], some & others


@dataclass(frozen=True, eq=False)
class AnswerReference:
    """The table, sorted by key.

    Attributes:
        keys: uint64[questions], ascending.
        offsets: int64[questions + 1]; question i has the items `offsets[i]` to `offsets[i + 1]`.
        texts: large_string[items], answers normalised; of statements the statement.
        raw: large_string[items], as they are written.
        ids: large_string[items].
        right: bool[items].
        stated: bool[items], whether it is a statement.
    """

    keys: U64
    offsets: I64
    texts: pa.LargeStringArray
    raw: pa.LargeStringArray
    ids: pa.LargeStringArray
    right: npt.NDArray[np.bool_]
    stated: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, path: str) -> AnswerReference:
        """Read and lay out a reference file.

        Raises:
            SignalError: it cannot be read, or has not the columns.
        """
        table = _table(path)
        names = {name.lower(): name for name in reversed(table.column_names)}
        ids = _ids(table, names)
        found = _items_of(table, names, ids)
        if not found:
            has = ", ".join(table.column_names[:12])
            raise SignalError(f"falsity: {path} is no reference (has: {has}). {_REMEDY}")
        keys = np.concatenate([each.keys for each in found])
        order = np.argsort(keys, kind="stable")
        unique, first = np.unique(keys[order], return_index=True)
        place = pa.array(order)
        return cls(
            keys=unique,
            offsets=np.concatenate([first, [len(keys)]]).astype(np.int64),
            texts=pa.concat_arrays([each.texts for each in found]).take(place),
            raw=pa.concat_arrays([each.raw for each in found]).take(place),
            ids=pa.concat_arrays([each.ids for each in found]).take(place),
            right=np.concatenate([each.right for each in found])[order],
            stated=np.concatenate([np.full(len(each.keys), each.stated) for each in found])[order],
        )

    def find(self, keys: U64) -> I64:
        """int64[n]: position of each key, -1 where the reference has not got it."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def entries(self, position: int) -> Entries:
        """What is said about the question at a position."""
        first, end = int(self.offsets[position]), int(self.offsets[position + 1])
        texts, right = self.texts[first:end].to_pylist(), self.right[first:end]
        accepted = tuple(dict.fromkeys(text for text, true in zip(texts, right, strict=True) if true))
        refused = tuple(dict.fromkeys(text for text in texts if text not in accepted))
        stated = bool(self.stated[first])
        best = first + int(right.argmax())
        return Entries(
            accepted=accepted,
            refused=refused,
            expected=self.raw[best].as_py() if accepted and not stated else None,
            reference=self.ids[best].as_py(),
            holds=bool(accepted) if stated else None,
        )


@dataclass(frozen=True)
class _Items:
    keys: U64
    texts: pa.LargeStringArray
    raw: pa.LargeStringArray
    ids: pa.LargeStringArray
    right: npt.NDArray[np.bool_]
    stated: bool


def _table(path: str) -> pa.Table:
    import pyarrow.parquet as pq

    try:
        if path.lower().endswith(".parquet"):
            return pq.read_table(path)
        with Path(path).open("rb") as lines:
            return pa.Table.from_pylist([json.loads(line) for line in lines if line.strip()])
    except (OSError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise SignalError(f"falsity: reference {path} cannot be read ({reason}). Write it as Parquet.") from error


def _ids(table: pa.Table, names: dict[str, str]) -> pa.LargeStringArray:
    numbers = pa.array(np.arange(table.num_rows)).cast(pa.large_string())
    if "id" not in names or pa.types.is_nested(table.column(names["id"]).type):
        return numbers
    return pc.coalesce(_flat(table.column(names["id"])).cast(pa.large_string()), numbers)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(whole, pa.ChunkedArray):  # no rows
        whole = pa.array([], column.type)
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def _items_of(table: pa.Table, names: dict[str, str], ids: pa.LargeStringArray) -> list[_Items]:
    found = []
    question = next((names[name] for name in _QUESTIONS if name in names), None)
    answers = next((names[name] for name in _ANSWERS if name in names), None)
    keyed = []
    if question is not None:
        keyed.append(question_keys(_strings(table, question)))
    if {"subject", "relation"} <= names.keys():
        keyed.append(subject_keys(_strings(table, names["subject"]), _strings(table, names["relation"])))
    for keys, some in keyed:
        for column, right in ((answers, True), (names.get("false_answers"), False)):
            if column is not None:
                found.append(_answers_of(_flat(table.column(column)), keys, some, ids, right=right))
    if {"statement", "label"} <= names.keys():
        statements, labels = _strings(table, names["statement"]), _flat(table.column(names["label"]))
        keys, some = statement_keys(statements)
        keep = some & np.asarray(labels.is_valid())
        truth = np.asarray(pc.fill_null(labels.cast(pa.bool_()), False))
        place = pa.array(np.flatnonzero(keep))
        texts = statements.take(place)
        found.append(_Items(keys[keep], texts, texts, ids.take(place), truth[keep], stated=True))
    return found if answers is not None or {"statement", "label"} <= names.keys() else []


def _strings(table: pa.Table, name: str) -> pa.LargeStringArray:
    column = _flat(table.column(name))
    try:
        return column.cast(pa.large_string())
    except pa.ArrowException as error:
        raise SignalError(f"falsity: reference column {name!r} is {column.type}, not text. {_REMEDY}") from error


def _answers_of(
    column: pa.Array, keys: U64, some: npt.NDArray[np.bool_], ids: pa.LargeStringArray, *, right: bool
) -> _Items:
    """One item an answer."""
    rows = np.arange(len(column))
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        rows = np.repeat(rows, np.asarray(pc.fill_null(pc.list_value_length(column), 0)))
        column = column.flatten()
    try:
        raw = column.cast(pa.large_string())
    except pa.ArrowException as error:
        raise SignalError(f"falsity: answers of the reference are {column.type}, not text. {_REMEDY}") from error
    texts = normalised_answers(raw)
    keep = some[rows] & np.asarray(pc.fill_null(pc.not_equal(texts, ""), False))
    place = pa.array(np.flatnonzero(keep))
    chosen = rows[keep]
    return _Items(
        keys=keys[chosen],
        texts=texts.take(place),
        raw=raw.take(place),
        ids=ids.take(pa.array(chosen)),
        right=np.full(len(chosen), right),
        stated=False,
    )
