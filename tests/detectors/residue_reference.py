"""`residue` as RE2 finds it in all of every text: what the anchors must not change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.residue import Residue
from detectors.residue_phrases import STRONG, WEAK

SPACE = b"(?:[\\s\xa0\xc2\xe3\x80]+)"
APOSTROPHE = "(?:'|\u2019)".encode()


def measure(documents: Documents) -> pa.RecordBatch:
    text = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(documents),
        [None, pa.py_buffer(documents.offsets), pa.py_buffer(documents.data)],
    )
    counts, first = [], []
    for table in (STRONG, WEAK):
        pattern = b"|".join(expanded(phrase) for phrases in table.values() for phrase in phrases)
        counts.append(pc.count_substring_regex(text, pattern, ignore_case=True).cast(pa.int32()))
        first.append(np.asarray(pc.find_substring_regex(text, pattern, ignore_case=True)))
    names: list[str | None] = []
    starts: list[int | None] = []
    for row, (strong, weak) in enumerate(zip(*first, strict=True)):
        table, start = (STRONG, int(strong)) if strong >= 0 else (WEAK, int(weak))
        names.append(named(table, text[row].as_py(), start) if start >= 0 else None)
        starts.append(start if start >= 0 else None)
    return pa.record_batch([*counts, pa.array(names, pa.string()), pa.array(starts, pa.int64())], schema=Residue.schema)


def named(table: dict[str, tuple[str, ...]], text: bytes, start: int) -> str | None:
    """The first id of the table with a phrase that matches at `start`, context before it included."""
    one = pa.array([text], pa.large_binary())
    for name, phrases in table.items():
        for phrase in phrases:
            # Up to `start` anything, then the phrase: RE2 sees the byte before it, as \\b needs.
            pattern = b"(?s)\\A" + b".{1000}" * (start // 1000) + b".{%d}(?:%s)" % (start % 1000, expanded(phrase))
            if pc.match_substring_regex(one, pattern, ignore_case=True)[0].as_py():
                return name
    return None


def expanded(phrase: str) -> bytes:
    return b"".join(map(either_case, phrase)).replace(b" ", SPACE).replace(b"'", APOSTROPHE)


def either_case(letter: str) -> bytes:
    lower, upper = letter.encode(), letter.upper().encode()
    if letter.isascii() or len(letter.upper()) != 1 or lower == upper:
        return lower
    if lower[:-1] == upper[:-1]:
        return lower[:-1] + b"[" + lower[-1:] + upper[-1:] + b"]"
    return b"(?:" + lower + b"|" + upper + b")"
