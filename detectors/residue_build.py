"""Makes the anchors of `detectors.residue_anchors` from the phrase table, and the file that they lie in.

Not needed at run time. After a change of the phrases, or of what a word is: `python -m detectors.residue_build`.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled
from detectors.ngrams import ngram_hash, power
from detectors.residue_anchors import PATH, phrase_digest
from detectors.residue_kernels import CORE, EDGE, HEAD, LONG_CORE_BYTES, LONGEST, TAIL, edge_hash, key_place
from detectors.residue_masks import OTHER_SCRIPTS
from detectors.residue_patterns import PHRASES, bound
from detectors.residue_spelling import GAP, Token, spelled_out, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["build", "write"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

# Words that most texts hold make poor pivots.
_COMMON = frozenset(
    "a an as at by do does i in is me my no not of on or the this that to you your with for have if can am was are be "
    "been would like about only know just more "
    "ich bin ein eine de la un una que el en je ne pas di non sono não um uma dan ini saya я не и "
    "我 是 的 一 个 個 以 这".split()
)
# A run of bytes that stands for white space in a phrase may spell these two ideographs; they would part two words.
_SPACE_LOOKALIKES = "\u3820 \u3860"


class _Found(NamedTuple):
    """Anchors and the phrases that each belongs to; keys of the last three as `find_anchors` makes them."""

    ngrams: dict[_Ngram, set[int]]
    tails: defaultdict[int, set[int]]
    heads: defaultdict[int, set[int]]
    cores: defaultdict[int, set[int]]


def write(path: Path = PATH) -> None:
    """Write the file that `residue_anchors.anchors` reads."""
    np.savez_compressed(path, allow_pickle=False, **build())


def build() -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of the file, as small as their numbers allow.

    `pivots`, `ngrams` and `key_places` are the places of one bits, the second and `edges` as differences; `ngram_edges`
    are those of each of `ngrams`; set i of
    phrases has `set_sizes[i]` `members`, and anchor k is owned by set `owners[k]`; the rest is as in `Anchors`.
    """
    found = _find()
    ngrams = list(found.ngrams)
    pivots, codes = _hashed(ngrams)
    shapes = sorted({(len(ngram.words), ngram.pivot) for ngram in ngrams})
    pivot_shapes = np.zeros(1024, np.uint16)
    for ngram, pivot in zip(ngrams, pivots, strict=True):
        pivot_shapes[pivot >> 54] |= np.uint16(1 << shapes.index((len(ngram.words), ngram.pivot)))
    edges = _edges(found.ngrams, codes)
    edge_shapes = sorted(set(map(_edge_shape, ngrams)))
    ngram_edges = defaultdict[int, int](int)
    for ngram, code in zip(ngrams, codes, strict=True):
        ngram_edges[code & (1 << 19) - 1] |= 1 << edge_shapes.index(_edge_shape(ngram))
    inside = set[int]().union(*found.cores.values())
    owners = [frozenset(table[key]) for table in (edges, found.tails, found.heads) for key in sorted(table)]
    # The first of several cores in one word is what is found.
    owners += [frozenset(inside)] * len(found.cores)
    sets = sorted(set(owners), key=sorted)
    number = {owner: index for index, owner in enumerate(sets)}
    keys = [sorted(table) for table in (found.tails, found.heads, found.cores)]
    return {
        "digest": np.frombuffer(bytes.fromhex(phrase_digest()), np.uint8),
        "pivots": np.unique(np.array([pivot >> 48 for pivot in pivots], np.uint16)),
        "pivot_shapes": pivot_shapes,
        "ngrams": _differences(ngram_edges),
        "ngram_edges": np.array([ngram_edges[code] for code in sorted(ngram_edges)], np.uint16),
        "shapes": np.array(shapes, np.uint8),
        "edges": _differences(edges),
        "edge_shapes": np.array(edge_shapes, np.uint8),
        "tails": np.array(keys[0], np.uint64),
        "heads": np.array(keys[1], np.uint64),
        "cores": np.array(keys[2], np.uint64),
        "key_places": np.array(sorted({int(key_place(np.uint64(key))) for key in itertools.chain(*keys)}), np.uint16),
        "set_sizes": np.array([len(owner) for owner in sets], np.uint8),
        "members": np.array([phrase for owner in sets for phrase in sorted(owner)], np.uint8),
        "owners": np.array([number[owner] for owner in owners], np.uint8),
        "bounds": np.array([bound(phrase) for phrase in PHRASES], np.uint16),
    }


