"""Bands of MinHash signatures: datasketch's choice and candidates, and who is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from datasketch.lsh import _optimal_param
from hypothesis import given
from hypothesis import strategies as st

from detectors.banding import band_keys, flatten, joined, keep_in_order, optimal_bands

PERMUTATIONS = 32


def signatures(values: list[list[int]]) -> np.ndarray:
    return np.array(values, np.uint32).reshape(len(values), PERMUTATIONS)


some_signatures = st.lists(
    st.lists(st.integers(0, 2), min_size=PERMUTATIONS, max_size=PERMUTATIONS), min_size=1, max_size=12
).map(signatures)


@pytest.mark.parametrize("permutations", [16, 64, 128, 256])
@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
def test_bands_are_those_of_datasketch(threshold: float, permutations: int) -> None:
    assert optimal_bands(threshold, permutations) == _optimal_param(threshold, permutations, 0.5, 0.5)


@given(minima=some_signatures)
def test_keys_are_equal_exactly_where_bands_are(minima: np.ndarray) -> None:
    keys = band_keys(minima, bands=8, rows=4)
    for i, j in itertools.combinations(range(len(minima)), 2):
        equal = (minima[i].reshape(8, 4) == minima[j].reshape(8, 4)).all(axis=1)
        assert ((keys[i] == keys[j]) == equal).all()


def test_no_two_bands_share_a_key_for_the_same_values() -> None:
    keys = band_keys(np.full((1, PERMUTATIONS), 7, np.uint32), bands=8, rows=4)
    assert len(set(keys[0].tolist())) == 8


def test_candidates_are_those_of_datasketch() -> None:
    random = np.random.default_rng(3)
    base = random.integers(0, 1000, PERMUTATIONS).astype(np.uint32)
    minima = np.stack([np.where(random.random(PERMUTATIONS) < 0.8, base, random.integers(0, 1000)) for _ in range(60)])
    lsh = MinHashLSH(num_perm=PERMUTATIONS, params=(8, 4))
    hashes = [MinHash(seed=1, hashvalues=row.astype(np.uint32), scheme="affine32") for row in minima]
    for i, minhash in enumerate(hashes):
        lsh.insert(i, minhash)
    keys = band_keys(minima.astype(np.uint32), bands=8, rows=4)
    for i, minhash in enumerate(hashes):
        ours = set(np.flatnonzero((keys == keys[i]).any(axis=1)).tolist())
        assert ours == set(lsh.query(minhash))


def decided(minima: np.ndarray, least: int, fixed: int = 0) -> tuple[list[int], np.ndarray]:
    """Keepers, and shares of minima that agree with them, where all rows share one bucket."""
    n = len(minima)
    keepers, parents, alike = np.arange(n), np.arange(n), np.ones(n, np.float32)
    heads, entries = np.full(1, -1, np.int64), np.empty((n, 2), np.int64)
    shared = np.arange(n), np.arange(n + 1), np.zeros(n, np.int64)
    keep_in_order(minima, shared, (least, fixed), (keepers, parents, alike), (heads, entries))
    return keepers.tolist(), alike


def kept(minima: np.ndarray, least: int, fixed: int = 0) -> list[int]:
    return decided(minima, least, fixed)[0]


@given(minima=some_signatures, least=st.integers(1, PERMUTATIONS))
def test_similarity_is_the_share_of_minima_equal_to_those_of_the_row_that_is_kept(
    minima: np.ndarray, least: int
) -> None:
    keepers, alike = decided(minima, least)
    assert np.allclose(alike, (minima == minima[keepers]).mean(axis=1))


def test_copies_go_for_the_one_that_comes_first() -> None:
    minima = signatures([[1] * PERMUTATIONS, [2] * PERMUTATIONS, [1] * PERMUTATIONS, [2] * PERMUTATIONS])
    assert kept(minima, PERMUTATIONS) == [0, 1, 0, 1]


def test_likeness_is_not_passed_on_along_a_chain() -> None:
    # Each is like its neighbour in 24 of 32, the ends are alike in 16.
    assert kept(signatures([[1] * 32, [1] * 24 + [2] * 8, [1] * 16 + [2] * 16]), 24) == [0, 0, 2]


def test_a_row_goes_for_the_likest_of_those_that_stay() -> None:
    assert kept(signatures([[1] * 20 + [3] * 12, [2] * 20 + [3] * 12, [2] * 18 + [3] * 14]), 20) == [0, 1, 1]


def test_fixed_rows_stay_whatever_they_are_like() -> None:
    assert kept(np.ones((4, PERMUTATIONS), np.uint32), PERMUTATIONS, fixed=2) == [0, 1, 0, 0]


@given(
    edges=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=20),
)
def test_sets_are_those_that_pairs_connect(edges: list[tuple[int, int]]) -> None:
    parents = np.arange(15)
    flatten(parents, np.array(edges, np.int64).reshape(-1, 2))
    groups = {i: {i} for i in range(15)}
    for one, other in edges:
        joined = groups[one] | groups[other]
        for member in joined:
            groups[member] = joined
    assert parents.tolist() == [min(groups[i]) for i in range(15)]


@given(rows=st.lists(st.sets(st.integers(0, 9), max_size=4), max_size=12))
def test_rows_hang_together_through_the_buckets_that_they_share(rows: list[set[int]]) -> None:
    indptr = np.cumsum([0, *map(len, rows)])
    buckets = np.array([bucket for row in rows for bucket in sorted(row)], np.int64)
    found = joined(indptr, buckets, 10).tolist()
    for i, row in enumerate(rows):
        together, names = {i}, set(row)
        for _ in rows:
            together |= {j for j, other in enumerate(rows) if other & names}
            names |= {name for j in together for name in rows[j]}
        assert found[i] == min(together)
