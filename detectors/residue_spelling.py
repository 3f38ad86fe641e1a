"""What a pattern of the phrase table stands for: all its strings, and which of their words any text has whole."""

from __future__ import annotations

from typing import Any, NamedTuple

from detectors.unicode_classes import APOSTROPHE, IGNORED, LETTER, MARK, SINGLE, UPPER, class_table, fold_table

__all__ = ["GAP", "Token", "spelled_out", "tokens"]

GAP = "\uffff"
"""Stands for unknown text in a string that `spelled_out` gives."""


def spelled_out(pattern: str) -> list[str]:
    """Every string that a pattern of the table stands for, with `GAP` where anything may stand."""
    from re import _parser  # type: ignore[attr-defined]

    return _expanded(_parser.parse(pattern))


def _expanded(parsed: Any) -> list[str]:
    strings = [""]
    for kind, value in parsed:
        options = _options(str(kind), value)
        strings = [before + after for before in strings for after in options]
    return list(dict.fromkeys(strings))


def _options(kind: str, value: Any) -> list[str]:
    if kind == "LITERAL":
        return [chr(value)]
    if kind == "AT":
        return [""]
    if kind == "SUBPATTERN":
        return _expanded(value[3])
    if kind == "BRANCH":
        return [string for branch in value[1] for string in _expanded(branch)]
    if kind == "IN" and all(str(inner) == "LITERAL" for inner, _ in value):
        return [chr(inner) for _, inner in value]
    if kind == "MAX_REPEAT" and value[:2] == (0, 1):
        return ["", *_expanded(value[2])]
    if kind == "MAX_REPEAT" and value[0] == 1:
        once = _expanded(value[2])
        return once + [first + GAP + last for first in once for last in once]
    if kind in ("IN", "MAX_REPEAT"):
        return [GAP]
    raise ValueError(f"residue_phrases: {kind} in a pattern is not understood. Spell the phrase in another way")


_JOINED = {False: (*range(LETTER, UPPER + 1), MARK, IGNORED), True: (MARK, IGNORED)}


class Token(NamedTuple):
    """A word of a string, or a `GAP`: its text, whether its edges are sure, and up to two characters after it."""

    text: str
    starts: bool  # sure to start, to end where it does here
    ends: bool
    after: str

    @property
    def whole(self) -> bool:
        """Whether both edges are sure."""
        return self.starts and self.ends

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.text.encode())


def tokens(string: str) -> list[Token]:
    """The words of a string, cut as `detectors.words` does, and which of their edges are sure."""
    classes = class_table()
    kinds = [-1 if letter == GAP else int(classes[ord(letter)]) for letter in string] + [-1]
    found, at = [], 0
    while at < len(string):
        if kinds[at] == -1:
            found.append(Token(GAP, False, False, ""))
        if not LETTER <= kinds[at] <= SINGLE:
            at += 1
            continue
        end, alone = at + 1, kinds[at] == SINGLE
        while kinds[end] in _JOINED[alone] or (
            not alone and kinds[end] == APOSTROPHE and LETTER <= kinds[end + 1] <= UPPER
        ):
            end += 1
        text = string[at:end]
        known = all(map(_folds_together, text))
        starts = known and (alone or (at > 0 and kinds[at - 1] not in (-1, APOSTROPHE)))
        ends = known and end < len(string) and kinds[end] not in (-1, APOSTROPHE)
        found.append(Token(text, starts, ends, string[end : end + 2]))
        at = end
    return found


def _folds_together(letter: str) -> bool:
    """Whether the letters that a phrase accepts in this place hash alike (dotless i and I do not)."""
    folds, upper = fold_table(), letter.upper()
    return len(upper) != 1 or folds[ord(letter)] == folds[ord(upper)]
