"""Five cheap numbers about how a text is written, by which its margin is adjusted when findings are read.

They were chosen by forward selection from 35 (see MODEL_CARD.md): with them a margin ranks better within data sets that
the detector never saw, and human margins lie closer together from source to source.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.documents import Documents
from detectors.jit import compiled, read_only

__all__ = ["style"]

_NEAR = 10
_PARENTHESIS, _FULL_STOP = ord("("), ord(".")
_RUN = 255
"""Bytes of which a counter of a byte can count all."""

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]


def style(documents: Documents, characters: I64) -> npt.NDArray[np.float32]:
    """float32[n, len(STYLE)]: the style of each document, finite, 0 where there is nothing to measure.

    Rows are as `detectors.ai_text.adjustment.STYLE` says.

    Args:
        documents: the texts that are judged.
        characters: int64[n], code points of each.
    """
    from detectors.lexical import sentence_lengths

    words = documents.words
    lengths = sentence_lengths(words)
    mean = np.nan_to_num(lengths.mean, nan=1.0)
    marks = _marks(read_only(documents.data), read_only(documents.offsets))
    size = np.maximum(characters, 1)
    columns = [
        np.log(np.maximum(mean, 1.0)),
        np.nan_to_num(lengths.std, nan=0.0) / np.maximum(mean, 1.0),
        _near_repeats(words.doc_offsets, words.previous) / np.maximum(words.counts, 1),
        np.sqrt(marks[:, 0] / size),
        np.sqrt(marks[:, 1] / size),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@compiled
def _near_repeats(doc_offsets: I64, previous: I32) -> I64:
    """int64[n]: words that stand among the `_NEAR` words before them."""
    counts = np.zeros(doc_offsets.size - 1, np.int64)
    for document in range(counts.size):
        first, count = doc_offsets[document], 0
        for at in range(first, doc_offsets[document + 1]):
            before = np.int64(previous[at])
            count += (before >= 0) & (at - first - before <= _NEAR)
        counts[document] = count
    return counts


@compiled
def _marks(data: U8, offsets: I64) -> I64:
    """int64[n, 2]: opening parentheses and full stops of each document, in bytes."""
    counts = np.zeros((offsets.size - 1, 2), np.int64)
    for document in range(offsets.size - 1):
        begin, end = offsets[document], offsets[document + 1]
        for start in range(begin, end, _RUN):
            # Counters of a byte, so that as many bytes as a vector has are looked at together.
            opened, stopped = np.uint8(0), np.uint8(0)
            for at in range(start, min(end, start + _RUN)):
                byte = data[np.uint64(at)]
                opened = np.uint8(opened + np.uint8(byte == _PARENTHESIS))
                stopped = np.uint8(stopped + np.uint8(byte == _FULL_STOP))
            counts[document, 0] += opened
            counts[document, 1] += stopped
    return counts
