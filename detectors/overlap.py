"""Finds every word n-gram that documents share with indexed items: probe 8-grams, then verify word by word.

A shared n-gram holds n - 7 consecutive 8-grams, so where all 8-grams of the items are indexed, looking up every
(n - 7)th 8-gram of a document misses none. A bitmap that fits in cache says at the price of one load that an 8-gram is
not indexed. What is found there is extended word by word in both directions, so nothing counts by its hash alone.

An item of 8 to n - 1 words counts where the document has all of it. Its first 8-gram is looked up at every word of the
document, in a table of its own. Items of fewer words are never found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, read_only
from detectors.ngrams import ngram_hash, power, prefix_hashes
from detectors.words import Words

__all__ = ["PROBE_WORDS", "OverlapFinder", "Overlaps"]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

PROBE_WORDS = 8
"""Words that are looked up at once; the shortest n-gram that can be searched for."""

_SMALLEST, _LARGEST = 1 << 10, 1 << 23  # bits of the first bitmap: at most 1 MB, to stay in the second-level cache
_SPARSE = 4  # binary logarithm of the bits for each entry, or up to twice as many: of the first bitmap, while it may
_WIDE = np.uint64(20)  # grow, and of the second one, whose size is not limited and which starts at this bit of the key
_CHUNK = 1024  # words, or one stride, that are looked up before candidates are
_RECENT = 4096  # diagonals whose last run is remembered, a power of two, or more where an 8-gram is in more places
_COVERED, _STARTS = np.uint8(1), np.uint8(2)
_WORD_BITS, _WORD_MASK, _ONE = np.uint64(6), np.uint64(63), np.uint64(1)
_TAG = np.uint64(0xFFFFFFFF)


class Overlaps(NamedTuple):
    """What n documents share with the items. Zero, and `item` -1, in documents that share nothing."""

    covered: I32
    """int32[n]: words of the document that lie in a shared n-gram."""
    hits: I32
    """int32[n]: positions of the document where a shared n-gram, or a whole short item, begins."""
    item: I32
    """int32[n]: the item of which most words are covered; of these the shortest, then the first."""
    item_covered: I32
    """int32[n]: words of that item that lie in an n-gram shared with the document."""
    passage: I64
    """int64[n]: where the longest passage shared with that item begins, as an index of words; the first of these."""
    passage_words: I32
    """int32[n]: its length in words."""


class _Table(NamedTuple):
    """8-grams of items. Key k is in bucket `k >> shift`: entries `directory[bucket]` to `directory[bucket + 1]`.

    First a bitmap says which keys can be there, then a wide one, which takes a load from memory but errs less often.
    """

    bitmap: U64
    wide: U64
    directory: I32
    shift: np.uint64
    tags: U32
    places: I32
    items: I32


class _Marks(NamedTuple):
    """What has been found: words of documents, then words of items and sums an item for the document in hand."""

    document: U8
    item: U8
    covered: I32
    longest: I32
    longest_at: I64
    touched: I32
    recent: I64


@dataclass(frozen=True, eq=False)
class OverlapFinder:
    """The items, laid out for search; make it with `of`.

    Attributes:
        words: uint64[m]; word hashes of all items.
        offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
        n: words of an n-gram, 8 or more.
        long: all 8-grams of items of n words or more.
        short: the first 8-gram of items of 8 to n - 1 words.
        recent: diagonals to remember, a power of two: a few times as many as one 8-gram has places.
    """

    words: U64
    offsets: I64
    n: int
    long: _Table
    short: _Table
    recent: int
    _spare: list[_Marks] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, words: U64, offsets: I64, n: int) -> OverlapFinder:
        """Lay out items for n-grams of `n` words."""
        words, offsets = read_only(words), read_only(offsets)
        sizes = np.diff(offsets)
        prefix = read_only(prefix_hashes(words))
        every = np.where(sizes >= n, sizes - (PROBE_WORDS - 1), 0)
        first = ((sizes >= PROBE_WORDS) & (sizes < n)).astype(np.int64)
        long, short = _table(prefix, offsets, every), _table(prefix, offsets, first)
        most = max(int(np.diff(table.directory).max()) for table in (long, short))
        return cls(words, offsets, n, long, short, max(_RECENT, 1 << (most.bit_length() + 2)))

    def find(self, documents: Words) -> Overlaps:
        """What each document shares with the items."""
        count = len(documents.counts)
        marks = self._marks(len(documents))
        found = Overlaps(
            np.zeros(count, np.int32),
            np.zeros(count, np.int32),
            np.full(count, -1, np.int32),
            np.zeros(count, np.int32),
            np.zeros(count, np.int64),
            np.zeros(count, np.int32),
        )
        buffers = np.empty((3, _CHUNK + self.n), np.uint64)
        texts = documents.prefix, documents.hashes, documents.doc_offsets
        _search(texts, (self.words, self.offsets), self.n, (self.long, self.short), buffers, marks, found)
        self._spare.append(marks)
        return found

    def _marks(self, words: int) -> _Marks:
        # Those on items are left clear by a search, and clearing them again would cost more than the search.
        items = len(self.offsets) - 1
        try:
            marks = self._spare.pop()
        except IndexError:
            marks = _Marks(
                np.empty(0, np.uint8),
                np.zeros(len(self.words), np.uint8),
                np.zeros(items, np.int32),
                np.zeros(items, np.int32),
                np.zeros(items, np.int64),
                np.zeros(items, np.int32),
                np.empty((self.recent, 3), np.int64),
            )
        marks.recent[:] = 0
        return marks._replace(document=np.zeros(words, np.uint8))


def _table(prefix: U64, offsets: I64, grams: I64) -> _Table:
    total = int(grams.sum())
    bits = max(total.bit_length() - 1, 1)
    size = max(1 << (bits + _SPARSE), _SMALLEST)
    table = _Table(
        np.zeros(min(size, _LARGEST) >> 6, np.uint64),
        np.zeros(size >> 6, np.uint64),
        np.zeros((1 << bits) + 1, np.int32),
        np.uint64(64 - bits),
        np.empty(total, np.uint32),
        np.empty(total, np.int32),
        np.empty(total, np.int32),
    )
    _fill(prefix, offsets, grams, table)
    bitmap, wide, directory, shift, tags, places, owners = table
    shared = read_only(bitmap), read_only(wide), read_only(directory)
    return _Table(*shared, shift, read_only(tags), read_only(places), read_only(owners))


@inlined
def _mask(bitmap: U64) -> np.uint64:
    return np.uint64(bitmap.size * 64 - 1)


@inlined
def _set_bit(bitmap: U64, bit: np.uint64) -> None:
    bitmap[bit >> _WORD_BITS] |= _ONE << (bit & _WORD_MASK)


@inlined
def _bit(bitmap: U64, bit: np.uint64) -> np.uint64:
    word = bitmap[bit >> _WORD_BITS]
    return np.uint64(word >> (bit & _WORD_MASK)) & _ONE


@bare
def _fill(prefix: U64, offsets: I64, grams: I64, table: _Table) -> None:
    bitmap, wide, directory, shift, tags, places, owners = table
    base, mask, wide_mask = power(PROBE_WORDS), _mask(bitmap), _mask(wide)
    for item in range(grams.size):
        for at in range(offsets[item], offsets[item] + grams[item]):
            key = ngram_hash(prefix, at, PROBE_WORDS, base)
            _set_bit(bitmap, key & mask)
            _set_bit(wide, (key >> _WIDE) & wide_mask)
            directory[key >> shift] += 1
    total = 0
    for bucket in range(directory.size):
        total += directory[bucket]
        directory[bucket] = total
    # Filled from the back, each bucket's end becomes its beginning and its entries lie in order.
    for item in range(grams.size - 1, -1, -1):
        for at in range(offsets[item] + grams[item] - 1, offsets[item] - 1, -1):
            key = ngram_hash(prefix, at, PROBE_WORDS, base)
            entry = directory[key >> shift] - 1
            directory[key >> shift] = entry
            tags[entry] = np.uint32(key & _TAG)
            places[entry] = at
            owners[entry] = item


@bare
def _search(
    texts: tuple[U64, U64, I64],
    items: tuple[U64, I64],
    n: int,
    tables: tuple[_Table, _Table],
    buffers: U64,
    marks: _Marks,
    found: Overlaps,
) -> None:
    prefix, hashes, doc_offsets = texts
    long, short = tables
    stride = n - PROBE_WORDS + 1
    probes_long, probes_short = long.tags.size > 0, short.tags.size > 0
    if not (probes_long or probes_short):
        return
    base, keys, candidates = power(PROBE_WORDS), buffers[0], buffers[1:]
    for document in range(doc_offsets.size - 1):
        span = doc_offsets[document], doc_offsets[document + 1]
        touched, at, end = 0, span[0], span[1] - PROBE_WORDS + 1
        while at < end:
            # Whole strides, so that the next chunk goes on in step; and few words, so that keys stay in cache.
            stop = min(end, at + (_CHUNK // stride + 1) * stride)
            window = prefix[at : stop + PROBE_WORDS]
            chunk = keys[: stop - at]
            if probes_short or stride == 1:
                for i in range(stop - at):
                    chunk[i] = ngram_hash(window, i, PROBE_WORDS, base)
            else:
                for i in range(0, stop - at, stride):
                    chunk[i] = ngram_hash(window, i, PROBE_WORDS, base)
            if probes_short:
                touched = _probe(hashes, span, at, chunk, items, n, short, 1, candidates, marks, touched)
            if probes_long:
                touched = _probe(hashes, span, at, chunk, items, n, long, stride, candidates, marks, touched)
            at = stop
        if touched:
            _summarise(document, span, items[1], marks, touched, found)


@bare
def _probe(
    hashes: U64,
    span: tuple[int, int],
    first: int,
    keys: U64,
    items: tuple[U64, I64],
    n: int,
    table: _Table,
    stride: int,
    candidates: U64,
    marks: _Marks,
    touched: int,
) -> int:
    """Look up every `stride`-th key, that of the 8-gram at word `first` first; return the items touched so far."""
    bitmap, wide, directory, shift, tags, places, owners = table
    mask, wide_mask = _mask(bitmap), _mask(wide)
    may, might = candidates[0], candidates[1]
    # No branch depends on what is found, so that a miss costs no more than its load, and loads overlap. Unsigned
    # indices, so that numba does not look for negative ones.
    found = kept = np.uint64(0)
    for i in range(np.uint64(0), np.uint64(keys.size), np.uint64(stride)):
        may[found] = i
        found += _bit(bitmap, keys[i] & mask)
    for i in range(found):
        might[kept] = may[i]
        kept += _bit(wide, (keys[may[i]] >> _WIDE) & wide_mask)
    for i in range(kept):
        key = keys[might[i]]
        bucket, tag = key >> shift, np.uint32(key & _TAG)
        for entry in range(directory[bucket], directory[bucket + _ONE]):
            if tags[entry] == tag:
                at, place, item = first + int(might[i]), int(places[entry]), int(owners[entry])
                touched = _verify(hashes, span, at, items, place, item, n, marks, touched)
    return touched


@bare
def _verify(
    hashes: U64,
    span: tuple[int, int],
    at: int,
    items: tuple[U64, I64],
    place: int,
    item: int,
    n: int,
    marks: _Marks,
    touched: int,
) -> int:
    """Extend a common 8-gram as far as words agree, and mark it if it is long enough; return the items touched."""
    words, (low, high) = items[0], (items[1][item], items[1][item + 1])
    diagonal = at - place
    recent = marks.recent[diagonal & (marks.recent.shape[0] - 1)]
    if recent[0] == diagonal and recent[1] <= at and at + PROBE_WORDS <= recent[2]:
        return touched
    for i in range(PROBE_WORDS):
        if hashes[at + i] != words[place + i]:
            return touched
    left, right = 0, PROBE_WORDS
    while at - left > span[0] and place - left > low and hashes[at - left - 1] == words[place - left - 1]:
        left += 1
    while at + right < span[1] and place + right < high and hashes[at + right] == words[place + right]:
        right += 1
    start, end = at - left, at + right
    recent[0], recent[1], recent[2] = diagonal, start, end
    wanted = min(n, high - low)
    if end - start < wanted:
        return touched
    for i in range(start, end):
        marks.document[i] |= _COVERED
    for i in range(start, end - wanted + 1):
        marks.document[i] |= _STARTS
    if marks.covered[item] == 0:
        marks.touched[touched] = item
        touched += 1
    for i in range(place - left, place + right):
        marks.covered[item] += 1 - marks.item[i]
        marks.item[i] = 1
    length = end - start
    if length > marks.longest[item] or (length == marks.longest[item] and start < marks.longest_at[item]):
        marks.longest[item], marks.longest_at[item] = length, start
    return touched


@bare
def _summarise(
    document: int, span: tuple[int, int], item_offsets: I64, marks: _Marks, touched: int, found: Overlaps
) -> None:
    """Sum up a document that shares something, and clear the marks of the items it touched."""
    for i in range(span[0], span[1]):
        found.covered[document] += marks.document[i] & _COVERED
        found.hits[document] += marks.document[i] >> _ONE
    best, best_covered, best_size = -1, 0, 0
    for i in range(touched):
        item = int(marks.touched[i])
        covered, size = int(marks.covered[item]), item_offsets[item + 1] - item_offsets[item]
        if (
            covered > best_covered
            or (covered == best_covered and size < best_size)
            or (covered == best_covered and size == best_size and item < best)
        ):
            best, best_covered, best_size = item, covered, size
    found.item[document], found.item_covered[document] = best, best_covered
    found.passage[document], found.passage_words[document] = marks.longest_at[best], marks.longest[best]
    for i in range(touched):
        item = int(marks.touched[i])
        marks.covered[item], marks.longest[item] = 0, 0
        marks.item[item_offsets[item] : item_offsets[item + 1]] = 0
