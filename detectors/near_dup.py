"""Signatures by which duplicates and near duplicates are found later: MinHash of word n-grams, hash of the text.

minima = signatures(findings["near_dup"]["minhash"])     # uint32[n, permutations], for a search of one's own
lsh.insert(key, to_minhash(value))                       # or datasketch's
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.protocols import Device, Measure

if TYPE_CHECKING:
    from datasketch import LeanMinHash, MinHash, bBitMinHash  # type: ignore[import-untyped]

__all__ = ["SCHEME", "NearDup", "b_bit_blocks", "signatures", "to_b_bit_minhash", "to_lean_minhash", "to_minhash"]

SCHEME = "datasketch.affine32"
"""How signatures are made; signatures of different schemes must never be compared."""

_DATASKETCH_SCHEME = "affine32"
_SEED = 1
_BLOCK_BITS = 64
_MOST_PERMUTATIONS = 4096
_MOST_SHINGLE_WORDS = 1024


@dataclass(frozen=True)
class NearDup:
    """MinHash of word n-grams (`detectors.minhash`), bit-identical to datasketch 2.0, and a hash of the text's bytes.

    `minhash` is null where there are no words. Whole, it holds `permutations` little-endian uint32 and two of
    them agree in a share of places that estimates the Jaccard similarity of the shingle sets. With `bits`, it keeps
    the lowest bits of each minimum in the layout of the blocks of a pickled `datasketch.bBitMinHash` (Li and König
    2010): slots of 1, 2, 4, 8 or 16 bits, the first in the highest bits of the first little-endian uint64.
    `exact` is the XXH64 of the bytes of the text, invalid UTF-8 included (`detectors.content_hash`).

    A document measured in pieces has the minima over all pieces, the sum of their shingles, and as `exact` the XXH64
    of the pieces' hashes, 8 little-endian bytes each: equal texts are cut alike. Shingles across a cut are not seen.
    With `bits` its `minhash` is null, since minima cannot be merged once their upper bits are gone.

    Args:
        permutations: length of the signature, 1 to 4096.
        shingle_words: words in a shingle, 1 to 1024.
        bits: bits kept of each minimum, 1 to 16; 0 keeps all 32.
        scheme: how signatures are made, recorded with every finding; there is but one.

    Raises:
        ConfigError: a setting outside its range.
    """

    permutations: int = 128
    shingle_words: int = 5
    bits: int = 0
    scheme: str = SCHEME

    name: ClassVar[str] = "near_dup"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)

    def __post_init__(self) -> None:
        limits = {"permutations": (1, _MOST_PERMUTATIONS), "shingle_words": (1, _MOST_SHINGLE_WORDS), "bits": (0, 16)}
        for setting, (least, most) in limits.items():
            if not least <= getattr(self, setting) <= most:
                raise ConfigError(
                    f"near_dup: {setting} is {getattr(self, setting)}. Set it to a number from {least} to {most}."
                )
        if self.scheme != SCHEME:
            raise ConfigError(f"near_dup: scheme is {self.scheme!r}. There is only {SCHEME!r}: leave it out.")

    @property
    def schema(self) -> pa.Schema:
        """Fields of one finding; how wide `minhash` is depends on the settings."""
        kept = f"the lowest {self.bits} bits of" if self.bits else "uint32"
        doc = f"MinHash of word {self.shingle_words}-grams: {kept} {self.permutations} minima; null without words."
        return pa.schema(
            [
                pa.field("minhash", pa.binary(self._value_bytes), metadata={"doc": doc}),
                pa.field("shingles", pa.int32(), metadata={"doc": "Word n-grams, repeated ones counted again."}),
                pa.field("exact", pa.uint64(), metadata={"doc": "XXH64 of the bytes of the text."}),
            ]
        )

    @property
    def _value_bytes(self) -> int:
        return _blocks(self.permutations, self.bits) * (_BLOCK_BITS // 8) if self.bits else 4 * self.permutations

    def load(self, device: Device) -> Measure:
        """Import the kernels. Runs on the CPU whatever the device."""
        from detectors.content_hash import content_hashes
        from detectors.minhash import minhash_signatures, shingle_counts

        def measure(documents: Documents) -> pa.RecordBatch:
            shingles = shingle_counts(documents.words, self.shingle_words)
            minima = minhash_signatures(documents.words, self.permutations, self.shingle_words)
            exact = content_hashes(documents.data, documents.offsets)
            return self._batch(minima, shingles, exact, shingles > 0)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """One finding for a document measured in pieces; see the class."""
        from detectors.content_hash import content_hashes

        hashes = np.asarray(pieces["exact"]).astype("<u8").view(np.uint8)
        exact = content_hashes(hashes, np.array([0, hashes.size]))
        shingles = np.asarray(pieces["shingles"]).astype(np.int64).sum(keepdims=True)
        known = pieces["minhash"].drop_null()
        minima = np.zeros((1, self.permutations), np.uint32)
        defined = len(known) > 0 and not self.bits
        if defined:
            minima = signatures(known).min(axis=0, keepdims=True)
        return self._batch(minima, shingles, exact, np.array([defined]))

    def _batch(
        self,
        minima: npt.NDArray[np.uint32],
        shingles: npt.NDArray[np.int64],
        exact: npt.NDArray[np.uint64],
        defined: npt.NDArray[np.bool_],
    ) -> pa.RecordBatch:
        values = b_bit_blocks(minima, self.bits).astype("<u8") if self.bits else minima.astype("<u4", copy=False)
        bitmap = pa.py_buffer(np.packbits(defined, bitorder="little"))
        schema = self.schema
        minhash = pa.Array.from_buffers(schema.field("minhash").type, len(minima), [bitmap, pa.py_buffer(values)])
        return pa.record_batch([minhash, shingles.astype(np.int32), exact], schema=schema)


def signatures(minhash: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint32]:
    """uint32[n, permutations]: the minima in a column of whole (not b-bit) signatures.

    Null rows hold 2**32 - 1 throughout, as an empty `datasketch.MinHash` does: leave these out of any search.
    """
    array = minhash.combine_chunks() if isinstance(minhash, pa.ChunkedArray) else minhash
    width = array.type.byte_width
    values = np.frombuffer(array.buffers()[1] or b"", "<u4", (len(array) * width) // 4, array.offset * width)
    minima = values.reshape(len(array), width // 4).astype(np.uint32)
    minima[~np.asarray(array.is_valid())] = np.iinfo(np.uint32).max
    return minima


def to_minhash(value: bytes) -> MinHash:
    """The `datasketch.MinHash` that one whole signature is; to be compared, merged and searched for.

    Updating it with texts would mix hash functions: what foxing feeds is `detectors.minhash.shingle_hashes`.
    """
    from datasketch import MinHash

    return MinHash(seed=_SEED, hashvalues=np.frombuffer(value, "<u4").astype(np.uint32), scheme=_DATASKETCH_SCHEME)


def to_lean_minhash(value: bytes) -> LeanMinHash:
    """As `to_minhash`, without what updating takes: small, and quick to serialise."""
    from datasketch import LeanMinHash

    return LeanMinHash(seed=_SEED, hashvalues=np.frombuffer(value, "<u4").astype(np.uint32), scheme=_DATASKETCH_SCHEME)


def to_b_bit_minhash(value: bytes, *, bits: int, permutations: int) -> bBitMinHash:
    """The `datasketch.bBitMinHash` that one signature is; the settings are those it was measured with."""
    from datasketch import bBitMinHash

    blocks = np.frombuffer(value, "<u8").astype(np.uint64)
    slots = blocks[:, None] >> _places(_slot_bits(bits)) & np.uint64((1 << bits) - 1)
    # There is no constructor from b-bit values, but minima of which nothing else is known do as well.
    return bBitMinHash(to_minhash(slots.ravel()[:permutations].astype("<u4").tobytes()), b=bits)


def b_bit_blocks(minima: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.uint64]:
    """uint64[n, blocks]: the lowest `bits` (1 to 16) of uint32[n, permutations]; for the layout see `NearDup`."""
    rows, permutations = minima.shape
    blocks, each = _blocks(permutations, bits), _BLOCK_BITS // _slot_bits(bits)
    slots = np.zeros((rows, blocks * each), np.uint64)
    slots[:, :permutations] = minima & np.uint32((1 << bits) - 1)
    packed: npt.NDArray[np.uint64] = np.bitwise_or.reduce(
        slots.reshape(rows, blocks, each) << _places(_slot_bits(bits)), axis=2
    )
    return packed


def _places(slot: int) -> npt.NDArray[np.uint64]:
    """By how much each slot of a block is shifted, the first one highest."""
    return np.arange(_BLOCK_BITS - slot, -1, -slot).astype(np.uint64)


def _slot_bits(bits: int) -> int:
    return next(slot for slot in (1, 2, 4, 8, 16) if slot >= bits)


def _blocks(permutations: int, bits: int) -> int:
    return -(-permutations * _slot_bits(bits) // _BLOCK_BITS)
