"""Shared n-grams against plain sets of n-grams; stop-grams; answers; the index and its digest; long documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.benchmark_index import BenchmarkIndex, FalseFlags, header, stored_digest
from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.gram_table import MOST_ITEMS
from detectors.jit import read_only
from detectors.leakage import Leakage
from detectors.overlap_layout import lay_out
from detectors.protocols import Device, Piecewise
from detectors.stop_grams import StopGrams

Texts = list[str | bytes | None]


def index_of(texts: Texts, benchmark: str = "quiz") -> BenchmarkIndex:
    ids = [f"{i:03}" for i in range(len(texts))]
    return BenchmarkIndex.from_documents(Documents.from_texts(texts), [benchmark] * len(texts), ids)


def text_of(numbers: list[int]) -> str:
    return " ".join(f"w{number}" if number >= 0 else f"v{-number}" for number in numbers)


@pytest.fixture
def leakage(tmp_path: Path) -> Callable[..., Leakage]:
    def make(index: BenchmarkIndex, n: int | None = None) -> Leakage:
        path = tmp_path / f"{index.digest[:12]}.idx"
        path.write_bytes(index.to_bytes())
        return Leakage(str(path), n).pinned()

    return make


def measure(signal: Leakage, texts: Texts) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = signal.load(Device.CPU)(Documents.from_texts(texts)).to_pylist()
    return rows


# The reference: sets of n-grams and, for the passage, every diagonal.


def covered_by(sequence: list[int], grams: set[tuple[int, ...]], n: int) -> tuple[set[int], set[int]]:
    """Positions covered by the n-grams of `sequence` that are in `grams`, and positions where these begin."""
    starts = {i for i in range(len(sequence) - n + 1) if tuple(sequence[i : i + n]) in grams}
    return {i + j for i in starts for j in range(n)}, starts


def runs(document: list[int], item: list[int]) -> Iterator[tuple[int, int]]:
    """Length, and start in the document, of every maximal common run."""
    for diagonal in range(-len(item) + 1, len(document)):
        length = 0
        for at in range(max(diagonal, 0), min(len(document), len(item) + diagonal) + 1):
            inside = at < len(document) and at - diagonal < len(item)
            if inside and document[at] == item[at - diagonal]:
                length += 1
            elif length:
                yield length, at - length
                length = 0


def by_sets(document: list[int], items: list[list[int]], n: int) -> tuple[int, ...]:
    """What `OverlapFinder` finds for one document."""
    covered: set[int] = set()
    starts: set[int] = set()
    best = (0, 0, -1)
    for number, item in enumerate(items):
        wanted = min(n, len(item))
        if wanted < 8:
            continue
        grams = {tuple(item[i : i + wanted]) for i in range(len(item) - wanted + 1)}
        here, begins = covered_by(document, grams, wanted)
        covered |= here
        starts |= begins
        there, _ = covered_by(item, {tuple(document[i : i + wanted]) for i in begins}, wanted)
        if there:
            best = min(best, (-len(there), len(item), number))
    if best[2] < 0:
        return 0, 0, -1, 0, 0, 0
    length, start = max(runs(document, items[best[2]]), key=lambda run: (run[0], -run[1]))
    return len(covered), len(starts), best[2], -best[0], start, length


def check_against_sets(documents: list[list[int]], items: list[list[int]], n: int) -> None:
    index = index_of([text_of(item) for item in items])
    words = Documents.from_texts([text_of(document) for document in documents]).words
    found = lay_out(index.words, index.offsets, n, most=(MOST_ITEMS, 1 << 30)).find(words)
    for i, document in enumerate(documents):
        expected = by_sets(document, items, n)
        passage = int(found.passage[i] - words.doc_offsets[i]) if expected[2] >= 0 else 0
        row = found.covered[i], found.hits[i], found.item[i], found.item_covered[i], passage, found.passage_words[i]
        assert tuple(map(int, row)) == expected


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """Documents made of parts of items, with words between them that may continue an item by chance."""
    word = st.integers(0, draw(st.sampled_from([0, 1, 3, 50])))
    items = draw(st.lists(st.lists(word, max_size=40), min_size=1, max_size=5))
    part = st.builds(
        lambda item, start, length: item[start : start + length],
        st.sampled_from(items),
        st.integers(0, 30),
        st.integers(0, 40),
    )
    noise = st.lists(word, max_size=15)
    document = st.lists(st.one_of(part, noise), max_size=8).map(lambda parts: [w for part in parts for w in part])
    return draw(st.lists(document, min_size=1, max_size=4)), items


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(overlapping(), st.sampled_from([8, 9, 13, 20]))
def test_overlaps_are_those_of_sets_of_ngrams(texts: tuple[list[list[int]], list[list[int]]], n: int) -> None:
    check_against_sets(*texts, n)


@given(st.integers(0, 40), st.integers(0, 30), st.integers(13, 60), st.integers(0, 2**32))
def test_a_shared_13_gram_is_found_at_every_alignment(before: int, after: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    item = random.integers(0, 10**9, size).tolist()
    at = int(random.integers(0, size - 12))
    document = random.integers(0, 10**9, before).tolist() + item[at : at + 13]
    document += random.integers(0, 10**9, after).tolist()
    check_against_sets([document, document[:-1], document[1:]], [item], 13)
    index = index_of([text_of(item)])
    words = Documents.from_texts([text_of(document)]).words
    found = lay_out(index.words, index.offsets, 13).find(words)
    assert (found.covered[0], found.hits[0], found.passage[0]) == (13, 1, before)


@given(st.integers(8, 12), st.integers(0, 30), st.integers(0, 30))
def test_a_short_item_counts_where_all_of_it_stands(size: int, before: int, after: int) -> None:
    item = list(range(size))
    surroundings = [-1 - i for i in range(before + after)]
    whole = surroundings[:before] + item + surroundings[before:]
    cut = surroundings[:before] + item[:-1] + surroundings[before:]
    check_against_sets([whole, cut, item[1:]], [item, list(range(100, 140))], 13)


def test_a_long_document_of_repeated_words_is_searched_to_its_end() -> None:
    items = [[0] * 30, [0, 1] * 12, list(range(5000, 5200))]
    check_against_sets([[0] * 300, [0, 1] * 150, list(range(5000)) + items[2] + [0] * 9], items, 13)


def test_an_item_and_a_document_of_one_word_again_and_again() -> None:
    # Every 8-gram of the document is in 2000 places: it must not be extended anew from each of them.
    index = index_of(["again " * 2000, "again and " * 1000])
    words = Documents.from_texts(["again " * 2000, "and again " * 1500]).words
    found = lay_out(index.words, index.offsets, 13).find(words)
    assert found.covered.tolist() == [2000, 3000]
    assert found.item_covered.tolist() == [2000, 2000]
    assert found.passage_words.tolist() == [2000, 2000]


def test_documents_longer_than_a_chunk() -> None:
    random = np.random.default_rng(1)
    item = random.integers(0, 10**9, 40).tolist()
    document = random.integers(0, 10**9, 5000).tolist()
    for at in (1010, 1020, 2040, 4980):
        document[at:at] = item[5:18]
    check_against_sets([document], [item, document[1000:1012]], 13)
    check_against_sets([document], [item], 8)


# What is kept: the reference goes through every maximal run on every diagonal.

Grams = set[tuple[int, ...]]


def kept_places(items: list[list[int]], n: list[int], stops: Grams, most: int, places: int) -> list[set[int]]:
    """Where each item's kept 8-grams begin: of long and of other items apart, as these are looked up apart."""
    kept: list[set[int]] = [set() for _ in items]
    for looked_up in (True, False):
        holders: dict[tuple[int, ...], list[int]] = {}
        for number, item in enumerate(items):
            if (len(item) >= n[number] > 8) is looked_up:
                for at in range(len(item) - 7):
                    gram = tuple(item[at : at + 8])
                    known = holders.setdefault(gram, [])
                    if number not in known:
                        known.append(number)
                    before = sum(item[start : start + 8] == list(gram) for start in range(at))
                    if gram not in stops and known.index(number) < most and before < places:
                        kept[number].add(at)
    return kept


