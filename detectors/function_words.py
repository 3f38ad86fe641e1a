"""Function words of 29 languages: the words that hold a sentence together whatever it is about, as a table of hashes.

The list beside this file has a line a language, its code first: articles, pronouns, prepositions, conjunctions,
auxiliaries and particles.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.jit import inlined, read_only

__all__ = ["FUNCTION_WORDS", "function_words", "languages_of", "listed_words"]

U64 = npt.NDArray[np.uint64]

FUNCTION_WORDS = Path(__file__).with_name("function_words.txt")
_NONE, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)
_WORD, _BIT, _LOW = np.uint64(55), np.uint64(49), np.uint64(63)
_SIEVE = 512


@cache
def listed_words() -> dict[str, tuple[str, ...]]:
    """Language code to its function words, in lower case."""
    lines = FUNCTION_WORDS.read_text("utf-8").splitlines()
    return {line.split()[0]: tuple(line.split()[1:]) for line in lines if line.strip()}


@cache
def function_words() -> tuple[U64, U64]:
    """The hashes of all function words and the languages of each, for `languages_of`.

    Returns:
        uint64[2 * 2**k], an open-addressing table: a hash, 0 where empty, and bit i for language i of the list;
        uint64[512], a bit for each hash that may be there, by its highest 15 bits. Read-only.
    """
    from detectors.documents import Documents

    masks: dict[int, int] = {}
    for language, words in enumerate(listed_words().values()):
        for code in Documents.from_texts(["\n".join(words)]).words.hashes.tolist():
            masks[code] = masks.get(code, 0) | 1 << language
    size = 1 << (2 * len(masks)).bit_length()
    table, sieve = np.zeros((size, 2), np.uint64), np.zeros(_SIEVE, np.uint64)
    for code, mask in sorted(masks.items()):
        slot = code & (size - 1)
        while table[slot, 0]:
            slot = (slot + 1) & (size - 1)
        table[slot] = code, mask
        sieve[code >> 55] |= np.uint64(1 << (code >> 49 & 63))
    return read_only(table.ravel()), read_only(sieve)


@inlined
def languages_of(table: U64, sieve: U64, code: np.uint64) -> np.uint64:
    """Bits of the languages in which the word with this hash is a function word; 0 where it is in none."""
    # Most words are none, and the sieve fits in the first cache.
    if not sieve[code >> _WORD] >> (code >> _BIT & _LOW) & _ONE:
        return _NONE
    mask = np.uint64(table.size - 2)
    at = (code << _ONE) & mask
    while table[at]:
        if table[at] == code:
            return np.uint64(table[at + _ONE])
        at = (at + _TWO) & mask
    return _NONE
