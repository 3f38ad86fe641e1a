"""Kernels of `detectors.skeletons`: lines of documents counted by kind, and the tokens of their skeletons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.function_words import languages_of
from detectors.jit import bare, inlined
from detectors.line_kernels import (
    BULLET,
    FENCE,
    HEADING,
    NUMBER,
    QUOTE,
    TABLE,
    is_bold,
    is_label,
    is_question,
    line_kind,
    newline,
    stop_at,
    stripped,
)

__all__ = [
    "COUNTS",
    "ELLIPSIS",
    "KIND",
    "SLOT",
    "STOP",
    "Listed",
    "Scratch",
    "Spans",
    "measure_documents",
    "room",
    "trace_at",
    "trace_document",
    "trace_edges",
]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
# doc_offsets, start, end, hashes and characters of `Words`; tokens of a skeleton, where they start, where they end
Spans = tuple[I64, I64, I64, U64, I32]
# table and sieve of `function_words`
Listed = tuple[U64, U64]
Scratch = tuple[U64, I64, I64]
# data, offsets
Text = tuple[U8, I64]

COUNTS = (
    "lines",
    "bullet_lines",
    "number_lines",
    "heading_lines",
    "table_lines",
    "code_lines",
    "bold_lines",
    "label_lines",
    "question_lines",
    "answered_questions",
)
_LINES, _BULLETS, _NUMBERS, _HEADINGS, _TABLES, _CODE, _BOLD, _LABELS, _QUESTIONS, _ANSWERED = range(10)

SLOT, ELLIPSIS = np.uint64(0), np.uint64(1)
"""What stands for a run of other words, and for what is left out of the middle of a line."""
KIND, STOP = np.uint64(256), np.uint64(512)
"""The kind of a line, and a stop, are these plus its number."""
_LOOKED, _ONE_IN, _SHORT = 32, 16, 3
_NONE, _EVERY = np.uint64(0), np.uint64(0xFFFFFFFF)
_BY_LENGTH = _NONE
_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_FINAL = np.uint64(0xFF51AFD7ED558CCD)
_HALF, _ONE = np.uint64(32), np.uint64(1)


def room(elements: int, tokens: int) -> int:
    """How many tokens a skeleton may have: of each element its kind, its tokens, an ellipsis and the last one."""
    return elements * (tokens + 3)


@bare
def measure_documents(
    text: Text,
    words: Spans,
    listed: Listed,
    shape: tuple[int, int, int],
    scratch: Scratch,
    out: tuple[I32, U64],
) -> None:
    """Count lines (`COUNTS`) into int32[10, n] and hash skeleton, first and last words into uint64[3, n].

    `shape` is how many elements, tokens of each and words at either end count; `scratch` has `room` for tokens, where
    they start and where they end. Hashes of documents without a word are 0.
    """
    counts, hashes = out
    data, offsets = text
    doc_offsets, _, _, codes, _ = words
    for document in range(offsets.size - 1):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        kept = _languages(listed, codes, first, end)
        used = _skeleton(
            data,
            offsets[document],
            offsets[document + 1],
            words,
            (first, end),
            listed,
            kept,
            shape,
            scratch,
            counts,
            document,
        )
        if first == end:
            continue
        state = _SEED
        for at in range(used):
            state = _mixed(state, scratch[0][np.uint64(at)])
        hashes[0, document] = _finished(state)
        edge = min(shape[2], end - first)
        hashes[1, document] = _run(data, words, listed, kept, first, first + edge)
        hashes[2, document] = _run(data, words, listed, kept, end - edge, end)


@bare
def trace_document(
    text: Text, words: Spans, listed: Listed, shape: tuple[int, int, int], scratch: Scratch, counts: I32
) -> int:
    """Write the tokens of the first document's skeleton, and where they stand, into `scratch`; how many there are."""
    return trace_at(text, words, listed, shape, scratch, counts, 0)


@bare
def trace_at(
    text: Text, words: Spans, listed: Listed, shape: tuple[int, int, int], scratch: Scratch, counts: I32, document: int
) -> int:
    """The same for any document; lines are counted into its column of int32[10, n] `counts`."""
    data, offsets = text
    first, end = words[0][document], words[0][document + 1]
    kept = _languages(listed, words[3], first, end)
    start, stop = offsets[document], offsets[document + 1]
    return _skeleton(data, start, stop, words, (first, end), listed, kept, shape, scratch, counts, document)


