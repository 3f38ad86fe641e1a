from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.documents import Documents
from detectors.errors import ConfigError, FindingsError
from detectors.frequent import FrequentItems, display_text
from detectors.growth import Growth, document_hashes, trailing_levels
from detectors.histograms import LogHistogram
from detectors.hyperloglog import HyperLogLog, relative_error
from detectors.samples import MAX_TEXT_BYTES
from detectors.sketches import LISTS, MEASURES, SCHEMA, Sketches, SketchState, SourceSketch, rows_of
from detectors.words import segment
from tests.detectors import reference

Texts = Sequence[str | None]

WORDS = st.sampled_from("the a Garden river’s of don't Naïve 漢字 été 7 🌱 Σίσυφος x".split())
TEXTS = st.one_of(st.none(), st.lists(WORDS, max_size=9).map(" ".join), st.lists(WORDS, max_size=5).map(". ".join))
HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=40).map(lambda values: np.array(values, np.uint64))


def hashes(n: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def sketched(texts: Texts, sizes: Sequence[int] = (), **config: Any) -> SketchState:
    """The sketches of texts that come in batches of these sizes, the rest in one."""
    state, at = Sketches(**config).start(), 0
    for size in (*sizes, len(texts)):
        state.update(Documents.from_texts(list(texts[at : at + size])))
        at += size
    return state


def sketch(texts: Texts, sizes: Sequence[int] = (), **config: Any) -> SourceSketch:
    rows = list(sketched(texts, sizes, **config).rows())
    return rows[0].sketch if rows else SourceSketch.empty()


def folded(text: str) -> list[str]:
    return [word.folded for word in reference.segment(text.encode())]


def prose(documents: int, seed: int, words: int = 60, vocabulary: int = 5000) -> list[str]:
    """Texts whose words are as unevenly frequent as those of a language."""
    draw = random.Random(seed)
    weights = [1 / (rank + 3) for rank in range(vocabulary)]
    return [" ".join(f"w{w}" for w in draw.choices(range(vocabulary), weights, k=words)) for _ in range(documents)]


@pytest.mark.parametrize("p", [4, 10, 12, 16])
def test_registers_are_those_of_datasketch(p: int) -> None:
    datasketch = pytest.importorskip("datasketch")
    values = np.concatenate([hashes(3000), np.arange(20, dtype=np.uint64), ~np.arange(20, dtype=np.uint64)])
    ours, theirs = HyperLogLog(p), datasketch.HyperLogLogPlusPlus(p=p, hashfunc=int)
    ours.update(values)
    for value in values.tolist():
        theirs.update(value)
    assert np.array_equal(ours.registers, theirs.reg) and ours.to_datasketch() == theirs
    if p > 4:
        assert ours.count() == pytest.approx(theirs.count(), rel=3 * relative_error(p))


@pytest.mark.parametrize("n", [0, 1, 2, 30, 1000, 12_000, 100_000, 1_000_000])
def test_count_is_within_its_error(n: int) -> None:
    found = HyperLogLog()
    found.update(np.repeat(hashes(n, seed=n), 2))
    assert found.count() == pytest.approx(n, rel=3 * found.relative_error, abs=0.01)


def test_counts_are_unbiased_at_every_size() -> None:
    for n in (50, 3000, 10_000, 20_000, 60_000):
        ratios = []
        for seed in range(30):
            found = HyperLogLog()
            found.update(hashes(n, seed=seed))
            ratios.append(found.count() / n)
        assert np.mean(ratios) == pytest.approx(1, abs=4 * relative_error(12) / np.sqrt(30))


@given(HASHES, HASHES, HASHES)
def test_merged_hyperloglogs_are_that_of_all_hashes(a: Any, b: Any, c: Any) -> None:
    def of(*values: Any) -> HyperLogLog:
        found = HyperLogLog(6)
        for each in values:
            found.update(each)
        return found

    left, right = of(a), of(c)
    left.merge(of(b))
    left.merge(of(c))
    right.merge(of(b))
    right.merge(of(a))
    assert left.to_bytes() == right.to_bytes() == of(np.concatenate([a, b, c])).to_bytes()
    left.merge(right)
    assert left.to_bytes() == right.to_bytes() == HyperLogLog.from_bytes(right.to_bytes()).to_bytes()


def test_hyperloglogs_of_two_precisions_do_not_merge() -> None:
    with pytest.raises(ConfigError, match="p = 12 and p = 10"):
        HyperLogLog(12).merge(HyperLogLog(10))
    with pytest.raises(ConfigError, match="between 4 and 16"):
        HyperLogLog(17)
    with pytest.raises(ConfigError, match="do not fit"):
        HyperLogLog(4, np.full(16, 62, np.uint8))


@given(st.lists(st.one_of(st.just(0.0), st.floats(1, 1e13)), min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_a_value_of_that_rank(values: list[float], q: float) -> None:
    found = LogHistogram()
    found.update(np.array(values[:7]))
    found.update(np.array(values[7:]))
    expected = sorted(values)[int(q * (len(values) - 1))]
    assert found.quantile(q) == pytest.approx(expected, rel=0.01 + 1e-9)
    assert np.array_equal(LogHistogram.from_bytes(found.to_bytes()).counts, found.counts)


def test_a_histogram_of_nothing_has_no_quantile() -> None:
    assert LogHistogram().quantile(0.5) is None


@settings(max_examples=60)
@given(st.lists(TEXTS, max_size=14), st.lists(st.integers(0, 5), max_size=5), st.randoms(use_true_random=False))
def test_neither_batches_nor_order_change_a_sketch(texts: Texts, sizes: list[int], draw: random.Random) -> None:
    shuffled = list(texts)
    draw.shuffle(shuffled)
    first, second = sketched(texts).table(), sketched(shuffled, sizes).table()
    assert first.equals(second) and first.schema == SCHEMA


@settings(max_examples=40)
@given(st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6))
def test_merging_is_associative_and_commutative(a: Texts, b: Texts, c: Texts) -> None:
    left, right, at_once = sketch(a), sketch(b), SourceSketch.empty()
    left.merge(sketch(b))
    left.merge(sketch(c))
    right.merge(sketch(c))
    right.merge(sketch(a))
    at_once.merge_all([sketch(c), sketch(a), sketch(b)])
    assert left.to_columns() == right.to_columns() == at_once.to_columns()


@settings(max_examples=40)
@given(st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6))
def test_merged_counts_are_those_of_the_whole(a: Texts, b: Texts) -> None:
    whole, parts = sketch([*a, *b]), sketch(a)
    parts.merge(sketch(b))
    assert whole.growth.to_bytes() == parts.growth.to_bytes() and whole.size_bytes == parts.size_bytes
    assert all(np.array_equal(whole.lengths[name].counts, parts.lengths[name].counts) for name in MEASURES)
    for name in LISTS:
        split = dict(zip(parts.frequent[name].hashes.tolist(), parts.frequent[name].documents.tolist(), strict=True))
        one = dict(zip(whole.frequent[name].hashes.tolist(), whole.frequent[name].documents.tolist(), strict=True))
        for item, documents in one.items():
            assert 0 <= documents - split.get(item, 0) <= parts.frequent[name].floor


def test_a_table_holds_the_sketches_of_every_source() -> None:
    state = Sketches(by="site").start()
    state.update(Documents.from_texts(["a b c", None, "a b c d", "x"]), pa.array(["one", "two", "one", None]))
    rows = {row.source: row.sketch for row in rows_of(state.table())}
    assert {name: found.documents for name, found in rows.items()} == {"one": 2, "(null)": 1}
    assert rows["one"].to_columns() == sketch(["a b c", "a b c d"]).to_columns()
    assert [field.metadata[b"doc"] for field in SCHEMA]


def test_sources_beyond_the_most_share_one_row_and_are_counted() -> None:
    state = Sketches(by="site", max_sources=2).start()
    state.update(Documents.from_texts(["a b c"] * 4), pa.array(["p", "q", "r", "s"]))
    state.update(Documents.from_texts(["a b c"] * 3), pa.array(["s", "p", "t"]))
    rows = [(row.source, row.overflow, row.sketch.documents) for row in rows_of(state.table())]
    assert rows == [("p", False, 2), ("q", False, 1), (None, True, 4)]


def test_many_sources_have_the_sketches_they_would_have_alone() -> None:
    texts = prose(120, seed=3, words=12)
    names = [f"s{i % 40}" for i in range(120)]
    state = Sketches(by="site").start()
    for start in range(0, 120, 7):
        state.update(Documents.from_texts([*texts[start : start + 7]]), pa.array(names[start : start + 7]))
    for row in state.rows():
        alone = sketch([text for text, name in zip(texts, names, strict=True) if name == row.source])
        assert row.sketch.to_columns() == alone.to_columns()


def test_null_rows_count_nowhere() -> None:
    assert sketch(["a b c", None, None]).to_columns() == sketch(["a b c"]).to_columns()
    assert not list(sketched([None]).rows()) and not list(sketched([]).rows())
    assert sketched([]).table().num_rows == 0


def test_empty_documents_are_documents() -> None:
    found = sketch(["", "  ", "one two"])
    assert found.documents == 3 and found.growth.words == 2
    assert [found.lengths[name].total for name in MEASURES] == [3, 3, 1, 1]


def test_lengths_are_those_of_documents() -> None:
    found = sketch(["One two. Three four five six.", "Word"])
    assert [found.lengths[name].quantile(1.0) for name in MEASURES] == [
        pytest.approx(value, rel=0.01) for value in (29, 6, 3, 4)
    ]


def test_distinct_ngrams_are_within_their_error_and_totals_exact() -> None:
    texts = prose(400, seed=5)
    points = sketch(texts).growth.points()
    assert len(points) > 6 and [p.documents for p in points] == sorted(p.documents for p in points)
    levels = dict(zip(texts, np.minimum(levels_of(texts), 12), strict=True))
    for point, least in zip(points[::-1], sorted(set(levels.values())), strict=True):
        chosen = [text for text in texts if levels[text] >= least]
        assert point.documents == len(chosen)
        for n in (1, 2, 3):
            grams = [tuple(text.split()[i : i + n]) for text in chosen for i in range(61 - n)]
            assert point.totals[n - 1] == len(grams)
            assert point.distinct[n - 1] == pytest.approx(len(set(grams)), rel=3.5 * relative_error(12), abs=0.5)


def levels_of(texts: Sequence[str]) -> Any:
    documents = Documents.from_texts([*texts])
    return trailing_levels(document_hashes(segment(documents.data, documents.offsets)))


def test_levels_halve_and_do_not_depend_on_where_a_document_stands() -> None:
    # Documents of three words, whose hash would be that of their 3-gram.
    texts = [f"a{i} b{i} c{i}" for i in range(20_000)]
    levels = levels_of(texts)
    for level in range(6):
        assert np.mean(levels >= level) == pytest.approx(2.0**-level, abs=0.015)
    assert np.array_equal(levels_of(texts[::-1]), levels[::-1])
    found = sketch(texts).growth
    assert found.points()[-1].distinct[2] == pytest.approx(20_000, rel=3.5 * relative_error(12))
    assert levels_of([""]).tolist() == [0]


def document_counts(texts: Sequence[str], n: int) -> tuple[Counter[str], Counter[str]]:
    seen: Counter[str] = Counter()
    occurrences: Counter[str] = Counter()
    for text in texts:
        words = folded(text)
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        seen.update(set(grams))
        occurrences.update(grams)
    return seen, occurrences


@settings(max_examples=60)
@given(st.lists(TEXTS.filter(lambda text: text is not None), max_size=14))
def test_frequent_items_are_exact_where_all_documents_fit(texts: list[str]) -> None:
    found = sketch(texts)
    for name, n in (("ngrams_3", 3), ("ngrams_5", 5)):
        seen, occurrences = document_counts(texts, n)
        items = found.frequent[name].top(1000)
        assert {item.text: item.documents for item in items} == {t: c for t, c in seen.items() if c > 1}
        assert all(item.occurrences == occurrences[item.text] and item.standard_error == 0 for item in items)
        assert found.frequent[name].floor == int(any(count == 1 for count in seen.values()))
    words = [folded(text) for text in texts]
    for name, edges in (("openings", [w[:3] for w in words]), ("endings", [w[-3:] for w in words])):
        counted = Counter(" ".join(edge) for edge in edges if len(edge) == 3)
        assert {i.text: i.documents for i in found.frequent[name].top(1000)} == {
            t: c for t, c in counted.items() if c > 1
        }
        assert found.frequent[name].candidates == counted.total()


def test_sampled_estimates_are_within_their_error_of_the_truth() -> None:
    texts = [f"{text} this set phrase here {i % 3} end" for i, text in enumerate(prose(3000, seed=8, words=20))]
    found = sketch(texts, [900, 30], sample_words=1 << 13).frequent["ngrams_3"]
    seen, _ = document_counts(texts, 3)
    items = found.top(8)
    assert items[0].standard_error > 0 and {"this set phrase", "set phrase here"} <= {item.text for item in items}
    for item in items:
        assert abs(item.documents - seen[item.text]) < 5 * item.standard_error
    assert abs(found.candidates - 3000) < 5 * np.sqrt(3000 * 16)


@given(st.integers(0, 5))
@settings(max_examples=6)
def test_a_sample_does_not_depend_on_order_or_batches(seed: int) -> None:
    texts = prose(600, seed=seed, words=25)
    shuffled = random.Random(seed).sample(texts, len(texts))
    whole = sketched(texts, sample_words=1 << 11, sample_documents=64).table()
    assert whole.equals(sketched(shuffled, [1, 350, 13], sample_words=1 << 11, sample_documents=64).table())


def test_a_document_too_long_for_the_sample_is_left_out_of_it() -> None:
    found = sketch(["a b c d e " * 1000, "x y z", "x y z q"], sample_words=1 << 10)
    assert found.documents == 3 and found.growth.words == 5007


def test_what_is_cut_off_is_bounded_by_the_floor() -> None:
    texts = [f"p{i % 40} q{i % 40} r{i % 40}" for i in range(1000)] + [f"u{i % 300} v w" for i in range(600)]
    found = sketch(texts, top=16).frequent["openings"]
    assert len(found) == 16 and found.floor == 25
    cut = found.cut(4)
    assert len(cut) == 4 and cut.floor == 50 and np.all(np.diff(cut.hashes.astype(object)) > 0)
    assert found.cut(16) is found


def test_pieces_of_a_long_document_are_measured_as_one() -> None:
    pieces, others = ["One two three four. ", "Five six. ", "Seven eight nine."], ["a b c", "d e f"]
    whole = sketch([others[0], "".join(pieces), others[1]])
    texts = [others[0], *pieces, others[1]]
    ends = np.array([True, False, False, True, True])
    for split in range(6):
        state = Sketches().start()
        for part in (slice(0, split), slice(split, 5)):
            state.update(Documents.from_texts([*texts[part]]), ends=ends[part])
        (row,) = state.rows()
        found = row.sketch
        assert (found.documents, found.growth.words, found.size_bytes) == (3, 15, whole.size_bytes)
        assert all(np.array_equal(found.lengths[name].counts, whole.lengths[name].counts) for name in MEASURES)
        for name in ("openings", "endings"):
            assert found.frequent[name].candidates == 3


@given(st.text(max_size=40))
def test_display_text_is_what_word_hashes_see(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    words = reference.segment(raw)
    shown = display_text(b" ".join(word.text.encode() for word in words)) if words else ""
    expected = " ".join(word.folded for word in words)
    assert shown == expected if len(expected.encode()) <= MAX_TEXT_BYTES else len(shown.encode()) <= MAX_TEXT_BYTES


def test_long_texts_are_shown_in_80_bytes() -> None:
    found = sketch([f"{'é' * 300} {'b' * 500} c"] * 2).frequent["ngrams_3"]
    (item,) = found.top(5)
    assert len(item.text.encode()) <= MAX_TEXT_BYTES and item.text.endswith("…") and item.documents == 2


def test_texts_of_one_document_alone_are_never_kept() -> None:
    table = sketched(["my secret pass phrase is this", "nothing else to see here"]).table()
    assert all(b"secret" not in value for name in LISTS for value in table[f"frequent_{name}"].to_pylist())


@pytest.mark.parametrize("kind", [HyperLogLog, Growth, LogHistogram, FrequentItems])
def test_damaged_bytes_are_refused(kind: Any) -> None:
    made = FrequentItems.empty() if kind is FrequentItems else kind()
    assert kind.from_bytes(made.to_bytes()).to_bytes() == made.to_bytes()
    for damaged in (b"", b"PK\x03\x04" + made.to_bytes()[4:], made.to_bytes()[:4] + b"\x09" + made.to_bytes()[5:]):
        with pytest.raises(FindingsError, match="Scan"):
            kind.from_bytes(damaged)
    if kind in (HyperLogLog, Growth):
        for damaged in (made.to_bytes()[:5] + b"\x63" + made.to_bytes()[6:], made.to_bytes() + b"\0"):
            with pytest.raises(FindingsError, match="damaged"):
                kind.from_bytes(damaged)
    row = sketch(["a b c d e", "a b c d e"])
    full = {Growth: row.growth, LogHistogram: row.lengths["words"], FrequentItems: row.frequent["ngrams_3"]}
    if kind in full:
        with pytest.raises(FindingsError):
            kind.from_bytes(full[kind].to_bytes()[:-1])


def test_a_table_of_another_version_is_refused() -> None:
    table = sketched(["a b c"]).table()
    with pytest.raises(FindingsError, match="sketches of version 9"):
        rows_of(table.replace_schema_metadata({"foxing_sketches": "9"}))


@pytest.mark.parametrize("setting", ["p", "sample_words", "sample_documents", "top", "max_sources"])
def test_settings_outside_their_range_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting} is 0"):
        Sketches(**{setting: 0})


def test_each_source_column_has_a_folder_of_its_own() -> None:
    assert (Sketches().name, Sketches(by="site").name) == ("sketches", "sketches.site")
    assert Sketches(by="site").reads == ("text", "column:site")
