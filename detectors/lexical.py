"""Lexical diversity and sentence length of documents, exact and in float64, from the shared views of `Words`.

Windows, factors and draws never build a set: a word is new in a stretch when its previous occurrence lies before it.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, compiled, inlined, load8, read_only, trailing_zeros
from detectors.words import SENTENCE_START, Words

__all__ = ["LexicalIndices", "SentenceLengths", "lexical_indices", "sentence_lengths"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

_LIMITS = 4096
_EXACT_WORDS = 3_000_000
_STARTS = np.uint64(0x0101010101010101 * SENTENCE_START)


class LexicalIndices(NamedTuple):
    """float64[n] each, NaN where undefined. N words, V different words, V(f) different words that occur f times."""

    ttr: F64
    """V / N. NaN without words."""
    root_ttr: F64
    """V / sqrt(N) (Guiraud 1954). NaN without words."""
    mattr: F64
    """Mean of V / window over all windows of that many words (Covington and McFall 2010). NaN when N < window."""
    mtld: F64
    """Mean of N / factors read forwards and backwards (McCarthy and Jarvis 2010).

    A factor is complete as soon as its type-token ratio is at or below the threshold; the rest counts
    (1 - ratio) / (1 - threshold). A text of which no part is repeated has one factor. NaN without words.
    """
    hdd: F64
    """Expected type-token ratio of `draws` words drawn without replacement (McCarthy and Jarvis 2007).

    NaN when N < draws.
    """
    yule_k: F64
    """10**4 * (sum of f**2 V(f) / N**2 - 1 / N) (Yule 1944). NaN without words."""
    hapax_share: F64
    """V(1) / V: share of the different words that occur once. NaN without words."""
    zipf_slope: F64
    """Slope of the least-squares line through (log rank, log frequency) of the different words (Zipf 1949), ranks from
    1, equally frequent words in any order. About -1 in long natural text. NaN where all words are equally frequent."""


class SentenceLengths(NamedTuple):
    """float64[n] each, in words."""

    mean: F64
    """NaN without sentences."""
    std: F64
    """Population standard deviation. NaN under two sentences."""


def lexical_indices(
    words: Words, *, mattr_window: int = 50, mtld_threshold: float = 0.72, hdd_draws: int = 42
) -> LexicalIndices:
    """Compute all lexical indices of every document.

    They agree with the Python package lexicalrichness 0.5 on the same tokens to 1e-9 (`ttr`, `rttr`, `mattr`, `mtld`,
    `hdd`, `yulek`), except that it raises where these are NaN; it has no share of hapaxes and no Zipf slope. In the
    package taaled 0.32 `ttr`, `rttr` and `hdd` are the same (its `hdd` is 0 where this is NaN), `mattr` is the plain
    ratio in texts of up to one window, and `mtld` differs: a factor is complete when the ratio is below the
    threshold, not at it, and has ten words or more, and the result is the mean length of the factors of both
    directions together.
    """
    out = np.full((len(LexicalIndices._fields), len(words.counts)), np.nan)
    links = words.links
    views = links.previous, links.following, links.types, links.occurrences
    _measure(words.doc_offsets, *views, mattr_window, mtld_threshold, _limits(mtld_threshold), hdd_draws, out)
    return LexicalIndices(*out)


def sentence_lengths(words: Words) -> SentenceLengths:
    """Mean and spread of sentence lengths of every document; see `detectors.words` for what a sentence is."""
    out = np.full((2, len(words.counts)), np.nan)
    _sentences(words.doc_offsets, words.flags, out)
    return SentenceLengths(*out)


@compiled
def _measure(
    doc_offsets: I64,
    previous: I32,
    following: I32,
    types: I32,
    occurrences: I32,
    window: int,
    threshold: float,
    limits: I32,
    draws: int,
    out: F64,
) -> None:
    longest, most = 0, 0
    for document in range(types.size):
        longest = max(longest, doc_offsets[document + 1] - doc_offsets[document])
        most = max(most, types[document])
    spectrum, ratios = np.zeros(longest + 1, np.int32), np.zeros(longest + 1)
    logs, squares_of_logs = _sums_of_logs(most)
    base = 0
    for document in range(types.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        n, v = end - first, int(types[document])
        if n == 0:
            continue
        back, ahead = previous[first:end], following[first:end]
        out[0, document] = v / n
        out[1, document] = v / np.sqrt(n)
        if n >= window:
            out[2, document] = _types_in_windows(back, window) / (window * (n - window + 1))
        out[3, document] = _mtld_forwards(back, threshold, limits) / 2
        out[3, document] += _mtld_backwards(ahead, threshold, limits) / 2
        highest = _frequency_spectrum(occurrences[base : base + v], spectrum)
        base += v
        if n >= draws:
            out[4, document] = _expected_types(spectrum, highest, n, draws, ratios) / draws
        squares = 0
        for f in range(1, highest + 1):
            squares += f * f * int(spectrum[f])
        out[5, document] = 1e4 * (squares / (float(n) * n) - 1 / n)
        out[6, document] = spectrum[1] / v
        if highest > _lowest(spectrum, highest):
            out[7, document] = _zipf_slope(spectrum, highest, v, logs, squares_of_logs)


@inlined
def _lowest(spectrum: I32, highest: int) -> int:
    """The lowest frequency that occurs."""
    lowest = 1
    while lowest < highest and spectrum[lowest] == 0:
        lowest += 1
    return lowest


@compiled
def _sums_of_logs(most: int) -> tuple[F64, F64]:
    """float64[most + 1] each: sums of log r and of its square over ranks r up to each."""
    logs, squares = np.zeros(most + 1), np.zeros(most + 1)
    for rank in range(1, most + 1):
        log = np.log(rank)
        logs[rank] = logs[rank - 1] + log
        squares[rank] = squares[rank - 1] + log * log
    return logs, squares


@bare
def _zipf_slope(spectrum: I32, highest: int, types: int, logs: F64, squares: F64) -> float:
    mean_x = logs[types] / types
    products: float = 0.0
    rank = 0
    for down in range(highest):
        f = highest - down
        if spectrum[f]:
            upto = rank + int(spectrum[f])
            products += np.log(f) * (logs[upto] - logs[rank] - mean_x * (upto - rank))
            rank = upto
    return float(products / (squares[types] - types * mean_x * mean_x))


@bare
def _types_in_windows(previous: I32, window: int) -> int:
    # Word i is first of its kind in the windows that start after its previous occurrence and not after i itself.
    last_start = previous.size - window
    total = 0
    for i in range(last_start + 1):
        total += min(np.int32(window), np.int32(i) - previous[i])
    for i in range(last_start + 1, previous.size):
        total += max(np.int32(0), np.int32(last_start) - max(np.int32(i - window), previous[i]))
    return total


@bare
def _factors(complete: int, partial_words: int, partial_types: int, words: int, threshold: float) -> float:
    factors = float(complete)
    if partial_words:
        factors += (1 - partial_types / partial_words) / (1 - threshold)
    return words / (factors if factors > 0 else 1.0)


@cache
def _limits(threshold: float) -> I32:
    """int32: for every number of words, the most types at which their ratio is at or below the threshold."""
    words = np.arange(1, _LIMITS, dtype=np.float64)
    limits = np.zeros(_LIMITS, np.int32)
    limits[1:] = np.ceil(threshold * words) + 1
    for _ in range(3):
        limits[1:] -= limits[1:] / words > threshold
    return read_only(limits)


@inlined
def _is_factor(types: int, words: int, threshold: float, limits: I32) -> bool:
    # A division a word is what this costs otherwise.
    return types <= limits[words] if words < limits.size else types / words <= threshold


@bare
def _mtld_forwards(previous: I32, threshold: float, limits: I32) -> float:
    complete, start, types = 0, 0, 0
    for i in range(previous.size):
        types += previous[i] < start
        if _is_factor(types, i + 1 - start, threshold, limits):
            complete += 1
            start, types = i + 1, 0
    return _factors(complete, previous.size - start, types, previous.size, threshold)


@bare
def _mtld_backwards(following: I32, threshold: float, limits: I32) -> float:
    n = following.size
    complete, stop, types = 0, n, 0
    for i in range(n - 1, -1, -1):
        types += following[i] >= stop
        if _is_factor(types, stop - i, threshold, limits):
            complete += 1
            stop, types = i, 0
    return _factors(complete, stop, types, n, threshold)


@bare
def _frequency_spectrum(occurrences: I32, spectrum: I32) -> int:
    """Fill `spectrum[f]`, words that occur f times; return the highest f."""
    highest = np.int32(0)
    for count in occurrences:
        highest = max(highest, count)
    spectrum[: highest + 1] = np.int32(0)
    for count in occurrences:
        spectrum[np.uint64(count)] += np.int32(1)
    return int(highest)


@bare
def _expected_types(spectrum: I32, highest: int, words: int, draws: int, ratios: F64) -> float:
    # absent = C(words - f, draws) / C(words, draws), from f - 1 to f by one factor. None of these waits for another.
    for f in range(1, highest + 1):
        ratios[f] = max(0, words - draws - f + 1) / (words - f + 1)
    expected, absent = 0.0, 1.0
    for f in range(1, highest + 1):
        absent *= ratios[np.uint64(f)]
        if spectrum[np.uint64(f)]:
            expected += spectrum[np.uint64(f)] * (1 - absent)
    return expected


@bare
def _sentences(doc_offsets: I64, flags: U8, out: F64) -> None:
    for document in range(doc_offsets.size - 1):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        if first == end:
            continue
        # Sums of lengths and of their squares, over the sentences that start after the first.
        count, start, squares, i = 1, first, np.int64(0), first + 1
        while i < end:
            if i + 8 <= end:
                marks = load8(flags, i) & _STARTS
                while marks:
                    begins = i + (trailing_zeros(marks) >> 3)
                    marks &= marks - np.uint64(1)
                    squares += (begins - start) * (begins - start)
                    count, start = count + 1, begins
                i += 8
            else:
                if flags[i] & SENTENCE_START:
                    squares += (i - start) * (i - start)
                    count, start = count + 1, i
                i += 1
        squares += (end - start) * (end - start)
        n = end - first
        out[0, document] = n / count
        if count >= 2:
            # In whole numbers up to the last step, so that nothing cancels; a longer document would overflow them.
            if n < _EXACT_WORDS:
                out[1, document] = np.sqrt(float(count * squares - n * n)) / count
            else:
                out[1, document] = np.sqrt(max(0.0, float(count) * squares - float(n) * n)) / count
