"""Chats that are kept as JSON text because their messages differ in shape: the assistant's last answer, and no more.

A text is taken apart and put together again only where that gives the very same text, so all but the answer stays what
it was, byte for byte.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["json_answers", "with_json_answers"]

_ROLES, _CONTENTS = ("role", "from"), ("content", "value")


def json_answers(column: pa.Array, authors: tuple[str, ...]) -> pa.LargeStringArray:
    """What the assistant said last in each chat.

    Args:
        column: JSON text, a list of messages each.
        authors: roles that are the assistant's, in lower case.

    Returns:
        large_string[n]; null where there is no such message, where its content is no text, and where the JSON was
        spelled in another way than this would put it together again.
    """
    found = [_last(value, authors) for value in column.to_pylist()]
    return pa.array([None if last is None else last[1][last[2]] for last in found], pa.large_string())


def with_json_answers(
    column: pa.Array, rows: npt.NDArray[np.int64], answers: pa.Array, authors: tuple[str, ...]
) -> pa.Array:
    """The chats with other answers.

    Args:
        column: as above.
        rows: int64, which to change; of all of them `json_answers` is not null.
        answers: text of each of `rows`.
        authors: as above.
    """
    values = column.to_pylist()
    for row, answer in zip(rows.tolist(), answers.to_pylist(), strict=True):
        last = _last(values[row], authors)
        assert last is not None
        messages, message, content = last
        message[content] = answer
        values[row] = json.dumps(messages)
    return pa.array(values, column.type)


def _last(value: str | None, authors: tuple[str, ...]) -> tuple[list[object], dict[str, object], str] | None:
    """All messages, the assistant's last one and the key of its content; None where it cannot be edited."""
    if value is None:
        return None
    try:
        messages = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(messages, list) or json.dumps(messages) != value:
        return None
    for message in reversed(messages):
        if not isinstance(message, dict):
            continue
        role = next((message[key] for key in _ROLES if key in message), None)
        if isinstance(role, str) and role.lower() in authors:
            content = next((key for key in _CONTENTS if key in message), None)
            return (messages, message, content) if content and isinstance(message[content], str) else None
    return None
