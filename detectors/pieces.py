"""Cuts a batch into blocks that stay in cache, and long documents into pieces: cost a byte and memory stay flat.

A document of more than `LONG_BYTES` is cut into pieces of at most `PIECE_BYTES`, each after the last ASCII white space
of such a run; where the last 4 KiB of a run have none, before the last character that would be split. Where it is cut
depends on its bytes alone. A signal that has `combine` (see `detectors.protocols.Piecewise`) and reads nothing but the
text or the response measures the pieces, many at a time, as if they were documents; every other signal is given the
document whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from detectors.documents import Documents
from detectors.protocols import Piecewise, Signal

__all__ = ["BLOCK_BYTES", "LONG_BYTES", "PIECE_BYTES", "Block", "blocks", "cuts", "cuts_of", "is_piecewise", "pieces"]

BLOCK_BYTES = 2 << 20
"""Documents are measured together until they hold this much text: their views then fit in the cache of a core."""
LONG_BYTES = 1 << 20
"""Documents of more bytes are measured in pieces."""
PIECE_BYTES = 1 << 17
"""Tables over the words of one piece stay in the cache of a core; those over a whole book do not."""
_LOOK_BACK = 4096
_WHITE = b" \t\n\r\v\f"


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a batch that are measured together.

    Attributes:
        documents: the rows.
        is_long: whether it is one row whose text or response is to be measured in pieces.
    """

    documents: Documents
    is_long: bool


def blocks(documents: Documents) -> Iterator[Block]:
    """Cut a batch into runs of rows of about `BLOCK_BYTES`; a row with a long text stands alone."""
    sizes = np.diff(documents.offsets)
    if documents.response is not documents:
        sizes = np.maximum(sizes, np.diff(documents.response.offsets))
    ends = np.cumsum(sizes)
    first, n = 0, len(documents)
    while first < n:
        if sizes[first] > LONG_BYTES:
            yield Block(documents.slice(first, 1), is_long=True)
            first += 1
            continue
        before = int(ends[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + BLOCK_BYTES, side="right")))
        long = np.flatnonzero(sizes[first:end] > LONG_BYTES)
        if len(long):
            end = first + int(long[0])
        whole = first == 0 and end == n
        yield Block(documents if whole else documents.slice(first, end - first), is_long=False)
        first = end


def is_piecewise(signal: Signal) -> bool:
    """Whether a signal measures long documents in pieces."""
    return isinstance(signal, Piecewise) and signal.reads in (("text",), ("response",))


def cuts(text: memoryview) -> list[int]:
    """Offsets at which a document is cut, from 0 to its length."""
    found = [0]
    while len(text) > LONG_BYTES and len(text) - found[-1] > PIECE_BYTES:
        start = found[-1]
        stop = start + PIECE_BYTES
        tail = bytes(text[stop - _LOOK_BACK : stop])
        at = max(tail.rfind(white) for white in (_WHITE[i : i + 1] for i in range(len(_WHITE))))
        if at >= 0:
            stop += at + 1 - _LOOK_BACK
        else:
            back = next((k for k in range(4) if text[stop - k] & 0xC0 != 0x80), 0)
            stop -= back
        found.append(stop)
    found.append(len(text))
    return found


def cuts_of(documents: Documents) -> list[int]:
    """`cuts` of a single document in a batch of its own."""
    first, end = int(documents.offsets[0]), int(documents.offsets[-1])
    return cuts(documents.data[first:end].data)


def pieces(documents: Documents, edges: Sequence[int]) -> Iterator[tuple[list[int], Documents]]:
    """The pieces of a single document in batches of about `BLOCK_BYTES`, with the bytes where they start. No copy.

    Args:
        documents: one row.
        edges: where it is cut, of `cuts_of`.
    """
    first, data = int(documents.offsets[0]), documents.data
    at_once = max(1, BLOCK_BYTES // PIECE_BYTES)
    for at in range(0, len(edges) - 1, at_once):
        part = list(edges[at : at + at_once + 1])
        offsets = np.array(part, np.int64) + first
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        text = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(part) - 1, buffers)
        yield part[:-1], Documents(pa.record_batch({"text": text}))
