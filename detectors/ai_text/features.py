"""Features of documents: hashed n-grams, counted as often as they stand, and the counters behind length and support.

The same loop trains and scores, so a feature can never mean two things. Features are
- 5-grams of folded characters (case, quotes, dashes, accents, width, markup, digits; see `fold_character`);
- words and pairs of neighbouring words, by the hashes of `Documents.words`;
- the marks between two words, with the word before, alone, and with the word after.

All are hashed into `2**BUCKET_BITS` buckets; the sum of weights is divided by the square root of their number.
Documents over `WINDOW_BYTES` are cut into windows of equal size, none more than three bytes larger; their sum is the
mean over windows. A word belongs to the window that it starts in. Memory does not grow with the document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ai_text.folding import fold_table, lane_table
from detectors.ai_text.kernel import BUCKET_BITS, STATS, WINDOW_BYTES, run_documents
from detectors.documents import Documents
from detectors.jit import read_only

__all__ = ["BUCKET_BITS", "STATS", "WINDOW_BYTES", "Emission", "Tables", "emit", "fold_table", "score"]

_PER_BYTE = 5


@dataclass(frozen=True)
class Tables:
    """What the kernel looks things up in.

    Attributes:
        fold: uint32[65536], see `fold_table`.
        weights: int8[2**BUCKET_BITS].
    """

    fold: npt.NDArray[np.uint32]
    weights: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Emission:
    """What the kernel found, one row a document.

    Attributes:
        sums: float64[n], sum of weights divided by the square root of the number of features, mean over windows.
        counts: int64[n], features.
        words: int64[n].
        stats: int64[n, len(STATS)].
        indptr: int64[n + 1] and
        indices: int32[indptr[-1]], the bucket of every feature of each row; empty when scoring.
    """

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    stats: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]


def score(documents: Documents, tables: Tables) -> Emission:
    """Sum the weights of every document over all its windows."""
    return _run(documents, tables, None)


def emit(documents: Documents, tables: Tables) -> Emission:
    """Emit the buckets of the first window of each document, for training."""
    # A character n-gram a byte, and per word, which takes two bytes with what follows, at most five features.
    room = np.minimum(np.diff(documents.offsets), WINDOW_BYTES) * _PER_BYTE + 64
    return _run(documents, tables, np.empty(int(room.sum()) + 64, np.int32))


def _run(documents: Documents, tables: Tables, out: npt.NDArray[np.int32] | None) -> Emission:
    words = documents.words
    sums, counts, stats = run_documents(
        read_only(documents.data),
        read_only(documents.offsets),
        read_only(words.doc_offsets),
        (read_only(words.start), read_only(words.end), read_only(words.hashes)),
        read_only(tables.fold),
        read_only(lane_table()),
        read_only(tables.weights),
        out,
    )
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]) if out is not None else np.zeros(1, np.int64)
    indices = np.zeros(0, np.int32) if out is None else out[: indptr[-1]].copy()
    return Emission(sums, counts, words.counts, stats, indptr, indices)
