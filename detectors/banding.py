"""Locality-sensitive hashing of MinHash signatures: bands, their keys, and who is close enough to whom.

Two signatures become candidates when all rows of one band agree, as in `datasketch.MinHashLSH`; `optimal_bands` chooses
bands and rows as datasketch does. What agrees by chance is told apart by comparing whole signatures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, read_only

__all__ = ["MOST_COMPARED", "band_keys", "flatten", "joined", "keep_in_order", "optimal_bands"]

I64 = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32] | npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]

MOST_COMPARED = 1024
"""Kept rows of a bucket that a row is compared with, the latest ones; a bucket of more unlike rows is a template."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT, _LAST_SHIFT = np.uint64(29), np.uint64(32)
_STEPS = 2000


def optimal_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, rows of a band) that miss and mistake least around a Jaccard similarity, 0 to 1, both weighing alike.

    The sum of two areas under the S-curve 1 - (1 - s^rows)^bands: above it right of `threshold`, below it to the left
    (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4). Of equal ones the first, as datasketch.
    """
    below = (np.arange(_STEPS) + 0.5) / _STEPS * threshold
    above = threshold + (np.arange(_STEPS) + 0.5) / _STEPS * (1 - threshold)
    best, chosen = np.inf, (1, permutations)
    for bands in range(1, permutations + 1):
        for rows in range(1, permutations // bands + 1):
            mistaken = float((1 - (1 - below**rows) ** bands).mean() * threshold)
            missed = float(((1 - above**rows) ** bands).mean() * (1 - threshold))
            if mistaken + missed < best:
                best, chosen = mistaken + missed, (bands, rows)
    return chosen


def band_keys(minima: U32, *, bands: int, rows: int) -> U64:
    """uint64[n, bands]: equal where all rows of the band are equal, and else unequal but for one pair in 2^64.

    Args:
        minima: uint32[n, permutations], at least `bands * rows` wide.
        bands: how many bands.
        rows: minima in a band.
    """
    keys = np.empty((len(minima), bands), np.uint64)
    _keys(read_only(minima), rows, keys)
    return keys


@bare
def _keys(minima: U32, rows: int, keys: U64) -> None:
    for row in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            key = (np.uint64(band) + np.uint64(1)) * _MIX
            for at in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(minima[row, at])) * _MULTIPLIER
                key ^= key >> _SHIFT
            key *= _MIX
            keys[row, band] = key ^ (key >> _LAST_SHIFT)


@inlined
def _agreeing(minima: U32, one: int, other: int) -> int:
    found = 0
    for at in range(minima.shape[1]):
        found += int(minima[one, at] == minima[other, at])
    return found


@inlined
def _root(parents: Numbers, row: int) -> int:
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row


@inlined
def _join(parents: Numbers, one: int, other: int) -> None:
    one, other = _root(parents, one), _root(parents, other)
    parents[max(one, other)] = min(one, other)


def joined(indptr: I64, buckets: I64, count: int) -> I64:
    """int64[n]: the first of the rows that each hangs together with, by buckets that rows share.

    Args:
        indptr: int64[n + 1], spans of `buckets`.
        buckets: int64, the buckets of each row.
        count: number of buckets.
    """
    parents = np.arange(len(indptr) - 1)
    _join_buckets(indptr, buckets, np.full(count, -1, np.int64), parents)
    return parents


@bare
def _join_buckets(indptr: I64, buckets: I64, firsts: I64, parents: I64) -> None:
    for row in range(parents.size):
        for j in range(indptr[row], indptr[row + 1]):
            if firsts[buckets[j]] < 0:
                firsts[buckets[j]] = row
            _join(parents, row, firsts[buckets[j]])
    for row in range(parents.size):
        parents[row] = parents[parents[row]]


@bare
def keep_in_order(
    minima: U32,
    shared: tuple[I64, I64, I64],
    limits: tuple[int, int],
    found: tuple[Numbers, Numbers, F32],
    links: tuple[I64, I64],
) -> None:
    """Decide row by row who is kept: a row goes when one that is kept already shares a bucket with it and is like it.

    A row that goes gets the likest of those as its keeper. Likeness is never passed on along a chain, but `parents`
    joins all rows that were found alike.

    Args:
        minima: uint32[n, permutations].
        shared: `rows`, int64[n], that share a bucket with some other, in the order of keeping; `indptr`, int64[n + 1],
            spans of `buckets`, int64, the buckets of each row.
        limits: how many minima must agree, and below which number a row is kept whatever it is like.
        found: `keepers`, int32 or int64[all rows], each row its own at first; written is the row that is kept in its
            place. `parents`, the same, each row its own at first; a forest of joined rows, see `flatten`. `alike`,
            float32[all rows]; written is the share of minima in which a row that goes agrees with its keeper.
        links: `heads`, int64[number of buckets], -1 each: room for the rows kept in each bucket, as linked lists, and
            their links, int64[len(buckets), 2].
    """
    rows, indptr, buckets = shared
    least, fixed = limits
    keepers, parents, alike = found
    heads, entries = links
    used = 0
    for k in range(rows.size):
        row = rows[k]
        best, keeper = least - 1, row
        for j in range(indptr[k], indptr[k + 1]):
            entry = heads[buckets[j]]
            steps = 0
            while entry >= 0 and steps < MOST_COMPARED:
                candidate = rows[entries[entry, 0]]
                agreeing = _agreeing(minima, entries[entry, 0], k)
                if agreeing >= least:
                    _join(parents, row, candidate)
                if agreeing > best or (agreeing == best and candidate < keeper and keeper != row):
                    best, keeper = agreeing, candidate
                entry = entries[entry, 1]
                steps += 1
        if keeper != row and row >= fixed:
            keepers[row], alike[row] = keeper, best / minima.shape[1]
            continue
        for j in range(indptr[k], indptr[k + 1]):
            entries[used, 0], entries[used, 1] = k, heads[buckets[j]]
            heads[buckets[j]] = used
            used += 1


@bare
def flatten(parents: Numbers, pairs: I64) -> None:
    """Join both rows of each of int64[n, 2] `pairs`, then make the least row of each set everyone's parent."""
    for k in range(pairs.shape[0]):
        _join(parents, pairs[k, 0], pairs[k, 1])
    for row in range(parents.size):
        parents[row] = parents[parents[row]]
