"""What the columns of a shard mean: plain text, question-answer, instruction-output or chat, as signals read them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.readers import ShardError
from audit.readers.jsonl import is_json_text, parse_json_text
from audit.readers.protocol import as_bytes, refuse_columns
from detectors.documents import as_large_binary

__all__ = ["TEXT_NAMES", "Kind", "Layout", "find_layout"]

TEXT_NAMES = ("text", "content", "raw_content", "document", "body", "article", "passage", "markdown")
_PROMPTS = ("question", "instruction", "prompt", "query", "problem", "src")
_INPUTS = ("input", "context")
_ANSWERS = ("answer", "answers", "output", "response", "completion", "solution", "chosen", "tgt")
_CHATS = ("messages", "conversations", "conversation")
_ROLE_KEYS, _CONTENT_KEYS = ("role", "from"), ("content", "value")
_AUTHORS = ("assistant", "gpt", "model", "bot", "chatgpt")
_BREAK = b"\n\n"


class Kind(Enum):
    """How a row is laid out."""

    TEXT = "text"
    ANSWER = "answer"
    CHAT = "chat"


@dataclass(frozen=True)
class Layout:
    """The columns that make up a row's text.

    Attributes:
        kind: plain text, prompt and answer, or chat.
        columns: for TEXT the one column; for ANSWER prompt columns then the answer column; for CHAT the one column.
    """

    kind: Kind
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind.value}({', '.join(self.columns)})"

    def documents(self, batch: pa.RecordBatch, uri: str) -> pa.RecordBatch:
        """The batch with `text` (and `response` outside plain text) in place of its layout columns.

        `text` is null where every part is; parts are joined by a blank line. Raw columns keep their names behind
        `column:`. Lists of texts and structs with a `text` (content parts of a message) are joined. Of a JSONL column
        whose values disagree in type the strings are text, and the other values null.

        Raises:
            ShardError: a column that does not hold text, or two of the same name.
        """
        refuse_columns(batch.schema.names, batch.schema.names, uri)
        columns = {f"column:{name}": batch.column(name) for name in batch.schema.names}
        try:
            columns |= self._texts(batch, uri)
        except pa.ArrowException as error:
            held = ", ".join(f"{name!r} ({batch.schema.field(name).type})" for name in self.columns)
            reason = str(error).splitlines()[0].rstrip(".")
            raise _not_text(uri, f"{held} cannot be read as {self.kind.value} ({reason})") from error
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _texts(self, batch: pa.RecordBatch, uri: str) -> dict[str, pa.LargeBinaryArray]:
        fields = [batch.schema.field(name) for name in self.columns]
        arrays = [batch.column(name) for name in self.columns]
        if self.kind is Kind.CHAT:
            said = _parsed_chat(arrays[0]) if is_json_text(fields[0]) else _typed_chat(arrays[0], fields[0].name, uri)
            return {"text": said.all(), "response": said.by_assistant()}
        parts = [
            _strings_of(array) if is_json_text(field) else _text(array, field.name, uri)
            for array, field in zip(arrays, fields, strict=True)
        ]
        return {"text": parts[0]} if self.kind is Kind.TEXT else {"text": _join(parts), "response": parts[-1]}


def find_layout(names: Sequence[str], uri: str, *, text: str | None = None) -> Layout:
    """Choose the layout by column names, or take the text column that was named.

    Raises:
        ShardError: nothing that looks like text, or the column is absent or there twice.
    """
    if text is not None:
        if text not in names:
            raise _missing(text, names, uri)
        return _unambiguous(Layout(Kind.CHAT if text in _CHATS else Kind.TEXT, (text,)), names, uri)
    lower = {name.lower(): name for name in reversed(names)}
    for name in TEXT_NAMES:
        if name in lower:
            return _unambiguous(Layout(Kind.TEXT, (lower[name],)), names, uri)
    for name in _CHATS:
        if name in lower:
            return _unambiguous(Layout(Kind.CHAT, (lower[name],)), names, uri)
    prompts = [lower[name] for name in _PROMPTS if name in lower][:1]
    answers = [lower[name] for name in _ANSWERS if name in lower][:1]
    if prompts and answers:
        inputs = [lower[name] for name in _INPUTS if name in lower]
        return _unambiguous(Layout(Kind.ANSWER, (*prompts, *inputs, *answers)), names, uri)
    raise _missing("text", names, uri)


def _unambiguous(layout: Layout, names: Sequence[str], uri: str) -> Layout:
    refuse_columns(layout.columns, names, uri)
    return layout


def _missing(wanted: str, names: Sequence[str], uri: str) -> ShardError:
    if not names:
        return ShardError(uri, "has no columns", "Write it again from its source, or leave it out.", code="FX902")
    has = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
    meant = _meant(wanted, names)
    remedy = f'Set text = "{meant}" in [tool.foxing], or pass --text {meant}.' if meant else "Name one with --text."
    return ShardError(uri, f"no column {wanted!r} (has: {has})", remedy, code="FX902")


def _meant(wanted: str, names: Sequence[str]) -> str | None:
    """The column that was probably meant: a misspelt one, one that usually holds text, or the nearest name."""
    misspelt = difflib.get_close_matches(wanted, names, 1, 0.85)
    usual = [name for text in (*TEXT_NAMES, *_CHATS) for name in names if name.lower() == text]
    near = difflib.get_close_matches(wanted, names, 1)
    half = [name for text in (*_ANSWERS, *_PROMPTS) for name in names if name.lower() == text]
    return next(iter((*misspelt, *usual, *near, *half)), None)


def _not_text(uri: str, what: str) -> ShardError:
    return ShardError(uri, f"column {what}", "Name a text column with --text.", code="FX902")


def _text(column: pa.Array, name: str, uri: str) -> pa.LargeBinaryArray:
    kind = column.type
    if _is_list(kind):
        return _gather(_parents(column), _text(column.flatten(), name, uri), len(column))
    if pa.types.is_struct(kind) and "text" in [field.name for field in kind]:
        return _text(pc.struct_field(column, "text"), f"{name}.text", uri)
    try:
        return as_large_binary(column)
    except TypeError as error:
        raise _not_text(uri, f"{name!r} is {kind}, not text") from error


def _is_list(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
        pa.types.is_fixed_size_list,
    )
    return any(test(kind) for test in tests)


def _parents(lists: pa.Array) -> pa.Int64Array:
    """The row of each item of `flatten()`, which leaves out what null lists span (`value_parent_indices` does not)."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return pa.array(np.repeat(np.arange(len(lists)), np.asarray(lengths)))


