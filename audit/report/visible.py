"""Text from data as it may be shown: characters that act instead of being seen become a replacement character."""

from __future__ import annotations

import re

__all__ = ["one_line", "visible"]

_ACTING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPACE = re.compile(r"\s+")


def visible(text: str) -> str:
    """Control, bidirectional, invisible and surrogate characters as `\\ufffd`; line breaks and tabs stay."""
    return _ACTING.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str, longest: int = 0) -> str:
    """The same on one line, cut to so many characters where `longest` is given."""
    line = _SPACE.sub(" ", visible(text)).strip()
    return line if not longest or len(line) <= longest else line[: longest - 1] + "…"
