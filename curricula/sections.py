"""Sections of an output: splits and stages as ranges of output positions, files that cut them, order within blocks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricula.order import splitmix64
from detectors.errors import ConfigError

__all__ = ["TRAIN", "VALIDATION", "Division", "Section", "Sections", "Shape", "Span", "cut", "divide", "even_breaks"]

I64 = npt.NDArray[np.int64]
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_ROUNDS = 3
_MOST_STAGES = 1000


@dataclass(frozen=True)
class Shape:
    """How an output is divided.

    Attributes:
        split: share of near-duplicate clusters (0-1) that is held out for validation; None holds out nothing.
        stages: number of stages of the training part; 0 is no division.
        block: rows of the output within which the order is random; 0 leaves it as curricula have it.
    """

    split: float | None = None
    stages: int = 0
    block: int = 0

    def __post_init__(self) -> None:
        if self.split is not None and not 0 < self.split < 1:
            raise ConfigError(f"split = {self.split} is not a share between 0 and 1. Hold out 0.01, say.")
        if self.stages < 0 or self.stages == 1 or self.stages > _MOST_STAGES:
            raise ConfigError(f"staged = {self.stages} is not from 2 to {_MOST_STAGES}. Ask for 10 stages, say.")
        if self.block < 0:
            raise ConfigError(f"shuffle_within = {self.block} is below 0. Give the rows of a block, say 10000.")


@dataclass(frozen=True, eq=False)
class Division:
    """Which part of the output each row of a corpus goes to.

    Attributes:
        names: of the parts, in the order in which they follow each other; folders below data/, "" is data/ itself.
        of: int8[n] by position in the corpus; where a row is kept, its part.
    """

    names: tuple[str, ...]
    of: npt.NDArray[np.int8]

    @classmethod
    def whole(cls, rows: int) -> Division:
        """One part, without a name."""
        return cls(("",), np.zeros(rows, np.int8))

    def split(self, held: npt.NDArray[np.bool_]) -> Division:
        """The same with rows that are held out apart: as validation beside train, or of each part as its test."""
        if self.names == ("",):
            return Division((TRAIN, VALIDATION), held.astype(np.int8))
        names = (*self.names, *(f"{TEST}/{name}" for name in self.names))
        return Division(names, (self.of + held * len(self.names)).astype(np.int8))

    def written(self, order: I64) -> I64:
        """Rows of an output, in order, part by part."""
        if len(self.names) == 1:
            return order
        of = self.of[order]
        return np.concatenate([order[of == part] for part in range(len(self.names))])

    def rows(self, order: I64, copies: npt.NDArray[np.int32]) -> dict[str, int]:
        """Rows of each part that an output has, copies counted."""
        if len(self.names) == 1:
            return {self.names[0]: int(copies[order].sum(dtype=np.int64))}
        of = self.of[order]
        return {name: int(copies[order[of == at]].sum(dtype=np.int64)) for at, name in enumerate(self.names)}


@dataclass(frozen=True)
class Section:
    """A range of output positions of a series, and the folder below data/ that it is written to ("" is data/)."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Span:
    """One output file: its path below the output folder, and the positions that it holds."""

    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class Sections:
    """How the output positions of a series are divided, and shuffled.

    Attributes:
        members: one after the other, from position 0 on; none is empty unless all are.
        block: rows within which the order is random; 0 or 1 leaves it. Blocks begin anew with each section.
        seed: of that order.
    """

    members: tuple[Section, ...]
    block: int = 0
    seed: int = 0

    @property
    def rows(self) -> int:
        """Positions in all."""
        return self.members[-1].stop if self.members else 0

    def final(self, positions: I64) -> I64:
        """Where rows go: a permutation that moves each position within its block only."""
        if self.block < 2 or not len(positions):
            return positions
        starts = np.array([section.start for section in self.members])
        stops = np.array([section.stop for section in self.members])
        of = np.searchsorted(starts, positions, side="right") - 1
        begins = starts[of] + (positions - starts[of]) // self.block * self.block
        sizes = np.minimum(stops[of] - begins, self.block)
        final = np.empty_like(positions)
        for size in np.unique(sizes).tolist():
            rows = np.flatnonzero(sizes == size)
            final[rows] = begins[rows] + _scattered(positions[rows] - begins[rows], size, begins[rows], self.seed)
        return final