@bare
def trace_edges(data: U8, words: Spans, listed: Listed, edge_words: int, out: tuple[U64, I64]) -> int:
    """Write the masked first and last words of the first document, and which words they are; how many at either end."""
    first, end = words[0][0], words[0][1]
    kept = _languages(listed, words[3], first, end)
    edge = int(min(edge_words, end - first))
    for at in range(edge):
        for place, word in ((at, first + at), (edge + at, end - edge + at)):
            out[0][np.uint64(place)], out[1][np.uint64(place)] = _token(data, words, listed, kept, word), word
    return edge


@inlined
def _mixed(state: np.uint64, value: np.uint64) -> np.uint64:
    state = (state ^ value) * _MULTIPLIER
    return state ^ (state >> _HALF)


@inlined
def _finished(state: np.uint64) -> np.uint64:
    state *= _FINAL
    state ^= state >> _HALF
    return state if state else _ONE


@inlined
def _languages(listed: Listed, codes: U64, first: int, end: int) -> np.uint64:
    """Bits of the languages whose function words are most frequent among the first 32 words.

    All where none is listed, and `_BY_LENGTH` where there are 16 words and fewer than 1 in 16 is of any one language.
    """
    looked = min(_LOOKED, end - first)
    # One counter a language, bit by bit: each of these holds the same bit of all counters.
    ones, twos, fours, eights, rest, most_words = _NONE, _NONE, _NONE, _NONE, _NONE, _NONE
    for word in range(first, first + looked):
        carry = languages_of(listed[0], listed[1], codes[np.uint64(word)])
        ones, carry = ones ^ carry, ones & carry
        twos, carry = twos ^ carry, twos & carry
        fours, carry = fours ^ carry, fours & carry
        eights, carry = eights ^ carry, eights & carry
        rest, carry = rest ^ carry, rest & carry
        most_words |= carry
    chosen, most = _EVERY, 0
    for bits in (most_words, rest, eights, fours, twos, ones):
        left = chosen & bits
        most = most << 1 | (left != _NONE)
        chosen = left if left else chosen
    if looked * 2 >= _LOOKED and most * _ONE_IN < looked:
        return _BY_LENGTH
    return chosen


@inlined
def _token(data: U8, words: Spans, listed: Listed, kept: np.uint64, word: int) -> np.uint64:
    """The word's hash where it is kept, `SLOT` where it is masked."""
    _, starts, _, codes, characters = words
    at = np.uint64(word)
    code = codes[at]
    if kept == _BY_LENGTH:
        byte = data[np.uint64(starts[at])]
        return code if characters[at] <= _SHORT and not 0x30 <= byte <= 0x39 else SLOT
    return code if languages_of(listed[0], listed[1], code) & kept else SLOT


@inlined
def _run(data: U8, words: Spans, listed: Listed, kept: np.uint64, first: int, end: int) -> np.uint64:
    state = _SEED
    for word in range(first, end):
        state = _mixed(state, _token(data, words, listed, kept, word))
    return _finished(state)


@bare
def _skeleton(
    data: U8,
    at: int,
    end: int,
    words: Spans,
    span: tuple[int, int],
    listed: Listed,
    kept: np.uint64,
    shape: tuple[int, int, int],
    scratch: Scratch,
    counts: I32,
    document: int,
) -> int:
    """Count the lines of one document, and write the tokens of its first elements; how many tokens there are.

    An element is a line, a run of list items or rows of a table, or a block of code; of the last three only the kind
    is a token.
    """
    tokens, token_starts, token_ends = scratch
    word, last_word = span
    used, elements, before, fenced, asked = 0, 0, -1, False, False
    while at < end:
        stop = newline(data, at, end)
        first, last = stripped(data, at, stop)
        at = stop + 1
        if first == last:
            continue
        counts[_LINES, document] += 1
        kind, begin = line_kind(data, first, last)
        if fenced or kind == FENCE:
            counts[_CODE, document] += 1
            opens = kind == FENCE and not fenced
            if kind == FENCE:
                fenced = not fenced
            if not opens:
                continue
        else:
            asked = _count(counts, document, data, kind, begin, last, asked)
        if elements == shape[0] or (kind == before and kind in (BULLET, NUMBER, TABLE)):
            continue
        before = kind
        elements += 1
        slot = np.uint64(used)
        tokens[slot], token_starts[slot], token_ends[slot] = KIND + np.uint64(kind), first, begin
        used += 1
        if kind <= QUOTE:
            while word < last_word and words[1][np.uint64(word)] < begin:
                word += 1
            used, word = _line(data, begin, last, words, word, last_word, listed, kept, shape[1], scratch, used)
    return used


