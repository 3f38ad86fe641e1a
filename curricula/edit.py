"""Replaces the answer of chosen rows and nothing else: every other byte, column, type and row stays what it was.

The answer is the answer column of question-answer and instruction-output rows (of a list of answers, the list), and
the content of the last message by the assistant of chats. What stood there is what `originals` gives, and `restored`
puts it back: so an edited file with a column of originals still proves that it holds the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.layout import Kind, Layout
from audit.readers.jsonl import is_json_text
from curricula.chat_json import json_answers, with_json_answers
from curricula.stored import as_array, in_transit
from detectors.documents import as_large_binary
from detectors.errors import InputError

__all__ = ["Editor", "KeptAnswers", "original_name"]

I64 = npt.NDArray[np.int64]
_ROLES, _CONTENTS = ("role", "from"), ("content", "value")
_AUTHORS = ("assistant", "gpt", "model", "bot", "chatgpt")  # as audit.layout has them
_REMEDY = "Leave it out, or write it with answers that are text."


@dataclass(frozen=True)
class Editor:
    """Edits rows of one schema.

    Args:
        schema: of the rows. Views of text are edited as text with offsets, and come back as such (`in_transit`).
        layout: which columns hold the answer; question-answer or chat.

    Raises:
        InputError: plain text, or an answer of a type that cannot be edited.
    """

    schema: pa.Schema
    layout: Layout

    def __post_init__(self) -> None:
        if self.layout.kind is Kind.TEXT:
            raise InputError(f"{self.layout}: has no answer to edit. Name question and answer, or messages.")
        field = self.schema.field(self.column)
        if is_json_text(field) and not self._is_json:
            raise InputError(f"{field.name!r}: holds values of several types as JSON text. {_REMEDY}")
        if not _is_text(self.field.type) and not (_is_list(self.field.type) and _is_text(self.field.type.value_type)):
            raise InputError(f"{field.name!r}: is {field.type}, whose answers cannot be edited. {_REMEDY}")

    @property
    def column(self) -> str:
        """Name of the column that holds the answer."""
        return self.layout.columns[-1]

    @property
    def field(self) -> pa.Field:
        """The type of an answer: that of the column, or of the content of a message."""
        field = self.schema.field(self.column).with_type(in_transit(self.schema.field(self.column).type))
        if self.layout.kind is Kind.ANSWER or self._is_json:
            return field
        if not _is_list(field.type) or not pa.types.is_struct(field.type.value_type):
            raise InputError(f"{field.name!r}: is {field.type}, not a list of messages. {_REMEDY}")
        message = field.type.value_type
        return message.field(_one_of(message, _CONTENTS, field.name))

    @property
    def _is_json(self) -> bool:
        """Whether rows are chats that are kept as JSON text."""
        return self.layout.kind is Kind.CHAT and is_json_text(self.schema.field(self.column))

    def originals(self, batch: pa.RecordBatch) -> pa.Array:
        """The answers as they are, of `field`'s type; null where a row has none.

        Args:
            batch: rows in transit.
        """
        column = batch.column(self.column)
        if self.layout.kind is Kind.ANSWER:
            return column
        if self._is_json:
            return json_answers(column, _AUTHORS).cast(column.type)
        messages, place, some = self._last_messages(column)
        contents = _child(messages, self.field.name)
        return contents.take(as_array(np.where(some, place, 0), some))

    def texts(self, batch: pa.RecordBatch) -> pa.LargeStringArray:
        """The answers as text: of a list its first; null where there is none. Invalid UTF-8 is replaced."""
        from detectors.answers import as_texts

        found = self.originals(batch)
        if _is_list(found.type):
            some = np.asarray(pc.fill_null(pc.greater(pc.list_value_length(found), 0), False))
            found = found.flatten().take(as_array(np.where(some, _starts(found), 0), some))
        return as_texts(as_large_binary(found))

    def edited(self, batch: pa.RecordBatch, rows: I64, texts: pa.Array) -> pa.RecordBatch:
        """The rows with other answers.

        Args:
            batch: rows in transit.
            rows: int64, ascending, which to edit.
            texts: of each of `rows`, the new answer; a list of answers becomes a list of this one.

        Raises:
            InputError: a row without an answer, or a dictionary that cannot take the new values.
        """
        if not len(rows):
            return batch
        kind = self.field.type
        if _is_list(kind):
            offsets = np.arange(len(rows) + 1)
            values = _cast(texts, kind.value_type)
            replacement = _list(kind, offsets, values, np.ones(len(rows), np.bool_))
        else:
            replacement = _cast(texts, kind)
        return self._put(batch, rows, replacement)

    def applied(self, batch: pa.RecordBatch, answers: pa.Array) -> tuple[pa.RecordBatch, pa.Array]:
        """The rows with the answers that are not null, and what stood there: null where nothing was edited.

        A row that has no answer, or none that is text, stays as it is.

        Args:
            batch: rows in transit.
            answers: text of each row, null to leave it as it is.

        Raises:
            InputError: a dictionary that cannot take the new values.
        """
        stood = self.originals(batch)
        edits = np.asarray(answers.is_valid()) & np.asarray(stood.is_valid())
        rows = np.flatnonzero(edits)
        kept = stood.take(as_array(np.arange(batch.num_rows), edits))
        return self.edited(batch, rows, answers.take(as_array(rows))), kept

    def restored(self, batch: pa.RecordBatch, originals: pa.Array) -> pa.RecordBatch:
        """The rows with the answers that `originals` gives where it is not null, as `originals` gave them."""
        rows = np.flatnonzero(np.asarray(originals.is_valid()))
        return self._put(batch, rows, originals.take(as_array(rows))) if len(rows) else batch

    def _put(self, batch: pa.RecordBatch, rows: I64, answers: pa.Array) -> pa.RecordBatch:
        column = batch.column(self.column)
        missing = rows[~np.asarray(self.originals(batch).is_valid())[rows]]
        if len(missing):
            raise InputError(
                f"{self.column!r} has no answer to replace, or none that is text (row {missing[0]} of its batch). "
                "Leave the row out, or curate without replacing answers."
            )
        if self.layout.kind is Kind.ANSWER:
            changed = _replaced(column, rows, answers, self.column)
        elif self._is_json:
            changed = with_json_answers(column, rows, answers, _AUTHORS)
        else:
            messages, place, _ = self._last_messages(column)
            contents = _replaced(_child(messages, self.field.name), place[rows], answers, self.column)
            items = _with_child(messages, self.field.name, contents)
            changed = _list(column.type, _offsets(column), items, np.asarray(column.is_valid()))
        at = batch.schema.get_field_index(self.column)
        columns = [*batch.columns[:at], changed, *batch.columns[at + 1 :]]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _last_messages(self, column: pa.Array) -> tuple[pa.StructArray, I64, npt.NDArray[np.bool_]]:
        """All messages, the position of the assistant's last one in each row, and whether there is one."""
        messages = column.flatten()
        role = _one_of(messages.type, _ROLES, self.column)
        said = pc.utf8_lower(pc.struct_field(messages, role).cast(pa.large_string()))
        ours = np.asarray(pc.fill_null(pc.is_in(said, pa.array(_AUTHORS, pa.large_string())), False))
        place = np.full(len(column), -1, np.int64)
        lengths = np.diff(_offsets(column))
        owner = np.repeat(np.arange(len(column)), lengths)
        place[owner[ours]] = np.flatnonzero(ours)  # ascending, so the last stays
        return messages, place, place >= 0


