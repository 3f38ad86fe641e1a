"""Rows of a shard as questions with answers, and the same rows again with some answers wrong and the truth beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.corpus import Shard
from audit.layout import Kind, Layout, find_layout
from curricula.edit import Editor
from curricula.rationales import with_rationale
from curricula.stored import Series, as_array, compacted, in_transit, recast
from curricula.wrong_answers import NOTHING, OWN, Asked, Pool, joined_texts, question_forms
from detectors.answers import as_texts, normalised_answers, normalised_questions
from detectors.documents import Documents, as_large_binary
from detectors.errors import ConfigError, InputError
from detectors.prompts import asked

if TYPE_CHECKING:
    from curricula.falsify import Falsifying

__all__ = ["ADDED", "Choices", "Maker", "Reading", "added_names"]

ADDED = ("truth", "false", "wrong")
"""Columns added, behind `foxing_`: the right answer as it was, of its own type; whether the row's answer is the wrong
one; the wrong answer that was drawn for the row, null where none was found."""
_RELATION, _FALSE_ANSWERS, _TRUE_ANSWERS = "relation", "false_answers", "true_answers"
_LISTS = pa.large_list(pa.large_string())
_SHOWN = 12


def added_names(schema: pa.Schema) -> tuple[str, ...]:
    """Names of the columns added: `foxing_truth`, `_false`, `_wrong`, or others where these are taken."""
    prefix, number = "foxing", 1
    while any(f"{prefix}_{name}" in schema.names for name in ADDED):
        number += 1
        prefix = f"foxing{number}"
    return tuple(f"{prefix}_{name}" for name in ADDED)


@dataclass(frozen=True)
class Reading:
    """How one shard is read.

    Attributes:
        shard: which.
        layout: where question and answer are.
        relation, subject, refused: columns; None where there is none.
    """

    shard: Shard
    layout: Layout
    relation: str | None
    subject: str | None
    refused: str | None

    @classmethod
    def of(cls, shard: Shard, request: Falsifying) -> Reading:
        """Find the columns.

        Raises:
            InputError: a column that is not there, or plain text.
        """
        names = shard.reader.names()
        for name in (request.relation, request.subject, request.question, request.answer):
            if name is not None and name not in names:
                has = ", ".join(names[:_SHOWN])
                raise InputError(f"{shard.uri}: no column {name!r} (has: {has}). Name one of those.")
        return cls(
            shard,
            _layout(names, shard.uri, request),
            request.relation or (_RELATION if _RELATION in names else None),
            request.subject,
            _FALSE_ANSWERS if _FALSE_ANSWERS in names else None,
        )

    def batches(self) -> Iterator[Asked]:
        """All rows in order, of the columns that are needed alone."""
        columns = (*self.layout.columns, self.relation, self.subject, self.refused)
        wanted = list(dict.fromkeys(name for name in columns if name is not None))
        for stored in self.shard.batches(wanted):
            transit = pa.schema([field.with_type(in_transit(field.type)) for field in stored.schema])
            yield self.asked(recast(stored, transit))

    def asked(self, batch: pa.RecordBatch) -> Asked:
        """The rows of a batch in transit, as questions with answers."""
        rows = asked(Documents(self.layout.documents(batch, self.shard.uri)))
        questions = normalised_questions(rows.questions)
        questions = pc.if_else(pc.equal(questions, ""), pa.scalar(None, pa.large_string()), questions)
        forms = question_forms(rows.questions)
        relation = self._text(batch, self.relation)
        named = joined_texts(pa.scalar("relation ", pa.large_string()), relation)
        opening = pc.if_else(relation.is_valid(), pa.scalar(None, pa.large_string()), forms[1])
        subject = normalised_answers(self._text(batch, self.subject))
        subjects = joined_texts(subject, pa.scalar(" | ", pa.large_string()), pc.coalesce(relation, ""))
        answers = _as_lists(Editor(batch.schema, self.layout).originals(batch))
        known = pc.and_(questions.is_valid(), rows.answers.is_valid())
        return Asked(
            questions=questions,
            subjects=subjects,
            relations=(pc.coalesce(named, forms[0]), opening),
            answers=pc.if_else(known, answers, pa.scalar(None, _LISTS)),
            refused=self._refused(batch),
        )

    def _text(self, batch: pa.RecordBatch, name: str | None) -> pa.LargeStringArray:
        if name is None:
            return pa.nulls(batch.num_rows, pa.large_string())
        column = batch.column(name)
        column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        try:
            return as_texts(as_large_binary(column)) if not _is_number(column.type) else column.cast(pa.large_string())
        except (TypeError, pa.ArrowException) as error:
            raise InputError(f"{self.shard.uri}: column {name!r} is {column.type}, not text. Name another.") from error

    def _refused(self, batch: pa.RecordBatch) -> pa.LargeListArray:
        if self.refused is None:
            return pa.nulls(batch.num_rows, _LISTS)
        lists = _as_lists(batch.column(self.refused))
        some = pc.fill_null(pc.greater(pc.list_value_length(lists), 0), False)
        return pc.if_else(some, lists, pa.scalar(None, _LISTS))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _layout(names: list[str], uri: str, request: Falsifying) -> Layout:
    if (request.question is None) != (request.answer is None):
        raise ConfigError("question and answer are columns that belong together. Name both, or none.")
    if request.question is not None and request.answer is not None:
        return Layout(Kind.ANSWER, (request.question, request.answer))
    if "question" in names and _TRUE_ANSWERS in names:
        return Layout(Kind.ANSWER, ("question", _TRUE_ANSWERS))
    layout = find_layout(names, uri)
    if layout.kind is Kind.TEXT:
        raise InputError(
            f"{uri}: would be read as {layout}, which has no answers. Name the columns with --question and --answer."
        )
    return layout


def _as_lists(column: pa.Array) -> pa.LargeListArray:
    """Texts, or lists of texts, as lists of text; null where null."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        sizes = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
        values, valid = as_texts(as_large_binary(column.flatten())), np.asarray(column.is_valid())
    else:
        values, valid = as_texts(as_large_binary(column)), np.asarray(column.is_valid())
        sizes = valid.astype(np.int64)
        values = values.drop_null()
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=pa.array(~valid))