def _differences(values: Iterable[int]) -> npt.NDArray[np.uint32]:
    ascending = np.array([0, *sorted(values)], np.uint32)
    return ascending[1:] - ascending[:-1]


def _find() -> _Found:
    found = _Found({}, defaultdict(set), defaultdict(set), defaultdict(set))
    for phrase, pattern in enumerate(PHRASES):
        for string in spelled_out(pattern):
            words = tokens(string)
            if ngram := _best_ngram(words):
                found.ngrams.setdefault(ngram, set()).add(phrase)
            else:
                _add_spelled(found, words, pattern, phrase)
    for lookalike in _SPACE_LOOKALIKES.split():
        found.ngrams[_Ngram((lookalike,), 0, "", "")] = set(range(len(PHRASES)))
    return found


def _add_spelled(found: _Found, words: list[Token], pattern: str, phrase: int) -> None:
    """Add the tails, heads or cores of a string that has no n-gram."""
    if any(map(_has_head, words)):
        table, text, size = found.heads, _longest(filter(_has_head, words)), HEAD
    elif any(map(_has_tail, words)):
        table, text, size = found.tails, _longest(filter(_has_tail, words)), TAIL
    else:
        table, text, size = found.cores, _core(words, pattern), CORE
    nexts = _after_stop(words, text) if table is found.tails else {0}
    for key in _keys(text, size, last=table is not found.heads):
        for after in nexts:
            table[key | after << 32].add(phrase)


def _edge_shape(ngram: _Ngram) -> tuple[int, int]:
    """How many bytes before and after an n-gram are looked at."""
    return min(EDGE, len(ngram.tail.encode())), min(EDGE, len(ngram.head.encode()))


def _edges(ngrams: dict[_Ngram, set[int]], codes: list[int]) -> dict[int, set[int]]:
    """Owners of each `edge_hash`."""
    edges = defaultdict[int, set[int]](set)
    for (ngram, owners), code in zip(ngrams.items(), codes, strict=True):
        tail, head = _edge_shape(ngram)
        for before in _keys(ngram.tail, tail, last=True):
            for after in _keys(ngram.head, head, last=False):
                key = edge_hash(np.uint64(code), np.uint64(before), np.uint64(after), 8 * tail + head)
                edges[int(key)] |= owners
    return edges


def _hashed(ngrams: list[_Ngram]) -> tuple[list[int], list[int]]:
    """Hash of the pivot and of the whole of each n-gram, made of words as `detectors.words` finds them."""
    from detectors.documents import Documents

    words = Documents.from_texts([" ".join(ngram.words) for ngram in ngrams]).words
    if words.counts.tolist() != [len(ngram.words) for ngram in ngrams]:
        raise ValueError("residue_build: the words of a phrase are cut otherwise than detectors.words does")
    pivots = words.hashes[words.doc_offsets[:-1] + np.array([ngram.pivot for ngram in ngrams])]
    return pivots.tolist(), _ngram_hashes(words.prefix, words.doc_offsets).tolist()


@compiled
def _ngram_hashes(prefix: U64, offsets: I64) -> U64:
    codes = np.empty(offsets.size - 1, np.uint64)
    for i in range(codes.size):
        n = offsets[i + 1] - offsets[i]
        codes[i] = ngram_hash(prefix, offsets[i], n, power(n))
    return codes


