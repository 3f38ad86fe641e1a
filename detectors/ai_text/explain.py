"""Which parts of one document moved its margin: exact shares, since the fast tier adds weights up.

A slow and plain second reading of `detectors.ai_text.kernel`: it visits the same features of the same windows, but
remembers the bytes that each was made of. A test holds the two equal, feature by feature. A feature counts once in a
window, if the table of weights holds it. Its share of the margin is its weight times the model's scale, by the square
root of the number of such features in its window and by the number of windows, divided evenly over the places where it
stands; shares and the model's bias add up to the margin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ai_text.disguise import as_read
from detectors.ai_text.features import COMMON_BITS, KEY_BITS, WINDOW_BYTES, Tables
from detectors.ai_text.folding import SPACE
from detectors.ai_text.kernel import CHECK_BITS
from detectors.ai_text.model import FastModel
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.pieces import cuts_of, pieces

__all__ = ["KINDS", "MAX_BYTES", "Attribution", "Feature", "attribute", "window_features"]

I8 = npt.NDArray[np.int8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

KINDS = ("word", "pair", "mark", "kinds")
"""Kinds of features: a word, two neighbouring words, marks with or without a word beside them, and three neighbouring
words or marks of which only common ones stand for themselves."""
MAX_BYTES = 4 << 20
"""Longest text that can be explained."""
_WORD, _PAIR, _MARK, _THREE = range(4)
_MASK64 = (1 << 64) - 1
_LAST, _PAIR_SEED = 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3
_AFTER, _ALONE, _BEFORE, _MARK_SEED = 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0xBF58476D1CE4E5B9
_SEEDS = (0x2545F4914F6CDD1D, 0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD)
_SUFFIX, _LENGTH, _IDEOGRAPH = 0x9FB21C651E98DF25, 0xC2B2AE3D27D4EB4F, 0x27D4EB2F165667C5
_MARK_BYTES, _ASTRAL = 24, 0x25A1


class Feature(NamedTuple):
    """One feature of a window: what kind, the bytes of the document that it was made of, and its key."""

    kind: int
    start: int
    end: int
    bucket: int


@dataclass(frozen=True, eq=False)
class Attribution:
    """A margin taken apart. `bias + values.sum()` and `bias + by_segment.sum()` are the margin.

    Attributes:
        text: bytes of the document as it reads, see `detectors.ai_text.disguise`.
        bias: margin of a document without features.
        windows: margin of each window, in order, and
        weights: what each counts in the margin; they add up to 1.
        kinds: int8[m], index into `KINDS` of each feature, and
        starts: int64[m], its first byte in the text,
        ends: int64[m], the byte after its last,
        buckets: int64[m], its key,
        values: float64[m], its share of the margin, positive for machine-like.
        edges: int64[s + 1], edges of segments: a word with all that follows it up to the next word. The first begins
            at byte 0 and the last ends with the text.
        sentences: int64, bytes at which sentences start.
    """

    text: bytes
    bias: float
    windows: tuple[float, ...]
    weights: tuple[float, ...]
    kinds: I8
    starts: I64
    ends: I64
    buckets: I64
    values: F64
    edges: I64
    sentences: I64

    @property
    def margin(self) -> float:
        """The raw margin, as a scan stores it (in float32)."""
        return self.bias + float(self.values.sum())

    @cached_property
    def by_segment(self) -> F64:
        """float64[s]: share of each segment. A feature across several is divided by the bytes that it has in each."""
        size = np.maximum(self.ends - self.starts, 1)
        # Value spread evenly over the bytes of each feature; running sums at the edges then give every segment its own.
        density = np.zeros(len(self.text) + 1)
        np.add.at(density, self.starts, self.values / size)
        np.add.at(density, np.minimum(self.ends, len(self.text)), -self.values / size)
        running = np.concatenate([[0.0], np.cumsum(np.cumsum(density[:-1]))])
        result: F64 = np.diff(running[self.edges])
        return result

    def kind_sums(self) -> dict[str, float]:
        """Share of each kind of feature."""
        return {name: float(self.values[self.kinds == kind].sum()) for kind, name in enumerate(KINDS)}


def attribute(document: Documents, model: FastModel) -> Attribution:
    """Take the margin of a single document apart.

    Args:
        document: a batch of one row; what a scan judges, the answering part of a conversation.
        model: the fast tier.

    Raises:
        InputError: more than `MAX_BYTES` of text, which would take minutes and gigabytes.
    """
    size = len(_bytes(document))
    if size > MAX_BYTES:
        raise InputError(f"{size:,} bytes of text: at most {MAX_BYTES:,} can be explained. Explain a part of it.")
    cut = _pieces(document)
    text = b"".join(_bytes(piece.document) for piece in cut)
    words = Documents.from_texts([text]).words
    found = [window for piece in cut for window in _windows(piece, model)]
    features = np.concatenate([window.features for window in found])
    first = words.start
    return Attribution(
        text=text,
        bias=model.bias,
        windows=tuple(model.bias + float(window.values.sum()) for window in found),
        weights=tuple(window.weight for window in found),
        kinds=features[:, 0].astype(np.int8),
        starts=features[:, 1],
        ends=features[:, 2],
        buckets=features[:, 3],
        values=np.concatenate([window.values * window.weight for window in found]),
        edges=np.concatenate([[0], first[1:], [len(text)]]).astype(np.int64),
        sentences=np.unique(np.concatenate([[0], first[words.sentence_starts]])).astype(np.int64),
    )


class _Piece(NamedTuple):
    """A part of a document that a scan measures as one: where it starts and what it counts in the mean."""

    document: Documents
    start: int
    weight: float


class _Window(NamedTuple):
    """Features of a window, int64[m, fields of `Feature`], and float64[m], their shares of its margin."""

    features: I64
    values: F64
    weight: float


def _pieces(document: Documents) -> list[_Piece]:
    """The pieces that a scan cuts a document of over 1 MiB into, weighted by their characters; one of any other.

    Each is as it reads (`detectors.ai_text.disguise`); `start` counts the bytes of those before it.
    """
    cut = [
        as_read(batch.slice(at, 1))
        for starts, batch in pieces(document, cuts_of(document))
        for at in range(len(starts))
    ]
    sizes = [sum(byte & 0xC0 != 0x80 for byte in _bytes(piece)) for piece in cut]
    starts = np.cumsum([0, *(len(_bytes(piece)) for piece in cut[:-1])]).tolist()
    return [
        _Piece(piece, start, size / max(sum(sizes), 1) if len(cut) > 1 else 1.0)
        for piece, start, size in zip(cut, starts, sizes, strict=True)
    ]


def _windows(piece: _Piece, model: FastModel) -> Iterator[_Window]:
    windows = [_table(features) for features in window_features(piece.document, model.tables)]
    for features in windows:
        moved = features + np.array([0, piece.start, piece.start, 0])
        yield _Window(moved, _values(features[:, 3], model), piece.weight / len(windows))


def _values(buckets: I64, model: FastModel) -> F64:
    """float64[m]: the share of each feature in the margin of its window; repeats of one divide its share."""
    slots = buckets >> CHECK_BITS
    entries = model.tables.weights[slots]
    weights = (entries & 255).astype(np.uint8).view(np.int8).astype(np.float64)
    weights[entries >> 8 != buckets & (1 << CHECK_BITS) - 1] = 0.0
    _, place = np.unique(slots, return_inverse=True)
    # A feature that the table does not hold may ask for the slot of one that it does: it is no repeat of it.
    repeats = np.bincount(place, weights != 0.0)
    shares: F64 = weights / np.maximum(repeats[place], 1.0) * (model.scale / sqrt(max(int((repeats > 0).sum()), 1)))
    return shares


def _table(features: Iterator[Feature]) -> I64:
    return np.array(list(features), np.int64).reshape(-1, len(Feature._fields))


def _bytes(document: Documents) -> bytes:
    return document.data[int(document.offsets[0]) : int(document.offsets[-1])].tobytes()


def window_features(document: Documents, tables: Tables) -> Iterator[Iterator[Feature]]:
    """The features of every window of a document, with spans counted from its first byte.

    Args:
        document: a batch of one row of at most `detectors.pieces.LONG_BYTES`.
        tables: the fold table is what is used of it.
    """
    text, base, words = _bytes(document), int(document.offsets[0]), document.words
    start, end, hashes = words.start - base, words.end - base, [int(one) for one in words.hashes]
    windows = max(1, -(-len(text) // WINDOW_BYTES))
    edge = word = 0
    kinds: list[_Kind] = []
    for window in range(windows):
        edge = len(text) * (window + 1) // windows
        for _ in range(3):
            if edge < len(text) and text[edge] & 0xC0 == 0x80:
                edge += 1
        last = len(start) if edge == len(text) else int(np.searchsorted(start, edge))
        yield _of_window(text, (word, last), (start, end, hashes, words.characters), tables, kinds)
        word = last


class _Kind(NamedTuple):
    """What a word or the marks after it are to the triples: a hash, and the bytes that they stand in."""

    code: int
    start: int
    end: int


def _of_window(
    text: bytes, words: tuple[int, int], views: tuple[I64, I64, list[int], I32], tables: Tables, kinds: list[_Kind]
) -> Iterator[Feature]:
    """Features of the words `words`; `kinds` are all kinds of the document so far."""
    start, end, hashes, characters = views
    for k in range(*words):
        low, high = int(start[k]), int(end[k])
        yield _feature(_WORD, low, high, hashes[k])
        if k:
            yield _feature(_PAIR, int(start[k - 1]), high, hashes[k - 1] * _PAIR_SEED + hashes[k])
        kinds.append(_Kind(_kind(text[low:high], hashes[k], int(characters[k]), tables), low, high))
        yield from _three(kinds)
        after = int(start[k + 1]) if k + 1 < len(start) else len(text)
        marks = _marks(text, high, after, tables)
        if marks:
            yield _feature(_MARK, low, after, hashes[k] * _AFTER + marks)
            yield _feature(_MARK, high, after, marks * _ALONE)
            if k + 1 < len(start):
                yield _feature(_MARK, high, int(end[k + 1]), hashes[k + 1] * _BEFORE & _MASK64 ^ marks)
            kinds.append(_Kind(marks, high, after))
            yield from _three(kinds)


def _three(kinds: list[_Kind]) -> Iterator[Feature]:
    if len(kinds) >= 3:
        codes = [kind.code * seed for kind, seed in zip(kinds[-3:], _SEEDS, strict=True)]
        yield _feature(_THREE, kinds[-3].start, kinds[-1].end, sum(codes))


def _kind(word: bytes, hashed: int, characters: int, tables: Tables) -> int:
    """The word itself if it is common, else its last two characters, or an ideograph, and about its length."""
    bit = hashed >> 64 - COMMON_BITS
    if int(tables.common[bit >> 6]) >> (bit & 63) & 1:
        return hashed
    ending = _ending(word, tables)
    if characters == 1 and max(word[-2:]) >= 0x80:
        ending = _IDEOGRAPH
    return (ending * _SUFFIX ^ min(characters >> 2, 3) * _LENGTH) & _MASK64


def _ending(word: bytes, tables: Tables) -> int:
    if max(word[-2:]) < 0x80:
        one, two = (int(tables.fold[byte]) & 255 for byte in word[-2:].rjust(2, word[-1:]))
        return one << 8 | two
    begin = max(len(word) - 8, 0)
    while begin and word[begin] & 0xC0 == 0x80:
        begin -= 1
    codes = (int(tables.fold[point]) & 255 for point, _, _ in _characters(word, begin, len(word)))
    one, two = [0, 0, *(code for code in codes if code)][-2:]
    return one << 8 | two


def _feature(kind: int, start: int, end: int, hashed: int) -> Feature:
    return Feature(kind, start, end, (hashed * _LAST & _MASK64) >> 64 - KEY_BITS)


def _characters(text: bytes, low: int, high: int) -> Iterator[tuple[int, int, int]]:
    """(code point of the Basic Multilingual Plane, first byte, byte after); stray continuation bytes are passed."""
    at = low
    while at < high:
        lead, first = text[at], at
        at += 1
        if lead < 0x80:
            yield lead, first, at
        elif lead >= 0xC0:
            length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            point = lead & 0x7F >> length
            for _ in range(length - 1):
                if at < high and text[at] & 0xC0 == 0x80:
                    point = point << 6 | text[at] & 0x3F
                    at += 1
            yield (_ASTRAL if point > 0xFFFF else point), first, at


def _marks(text: bytes, low: int, high: int, tables: Tables) -> int:
    """Hash of the marks between two words, runs once, white space left out; 0 where there are none."""
    if high == low + 2 and text[low + 1] == SPACE and text[low] < 0x80:
        code = int(tables.fold[text[low]]) & 255
        return code * _MARK_SEED & _MASK64 if code != SPACE else 0
    found, previous = 0, SPACE
    for point, _, _ in _characters(text, low, min(high, low + _MARK_BYTES)):
        code = int(tables.fold[point]) & 255
        if code not in (0, previous, SPACE):
            found = (found ^ code) * _MARK_SEED & _MASK64
            previous = code
    return found
