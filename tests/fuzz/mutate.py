"""Mutations of valid inputs: bytes flipped, cut, repeated, spliced; extreme numbers; tokens where none belong."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

__all__ = ["mutated"]

_EXTREMES = [b"0", b"-1", b"9223372036854775808", b"1e999", b"-0.0", b"NaN", b"null", b"true", b'""', b"[]", b"{}"]
_BYTES = [
    b"\x00",
    b"\xff",
    b"\x80",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98",
    b"\x1b[2J",
    b"\r\n",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
]
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_NESTED = [b"[" * 2000, b"(" * 2000, b'{"a":' * 2000, b"-" * 2000, b"NOT " * 500]
_WIDTHS = (1, 2, 4, 8)


def _flip(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _random_byte(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] = draw.randrange(256)


def _cut(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data))
    del data[at : at + draw.choice([1, 2, 8, 64, len(data)])]


def _repeat(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data))
    data[at:at] = data[at : at + draw.choice([1, 4, 30, 300])] * draw.choice([1, 2, 20])


def _insert(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data))
    data[at:at] = draw.choice(_BYTES + _EXTREMES if draw.random() < 0.97 else _NESTED)


def _number(data: bytearray, draw: random.Random) -> None:
    found = list(_NUMBER.finditer(data))
    if found:
        one = draw.choice(found)
        data[one.start() : one.end()] = draw.choice(_EXTREMES)


def _integer(data: bytearray, draw: random.Random) -> None:
    """A little-endian number in place of bytes, as lengths and offsets of binary formats are."""
    width = draw.choice(_WIDTHS)
    at = draw.randrange(len(data))
    value = draw.choice([0, 1, 2**7, 2**31 - 1, 2**31, 2**40, 2**63, 2**64 - 1]) % 2 ** (8 * width)
    data[at : at + width] = value.to_bytes(width, "little")


_KINDS: Sequence[Callable[[bytearray, random.Random], None]] = (
    *(_flip, _random_byte) * 3,
    *(_cut, _repeat, _insert, _number, _integer),
)


def mutated(seeds: Sequence[bytes], draw: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """One input: a seed with a few mutations, now and then the beginning of one and the end of another.

    Args:
        seeds: valid inputs.
        draw: randomness.
        tokens: words of the format, to be put anywhere.
    """
    data = bytearray(draw.choice(seeds))
    if draw.random() < 0.1:
        other = draw.choice(seeds)
        data = data[: draw.randrange(len(data) + 1)] + bytearray(other[draw.randrange(len(other)) :])
    for _ in range(draw.choice([1, 1, 1, 2, 3, 8])):
        if not data:
            data = bytearray(b"\x00")
        if tokens and draw.random() < 0.3:
            at = draw.randrange(len(data))
            data[at:at] = draw.choice(tokens)
        else:
            draw.choice(_KINDS)(data, draw)
    return bytes(data[: 1 << 20])
