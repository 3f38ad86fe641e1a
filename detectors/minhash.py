"""MinHash of word n-grams by the scheme "affine32" of datasketch 2.0, bit for bit.

A shingle is the n-gram of `shingle_words` consecutive words; a document of fewer words, but at least one, has one
shingle: all its words. With `x` the low 32 bits of the shingle's hash (`detectors.ngrams`), the signature holds for
each permutation k the minimum over all shingles of

    a[k] * mix(x) + b[k]  modulo 2**32,  mix: the finalizer of MurmurHash3 for 32 bits

with a[k] odd, and a and b drawn from `RandomState(seed=1)`. That is `datasketch.MinHash(num_perm, seed=1,
scheme="affine32")` fed with the numbers `x`. Source: Broder 1997, "On the resemblance and containment of documents".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from detectors.jit import bare, inlined, read_only
from detectors.ngrams import ngram_hash, power
from detectors.words import Words

__all__ = ["SEED", "minhash_signatures", "permutation_parameters", "shingle_counts", "shingle_hashes"]

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

SEED = 1
"""Of the permutations; datasketch's default, and the only one whose signatures compare with others'."""

_LANES = 16  # permutations in one vector: a register of AVX-512, split by the compiler where these are narrower
_AT_ONCE = 8  # shingles in one pass over the permutations, so that minima are loaded and stored once for all of them
_CHUNK = 512  # shingle hashes held at a time, whatever the length of the document
_LOW = np.uint64(0xFFFFFFFF)
_MIX_1, _MIX_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_SIXTEEN, _THIRTEEN = np.uint32(16), np.uint32(13)
_HIGHEST = np.uint32(0xFFFFFFFF)


@cache
def permutation_parameters(permutations: int) -> tuple[U32, U32]:
    """Multipliers a (odd) and increments b, uint32[permutations] each, read-only, as datasketch draws them."""
    random = np.random.RandomState(SEED)
    a = random.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = random.randint(0, 1 << 32, permutations, dtype=np.uint32)
    return read_only(a), read_only(b)


@cache
def _whole_vectors(permutations: int) -> tuple[U32, U32]:
    a, b = (np.pad(parameter, (0, -permutations % _LANES)) for parameter in permutation_parameters(permutations))
    return read_only(a), read_only(b)


def shingle_counts(words: Words, shingle_words: int) -> I64:
    """int64[n]: shingles of each document, repeated ones counted again; 0 without words."""
    return np.maximum(words.counts - (shingle_words - 1), np.minimum(words.counts, 1))


def minhash_signatures(words: Words, permutations: int, shingle_words: int) -> U32:
    """uint32[n, permutations]: the signature of each document; 2**32 - 1 throughout where there are no words."""
    a, b = _whole_vectors(permutations)
    out = np.empty((len(words.counts), permutations), np.uint32)
    minima, mixed = np.empty(a.size, np.uint32), np.empty(_CHUNK, np.uint32)
    _sign(words.prefix, words.doc_offsets, shingle_words, a, b, minima, mixed, out)
    return out


def shingle_hashes(words: Words, document: int, shingle_words: int) -> U32:
    """uint32[shingles]: what is fed to the permutations for one document, in order of the text."""
    first, end = (int(at) for at in words.doc_offsets[document : document + 2])
    n = min(shingle_words, end - first)
    hashes = np.empty(end - first - n + 1 if n else 0, np.uint32)
    _hash_shingles(words.prefix, first, n, hashes.size, hashes)
    return hashes


def _lower_minima_template(typing_context, minima, a, b, at, mixed, first):  # type: ignore[no-untyped-def]
    lane = ir.IntType(32)
    vector = ir.VectorType(lane, _LANES)
    spread = ir.Constant(ir.VectorType(lane, _LANES), [0] * _LANES)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def address(argument: int, index: ir.Value) -> ir.Value:
            view = context.make_array(signature.args[argument])(context, builder, arguments[argument])
            return builder.gep(view.data, [index], inbounds=True)

        def load(argument: int) -> ir.Value:
            return builder.load(builder.bitcast(address(argument, arguments[3]), vector.as_pointer()), align=4)

        lowest, factor, increment = load(0), load(1), load(2)
        for i in range(_AT_ONCE):
            scalar = builder.load(address(4, builder.add(arguments[5], ir.Constant(ir.IntType(64), i))))
            single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(lane, 0))
            everywhere = builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), spread)
            value = builder.add(builder.mul(everywhere, factor), increment)
            lowest = builder.select(builder.icmp_unsigned("<", value, lowest), value, lowest)
        builder.store(lowest, builder.bitcast(address(0, arguments[3]), vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(minima, a, b, types.int64, mixed, types.int64), generate


# numba.extending.intrinsic is typed as what it wraps, not as what a kernel calls.
_lower_minima: Callable[[U32, U32, U32, int, U32, int], None] = intrinsic(_lower_minima_template)  # type: ignore[assignment]


@inlined
def _mix(x: np.uint32) -> np.uint32:
    # numba makes uint64 of a product of uint32, so each is cut back.
    x ^= x >> _SIXTEEN
    x = np.uint32(x * _MIX_1)
    x ^= x >> _THIRTEEN
    x = np.uint32(x * _MIX_2)
    return x ^ (x >> _SIXTEEN)


@bare
def _hash_shingles(prefix: U64, first: int, n: int, count: int, out: U32) -> None:
    base_to_n = power(n)
    for i in range(count):
        out[i] = np.uint32(ngram_hash(prefix, first + i, n, base_to_n) & _LOW)


@bare
def _sign(prefix: U64, doc_offsets: I64, shingle_words: int, a: U32, b: U32, minima: U32, mixed: U32, out: U32) -> None:
    permutations = out.shape[1]
    for document in range(out.shape[0]):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        n = min(shingle_words, end - first)
        base_to_n = power(n)
        minima[:] = _HIGHEST
        at = first
        last = end - n if n else first - 1
        while at <= last:
            count = min(_CHUNK, last - at + 1)
            window = prefix[at : at + count + n]
            for i in range(count):
                mixed[i] = _mix(np.uint32(ngram_hash(window, i, n, base_to_n) & _LOW))
            at += count
            # A shingle twice is as good as once, so the last one fills the pass.
            for i in range(count, count + -count % _AT_ONCE):
                mixed[i] = mixed[count - 1]
            for i in range(0, count, _AT_ONCE):
                for k in range(0, a.size, _LANES):
                    _lower_minima(minima, a, b, k, mixed, i)
        for k in range(permutations):
            out[document, k] = minima[k]
