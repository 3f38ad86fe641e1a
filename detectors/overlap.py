"""Finds every word n-gram that documents share with indexed items: probe 8-grams, then verify word by word.

A shared n-gram holds n - 7 consecutive 8-grams, so where all 8-grams of the items are indexed, looking up every
(n - 7)th 8-gram of a document misses none. A bitmap that fits in cache says at the price of one load that an 8-gram is
not indexed. What is found there is extended word by word in both directions, so nothing counts by its hash alone.

Not all 8-grams are kept (`detectors.gram_table`): a run of words counts where it holds one that is. Where the one that
is looked up is not, which the table says, those around it are looked up too, so no such run is missed either.

Of an 8-gram that one item holds again and again only the first eight places are kept: no item of the benchmarks that
are in use holds one more often, and a document of one word would else be compared with each of them at every word.

An item of 8 to n - 1 words counts where the document has all of it. Its first kept 8-gram is looked up at every word of
the document, in a table of its own, and so is every 8-gram of items that are searched for with n = 8. Items of fewer
words are never found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors.gram_table import GRAM_WORDS, WIDE, GramTable, bit
from detectors.jit import bare, inlined
from detectors.ngrams import ngram_hash, power
from detectors.overlap_runs import Items, Marks, Overlaps, is_known, summarise, verify
from detectors.words import Words

__all__ = ["OverlapFinder", "Overlaps"]

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

_CHUNK = 1024  # words, or one stride, that are looked up before candidates are
_ONE, _TAG = np.uint64(1), np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, eq=False)
class OverlapFinder:
    """The items, laid out for search by `detectors.overlap_layout.lay_out`.

    Attributes:
        items: their words and what is wanted of each.
        stride: every so many words of a document are looked up in `sparse`.
        sparse: the kept 8-grams of items of which more than 8 words must be shared, but not all of them.
        dense: of other items, those that are looked up at every word.
        recent: diagonals to remember, a power of two: a few times as many as one 8-gram has places.
    """

    items: Items
    stride: int
    sparse: GramTable
    dense: GramTable
    recent: int
    _spare: list[Marks] = field(default_factory=list, repr=False)

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

    def _marks(self, words: int) -> Marks:
        # Those on items are left clear by a search, and clearing them again would cost more than the search.
        items = len(self.items.wanted)
        try:
            marks = self._spare.pop()
        except IndexError:
            marks = Marks(
                np.empty(0, np.uint8),
                np.zeros(len(self.items.words), np.uint8),
                np.zeros(items, np.int32),
                np.zeros(items, np.int32),
                np.zeros(items, np.int64),
                np.zeros(items, np.int64),
                np.zeros(items, np.int32),
                np.empty((self.recent, 3), np.int64),
                np.zeros((items, 2), np.int64),
                np.zeros(4, np.int64),
            )
        marks.recent[:] = 0
        return marks._replace(document=np.zeros(words, np.uint8))


@inlined
def _mask(bitmap: U64) -> np.uint64:
    return np.uint64(bitmap.size * 64 - 1)


@bare
def _search(
    texts: tuple[U64, U64, I64],
    items: Items,
    stride: int,
    tables: tuple[GramTable, GramTable],
    buffers: U64,
    marks: Marks,
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
        marks.area[0], marks.area[1], marks.area[2], marks.area[3] = at, at, 0, at
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
            summarise(document, span, items, marks, touched, found)


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
    items: Items,
    table: GramTable,
    stride: int,
    marks: Marks,
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
                elif not is_known(texts[1], span, at, items, place, item, marks):
                    touched = verify(texts[1], span, at, items, place, item, marks, touched)
    return touched


@bare
def _look_around(
    texts: tuple[U64, U64],
    span: tuple[int, int],
    middle: int,
    items: Items,
    table: GramTable,
    stride: int,
    marks: Marks,
    touched: int,
) -> int:
    """Look up the 8-grams that may share an n-gram with the one at `middle`; return the items touched so far."""
    bitmap, wide, directory, shift, tags, places, owners = table
    prefix, hashes = texts
    mask, wide_mask, base = _mask(bitmap), _mask(wide), power(GRAM_WORDS)
    first, last = max(marks.area[3], middle - stride + 1), min(span[1] - GRAM_WORDS, middle + stride - 1)
    marks.area[3] = max(marks.area[3], last + 1)
    for at in range(first, last + 1):
        key = ngram_hash(prefix, at, GRAM_WORDS, base)
        if bit(bitmap, key & mask) & bit(wide, (key >> WIDE) & wide_mask) == 0:
            continue
        bucket, tag = key >> shift, np.uint32(key & _TAG)
        for entry in range(directory[bucket], directory[bucket + _ONE]):
            place, item = int(places[entry]), int(owners[entry])
            if tags[entry] == tag and item >= 0 and not is_known(hashes, span, at, items, place, item, marks):
                touched = verify(hashes, span, at, items, place, item, marks, touched)
    return touched
