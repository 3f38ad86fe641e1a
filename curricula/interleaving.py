"""Interleaves groups of rows so that every stretch of the order holds them in the shares of the whole."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

__all__ = ["interleaved", "within"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_SCALE = float(1 << 52)


def within(group: I32, kept: Mask, key: npt.NDArray[np.generic]) -> tuple[I64, I64]:
    """Rows that are kept, group after group, each in the order of its keys; equal keys stay as they stand.

    Args:
        group: int32[n].
        kept: bool[n].
        key: [n], lower first.

    Returns:
        int64[k] positions of rows; int64[groups + 1], where each group begins among them.
    """
    order = np.flatnonzero(kept)
    order = order[np.argsort(group[order], kind="stable")]
    edges = np.searchsorted(group[order], np.arange(int(group.max(initial=-1)) + 2))
    for begin, end in itertools.pairwise(edges.tolist()):
        own = order[begin:end]
        order[begin:end] = own[np.argsort(key[own], kind="stable")]
    return order, edges


def interleaved(group: I32, kept: Mask, key: npt.NDArray[np.generic]) -> I64:
    """int64[n]: ranks by which the j-th of a group's m rows stands where the share (j + 1/2) / m of all rows does.

    So up to any share of the order each group has had that share of its rows, within half a row. Rows that are not
    kept get 0.
    """
    order, edges = within(group, kept, key)
    rank = np.zeros(len(group), np.int64)
    for begin, end in itertools.pairwise(edges.tolist()):
        rank[order[begin:end]] = ((np.arange(end - begin) + 0.5) / max(1, end - begin) * _SCALE).astype(np.int64)
    return rank