def _strings_of(column: pa.Array) -> pa.LargeBinaryArray:
    """The strings, and texts in lists and structs, of a column of JSON text; null where the value is another one."""
    return pa.array([_joined_parts(value) for value in parse_json_text(column)], pa.large_binary())


def _joined_parts(value: object) -> bytes | None:
    """A message's content: a string, or a list of strings and of `{"type": "text", "text": ...}`."""
    if isinstance(value, str):
        return as_bytes(value)
    if isinstance(value, dict):
        return _joined_parts(value["text"]) if isinstance(value.get("text"), str | list) else None
    parts = [_joined_parts(item) for item in value] if isinstance(value, list) else []
    texts = [part for part in parts if part is not None]
    return _BREAK.join(texts) if texts else None


def _join(parts: list[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """Join columns row by row; what is null is left out, and a row of nulls is null."""
    # pyarrow 26: binary_join_element_wise(null_handling="skip") drops rows that are null throughout.
    rows, width = len(parts[0]), len(parts)
    by_row = np.arange(rows)[:, None] + np.arange(width)[None, :] * rows
    return _gather(
        pa.array(np.repeat(np.arange(rows), width)), pa.concat_arrays(parts).take(pa.array(by_row.ravel())), rows
    )


@dataclass(frozen=True)
class _Said:
    """The messages of a batch, one after the other.

    Attributes:
        rows: of the batch.
        parents: int64, the row of each message, ascending.
        texts: what was said.
        authored: bool, whether the assistant said it.
    """

    rows: int
    parents: pa.Array
    texts: pa.LargeBinaryArray
    authored: pa.BooleanArray

    def all(self) -> pa.LargeBinaryArray:
        return _gather(self.parents, self.texts, self.rows)

    def by_assistant(self) -> pa.LargeBinaryArray:
        return _gather(self.parents.filter(self.authored), self.texts.filter(self.authored), self.rows)


def _typed_chat(column: pa.Array, name: str, uri: str) -> _Said:
    kind = column.type
    if pa.types.is_null(kind):
        return _parsed_chat(column.cast(pa.large_string()))
    if not _is_list(kind) or not pa.types.is_struct(kind.value_type):
        raise _not_text(uri, f"{name!r} is {kind}, not a list of messages")
    fields = [field.name for field in kind.value_type]
    role = next((key for key in _ROLE_KEYS if key in fields), None)
    content = next((key for key in _CONTENT_KEYS if key in fields), None)
    if role is None or content is None:
        raise ShardError(
            uri,
            f"messages in {name!r} have no role and content (have: {', '.join(fields)})",
            "Rename them to role and content, or name a text column with --text.",
            code="FX902",
        )
    flat = column.flatten()
    texts = _text(pc.struct_field(flat, content), f"{name}.{content}", uri)
    roles = pc.struct_field(flat, role).cast(pa.large_string())
    return _Said(len(column), _parents(column), texts, _is_author(roles))


def _parsed_chat(column: pa.Array) -> _Said:
    """Messages whose shapes disagree within a JSONL file, such as content that is now a string and now a list."""
    values = parse_json_text(column)
    found = [
        (row, message)
        for row, value in enumerate(values)
        for message in (value if isinstance(value, list) else [])
        if isinstance(message, dict)
    ]
    said = [_joined_parts(_first(message, _CONTENT_KEYS)) for _, message in found]
    roles = [role if isinstance(role := _first(message, _ROLE_KEYS), str) else None for _, message in found]
    encoded = [None if role is None else as_bytes(role).decode("utf-8", "replace") for role in roles]
    return _Said(
        len(values),
        pa.array([row for row, _ in found], pa.int64()),
        pa.array(said, pa.large_binary()),
        _is_author(pa.array(encoded, pa.large_string())),
    )


def _first(message: dict[str, object], keys: tuple[str, ...]) -> object:
    return next((message[key] for key in keys if key in message), None)


def _is_author(roles: pa.LargeStringArray) -> pa.BooleanArray:
    return pc.fill_null(pc.is_in(pc.utf8_lower(roles), value_set=pa.array(_AUTHORS, pa.large_string())), False)


def _gather(parents: pa.Array, texts: pa.LargeBinaryArray, rows: int) -> pa.LargeBinaryArray:
    """Join texts that share a parent row; rows without any are null. Parents are sorted."""
    keep = texts.is_valid()
    owner = np.asarray(parents.filter(keep)).astype(np.int64)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=rows), out=offsets[1:])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), texts.filter(keep))
    joined = pc.binary_join(lists, pa.scalar(_BREAK, pa.large_binary()))
    return pc.if_else(pa.array(np.diff(offsets) > 0), joined, pa.scalar(None, pa.large_binary()))