def covered_by_runs(document: list[int], item: list[int], wanted: int, kept: set[int]) -> tuple[set[int], set[int]]:
    """Words of the document, and of the item, that lie in a run of `wanted` words that holds a kept 8-gram."""
    here: set[int] = set()
    there: set[int] = set()
    for diagonal in range(-len(item) + 1, len(document)):
        at = max(diagonal, 0)
        while at < min(len(document), len(item) + diagonal):
            end = at
            while end < min(len(document), len(item) + diagonal) and document[end] == item[end - diagonal]:
                end += 1
            if end - at >= wanted and any(at - diagonal <= place <= end - diagonal - 8 for place in kept):
                here |= set(range(at, end))
                there |= set(range(at - diagonal, end - diagonal))
            at = end + 1
    return here, there


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(overlapping(), st.data())
def test_exactly_the_runs_that_hold_a_kept_8_gram_count(
    texts: tuple[list[list[int]], list[list[int]]], data: st.DataObject
) -> None:
    documents, items = texts
    items = items + items[:2]  # 8-grams of several items, whatever was drawn
    n = data.draw(st.lists(st.sampled_from([8, 13, 20]), min_size=len(items), max_size=len(items)))
    most, places = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    grams = sorted({tuple(item[at : at + 8]) for item in items for at in range(len(item) - 7)})
    stops = set(data.draw(st.lists(st.sampled_from(grams), unique=True))) if grams else set()
    words = Documents.from_texts([text_of(item) for item in items]).words
    stopped = np.zeros(len(words), np.bool_)
    for number, item in enumerate(items):
        for at in range(len(item) - 7):
            stopped[words.doc_offsets[number] + at] = tuple(item[at : at + 8]) in stops
    finder = lay_out(words.hashes, words.doc_offsets, n, stopped=stopped, most=(most, places))
    found = finder.find(Documents.from_texts([text_of(document) for document in documents]).words)
    kept = kept_places(items, n, stops, most, places)
    for i, document in enumerate(documents):
        shared = [
            covered_by_runs(document, item, min(n[k], len(item)), kept[k]) if len(item) >= 8 else (set(), set())
            for k, item in enumerate(items)
        ]
        assert found.covered[i] == len(set().union(*(here for here, _ in shared)))
        best = min((-len(there), len(items[k]), k) for k, (_, there) in enumerate(shared))
        assert found.item_covered[i] == -best[0]
        assert found.item[i] == (best[2] if best[0] else -1)


