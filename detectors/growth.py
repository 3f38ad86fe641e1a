"""How many different word n-grams a corpus has, and how that number grows with its size (Heaps 1978).

Each document belongs to a level, drawn by a hash of its words: level k or higher has a share 2**-k of all documents.
For every level there is a HyperLogLog of 1-, 2- and 3-grams, so the union of the levels from k up counts the n-grams of
a random sample of that share, and the samples are nested. Twelve halvings give a growth curve over three orders of
magnitude whatever order the documents come in, and sketches of two halves of a corpus merge into exactly that of the
whole.

A word's own hash is mixed well and counts as its 1-gram; 2- and 3-grams are hashed by `detectors.ngrams.ngram_hash`.

Copies of a document share its level, so a sample holds all copies of a document or none.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.errors import ConfigError, FindingsError
from detectors.hyperloglog import check_precision, estimate, put, relative_error
from detectors.jit import compiled, inlined, read_only
from detectors.ngrams import ngram_hash, power
from detectors.words import Words

__all__ = ["LEVELS", "ORDERS", "Growth", "GrowthTable", "Point", "document_hashes", "trailing_levels"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

LEVELS = 13
"""Levels 0 to 12: the smallest sample has one document in 4,096."""
ORDERS = 3
"""1-, 2- and 3-grams are counted."""

_HEADER = struct.Struct("<4sBBH")
_MAGIC, _VERSION = b"FXGR", 1
_BLOCK = 256
_MOST_EXPECTED = 512
_SALT = np.uint64(0x2545F4914F6CDD1D)
_SPREAD = np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class Point:
    """A nested sample of the documents, and what is in it.

    Attributes:
        documents: in the sample.
        words: in the sample.
        distinct: estimated number of different n-grams for n = 1, 2, 3.
        totals: n-grams for n = 1, 2, 3, repeated ones counted each time.
    """

    documents: int
    words: int
    distinct: tuple[float, float, float]
    totals: tuple[int, int, int]


class Growth:
    """Different 1-, 2- and 3-grams at 13 nested sample sizes.

    Args:
        p: precision of each HyperLogLog; see `detectors.hyperloglog`.

    Attributes:
        documents: int64[13], by level.
        totals: int64[13, 3], n-grams by level and n - 1.
        registers: uint8[13, 3, 2**p].
    """

    def __init__(self, p: int = 12) -> None:
        check_precision(p)
        self.p = p
        self.documents: I64 = np.zeros(LEVELS, np.int64)
        self.totals: I64 = np.zeros((LEVELS, ORDERS), np.int64)
        self.registers: U8 = np.zeros((LEVELS, ORDERS, 1 << p), np.uint8)

    def merge(self, other: Self) -> None:
        """Become the sketch of both: associative and commutative.

        Raises:
            ConfigError: the other has another p.
        """
        if other.p != self.p:
            raise ConfigError(f"p = {self.p} and p = {other.p} cannot be merged. Use one p throughout.")
        self.documents += other.documents
        self.totals += other.totals
        np.maximum(self.registers, other.registers, out=self.registers)

    @property
    def words(self) -> int:
        """All words."""
        return int(self.totals[:, 0].sum())

    @property
    def relative_error(self) -> float:
        """Standard error of each number of different n-grams, as a share of it."""
        return relative_error(self.p)

    def points(self) -> list[Point]:
        """The growth curve, smallest sample first, the whole corpus last; samples without a document are left out."""
        merged = np.zeros(self.registers.shape[1:], np.uint8)
        found: list[Point] = []
        documents, totals = 0, np.zeros(ORDERS, np.int64)
        for level in range(LEVELS - 1, -1, -1):
            if self.documents[level]:
                documents += int(self.documents[level])
                totals += self.totals[level]
                np.maximum(merged, self.registers[level], out=merged)
                first, second, third = (estimate(registers) for registers in merged)
                sizes = int(totals[0]), int(totals[1]), int(totals[2])
                found.append(Point(documents, sizes[0], (first, second, third), sizes))
        return found

    def to_bytes(self) -> bytes:
        """Magic, version, p and a bit for each level that has documents; of those documents, totals, registers."""
        used = np.flatnonzero(self.documents)
        head = _HEADER.pack(_MAGIC, _VERSION, self.p, int(sum(1 << int(level) for level in used)))
        counts = self.documents[used].astype("<i8").tobytes() + self.totals[used].astype("<i8").tobytes()
        return head + counts + self.registers[used].tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote.

        Raises:
            FindingsError: it did not.
        """
        try:
            magic, version, p, mask = _HEADER.unpack_from(data)
            if (magic, version) != (_MAGIC, _VERSION):
                raise FindingsError(f"no growth sketch of version {_VERSION}: {magic!r} {version}. Scan with --fresh.")
            used = [level for level in range(LEVELS) if mask >> level & 1]
            sketch = cls(p)
            numbers = np.frombuffer(data, "<i8", len(used) * (1 + ORDERS), _HEADER.size)
            sketch.documents[used] = numbers[: len(used)]
            sketch.totals[used] = numbers[len(used) :].reshape(-1, ORDERS)
            shape = len(used), ORDERS, 1 << p
            registers = np.frombuffer(data, np.uint8, offset=_HEADER.size + numbers.nbytes)
            sketch.registers[used] = registers.reshape(shape)
        except (struct.error, ValueError, ConfigError) as error:
            raise FindingsError(f"a growth sketch is damaged ({error}). Scan again with --fresh.") from error
        return sketch


