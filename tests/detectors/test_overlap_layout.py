"""Tables hold exactly the 8-grams that are kept, each where it is looked for, and cost no memory beside themselves."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.documents import Documents
from detectors.gram_table import MOST_ITEMS, GramTable, gram_keys
from detectors.ngrams import prefix_hashes
from detectors.overlap_layout import lay_out
from detectors.words import Words

Held = tuple[int, set[tuple[int, int, int]], set[int]]
WORDS = ["ash", "birch", "cedar", "fir", "oak"]


def entries(table: GramTable, words: np.ndarray) -> set[tuple[int, int, int]]:
    """Key, place and item of every entry, each found in the bucket where it is looked for."""
    places = table.places.astype(np.int64)
    keys = gram_keys(prefix_hashes(words), places)
    buckets = np.repeat(np.arange(len(table.directory) - 1), np.diff(table.directory))
    assert (keys >> table.shift == buckets).all()
    assert (keys.astype(np.uint32) == table.tags).all()
    for bitmap, of in ((table.bitmap, keys), (table.wide, keys >> np.uint64(20))):
        at = of & np.uint64(bitmap.size * 64 - 1)
        assert ((bitmap[(at >> np.uint64(6)).astype(np.int64)] >> (at & np.uint64(63))) & np.uint64(1)).all()
    return set(zip(keys.tolist(), places.tolist(), table.items.tolist(), strict=True))


@settings(deadline=None)
@given(
    # Few words, so that 8-grams recur within items and between them; long runs of one, more often than places are kept.
    items=st.lists(
        st.lists(st.tuples(st.sampled_from(WORDS), st.integers(1, 12)), max_size=12), min_size=1, max_size=8
    ),
    n=st.sampled_from([8, 9, 13]),
    seed=st.integers(0, 99),
    most=st.tuples(st.sampled_from([1, 2, 64]), st.sampled_from([1, 2, 8])),
)
def test_tables_hold_the_8_grams_that_are_kept_and_marks_of_the_others(
    items: list[list[tuple[str, int]]], n: int, seed: int, most: tuple[int, int]
) -> None:
    texts = [" ".join(word for word, times in item for _ in range(times)) for item in items]
    words = Documents.from_texts([*texts]).words
    stopped = np.random.default_rng(seed).random(len(words)) < 0.2
    found = lay_out(words.hashes, words.doc_offsets, n, stopped=stopped, most=most)
    sizes = words.counts
    sparse = (sizes >= n) & (n > 8)
    held = plainly(words, sparse, stopped, most)
    marks = {(key, min(dropped), -1) for key, _, dropped in held if dropped}
    assert entries(found.sparse, words.hashes) == {one for _, kept, _ in held for one in kept} | marks
    kept = {one for _, kept, _ in plainly(words, ~sparse, stopped, most) for one in kept}
    firsts = {item: min(place for _, place, owner in kept if owner == item) for _, _, item in kept}
    assert entries(found.dense, words.hashes) == {
        (key, place, item) for key, place, item in kept if sizes[item] >= n or place == firsts[item]
    }
    assert found.stride == (n - 7 if sparse.any() else 1)


def plainly(words: Words, chosen: np.ndarray, stopped: np.ndarray, most: tuple[int, int]) -> list[Held]:
    """Of every 8-gram of the chosen items its key, the entries that are kept, and the places that are not."""
    places: dict[int, list[tuple[int, int]]] = {}
    for item in np.flatnonzero(chosen).tolist():
        first, end = words.doc_offsets[item : item + 2].tolist()
        for place in range(first, end - 7):
            (key,) = gram_keys(prefix_hashes(words.hashes), np.array([place])).tolist()
            places.setdefault(key, []).append((item, place))
    held: list[Held] = []
    for key, where in places.items():
        owners = list(dict.fromkeys(item for item, _ in where))[: most[0]]
        kept = {
            (key, place, item)
            for at, (item, place) in enumerate(where)
            if item in owners and sum(other == item for other, _ in where[:at]) < most[1] and not stopped[place]
        }
        held.append((key, kept, {place for item, place in where if (key, place, item) not in kept}))
    return held


def test_what_more_items_share_than_are_kept_is_found_by_the_first_of_them() -> None:
    common = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    words = Documents.from_texts([f"{common} item{i}" for i in range(MOST_ITEMS + 6)]).words
    found = lay_out(words.hashes, words.doc_offsets, 13, stopped=np.zeros(len(words), np.bool_))
    kept = found.sparse.items[found.sparse.items >= 0]
    first, every = set(range(MOST_ITEMS)), set(range(MOST_ITEMS + 6))
    # The last 8-gram of an item holds its number, so each item has one to itself.
    assert set(kept.tolist()) == every
    assert set(np.flatnonzero(np.bincount(kept) > 1).tolist()) == first


def test_laying_out_takes_little_more_memory_than_the_tables() -> None:
    random = np.random.default_rng(5)
    words = random.integers(0, 2**63, 200_000).astype(np.uint64)
    offsets, stopped = np.arange(0, len(words) + 1, 100), np.zeros(len(words), np.bool_)
    lay_out(words[:200], offsets[:3], 13, stopped=stopped[:200])
    tracemalloc.start()
    try:
        found = lay_out(words, offsets, 13, stopped=stopped)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    tables = sum(part.nbytes for part in found.sparse if isinstance(part, np.ndarray))
    assert held < 1.05 * tables, f"{held / 1e6:.1f} MB held for tables of {tables / 1e6:.1f} MB"
    assert peak < 1.6 * tables, f"{peak / 1e6:.1f} MB for tables of {tables / 1e6:.1f} MB"