@inlined
def _count(counts: I32, document: int, data: U8, kind: int, begin: int, last: int, asked: bool) -> bool:
    """Count a line that is no code; whether it asks."""
    if kind == BULLET:
        counts[_BULLETS, document] += 1
    elif kind == NUMBER:
        counts[_NUMBERS, document] += 1
    elif kind == HEADING:
        counts[_HEADINGS, document] += 1
    elif kind == TABLE:
        counts[_TABLES, document] += 1
    counts[_BOLD, document] += is_bold(data, begin, last)
    counts[_LABELS, document] += is_label(data, begin, last)
    asks = is_question(data, begin, last)
    counts[_QUESTIONS, document] += asks
    counts[_ANSWERED, document] += asked and not asks
    return asks


@inlined
def _line(
    data: U8,
    begin: int,
    last: int,
    words: Spans,
    word: int,
    last_word: int,
    listed: Listed,
    kept: np.uint64,
    most: int,
    scratch: Scratch,
    used: int,
) -> tuple[int, int]:
    """Write the tokens of a line: the first ones, and after an ellipsis the last one, where there are more."""
    tokens, token_starts, token_ends = scratch
    limit, at = used + most, begin
    while True:
        inside = word < last_word and words[1][np.uint64(word)] < last
        upto = words[1][np.uint64(word)] if inside else last
        while at < upto:
            stop, width = stop_at(data, at, last)
            # A full stop within a number, an address or an abbreviation is none.
            if stop and not (width == 1 and inside and at + 1 == upto):
                token = STOP + np.uint64(stop)
                if tokens[np.uint64(used - 1)] != token:
                    if used == limit:
                        return _ended(data, begin, last, words, word, last_word, listed, kept, scratch, used)
                    slot = np.uint64(used)
                    tokens[slot], token_starts[slot], token_ends[slot] = token, at, at + width
                    used += 1
            at += width
        if not inside:
            return used, word
        token = _token(data, words, listed, kept, word)
        if token != SLOT or tokens[np.uint64(used - 1)] != SLOT:
            if used == limit:
                return _ended(data, begin, last, words, word, last_word, listed, kept, scratch, used)
            slot = np.uint64(used)
            tokens[slot], token_starts[slot] = token, words[1][np.uint64(word)]
            token_ends[slot] = words[2][np.uint64(word)]
            used += 1
        else:
            token_ends[np.uint64(used - 1)] = words[2][np.uint64(word)]
        at = words[2][np.uint64(word)]
        word += 1


@bare
def _ended(
    data: U8,
    begin: int,
    last: int,
    words: Spans,
    word: int,
    last_word: int,
    listed: Listed,
    kept: np.uint64,
    scratch: Scratch,
    used: int,
) -> tuple[int, int]:
    """Write an ellipsis and the last token of a line that has more words from `word` on, or none but stops."""
    tokens, token_starts, token_ends = scratch
    low, high = word, last_word
    while low < high:  # the first word beyond the line
        middle = (low + high) >> 1
        if words[1][np.uint64(middle)] < last:
            low = middle + 1
        else:
            high = middle
    at, token, start, stop_end = begin, SLOT, begin, begin
    if low > words[0][0] and words[1][np.uint64(low - 1)] >= begin:
        final = np.uint64(low - 1)
        at, start, stop_end = words[2][final], words[1][final], words[2][final]
        token = _token(data, words, listed, kept, low - 1)
    while at < last:
        stop, width = stop_at(data, at, last)
        if stop:
            token, start, stop_end = STOP + np.uint64(stop), at, at + width
        at += width
    slot = np.uint64(used)
    tokens[slot], token_starts[slot], token_ends[slot] = ELLIPSIS, start, start
    tokens[slot + _ONE], token_starts[slot + _ONE], token_ends[slot + _ONE] = token, start, stop_end
    return used + 2, low
