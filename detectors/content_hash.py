"""XXH64 (seed 0) of the bytes of documents: equal texts have equal hashes, in every process and on every machine.

The algorithm is the public specification of xxHash (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), so that
`xxhash.xxh64_intdigest(text)` gives the same number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, load8, read_only

__all__ = ["content_hashes"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_BITS = np.uint64(64)
_8, _16, _24 = np.uint64(8), np.uint64(16), np.uint64(24)


def content_hashes(data: U8, offsets: I64) -> U64:
    """uint64[n]: XXH64 of the bytes `data[offsets[i] : offsets[i + 1]]` of each document, valid UTF-8 or not."""
    out = np.empty(len(offsets) - 1, np.uint64)
    _hash_documents(read_only(data), read_only(offsets), out)
    return out


@inlined
def _rotate(x: np.uint64, bits: int) -> np.uint64:
    left = np.uint64(bits)
    return (x << left) | (x >> (_BITS - left))


@inlined
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _P2, 31) * _P1


@inlined
def _merge(h: np.uint64, lane: np.uint64) -> np.uint64:
    return (h ^ _round(np.uint64(0), lane)) * _P1 + _P4


@bare
def _hash_documents(data: U8, offsets: I64, out: U64) -> None:
    for document in range(out.size):
        at, end = offsets[document], offsets[document + 1]
        length = np.uint64(end - at)
        h = _P5
        if end - at >= 32:
            a, b, c, d = _P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1
            while at + 32 <= end:
                a, b = _round(a, load8(data, at)), _round(b, load8(data, at + 8))
                c, d = _round(c, load8(data, at + 16)), _round(d, load8(data, at + 24))
                at += 32
            h = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
            h = _merge(_merge(_merge(_merge(h, a), b), c), d)
        h += length
        while at + 8 <= end:
            h = _rotate(h ^ _round(np.uint64(0), load8(data, at)), 27) * _P1 + _P4
            at += 8
        if at + 4 <= end:
            word = np.uint64(data[at]) | np.uint64(data[at + 1]) << _8
            word |= np.uint64(data[at + 2]) << _16 | np.uint64(data[at + 3]) << _24
            h = _rotate(h ^ (word * _P1), 23) * _P2 + _P3
            at += 4
        while at < end:
            h = _rotate(h ^ (np.uint64(data[at]) * _P5), 11) * _P1
            at += 1
        h = (h ^ (h >> np.uint64(33))) * _P2
        h = (h ^ (h >> np.uint64(29))) * _P3
        out[document] = h ^ (h >> np.uint64(32))
