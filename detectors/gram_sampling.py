"""The kernel of `gram_sample`: n-grams whose hash ends in zeros."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled
from detectors.ngrams import ngram_hash, power
from detectors.words import Words

__all__ = ["sampled_grams"]

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


def sampled_grams(words: Words, n: int, one_in: int) -> tuple[U32, I64, I64]:
    """Different n-grams of each document in the sample.

    Args:
        words: of a batch.
        n: words in an n-gram.
        one_in: a power of two.

    Returns:
        uint32[k]: the upper 32 bits of their hashes, document after document, ascending in each. int64[documents]: how
        many each has. int64[documents]: how often they stand in it.
    """
    found, owner = _sample(words.prefix, words.doc_offsets, n, np.uint64(one_in - 1))
    keys = np.unique(owner << np.uint64(32) | found)
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(words.counts))
    drawn = np.bincount(owner.astype(np.int64), minlength=len(words.counts))
    return keys.astype(np.uint32), counts.astype(np.int64), drawn.astype(np.int64)


@compiled
def _sample(prefix: U64, doc_offsets: I64, n: int, mask: np.uint64) -> tuple[U64, U64]:
    found = np.empty(prefix.size, np.uint64)
    owner = np.empty(prefix.size, np.uint64)
    base_to_n, used = power(n), 0
    for document in range(doc_offsets.size - 1):
        for at in range(doc_offsets[document], doc_offsets[document + 1] - n + 1):
            mixed = ngram_hash(prefix, at, n, base_to_n)
            found[used] = mixed >> np.uint64(32)
            owner[used] = document
            used += int((mixed & mask) == 0)
    return found[:used].copy(), owner[:used].copy()
