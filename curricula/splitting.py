"""Holds out a share of a corpus by near-duplicate cluster, so that no held-out row has a likeness in training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curricula.decisions import Spool
from curricula.order import splitmix64, tie_hash

__all__ = ["held_out"]

_SALT = np.uint64(0x73706C6974)


def held_out(spool: Spool, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """bool[n]: of every row of the corpus, whether it is held out.

    A cluster goes as a whole, by the hash of its first row in the corpus; a row without one goes by its own. So the
    share holds on average over clusters, and which rows are held out does not depend on what else is kept, nor, but
    for clusters that grow, on what is added to the corpus. Rows without a word belong to no cluster, are all alike and
    test nothing: they are never held out.

    Args:
        spool: decided rows, with clusters (null where a row is alone) and words (null where nothing could be read).
        share: of clusters, 0 to 1.
        seed: of the hash.
    """
    parts = [frame.select(tie_hash(seed)).to_series().to_numpy() for frame in spool.frames(["shard", "row"])]
    # Mixed again: the hash itself is what orders are made of, and a budget keeps its smallest.
    hashes = splitmix64(np.concatenate(parts or [np.zeros(0, np.uint64)]) ^ _SALT)
    clusters = spool.column("_cluster")
    members = np.flatnonzero(clusters.is_not_null().to_numpy())
    numbers = clusters.drop_nulls().to_numpy()
    _, first, of = np.unique(numbers, return_index=True, return_inverse=True)
    hashes[members] = hashes[members[first]][of]
    testing = _worded(spool)
    testing[members] = True
    return (hashes < np.uint64(min(int(share * 2.0**64), 2**64 - 1))) & testing


def _worded(spool: Spool) -> npt.NDArray[np.bool_]:
    """bool[n]: rows with a word; all, where words were not counted."""
    words = spool.column("_words")
    if words.null_count() == len(words):
        return np.ones(len(words), np.bool_)
    return np.array(words.fill_null(0) > 0, np.bool_)
