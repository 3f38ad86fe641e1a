"""What two texts that should say the same have in common, and what not: words, digits, length. Over whole batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.documents import Documents

__all__ = ["copied_share", "digit_mismatch", "length_ratio"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NINE = 9


def copied_share(source: Documents, target: Documents) -> F64:
    """float64[n]: share of the letters of the target that are in words of the source.

    Words as foxing segments them, folded; those that begin with a digit do not count, for numbers stay what they are.
    Names do stay, too, so a good translation has some. NaN where the target has no words.
    """
    keys, owner = _keys(source), _owners(target)
    known = np.isin(_keys(target), keys)
    words = target.words
    letters = np.where(_is_digit(target.data[words.start]), 0, words.characters)
    total = np.bincount(owner, weights=letters, minlength=len(target))
    found = np.bincount(owner, weights=letters * known, minlength=len(target))
    return _over(found.astype(np.float64), total.astype(np.float64))


def digit_mismatch(source: Documents, target: Documents) -> F64:
    """float64[n]: share of the digits 0 to 9 on both sides that have no like on the other side.

    Digits are compared as a heap, so that 1,000 is 1.000 and 24 December 12/24; what is in letters on one side alone
    (`two`) counts as missing there. NaN where neither side has a digit.
    """
    ours, theirs = _digits(source), _digits(target)
    total = (ours + theirs).sum(axis=1).astype(np.float64)
    apart = np.abs(ours - theirs).sum(axis=1)
    return _over(apart.astype(np.float64), total)


def length_ratio(source: Documents, target: Documents) -> F64:
    """float64[n]: characters of the target for each of the source; NaN where either has none."""
    ours, theirs = _characters(source).astype(np.float64), _characters(target).astype(np.float64)
    return _over(np.where(theirs > 0, theirs, np.nan), ours)


def _over(part: F64, whole: F64) -> F64:
    """NaN where there is no whole."""
    found: F64 = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return found


def _owners(documents: Documents) -> I64:
    """int64[words]: the document of each word."""
    return np.repeat(np.arange(len(documents)), documents.words.counts)


def _keys(documents: Documents) -> U64:
    """uint64[words]: a word in its document; the same word in another one has another key."""
    mixed = documents.words.hashes ^ (_owners(documents).astype(np.uint64) + np.uint64(1)) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray(mixed ^ (mixed >> np.uint64(27)))


def _is_digit(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((data - np.uint8(ord("0"))) <= _NINE)


def _digits(documents: Documents) -> I64:
    """int64[n, 10]: how often each digit stands in each document."""
    start, stop = documents.offsets[0], documents.offsets[-1]
    data = documents.data[start:stop]
    at = np.flatnonzero(_is_digit(data))
    owner = np.searchsorted(documents.offsets[1:], at + start, side="right")
    cells = owner * 10 + (data[at] - np.uint8(ord("0")))
    return np.bincount(cells, minlength=10 * len(documents)).reshape(len(documents), 10)


def _characters(documents: Documents) -> I64:
    """int64[n]: code points, counted by the bytes that begin one."""
    begins = (documents.data[documents.offsets[0] : documents.offsets[-1]] & 0xC0) != 0x80
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(begins, dtype=np.int64)])
    edges = documents.offsets - documents.offsets[0]
    return np.asarray(running[edges[1:]] - running[edges[:-1]])
