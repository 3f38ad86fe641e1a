"""Runs of words that a document shares with an item: followed word by word, marked, summed up.

Where an item or a document says the same again and again, one 8-gram is in many places and each of them is a run of its
own. The run before tells at once how far the next one can reach at most, and where all of that is marked already it is
not followed: else such text would cost as much a word as the item has words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.gram_table import GRAM_WORDS
from detectors.jit import bare, inlined

__all__ = ["Items", "Marks", "Overlaps", "is_known", "summarise", "verify"]

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_COVERED, _STARTS, _ONE = np.uint8(1), np.uint8(2), np.uint64(1)


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


class Marks(NamedTuple):
    """What has been found: words of documents, then words of items and sums an item for the document in hand.

    `run` is int64[items, 2], where the words of each item that were marked last begin and end. `area` is int64[4]: from
    word `area[0]` up to `area[1]` of the document is marked all that runs of `area[2]` words or more could mark there,
    and around the words before `area[3]` everything was looked up.
    """

    document: U8
    item: U8
    covered: I32
    longest: I32
    longest_at: I64
    longest_place: I64
    touched: I32
    recent: I64
    run: I64
    area: I64


class Items(NamedTuple):
    """The items; `wanted` is how many words of each a passage must have, `asking` how many its question part has."""

    words: U64
    offsets: I64
    wanted: I64
    asking: I64


@inlined
def is_known(hashes: U64, span: tuple[int, int], at: int, items: Items, place: int, item: int, marks: Marks) -> bool:
    """Whether following these places adds nothing: it was done, or all that it could mark is marked.

    A run through them reaches as far as the last one of its item where it must end with it.
    """
    recent = marks.recent[(at - place) & (marks.recent.shape[0] - 1)]
    if recent[0] == at - place and recent[1] <= at and at + GRAM_WORDS <= recent[2]:
        return True
    begin, stop = marks.run[item, 0], marks.run[item, 1]
    if not begin <= place <= stop - GRAM_WORDS:
        return False
    words, start, end = items.words, at - (place - begin), at + (stop - place)
    if start > span[0] and begin > items.offsets[item] and hashes[start - 1] == words[begin - 1]:
        return False
    if end < span[1] and stop < items.offsets[item + 1] and hashes[end] == words[stop]:
        return False
    start, end = max(start, span[0]), min(end, span[1])
    area, longest = marks.area, marks.longest[item]
    if not (area[2] == items.wanted[item] and area[0] <= start and end <= area[1]):
        return False
    return bool(longest > end - start or (longest == end - start and marks.longest_at[item] < start))


@bare
def verify(
    hashes: U64,
    span: tuple[int, int],
    at: int,
    items: Items,
    place: int,
    item: int,
    marks: Marks,
    touched: int,
) -> int:
    """Extend a common 8-gram as far as words agree, and mark it if it is long enough; return the items touched."""
    words, low, high, wanted = items.words, items.offsets[item], items.offsets[item + 1], items.wanted[item]
    for i in range(GRAM_WORDS):
        if hashes[at + i] != words[place + i]:
            return touched
    left, right = 0, GRAM_WORDS
    while at - left > span[0] and place - left > low and hashes[at - left - 1] == words[place - left - 1]:
        left += 1
    while at + right < span[1] and place + right < high and hashes[at + right] == words[place + right]:
        right += 1
    start, end = at - left, at + right
    recent = marks.recent[(at - place) & (marks.recent.shape[0] - 1)]
    recent[0], recent[1], recent[2] = at - place, start, end
    if end - start < wanted:
        return touched
    area, run = marks.area, marks.run[item]
    if area[2] != wanted or not area[0] <= start <= area[1] - wanted + 1:
        area[0], area[1], area[2] = start, start, wanted
    for i in range(max(start, area[1]), end):
        marks.document[i] |= _COVERED
    for i in range(max(start, area[1] - wanted + 1), end - wanted + 1):
        marks.document[i] |= _STARTS
    area[1] = max(area[1], end)
    if marks.covered[item] == 0:
        marks.touched[touched] = item
        touched += 1
    if place - left < run[0] or place + right > run[1]:
        for i in range(place - left, place + right):
            marks.covered[item] += 1 - marks.item[i]
            marks.item[i] = 1
        run[0], run[1] = place - left, place + right
    length, longest, first = end - start, marks.longest[item], marks.longest_at[item]
    if length > longest or (
        length == longest and (start < first or (start == first and place - left < marks.longest_place[item]))
    ):
        marks.longest[item], marks.longest_at[item], marks.longest_place[item] = length, start, place - left
    return touched


@bare
def summarise(document: int, span: tuple[int, int], items: Items, marks: Marks, touched: int, found: Overlaps) -> None:
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
        marks.covered[item], marks.longest[item], marks.run[item, 0], marks.run[item, 1] = 0, 0, 0, 0
        marks.item[offsets[item] : offsets[item + 1]] = 0
