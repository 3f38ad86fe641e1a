"""Learns stop-grams: the 8-grams of benchmark items that stand in texts which cannot have the benchmark in them.

"The quick brown fox jumps over the lazy" in a document says nothing about a benchmark when it stands in text that is
older. What is learned is a set, so the order of documents and how they are split into batches change nothing.

A text that was taken for clean may hold an item all the same. Where more than half the 8-grams of an item stand in one
document, and at least `LEAST_GRAMS` of them do, the item counts as found there: nothing that this item holds is learned
from that document, none of its 8-grams is a stop-gram of its own, and the caller is told. An 8-gram that stands in more
than a thousand places of items is the form of a benchmark and tells none of them: it counts for no item, and is a
stop-gram wherever clean text has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.gram_table import GRAM_WORDS, gram_keys, gram_places
from detectors.jit import bare, read_only
from detectors.ngrams import ngram_hash, power, prefix_hashes
from detectors.words import Words

__all__ = ["LEAST_GRAMS", "MOST_PLACES", "StopGrams"]

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST_GRAMS = 6
"""8-grams of a run of 13 words: of a shorter item any phrase that people use is more than half."""
MOST_PLACES = 1 << 10
"""Places in items beyond which an 8-gram is form."""
_MOST_PAIRS = 1 << 12  # documents with items that one call reports


class _Grams(NamedTuple):
    """The different 8-grams of the items, sorted by key; gram g has `holders[starts[g] : starts[g + 1]]`."""

    keys: U64
    directory: I64
    shift: np.uint64
    filter: U64
    words: U64
    example: I64
    starts: I64
    holders: I32
    sizes: I32


class _State(NamedTuple):
    """What was learned, and scratch for the document in hand."""

    stopped: U8
    leaked: U8
    seen: I64
    serial: I64
    matched: I64
    counts: I32
    touched: I32


class StopGrams:
    """The 8-grams of some items, and which of them clean documents hold.

    Args:
        words: uint64[m]; word hashes of all items.
        offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
    """

    def __init__(self, words: U64, offsets: I64) -> None:
        self._places, self._owners = gram_places(offsets)
        keys = gram_keys(prefix_hashes(read_only(words)), self._places)
        order = np.argsort(keys, kind="stable")
        distinct, first, self._gram = np.unique(keys, return_index=True, return_inverse=True)
        bits = max(len(distinct).bit_length() - 1, 1)
        tops = (distinct >> np.uint64(64 - bits)).astype(np.int64)
        bitmap = np.zeros(1 << max(bits + 4 - 6, 4), np.uint64)
        low = distinct & np.uint64(bitmap.size * 64 - 1)
        np.bitwise_or.at(bitmap, (low >> np.uint64(6)).astype(np.int64), np.uint64(1) << (low & np.uint64(63)))
        grams, items = len(distinct), len(offsets) - 1
        places = np.bincount(self._gram, minlength=grams)
        told = (places <= MOST_PLACES)[self._gram]
        sizes = np.bincount(self._owners[told], minlength=items).astype(np.int32)
        self._grams = _Grams(
            read_only(distinct),
            read_only(np.searchsorted(tops, np.arange((1 << bits) + 1))),
            np.uint64(64 - bits),
            read_only(bitmap),
            read_only(words),
            read_only(self._places[first]),
            read_only(np.cumsum(np.r_[0, np.where(places <= MOST_PLACES, places, 0)])),
            read_only(self._owners[order][told[order]]),
            read_only(sizes),
        )
        self._state = _State(
            np.zeros(grams, np.uint8),
            np.zeros(items, np.uint8),
            np.zeros(grams, np.int64),
            np.zeros(1, np.int64),
            np.empty(grams, np.int64),
            np.zeros(items, np.int32),
            np.empty(items, np.int32),
        )
        self._words = len(words)

    def update(self, documents: Words) -> list[tuple[int, int]]:
        """Learn from clean documents.

        Returns:
            Document and item wherever a document holds more than half of an item; of one call at most 4,096.
        """
        pairs = np.empty((_MOST_PAIRS, 2), np.int64)
        texts = documents.prefix, documents.hashes, documents.doc_offsets
        found = _learn(texts, self._grams, self._state, pairs) if len(self._grams.keys) else 0
        return [(int(document), int(item)) for document, item in pairs[:found]]

    @property
    def leaked(self) -> Bools:
        """bool[items]: of which a clean document held more than half."""
        return self._state.leaked.astype(np.bool_)

    @property
    def stopped(self) -> Bools:
        """bool[m]: whether the 8-gram that begins at each word of the items is a stop-gram."""
        found = np.zeros(self._words, np.bool_)
        found[self._places] = (self._state.stopped[self._gram] > 0) & ~self.leaked[self._owners]
        return found


@bare
def _learn(texts: tuple[U64, U64, I64], grams: _Grams, state: _State, pairs: I64) -> int:
    prefix, hashes, doc_offsets = texts
    base, mask = power(GRAM_WORDS), np.uint64(grams.filter.size * 64 - 1)
    reported = 0
    for document in range(doc_offsets.size - 1):
        state.serial[0] += 1
        matched = 0
        for at in range(doc_offsets[document], doc_offsets[document + 1] - GRAM_WORDS + 1):
            key = ngram_hash(prefix, at, GRAM_WORDS, base)
            low = key & mask
            if (grams.filter[low >> np.uint64(6)] >> (low & np.uint64(63))) & np.uint64(1) == 0:
                continue
            gram = _gram_of(key, hashes, at, grams)
            if gram >= 0 and state.seen[gram] != state.serial[0]:
                state.seen[gram] = state.serial[0]
                state.matched[matched] = gram
                matched += 1
        if matched:
            reported = _settle(document, matched, grams, state, pairs, reported)
    return reported


@bare
def _gram_of(key: np.uint64, hashes: U64, at: int, grams: _Grams) -> int:
    """The gram with this key and these words, or -1."""
    bucket = key >> grams.shift
    for gram in range(grams.directory[bucket], grams.directory[bucket + np.uint64(1)]):
        if grams.keys[gram] == key:
            place = grams.example[gram]
            for i in range(GRAM_WORDS):
                if hashes[at + i] != grams.words[place + i]:
                    return -1
            return gram
    return -1


@bare
def _settle(document: int, matched: int, grams: _Grams, state: _State, pairs: I64, reported: int) -> int:
    """Learn the grams that one document holds, but those of items that it holds more than half of."""
    touched = 0
    for i in range(matched):
        gram = state.matched[i]
        for at in range(grams.starts[gram], grams.starts[gram + 1]):
            item = grams.holders[at]
            if state.counts[item] == 0:
                state.touched[touched] = item
                touched += 1
            state.counts[item] += 1
    for i in range(touched):
        item = state.touched[i]
        if _is_found(state.counts[item], grams.sizes[item]):
            state.leaked[item] = 1
            if reported < pairs.shape[0]:
                pairs[reported, 0], pairs[reported, 1] = document, item
                reported += 1
    for i in range(matched):
        gram = state.matched[i]
        common = True
        for at in range(grams.starts[gram], grams.starts[gram + 1]):
            item = grams.holders[at]
            if _is_found(state.counts[item], grams.sizes[item]):
                common = False
                break
        if common:
            state.stopped[gram] = 1
    for i in range(touched):
        state.counts[state.touched[i]] = 0
    return reported


@bare
def _is_found(held: int, size: int) -> bool:
    return held >= LEAST_GRAMS and 2 * held > size