def test_a_passage_of_stop_grams_alone_does_not_count_at_any_alignment() -> None:
    item = list(range(60))
    words = Documents.from_texts([text_of(item)]).words
    stopped = np.zeros(60, np.bool_)
    stopped[10:30] = True
    finder = lay_out(words.hashes, words.doc_offsets, 13, stopped=stopped)
    for before in range(7):
        lead = list(range(-1, -1 - before, -1))
        texts = [text_of(lead + item[10:37]), text_of(lead + item[10:38]), text_of(lead + item[9:37])]
        found = finder.find(Documents.from_texts([*texts]).words)
        assert found.covered.tolist() == [0, 28, 28]


def test_an_8_gram_of_thousands_of_items_costs_no_more_than_one_of_64() -> None:
    form = list(range(20))
    items = [[*form, 1000 + i] for i in range(3000)] + [[5000, *form]]
    words = Documents.from_texts([text_of(item) for item in items]).words
    finder = lay_out(words.hashes, words.doc_offsets, 13)
    for table in (finder.sparse, finder.dense):
        assert np.unique(table.tags, return_counts=True)[1].max(initial=0) <= 65
    found = finder.find(Documents.from_texts([text_of(form), text_of(items[2000]), text_of(items[-1])]).words)
    # The form is found by the first items that have it, and so is what stands beside it in any item.
    assert found.covered.tolist() == [20, 21, 21]
    assert found.item.tolist() == [0, 2000, 3000]


def test_one_word_again_and_again_costs_no_more_in_long_items() -> None:
    def followed(size: int) -> int:
        words = Documents.from_texts(["again " * size for _ in range(100)]).words
        finder = lay_out(words.hashes, words.doc_offsets, 13)
        return max(int(np.diff(table.directory).max()) for table in (finder.sparse, finder.dense))

    assert followed(400) == followed(40) <= 64 * 8 + 1


def test_the_rest_of_a_repetitive_item_is_found_by_its_first_places() -> None:
    item = [0] * 60 + list(range(1, 20)) + [0] * 60
    words = Documents.from_texts([text_of(item)]).words
    finder = lay_out(words.hashes, words.doc_offsets, 13)
    documents = [item, item[40:90], item[:70], [0] * 500, [*item[:60], 99, *item[60:]]]
    found = finder.find(Documents.from_texts([text_of(document) for document in documents]).words)
    assert found.covered.tolist() == [139, 50, 70, 500, 139]
    assert found.item_covered.tolist() == [139, 77, 70, 60, 139]