def original_name(schema: pa.Schema) -> str:
    """Name of the column that keeps what stood where an answer was replaced: `foxing_original`, or another if taken."""
    name, number = "foxing_original", 1
    while name in schema.names:
        number += 1
        name = f"foxing{number}_original"
    return name


@dataclass(frozen=True)
class KeptAnswers:
    """Rows with replaced answers, and a last column with what stood there.

    Attributes:
        editor: of the rows.
        name: of the column.
    """

    editor: Editor
    name: str

    @classmethod
    def of(cls, transit: pa.Schema, layout: Layout) -> KeptAnswers:
        """For rows of a schema in transit."""
        return cls(Editor(transit, layout), original_name(transit))

    def widened(self, schema: pa.Schema) -> pa.Schema:
        """The schema with the column."""
        field = pa.field(self.name, self.editor.field.type)
        return pa.schema([*schema, field], metadata=schema.metadata)

    def edited(self, batch: pa.RecordBatch, answers: pa.Array) -> pa.RecordBatch:
        """Rows with the answers that are not null, and the column; as `Editor.applied` has it."""
        changed, kept = self.editor.applied(batch, answers)
        schema = self.widened(batch.schema)
        return pa.RecordBatch.from_arrays([*changed.columns, kept], schema=schema)

    def restored(self, wide: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as they were, without the column."""
        narrow = wide.select(list(range(wide.num_columns - 1)))
        return self.editor.restored(narrow, wide.column(wide.num_columns - 1))


def _one_of(message: pa.StructType, names: tuple[str, ...], column: str) -> str:
    have = [field.name for field in message]
    found = next((name for name in names if name in have), None)
    if found is None:
        raise InputError(f"messages in {column!r} have no {names[0]} (have: {', '.join(have)}). Rename it.")
    return found


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return as_large_binary(texts).cast(plain)


def _offsets(lists: pa.Array) -> I64:
    """int64[n + 1] into `lists.flatten()`, which leaves out what null lists span."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0)).astype(np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _starts(lists: pa.Array) -> I64:
    return _offsets(lists)[:-1]


def _list(kind: pa.DataType, offsets: I64, values: pa.Array, valid: npt.NDArray[np.bool_]) -> pa.Array:
    """Lists of exactly the type `kind`, null where not valid."""
    large = pa.types.is_large_list(kind)
    ends = pa.py_buffer(np.ascontiguousarray(offsets.astype(np.int64 if large else np.int32)))
    bitmap = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(valid), [bitmap, ends], children=[values])


