"""MinHash against datasketch, shingle by shingle; the hash of the text; b-bit storage; long documents."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH, bBitMinHash
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.conformance import check_signal
from detectors.content_hash import content_hashes
from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.minhash import shingle_hashes
from detectors.near_dup import (
    SCHEME,
    NearDup,
    b_bit_blocks,
    signatures,
    to_b_bit_minhash,
    to_lean_minhash,
    to_minhash,
)
from detectors.protocols import Device, Piecewise
from tests.detectors.texts import any_bytes, batches, vocabulary


def measure(texts: list[str | bytes | None], signal: NearDup | None = None) -> pa.RecordBatch:
    return (signal or NearDup()).load(Device.CPU)(Documents.from_texts(texts))


def text_of(numbers: list[int]) -> str:
    return " ".join(f"w{number}" if number >= 0 else f"v{-number}" for number in numbers)


def ngram(hashes: list[int]) -> int:
    """Hash of an n-gram, by the definition in `detectors.ngrams`."""
    g = 0
    for h in hashes:
        g = (g * 0x9E3779B97F4A7C15 + h) % 2**64
    for multiplier in (0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD):
        g = (g ^ g >> 32) * multiplier % 2**64
    return g ^ g >> 32


def by_datasketch(text: str | bytes, permutations: int, shingle_words: int) -> MinHash:
    """The signature as datasketch makes it, from n-gram hashes taken one by one."""
    hashes = Documents.from_texts([text]).words.hashes.tolist()
    n = min(shingle_words, len(hashes))
    minhash = MinHash(num_perm=permutations, hashfunc=int)
    for at in range(len(hashes) - n + 1 if n else 0):
        minhash.update(ngram(hashes[at : at + n]) & 0xFFFFFFFF)
    return minhash


def test_near_dup_keeps_the_contract_of_a_signal() -> None:
    check_signal(NearDup())
    check_signal(NearDup(permutations=50, shingle_words=1, bits=3))
    assert isinstance(NearDup(), Piecewise)


@given(batches, st.sampled_from([1, 16, 100, 128]), st.integers(1, 7))
def test_signatures_are_those_of_datasketch(texts: list[bytes | None], permutations: int, shingle_words: int) -> None:
    found = measure(list(texts), NearDup(permutations=permutations, shingle_words=shingle_words))
    for i, text in enumerate(texts):
        expected = by_datasketch(text or b"", permutations, shingle_words)
        value = found["minhash"][i].as_py()
        if expected.is_empty():
            assert value is None
            assert found["shingles"][i].as_py() == 0
        else:
            assert value == expected.hashvalues.astype("<u4").tobytes()


@given(vocabulary)
def test_a_document_of_any_length_has_the_signature_of_datasketch(numbers: list[int]) -> None:
    text = text_of([*numbers, *range(len(numbers) * 7)])
    assert to_minhash(measure([text])["minhash"][0].as_py()) == by_datasketch(text, 128, 5)


def test_what_is_fed_to_the_permutations_can_be_had_one_by_one() -> None:
    text = text_of(list(range(40)))
    words = Documents.from_texts(["before", text, "", "only three words"]).words
    minhash = MinHash(num_perm=128, hashfunc=int)
    minhash.update_batch(shingle_hashes(words, 1, 5).tolist())
    assert minhash == to_minhash(measure([text])["minhash"][0].as_py())
    assert [len(shingle_hashes(words, i, 5)) for i in range(4)] == [1, 36, 0, 1]


@given(st.integers(0, 9))
def test_shorter_documents_have_one_shingle(words: int) -> None:
    assert measure([text_of(list(range(words)))])["shingles"][0].as_py() == max(words - 4, min(words, 1))


def test_estimates_are_near_the_true_similarity() -> None:
    random = np.random.default_rng(3)
    for shared in (0, 40, 120, 200, 400):
        common = random.integers(0, 10**9, shared).tolist()
        texts = [text_of(common + random.integers(0, 10**9, 400 - shared).tolist()) for _ in range(2)]
        one, other = signatures(measure(list(texts), NearDup(permutations=1024))["minhash"])
        sets = [set(shingle_hashes(Documents.from_texts([text]).words, 0, 5).tolist()) for text in texts]
        jaccard = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        # Four standard errors of 1024 draws.
        assert abs(float(np.mean(one == other)) - jaccard) <= 4 * (jaccard * (1 - jaccard) / 1024) ** 0.5 + 1e-9


def test_datasketch_finds_the_planted_near_duplicates() -> None:
    random = np.random.default_rng(5)
    originals = [random.integers(0, 50_000, 300).tolist() for _ in range(30)]
    edited = [[*numbers[:150], -1, *numbers[151:]] for numbers in originals[:10]]
    values = measure([text_of(numbers) for numbers in originals + edited])["minhash"].to_pylist()
    for convert in (to_minhash, to_lean_minhash):
        lsh = MinHashLSH(threshold=0.8, num_perm=128)
        for i, value in enumerate(values[:30]):
            lsh.insert(i, convert(value))
        assert [lsh.query(convert(value)) for value in values[30:]] == [[i] for i in range(10)]
        assert convert(values[0]).jaccard(convert(values[30])) == pytest.approx(291 / 301, abs=0.08)


@given(any_bytes, st.integers(1, 16), st.sampled_from([1, 63, 64, 128, 130]))
def test_b_bit_storage_is_that_of_datasketch(text: bytes, bits: int, permutations: int) -> None:
    value = measure([text], NearDup(permutations=permutations, bits=bits))["minhash"][0].as_py()
    minhash = by_datasketch(text, permutations, 5)
    if minhash.is_empty():
        assert value is None
        return
    expected = bBitMinHash(minhash, b=bits)
    assert bytes(pickle.loads(pickle.dumps(expected)).__getstate__()).endswith(value)
    assert to_b_bit_minhash(value, bits=bits, permutations=permutations) == expected


def test_b_bit_signatures_still_tell_near_from_far() -> None:
    numbers = list(range(400))
    values = measure([text_of(numbers), text_of([*numbers, 7]), text_of(numbers[::-1])], NearDup(bits=2))["minhash"]
    first, near, far = (to_b_bit_minhash(v, bits=2, permutations=128) for v in values.to_pylist())
    assert first.jaccard(near) > 0.9
    assert first.jaccard(far) < 0.2


def test_storage_is_as_wide_as_the_schema_says() -> None:
    assert NearDup().schema.field("minhash").type == pa.binary(512)
    assert NearDup(bits=1).schema.field("minhash").type == pa.binary(16)
    assert NearDup(bits=3, permutations=100).schema.field("minhash").type == pa.binary(56)
    assert b_bit_blocks(np.array([[1, 0, 3]], np.uint32), 1).tolist() == [[0b101 << 61]]


def test_signatures_of_sliced_and_chunked_columns() -> None:
    column = measure(["one", None, text_of(list(range(20))), "two words"])["minhash"]
    whole = signatures(column)
    assert whole.dtype == np.uint32
    assert whole.shape == (4, 128)
    assert (whole[1] == 2**32 - 1).all()
    assert (signatures(column.slice(1, 2)) == whole[1:3]).all()
    assert (signatures(pa.chunked_array([column, column.slice(2)])) == np.concatenate([whole, whole[2:]])).all()
    assert signatures(column.slice(0, 0)).shape == (0, 128)


def xxh64(text: bytes) -> int:
    """XXH64 with seed 0, from its specification."""
    mask = 2**64 - 1
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rotate(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & mask

    def turn(lane: int, word: int) -> int:
        return rotate((lane + word * p2) & mask, 31) * p1 & mask

    rest, h = text, p5
    if len(text) >= 32:
        lanes = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        while len(rest) >= 32:
            lanes = [turn(lane, int.from_bytes(rest[8 * i : 8 * i + 8], "little")) for i, lane in enumerate(lanes)]
            rest = rest[32:]
        h = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & mask
        for lane in lanes:
            h = ((h ^ turn(0, lane)) * p1 + p4) & mask
    h = (h + len(text)) & mask
    while len(rest) >= 8:
        h = (rotate(h ^ turn(0, int.from_bytes(rest[:8], "little")), 27) * p1 + p4) & mask
        rest = rest[8:]
    if len(rest) >= 4:
        h = (rotate(h ^ (int.from_bytes(rest[:4], "little") * p1 & mask), 23) * p2 + p3) & mask
        rest = rest[4:]
    for byte in rest:
        h = rotate(h ^ (byte * p5 & mask), 11) * p1 & mask
    h = (h ^ h >> 33) * p2 & mask
    h = (h ^ h >> 29) * p3 & mask
    return h ^ h >> 32


def test_exact_hash_of_known_texts() -> None:
    found = measure(["", "a", "abc", None])["exact"].to_pylist()
    assert found[:3] == [0xEF46DB3751D8E999, 0xD24EC4F1A98C6E5B, 0x44BC2CF5AD770999]


@given(st.lists(st.binary(max_size=100), max_size=5))
@example([b"x" * n for n in range(70)])
def test_exact_hash_is_xxh64(texts: list[bytes]) -> None:
    assert measure(list(texts))["exact"].to_pylist() == [xxh64(text) for text in texts]


def test_exact_hash_has_no_collisions_among_texts_that_differ_in_one_bit() -> None:
    text = bytearray(b"The binding had come loose, and brown stains ran along the margin of every page. " * 2)
    texts = []
    for bit in range(8 * len(text)):
        text[bit // 8] ^= 1 << bit % 8
        texts.append(bytes(text))
        text[bit // 8] ^= 1 << bit % 8
    hashes = measure(list(texts))["exact"].to_numpy()
    assert len(set(hashes.tolist())) == len(texts)
    changed = np.unpackbits((hashes ^ np.uint64(xxh64(bytes(text)))).view(np.uint8)).reshape(len(texts), 64)
    assert abs(changed.mean() - 0.5) < 0.01


@given(st.lists(any_bytes, min_size=2, max_size=5))
def test_pieces_of_a_long_document_are_combined(texts: list[bytes]) -> None:
    pieces = measure(list(texts))
    (whole,) = NearDup().combine(pieces, [0] * len(texts)).to_pylist()
    assert whole["shingles"] == sum(pieces["shingles"].to_pylist())
    assert whole["exact"] == xxh64(b"".join(xxh64(text).to_bytes(8, "little") for text in texts))
    parts = [by_datasketch(text, 128, 5) for text in texts]
    for part in parts[1:]:
        parts[0].merge(part)
    expected = None if parts[0].is_empty() else parts[0].hashvalues.astype("<u4").tobytes()
    assert whole["minhash"] == expected


def test_pieces_have_no_b_bit_signature() -> None:
    signal = NearDup(bits=4)
    combined = signal.combine(measure(["one two", "three"], signal), [0, 8])
    assert combined.schema == signal.schema
    assert combined["minhash"].to_pylist() == [None]


def test_a_piece_at_a_time_is_nearly_the_whole() -> None:
    numbers = list(range(3000))
    pieces = measure([text_of(numbers[at : at + 500]) for at in range(0, 3000, 500)])
    combined = NearDup().combine(pieces, [0] * 6)["minhash"][0].as_py()
    assert to_minhash(combined).jaccard(to_minhash(measure([text_of(numbers)])["minhash"][0].as_py())) > 0.95


def test_scheme_is_part_of_the_settings() -> None:
    assert NearDup().scheme == SCHEME == "datasketch.affine32"


@pytest.mark.parametrize(
    "settings", [{"permutations": 0}, {"permutations": 5000}, {"shingle_words": 0}, {"bits": 17}, {"scheme": "legacy"}]
)
def test_settings_outside_their_range_are_refused(settings: dict[str, int | str]) -> None:
    with pytest.raises(ConfigError, match=f"near_dup: {next(iter(settings))} is"):
        NearDup(**settings)  # type: ignore[arg-type]


def test_content_hashes_read_nothing_beyond_a_document() -> None:
    text = np.frombuffer(b"abcdefgh" * 9, np.uint8)
    for size in range(len(text) + 1):
        copy = np.concatenate([text[:size], np.full(64 - size % 64, 0xAA, np.uint8)])
        assert content_hashes(copy, np.array([0, size]))[0] == xxh64(text[:size].tobytes())
