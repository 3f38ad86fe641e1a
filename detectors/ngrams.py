"""Hashes of word n-grams, for every n, from one prefix polynomial over the word hashes.

The hash of the n-gram of words with hashes `h[0] ... h[n - 1]` is

    g = h[0] * B**(n - 1) + ... + h[n - 1]  modulo 2**64,  B = 0x9E3779B97F4A7C15;
    g ^= g >> 32;  g *= 0xD6E8FEB86659FD93;  g ^= g >> 32;  g *= 0xFF51AFD7ED558CCD;  g ^= g >> 32

It depends on nothing but the words and their order, so it is the same in every document, batch and process.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled, inlined

__all__ = ["BASE", "ngram_hash", "power", "prefix_hashes"]

U64 = npt.NDArray[np.uint64]

BASE = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xD6E8FEB86659FD93)
_SECOND = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)


@compiled
def prefix_hashes(hashes: U64) -> U64:
    """uint64[m + 1]: element i is the polynomial over the first i hashes; see `ngram_hash`."""
    prefix = np.empty(hashes.size + 1, np.uint64)
    running = np.uint64(0)
    prefix[0] = running
    for i in range(hashes.size):
        running = running * BASE + hashes[i]
        prefix[i + 1] = running
    return prefix


@compiled
def power(n: int) -> np.uint64:
    """`BASE**n` modulo 2**64: the third argument of `ngram_hash`, to be worked out once outside its loop."""
    result = np.uint64(1)
    for _ in range(n):
        result *= BASE
    return result


@inlined
def ngram_hash(prefix: U64, at: int, n: int, base_to_n: np.uint64) -> np.uint64:
    """Hash of the n-gram of words `at` to `at + n - 1`; that they belong to one document is up to the caller."""
    # Unsigned, for a signed index is looked at for being negative.
    mixed = np.uint64(prefix[np.uint64(at + n)] - prefix[np.uint64(at)] * base_to_n)
    mixed = (mixed ^ (mixed >> _HALF)) * _FIRST
    mixed = (mixed ^ (mixed >> _HALF)) * _SECOND
    return mixed ^ (mixed >> _HALF)
