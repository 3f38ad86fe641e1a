"""Foxing's signals and rules as steps of other pipelines. Each module needs the library that it is named after."""

from __future__ import annotations

__all__ = ["FIELDS", "column_name"]

FIELDS = ("ai_text.p_human", "ai_text.score", "rules", "dropped_by")
"""What is put beside a text when nothing else is asked for."""


def column_name(field: str) -> str:
    """The name of a field of findings beside a text: `ai_text.p_human` is `foxing_ai_text_p_human`."""
    return f"foxing_{field.replace('.', '_')}"