class GrowthTable:
    """The growth sketches of many sources while they are filled: one kernel call a batch, whatever their number.

    Args:
        p: precision.
        sources: how many are expected; more are taken in all the same.
    """

    def __init__(self, p: int = 12, sources: int = 1) -> None:
        check_precision(p)
        self._p = p
        self._slots = np.full((1, LEVELS), -1, np.int64)
        self._used = 0
        # Zeros that nobody has touched take no memory, and growing would copy.
        room = LEVELS * min(sources, _MOST_EXPECTED)
        self._counts = np.zeros((room, 1 + ORDERS), np.int64)
        self._registers = np.zeros((room, ORDERS, 1 << p), np.uint8)
        self._block = np.empty(_BLOCK, np.uint64)

    def update(self, words: Words, sources: I64, levels: I64, counted: npt.NDArray[np.bool_]) -> None:
        """Take in a batch.

        Args:
            words: of its documents.
            sources: int64[n], index of each document's source.
            levels: int64[n], 0 to 12.
            counted: bool[n], False for rows that are no document of their own (null, or the rest of a long one).
        """
        slots = self._slots_of(sources, levels)
        np.add.at(self._counts[:, 0], slots, counted)
        for n in range(1, ORDERS + 1):
            np.add.at(self._counts[:, n], slots, np.maximum(words.counts - (n - 1), 0))
        registers = self._registers.reshape(-1)
        _add(words.hashes, words.prefix, words.doc_offsets, read_only(slots), registers, self._p, self._block)

    def source(self, index: int) -> Growth:
        """The sketch of one source."""
        sketch = Growth(self._p)
        if index < len(self._slots):
            levels = np.flatnonzero(self._slots[index] >= 0)
            slots = self._slots[index, levels]
            sketch.documents[levels] = self._counts[slots, 0]
            sketch.totals[levels] = self._counts[slots, 1:]
            sketch.registers[levels] = self._registers[slots]
        return sketch

    def _slots_of(self, sources: I64, levels: I64) -> I64:
        """int64[n]; room is made for pairs of source and level that are new."""
        most = int(sources.max(initial=-1)) + 1
        if most > len(self._slots):
            more = np.full((max(most, 2 * len(self._slots)) - len(self._slots), LEVELS), -1, np.int64)
            self._slots = np.concatenate([self._slots, more])
        pairs = sources * LEVELS + levels
        flat = self._slots.reshape(-1)
        slots = flat[pairs]
        if (slots < 0).any():
            new = np.unique(pairs[slots < 0])
            flat[new] = np.arange(self._used, self._used + len(new))
            self._used += len(new)
            self._make_room()
        found: I64 = flat[pairs]
        return found

    def _make_room(self) -> None:
        size = len(self._registers)
        if self._used > size:
            extra = max(self._used, size + size // 2) - size
            self._counts = np.concatenate([self._counts, np.zeros((extra, *self._counts.shape[1:]), np.int64)])
            self._registers = np.concatenate([self._registers, np.zeros((extra, *self._registers.shape[1:]), np.uint8)])


def document_hashes(words: Words) -> U64:
    """uint64[n]: a hash of each document's words in order, 0 where it has none; equal documents have equal hashes.

    It is mixed once more than an n-gram's, so that it says nothing about those even in documents of three words.
    """
    return _document_hashes(words.prefix, words.doc_offsets)


def trailing_levels(hashes: U64) -> I64:
    """int64[n], 0 to 63: zeros that end each hash, so that level k and up has a share 2**-k; 0 for the hash 0."""
    lowest = hashes & (~hashes + _ONE)
    levels: I64 = np.where(hashes == 0, 0, np.bitwise_count(lowest - _ONE).astype(np.int64))
    return levels


@compiled
def _document_hashes(prefix: U64, doc_offsets: I64) -> U64:
    out = np.zeros(doc_offsets.size - 1, np.uint64)
    base = power(1)
    for document in range(out.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        if first == end:
            continue
        factor, square, left = _ONE, base, end - first
        while left:
            if left & 1:
                factor *= square
            square *= square
            left >>= 1
        value = ngram_hash(prefix, first, end - first, factor) ^ _SALT
        value *= _SPREAD
        value = (value ^ (value >> np.uint64(31))) * _SALT
        out[document] = value ^ (value >> np.uint64(29))
    return out


@compiled
def _add(hashes: U64, prefix: U64, doc_offsets: I64, slots: I64, registers: U8, p: int, block: U64) -> None:
    mask, most, base_to_2, base_to_3 = np.uint64((1 << p) - 1), np.uint64(65 - p), power(2), power(3)
    size = mask + _ONE
    for document in range(slots.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        start = np.uint64((slots[document] * ORDERS) << p)
        for at in range(first, end):
            put(registers, start + (hashes[at] & mask), hashes[at], most)
        _add_ngrams(prefix, first, end - 1, 2, base_to_2, registers, start + size, mask, most, block)
        _add_ngrams(prefix, first, end - 2, 3, base_to_3, registers, start + size + size, mask, most, block)


@inlined
def _add_ngrams(
    prefix: U64,
    first: int,
    end: int,
    n: int,
    base_to_n: np.uint64,
    registers: U8,
    start: np.uint64,
    mask: np.uint64,
    most: np.uint64,
    block: U64,
) -> None:
    # Hashing by itself becomes vector code, which pays for the trip through a block that stays in the first cache.
    while first < end:
        size = min(block.size, end - first)
        for i in range(size):
            block[i] = ngram_hash(prefix, first + i, n, base_to_n)
        for i in range(size):
            put(registers, start + (block[i] & mask), block[i], most)
        first += size
