"""The format profile: uniform sources rank above varied ones, and every figure is what it is said to be."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.format_measures import (
    compression,
    effective_number,
    entropy_bits,
    jensen_shannon,
    skeleton_features,
    top_share,
)
from audit.format_profile import LEAST_WORDS, FormatProfile, format_profile
from audit.format_sample import cheap_rows, read_texts, sample_findings
from audit.formats.forms import form_document, form_tables
from audit.scan_run import scan
from detectors.errors import FindingsError, InputError

FUNCTION = (
    "the of is in for that it on with as but not have from they we an or if when which more how can about".split()
)


def content(random: np.random.Generator, words: int) -> list[str]:
    return [f"w{number}x" for number in random.integers(0, 500, words)]


def sentence(random: np.random.Generator, words: int = 60) -> str:
    """Words of which every third is a function word, in random order: no two have one skeleton."""
    mixed = content(random, words)
    mixed[::2] = random.choice(FUNCTION, len(mixed[::2])).tolist()
    return " ".join(mixed) + "."


def templated(random: np.random.Generator, templates: int, words: int = 60) -> str:
    """The same kind of content behind one of so many lead-ins."""
    lead = np.random.default_rng(int(random.integers(templates))).choice(FUNCTION, 10)
    return " ".join(lead.tolist()) + " " + " ".join(content(random, words)) + "."


def scanned(folder: Path, sources: Mapping[str, Sequence[str | None]], name: str = "a", **chosen: object) -> Findings:
    rows = [(text, source) for source, texts in sources.items() for text in texts]
    folder.mkdir(exist_ok=True)
    frame = pl.DataFrame({"text": [row[0] for row in rows], "site": [row[1] for row in rows]})
    frame.write_parquet(folder / f"{name}.parquet", row_group_size=100)
    config = ScanConfig(signals=("format",), workers=1, sketches=False, by="site", stages=())
    return scan(
        [str(folder / f"{name}.parquet")], folder / f"out-{name}", Config(scan=config, signals={"format": chosen})
    ).findings


def profiled(findings: Findings, reference: Findings | None = None) -> FormatProfile:
    found = format_profile(findings, reference=reference)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    random = np.random.default_rng(5)
    return scanned(
        tmp_path_factory.mktemp("corpus"),
        {
            "varied": [sentence(random) for _ in range(300)],
            "templated": [templated(random, 5) for _ in range(250)],
            "lists": [f"1. {sentence(random)}\n2. Why so?\n3. {sentence(random, 5)}" for _ in range(220)],
            "short": ["Yes.", "No.", None] * 30,
        },
    )


def test_uniform_sources_rank_above_varied_ones(corpus: Findings) -> None:
    sources = profiled(corpus).sources
    shares = {name: form.share for name, form in sources.items()}
    assert shares["short"] is None
    varied, uniform, lists = (shares[name] for name in ("varied", "templated", "lists"))
    assert varied is not None and uniform is not None and lists is not None
    assert varied.share < 0.05 and uniform.share == lists.share == 1
    assert varied.interval.high < uniform.interval.low
    effective = {name: form.effective for name, form in sources.items()}
    assert (effective["varied"] or 0) > (effective["templated"] or 99)


def test_sources_are_compared_at_equal_rows(corpus: Findings) -> None:
    profile = profiled(corpus)
    assert profile.equal_rows == 220
    equal = {name: form.equal and form.equal.rows for name, form in profile.sources.items()}
    assert equal == {"varied": 220, "templated": 220, "lists": 220, "short": None}
    assert (
        (profile.sources["templated"].opening_bits or 9) <= math.log2(5) < (profile.sources["varied"].opening_bits or 0)
    )


def test_share_falls_when_templates_are_diversified(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    sources = {f"{n:03d}": [templated(random, n) for _ in range(600)] for n in (1, 10, 100, 500)}
    sources["none"] = [sentence(random) for _ in range(600)]
    found = profiled(scanned(tmp_path, sources)).sources
    shares = [share.share for name in ("001", "100", "500", "none") if (share := found[name].every)]
    assert shares == sorted(shares, reverse=True) and shares[0] == 1 and shares[2] < 0.7 and shares[3] < 0.05
    bits = [found[name].skeleton_bits or 0 for name in ("001", "010", "100", "500", "none")]
    assert bits == sorted(bits) and bits[0] == 0 and bits[1] == pytest.approx(math.log2(10), abs=0.1)


def test_structures_lengths_and_recurring_forms_are_told(corpus: Findings) -> None:
    profile = profiled(corpus)
    lists, varied, short = (profile.sources[name] for name in ("lists", "varied", "short"))
    assert lists.structures["numbered"] == lists.structures["list"] == 1 and lists.structures["one line"] == 0
    assert varied.structures["one line"] == 1 and varied.structures["list"] == 0
    assert varied.spread == pytest.approx(0) and list(varied.lengths) == [60] * 5
    assert short.rows == 60
    assert [(each.rows, each.text, each.example) for each in short.skeletons] in (
        [(30, "yes .", "Yes."), (30, "no .", "No.")],
        [(30, "no .", "No."), (30, "yes .", "Yes.")],
    )
    assert lists.skeletons[0].text == "1." and lists.skeletons[0].rows == 220
    assert (lists.skeletons[0].example or "").endswith("…") and len(lists.skeletons[0].example or "") == 161
    assert profile.total.rows == 830


def test_the_same_corpus_gives_the_same_profile(corpus: Findings) -> None:
    assert profiled(corpus) == profiled(corpus)


def test_a_corpus_is_nearer_to_its_like(tmp_path: Path, corpus: Findings) -> None:
    random = np.random.default_rng(77)
    like = scanned(tmp_path, {"more": [sentence(random) for _ in range(300)]}, "like")
    found = profiled(corpus, like).sources
    varied, lists = found["varied"].distance, found["lists"].distance
    assert varied is not None and lists is not None and varied.tokens is not None and varied.floor is not None
    assert varied.structure == 0 and lists.structure == 1
    assert varied.tokens < 1.3 * varied.floor
    assert lists.tokens is not None and lists.tokens > varied.tokens


def test_a_reference_that_was_measured_otherwise_is_refused(tmp_path: Path, corpus: Findings) -> None:
    other = scanned(tmp_path, {"x": ["The cat is here."]}, "other", tokens=3)
    with pytest.raises(FindingsError, match="Scan both alike"):
        format_profile(corpus, reference=other)


def test_texts_that_are_gone_cost_examples_and_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    findings = scanned(tmp_path, {"x": [templated(random, 2) for _ in range(40)]})
    before = profiled(findings).sources["x"]
    (tmp_path / "a.parquet").unlink()
    profile = profiled(findings)
    after = profile.sources["x"]
    assert profile.unread is not None and "a.parquet" in profile.unread
    assert after.share == before.share and after.structures == before.structures
    assert before.compression is not None and after.compression is None and after.effective is None
    assert [each.rows for each in after.skeletons] == [each.rows for each in before.skeletons]
    assert all(each.text is None for each in after.skeletons)


def test_a_moved_corpus_is_found_below_its_folder(tmp_path: Path) -> None:
    findings = scanned(tmp_path, {"x": ["The cat is here.", "A dog was there."]})
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "a.parquet", tmp_path / "moved" / "a.parquet")
    found = format_profile(findings, corpus=str(tmp_path / "moved"))
    assert found is not None and found.unread is None and found.total.compared == 2


def test_no_profile_without_the_signal(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["one"]}).write_parquet(tmp_path / "a.parquet")
    config = Config(scan=ScanConfig(signals=(), workers=1, sketches=False, stages=()))
    assert format_profile(scan([str(tmp_path / "a.parquet")], tmp_path / "out", config).findings) is None


def test_tables_and_document_hold_every_source(corpus: Findings) -> None:
    profile = profiled(corpus, corpus)
    document = json.loads(json.dumps(form_document(profile), allow_nan=False))
    assert list(document["sources"]) == list(profile.sources)
    assert document["sources"]["lists"]["share"]["share"] == 1
    (title, shares), (_, structures), (_, skeletons) = form_tables(profile)
    assert f"{LEAST_WORDS} words" in title
    assert [row[0] for row in shares[1:]] == [row[0] for row in structures[1:]] == ["all sources", *profile.sources]
    assert all(len(row) == len(shares[0]) for row in shares)
    assert ("lists", "220", "100 %", "1.") in {row[:4] for row in skeletons}
    assert form_document(None) is None


def test_samples_are_random_and_the_same_each_time(corpus: Findings) -> None:
    total, by_source = sample_findings(corpus, 50)
    again, _ = sample_findings(corpus, 50)
    assert total.rows == 830 and len(total) == 50 and total.index.tolist() == again.index.tolist()
    assert {name: (sample.rows, len(sample)) for name, sample in by_source.items()} == {
        "varied": (300, 50),
        "templated": (250, 50),
        "lists": (220, 50),
        "short": (60, 50),
    }
    assert len(set(np.diff(np.sort(total.index)).tolist())) > 5
    assert len(cheap_rows(total, 7)) == 7


def test_texts_come_in_the_order_in_which_they_are_named(corpus: Findings) -> None:
    found = read_texts(corpus, np.array([770, 3, 771, 550]))
    assert found[0] == b"Yes." and found[2] == b"No." and found[3].startswith(b"1. ")
    with pytest.raises(InputError):
        read_texts(corpus, np.array([860]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=400))
def test_top_share_is_that_of_a_dictionary_and_lies_in_its_interval(values: list[int]) -> None:
    found = top_share(np.array(values, np.uint64))
    counts = sorted((values.count(value) for value in set(values)), reverse=True)
    expected = sum(count for count in counts[:100] if count > 1) / len(values)
    assert found is not None and found.rows == len(values)
    assert found.share == pytest.approx(expected)
    assert 0 <= found.interval.low <= found.share <= found.interval.high <= 1


def test_the_interval_of_a_top_share_holds_what_samples_vary_by() -> None:
    random = np.random.default_rng(1)
    population = np.concatenate([np.repeat(np.arange(300), 3 + random.geometric(0.02, 300)), 1000 + np.arange(20_000)])
    samples = [top_share(random.choice(population, 2_000).astype(np.uint64)) for _ in range(60)]
    shares = np.array([found.share for found in samples if found])
    inside = [found.interval.low <= shares.mean() <= found.interval.high for found in samples if found]
    assert sum(inside) >= 52


def test_entropy_and_distance_of_known_samples() -> None:
    one, two = np.array([1, 1, 2, 2], np.uint64), np.array([3, 3, 4, 4], np.uint64)
    assert entropy_bits(one) == 1 and entropy_bits(np.array([5], np.uint64)) == 0
    assert entropy_bits(np.zeros(0, np.uint64)) is None
    assert jensen_shannon(one, two) == 1 and jensen_shannon(one, one) == 0
    half = np.array([1, 1, 3, 3], np.uint64)
    assert jensen_shannon(one, half) == pytest.approx(math.sqrt(0.5))
    assert jensen_shannon(one, half) == jensen_shannon(half, one)


def test_effective_number_counts_kinds() -> None:
    tokens = np.array([1, 2, 3] * 10 + [7, 8, 9] * 10, np.uint64)
    features = skeleton_features(tokens, np.arange(0, 61, 3))
    assert effective_number(features) == pytest.approx(2)
    assert effective_number(skeleton_features(np.arange(1, 21, dtype=np.uint64), np.arange(21))) == pytest.approx(20)


def test_order_that_repeats_compresses_better_than_shuffled_words() -> None:
    random = np.random.default_rng(2)
    varied = compression(" ".join(content(random, 4000)).encode(), 1)
    repeated = compression(" ".join(content(random, 40) * 100).encode(), 1)
    assert varied is not None and repeated is not None
    assert varied.gain == pytest.approx(1, abs=0.05) and repeated.gain > 2
    assert compression(b" \n ", 1) is None