def test_items_of_one_index_have_their_own_n() -> None:
    items = [list(range(30)), list(range(100, 130)), list(range(200, 210))]
    words = Documents.from_texts([text_of(item) for item in items]).words
    finder = lay_out(words.hashes, words.doc_offsets, [13, 8, 8])
    documents = [items[0][3:15], items[0][3:16], items[1][3:10], items[1][3:11], items[2][1:9], items[2][1:8]]
    found = finder.find(Documents.from_texts([text_of(document) for document in documents]).words)
    assert found.covered.tolist() == [0, 13, 0, 8, 8, 0]


# Stop-grams


def learned(items: list[list[int]], clean: list[list[int]]) -> tuple[set[tuple[int, int]], list[tuple[int, int]]]:
    """Item and place of every stop-gram; document and item where more than half of an item stood."""
    words = Documents.from_texts([text_of(item) for item in items]).words
    learner = StopGrams(words.hashes, words.doc_offsets)
    pairs = learner.update(Documents.from_texts([text_of(document) for document in clean]).words)
    assert {item for _, item in pairs} == set(np.flatnonzero(learner.leaked))
    owner = np.searchsorted(words.doc_offsets, np.flatnonzero(learner.stopped), side="right") - 1
    places = np.flatnonzero(learner.stopped) - words.doc_offsets[owner]
    return set(zip(owner.tolist(), places.tolist(), strict=True)), pairs


def test_an_8_gram_of_clean_text_is_a_stop_gram_of_every_item_that_has_it() -> None:
    items = [list(range(40)), [*range(100, 115), *range(5, 14), 116], list(range(7))]
    stops, pairs = learned(items, [[-1, *range(5, 14), -2]])
    assert (stops, pairs) == ({(0, 5), (0, 6), (1, 15), (1, 16)}, [])


def test_an_item_that_stands_in_clean_text_is_named_and_not_stopped() -> None:
    items = [list(range(20)), [*range(500, 520), *range(3, 11)], list(range(300, 310))]
    half = [*range(13), -1]  # 6 of the 13 8-grams of item 0
    stops, pairs = learned(items, [half, items[2]])
    assert pairs == [] and {(0, 0), (0, 5), (1, 20), (2, 0), (2, 2)} <= stops
    stops, pairs = learned(items, [[-2], list(range(14))])
    assert (stops, pairs) == (set(), [(1, 0)])
    # Half of its 8-grams is not more than half of them.
    assert learned([list(range(19))], [list(range(13))])[1] == []
    assert learned([list(range(18))], [list(range(13))])[1] == [(0, 0)]
    # What others say as well is a stop-gram of other items, and the item stays whole.
    stops, pairs = learned(items, [list(range(14)), list(range(3, 11))])
    assert (stops, pairs) == ({(1, 20)}, [(0, 0)])


def test_what_a_thousand_items_have_in_common_tells_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    form = list(range(30))
    items = [[*form, *range(100 * number, 100 * number + 20)] for number in range(1, 6)]
    monkeypatch.setattr("detectors.stop_grams.MOST_PLACES", 4)
    found, pairs = learned(items, [form, items[0][:40], items[1]])
    # The form is a stop-gram of every item but the one that stands in the text; half of what is left is an item.
    assert pairs == [(2, 1)]
    shared = {(item, place) for item in (0, 2, 3, 4) for place in range(23)}
    assert found == shared | {(0, place) for place in range(23, 33)}


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(overlapping())
def test_stop_grams_are_those_of_sets(texts: tuple[list[list[int]], list[list[int]]]) -> None:
    clean, items = texts
    grams = [[tuple(item[at : at + 8]) for at in range(len(item) - 7)] for item in items]
    leaked, common = set(), set()
    for document in clean:
        held = {tuple(document[at : at + 8]) for at in range(len(document) - 7)}
        counts = [sum(gram in held for gram in own) for own in grams]
        here = {k for k, own in enumerate(grams) if counts[k] >= 6 and 2 * counts[k] > len(own)}
        leaked |= here
        common |= held - {gram for k in here for gram in grams[k]}
    expected = {(k, at) for k, own in enumerate(grams) for at, gram in enumerate(own) if gram in common}
    stops, pairs = learned(items, clean)
    assert stops == {(k, at) for k, at in expected if k not in leaked}
    assert {item for _, item in pairs} == leaked


# Answers


