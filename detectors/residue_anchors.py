"""What every match of a phrase must contain: anchors that a pass over word hashes finds, so that few rows see a regex.

A phrase is spelled out into all strings it stands for (`,?` with and without the comma; what repeats or is a class
becomes a gap of unknown text). In each string those words are sure to be whole words of any text it is found in that
have a separator or another script on both sides; the first and last may be cut out of longer ones. The longest run of
sure words gives an n-gram; where there is none, the last bytes of a word whose end is sure, the first of one whose
start is, or bytes from within. Anchors may be found where no phrase is, never the other way round.

The anchors lie beside this file, made by `detectors.residue_build` from the phrase table.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detectors.jit import read_only
from detectors.ngrams import power
from detectors.residue_kernels import LONGEST, find_anchors
from detectors.residue_phrases import STRONG, WEAK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.words import Words

__all__ = ["PATH", "Anchors", "anchors", "anchors_from", "bitmap", "candidates", "phrase_digest"]

U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

PATH = Path(__file__).with_name("residue_anchors.npz")
_ROOM = 1024


@dataclass(frozen=True, eq=False)
class Anchors:
    """Tables for `candidates`. All arrays are read-only; keys ascend.

    Attributes:
        pivots: uint64[1024]; a bit for the upper 16 bits of each pivot's hash. A pivot is one word of an n-gram.
        pivot_shapes: uint16[1024]; by the upper 10 bits of a pivot's hash, a bit for each of the `shapes` it is in.
        ngrams: uint64[8192]; a bit for the lower 19 bits of the `ngram_hash` of each n-gram.
        ngram_edges: uint16[4096]; by the lower 12 bits of an n-gram's hash, a bit for each of the `edge_shapes` it has.
        shapes: int64[s, 2]; length of an n-gram, and position of the pivot in it.
        edges: uint32[...]; `edge_hash` of each n-gram with what is sure of the words around it.
        edge_bits: uint64[8192]; a bit for the lower 19 bits of each of `edges`.
        edge_shapes: int64[e, 2]; how many bytes at the end of the word before, and at the start of the word after.
        tails: uint64[...]; last four bytes of a word, in another script or before `:`; before `!`, with the two after.
        heads: uint64[...]; first six bytes of a word in another script.
        cores: uint64[...]; four bytes from within a word of digits and letters, or a very long one.
        key_bits: uint64[64]; a bit for the `key_place` of each of `tails`, `heads` and `cores`.
        owners: for each of `edges`, `tails`, `heads`, `cores` in turn: which phrases it belongs to.
        bounds: for each phrase: how many bytes its matches have at most; 0 where nothing bounds them.
    """

    pivots: U64
    pivot_shapes: U16
    ngrams: U64
    ngram_edges: U16
    shapes: I64
    edges: U32
    edge_bits: U64
    edge_shapes: I64
    tails: U64
    heads: U64
    cores: U64
    key_bits: U64
    owners: tuple[frozenset[int], ...]
    bounds: tuple[int, ...]


def phrase_digest() -> str:
    """SHA-256 of the phrase table, which the anchors depend on."""
    rows = (f"{name}\t{phrase}\n" for table in (STRONG, WEAK) for name, phrases in table.items() for phrase in phrases)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


@cache
def anchors() -> Anchors:
    """Read the anchors of the phrase table.

    Raises:
        ValueError: when the phrase table is not the one that the anchors were made from.
    """
    with np.load(PATH, allow_pickle=False) as stored:
        return anchors_from(stored)


def anchors_from(stored: Mapping[str, npt.NDArray[np.generic]]) -> Anchors:
    """Make the tables from the arrays that `detectors.residue_build` stores; it says what they are."""
    if stored["digest"].tobytes().hex() != phrase_digest():
        raise ValueError(
            f"{PATH.name}: was made from another phrase table than detectors/residue_phrases.py. "
            "Make it anew with `python -m detectors.residue_build`"
        )
    edges = np.cumsum(stored["edges"], dtype=np.uint32)
    ngrams = np.cumsum(stored["ngrams"], dtype=np.int64)
    ngram_edges = np.zeros(4096, np.uint16)
    np.bitwise_or.at(ngram_edges, ngrams & 4095, stored["ngram_edges"].astype(np.uint16))
    members, stops = stored["members"].tolist(), np.cumsum(stored["set_sizes"], dtype=np.int64).tolist()
    sets = [frozenset(members[start:stop]) for start, stop in zip([0, *stops], stops, strict=False)]
    return Anchors(
        pivots=bitmap(stored["pivots"], 1 << 16),
        pivot_shapes=read_only(stored["pivot_shapes"].astype(np.uint16)),
        ngrams=bitmap(ngrams, 1 << 19),
        ngram_edges=read_only(ngram_edges),
        shapes=read_only(stored["shapes"].astype(np.int64)),
        edges=read_only(edges),
        edge_bits=bitmap(edges & np.uint32((1 << 19) - 1), 1 << 19),
        edge_shapes=read_only(stored["edge_shapes"].astype(np.int64)),
        tails=read_only(stored["tails"].astype(np.uint64)),
        heads=read_only(stored["heads"].astype(np.uint64)),
        cores=read_only(stored["cores"].astype(np.uint64)),
        key_bits=bitmap(stored["key_places"], 1 << 12),
        owners=tuple(sets[index] for index in stored["owners"].tolist()),
        bounds=tuple(stored["bounds"].tolist()),
    )


def bitmap(places: npt.NDArray[np.generic], size: int) -> U64:
    """uint64[size / 64], read-only, with a one bit at each of the places."""
    bits = np.zeros(size, np.bool_)
    bits[places.astype(np.int64)] = True
    return read_only(np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64))


@cache
def _powers() -> U64:
    return read_only(np.array([power(n) for n in range(LONGEST + 1)], np.uint64))


def candidates(data: npt.NDArray[np.uint8], offsets: I64, words: Words) -> I64:
    """int64[k, 3]: a document, the index in `Anchors.owners` of an anchor that it holds, and where.

    A document that is not in it holds no phrase. Every match of a phrase contains the place of an anchor of that
    phrase; a place is a byte of `data`, or -1 where it is not known.

    Args:
        data: uint8[...]; the text that `words` were found in.
        offsets: int64[n + 1]; document i is `data[offsets[i] : offsets[i + 1]]`.
        words: of n documents.
    """
    table = anchors()
    hashed = table.pivots, table.pivot_shapes, table.ngrams, table.ngram_edges, table.shapes
    arguments = (
        (*hashed, table.edges, table.edge_bits, table.edge_shapes, _powers()),
        (table.tails, table.heads, table.cores, table.key_bits),
        read_only(data),
        read_only(offsets),
        (words.doc_offsets, words.start, words.end, words.hashes, words.prefix),
        (np.empty(1024, np.int64), np.empty(64, np.uint8)),
    )
    found = np.empty((_ROOM, 3), np.int64)
    while (used := find_anchors(*arguments, found)) > len(found):
        found = np.empty((used, 3), np.int64)
    return found[:used]