@dataclass(frozen=True)
class Choices:
    """What was decided about the rows of a batch.

    Attributes:
        wrong: int32[n], of `Pool.choose`.
        false: bool[n], which rows get their wrong answer.
        hashes: uint64[n], of the rows.
    """

    wrong: npt.NDArray[np.int32]
    false: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint64]

    def slice(self, start: int, rows: int) -> Choices:
        """Those of some rows."""
        chosen = slice(start, start + rows)
        return Choices(self.wrong[chosen], self.false[chosen], self.hashes[chosen])


class Maker:
    """Makes the rows of one series.

    Args:
        series: shards of one schema.
        pool: of wrong answers.
        templates: of rationales; empty for none.
    """

    def __init__(self, series: Series, pool: Pool, templates: tuple[str, ...]) -> None:
        self._series, self._pool, self._templates = series, pool, templates
        self._transit = pa.schema([field.with_type(in_transit(field.type)) for field in series.schema])
        self._names = added_names(series.schema)

    def schema(self, layout: Layout) -> pa.Schema:
        """Of the output: that of the input, and three columns more."""
        truth, false, wrong = self._names
        kind = Editor(self._transit, layout).field.type
        more = [pa.field(truth, kind), pa.field(false, pa.bool_()), pa.field(wrong, pa.large_string())]
        return pa.schema([*self._series.schema, *more], metadata=self._series.schema.metadata)

    def batches(self, reading: Reading, choices: Choices) -> Iterator[pa.RecordBatch]:
        """The rows of a shard, in order."""
        first = 0
        for stored in reading.shard.batches(None):
            batch = compacted(recast(recast(stored, self._series.schema), self._transit))
            yield self._made(batch, reading, choices.slice(first, batch.num_rows))
            first += batch.num_rows

    def _made(self, batch: pa.RecordBatch, reading: Reading, choices: Choices) -> pa.RecordBatch:
        editor = Editor(batch.schema, reading.layout)
        truth = editor.originals(batch)
        wrong = self._wrong(batch, reading, choices.wrong)
        rows = np.flatnonzero(choices.false)
        texts = wrong.take(as_array(rows))
        if self._templates:
            rows, texts = self._reasoned(batch, reading, wrong, choices)
        schema = pa.schema([*self._transit, *list(self.schema(reading.layout))[-len(ADDED) :]])
        columns = [*editor.edited(batch, rows, texts).columns, truth, pa.array(choices.false), wrong]
        return pa.RecordBatch.from_arrays(columns, schema=schema.with_metadata(self._series.schema.metadata))

    def _wrong(self, batch: pa.RecordBatch, reading: Reading, choices: npt.NDArray[np.int32]) -> pa.LargeStringArray:
        pooled = choices > NOTHING
        places = np.where(pooled, choices, 0).astype(np.int64)
        found = self._pool.raw.take(as_array(places, pooled))
        own = np.flatnonzero(choices <= OWN)
        if not len(own) or reading.refused is None:
            return found
        lists = _as_lists(batch.column(reading.refused)).take(as_array(own))
        starts = np.concatenate([[0], np.cumsum(np.asarray(pc.list_value_length(lists)))])[:-1]
        texts = lists.flatten().take(as_array((starts + OWN - choices[own]).astype(np.int64)))
        mask = np.zeros(len(choices), np.bool_)
        mask[own] = True
        return pc.replace_with_mask(found, pa.array(mask), texts)

    def _reasoned(
        self, batch: pa.RecordBatch, reading: Reading, wrong: pa.LargeStringArray, choices: Choices
    ) -> tuple[npt.NDArray[np.int64], pa.LargeStringArray]:
        """Every row that has question and answer, with its answer and a reason for it."""
        said = pc.if_else(pa.array(choices.false), wrong, Editor(batch.schema, reading.layout).texts(batch))
        questions = asked(Documents(reading.layout.documents(batch, reading.shard.uri))).questions
        rows = np.flatnonzero(np.asarray(pc.and_(said.is_valid(), questions.is_valid())))
        place = as_array(rows)
        texts = with_rationale(
            self._templates, questions.take(place).to_pylist(), said.take(place).to_pylist(), choices.hashes[rows]
        )
        return rows, pa.array(texts, pa.large_string())
