"""Finds every word n-gram that documents share with indexed items: probe 8-grams, then verify word by word.

A shared n-gram holds n - 7 consecutive 8-grams, so where all 8-grams of the items are indexed, looking up every
(n - 7)th 8-gram of a document misses none. A bitmap that fits in cache says at the price of one load that an 8-gram is
not indexed. What is found there is extended word by word in both directions, so nothing counts by its hash alone.

Not all 8-grams are kept (`detectors.gram_table`): a run of words counts where it holds one that is. Where the one that
is looked up is not, which the table says, those around it are looked up too, so no such run is missed either.

An item of 8 to n - 1 words counts where the document has all of it. Its first kept 8-gram is looked up at every word of
the document, in a table of its own, and so is every 8-gram of items that are searched for with n = 8. Items of fewer
words are never found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.gram_table import GRAM_WORDS, WIDE, GramTable, bit, gram_keys, gram_places, kept_grams, lay_out
from detectors.jit import bare, inlined, read_only
from detectors.ngrams import ngram_hash, power, prefix_hashes
from detectors.words import Words

__all__ = ["OverlapFinder", "Overlaps"]

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_CHUNK = 1024  # words, or one stride, that are looked up before candidates are
_RECENT = 4096  # diagonals whose last run is remembered, a power of two, or more where an 8-gram is in more places
_COVERED, _STARTS = np.uint8(1), np.uint8(2)
_ONE, _TAG = np.uint64(1), np.uint64(0xFFFFFFFF)


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
    asked: I32
    """int32[n]: of them those of its question part."""
    passage: I64
    """int64[n]: where the longest passage shared with that item begins, as an index of words; the first of these."""
    passage_words: I32
    """int32[n]: its length in words."""
    passage_place: I64
    """int64[n]: where it begins in the words of the items."""


class _Marks(NamedTuple):
    """What has been found: words of documents, then words of items and sums an item for the document in hand."""

    document: U8
    item: U8
    covered: I32
    longest: I32
    longest_at: I64
    longest_place: I64
    touched: I32
    recent: I64


class _Items(NamedTuple):
    """The items; `wanted` is how many words of each a passage must have, `asking` how many its question part has."""

    words: U64
    offsets: I64
    wanted: I64
    asking: I64


@dataclass(frozen=True, eq=False)
class OverlapFinder:
    """The items, laid out for search; make it with `of`.

    Attributes:
        items: their words and what is wanted of each.
        stride: every so many words of a document are looked up in `sparse`.
        sparse: the kept 8-grams of items of which more than 8 words must be shared, but not all of them.
        dense: of other items, those that are looked up at every word.
        recent: diagonals to remember, a power of two: a few times as many as one 8-gram has places.
    """

    items: _Items
    stride: int
    sparse: GramTable
    dense: GramTable
    recent: int
    _spare: list[_Marks] = field(default_factory=list, repr=False)

    @classmethod
    def of(
        cls,
        words: U64,
        offsets: I64,
        n: int | npt.ArrayLike,
        *,
        stopped: Bools | None = None,
        asking: npt.ArrayLike = 0,
    ) -> OverlapFinder:
        """Lay out items for search.

        Args:
            words: uint64[m]; word hashes of all items.
            offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
            n: words of an n-gram, 8 or more; of each item, or of all.
            stopped: bool[m]; whether the 8-gram that begins at each word is a stop-gram. None: none is.
            asking: words of each item's question part, which comes first.
        """
        words, offsets = read_only(words), read_only(offsets)
        sizes = np.diff(offsets)
        lengths, asking = (np.broadcast_to(np.asarray(value, np.int64), sizes.shape) for value in (n, asking))
        places, owners = gram_places(offsets)
        keys = gram_keys(prefix_hashes(words), places)
        stops = np.zeros(len(places), np.bool_) if stopped is None else stopped[places]
        is_sparse = (sizes >= lengths) & (lengths > GRAM_WORDS)
        in_sparse = is_sparse[owners]
        stride = int(lengths[is_sparse].min(initial=1 << 30)) - GRAM_WORDS + 1 if is_sparse.any() else 1
        sparse = _sparse(keys[in_sparse], places[in_sparse], owners[in_sparse], stops[in_sparse])
        whole = (sizes < lengths)[owners[~in_sparse]]
        dense = _dense(keys[~in_sparse], places[~in_sparse], owners[~in_sparse], stops[~in_sparse], whole)
        most = max(int(np.diff(table.directory).max()) for table in (sparse, dense))
        items = _Items(words, offsets, read_only(np.minimum(lengths, sizes)), read_only(asking))
        return cls(items, stride, sparse, dense, max(_RECENT, 1 << (most.bit_length() + 2)))

    def find(self, documents: Words) -> Overlaps:
        """What each document shares with the items."""
        count = len(documents.counts)
        marks = self._marks(len(documents))
        small, large = (np.zeros((4, count), kind) for kind in (np.int32, np.int64))
        item = np.full(count, -1, np.int32)
        words = np.zeros(count, np.int32)
        found = Overlaps(small[0], small[1], item, small[2], small[3], large[0], words, large[1])
        buffers = np.empty((3, _CHUNK + 2 * self.stride), np.uint64)
        texts = documents.prefix, documents.hashes, documents.doc_offsets
        _search(texts, self.items, self.stride, (self.sparse, self.dense), buffers, marks, found)
        self._spare.append(marks)
        return found

    def _marks(self, words: int) -> _Marks:
        # Those on items are left clear by a search, and clearing them again would cost more than the search.
        items = len(self.items.wanted)
        try:
            marks = self._spare.pop()
        except IndexError:
            marks = _Marks(
                np.empty(0, np.uint8),
                np.zeros(len(self.items.words), np.uint8),
                np.zeros(items, np.int32),
                np.zeros(items, np.int32),
                np.zeros(items, np.int64),
                np.zeros(items, np.int64),
                np.zeros(items, np.int32),
                np.empty((self.recent, 3), np.int64),
            )
        marks.recent[:] = 0
        return marks._replace(document=np.zeros(words, np.uint8))


def _sparse(keys: U64, places: I64, owners: I32, stops: Bools) -> GramTable:
    """What is kept, and a mark for every 8-gram that is not kept everywhere."""
    kept = kept_grams(keys, owners, stops)
    _, marked = np.unique(keys[~kept], return_index=True)
    marks = np.flatnonzero(~kept)[marked]
    every = np.r_[np.flatnonzero(kept), marks]
    items = np.r_[owners[kept], np.full(len(marks), -1, np.int32)]
    return lay_out(keys[every], places[every], items)


def _dense(keys: U64, places: I64, owners: I32, stops: Bools, whole: Bools) -> GramTable:
    """What is kept; of items that count as a whole, the first of it."""
    kept = np.flatnonzero(kept_grams(keys, owners, stops))
    again = np.r_[False, owners[kept][1:] == owners[kept][:-1]] if len(kept) else np.zeros(0, np.bool_)
    kept = kept[~(again & whole[kept])]
    return lay_out(keys[kept], places[kept], owners[kept])


@inlined
def _mask(bitmap: U64) -> np.uint64:
    return np.uint64(bitmap.size * 64 - 1)


@bare
def _search(
    texts: tuple[U64, U64, I64],
    items: _Items,
    stride: int,
    tables: tuple[GramTable, GramTable],
    buffers: U64,
    marks: _Marks,
    found: Overlaps,
) -> None:
    prefix, hashes, doc_offsets = texts
    sparse, dense = tables
    probes_sparse, probes_dense = sparse.tags.size > 0, dense.tags.size > 0
    if not (probes_sparse or probes_dense):
        return
    base, keys, may, might, both = power(GRAM_WORDS), buffers[0], buffers[1], buffers[2], (prefix, hashes)
    for document in range(doc_offsets.size - 1):
        span = doc_offsets[document], doc_offsets[document + 1]
        touched, at, end = 0, span[0], span[1] - GRAM_WORDS + 1
        while at < end:
            # Whole strides, so that the next chunk goes on in step; and few words, so that keys stay in cache.
            stop = min(end, at + (_CHUNK // stride + 1) * stride)
            window = prefix[at : stop + GRAM_WORDS]
            chunk = keys[: stop - at]
            if probes_dense or stride == 1:
                for i in range(stop - at):
                    chunk[i] = ngram_hash(window, i, GRAM_WORDS, base)
            else:
                for i in range(0, stop - at, stride):
                    chunk[i] = ngram_hash(window, i, GRAM_WORDS, base)
            if probes_dense:
                kept = _probe(chunk, dense.bitmap, dense.wide, 1, may, might)
                if kept:
                    few = might[:kept]
                    touched = _follow(both, span, at, chunk, few, items, dense, 1, marks, touched)
            if probes_sparse:
                kept = _probe(chunk, sparse.bitmap, sparse.wide, stride, may, might)
                if kept:
                    few = might[:kept]
                    touched = _follow(both, span, at, chunk, few, items, sparse, stride, marks, touched)
            at = stop
        if touched:
            _summarise(document, span, items, marks, touched, found)


@bare
def _probe(keys: U64, bitmap: U64, wide: U64, stride: int, may: U64, might: U64) -> np.uint64:
    """Number of every `stride`-th key that may well be in a table of these bitmaps; `might` gets their indices."""
    mask, wide_mask = _mask(bitmap), _mask(wide)
    # No branch depends on what is found, so that a miss costs no more than its load, and loads overlap. Unsigned
    # indices, so that numba does not look for negative ones.
    found = kept = np.uint64(0)
    for i in range(np.uint64(0), np.uint64(keys.size), np.uint64(stride)):
        may[found] = i
        found += bit(bitmap, keys[i] & mask)
    for i in range(found):
        might[kept] = may[i]
        kept += bit(wide, (keys[may[i]] >> WIDE) & wide_mask)
    return kept


@bare
def _follow(
    texts: tuple[U64, U64],
    span: tuple[int, int],
    first: int,
    keys: U64,
    candidates: U64,
    items: _Items,
    table: GramTable,
    stride: int,
    marks: _Marks,
    touched: int,
) -> int:
    """Look up candidates among keys, that of the 8-gram at word `first` first; return the items touched so far."""
    directory, shift, tags, places, owners = table.directory, table.shift, table.tags, table.places, table.items
    for candidate in candidates:
        key = keys[candidate]
        bucket, tag = key >> shift, np.uint32(key & _TAG)
        for entry in range(directory[bucket], directory[bucket + _ONE]):
            if tags[entry] == tag:
                at, place, item = first + int(candidate), int(places[entry]), int(owners[entry])
                if item < 0:
                    touched = _look_around(texts, span, at, items, table, stride, marks, touched)
                else:
                    touched = _verify(texts[1], span, at, items, place, item, marks, touched)
    return touched


@bare
def _look_around(
    texts: tuple[U64, U64],
    span: tuple[int, int],
    middle: int,
    items: _Items,
    table: GramTable,
    stride: int,
    marks: _Marks,
    touched: int,
) -> int:
    """Look up the 8-grams that may share an n-gram with the one at `middle`; return the items touched so far."""
    bitmap, wide, directory, shift, tags, places, owners = table
    prefix, hashes = texts
    mask, wide_mask, base = _mask(bitmap), _mask(wide), power(GRAM_WORDS)
    for at in range(max(span[0], middle - stride + 1), min(span[1] - GRAM_WORDS, middle + stride - 1) + 1):
        key = ngram_hash(prefix, at, GRAM_WORDS, base)
        if bit(bitmap, key & mask) & bit(wide, (key >> WIDE) & wide_mask) == 0:
            continue
        bucket, tag = key >> shift, np.uint32(key & _TAG)
        for entry in range(directory[bucket], directory[bucket + _ONE]):
            if tags[entry] == tag and owners[entry] >= 0:
                touched = _verify(hashes, span, at, items, int(places[entry]), int(owners[entry]), marks, touched)
    return touched


@bare
def _verify(
    hashes: U64,
    span: tuple[int, int],
    at: int,
    items: _Items,
    place: int,
    item: int,
    marks: _Marks,
    touched: int,
) -> int:
    """Extend a common 8-gram as far as words agree, and mark it if it is long enough; return the items touched."""
    words, low, high, wanted = items.words, items.offsets[item], items.offsets[item + 1], items.wanted[item]
    diagonal = at - place
    recent = marks.recent[diagonal & (marks.recent.shape[0] - 1)]
    if recent[0] == diagonal and recent[1] <= at and at + GRAM_WORDS <= recent[2]:
        return touched
    for i in range(GRAM_WORDS):
        if hashes[at + i] != words[place + i]:
            return touched
    left, right = 0, GRAM_WORDS
    while at - left > span[0] and place - left > low and hashes[at - left - 1] == words[place - left - 1]:
        left += 1
    while at + right < span[1] and place + right < high and hashes[at + right] == words[place + right]:
        right += 1
    start, end = at - left, at + right
    recent[0], recent[1], recent[2] = diagonal, start, end
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
    length, longest, first = end - start, marks.longest[item], marks.longest_at[item]
    if length > longest or (
        length == longest and (start < first or (start == first and place - left < marks.longest_place[item]))
    ):
        marks.longest[item], marks.longest_at[item], marks.longest_place[item] = length, start, place - left
    return touched


@bare
def _summarise(
    document: int, span: tuple[int, int], items: _Items, marks: _Marks, touched: int, found: Overlaps
) -> None:
    """Sum up a document that shares something, and clear the marks of the items it touched."""
    for i in range(span[0], span[1]):
        found.covered[document] += marks.document[i] & _COVERED
        found.hits[document] += marks.document[i] >> _ONE
    offsets = items.offsets
    best, best_covered, best_size = -1, 0, 0
    for i in range(touched):
        item = int(marks.touched[i])
        covered, size = int(marks.covered[item]), offsets[item + 1] - offsets[item]
        if (
            covered > best_covered
            or (covered == best_covered and size < best_size)
            or (covered == best_covered and size == best_size and item < best)
        ):
            best, best_covered, best_size = item, covered, size
    found.item[document], found.item_covered[document] = best, best_covered
    for i in range(offsets[best], offsets[best] + items.asking[best]):
        found.asked[document] += marks.item[i]
    found.passage[document], found.passage_words[document] = marks.longest_at[best], marks.longest[best]
    found.passage_place[document] = marks.longest_place[best]
    for i in range(touched):
        item = int(marks.touched[i])
        marks.covered[item], marks.longest[item] = 0, 0
        marks.item[offsets[item] : offsets[item + 1]] = 0
