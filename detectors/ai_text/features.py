"""Features of documents: hashed n-grams, each counted once a window, and the counters behind style and language.

The same loop trains and scores, so a feature can never mean two things. Every character is folded through a table
(case, quotes, dashes, accents, width, markup; see `fold_table`), then yields character 3-5-grams and, per word, word
1-3-grams and 3-4-grams of "shapes", in which words outside the common vocabulary are replaced by their last two
letters so that topic drops out; `Tables.groups` says which of them are in use. All are hashed into `2**BUCKET_BITS`
buckets. Documents over `WINDOW_BYTES` are cut into windows of about equal size, none larger, at the next end of a
word; their sum is the mean over windows. Memory does not grow with the document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ai_text.folding import SCRIPTS, fold_table
from detectors.ai_text.kernel import BUCKET_BITS, STATS, WINDOW_BYTES, run_documents, word_hash

__all__ = [
    "BUCKET_BITS",
    "GROUPS",
    "SCRIPTS",
    "STATS",
    "WINDOW_BYTES",
    "Emission",
    "Tables",
    "emit",
    "fold_table",
    "score",
    "word_hash",
]

GROUPS = {"word1": 1, "word2": 2, "word3": 4, "char3": 8, "char4": 16, "char5": 32, "shape3": 64, "shape4": 128}
"""Feature groups and their bits in the `groups` argument of the kernel."""


@dataclass(frozen=True)
class Tables:
    """What the kernel looks things up in.

    Attributes:
        fold: uint32[65536], see `fold_table`.
        common: uint8[2**BUCKET_BITS / 8], a bit set over word buckets: words kept as they are in shapes.
        lexicon: uint64[n], n a power of two: open-addressed function words, hash tag above a 32-bit language mask.
        weights: int8[2**BUCKET_BITS].
        groups: bits of `GROUPS` in use.
        languages: number of language bits in `lexicon`.
    """

    fold: npt.NDArray[np.uint32]
    common: npt.NDArray[np.uint8]
    lexicon: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.int8]
    groups: int
    languages: int


@dataclass(frozen=True)
class Emission:
    """What the kernel found, one row a document.

    Attributes:
        sums: float64[n], sum of weights over distinct buckets divided by the square root of their number.
        counts: int64[n], distinct buckets, added over windows.
        windows: int64[n], windows scored, at least 1.
        stats: float64[n, len(STATS)].
        votes: int64[n, languages], function words of each language among the first words.
        scripts: int64[n, len(SCRIPTS)], letters of each script.
        indptr: int64[n + 1] and
        indices: int32[indptr[-1]], distinct buckets of each row in order of appearance; empty when scoring.
    """

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    stats: npt.NDArray[np.float64]
    votes: npt.NDArray[np.int64]
    scripts: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]


def score(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], tables: Tables) -> Emission:
    """Score documents `data[offsets[i]:offsets[i + 1]]`; a row is one document, its sum the mean over its windows."""
    return _run(data, offsets, tables, np.empty(0, np.int32))


def emit(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], tables: Tables) -> Emission:
    """Emit the distinct buckets of the first window of each document, for training."""
    sizes = np.minimum(np.diff(offsets), WINDOW_BYTES) * len(GROUPS) + 64
    return _run(data, offsets, tables, np.empty(max(1, int(sizes.sum())), np.int32))


def _run(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], tables: Tables, out: npt.NDArray[np.int32]
) -> Emission:
    sums, counts, windows, stats, votes, scripts = run_documents(
        data, offsets, tables.fold, tables.common, tables.lexicon, tables.weights, tables.groups, tables.languages, out
    )
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]) if out.size else np.zeros(1, np.int64)
    return Emission(sums, counts, windows, stats, votes, scripts, indptr, out[: indptr[-1]].copy())
