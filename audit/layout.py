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
        `column:`.

        Raises:
            ShardError: a column that does not hold text.
        """
        columns = {f"column:{name}": batch.column(name) for name in batch.schema.names}
        parts = [_text(batch.column(name), name, uri) for name in self.columns] if self.kind is not Kind.CHAT else []
        if self.kind is Kind.TEXT:
            columns["text"] = parts[0]
        elif self.kind is Kind.ANSWER:
            columns["text"], columns["response"] = _join(parts), parts[-1]
        else:
            columns["text"], columns["response"] = _chat(batch.column(self.columns[0]), self.columns[0], uri)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def find_layout(names: Sequence[str], uri: str, *, text: str | None = None) -> Layout:
    """Choose the layout by column names, or take the text column that was named.

    Raises:
        ShardError: nothing that looks like text, or the named column is absent.
    """
    if text is not None:
        if text not in names:
            raise _missing(text, names, uri)
        return Layout(Kind.CHAT if text in _CHATS else Kind.TEXT, (text,))
    lower = {name.lower(): name for name in reversed(names)}
    for name in TEXT_NAMES:
        if name in lower:
            return Layout(Kind.TEXT, (lower[name],))
    for name in _CHATS:
        if name in lower:
            return Layout(Kind.CHAT, (lower[name],))
    prompts = [lower[name] for name in _PROMPTS if name in lower][:1]
    answers = [lower[name] for name in _ANSWERS if name in lower][:1]
    if prompts and answers:
        inputs = [lower[name] for name in _INPUTS if name in lower]
        return Layout(Kind.ANSWER, (*prompts, *inputs, *answers))
    raise _missing("text", names, uri)


def _missing(wanted: str, names: Sequence[str], uri: str) -> ShardError:
    near = difflib.get_close_matches(wanted, names, 1)
    example = (
        near[0] if near else next((n for n in names if n.lower() in ("body", "output", "answer", "question")), "COLUMN")
    )
    has = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
    return ShardError(
        uri,
        f"no column {wanted!r} (has: {has})",
        f'Set text = "{example}" in [tool.foxing], or pass --text',
        code="FX902",
    )


def _text(column: pa.Array, name: str, uri: str) -> pa.LargeBinaryArray:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return _join_lists(column.cast(pa.large_list(kind.value_type)), name, uri)
    try:
        return as_large_binary(column)
    except TypeError as error:
        raise ShardError(
            uri, f"column {name!r} is {kind}, not text", "Name a text column with --text.", code="FX902"
        ) from error


def _join_lists(column: pa.LargeListArray, name: str, uri: str) -> pa.LargeBinaryArray:
    """One document a row from a list of texts (answers): items joined by blank lines; empty and null lists are null."""
    parents = column.value_parent_indices()
    return _gather(parents, _text(column.flatten(), name, uri), len(column))


def _join(parts: list[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """Join columns row by row; what is null is left out, and a row of nulls is null."""
    # pyarrow 26: binary_join_element_wise(null_handling="skip") drops rows that are null throughout.
    rows, width = len(parts[0]), len(parts)
    by_row = np.arange(rows)[:, None] + np.arange(width)[None, :] * rows
    return _gather(
        pa.array(np.repeat(np.arange(rows), width)), pa.concat_arrays(parts).take(pa.array(by_row.ravel())), rows
    )


def _chat(column: pa.Array, name: str, uri: str) -> tuple[pa.LargeBinaryArray, pa.LargeBinaryArray]:
    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind)
    if not listed or not pa.types.is_struct(kind.value_type):
        raise ShardError(
            uri, f"column {name!r} is {kind}, not a list of messages", "Name a text column with --text.", code="FX902"
        )
    column = column.cast(pa.large_list(kind.value_type))
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
    parents, flat = column.value_parent_indices(), column.flatten()
    said = _text(pc.struct_field(flat, content), f"{name}.{content}", uri)
    roles = pc.utf8_lower(pc.struct_field(flat, role).cast(pa.large_string()))
    authored = pc.fill_null(pc.is_in(roles, value_set=pa.array(_AUTHORS, pa.large_string())), False)
    response = _gather(parents.filter(authored), said.filter(authored), len(column))
    return _gather(parents, said, len(column)), response


def _gather(parents: pa.Array, texts: pa.LargeBinaryArray, rows: int) -> pa.LargeBinaryArray:
    """Join texts that share a parent row; rows without any are null. Parents are sorted."""
    keep = texts.is_valid()
    owner = np.asarray(parents.filter(keep)).astype(np.int64)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=rows), out=offsets[1:])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), texts.filter(keep))
    joined = pc.binary_join(lists, pa.scalar(_BREAK, pa.large_binary()))
    return pc.if_else(pa.array(np.diff(offsets) > 0), joined, pa.scalar(None, pa.large_binary()))
