"""The compiled loop: one pass over the bytes of a document that sums weights or emits buckets, and counts.

Whatever this file takes from others is frozen when it is compiled: numba notices changes of this file only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.ai_text.folding import DIGIT, DROP, LETTER, PUNCT, SCRIPTS, SINGLE, SPACE
from detectors.jit import compiled

__all__ = ["BUCKET_BITS", "STATS", "WINDOW_BYTES", "run_documents", "word_hash"]

Bytes = npt.NDArray[np.uint8]
Int8s = npt.NDArray[np.int8]
UInt16s = npt.NDArray[np.uint16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]
Float64s = npt.NDArray[np.float64]

Whole = int | np.int64
BUCKET_BITS = 18
WINDOW_BYTES = 8192
_SHIFT = np.uint64(64 - BUCKET_BITS)
_EPOCH_LIMIT = 256
STATS = (
    "characters",
    "letters",
    "upper",
    "digits",
    "codeish",
    "visible",
    "words",
    "word_letters",
    "common_words",
    "new_words",
    "sentences",
    "sentence_words_squared",
    "comma",
    "stop",
    "question",
    "exclamation",
    "colon",
    "semicolon",
    "parenthesis",
    "quote",
    "apostrophe",
    "number",
)
"""Counters of one window, in column order of `Emission.stats`."""

_STATS, _SCRIPTS = len(STATS), len(SCRIPTS)

_WORD_PRIME = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xD6E8FEB86659FD93)
_M2 = np.uint64(0xA0761D6478BD642F)
_M3 = np.uint64(0xE7037ED1A0B428DB)
_M4 = np.uint64(0x8EBC6AF09C88C6E3)
_M5 = np.uint64(0x589965CC75374CC3)
_M6 = np.uint64(0xBF58476D1CE4E5B9)
_M7 = np.uint64(0x94D049BB133111EB)
_LOW48 = np.uint64((1 << 48) - 1)
_RARE = np.uint64(0xC2B2AE3D27D4EB4F)


@compiled
def _visit(bucket: Whole, table: UInt16s, epoch: Whole, total: Whole, count: Whole, out: Int32s) -> tuple[Whole, Whole]:
    value = table[bucket]
    # No branch: whether a bucket is new is a coin toss, and a wrong guess costs more than the arithmetic.
    fresh = np.int64((value >> 8) != epoch)
    weight = np.int64(value & 255)
    total += fresh * (weight - ((weight & 128) << 1))
    table[bucket] = (epoch << 8) | (value & 255)
    if count < out.size:
        out[count] = bucket  # overwritten by the next bucket unless this one is new
    return total, count + fresh


@compiled
def _token(  # one kernel argument per table: numba has no cheap records
    word: np.uint64,
    shape: np.uint64,
    last: Whole,
    state: UInt64s,
    table: UInt16s,
    epoch: Whole,
    total: Whole,
    count: Whole,
    out: Int32s,
    groups: Whole,
) -> tuple[Whole, Whole]:
    """Emit the word and shape n-grams that end in this token; `last` is its word bucket, `state` the tokens before."""
    one, two = state[0], state[1]
    if groups & 1:
        total, count = _visit(last, table, epoch, total, count, out)
    if groups & 2:
        bucket = np.int64(((one * _M1) ^ (word + _M2)) * _M3 >> _SHIFT)
        total, count = _visit(bucket, table, epoch, total, count, out)
    if groups & 4:
        bucket = np.int64((((two * _M4) ^ one) * _M1 ^ (word + _M5)) * _M6 >> _SHIFT)
        total, count = _visit(bucket, table, epoch, total, count, out)
    s1, s2, s3 = state[2], state[3], state[4]
    if groups & 64:
        bucket = np.int64((((s2 * _M5) ^ s1) * _M2 ^ (shape + _M7)) * _M4 >> _SHIFT)
        total, count = _visit(bucket, table, epoch, total, count, out)
    if groups & 128:
        bucket = np.int64(((((s3 * _M7) ^ s2) * _M3 ^ s1) * _M6 ^ (shape + _M1)) * _M5 >> _SHIFT)
        total, count = _visit(bucket, table, epoch, total, count, out)
    state[1], state[0] = one, word
    state[4], state[3], state[2] = s2, s1, shape
    return total, count


@compiled
def _vote(word: np.uint64, lexicon: UInt64s, votes: Int64s) -> None:
    tag = word >> np.uint64(32)
    slot = np.int64(word & np.uint64(lexicon.size - 1))
    while lexicon[slot] != np.uint64(0):
        if (lexicon[slot] >> np.uint64(32)) == tag:
            mask = lexicon[slot] & np.uint64(0xFFFFFFFF)
            language = 0
            while mask:
                votes[language] += np.int64(mask & np.uint64(1))
                mask >>= np.uint64(1)
                language += 1
            return
        slot = (slot + 1) & (lexicon.size - 1)


@compiled
def _window(
    data: Bytes,
    low: Whole,
    high: Whole,
    end: Whole,
    fold: UInt32s,
    common: Bytes,
    lexicon: UInt64s,
    table: UInt16s,
    epoch: Whole,
    groups: Whole,
    stats: Float64s,
    votes: Int64s,
    scripts: Int64s,
    out: Int32s,
) -> tuple[Whole, Whole, Whole]:
    """Score or emit one window; returns (end byte, sum of weights, distinct buckets).

    The window ends with the first word that ends at or after byte `high`, or 1 KiB later, or at byte `end`.
    """
    total: Whole = np.int64(0)
    count: Whole = np.int64(0)
    state = np.zeros(5, np.uint64)
    tallies = np.zeros(128, np.int64)
    key, word, recent = np.uint64(32), np.uint64(0), np.uint64(0)
    previous: Whole = np.int64(32)
    kind_before: Whole = np.int64(SPACE)
    letters_in_word: Whole = np.int64(0)
    point: Whole = np.int64(0)
    codeish: Whole = 0
    upper: Whole = 0
    visible: Whole = 0
    common_words: Whole = 0
    word_letters: Whole = 0
    pending = False
    characters, letters, latin, digits = 0, 0, 0, 0
    words, new_words, numbers = 0, 0, 0
    sentences, sentence_words, squared = 0, 0, 0.0
    position: Whole = low
    while True:
        if position >= end:
            entry, kind, folded = np.int64(0), np.int64(SPACE), np.int64(32)
            finished = True
        else:
            finished = False
            byte = np.int64(data[position])
            position += 1
            if byte < 0x80:
                point = byte
            elif byte < 0xC0:
                continue  # continuation byte of a character that was read already, or a stray one
            else:
                length = 2 if byte < 0xE0 else (3 if byte < 0xF0 else 4)
                point = byte & (0x7F >> length)
                for _ in range(length - 1):
                    if position < end and (data[position] & 0xC0) == 0x80:
                        point = (point << 6) | (np.int64(data[position]) & 0x3F)
                        position += 1
                if point > 0xFFFF:
                    point = 0x25A1  # one symbol stands for everything outside the Basic Multilingual Plane
            characters += 1
            entry = np.int64(fold[point])
            kind, folded = (entry >> 16) & 15, entry & 0xFFFF
            codeish += (entry >> 25) & 1
            visible += kind >= LETTER
            if kind == DROP:
                continue
        if kind in (LETTER, SINGLE):
            letters += 1
            upper += (entry >> 24) & 1
            script = (entry >> 20) & 15
            if script == 1:
                latin += 1
            else:
                scripts[script] += 1
        elif kind == DIGIT:
            digits += 1
            if kind_before == DIGIT:
                continue  # any number looks alike
        elif folded == previous:  # runs of space and of one mark count once
            if finished:
                break
            continue
        if kind == PUNCT and folded < 128:
            tallies[folded] += 1
        # character n-grams
        fifth = key >> np.uint64(48)
        key = (key << np.uint64(16)) | np.uint64(folded)
        if groups & 8:
            bucket = np.int64((key & _LOW48) * _M3 >> _SHIFT)
            total, count = _visit(bucket, table, epoch, total, count, out)
        if groups & 16:
            bucket = np.int64((key * _M4 ^ (key >> np.uint64(32)) * _M1) * _M2 >> _SHIFT)
            total, count = _visit(bucket, table, epoch, total, count, out)
        if groups & 32:
            bucket = np.int64((key * _M5 ^ ((key >> np.uint64(32)) + (fifth << np.uint64(20))) * _M6) * _M7 >> _SHIFT)
            total, count = _visit(bucket, table, epoch, total, count, out)
        # words
        if kind in (LETTER, DIGIT):
            if pending:
                word = (word ^ np.uint64(39)) * _WORD_PRIME
                pending = False
            word = (word ^ np.uint64(folded)) * _WORD_PRIME
            recent = (recent << np.uint64(16)) | np.uint64(folded)
            letters_in_word += 1
        elif folded == 39 and letters_in_word > 0 and not pending:
            pending = True  # an apostrophe joins a word only when a letter follows
        else:
            if letters_in_word > 0:
                hashed = word ^ (word >> np.uint64(29))
                last = np.int64(hashed * _M1 >> _SHIFT)
                is_common = (common[last >> 3] >> (last & 7)) & 1
                if is_common:
                    shape = hashed
                    if words < 4000:
                        _vote(hashed, lexicon, votes)
                else:
                    shape = (recent & np.uint64(0xFFFFFFFF)) * _RARE + np.uint64(1)
                if (table[last] >> 8) != epoch:
                    new_words += 1
                total, count = _token(hashed, shape, last, state, table, epoch, total, count, out, groups)
                words += 1
                sentence_words += 1
                common_words += is_common
                word_letters += letters_in_word
                numbers += kind_before == DIGIT
                word, recent, letters_in_word = np.uint64(0), np.uint64(0), np.int64(0)
                if pending:
                    pending = False
                    mark = np.uint64(39) * _M7
                    last = np.int64(mark * _M1 >> _SHIFT)
                    total, count = _token(mark, mark, last, state, table, epoch, total, count, out, groups)
            if kind in (SINGLE, PUNCT):
                hashed = np.uint64(folded) * _M7
                last = np.int64(hashed * _M1 >> _SHIFT)
                shape = hashed
                if kind == SINGLE:
                    is_common = (common[last >> 3] >> (last & 7)) & 1
                    if not is_common:
                        shape = _RARE
                    if (table[last] >> 8) != epoch:
                        new_words += 1
                    words += 1
                    sentence_words += 1
                    common_words += is_common
                    word_letters += 1
                total, count = _token(hashed, shape, last, state, table, epoch, total, count, out, groups)
                if folded in (0x2E, 0x21, 0x3F, 0x3002):
                    if sentence_words > 0:
                        sentences += 1
                        squared += np.float64(sentence_words) * sentence_words
                    sentence_words = 0
        previous, kind_before = folded, kind
        if finished or (high <= position < end and (kind not in (LETTER, DIGIT) or position >= high + 1024)):
            break
    if sentence_words > 0:
        sentences += 1
        squared += np.float64(sentence_words) * sentence_words
    scripts[1] += latin
    stats[0] += characters
    stats[1] += letters
    stats[2] += upper
    stats[3] += digits
    stats[4] += codeish
    stats[5] += visible
    stats[6] += words
    stats[7] += word_letters
    stats[8] += common_words
    stats[9] += new_words
    stats[10] += sentences
    stats[11] += squared
    stats[12] += tallies[44]
    stats[13] += tallies[46]
    stats[14] += tallies[63]
    stats[15] += tallies[33]
    stats[16] += tallies[58]
    stats[17] += tallies[59]
    stats[18] += tallies[40] + tallies[41]
    stats[19] += tallies[34]
    stats[20] += tallies[39]
    stats[21] += numbers
    return position, total, count


@compiled
def run_documents(
    data: Bytes,
    offsets: Int64s,
    fold: UInt32s,
    common: Bytes,
    lexicon: UInt64s,
    weights: Int8s,
    groups: int,
    languages: int,
    out: Int32s,
) -> tuple[Float64s, Int64s, Int64s, Float64s, Int64s, Int64s]:
    """Run every document; with a non-empty `out` emit its first window's buckets there, else score all windows."""
    size = offsets.size - 1
    sums, counts, windows = np.zeros(size), np.zeros(size, np.int64), np.zeros(size, np.int64)
    stats = np.zeros((size, _STATS))
    votes, scripts = np.zeros((size, languages), np.int64), np.zeros((size, _SCRIPTS), np.int64)
    # Weight below, number of the window that saw the bucket last above: 512 KiB, so that it stays in cache.
    table = np.empty(weights.size, np.uint16)
    for bucket in range(weights.size):
        table[bucket] = np.int64(weights[bucket]) & 255
    epoch = 0
    written: Whole = 0
    for row in range(size):
        low, stop = offsets[row], offsets[row + 1]
        planned = max(1, -(-(stop - low) // WINDOW_BYTES)) if out.size == 0 else 1
        step = (stop - low) / planned
        end = stop if out.size == 0 else min(stop, low + WINDOW_BYTES)
        window = 0
        position: Whole = low
        while position < end:
            window += 1
            epoch += 1
            if epoch >= _EPOCH_LIMIT:
                for bucket in range(table.size):
                    table[bucket] &= 255
                epoch = 1
            high = max(position + 1, low + np.int64(step * window))
            position, total, count = _window(
                data, position, high, end, fold, common, lexicon, table, epoch, groups,
                stats[row], votes[row], scripts[row], out[written:],
            )  # fmt: skip
            sums[row] += total / np.sqrt(max(count, 1))
            counts[row] += count
            if out.size:
                written += count
                break
        windows[row] = max(window, 1)
        sums[row] /= windows[row]
    return sums, counts, windows, stats, votes, scripts


def word_hash(word: str, fold: npt.NDArray[np.uint32]) -> tuple[int, int]:
    """(64-bit hash, bucket) that the kernel gives to `word`, one run of letters, apostrophes or a single ideograph."""
    mask = (1 << 64) - 1
    entries = [int(fold[ord(c)]) for c in word]
    if len(entries) == 1 and (entries[0] >> 16) & 15 == SINGLE:
        hashed = (entries[0] & 0xFFFF) * int(_M7) & mask
    else:
        value = 0
        for entry in entries:
            if (entry >> 16) & 15 != DROP:
                value = (value ^ (entry & 0xFFFF)) * int(_WORD_PRIME) & mask
        hashed = value ^ (value >> 29)
    return hashed, (hashed * int(_M1) & mask) >> int(_SHIFT)