def _child(messages: pa.StructArray, name: str) -> pa.Array:
    """One field of structs, null where the struct is."""
    return pc.struct_field(messages, name)


def _with_child(messages: pa.StructArray, name: str, values: pa.Array) -> pa.StructArray:
    fields = [messages.type.field(at) for at in range(messages.type.num_fields)]
    columns = [values if field.name == name else pc.struct_field(messages, field.name) for field in fields]
    mask = None if not messages.null_count else messages.is_null()
    return pa.StructArray.from_arrays(columns, fields=fields, mask=mask)


def _replaced(values: pa.Array, at: I64, answers: pa.Array, name: str) -> pa.Array:
    """The array with other values at some places: others are taken as they are, byte for byte."""
    if pa.types.is_dictionary(values.type):
        return _replaced_in_dictionary(values, at, answers, name)
    order = np.arange(len(values))
    order[at] = len(values) + np.arange(len(at))
    return pa.concat_arrays([values, answers]).take(as_array(order))


def _replaced_in_dictionary(values: pa.DictionaryArray, at: I64, answers: pa.Array, name: str) -> pa.Array:
    """The dictionary keeps its members in their order; those that are new follow."""
    kind = values.type
    plain = answers.dictionary_decode() if pa.types.is_dictionary(answers.type) else answers
    fresh = plain.unique()
    fresh = fresh.filter(pc.invert(pc.is_in(fresh, values.dictionary)))
    members = pa.concat_arrays([values.dictionary, fresh])
    largest = np.iinfo(kind.index_type.to_pandas_dtype()).max
    if len(members) - 1 > largest:
        raise InputError(f"{name!r}: its dictionary holds {largest + 1:,} values at most. Write it as plain text.")
    index = pc.index_in(plain, members).cast(kind.index_type)
    order = np.arange(len(values))
    order[at] = len(values) + np.arange(len(at))
    indices = pa.concat_arrays([values.indices, index]).take(as_array(order))
    return pa.DictionaryArray.from_arrays(indices, members, ordered=kind.ordered)
