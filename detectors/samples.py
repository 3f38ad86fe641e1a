"""A bounded random sample of the documents of a part: their words and texts, whatever the order they come in.

Each document has a level: a share 2**-k of all documents has level k or higher (`detectors.growth.trailing_levels`). A
sample holds the documents of some level and up, the lowest level at which they fit. When they no longer do, it lets go
of its lowest level. What it holds at the end is a function of the documents alone, not of their order or batches.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled, inlined
from detectors.words import Words

__all__ = ["MAX_TEXT_BYTES", "Sample", "Stretch"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

MAX_TEXT_BYTES = 80
"""Of the text of an item, this many bytes are kept."""
_BYTES_A_WORD = 16


class Stretch(Enum):
    """Which words of a document are sampled."""

    ALL = "all"
    OPENING = "opening"
    ENDING = "ending"


class Sample:
    """Words of sampled documents, one document after the other.

    Args:
        stretch: which words of a document.
        length: how many words an opening or ending has; documents of fewer words are left out.
        max_words: words that are held at most; of text, at most 16 bytes for each of them.

    Attributes:
        level: the lowest level that is held: a share 2**-level of all documents.
    """

    def __init__(self, stretch: Stretch, length: int, max_words: int) -> None:
        self.level = 0
        self._stretch, self._length = stretch, length
        # Documents, words and bytes of text that are held; then, by document: end in words, in bytes, source, level.
        self._used: I64 = np.zeros(3, np.int64)
        self._documents: I64 = np.zeros((1, 4), np.int64)
        # All that may be needed: memory that is never touched costs nothing.
        self._hashes: U64 = np.empty(max_words, np.uint64)
        self._starts: I32 = np.empty(max_words, np.int32)
        self._ends: I32 = np.empty(max_words, np.int32)
        self._text: U8 = np.empty(_BYTES_A_WORD * max_words, np.uint8)

    def update(self, words: Words, data: U8, sources: I64, levels: I64, wanted: npt.NDArray[np.bool_]) -> None:
        """Take in a batch.

        Args:
            words: of its documents.
            data: uint8[...], the buffer that the words' spans point into.
            sources: int64[n], index of each document's source.
            levels: int64[n], uncapped.
            wanted: bool[n], documents that may be sampled.
        """
        firsts, ends = words.doc_offsets[:-1], words.doc_offsets[1:]
        if self._stretch is Stretch.OPENING:
            ends = np.minimum(ends, firsts + self._length)
        elif self._stretch is Stretch.ENDING:
            firsts = np.maximum(firsts, ends - self._length)
        rows = np.flatnonzero(wanted & (levels >= self.level) & (ends - firsts >= max(self._length, 1)))
        while len(rows):
            self._make_room(len(rows))
            chosen = np.stack([firsts[rows], ends[rows], sources[rows], levels[rows]], axis=1)
            done = _append(chosen, (words.hashes, words.start, words.end, data), self._held)
            rows = rows[done:]
            if len(rows):
                self.level += 1
                _let_go(self._held, self.level)
                rows = rows[levels[rows] >= self.level]

    @property
    def sources(self) -> I64:
        """int64[d]: source of each sampled document."""
        return self._documents[1 : self._used[0] + 1, 2]

    @property
    def offsets(self) -> I64:
        """int64[d + 1]: the words of sampled document i are `[offsets[i], offsets[i + 1])`."""
        return self._documents[: self._used[0] + 1, 0]

    @property
    def hashes(self) -> U64:
        """uint64[w]: word hashes."""
        return self._hashes[: self._used[1]]

    def text(self, first: int, length: int) -> bytes:
        """Words `first` to `first + length - 1` with a space between them, each cut to 81 bytes."""
        starts, ends = self._starts[first : first + length].tolist(), self._ends[first : first + length].tolist()
        text = self._text.data
        return b" ".join(
            text[start : min(end, start + MAX_TEXT_BYTES + 1)] for start, end in zip(starts, ends, strict=True)
        )

    @property
    def _held(self) -> tuple[I64, I64, U64, I32, I32, U8]:
        return self._used, self._documents, self._hashes, self._starts, self._ends, self._text

    def _make_room(self, more: int) -> None:
        have, wanted = len(self._documents), int(self._used[0]) + 1 + more
        if wanted > have:
            larger = np.zeros((max(wanted, 2 * have), 4), np.int64)
            larger[:have] = self._documents
            self._documents = larger


@compiled
def _append(
    chosen: I64,
    batch: tuple[U64, I64, I64, U8],
    held: tuple[I64, I64, U64, I32, I32, U8],
) -> int:
    """Append documents (first word, end, source, level) until one does not fit; return how many did."""
    hashes, starts, ends, data = batch
    used, documents, kept, kept_starts, kept_ends, text = held
    for row in range(len(chosen)):
        first, end = chosen[row, 0], chosen[row, 1]
        begin = starts[first]
        at, to = used[1], used[2]
        last, stop = at + end - first, to + ends[end - 1] - begin
        if last > kept.size or stop > text.size:
            return row
        # The text in one piece: a word at a time would cost ten times as much.
        _copy(data[begin : ends[end - 1]], text[to:stop], 0)
        _copy(hashes[first:end], kept[at:last], 0)
        _copy(starts[first:end], kept_starts[at:last], to - begin)
        _copy(ends[first:end], kept_ends[at:last], to - begin)
        used[0], used[1], used[2] = used[0] + 1, last, stop
        documents[used[0], 0], documents[used[0], 1] = last, stop
        documents[used[0], 2], documents[used[0], 3] = chosen[row, 2], chosen[row, 3]
    return len(chosen)


@compiled
def _let_go(held: tuple[I64, I64, U64, I32, I32, U8], level: int) -> None:
    """Move the documents of `level` and up to the front."""
    used, documents, kept, starts, ends, text = held
    count = at = to = end = stop = 0
    for row in range(1, used[0] + 1):
        first, begin = end, stop
        end, stop = documents[row, 0], documents[row, 1]
        if documents[row, 3] < level:
            continue
        last, after = at + end - first, to + stop - begin
        _copy(text[begin:stop], text[to:after], 0)
        _copy(kept[first:end], kept[at:last], 0)
        _copy(starts[first:end], starts[at:last], to - begin)
        _copy(ends[first:end], ends[at:last], to - begin)
        at, to, count = last, after, count + 1
        documents[count, 0], documents[count, 1] = at, to
        documents[count, 2], documents[count, 3] = documents[row, 2], documents[row, 3]
    used[0], used[1], used[2] = count, at, to


@inlined
def _copy(values: npt.NDArray[Any], out: npt.NDArray[Any], shift: int) -> None:
    # Over slices, from index 0 on: then LLVM sees that it may copy many at once. `out` may start before `values` does.
    if shift == 0:
        for i in range(values.size):
            out[i] = values[i]
    else:
        for i in range(values.size):
            out[i] = values[i] + shift
