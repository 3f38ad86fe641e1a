"""Features of documents: hashed patterns of words, marks and kinds of words, each counted once a window.

The same loop trains and scores, so a feature can never mean two things. Features are
- words and pairs of neighbouring words, by the hashes of `Documents.words`;
- the marks between two words, with the word before, alone, and with the word after, folded (see `fold_character`);
- triples of kinds: a common word stands for itself, another for its ending and about its length, and marks count too.

A feature is a key of `KEY_BITS`: a slot of the table of weights and a check. What the table does not hold counts for
nothing: the sum of weights is divided by the square root of the number of features that it does hold. Documents over
`WINDOW_BYTES` are cut into windows of equal size, none more than three bytes larger; a document has the mean over its
windows. A word belongs to the window that it starts in. Memory does not grow with the document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ai_text.folding import fold_table, lane_table
from detectors.ai_text.kernel import (
    COMMON_BITS,
    KEY_BITS,
    MAX_PER_BYTE,
    SLOT_BITS,
    STATS,
    WINDOW_BYTES,
    run_documents,
)
from detectors.documents import Documents
from detectors.jit import read_only

__all__ = [
    "COMMON_BITS",
    "KEY_BITS",
    "SLOT_BITS",
    "STATS",
    "WINDOW_BYTES",
    "Emission",
    "Scores",
    "Tables",
    "common_words",
    "emit",
    "fold_table",
    "score",
]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """What the kernel looks things up in.

    Attributes:
        fold: uint32[65536], see `fold_table`.
        common: uint64[2**COMMON_BITS / 64], see `common_words`.
        weights: uint16[2**SLOT_BITS]; the check of the feature of a slot in the upper byte, its weight, an int8, in
            the lower; 0 where a slot is empty.
    """

    fold: npt.NDArray[np.uint32]
    common: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Scores:
    """Sums of weights, by window and document.

    Attributes:
        sums: float64[n], mean over the windows of each document.
        windows: float64[w], of every window: weights of features, divided by the square root of their number.
        firsts: int64[n + 1]; windows of document i are `[firsts[i], firsts[i + 1])`, at least one.
        words: int64[n].
        stats: int64[n, len(STATS)].
    """

    sums: npt.NDArray[np.float64]
    windows: npt.NDArray[np.float64]
    firsts: Integers
    words: Integers
    stats: Integers


@dataclass(frozen=True)
class Emission:
    """Keys of the first window of every document, as often as they stand there.

    Attributes:
        indptr: int64[n + 1]; those of document i are `keys[indptr[i] : indptr[i + 1]]`.
        keys: int32.
    """

    indptr: Integers
    keys: npt.NDArray[np.int32]


def common_words(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """uint64[2**COMMON_BITS / 64]: bitmap of the words with these hashes; it takes in one in 30 or so of the others."""
    bits = np.zeros(1 << COMMON_BITS, np.uint8)
    bits[hashes >> np.uint64(64 - COMMON_BITS)] = 1
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)


def score(documents: Documents, tables: Tables) -> Scores:
    """Sum the weights of every window of every document."""
    firsts = _window_offsets(documents)
    windows, _, stats = _run(documents, tables, firsts, None)
    sums = np.add.reduceat(windows, firsts[:-1]) / np.diff(firsts) if len(documents) else windows
    return Scores(sums, windows, firsts, documents.words.counts, stats)


def emit(documents: Documents, tables: Tables) -> Emission:
    """Emit the keys of the first window of each document, for training."""
    room = np.minimum(np.diff(documents.offsets), WINDOW_BYTES + 8) * MAX_PER_BYTE + 64
    out = np.empty(int(room.sum()), np.int32)
    _, counts, _ = _run(documents, tables, _window_offsets(documents), out)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Emission(indptr, out[: indptr[-1]].copy())


def _window_offsets(documents: Documents) -> Integers:
    windows = np.maximum(-(-np.diff(documents.offsets) // WINDOW_BYTES), 1)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(windows)])


def _run(
    documents: Documents, tables: Tables, firsts: Integers, out: npt.NDArray[np.int32] | None
) -> tuple[npt.NDArray[np.float64], Integers, Integers]:
    words = documents.words
    views = words.start, words.end, words.hashes, words.characters, words.flags
    start, end, hashes, characters, flags = views
    return run_documents(
        read_only(documents.data),
        read_only(documents.offsets),
        read_only(words.doc_offsets),
        (read_only(start), read_only(end), read_only(hashes), read_only(characters), read_only(flags)),
        read_only(tables.fold),
        read_only(lane_table()),
        read_only(tables.common),
        read_only(tables.weights) if out is None else None,
        firsts,
        np.empty(8, np.int32) if out is None else out,
    )
