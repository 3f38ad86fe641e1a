"""Copies put into a corpus, whose likeness to their origin is known: exact ones, and edited ones by word 5-grams.

An edited copy has words of its origin replaced by words of other documents, either here and there or in one run, as
many as bring the Jaccard similarity of the sets of word 5-grams (words as foxing cuts them) nearest to a wanted one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from detectors.documents import Documents

__all__ = ["SHINGLE_WORDS", "jaccard", "plant", "shingles"]

SHINGLE_WORDS = 5
_LEAST_WORDS, _MOST_WORDS = 120, 1500
_LOWEST, _HIGHEST = 0.5, 0.95
_DONORS = 500


class _Words(NamedTuple):
    """One text: hashes of its words, and where they stand in its bytes."""

    raw: bytes
    hashes: list[int]
    spans: list[tuple[int, int]]

    @classmethod
    def of(cls, text: str) -> _Words:
        documents = Documents.from_texts([text])
        words = documents.words
        spans = list(zip(words.start.tolist(), words.end.tolist(), strict=True))
        return cls(text.encode(), words.hashes.tolist(), spans)


def plant(texts: Sequence[str], *, exact: int, near: int, seed: int) -> pl.DataFrame:
    """The texts in their order, then copies of texts drawn at random, each of another.

    Returns:
        `text`; `kind`, of a copy `exact`, `scattered` or `run`, else null; `origin`, row of what it is a copy of, or
        null; `wanted` and `jaccard`, similarity of an edited copy that was aimed at, 0.5 to 0.95, and that it has.
    """
    drawn = random.Random(seed)
    sizes = Documents.from_texts(list(texts)).words.counts.tolist()
    fit = [row for row, size in enumerate(sizes) if _LEAST_WORDS <= size <= _MOST_WORDS]
    chosen = drawn.sample(fit, exact + near)
    donors = [_Words.of(texts[row]) for row in drawn.sample(fit, min(_DONORS, len(fit)))]
    rows: list[tuple[str, str | None, int | None, float | None, float | None]] = [
        (text, None, None, None, None) for text in texts
    ]
    rows += [(texts[row], "exact", row, 1.0, 1.0) for row in chosen[:exact]]
    for number, row in enumerate(chosen[exact:]):
        kind = ("scattered", "run")[number % 2]
        wanted = _LOWEST + (_HIGHEST - _LOWEST) * number / max(near - 1, 1)
        text = _edited(_Words.of(texts[row]), wanted, kind == "run", donors, drawn)
        rows.append((text, kind, row, wanted, jaccard(shingles(texts[row]), shingles(text))))
    names = {"text": pl.String, "kind": pl.String, "origin": pl.Int64, "wanted": pl.Float64, "jaccard": pl.Float64}
    return pl.DataFrame(rows, schema=names, orient="row")


def shingles(text: str) -> frozenset[tuple[int, ...]]:
    """The word 5-grams of a text, of all its words where it has fewer."""
    return _shingles(_Words.of(text).hashes)


def jaccard(one: frozenset[tuple[int, ...]], other: frozenset[tuple[int, ...]]) -> float:
    """Of two sets, 0 to 1; 0 where both are empty."""
    return len(one & other) / max(len(one | other), 1)


def _shingles(hashes: Sequence[int]) -> frozenset[tuple[int, ...]]:
    size = min(SHINGLE_WORDS, len(hashes))
    return frozenset(tuple(hashes[at : at + size]) for at in range(len(hashes) - size + 1) if size)


def _edited(words: _Words, wanted: float, in_a_run: bool, donors: Sequence[_Words], drawn: random.Random) -> str:
    count = len(words.hashes)
    places = list(range(count))
    if in_a_run:
        begin = drawn.randrange(count)
        places = places[begin:] + places[:begin]
    else:
        drawn.shuffle(places)
    instead = [_word(drawn.choice(donors), drawn) for _ in places]
    origin = _shingles(words.hashes)

    def likeness(replaced: int) -> float:
        hashes = list(words.hashes)
        for place in places[:replaced]:
            hashes[place] = instead[place][0]
        return jaccard(origin, _shingles(hashes))

    low, high = 0, count  # likeness(low) >= wanted > likeness(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if likeness(middle) >= wanted else (low, middle)
    replaced = min((low, high), key=lambda each: abs(likeness(each) - wanted))
    raw = words.raw
    for place in sorted(places[:replaced], reverse=True):
        start, end = words.spans[place]
        raw = raw[:start] + instead[place][1] + raw[end:]
    return raw.decode()


def _word(donor: _Words, drawn: random.Random) -> tuple[int, bytes]:
    at = drawn.randrange(len(donor.hashes))
    start, end = donor.spans[at]
    return donor.hashes[at], donor.raw[start:end]
