"""Distributions of document measures in log-spaced bins: quantiles within 1 % of a true one, merged exactly.

Bin i holds values in (g**(i - 1), g**i] with g = (1 + a) / (1 - a), as in DDSketch (Masson, Rim and Lee 2019,
arXiv:1908.10693), so that the middle of a bin is within a share a of every value in it. All bins are kept: nothing is
collapsed, and counts depend on neither the order of values nor on how they are split.
"""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
import numpy.typing as npt

from detectors.errors import FindingsError
from detectors.jit import compiled
from detectors.words import SENTENCE_START, Words

__all__ = ["BINS", "RELATIVE_ERROR", "LogHistogram", "bins_of", "sentences_and_characters"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

RELATIVE_ERROR = 0.01
"""Largest distance of a quantile from the value of that rank, as a share of the value."""
_RATIO = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_RATIO = float(np.log(_RATIO))
BINS = 2 + int(np.ceil(np.log(2.0**44) / _LOG_RATIO))
"""Bin 0 is for zeros, bin 1 + i for (g**(i - 1), g**i]; the last one takes what lies above 2**44 as well."""

_HEADER = struct.Struct("<4sB3xI")
_MAGIC, _VERSION = b"FXLH", 1


def bins_of(values: F64) -> I64:
    """int64[n]: the bin of each value. Values are 0 or at least 1: counts, and means of counts of one or more."""
    exponents = np.ceil(np.log(np.maximum(values, 1.0)) / _LOG_RATIO).astype(np.int64)
    return np.where(values < 1.0, 0, np.minimum(exponents + 1, BINS - 1))


class LogHistogram:
    """The distribution of one measure.

    Args:
        counts: int64[BINS] to start from; None starts empty. They are copied.
    """

    def __init__(self, counts: I64 | None = None) -> None:
        self.counts: I64 = np.zeros(BINS, np.int64) if counts is None else counts.astype(np.int64)

    def update(self, values: F64) -> None:
        """Take in values that are 0 or at least 1."""
        self.counts += np.bincount(bins_of(values), minlength=BINS)

    def merge(self, other: Self) -> None:
        """Become the histogram of both: associative and commutative."""
        self.counts += other.counts

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    def quantile(self, q: float) -> float | None:
        """A value within 1 % of the one that has rank floor(q * (n - 1)), counted from 0; None without values."""
        total = self.total
        if total == 0:
            return None
        found = int(np.searchsorted(np.cumsum(self.counts), int(q * (total - 1)), side="right"))
        # The point of (low, high] that is as far from low as from high, relative to each.
        return 0.0 if found == 0 else float(2.0 * _RATIO ** (found - 1) / (_RATIO + 1.0))

    def to_bytes(self) -> bytes:
        """Magic, version, number of bins that are used; their indices and counts."""
        used = np.flatnonzero(self.counts)
        head = _HEADER.pack(_MAGIC, _VERSION, len(used))
        return head + used.astype("<u2").tobytes() + self.counts[used].astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote.

        Raises:
            FindingsError: it did not.
        """
        try:
            magic, version, used = _HEADER.unpack_from(data)
            if (magic, version) != (_MAGIC, _VERSION):
                raise FindingsError(f"no histogram of version {_VERSION}: {magic!r} {version}. Scan with --fresh.")
            bins = np.frombuffer(data, "<u2", used, _HEADER.size)
            sketch = cls()
            sketch.counts[bins] = np.frombuffer(data, "<i8", used, _HEADER.size + bins.nbytes)
        except (struct.error, ValueError, IndexError) as error:
            raise FindingsError(f"a histogram is damaged ({error}). Scan again with --fresh.") from error
        return sketch


def sentences_and_characters(words: Words) -> I64:
    """int64[2, n]: sentences of each document, and the characters of its words."""
    out = np.zeros((2, len(words.counts)), np.int64)
    _sum_up(words.doc_offsets, words.flags, words.characters, out)
    return out


@compiled
def _sum_up(doc_offsets: I64, flags: U8, characters: I32, out: I64) -> None:
    for document in range(doc_offsets.size - 1):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        sentences, length = 0, 0
        for flag in flags[first:end]:
            sentences += flag & SENTENCE_START
        for size in characters[first:end]:
            length += size
        out[0, document], out[1, document] = sentences, length