class _Ngram(NamedTuple):
    words: tuple[str, ...]
    pivot: int  # position of its rarest-looking word
    tail: str  # end of the word before, in lower case; may be empty
    head: str  # start of the word after


def _best_ngram(words: list[Token]) -> _Ngram | None:
    """The n-gram of most bytes among sure words, with what is sure of the words around it."""
    best: list[Token] = []
    at = 0
    for first in range(len(words)):
        run = list(itertools.takewhile(lambda token: token.whole, words[first : first + LONGEST]))
        if sum(token.size + 1 for token in run) > sum(token.size + 1 for token in best):
            best, at = run, first
    if not best:
        return None
    texts = tuple(token.text for token in best)
    pivot = max(range(len(texts)), key=lambda k: (texts[k].lower() not in _COMMON, len(texts[k].encode()), k))
    before, after = words[at - 1 : at], words[at + len(best) : at + len(best) + 1]
    tail = before[0].text.rpartition("'")[2][-EDGE:].lower() if before and before[0].ends else ""
    head = after[0].text.partition("'")[0][:EDGE].lower() if after and after[0].starts else ""
    return _Ngram(texts, pivot, tail, head)


def _has_tail(token: Token) -> bool:
    foreign = not token.text[-1].isascii() and _other_script(token.text)
    if not token.ends or len(token.text.rpartition("'")[2].encode()) < TAIL:
        return False
    return foreign or token.after[:1] in ("!", ":") or token.after == " !"


def _has_head(token: Token) -> bool:
    sure = len(token.text.partition("'")[0].encode())
    return token.starts and sure >= HEAD and not token.text[0].isascii() and _other_script(token.text)


def _other_script(text: str) -> bool:
    """Whether a byte is sure to make `candidates` look at words one by one."""
    return not OTHER_SCRIPTS.isdisjoint(text.encode()) and not OTHER_SCRIPTS.isdisjoint(text.upper().encode())


def _keys(text: str, size: int, *, last: bool) -> set[int]:
    """Bytes of a word's end or start in every case, as `_key` makes them."""
    if size == 0:
        return {0}
    text = text.rpartition("'")[2] if last else text.partition("'")[0]
    letters = text[-size:] if last else text[:size]
    cases = itertools.product(
        *({letter, letter.upper()} if len(letter.upper()) == 1 else {letter} for letter in letters)
    )
    raw = ("".join(case).encode() for case in cases)
    cut = (word[-size:] if last else word[:size] for word in raw)
    return {int.from_bytes(bytes(byte | 0x20 for byte in word), "little") for word in cut}


def _after_stop(words: list[Token], text: str) -> set[int]:
    """The first two bytes after the `!` that follows the word `text`; 0 where there is none or they are not sure."""
    at = next(k for k, token in enumerate(words) if token.text == text)
    following = words[at + 1 : at + 2]
    if "!" not in words[at].after[:2] or not words[at].text[-1].isascii():
        return {0}
    if not following or GAP in following[0].text or len(following[0].text.partition("'")[0].encode()) < 2:
        raise ValueError(f"residue_phrases: what follows {text!r} and `!` is not sure. Make the phrase longer")
    return _keys(following[0].text, 2, last=False)


def _longest(words: Iterable[Token]) -> str:
    return max(words, key=lambda token: token.size).text


def _core(words: list[Token], pattern: str) -> str:
    """The part of a word that is sure to be inside one, of those that `find_anchors` looks into."""
    long_enough = [token for token in words if token.text != GAP and token.size >= CORE]
    long = [token for token in long_enough if token.size >= LONG_CORE_BYTES and _other_script(token.text)]
    if long:
        return long[0].text
    if not long_enough or not re.match(r"\\b[a-z]+\\d", pattern):
        raise ValueError(f"residue_phrases: nothing in {pattern!r} is sure to be found. Make the phrase longer")
    return long_enough[0].text


if __name__ == "__main__":
    write()