def near(leakage: Callable[..., Leakage], *documents: list[int]) -> list[bool | None]:
    question, options, answer = list(range(20)), list(range(20, 30)), [31, 32, 33]
    items = Documents.from_texts([text_of([*question, *options, *answer]), text_of(list(range(400, 430)))])
    index = BenchmarkIndex.from_documents(items, ["quiz"] * 2, ["0", "1"], question_words=[20, 30], answer_words=[3, 0])
    return [row["answer_near"] for row in measure(leakage(index), [text_of(document) for document in documents])]


def test_an_answer_counts_within_50_words_of_the_passage(leakage: Callable[..., Leakage]) -> None:
    asked, answer, other = list(range(20)), [31, 32, 33], list(range(-1, -51, -1))
    assert near(leakage, [*asked, *answer], [*answer, *asked], [*range(30), *answer]) == [True] * 3
    assert near(leakage, [*asked, *other, *answer], [*answer, *other, *asked]) == [True] * 2
    assert near(leakage, [*asked, *other, -60, *answer], [*answer, *other, -60, *asked]) == [False] * 2
    assert near(leakage, asked, [*asked, 31, 32, -1, 33], [*range(30), 31, 32]) == [False] * 3


def test_an_answer_is_unknown_where_the_question_is_not_shared(leakage: Callable[..., Leakage]) -> None:
    shared_options = [*range(20, 30), 31, 32, 33]
    assert near(leakage, shared_options, list(range(400, 430)), [-1, -2], []) == [None] * 4


def test_question_and_answer_are_parts_of_the_item() -> None:
    with pytest.raises(ValueError, match="fewer words than its question and its answer"):
        BenchmarkIndex.from_documents(
            Documents.from_texts(["a b c"]), ["x"], ["1"], question_words=[2], answer_words=[2]
        )


def test_no_hit_rests_on_a_hash_alone() -> None:
    # An index whose entries say that they are the document's, over other words.
    document = Documents.from_texts([text_of(list(range(30)))]).words
    same = lay_out(document.hashes, document.doc_offsets, 13)
    other = replace(same, items=same.items._replace(words=read_only(same.items.words ^ np.uint64(1))))
    assert same.find(document).covered[0] == 30
    assert other.find(document).covered[0] == 0


def test_a_search_leaves_nothing_behind_for_the_next() -> None:
    index = index_of([text_of(list(range(40))), text_of(list(range(30, 70)))])
    finder = lay_out(index.words, index.offsets, 13)
    words = Documents.from_texts([text_of(list(range(60))), "nothing", text_of(list(range(20, 45)))]).words
    first = finder.find(words)
    for found, again in zip(first, finder.find(words), strict=True):
        assert np.array_equal(np.asarray(found), np.asarray(again))


def test_findings_are_worked_out_by_hand(leakage: Callable[..., Leakage]) -> None:
    quote = "the quick brown fox jumps over the lazy dog and runs away from the farm at night"
    index = index_of(["Q: What happened? The quick brown fox jumps over the lazy dog, and runs away!", "x " * 9])
    text = f"“Héllo” — {quote}. And " + "so on " * 5
    start = len("“Héllo” — ".encode())
    end = len("“Héllo” — the quick brown fox jumps over the lazy dog and runs away".encode())
    assert measure(leakage(index), [text])[0]["hits"] == 0
    row, nothing, empty, null = measure(leakage(index, 8), [text, "other words", "", None])
    assert row == {
        "overlap": pytest.approx(12 / 29),
        "words": 1 + 17 + 1 + 10,
        "covered": 12,
        "hits": 5,
        "item": "000",
        "benchmark": "quiz",
        "item_covered": 12,
        "item_share": pytest.approx(12 / 15),
        "answer_near": None,
        "start": start,
        "end": end,
    }
    unshared = {"overlap": 0.0, "covered": 0, "hits": 0, "item": None, "item_share": 0.0, "start": None, "end": None}
    for found in (nothing, empty, null):
        assert found.items() >= unshared.items()


def test_leakage_keeps_the_contract_of_a_signal(leakage: Callable[..., Leakage]) -> None:
    documents = awkward_documents()
    items = [text for text in documents.texts()[::2] if text is None or len(text) < 2000]
    index = BenchmarkIndex.merge([index_of(list(items), "awkward"), index_of(["none of these " * 9])])
    for n in (8, 13):
        check_signal(leakage(index, n))
    check_signal(leakage(index_of([])))
    assert isinstance(Leakage(), Piecewise)


