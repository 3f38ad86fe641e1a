"""Counts of word n-grams and of marks in small collections of documents, and how unlike two collections use them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.documents import Documents
from detectors.frequent import display_text
from detectors.jit import read_only
from detectors.ngrams import prefix_hashes

__all__ = ["Counted", "Texts", "count_marks", "count_phrases", "log_odds"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_PRIOR_SHARE = 1.0
_MARKS = re.compile(r"(?!(?<=\w)['’](?=\w))[^\w\s]+|\n\s*\n")  # an apostrophe within a word is part of it
_BLANK = "blank line"


class Texts:
    """Documents as words, kept until all are counted: at most `most_words` from the start of each."""

    def __init__(self, most_words: int) -> None:
        self._most = most_words
        self._hashes: list[U64] = []
        self._spans: list[tuple[bytes, I64, I64]] = []

    def add(self, documents: Documents) -> None:
        """Take in every document of a batch."""
        words, base = documents.words, int(documents.offsets[0])
        data = documents.data[base : int(documents.offsets[-1])]
        for row in range(len(documents)):
            first = int(words.doc_offsets[row])
            last = min(int(words.doc_offsets[row + 1]), first + self._most)
            begin = int(documents.offsets[row])
            self._hashes.append(words.hashes[first:last].copy())
            stop = int(words.end[last - 1]) if last > first else begin
            text = data[begin - base : stop - base].tobytes()
            self._spans.append((text, words.start[first:last] - begin, words.end[first:last] - begin))

    @property
    def documents(self) -> int:
        """How many."""
        return len(self._hashes)

    @property
    def total_words(self) -> int:
        """Words that are counted."""
        return sum(map(len, self._hashes))

    def ngrams(self, n: int) -> tuple[U64, I64, I64]:
        """Hash of every n-gram, the document it stands in, and its place: position among all words."""
        sizes = np.array([len(one) for one in self._hashes], np.int64)
        ends = np.cumsum(sizes)
        words = np.concatenate([*self._hashes, np.zeros(0, np.uint64)])
        prefix = prefix_hashes(read_only(words))
        owner = np.repeat(np.arange(len(sizes)), sizes)
        places = np.flatnonzero(np.arange(len(words)) + n <= ends[owner]) if len(words) else np.zeros(0, np.int64)
        factor = np.uint64(pow(int(_BASE), n, 1 << 64))
        # What a `detectors.ngrams.ngram_hash` mixes further: equal where the words are, which is all that counts here.
        hashes = prefix[places + n] - prefix[places] * factor
        return hashes, owner[places], places

    def marks(self) -> list[Counter[str]]:
        """Of each document, runs of characters that are neither letters, digits nor white space, and blank lines."""
        found = (_MARKS.findall(text.decode("utf-8", "replace")) for text, _, _ in self._spans)
        return [Counter(mark if mark.strip() else _BLANK for mark in marks) for marks in found]

    def phrase(self, place: int, n: int) -> str:
        """The n words from `place` on, folded."""
        before = 0
        for hashes, (text, start, end) in zip(self._hashes, self._spans, strict=True):
            if place < before + len(hashes):
                at = place - before
                return display_text(b" ".join(text[int(start[k]) : int(end[k])] for k in range(at, at + n)))
            before += len(hashes)
        raise IndexError(place)


@dataclass(frozen=True)
class Counted:
    """n-grams of several collections, m in all.

    Attributes:
        hashes: uint64[m], ascending.
        counts: int64[m, collections], occurrences.
        documents: int64[m, collections], documents that have it.
        places: int64[m], where it stands first in the first collection.
        totals: int64[collections], n-grams of each collection, those that the first has not among them.
    """

    hashes: U64
    counts: I64
    documents: I64
    places: I64
    totals: I64


def count_phrases(collections: Sequence[Texts], n: int) -> Counted:
    """Count every n-gram that the first collection has, in all collections."""
    found = [one.ngrams(n) for one in collections]
    kinds, first = np.unique(found[0][0], return_index=True)
    columns = [_column(kinds, hashes, owners) for hashes, owners, _ in found]
    counts, documents = (np.stack([column[at] for column in columns], axis=1) for at in (0, 1))
    totals = np.array([len(hashes) for hashes, _, _ in found], np.int64)
    return Counted(kinds, counts, documents, found[0][2][first], totals)


def count_marks(collections: Sequence[Texts]) -> tuple[list[str], Counted]:
    """Count every run of marks that the first collection has; its totals are words, so that rates are marks a word.

    Returns:
        The marks, in the order of their counts, whose hashes and places mean nothing.
    """
    documents = [one.marks() for one in collections]
    names = sorted(set().union(*documents[0]) if documents[0] else ())
    counts, owners = np.zeros((2, len(names), len(collections)), np.int64)
    place = {name: at for at, name in enumerate(names)}
    for column, found in enumerate(documents):
        for marks in found:
            for mark, times in marks.items():
                if mark in place:
                    counts[place[mark], column] += times
                    owners[place[mark], column] += 1
    order = np.arange(len(names))
    totals = np.maximum(np.array([one.total_words for one in collections], np.int64), counts.sum(axis=0))
    return names, Counted(order.astype(np.uint64), counts, owners, order, totals)


def _column(kinds: U64, hashes: U64, owners: I64) -> tuple[I64, I64]:
    """Occurrences and documents of each kind."""
    if not len(kinds):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(kinds, hashes), len(kinds) - 1)
    known = kinds[place] == hashes
    place, owners = place[known], owners[known]
    counts = np.bincount(place, minlength=len(kinds))
    pairs = np.unique(place * np.int64(owners.max(initial=0) + 1) + owners)
    documents = np.bincount(pairs // np.int64(owners.max(initial=0) + 1), minlength=len(kinds))
    return counts.astype(np.int64), documents.astype(np.int64)


def log_odds(counted: Counted, side: int = 0, *, against: int) -> F64:
    """float64[m]: z of the log-odds ratio with an informative Dirichlet prior; positive where `one` uses more.

    The shape of the prior is the usage of all collections together, as heavy as the smaller of both.

    Args:
        counted: n-grams.
        side: a collection, and
        against: the one that it is compared with.

    Source: Monroe, Colaresi and Quinn 2008, Fightin' Words, equations 16 and 22.
    """
    weight = _PRIOR_SHARE * float(min(counted.totals[side], counted.totals[against])) or 1.0
    prior = counted.counts.sum(axis=1) * (weight / max(float(counted.totals.sum()), 1.0))
    odds, spread = [], np.zeros(len(prior))
    for one in (side, against):
        counts, total = counted.counts[:, one], float(counted.totals[one])
        odds.append(np.log((counts + prior) / np.maximum(total + weight - counts - prior, 1e-9)))
        spread += 1.0 / (counts + prior)
    result: F64 = (odds[0] - odds[1]) / np.sqrt(spread)
    return result
