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

from detectors.jit import read_only
from detectors.segmentation import encoded_folds, segment_documents
from detectors.sentences import CAPITAL, SENTENCE_START
from detectors.unicode_classes import class_table
from detectors.vocabulary import Links, link

__all__ = ["CAPITAL", "SENTENCE_START", "Words", "segment"]

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
        prefix: uint64[m + 1]; from which `detectors.ngrams.ngram_hash` makes the hash of any n-gram.
    """

    doc_offsets: I64
    start: I64
    end: I64
    hashes: U64
    characters: I32
    flags: U8
    prefix: U64

    def __len__(self) -> int:
        """Number of words, m."""
        return len(self.hashes)

    @cached_property
    def counts(self) -> I64:
        """int64[n]: words of each document."""
        return np.diff(self.doc_offsets)

    @cached_property
    def links(self) -> Links:
        """Ids, neighbours in kind and vocabulary of every document; computed once."""
        return link(self.hashes, self.doc_offsets)

    @property
    def ids(self) -> I32:
        """int32[m]: which word of its document's vocabulary, numbered from 0 in order of first appearance."""
        return self.links.ids

    @property
    def previous(self) -> I32:
        """int32[m]: position within the document where the same word stood last, -1 at its first appearance."""
        return self.links.previous

    @property
    def types(self) -> I32:
        """int32[n]: different words of each document."""
        return self.links.types

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
    prefix = np.empty(size + 1, np.uint64)
    prefix[0] = 0
    done, m, classes, folds = 0, 0, class_table(), encoded_folds()
    padded = np.zeros(64, np.uint8)
    while True:
        outputs = start, end, hashes, characters, flags, prefix
        done = segment_documents(data, offsets, classes, folds, done, doc_offsets, m, outputs, padded)
        m = int(doc_offsets[done])
        if done == len(offsets) - 1:
            break
        # Untouched memory costs nothing, so room for the worst case of the next document is room enough.
        size = max(2 * size, m + (int(offsets[done + 1] - offsets[done]) + 1) // 2)
        start, end, hashes = _larger(start, m, size), _larger(end, m, size), _larger(hashes, m, size)
        characters, flags = _larger(characters, m, size), _larger(flags, m, size)
        prefix = _larger(prefix, m + 1, size + 1)
    return Words(
        read_only(doc_offsets),
        read_only(start[:m]),
        read_only(end[:m]),
        read_only(hashes[:m]),
        read_only(characters[:m]),
        read_only(flags[:m]),
        read_only(prefix[: m + 1]),
    )


def _larger(array: npt.NDArray[T], used: int, size: int) -> npt.NDArray[T]:
    larger = np.empty(size, array.dtype)
    larger[:used] = array[:used]
    return larger
