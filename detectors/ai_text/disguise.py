"""Text as it reads: wide and styled letters as ASCII, look-alikes of other scripts as Latin, nothing invisible.

Words are compared by their hashes, and a word of which a single letter is another code point is another word. People
hardly ever write so, but text is disguised so, and then a detector knows no word of it. What is undone here:
- wide and styled letters and digits, ligatures: always;
- invisible characters: always; joiners and directional marks after ASCII alone, as other scripts need them;
- look-alikes: in words with a Latin letter and no foreign one; and in a document whose letters are Latin for the larger
  part, in words of look-alikes alone. Other words of Cyrillic, Greek and Armenian stay;
- full-width punctuation: in such a document.

This is the detector's business, not that of `detectors.words`: signatures of near duplicates are of words as they
stand. A document without any of it, which nearly every one is, is looked at once and not copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.ai_text.look_alikes import (
    FOREIGN,
    INVISIBLE,
    JOINER,
    LATIN,
    LIMIT,
    LOOK_ALIKE,
    STYLED,
    WIDE_MARK,
    ascii_forms,
    roles,
)
from detectors.documents import Documents, as_large_binary
from detectors.jit import bare, compiled, read_only, trailing_zeros
from detectors.segmentation import decode
from detectors.simd import high_mask, lead_mask
from detectors.unicode_classes import APOSTROPHE, LETTER, MARK, SINGLE, class_table

__all__ = ["Undisguised", "as_read", "undisguised"]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
Tables = tuple[U8, U32, U8]

_BLOCK = 64
_APOSTROPHE, _ZERO, _NINE = b"'09"
_HAN = 0xE4, 0xE9
"""Lead bytes of U+4000 to U+9FFF, which are letters of no use for a disguise."""


@dataclass(frozen=True, eq=False)
class Undisguised:
    """The documents of a batch that read otherwise than their code points say.

    Attributes:
        rows: int64[k], ascending, which they are.
        documents: k of them, as they read.
    """

    rows: I64
    documents: Documents


def undisguised(documents: Documents) -> Undisguised | None:
    """The documents that change when they are taken as they read; None where no one does."""
    data, offsets = read_only(documents.data), read_only(documents.offsets)
    tables = read_only(roles()), read_only(ascii_forms()), read_only(class_table())
    rows = np.flatnonzero(_suspects(data, offsets, tables[0]))
    if not len(rows):
        return None
    sizes = (offsets[1:] - offsets[:-1])[rows]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    out, ends = np.empty(int(starts[-1]), np.uint8), np.zeros(len(rows), np.int64)
    changed = _rewrite(data, offsets, rows, tables, starts, out, ends)
    rows, starts, ends = rows[changed], starts[:-1][changed], ends[changed]
    if not len(rows):
        return None
    texts = [out[first:last].tobytes() for first, last in zip(starts, ends, strict=True)]
    return Undisguised(rows, Documents(pa.record_batch({"text": pa.array(texts, pa.large_binary())})))


def as_read(documents: Documents) -> Documents:
    """The same documents as they read: this very batch where none is disguised, else one of text alone; null stays."""
    found = undisguised(documents)
    if found is None:
        return documents
    texts = as_large_binary(documents.batch.column("text")).to_pylist()
    for row, text in zip(found.rows, found.documents.batch.column("text").to_pylist(), strict=True):
        texts[row] = text
    return Documents(pa.record_batch({"text": pa.array(texts, pa.large_binary())}))


@compiled
def _suspects(data: U8, offsets: I64, role_of: U8) -> npt.NDArray[np.bool_]:
    """bool[n]: documents that may change.

    All others stay: none of them changes, but for one of mostly foreign letters in which an apostrophe or a mark beyond
    ASCII stands between the Latin and the look-alike letters of a word.
    """
    found = np.zeros(offsets.size - 1, np.bool_)
    latin = np.zeros(256, np.uint8)
    for byte in range(0x80):
        latin[byte] = 1 | int(role_of[byte] == LATIN or byte == _APOSTROPHE or _ZERO <= byte <= _NINE) << 1
    for row in range(found.size):
        found[row] = _suspect(data, offsets[row], offsets[row + 1], role_of, latin)
    return found


@bare
def _suspect(data: U8, low: int, high: int, role_of: U8, latin: U8) -> bool:
    """Whether a document may change. `latin`: of each byte 1 where it is ASCII, 2 more where it may stand in a word."""
    foreign, alike, beyond, accented, sure = 0, 0, 0, 0, 0
    at = low
    while at < high:
        if at + _BLOCK <= data.size:
            mask = high_mask(data, at) & lead_mask(data, at)
        else:
            mask = np.uint64(0)
            for i in range(data.size - at):
                mask |= np.uint64(data[at + i] >= 0xC0) << np.uint64(i)
        while mask:
            place = at + trailing_zeros(mask)
            mask &= mask - np.uint64(1)
            if place >= high:
                break
            lead = data[np.uint64(place)]
            if _HAN[0] <= lead <= _HAN[1]:
                foreign += 1
                beyond += 3
                continue
            point, width = decode(data, place, high)
            beyond += width
            # No question is asked of which letter it is, as that cannot be guessed.
            role = role_of[np.uint64(min(point, LIMIT - 1))]
            before, after = (
                latin[data[np.uint64(max(place - 1, low))]],
                latin[data[np.uint64(min(place + width, high - 1))]],
            )
            is_alike = int(role == LOOK_ALIKE)
            foreign += int(role == FOREIGN)
            accented += int(role == LATIN)
            alike += is_alike | int(role == WIDE_MARK)
            sure |= (is_alike & int((before | after) >> 1)) | (int(role == JOINER) & int(before)) | int(role >= STYLED)
        at += _BLOCK
    # Without Latin letters beyond ASCII, a document of Latin letters for the larger part has fewer foreign letters than
    # bytes of ASCII.
    return bool(sure) or (alike > 0 and (accented > 0 or foreign < high - low - beyond))


@compiled
def _rewrite(
    data: U8, offsets: I64, rows: I64, tables: Tables, starts: I64, out: U8, ends: I64
) -> npt.NDArray[np.bool_]:
    """Write each of `rows` to `out` from its start on as it reads, note where it ends, and whether it has changed."""
    changed = np.zeros(rows.size, np.bool_)
    for i in range(rows.size):
        low, high = offsets[rows[i]], offsets[rows[i] + 1]
        latin = _is_latin(data, low, high, tables[0], tables[1])
        ends[i] = _read(data, low, high, latin, tables, out, starts[i])
        same = ends[i] - starts[i] == high - low
        if same:
            for k in range(high - low):
                same &= data[low + k] == out[starts[i] + k]
        changed[i] = not same
    return changed


@bare
def _is_latin(data: U8, low: int, high: int, role_of: U8, forms: U32) -> bool:
    """Whether more letters are Latin than belong to other scripts; those that look alike count for neither."""
    latin, foreign, at = 0, 0, low
    while at < high:
        point, width = decode(data, at, high)
        if point < LIMIT:
            role = role_of[np.uint64(point)]
            # Digits sort before letters, in ASCII too.
            latin += int(role == LATIN or (role == STYLED and forms[np.uint64(point)] & np.uint32(0xFF) > ord("9")))
            foreign += int(role == FOREIGN)
        at += width
    return latin > foreign


@bare
def _read(data: U8, low: int, high: int, latin: bool, tables: Tables, out: U8, begin: int) -> int:
    """Write one document to `out` from `begin` on; returns where it ends."""
    role_of, forms, classes = tables
    at, used, word = low, begin, begin
    has_latin, has_alike, has_foreign = False, False, False
    while at < high:
        point, width = decode(data, at, high)
        role = role_of[np.uint64(point)] if point < LIMIT else np.uint8(0)
        if role == INVISIBLE or (role == JOINER and used > begin and out[used - 1] < 0x80):
            at += width
            continue
        kind = classes[np.uint64(point)]
        inside = LETTER <= kind <= SINGLE or kind in (MARK, APOSTROPHE) or role == STYLED
        if not inside:
            if has_alike and not has_foreign and (latin or has_latin):
                used = _spelt(out, word, used, role_of, forms)
            has_latin, has_alike, has_foreign = False, False, False
        if role == STYLED or (role == WIDE_MARK and latin):
            code = forms[np.uint64(point)]
            while code:
                out[used] = np.uint8(code & np.uint32(0xFF))
                used += 1
                code >>= np.uint32(8)
        else:
            for k in range(width):
                out[used] = data[at + k]
                used += 1
        if inside:
            has_latin |= role in (LATIN, STYLED)
            has_alike |= role == LOOK_ALIKE
            has_foreign |= role == FOREIGN
        else:
            word = used
        at += width
    if has_alike and not has_foreign and (latin or has_latin):
        used = _spelt(out, word, used, role_of, forms)
    return used


@bare
def _spelt(out: U8, begin: int, end: int, role_of: U8, forms: U32) -> int:
    """Write the look-alikes of a word as the letters they look like; returns where it now ends."""
    at, used = begin, begin
    while at < end:
        point, width = decode(out, at, end)
        if point < LIMIT and role_of[np.uint64(point)] == LOOK_ALIKE:
            out[used] = np.uint8(forms[np.uint64(point)])
            used += 1
        else:
            for k in range(width):
                out[used + k] = out[at + k]
            used += width
        at += width
    return used
