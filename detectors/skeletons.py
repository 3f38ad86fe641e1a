"""Skeletons of documents: how a text begins once what it is about is masked, as a hash and as words.

The skeleton of a document is made of its first two elements. An element is a line that is not empty, a run of list
items or table rows, or a fenced block of code. Its first token is its kind: text, heading, quote, list, numbered list,
table or code. Lists, tables and code have no other. Of a line the first eight tokens follow and, where there are more,
an ellipsis and the last one: function words (`detectors.function_words`) as they are, every run of other words, names
and numbers as one slot, and the stops `.` `!` `?` `:` `;`, several alike as one. Commas, quotes, brackets and
dashes are left out, and so is a stop that no space follows.

    Sure, here are 3 ideas for a party:  ->  _ here are _ for a _ :
    1. Ask for games.                    ->  1.

Function words are those of the language that has most among the first 32 words; of all that do where several have as
many. Where there are 16 words and fewer than 1 in 16 is of any one language, it is taken for one without a list, and
words of one to three characters that begin with no digit are kept instead.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.documents import Documents
from detectors.function_words import function_words
from detectors.jit import read_only
from detectors.skeleton_kernels import (
    COUNTS,
    ELLIPSIS,
    SLOT,
    Scratch,
    Spans,
    measure_documents,
    room,
    trace_document,
    trace_edges,
)

__all__ = ["COUNTS", "Forms", "Shape", "forms", "masked_words", "render_edges", "render_skeleton"]

I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]

_MARKERS = ("", "#", ">", "-", "1.", "|", "```")
_KIND, _STOP = 256, 512


class Shape(NamedTuple):
    """What of a document goes into its hashes."""

    elements: int = 2
    """Elements of the skeleton."""
    tokens: int = 8
    """Tokens of each."""
    edge_words: int = 4
    """Words at either end."""


class Forms(NamedTuple):
    """The form of n documents; hashes are 0 where there is no word."""

    counts: I32
    """int32[10, n]: lines that are not empty, by kind, in the order of `COUNTS`."""
    hashes: U64
    """uint64[3, n]: of the skeleton, of the first and of the last words (masked, not run together)."""


def forms(documents: Documents, shape: Shape) -> Forms:
    """Measure the form of every document."""
    n = len(documents)
    found = Forms(np.zeros((len(COUNTS), n), np.int32), np.zeros((3, n), np.uint64))
    measure_documents(
        (read_only(documents.data), read_only(documents.offsets)),
        _spans(documents),
        function_words(),
        (shape.elements, shape.tokens, shape.edge_words),
        _scratch(shape),
        (found.counts, found.hashes),
    )
    return found


def masked_words(documents: Documents) -> U64:
    """uint64[m]: the hash of every word of a batch that is a function word in some language, 0 for every other."""
    hashes = documents.words.hashes
    masked: U64 = np.where(np.isin(hashes, function_words()[0][::2]), hashes, SLOT)
    return masked


def render_skeleton(text: str | bytes, shape: Shape) -> str:
    """The skeleton of one text, to be read: `_ here are _ for a _ : / 1.`"""
    documents = Documents.from_texts([text])
    scratch = _scratch(shape)
    used = trace_document(
        (read_only(documents.data), read_only(documents.offsets)),
        _spans(documents),
        function_words(),
        (shape.elements, shape.tokens, shape.edge_words),
        scratch,
        np.zeros((len(COUNTS), 1), np.int32),
    )
    pieces: list[str] = []
    elements = 0
    for code, start, end in zip(*(array[:used].tolist() for array in scratch), strict=True):
        if _KIND <= code < _KIND + len(_MARKERS):
            pieces += [*(["/"] if elements else []), *([marker] if (marker := _MARKERS[code - _KIND]) else [])]
            elements += 1
        elif code in (SLOT, ELLIPSIS):
            pieces.append("_" if code == SLOT else "…")
        elif _STOP <= code < _STOP + 128:
            pieces.append(chr(code - _STOP))
        else:
            pieces.append(documents.data[start:end].tobytes().decode("utf-8", "replace").lower())
    return " ".join(pieces)


def render_edges(text: str | bytes, shape: Shape) -> tuple[str, str]:
    """The first and the last words of one text with content masked, to be read: `as an _ language`."""
    documents = Documents.from_texts([text])
    words, data = documents.words, documents.data
    tokens, places = np.zeros(2 * shape.edge_words, np.uint64), np.zeros(2 * shape.edge_words, np.int64)
    edge = trace_edges(read_only(data), _spans(documents), function_words(), shape.edge_words, (tokens, places))
    shown = [
        "_" if token == SLOT else data[words.start[at] : words.end[at]].tobytes().decode("utf-8", "replace").lower()
        for token, at in zip(tokens[: 2 * edge].tolist(), places[: 2 * edge].tolist(), strict=True)
    ]
    return " ".join(shown[:edge]), " ".join(shown[edge:])


def _spans(documents: Documents) -> Spans:
    words = documents.words
    return words.doc_offsets, words.start, words.end, words.hashes, words.characters


def _scratch(shape: Shape) -> Scratch:
    size = room(shape.elements, shape.tokens)
    return np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros(size, np.int64)
