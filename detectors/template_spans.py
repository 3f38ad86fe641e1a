"""Which bytes of a text are its form and not its content, so that a model can be made to forget the one alone.

Form is what skeletons (`detectors.skeletons`) are made of, slots aside: function words and stops of the first elements.
Besides, of every line wherever it stands, the mark that makes it a heading, quotation, list item or row of a table, its
label of one or two words and a colon (`Question:`, `**Final answer:**`), and the fences around code.

    Sure, here are 3 ideas for a party:      here  are  for  a  :
    1. Ask for games.                        1.
    2. Venue: a garden                       2.  Venue:
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.function_words import function_words
from detectors.jit import bare, inlined, read_only
from detectors.line_kernels import FENCE, TEXT, is_label, line_kind, newline, stripped
from detectors.skeleton_kernels import COUNTS, ELLIPSIS, KIND, SLOT, STOP, Listed, Scratch, Spans, Text, room, trace_at
from detectors.skeletons import Shape

__all__ = ["TEMPLATE_SPANS", "template_spans"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

TEMPLATE_SPANS = pa.list_(pa.struct([("start", pa.int32()), ("stop", pa.int32())]))
"""Spans of one text, in order, apart from each other: bytes from `start` up to `stop`."""
_NEWLINE, _COLON, _WIDE = 0x0A, 0x3A, 0xEF
_MARKS = (0x20, 0x2A, 0x5F)


def template_spans(documents: Documents, shape: Shape | None = None) -> pa.ListArray:
    """The form of each text.

    Depends on nothing but the text and the shape. To mask tokens of a model, take those that share a byte with a span.

    Args:
        documents: texts; of rows with an answer, `documents.response` has the answers, and spans count from there.
        shape: how many elements, and tokens of each, the skeleton has; None takes what `format` does.

    Returns:
        `TEMPLATE_SPANS`[n]; null where the text is, and empty where it has no form at all.
    """
    chosen = shape or Shape()
    words = documents.words
    data, offsets = read_only(documents.data), read_only(documents.offsets)
    lines = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == _NEWLINE)) + len(documents)
    size = room(chosen.elements, chosen.tokens)
    most = min(size * len(documents), int(offsets[-1] - offsets[0]))  # a token has a byte at least
    found = np.empty((2 * lines + most, 2), np.int32)
    ends = np.zeros(len(documents) + 1, np.int32)
    used = _mark(
        (data, offsets),
        (words.doc_offsets, words.start, words.end, words.hashes, words.characters),
        function_words(),
        (chosen.elements, chosen.tokens, chosen.edge_words),
        (np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros(size, np.int64)),
        np.zeros((len(COUNTS), len(documents)), np.int32),
        (found, ends),
    )
    spans = pa.StructArray.from_arrays([pa.array(found[:used, at]) for at in (0, 1)], fields=list(_fields()))
    return pa.ListArray.from_arrays(pa.array(ends), spans, mask=pa.array(~documents.valid))


def _fields() -> list[pa.Field]:
    kind = TEMPLATE_SPANS.value_type
    return [kind.field(at) for at in range(kind.num_fields)]


@bare
def _mark(
    text: Text,
    words: Spans,
    listed: Listed,
    shape: tuple[int, int, int],
    scratch: Scratch,
    counts: I32,
    out: tuple[I32, I32],
) -> int:
    data, offsets = text
    spans, ends = out
    used = 0
    for document in range(offsets.size - 1):
        tokens = trace_at(text, words, listed, shape, scratch, counts, document)
        at, end, token, fenced = offsets[document], offsets[document + 1], 0, False
        while at < end:
            stop = newline(data, at, end)
            first, last = stripped(data, at, stop)
            at = stop + 1
            if first == last:
                continue
            kind, begin = line_kind(data, first, last)
            if kind != TEXT and (kind == FENCE or not fenced):
                used = _put(spans, used, first - offsets[document], begin - offsets[document])
            if kind == FENCE:
                fenced = not fenced
            if fenced or kind == FENCE:
                continue
            if is_label(data, begin, last):
                begin, label_end = _label(data, begin, last)
                used = _put(spans, used, begin - offsets[document], label_end - offsets[document])
                begin = label_end
            while token < tokens and scratch[1][token] < last:
                if _is_form(scratch[0][token]) and scratch[1][token] >= begin:
                    start, token_end = scratch[1][token], scratch[2][token]
                    used = _put(spans, used, start - offsets[document], token_end - offsets[document])
                token += 1
        ends[document + 1] = used
    return used


@inlined
def _is_form(code: np.uint64) -> bool:
    return code != SLOT and code != ELLIPSIS and not KIND <= code < STOP


@inlined
def _put(spans: I32, used: int, start: int, stop: int) -> int:
    spans[used, 0], spans[used, 1] = start, stop
    return used + 1


@inlined
def _label(data: U8, at: int, end: int) -> tuple[int, int]:
    """Where the label at the beginning of a line begins, and where it ends: behind the colon and what closes it."""
    while data[at] == _MARKS[0]:
        at += 1
    stop = at
    while data[stop] != _COLON and not (data[stop] == _WIDE and data[stop + 1] == 0xBC and data[stop + 2] == 0x9A):
        stop += 1
    stop += 1 if data[stop] == _COLON else 3
    while stop < end and (data[stop] == _MARKS[1] or data[stop] == _MARKS[2]):
        stop += 1
    return at, stop
