"""Words and sentences of a batch: byte spans and hashes over the Arrow buffers, and the views that indices share.

A word is
- a run of letters, digits and other numbers with their combining marks, in any script that joins its letters. `'` and
  `’` belong to it when a letter or digit stands on both sides (`don’t`), as do joiners and soft hyphens. Hyphens,
  underscores, full stops and all other punctuation separate;
- one Han or Kana character, or one letter of a script written without spaces (Thai, Lao, Khmer, Myanmar), and
  its marks;
- one emoji, with its skin tone, variation selector, tag and zero-width-joiner sequence; two regional indicators (one
  flag).

A byte that is not part of valid UTF-8 separates. A combining mark with nothing to combine with is no word.

Two words are the same when their folded forms are: simple lower case for every code point (`str.lower` where it gives
one code point; final sigma as sigma), `’` as `'`, format characters and variation selectors left out. A word's hash is
made of the UTF-8 bytes of that form alone, in 8-byte little-endian chunks `c` padded with zeros, modulo 2**64:

    h = 0x9E3779B97F4A7C15;  for each chunk: h = (h ^ c) * 0xD6E8FEB86659FD93, h ^= h >> 32;
    h *= 0xFF51AFD7ED558CCD; h ^= h >> 32

Every step can be undone, so words of up to eight bytes never collide. The same on every platform.

A sentence starts at the first word of a document, after a blank line, after `。`, `।`, `؟` and their kin, and, unless
the word begins in lower case, after a line break or after `.`, `…`, `!`, `?` and a space (quotes and brackets may stand
between). A full stop after a single capital (`J. Smith`) ends nothing. Other abbreviations are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled, inlined, read_only
from detectors.segmentation import CAPITAL, SENTENCE_START, segment_documents
from detectors.unicode_classes import class_table, fold_table

__all__ = ["CAPITAL", "SENTENCE_START", "Words", "find_or_add", "refill", "segment"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of n documents, m in all, in text order. All arrays are read-only.

    Attributes:
        doc_offsets: int64[n + 1]; the words of document i are `[doc_offsets[i], doc_offsets[i + 1])`.
        start: int64[m]; first byte of each word in the data buffer.
        end: int64[m]; the byte after its last.
        hashes: uint64[m]; of the folded word, see the module. Depends on nothing but the word.
        characters: int32[m]; code points in the span.
        flags: uint8[m]; `SENTENCE_START` on the first word of a sentence, `CAPITAL` where it begins with one.
    """

    doc_offsets: I64
    start: I64
    end: I64
    hashes: U64
    characters: I32
    flags: U8

    def __len__(self) -> int:
        """Number of words, m."""
        return len(self.hashes)

    @cached_property
    def counts(self) -> I64:
        """int64[n]: words of each document."""
        return np.diff(self.doc_offsets)

    @cached_property
    def _links(self) -> tuple[I32, I32, I32]:
        ids, previous, types = _link(self.hashes, self.doc_offsets)
        return read_only(ids), read_only(previous), read_only(types)

    @property
    def ids(self) -> I32:
        """int32[m]: which word of its document's vocabulary, numbered from 0 in order of first appearance."""
        return self._links[0]

    @property
    def previous(self) -> I32:
        """int32[m]: position within the document where the same word stood last, -1 at its first appearance."""
        return self._links[1]

    @property
    def types(self) -> I32:
        """int32[n]: different words of each document."""
        return self._links[2]

    @cached_property
    def sentence_starts(self) -> I64:
        """int64[s]: positions in the word arrays where sentences start, all documents."""
        return np.flatnonzero(self.flags & SENTENCE_START)

    @cached_property
    def sentence_offsets(self) -> I64:
        """int64[n + 1]: document i has `sentence_starts[sentence_offsets[i] : sentence_offsets[i + 1]]`."""
        return np.searchsorted(self.sentence_starts, self.doc_offsets)


