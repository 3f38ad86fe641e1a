"""Pairs to look at: the worst first, each with both texts, whatever happened to the corpus meanwhile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.review import review, runs_of
from audit.rules import find, rules_from
from audit.scan_run import scan
from detectors.benchmark_index import BenchmarkIndex
from detectors.documents import Documents
from detectors.errors import ConfigError, InputError

RULES = rules_from({})
CONFIG = Config(scan=ScanConfig(signals=("near_dup",), workers=1, sketches=False))


def words(seed: int, count: int = 200) -> list[str]:
    random = np.random.default_rng(seed)
    return [f"w{number}" for number in random.integers(0, 10_000, count)]


def write(path: Path, texts: list[str], source: str = "one") -> str:
    pl.DataFrame({"text": texts, "site": [source] * len(texts)}).write_parquet(path)
    return str(path)


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    base = words(1)
    texts = [" ".join(base), " ".join(base), " ".join([*base[:100], "other", *base[101:]]), " ".join(words(2))]
    first = write(tmp_path / "a.parquet", texts)
    second = write(tmp_path / "b.parquet", [" ".join(words(2)), "short"], "two")
    config = dataclasses.replace(CONFIG, scan=dataclasses.replace(CONFIG.scan, by="site"))
    return scan([first, second], tmp_path / "out", config).findings


def test_exact_copies_stand_beside_the_row_that_is_kept(findings: Findings) -> None:
    pairs = review(findings, find(RULES, "FX301"))
    assert [(pair.left.shard, pair.left.row, pair.right and pair.right.row) for pair in pairs] == [
        ("a", 1, 0),
        ("b", 0, 3),
    ]
    assert all(pair.right is not None and pair.left.text == pair.right.text for pair in pairs)
    assert [pair.jaccard for pair in pairs] == [1.0, 1.0]


def test_near_copies_have_their_exact_similarity(findings: Findings) -> None:
    (pair,) = review(findings, find(RULES, "FX302"))
    one, other = words(1), [*words(1)[:100], "other", *words(1)[101:]]
    left, right = ({tuple(text[i : i + 5]) for i in range(len(text) - 4)} for text in (one, other))
    assert pair.jaccard == pytest.approx(len(left & right) / len(left | right))
    assert pair.values["similarity"] == pytest.approx(pair.jaccard, abs=0.15)


def test_a_source_and_a_number_limit_what_is_shown(findings: Findings) -> None:
    assert [pair.left.shard for pair in review(findings, find(RULES, "FX301"), source="two")] == ["b"]
    assert len(review(findings, find(RULES, "FX301"), top=1)) == 1


def test_of_each_kept_row_one_case_comes_before_a_second_of_any(tmp_path: Path) -> None:
    """Also where they are spread over files, and the group with many copies has the worst of them."""
    one, other, third = words(11), words(12), words(13)
    many, some, last = [" ".join(one)] * 4, [" ".join(other)] * 2, " ".join(third)
    files = [[*many, *some], [*many, *some, last], [*many, last]]
    paths = [write(tmp_path / f"{at}.parquet", texts) for at, texts in enumerate(files)]
    found = scan(paths, tmp_path / "out", CONFIG).findings
    rule = find(RULES, "FX301")
    places, sizes = [("0", 1), ("0", 5), ("2", 4), ("0", 2)], [12, 4, 2, *[12] * 10, *[4] * 2]
    for top in (2, 4, 5, 20):
        pairs = review(found, rule, top=top)
        assert [pair.values["size"] for pair in pairs] == sizes[:top]
        assert [(pair.left.shard, pair.left.row) for pair in pairs[:4]] == places[:top]


def test_a_corpus_that_moved_is_found_and_one_that_changed_is_refused(findings: Findings, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    with pytest.raises(InputError, match="--corpus"):
        review(findings, find(RULES, "FX301"))
    assert len(review(findings, find(RULES, "FX301"), corpus=str(tmp_path / "moved"))) == 2
    write(tmp_path / "moved" / "a.parquet", ["something else"])
    with pytest.raises(InputError, match="changed"):
        review(findings, find(RULES, "FX301"), corpus=str(tmp_path / "moved"))


def test_rows_of_the_reference_are_read_from_its_own_corpus(tmp_path: Path) -> None:
    text = " ".join(words(5))
    old = scan([write(tmp_path / "old.parquet", ["x y z", text])], tmp_path / "old", CONFIG).findings
    config = dataclasses.replace(CONFIG, stages={"duplicates": {"reference": str(old.directory)}})
    new = scan([write(tmp_path / "new.parquet", [text])], tmp_path / "new", config).findings
    (pair,) = review(new, find(RULES, "FX301"))
    assert pair.right is not None and (pair.right.shard, pair.right.row, pair.right.text) == ("old", 1, text)


def test_a_leaked_passage_is_marked_where_it_stands(tmp_path: Path) -> None:
    item = "which of these old bindings was repaired with thread that had been waxed twice before the flood came"
    other = "a quite different question that somebody asked of the same binder about glue and boards one winter"
    index = BenchmarkIndex.from_documents(Documents.from_texts([item, other]), ["made up"] * 2, ["one", "two"])
    (tmp_path / "idx").write_bytes(index.to_bytes())
    config = dataclasses.replace(
        CONFIG,
        scan=dataclasses.replace(CONFIG.scan, signals=("leakage",)),
        signals={"leakage": {"index": str(tmp_path / "idx")}},
    )
    text = f"Ünë: before. {item}. After that."
    texts = [text, "nothing", text, other]
    found = scan([write(tmp_path / "a.parquet", texts)], tmp_path / "out", config).findings
    rule = dataclasses.replace(find(RULES, "FX301"), id="MY1", when="leakage.hits > 0", worst="leakage.hits", shown=())
    pairs = review(found, rule)
    assert [(each.left.row, each.values["item"]) for each in pairs] == [(0, "one"), (3, "two"), (2, "one")]
    pair = pairs[0]
    assert pair.right is None and pair.passage is not None
    assert pair.left.text[slice(*pair.passage)] == item
    assert pair.values["benchmark"] == "made up"


def test_rules_about_single_rows_and_signals_not_scanned_are_refused(findings: Findings) -> None:
    with pytest.raises(ConfigError, match="compares no row"):
        review(findings, find(RULES, "FX201"))
    rule = dataclasses.replace(find(RULES, "FX301"), when="leakage.hits > 0")
    with pytest.raises(ConfigError, match="was not scanned"):
        review(findings, rule)


@given(left=st.lists(st.sampled_from("abc"), max_size=20), right=st.lists(st.sampled_from("abc"), max_size=20))
def test_runs_hold_all_words_of_both_texts_in_order(left: list[str], right: list[str]) -> None:
    runs = runs_of(" ".join(left), " ".join(right))
    assert [word for run in runs for word in run.left] == left
    assert [word for run in runs for word in run.right] == right
    assert all((run.left == run.right) == run.same for run in runs)
