"""HyperLogLog: how many different 64-bit hashes were seen, in 4 KiB, merged exactly and in any order.

Registers follow the rule of `datasketch.HyperLogLogPlusPlus`: the low p bits of a hash choose a register, which keeps
the largest rank seen, and the rank of the other 64 - p bits is one more than the zeros that they lead with. Fed the
same hashes, both hold the same registers. The estimate is Ertl's (2017, arXiv:1702.01284, algorithm 6): from the
registers alone, without tables of bias, and without a seam between small and large counts.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from detectors.errors import ConfigError, FindingsError
from detectors.jit import compiled, inlined, read_only

if TYPE_CHECKING:
    from datasketch import HyperLogLogPlusPlus  # type: ignore[import-untyped,unused-ignore]

__all__ = ["HyperLogLog", "check_precision", "estimate", "put", "relative_error"]

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

_ALL_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_HEADER = struct.Struct("<4sBB2x")
_MAGIC, _VERSION = b"FXHL", 1
_ALPHA = 1.0 / (2.0 * math.log(2.0))


class HyperLogLog:
    """Counts different hashes.

    The standard error of `count` is `relative_error`: 1.6 % for p = 12. Counts of up to a few hundred are off by less.

    Args:
        p: log2 of the number of registers, 4 to 16.
        registers: uint8[2**p] to start from; None starts empty. They are copied.

    Raises:
        ConfigError: p outside its range, or registers that do not fit it.
    """

    def __init__(self, p: int = 12, registers: U8 | None = None) -> None:
        check_precision(p)
        if registers is not None and (registers.shape != (1 << p,) or int(registers.max()) > 65 - p):
            raise ConfigError(f"registers do not fit p = {p}: {1 << p} values of 0 to {65 - p} are needed.")
        self.p = p
        self.registers: U8 = np.zeros(1 << p, np.uint8) if registers is None else registers.astype(np.uint8)

    def update(self, hashes: U64) -> None:
        """Take in uint64 hashes; their bits must be well mixed."""
        _put_all(read_only(hashes), self.registers, self.p)

    def merge(self, other: Self) -> None:
        """Become the sketch of both: associative, commutative, idempotent.

        Raises:
            ConfigError: the other has another p.
        """
        if other.p != self.p:
            raise ConfigError(f"p = {self.p} and p = {other.p} cannot be merged. Use one p throughout.")
        np.maximum(self.registers, other.registers, out=self.registers)

    def count(self) -> float:
        """Estimated number of different hashes."""
        return estimate(self.registers)

    @property
    def relative_error(self) -> float:
        """Standard error of `count`, as a share of it."""
        return relative_error(self.p)

    def to_bytes(self) -> bytes:
        """Magic, version and p, then the registers; the same on every machine."""
        return _HEADER.pack(_MAGIC, _VERSION, self.p) + self.registers.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote.

        Raises:
            FindingsError: it did not.
        """
        try:
            magic, version, p = _HEADER.unpack_from(data)
        except struct.error as error:
            raise FindingsError(f"no HyperLogLog: {error}. Scan again with --fresh.") from error
        if (magic, version) != (_MAGIC, _VERSION):
            raise FindingsError(f"no HyperLogLog of version {_VERSION}: {magic!r} {version}. Scan again with --fresh.")
        try:
            return cls(p, np.frombuffer(data[_HEADER.size :], np.uint8))
        except ConfigError as error:
            raise FindingsError(f"a HyperLogLog is damaged ({error}). Scan again with --fresh.") from error

    def to_datasketch(self) -> HyperLogLogPlusPlus:
        """A `datasketch.HyperLogLogPlusPlus` with the same registers; datasketch must be installed."""
        from datasketch import HyperLogLogPlusPlus

        return HyperLogLogPlusPlus(reg=self.registers.astype(np.int8))


def check_precision(p: int) -> None:
    """Raise ConfigError unless p is within 4 to 16, the range that datasketch has."""
    if not 4 <= p <= 16:
        raise ConfigError(f"p is {p}. Set it between 4 and 16.")


def relative_error(p: int) -> float:
    """Standard error of an estimate from 2**p registers, as a share of it: 1.04 / sqrt(2**p)."""
    return float(1.04 / np.sqrt(1 << p))


def estimate(registers: U8) -> float:
    """Estimated number of different hashes behind uint8[2**p] registers; infinite when all are at their highest."""
    m = registers.size
    highest = 65 - (m.bit_length() - 1)
    found = np.bincount(registers, minlength=highest + 1)
    if found[0] == m:
        return 0.0
    z = m * _tau(1.0 - float(found[highest]) / m)
    for rank in range(highest - 1, 0, -1):
        z = 0.5 * (z + float(found[rank]))
    z += m * _sigma(float(found[0]) / m)
    return _ALPHA * m * m / z if z > 0 else math.inf


def _sigma(x: float) -> float:
    """The sum of x**(2**k) * 2**(k - 1) over k >= 0, plus x / 2: what empty registers say about small counts."""
    y, z, last = 1.0, x, -1.0
    while z != last:
        x *= x
        last = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    """A third of 1 - x less the sum of (1 - x**(2**-k))**2 * 2**-k over k > 0: what full registers say."""
    if x in (0.0, 1.0):
        return 0.0
    y, z, last = 1.0, 1.0 - x, -1.0
    while z != last:
        x = float(np.sqrt(x))
        last = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
    return z / 3.0


@inlined
def put(registers: U8, at: np.uint64, value: np.uint64, most: np.uint64) -> None:
    """Let the register at `at` see a hash. `most` is the highest rank that counts, 65 - p."""
    # A rank is above `rank` exactly when the top `rank` bits of the hash are zero: one shift and one comparison that is
    # nearly always false, where counting zeros would be done for each hash.
    rank = np.uint64(registers[at])
    if value <= _ALL_ONES >> rank:
        while rank < most and value <= _ALL_ONES >> rank:
            rank += np.uint64(1)
        registers[at] = rank


@compiled
def _put_all(hashes: U64, registers: U8, p: int) -> None:
    mask, most = np.uint64((1 << p) - 1), np.uint64(65 - p)
    for value in hashes:
        put(registers, value & mask, value, most)
