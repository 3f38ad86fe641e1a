"""Lays out items for `detectors.overlap`, in the memory of the tables themselves.

What of their 8-grams is kept, and what is marked, is said in `detectors.gram_table` and `detectors.overlap`. An index
of millions of words is laid out once in every worker of a scan, and copies of it would be the most memory that a worker
ever takes: so 8-grams are hashed twice, first to count those of each bucket, then to put each into its place, and a
bucket is then sorted and thinned out where it lies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.gram_table import GRAM_WORDS, MOST_ITEMS, MOST_PLACES, WIDE, GramTable
from detectors.jit import bare, inlined, read_only
from detectors.ngrams import BASE, ngram_hash, power
from detectors.overlap import OverlapFinder
from detectors.overlap_runs import Items

__all__ = ["lay_out"]

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SMALLEST, _LARGEST = 1 << 10, 1 << 23  # bits of the first bitmap: at most 1 MB, to stay in the second-level cache
_SPARSE = 4  # binary logarithm of the bits for each entry, or up to twice as many: of the first bitmap, while it may
# grow, and of the second one, whose size is not limited
_WORD_BITS, _WORD_MASK, _ONE = np.uint64(6), np.uint64(63), np.uint64(1)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_RECENT = 4096  # diagonals whose last run is remembered, a power of two, or more where an 8-gram is in more places
_MOST = (MOST_ITEMS, MOST_PLACES)


class _Entries(NamedTuple):
    """8-grams, bucket by bucket: the halves of their keys, their places and items; see `GramTable`."""

    tags: U32
    high: U32
    places: I32
    items: I32

    def first(self, count: int) -> _Entries:
        """So many of them."""
        return _Entries(self.tags[:count], self.high[:count], self.places[:count], self.items[:count])


def lay_out(
    words: U64,
    offsets: I64,
    n: int | npt.ArrayLike,
    *,
    stopped: Bools | None = None,
    asking: npt.ArrayLike = 0,
    most: tuple[int, int] = _MOST,
) -> OverlapFinder:
    """Lay out items for search.

    Args:
        words: uint64[m]; word hashes of all items.
        offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
        n: words of an n-gram, 8 or more; of each item, or of all.
        stopped: bool[m]; whether the 8-gram that begins at each word is a stop-gram. None: none is.
        asking: words of each item's question part, which comes first.
        most: items that are found by one 8-gram, and places of it that are kept of each of them.
    """
    stopped = np.zeros(len(words), np.bool_) if stopped is None else stopped
    words, offsets, stopped = read_only(words), read_only(offsets), read_only(stopped)
    sizes = np.diff(offsets)
    lengths, asking = (np.broadcast_to(np.asarray(value, np.int64), sizes.shape) for value in (n, asking))
    is_sparse = (sizes >= lengths) & (lengths > GRAM_WORDS)
    stride = int(lengths[is_sparse].min()) - GRAM_WORDS + 1 if is_sparse.any() else 1
    sparse = _table(words, offsets, is_sparse, stopped, marked=True, whole=np.zeros_like(is_sparse), most=most)
    dense = _table(words, offsets, ~is_sparse, stopped, marked=False, whole=sizes < lengths, most=most)
    largest = max(int(np.diff(table.directory).max()) for table in (sparse, dense))
    items = Items(words, offsets, read_only(np.minimum(lengths, sizes)), read_only(asking))
    return OverlapFinder(items, stride, sparse, dense, max(_RECENT, 1 << (largest.bit_length() + 2)))


def _table(
    words: U64, offsets: I64, chosen: Bools, stopped: Bools, *, marked: bool, whole: Bools, most: tuple[int, int]
) -> GramTable:
    """A table of the 8-grams that are kept, in order of their places where their keys are equal.

    Args:
        words: as `lay_out`,
        offsets: too,
        chosen: bool[items]; items to lay out.
        stopped: as `lay_out`.
        marked: whether an 8-gram that is not kept everywhere gets an entry that says so.
        whole: bool[items]; items of which the first 8-gram that is kept is enough.
        most: as `lay_out`.
    """
    sizes = np.where(chosen, np.diff(offsets), 0)
    total = int(np.maximum(sizes - (GRAM_WORDS - 1), 0).sum())
    bits = max(total.bit_length() - 1, 1)
    shift = np.uint64(64 - bits)
    directory = np.zeros((1 << bits) + 1, np.int32)
    # Arrays of their own, so that what the table has no use for is freed.
    tags, high = np.empty(total, np.uint32), np.empty(total, np.uint32)
    entries = _Entries(tags, high, np.empty(total, np.int32), np.empty(total, np.int32))
    window = np.empty(int(sizes.max(initial=0)) + 1, np.uint64)
    _put(words, offsets, read_only(chosen), window, shift, directory, entries)
    entries = entries.first(_thin_out(directory, entries, stopped, marked, most))
    if whole.any():
        least = np.full(len(chosen), np.iinfo(np.int32).max, np.int32)
        entries = entries.first(_keep_first(directory, entries, read_only(whole), least))
    size = max(1 << (bits + _SPARSE), _SMALLEST)
    bitmap, wide = np.zeros(min(size, _LARGEST) >> 6, np.uint64), np.zeros(size >> 6, np.uint64)
    _set_bits(entries, bitmap, wide)
    shared = read_only(bitmap), read_only(wide), read_only(directory)
    return GramTable(*shared, shift, read_only(entries.tags), read_only(entries.places), read_only(entries.items))


@inlined
def _prefix(words: U64, first: int, end: int, window: U64) -> None:
    running = np.uint64(0)
    window[0] = running
    for i in range(end - first):
        running = running * BASE + words[first + i]
        window[i + 1] = running


@bare
def _put(
    words: U64, offsets: I64, chosen: Bools, window: U64, shift: np.uint64, directory: I32, entries: _Entries
) -> None:
    """Put all 8-grams of the chosen items into their buckets, in order of their places."""
    tags, high, places, items = entries
    base = power(GRAM_WORDS)
    for item in range(chosen.size):
        if chosen[item]:
            first, end = offsets[item], offsets[item + 1]
            _prefix(words, first, end, window)
            for i in range(end - first - (GRAM_WORDS - 1)):
                directory[ngram_hash(window, i, GRAM_WORDS, base) >> shift] += 1
    total = 0
    for bucket in range(directory.size):
        total += directory[bucket]
        directory[bucket] = total
    # Filled from the back, each bucket's end becomes its beginning.
    for item in range(chosen.size - 1, -1, -1):
        if chosen[item]:
            first, end = offsets[item], offsets[item + 1]
            _prefix(words, first, end, window)
            for i in range(end - first - GRAM_WORDS, -1, -1):
                key = ngram_hash(window, i, GRAM_WORDS, base)
                entry = directory[key >> shift] - 1
                directory[key >> shift] = entry
                tags[entry], high[entry] = np.uint32(key & _LOW), np.uint32(key >> _HALF)
                places[entry], items[entry] = first + i, item


@bare
def _thin_out(directory: I32, entries: _Entries, stopped: Bools, marked: bool, most: tuple[int, int]) -> int:
    """Take out what is not kept, in place; return how many entries are left."""
    tags, high, places, items = entries
    left, start = 0, directory[0]
    for bucket in range(directory.size - 1):
        end = directory[bucket + 1]
        directory[bucket] = left
        _sort(entries, start, end)
        while start < end:
            low_half, high_half, dropped = tags[start], high[start], -1
            holders, holder, times = 0, -1, 0
            while start < end and tags[start] == low_half and high[start] == high_half:
                place, item = places[start], items[start]
                if item != holder:
                    holders, holder, times = holders + 1, item, 0
                times += 1
                if holders <= most[0] and times <= most[1] and not stopped[place]:
                    tags[left], high[left], places[left], items[left] = low_half, high_half, place, item
                    left += 1
                elif dropped < 0:
                    dropped = place
                start += 1
            if marked and dropped >= 0:
                tags[left], high[left], places[left], items[left] = low_half, high_half, dropped, -1
                left += 1
    directory[directory.size - 1] = left
    return left


@inlined
def _sort(entries: _Entries, start: int, end: int) -> None:
    """Sort a bucket by key; by insertion, for few 8-grams share one, or many that are equal and in order."""
    tags, high, places, items = entries
    for i in range(start + 1, end):
        low_half, high_half, place, item = tags[i], high[i], places[i], items[i]
        j = i
        while j > start and (high[j - 1] > high_half or (high[j - 1] == high_half and tags[j - 1] > low_half)):
            tags[j], high[j], places[j], items[j] = tags[j - 1], high[j - 1], places[j - 1], items[j - 1]
            j -= 1
        tags[j], high[j], places[j], items[j] = low_half, high_half, place, item


@bare
def _keep_first(directory: I32, entries: _Entries, whole: Bools, least: I32) -> int:
    """Of items that count as a whole keep the first entry alone, in place; return how many entries are left."""
    tags, high, places, items = entries
    for i in range(items.size):
        least[items[i]] = min(least[items[i]], places[i])
    left, start = 0, directory[0]
    for bucket in range(directory.size - 1):
        end = directory[bucket + 1]
        directory[bucket] = left
        for i in range(start, end):
            place, item = places[i], items[i]
            if not whole[item] or place == least[item]:
                tags[left], high[left], places[left], items[left] = tags[i], high[i], place, item
                left += 1
        start = end
    directory[directory.size - 1] = left
    return left


@bare
def _set_bits(entries: _Entries, bitmap: U64, wide: U64) -> None:
    mask, wide_mask = np.uint64(bitmap.size * 64 - 1), np.uint64(wide.size * 64 - 1)
    for i in range(entries.tags.size):
        key = np.uint64(entries.high[i]) << _HALF | np.uint64(entries.tags[i])
        _set_bit(bitmap, key & mask)
        _set_bit(wide, (key >> WIDE) & wide_mask)


@inlined
def _set_bit(bitmap: U64, at: np.uint64) -> None:
    bitmap[at >> _WORD_BITS] |= _ONE << (at & _WORD_MASK)
