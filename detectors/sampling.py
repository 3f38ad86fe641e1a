"""The first words of each document without white space and markup, and what script they are in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled, inlined, load8, read_only
from detectors.scripts import CASED, LOWER_CASE, NAMES, SCRIPT_BITS, UNSETTLED, script_table
from detectors.segmentation import INVALID, decode

__all__ = ["SAMPLE_BYTES", "sample_documents"]

U8 = npt.NDArray[np.uint8]
I16 = npt.NDArray[np.int16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

SAMPLE_BYTES = 192
_WINDOW_BYTES = 4096
_TAG_BYTES = 256
_SPACE = 0x20
_SPACES = np.uint64(0x2020202020202020)
_COLONS = np.uint64(0x3A3A3A3A3A3A3A3A)
_ANGLES = np.uint64(0x3C3C3C3C3C3C3C3C)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)
_LATIN = NAMES.index("Latn")
_JAPANESE = NAMES.index("Jpan")
_HAN = NAMES.index("Hani")


def sample_documents(data: U8, offsets: I64) -> tuple[U8, I64, I64, I16, I32, npt.NDArray[np.bool_]]:
    """Take up to `SAMPLE_BYTES` of whole characters from the first 4 KiB of every document.

    White space and control characters become one space, and none at the start; tags (`<p class="x">`), web addresses
    and bytes that are not UTF-8 are left out.

    Args:
        data: uint8[...], UTF-8 text; invalid bytes are allowed.
        offsets: int64[n + 1], ascending; document i is `data[offsets[i] : offsets[i + 1]]`.

    Returns:
        uint8[...], all samples; int64[n], where each starts; int64[n], its bytes; int16[n], index into
        `detectors.scripts.NAMES` of the script that most of its letters' bytes are in; int32[n], how many bytes these
        are; bool[n], whether its normal form C or its case has to be seen to.
    """
    arrays = read_only(data), read_only(offsets), read_only(script_table()), read_only(_CASED)
    return _sample(*arrays)


_CASED = np.array([index in CASED for index in range(len(NAMES))])


@inlined
def _is_letter(byte: int) -> bool:
    return 0x61 <= byte | 0x20 <= 0x7A


@inlined
def _after_tag(data: U8, at: int, end: int) -> int:
    """The byte after the tag that starts at `at`; `at` when none does."""
    if at + 2 >= end or not (_is_letter(data[at + 1]) or data[at + 1] == 0x2F or data[at + 1] == 0x21):
        return at
    for close in range(at + 2, min(end, at + _TAG_BYTES)):
        if data[close] == 0x3E:
            return close + 1
    return at


@inlined
def _before_address(samples: U8, start: int, room: int) -> int:
    """Where in the sample the web address starts whose `:` comes next; `room` when there is no `http` or `https`."""
    at = room - 1 if room > start and samples[room - 1] == 0x73 else room
    if at - 4 < start:
        return room
    scheme = samples[at - 4] == 0x68 and samples[at - 3] == 0x74 and samples[at - 2] == 0x74 and samples[at - 1] == 0x70
    return at - 4 if scheme else room


@inlined
def _zeros(block: np.uint64) -> np.uint64:
    """The high bit of each byte that is 0, of eight bytes below 0x80."""
    return ~(block + _LOW_BITS) & _HIGH_BITS


@inlined
def _plain(block: np.uint64, after_space: bool) -> bool:
    """Whether eight bytes go into the sample as they are: ASCII without control characters, `:`, `<`, double spaces."""
    controls = (block - _SPACES) & ~block
    if (block | controls) & _HIGH_BITS:
        return False
    spaces = _zeros(block ^ _SPACES)
    if spaces & (spaces >> np.uint64(8)) or (after_space and spaces & np.uint64(0x80)):
        return False
    return not _zeros(block ^ _COLONS) | _zeros(block ^ _ANGLES)


@inlined
def _letters(block: np.uint64) -> np.uint64:
    """The high bit of each ASCII letter, of eight bytes below 0x80."""
    lowered = block | _SPACES
    return (lowered + np.uint64(0x1F1F1F1F1F1F1F1F)) & ~(lowered + np.uint64(0x0505050505050505)) & _HIGH_BITS


@compiled
def _sample(
    data: U8, offsets: I64, table: U8, cased: npt.NDArray[np.bool_]
) -> tuple[U8, I64, I64, I16, I32, npt.NDArray[np.bool_]]:
    size = offsets.size - 1
    samples = np.empty(size * SAMPLE_BYTES, np.uint8)
    starts, lengths = np.empty(size, np.int64), np.empty(size, np.int64)
    scripts, letters = np.empty(size, np.int16), np.empty(size, np.int32)
    unsettled = np.empty(size, np.bool_)
    counts = np.zeros(SCRIPT_BITS + 1, np.int32)
    room = 0
    for document in range(size):
        first, start = offsets[document], room
        end = offsets[document + 1]
        at, stop, last = first, min(end, first + _WINDOW_BYTES), start + SAMPLE_BYTES
        flags, lower, latin = 0, False, 0
        while at < stop and room < last:
            if room + 8 <= last and at + 8 <= stop:
                block = load8(data, at)
                if _plain(block, room == start or samples[room - 1] == _SPACE):
                    letter = _letters(block)
                    latin += int((letter >> np.uint64(7)) * np.uint64(0x0101010101010101) >> np.uint64(56))
                    lower |= letter & (block << np.uint64(2)) != 0
                    for k in range(8):
                        samples[room + k] = data[at + k]
                    at += 8
                    room += 8
                    continue
            byte = data[at]
            if byte < 0x80:
                if byte <= _SPACE:
                    if room > start and samples[room - 1] != _SPACE:
                        samples[room] = _SPACE
                        room += 1
                    at += 1
                    continue
                if byte == 0x3C:
                    after = _after_tag(data, at, end)
                    if after > at:
                        at = after
                        continue
                if byte == 0x3A and at + 1 < end and data[at + 1] == 0x2F:
                    scheme = _before_address(samples, start, room)
                    if scheme < room:
                        latin -= room - scheme
                        room = scheme
                        while at < stop and _SPACE < data[at] < 0x7F and data[at] != 0x29 and data[at] != 0x3E:
                            at += 1
                        continue
                if _is_letter(byte):
                    latin += 1
                    lower |= byte >= 0x61
                samples[room] = byte
                room += 1
                at += 1
                continue
            point, width = decode(data, at, end)
            if point != INVALID:
                if room + width > last:
                    break
                entry = table[point] if point < table.size else 0
                flags |= entry
                lower |= entry & LOWER_CASE != 0
                counts[entry & SCRIPT_BITS] += width
                for _ in range(width):
                    samples[room] = data[at]
                    room += 1
                    at += 1
            else:
                at += 1
        counts[_LATIN] += latin
        script, total = _main_script(counts)
        starts[document], lengths[document] = start, room - start
        scripts[document], letters[document] = script, total
        case = False
        if not lower:
            for index in range(1, cased.size):
                case |= cased[index] and counts[index] > 0
        unsettled[document] = case or flags & UNSETTLED != 0
        counts[:] = 0
    return samples[:room], starts, lengths, scripts, letters, unsettled


@inlined
def _main_script(counts: I32) -> tuple[int, int]:
    """The script of most bytes, the earlier of two alike, and bytes of all; Han with a tenth of kana is Japanese."""
    if 9 * counts[_JAPANESE] >= counts[_HAN]:
        counts[_JAPANESE] += counts[_HAN]
        counts[_HAN] = 0
    best, total = 0, 0
    for script in range(1, counts.size):
        total += counts[script]
        if counts[script] > counts[best] or (best == 0 and counts[script] > 0):
            best = script
    return best, total