def test_the_order_of_items_changes_nothing() -> None:
    texts = [text_of(list(range(i, i + 20))) for i in range(0, 100, 7)]
    parts = [index_of([text], benchmark=f"b{i % 3}") for i, text in enumerate(texts)]
    forwards, backwards = BenchmarkIndex.merge(parts), BenchmarkIndex.merge([*parts[::-1], parts[3]])
    assert forwards.digest == backwards.digest
    assert forwards.to_bytes() == backwards.to_bytes()
    assert len(forwards) == len(texts)
    assert forwards.digest != BenchmarkIndex.merge(parts[1:]).digest
    assert forwards.digest != BenchmarkIndex.merge([*parts[1:], index_of([texts[0]], benchmark="b1")]).digest


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=6))
def test_an_index_survives_the_file(texts: Texts) -> None:
    index = index_of([text if text is None else str(text).encode("utf-8", "replace") for text in texts])
    again = BenchmarkIndex.from_bytes(index.to_bytes())
    assert again.ids.equals(index.ids)
    assert again.benchmarks.equals(index.benchmarks)
    assert again.words.tolist() == index.words.tolist()
    assert again.offsets.tolist() == index.offsets.tolist()
    assert again.digest == index.digest == stored_digest(index.to_bytes())


def test_an_index_keeps_what_was_learned() -> None:
    texts = Documents.from_texts(["one two three four five six seven eight nine ten", "other words"])
    index = BenchmarkIndex.from_documents(
        texts, ["a", "b"], ["1", "1"], question_words=[6, 0], answer_words=[2, 1], n={"a": 8}
    )
    assert dict(index.n) == {"a": 8, "b": 13} and index.n_words.tolist() == [8, 13]
    stopped = index.with_stops(np.arange(12) == 2)
    flags = FalseFlags("leakage.hits > 0", 1000, 3, {"a": 3, "b": 0})
    measured = stopped.with_false_flags(flags)
    assert len({index.digest, stopped.digest, measured.digest}) == 3
    again = BenchmarkIndex.from_bytes(measured.to_bytes())
    assert (again.false_flags, dict(again.n), again.digest) == (flags, {"a": 8, "b": 13}, measured.digest)
    assert np.flatnonzero(again.stops).tolist() == [2]
    assert (again.question_words.tolist(), again.answer_words.tolist()) == ([6, 0], [2, 1])
    assert header(measured.to_bytes()) == (measured.digest, {"a": 8, "b": 13}, flags)
    # Rates hold for the items that they were measured with, and for no others.
    merged = BenchmarkIndex.merge([measured, index_of(["more words"])])
    assert merged.false_flags is None and merged.stops.any() and merged.n["a"] == 8
    with pytest.raises(ValueError, match="a: searched for with n = 8 and n = 13"):
        BenchmarkIndex.merge([index, index_of(["words"], "a")])


def test_settings_say_how_often_clean_text_is_flagged(tmp_path: Path) -> None:
    index = index_of([text_of(list(range(30)))])
    path = tmp_path / "a.idx"
    path.write_bytes(index.to_bytes())
    none = Leakage(str(path)).pinned()
    assert (none.clean_when, none.clean_documents) == ("", 0)
    path.write_bytes(index.with_false_flags(FalseFlags("leakage.hits > 0", 1000, 3)).to_bytes())
    for n in (None, 13):
        pinned = Leakage(str(path), n).pinned()
        assert (pinned.clean_when, pinned.clean_documents, pinned.clean_flagged) == ("leakage.hits > 0", 1000, 3)
    assert Leakage(str(path), 8, clean_documents=5).pinned().clean_documents == 0


def test_an_index_holds_no_text() -> None:
    assert b"lazy" not in index_of(["the quick brown fox jumps over the lazy dog"]).to_bytes()


def test_items_benchmarks_and_ids_are_equally_many() -> None:
    with pytest.raises(ValueError, match="1 items, 2 benchmarks and 1 ids"):
        BenchmarkIndex.from_documents(Documents.from_texts(["text"]), ["a", "b"], ["1"])


