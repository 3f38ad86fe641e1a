"""Blocks of rows with the n-grams that they add, and the greedy order of them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.jit import compiled, read_only

__all__ = ["Blocks", "gained", "greedy_order"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
_PIECE = 1 << 20


@dataclass(frozen=True, eq=False)
class Blocks:
    """Runs of rows of one source each, source after source.

    Attributes:
        source: int32[b].
        order: int64[k]; positions of the rows.
        rows: int64[b + 1]; block i holds the rows `order[rows[i] : rows[i + 1]]`.
        grams: int64[b]; n-grams of each.
        drawn: int64[b]; those of them in the sample, repeated ones counted again.
        offsets: int64[n + 1]; of every row of the corpus in `ids`.
        ids: int32[...]; n-grams of its sample, numbered from 0.
    """

    source: I32
    order: I64
    rows: I64
    grams: I64
    drawn: I64
    offsets: I64
    ids: I32

    @classmethod
    def of(cls, source: I32, order: I64, counts: tuple[I64, I64], samples: pa.Array, least: int) -> Self:
        """Cut rows into blocks: one begins with the row in which a multiple of so many n-grams of the source is passed.

        Args:
            source: int32[n].
            order: int64[k]; rows that go into blocks, source after source.
            counts: int64[n], n-grams of each row, and those in the sample.
            samples: lists of n rows.
            least: n-grams of a block, about; the last of a source has fewer.
        """
        grams, drawn = (count[order] for count in counts)
        own = source[order]
        reached = np.cumsum(grams) - grams
        begins = np.flatnonzero(np.diff(own, prepend=-1))
        step = (reached - np.repeat(reached[begins], np.diff(np.append(begins, len(own))))) // max(1, least)
        fresh = np.diff(step, prepend=-1) != 0
        fresh[begins] = True
        rows = np.append(np.flatnonzero(fresh), len(own))
        totals = [np.add.reduceat(count, rows[:-1]) if len(own) else count for count in (grams, drawn)]
        offsets = np.asarray(samples.offsets).astype(np.int64)
        values = np.asarray(samples.values)[offsets[0] : offsets[-1]]
        return cls(own[rows[:-1]], order, rows, totals[0], totals[1], offsets - offsets[0], _numbered(values))

    def laid(self, chosen: I64) -> I64:
        """int64[k]: rows, block after block."""
        pieces = [self.order[self.rows[at] : self.rows[at + 1]] for at in chosen.tolist()]
        return np.concatenate(pieces) if pieces else self.order

    def different(self, chosen: I64) -> int:
        """Different n-grams of the sample in some blocks."""
        seen = np.zeros(int(self.ids.max(initial=-1)) + 1, np.bool_)
        for row in self.laid(chosen).tolist():
            seen[self.ids[self.offsets[row] : self.offsets[row + 1]]] = True
        return int(seen.sum())


def _numbered(values: npt.NDArray[np.uint32]) -> I32:
    """int32[...]: the place of each value among the different ones; 12 bytes a value where `numpy.unique` takes 24."""
    ordered = np.sort(values)
    ordered = ordered[np.diff(ordered, prepend=ordered[:1] ^ np.uint32(1)) != 0]
    ids = np.empty(len(values), np.int32)
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE]
        # Looked for in their order, each is found near the one before it.
        turn = np.argsort(piece)
        ids[start + turn] = np.searchsorted(ordered, piece[turn])
    return ids


def greedy_order(blocks: Blocks) -> I64:
    """int64[b]: blocks in the order in which the next one of some source has the largest share of new n-grams.

    The share is that in the sample, of what was drawn: how many happened to be drawn cancels out. Of equal ones the
    source of the lower number comes first. A block's share can only fall as others are taken, so the share that it had
    when last looked at is a bound, and only the block with the highest is looked at again (Minoux 1978).
    """
    heads = np.flatnonzero(np.diff(blocks.source, prepend=-1)).astype(np.int64)
    seen = np.zeros(int(blocks.ids.max(initial=-1)) + 1, np.bool_)
    order = np.zeros(len(blocks.source), np.int64)
    ends = np.append(heads[1:], len(blocks.source))
    of = read_only(blocks.order), read_only(blocks.rows), read_only(blocks.offsets)
    _greedy(read_only(blocks.ids), of, read_only(blocks.drawn), heads, ends, seen, order)
    return order


def gained(blocks: Blocks, order: I64, share: float) -> float:
    """Different n-grams of the sample in the first blocks of an order, those that reach a share of all n-grams."""
    reached = np.cumsum(blocks.grams[order])
    return float(blocks.different(order[: int(np.searchsorted(reached, share * reached[-1])) + 1]))


@compiled
def _greedy(
    ids: I32, of: tuple[I64, I64, I64], drawn: I64, heads: I64, ends: I64, seen: npt.NDArray[np.bool_], order: I64
) -> None:
    rows, edges, offsets = of
    stamp = np.full(seen.size, -1, np.int32)
    # Of the next block of each source, minus the share that it had when it was last looked at, and at which step.
    heap = [(-np.inf, source, -1) for source in range(heads.size)]
    look = 0
    for step in range(order.size):
        while True:
            _, source, looked = heapq.heappop(heap)
            block = heads[source]
            if looked == step:
                break
            fresh = 0
            look += 1
            for place in range(edges[block], edges[block + 1]):
                for at in range(offsets[rows[place]], offsets[rows[place] + 1]):
                    gram = ids[at]
                    if not seen[gram] and stamp[gram] != look:
                        stamp[gram] = look
                        fresh += 1
            heapq.heappush(heap, (-fresh / max(drawn[block], 1), source, step))
        order[step] = block
        for place in range(edges[block], edges[block + 1]):
            for at in range(offsets[rows[place]], offsets[rows[place] + 1]):
                seen[ids[at]] = True
        heads[source] += 1
        if heads[source] < ends[source]:
            heapq.heappush(heap, (-np.inf, source, -1))