def segment(data: U8, offsets: I64) -> Words:
    """Find the words of every document.

    Args:
        data: uint8[...], UTF-8 text; invalid bytes are allowed.
        offsets: int64[n + 1], ascending; document i is `data[offsets[i] : offsets[i + 1]]`.
    """
    data, offsets = read_only(data), read_only(offsets)
    doc_offsets = np.zeros(len(offsets), np.int64)
    size = int(offsets[-1] - offsets[0]) // 4 + 16
    start, end = np.empty(size, np.int64), np.empty(size, np.int64)
    hashes, characters, flags = np.empty(size, np.uint64), np.empty(size, np.int32), np.empty(size, np.uint8)
    done, m, classes, folds = 0, 0, class_table(), fold_table()
    while True:
        outputs = start, end, hashes, characters, flags
        done = segment_documents(data, offsets, classes, folds, done, doc_offsets, m, outputs)
        m = int(doc_offsets[done])
        if done == len(offsets) - 1:
            break
        # Untouched memory costs nothing, so room for the worst case of the next document is room enough.
        size = max(2 * size, m + (int(offsets[done + 1] - offsets[done]) + 1) // 2)
        start, end, hashes = _larger(start, m, size), _larger(end, m, size), _larger(hashes, m, size)
        characters, flags = _larger(characters, m, size), _larger(flags, m, size)
    return Words(
        read_only(doc_offsets),
        read_only(start[:m]),
        read_only(end[:m]),
        read_only(hashes[:m]),
        read_only(characters[:m]),
        read_only(flags[:m]),
    )


def _larger(array: npt.NDArray[T], used: int, size: int) -> npt.NDArray[T]:
    larger = np.empty(size, array.dtype)
    larger[:used] = array[:used]
    return larger


@inlined
def find_or_add(table: U64, mask: np.uint64, keys: U64, used: int, key: np.uint64) -> int:
    """Index of `key` among `keys[:used]`; `used` itself when it is new, and then it is stored.

    `table` is an open-addressing hash table of `mask + 1` slots (a power of two), zeroed before the first call and
    never full: the upper half of a slot holds the upper half of the key's mix, the lower half the index plus one.
    """
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    high = mixed & np.uint64(0xFFFFFFFF00000000)
    slot = mixed & mask
    while True:
        entry = table[slot]
        if entry == 0:
            table[slot] = high | np.uint64(used + 1)
            keys[used] = key
            return used
        if entry & np.uint64(0xFFFFFFFF00000000) == high:
            found = int(entry & np.uint64(0xFFFFFFFF)) - 1
            if keys[found] == key:
                return found
        slot = (slot + np.uint64(1)) & mask


@compiled
def _link(hashes: U64, doc_offsets: I64) -> tuple[I32, I32, I32]:
    ids = np.empty(hashes.size, np.int32)
    previous = np.empty(hashes.size, np.int32)
    types = np.zeros(doc_offsets.size - 1, np.int32)
    table = np.zeros(256, np.uint64)
    keys = np.empty(128, np.uint64)
    last = np.empty(128, np.int32)
    for document in range(types.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        size = 256
        table[:size] = 0
        at, used = _link_run(hashes, ids, previous, table, size, keys, last, first, first, end, 0)
        while at < end:
            # A table as large as the vocabulary asks for, not as the document: it stays in cache.
            size *= 4
            if size > table.size:
                table = np.zeros(size, np.uint64)
                keys = np.concatenate((keys[:used], np.empty(size // 2 - used, np.uint64)))
                last = np.concatenate((last[:used], np.empty(size // 2 - used, np.int32)))
            refill(table, size, keys, used)
            at, used = _link_run(hashes, ids, previous, table, size, keys, last, first, at, end, used)
        types[document] = used
    return ids, previous, types


@compiled
def refill(table: U64, size: int, keys: U64, used: int) -> None:
    """Clear the first `size` slots of `table` and store `keys[:used]` there, for `find_or_add`."""
    table[:size] = 0
    for k in range(used):
        find_or_add(table, np.uint64(size - 1), keys, k, keys[k])


@compiled
def _link_run(
    hashes: U64,
    ids: I32,
    previous: I32,
    table: U64,
    size: int,
    keys: U64,
    last: I32,
    first: int,
    at: int,
    end: int,
    used: int,
) -> tuple[int, int]:
    """Link words from `at` on until `end` or until the table is half full; return where, and the vocabulary's size."""
    mask = np.uint64(size - 1)
    while at < end and 2 * used < size:
        word = find_or_add(table, mask, keys, used, hashes[at])
        ids[at] = word
        if word == used:
            used += 1
            previous[at] = -1
        else:
            previous[at] = last[word]
        last[word] = at - first
        at += 1
    return at, used