def test_a_damaged_or_foreign_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of([text_of(list(range(50)))])
    written = bytearray(index.to_bytes())
    at = bytes(written).index(index.words.astype("<u8").tobytes())
    written[at] ^= 1
    with pytest.raises(SignalError, match="does not match its digest"):
        BenchmarkIndex.from_bytes(bytes(written))
    for nonsense in (b"", b"no index at all"):
        with pytest.raises(SignalError, match="This is no index"):
            BenchmarkIndex.from_bytes(nonsense)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, pa.schema([("x", pa.int8())])):
        pass
    with pytest.raises(SignalError, match="no index of format 2"):
        BenchmarkIndex.from_bytes(sink.getvalue())
    whole = index.to_bytes()
    monkeypatch.setattr("detectors.benchmark_index._segmentation", lambda: "of another version")
    with pytest.raises(SignalError, match="cuts texts into other words"):
        BenchmarkIndex.from_bytes(whole)


def test_no_damage_does_more_than_refuse_a_file() -> None:
    index = index_of([text_of(list(range(50))), "été 漢字", None])
    whole = index.with_false_flags(FalseFlags("leakage.hits > 0", 10, 1, {"quiz": 1})).to_bytes()
    random = np.random.default_rng(5)
    for _ in range(1000):
        damaged = np.frombuffer(whole, np.uint8).copy()
        at = random.integers(0, len(whole), 3)
        damaged[at] ^= np.uint8(1) << random.integers(0, 8, 3, dtype=np.uint8)
        for written in (damaged.tobytes(), whole[: at[0]]):
            with suppress(SignalError):  # what is never looked at may be damaged
                assert BenchmarkIndex.from_bytes(written).to_bytes() == whole


def test_settings_name_the_content_of_the_index(leakage: Callable[..., Leakage], tmp_path: Path) -> None:
    index, other = index_of([text_of(list(range(20)))]), index_of([text_of(list(range(21)))])
    signal = leakage(index)
    assert signal.index_digest == index.digest
    with pytest.raises(SignalError, match=r"index_digest of .* is not set"):
        replace(signal, index_digest="").load(Device.CPU)
    Path(signal.index).write_bytes(other.to_bytes())
    for refused in (signal.pinned, lambda: signal.load(Device.CPU)):
        with pytest.raises(SignalError, match=f"has digest {other.digest[:12]}, not {index.digest[:12]}"):
            refused()
    with pytest.raises(SignalError, match="no file"):
        Leakage(str(tmp_path / "absent.idx")).pinned()
    with pytest.raises(SignalError, match="no index is set"):
        Leakage().load(Device.CPU)
    for n in (7, 1001):
        with pytest.raises(ConfigError, match=f"leakage: n is {n}"):
            Leakage(n=n)


def test_pieces_of_a_long_document_are_combined(leakage: Callable[..., Leakage]) -> None:
    items = [list(range(40)), list(range(100, 130))]
    signal = leakage(index_of([text_of(item) for item in items]))
    parts = [items[0][:20], [-1, -2], [-3, *items[1][:25]], [*items[0][20:34], -4]]
    texts = [text_of(part) for part in parts]
    pieces = signal.load(Device.CPU)(Documents.from_texts(list(texts)))
    starts = [sum(len(text) + 1 for text in texts[:i]) for i in range(4)]
    combined = signal.combine(pieces, starts)
    assert combined.schema == signal.schema
    assert combined.to_pylist() == [
        {
            "overlap": pytest.approx(59 / 63),
            "words": 63,
            "covered": 20 + 25 + 14,
            "hits": 8 + 13 + 2,
            "item": "000",
            "benchmark": "quiz",
            "item_covered": 34,
            "item_share": pytest.approx(34 / 40),
            "answer_near": None,
            "start": 0,
            "end": len(texts[0]),
        }
    ]
    none = signal.combine(signal.load(Device.CPU)(Documents.from_texts(["a", "b c"])), [0, 2]).to_pylist()[0]
    assert (none["words"], none["overlap"], none["item"], none["item_share"], none["start"]) == (
        3,
        0.0,
        None,
        0.0,
        None,
    )


def test_every_benchmark_item_finds_itself(reference_data: Path) -> None:
    path = reference_data / "tasks" / "benchmarks.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    table = pq.read_table(path).slice(0, 40_000).take(list(range(0, 38_000, 9))).combine_chunks()
    documents = Documents(pa.record_batch({"text": table["text"].chunk(0)}))
    index = BenchmarkIndex.from_documents(documents, table["benchmark"].to_pylist(), table["id"].to_pylist())
    for n in (8, 13):
        found = lay_out(index.words, index.offsets, n).find(documents.words)
        counts = documents.words.counts
        assert (found.covered == np.where(counts >= 8, counts, 0)).all()
