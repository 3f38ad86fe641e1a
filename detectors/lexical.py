"""Lexical diversity and sentence length of documents, exact and in float64, from the shared views of `Words`.

Windows, factors and draws never build a set: a word is new in a stretch when its previous occurrence lies before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled
from detectors.words import SENTENCE_START, Words

__all__ = ["LexicalIndices", "SentenceLengths", "lexical_indices", "sentence_lengths"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


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
    `hdd`, `yulek`), except that it raises where these are NaN; it has no share of hapaxes.
    """
    out = np.full((len(LexicalIndices._fields), len(words.counts)), np.nan)
    _measure(words.doc_offsets, words.ids, words.previous, words.types, mattr_window, mtld_threshold, hdd_draws, out)
    return LexicalIndices(*out)


def sentence_lengths(words: Words) -> SentenceLengths:
    """Mean and spread of sentence lengths of every document; see `detectors.words` for what a sentence is."""
    out = np.full((2, len(words.counts)), np.nan)
    _sentences(words.doc_offsets, words.flags, out)
    return SentenceLengths(*out)


@compiled
def _measure(
    doc_offsets: I64, ids: I32, previous: I32, types: I32, window: int, threshold: float, draws: int, out: F64
) -> None:
    longest, most = 0, 0
    for document in range(types.size):
        longest = max(longest, doc_offsets[document + 1] - doc_offsets[document])
        most = max(most, types[document])
    by_type = np.empty(most, np.int32)
    spectrum = np.zeros(longest + 1, np.int32)
    for document in range(types.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        n, v = end - first, int(types[document])
        if n == 0:
            continue
        links, names = previous[first:end], ids[first:end]
        out[0, document] = v / n
        out[1, document] = v / np.sqrt(n)
        if n >= window:
            out[2, document] = _types_in_windows(links, window) / (window * (n - window + 1))
        out[3, document] = _mtld_forwards(links, threshold) / 2
        out[3, document] += _mtld_backwards(names, v, by_type, threshold) / 2
        most_frequent = _frequency_spectrum(names, v, by_type, spectrum)
        if n >= draws:
            out[4, document] = _expected_types(spectrum, most_frequent, n, draws) / draws
        squares = 0
        for f in range(1, most_frequent + 1):
            squares += f * f * int(spectrum[f])
        out[5, document] = 1e4 * (squares / (float(n) * n) - 1 / n)
        out[6, document] = spectrum[1] / v


@compiled
def _types_in_windows(previous: I32, window: int) -> int:
    # Word i is first of its kind in the windows that start after its previous occurrence and not after i itself.
    total, last_start = 0, previous.size - window
    for i in range(previous.size):
        earliest = max(i - window, int(previous[i]), -1)
        total += max(0, min(i, last_start) - earliest)
    return total


@compiled
def _factors(complete: int, partial_words: int, partial_types: int, words: int, threshold: float) -> float:
    factors = float(complete)
    if partial_words:
        factors += (1 - partial_types / partial_words) / (1 - threshold)
    return words / (factors if factors > 0 else 1.0)


@compiled
def _mtld_forwards(previous: I32, threshold: float) -> float:
    complete, start, types = 0, 0, 0
    for i in range(previous.size):
        types += previous[i] < start
        if types / (i + 1 - start) <= threshold:
            complete += 1
            start, types = i + 1, 0
    return _factors(complete, previous.size - start, types, previous.size, threshold)


@compiled
def _mtld_backwards(ids: I32, different: int, last_seen: I32, threshold: float) -> float:
    # There is no link to the next occurrence, so this notes them, counted from the end, as it goes.
    last_seen[:different] = -1
    complete, start, types, n = 0, 0, 0, ids.size
    for i in range(n):
        word = np.uint64(ids[n - 1 - i])
        last = last_seen[word]
        last_seen[word] = i
        types += last < start
        if types / (i + 1 - start) <= threshold:
            complete += 1
            start, types = i + 1, 0
    return _factors(complete, n - start, types, n, threshold)


@compiled
def _frequency_spectrum(ids: I32, types: int, occurrences: I32, spectrum: I32) -> int:
    """Fill `spectrum[f]`, words that occur f times; return the highest f."""
    occurrences[:types] = 0
    for word in ids:
        occurrences[word] += 1
    highest = 0
    for word in range(types):
        highest = max(highest, int(occurrences[word]))
    spectrum[: highest + 1] = 0
    for word in range(types):
        spectrum[occurrences[word]] += 1
    return highest


@compiled
def _expected_types(spectrum: I32, highest: int, words: int, draws: int) -> float:
    # absent = C(words - f, draws) / C(words, draws), from f - 1 to f by one factor.
    expected, absent = 0.0, 1.0
    for f in range(1, highest + 1):
        absent *= max(0, words - draws - f + 1) / (words - f + 1)
        if spectrum[f]:
            expected += spectrum[f] * (1 - absent)
    return expected


@compiled
def _sentences(doc_offsets: I64, flags: U8, out: F64) -> None:
    for document in range(doc_offsets.size - 1):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        count = 0
        for i in range(first, end):
            count += flags[i] & SENTENCE_START
        if count == 0:
            continue
        mean = (end - first) / count
        out[0, document] = mean
        if count < 2:
            continue
        squares, start = 0.0, first
        for i in range(first + 1, end):
            if flags[i] & SENTENCE_START:
                squares += (i - start - mean) ** 2
                start = i
        squares += (end - start - mean) ** 2
        out[1, document] = np.sqrt(squares / count)
