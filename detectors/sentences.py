"""Where sentences start, from what stands between two words; `detectors.words` has the rules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import inlined
from detectors.unicode_classes import EXCLAMATION, FULL_STOP, LOWER, NEWLINE, PERIOD, SPACE, UPPER

__all__ = ["CAPITAL", "ENDED", "SENTENCE_START", "flags_of", "gap_after", "gap_with"]

U8 = npt.NDArray[np.uint8]

SENTENCE_START = 1
CAPITAL = 2

# What stands between two words, as far as sentences care.
_STOPPED = 1
_SPACED = 2
_BROKEN = 4
ENDED = 8
_EXCLAIMED = 16


def _between(gap: int, kind: int) -> int:
    """What the separators since the last word come to when one of class `kind` is added."""
    if kind == SPACE:
        return gap | _SPACED if gap & _STOPPED else gap
    if kind == NEWLINE:
        return gap | (ENDED if gap & _BROKEN else _BROKEN)
    if kind == PERIOD:
        return gap | _STOPPED
    if kind == EXCLAMATION:
        return gap | _STOPPED | _EXCLAIMED
    if kind == FULL_STOP:
        return gap | ENDED
    return gap


def _flag(gap: int, kind: int, after_initial: int) -> int:
    """Flags of a word that begins with class `kind` after the separators `gap`."""
    capital = CAPITAL if kind == UPPER else 0
    if gap & ENDED:
        return capital | SENTENCE_START
    if kind == LOWER:
        return capital
    stopped = gap & _SPACED and not (after_initial and not gap & _EXCLAIMED)
    return capital | (SENTENCE_START if gap & _BROKEN or stopped else 0)


# As tables: what stands between two words is hard to guess, and a wrong guess costs more than a look.
_GAPS = np.array([[_between(gap, kind) for kind in range(16)] for gap in range(32)], np.uint8).ravel()
_FLAGS = np.array(
    [[[_flag(gap, kind, initial) for initial in range(2)] for kind in range(16)] for gap in range(32)], np.uint8
).ravel()


@inlined
def gap_with(gap: int, kind: int) -> int:
    """What the separators come to when one of class `kind` is added."""
    return int(_GAPS[np.uint64(gap << 4 | kind)])


@inlined
def gap_after(data: U8, classes: U8, gap: int, at: int, end: int) -> int:
    """What the separators come to when the ASCII bytes `[at, end)` are added."""
    while at < end:
        gap = gap_with(gap, int(classes[np.uint64(data[np.uint64(at)])]))
        at += 1
    return gap


@inlined
def flags_of(gap: int, kind: int, after_initial: bool) -> int:
    """Flags of a word that begins with class `kind` after the separators `gap`."""
    return int(_FLAGS[np.uint64((gap << 4 | kind) << 1 | np.int64(after_initial))])