def _scattered(places: I64, size: int, blocks: I64, seed: int) -> I64:
    """A random permutation of 0..size-1 for each block, at given places.

    Each round is a bijection of the next power of two: multiply by an odd number, add, fold the upper half onto the
    lower. What falls beyond the size is put through again until it does not, which keeps it a permutation.
    """
    bits = (size - 1).bit_length()
    if not bits:
        return places
    mask = np.uint64((1 << bits) - 1)
    fold = np.uint64((bits + 1) // 2)
    base = splitmix64(blocks.astype(np.uint64) ^ splitmix64(np.array([seed % 2**64], np.uint64)))
    keys = [splitmix64(base + np.uint64(at)) for at in range(2 * _ROUNDS)]
    values = places.astype(np.uint64)
    out = np.arange(len(values))
    while len(out):
        mixed = values[out]
        for at in range(_ROUNDS):
            mixed = (mixed * (keys[2 * at][out] | np.uint64(1)) + keys[2 * at + 1][out]) & mask
            mixed ^= mixed >> fold
        values[out] = mixed
        out = out[mixed >= np.uint64(size)]
    return values.astype(np.int64)


def divide(parts: Mapping[str, int], stages: int) -> tuple[Section, ...]:
    """Sections of an output.

    Args:
        parts: rows of each, by its folder, in order.
        stages: number of stages of the first part; 0 is no division. Row i of n lies in stage `i * stages // n`.
    """
    found: list[Section] = []
    start = 0
    for name, rows in parts.items():
        if stages and not found:
            edges = [-(-rows * at // stages) for at in range(stages + 1)]
            width = max(2, len(str(stages - 1)))
            found += [
                Section("/".join(filter(None, (name, f"stage-{at:0{width}d}"))), begin, end)
                for at, (begin, end) in enumerate(itertools.pairwise(edges))
            ]
        else:
            found.append(Section(name, start, start + rows))
        start += rows
    filled = tuple(section for section in found if section.stop > section.start)
    return filled or (Section("", 0, 0),)


def cut(folder: str, sections: Sequence[Section], breaks: Sequence[int], rows: int) -> tuple[Span, ...]:
    """Files that are even in rows.

    Args:
        folder: of the series, below the output folder.
        sections: to be cut; a file belongs to one.
        breaks: further positions where a file ends.
        rows: most rows of a file.
    """
    spans: list[Span] = []
    for section in sections:
        edges = sorted({section.start, section.stop, *(at for at in breaks if section.start < at < section.stop)})
        names = itertools.count()
        where = "/".join(filter(None, (folder, section.name)))
        for start, stop in itertools.pairwise(edges):
            number = -(-(stop - start) // rows)
            inner = [start + (stop - start) * at // number for at in range(number + 1)]
            for begin, end in itertools.pairwise(inner):
                spans.append(Span(f"{where}/part-{next(names):05d}.parquet", begin, end))
    return tuple(spans)


def even_breaks(sections: Sequence[Section], sizes: I64, most: int) -> tuple[int, ...]:
    """Positions that cut each section into files that are even in bytes.

    Args:
        sections: to be cut.
        sizes: int64[n], bytes of every row in output order.
        most: bytes of a file.
    """
    breaks: list[int] = []
    for section in sections:
        ends = np.cumsum(sizes[section.start : section.stop])
        number = -(-int(ends[-1]) // most) if len(ends) else 1
        wanted = ends[-1] * np.arange(1, number) / number if number > 1 else np.zeros(0)
        breaks += (section.start + np.unique(np.searchsorted(ends, wanted) + 1)).tolist()
    return tuple(breaks)
