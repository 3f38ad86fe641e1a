"""Duplicates over a corpus: planted copies are found, named with their keeper, and never lost to a chain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import duplicate_search, signature_rows, stages
from audit.assess import assess
from audit.config import Config, ScanConfig
from audit.duplicate_search import find_duplicates
from audit.duplicates import Duplicates
from audit.findings_folder import Findings
from audit.rules import rules_from
from audit.scan_run import scan
from detectors.banding import band_keys, optimal_bands
from detectors.errors import ConfigError, FindingsError

CONFIG = Config(scan=ScanConfig(signals=("near_dup",), workers=1, sketches=False))


def words(seed: int, count: int = 200) -> list[str]:
    random = np.random.default_rng(seed)
    return [f"w{number}" for number in random.integers(0, 10_000, count)]


def edited(text: list[str], share: float, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [f"zz{i}" if random.random() < share else word for i, word in enumerate(text)]


def write(path: Path, texts: Sequence[str | None]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)}).write_parquet(path, row_group_size=7)
    return path


def scanned(folder: Path, texts: Sequence[str | None], config: Config = CONFIG, name: str = "a") -> Findings:
    return scan([str(write(folder / f"{name}.parquet", texts))], folder / "out", config).findings


def rows(findings: Findings) -> pl.DataFrame:
    return pl.concat(part.select("shard", "row", "duplicates") for part in findings.parts()).unnest("duplicates")


def test_exact_and_near_copies_name_the_row_that_is_kept(tmp_path: Path) -> None:
    base = [" ".join(words(seed)) for seed in range(30)]
    near = " ".join(edited(words(5), 0.01))
    found = rows(scanned(tmp_path, [*base, base[3], near]))
    assert found["kept"].to_list() == [True] * 30 + [False, False]
    assert found["keeper_row"].to_list() == [None] * 30 + [3, 5]
    assert found["keeper_shard"].to_list()[30:] == ["a", "a"]
    assert found["exact"].to_list()[30:] == [True, False]
    assert found["similarity"][30] == 1 and 0.8 <= found["similarity"][31] < 1
    assert found["size"].to_list()[30:] == [2, 2]
    assert found["cluster"].to_list()[30:] == [3, 5] and found["cluster"][0] is None


def test_null_and_wordless_rows_are_no_near_duplicates(tmp_path: Path) -> None:
    found = rows(scanned(tmp_path, [None, "", "!!!", "???", None, "", "some words stand here"]))
    assert found["kept"].to_list() == [None, True, True, True, None, False, True]
    assert found["exact"].to_list() == [None, False, False, False, None, True, False]


def test_corpora_without_a_signature_and_files_without_rows_are_searched_and_searched_again(tmp_path: Path) -> None:
    assert rows(scanned(tmp_path / "null", [None] * 3))["kept"].to_list() == [None] * 3
    folder = tmp_path / "empty"
    (folder / "in").mkdir(parents=True)
    write(folder / "in" / "a.parquet", ["some words stand here"])
    write(folder / "in" / "b.parquet", [])
    write(folder / "in" / "c.parquet", ["some words stand here"])
    for keep in (["human", "long", "first"], ["long"]):
        config = dataclasses.replace(CONFIG, stages={"duplicates": {"keep": keep}})
        found = rows(scan([str(folder / "in")], folder / "out", config).findings)
        assert found["kept"].to_list() == [True, False] and found["keeper_shard"].to_list() == [None, "a"]


def test_a_scan_is_no_reference_of_itself(tmp_path: Path) -> None:
    scanned(tmp_path, ["some words stand here"])
    config = dataclasses.replace(CONFIG, stages={"duplicates": {"reference": str(tmp_path / "out")}})
    with pytest.raises(ConfigError, match="copy of itself"):
        scanned(tmp_path, ["some words stand here"], config)


def test_the_longer_row_is_kept_unless_the_order_says_first(tmp_path: Path) -> None:
    text = words(1, 300)
    texts = [" ".join(text[:-3]), " ".join(text)]
    found = rows(scanned(tmp_path, texts))
    assert found["kept"].to_list() == [False, True]
    first = dataclasses.replace(CONFIG, stages={"duplicates": {"keep": ["first"]}})
    (tmp_path / "other").mkdir()
    assert rows(scanned(tmp_path / "other", texts, first))["kept"].to_list() == [True, False]


def test_rows_of_a_reference_stay_and_are_named(tmp_path: Path) -> None:
    old, new = [" ".join(words(seed)) for seed in range(5)], [" ".join(words(seed)) for seed in range(5, 9)]
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    scanned(tmp_path / "old", [*old, old[0]], name="old")
    config = dataclasses.replace(CONFIG, stages={"duplicates": {"reference": str(tmp_path / "old" / "out")}})
    found = rows(scanned(tmp_path / "new", [*new, old[2], new[1]], config, name="new"))
    assert found["kept"].to_list() == [True] * 4 + [False, False]
    assert found["in_reference"].to_list()[4:] == [True, False]
    assert (found["keeper_shard"][4], found["keeper_row"][4]) == ("old", 2)
    assert (found["keeper_shard"][5], found["keeper_row"][5]) == ("new", 1)
    # Rows of the reference count back from -1: row 2 of its six is the fourth from its end.
    assert found["cluster"].to_list() == [None, 1, None, None, -4, 1]


def test_a_reference_of_other_settings_is_refused(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    other = dataclasses.replace(CONFIG, signals={"near_dup": {"shingle_words": 3}})
    scanned(tmp_path / "old", ["a b c d e f"], other)
    config = dataclasses.replace(CONFIG, stages={"duplicates": {"reference": str(tmp_path / "old" / "out")}})
    with pytest.raises(FindingsError, match="Scan both alike"):
        scanned(tmp_path / "new", ["a b c d e f"], config)


def test_no_search_is_made_of_signatures_that_were_cut_to_bits(tmp_path: Path) -> None:
    found = scanned(tmp_path, ["a b c d e f"], dataclasses.replace(CONFIG, signals={"near_dup": {"bits": 8}}))
    assert [signal.name for signal in found.measured] == ["document", "near_dup"]
    with pytest.raises(FindingsError, match="bits = 0"):
        find_duplicates(found, None, threshold=0.8, keep=("first",), work=tmp_path)


@pytest.mark.parametrize("values", [{"threshold": 0.0}, {"threshold": 1.5}, {"keep": ["best"]}, {"treshold": 0.5}])
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        scanned(tmp_path, ["a b c d e f"], dataclasses.replace(CONFIG, stages={"duplicates": values}))


def test_rows_at_the_far_ends_of_a_chain_both_stay(tmp_path: Path) -> None:
    """Every row is like its neighbour, and the far ends are not."""
    text = words(2, 400)
    texts = [" ".join([*(f"new{i}" for i in range(12 * step)), *text[12 * step :]]) for step in range(30)]
    found = rows(scanned(tmp_path, texts))
    assert found["kept"][0] and 4 < found.filter("kept").height < 20
    assert found.filter(~pl.col("kept"))["similarity"].min() >= 0.8


def test_a_cluster_of_filled_in_forms_is_told_from_one_of_copies(tmp_path: Path) -> None:
    form, page = words(2, 400), words(3, 400)
    forms = [" ".join([*form, *(f"field{i}x{k}" for k in range(25))]) for i in range(12)]
    found = rows(scanned(tmp_path, [*forms, *[" ".join([*page, f"mirror{i}"]) for i in range(12)]]))
    assert found["size"].to_list() == [12] * 24
    assert found["templated"].to_list() == [True] * 12 + [False] * 12


def brute_force(minima: np.ndarray, threshold: float) -> list[int]:
    """Row by row: the best kept row before it that shares a band with it, or itself."""
    bands, band_rows = optimal_bands(threshold, minima.shape[1])
    keys = band_keys(minima, bands=bands, rows=band_rows)
    kept: list[int] = []
    for i in range(len(minima)):
        alike = any((keys[i] == keys[j]).any() and (minima[i] == minima[j]).mean() >= threshold for j in kept)
        if not alike:
            kept.append(i)
    return kept


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_who_stays_is_what_comparing_all_pairs_gives(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    from detectors.near_dup import signatures

    random = np.random.default_rng(seed)
    texts = []
    for _ in range(60):
        source = words(int(random.integers(0, 6)), 120)
        texts.append(" ".join(edited(source, float(random.choice([0.0, 0.005, 0.02, 0.2])), int(random.integers(99)))))
    folder = tmp_path_factory.mktemp("corpus")
    findings = scanned(folder, texts, dataclasses.replace(CONFIG, stages={"duplicates": {"keep": ["first"]}}))
    found = rows(findings)
    parts = sorted((folder / "out" / "findings" / "near_dup").rglob("part-*.parquet"))
    minima = np.concatenate(
        [signatures(pq.read_table(path)["near_dup"].combine_chunks().field("minhash")) for path in parts]
    )
    first_of = {text: i for i, text in reversed(list(enumerate(texts)))}
    unique = sorted(set(first_of.values()))
    expected = {unique[i] for i in brute_force(minima[unique], 0.8)}
    kept = set(found.filter("kept")["row"].to_list())
    assert kept == expected
    gone = found.filter(~pl.col("kept"))
    assert set(gone["keeper_row"].to_list()) <= kept
    agree = (minima[gone["row"].to_numpy()] == minima[gone["keeper_row"].to_numpy()]).mean(axis=1)
    assert np.allclose(agree, gone["similarity"].to_numpy()) and (agree >= 0.8).all()


def test_a_second_scan_leaves_the_stage_alone_and_a_new_file_runs_it_again(tmp_path: Path) -> None:
    texts = [" ".join(words(seed)) for seed in range(3)]
    first = scanned(tmp_path, texts)
    part = next((tmp_path / "out" / "findings" / "duplicates").rglob("part-*.parquet"))
    stamp = part.stat().st_mtime_ns
    assert scanned(tmp_path, texts).signature() == first.signature()
    assert part.stat().st_mtime_ns == stamp
    write(tmp_path / "b.parquet", [texts[1]])
    second = scan([str(tmp_path / "b.parquet")], tmp_path / "out", CONFIG).findings
    found = rows(second)
    assert found["kept"].to_list() == [True, True, True, False]
    assert found["keeper_shard"][3] == "a" and found["size"].to_list() == [1, 2, 1, 2]
    assert second.signature() != first.signature()


def test_a_stage_that_dies_half_way_leaves_findings_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(words(seed)) for seed in range(3)]
    whole = rows(scanned(tmp_path, texts))

    def torn(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    changed = dataclasses.replace(CONFIG, stages={"duplicates": {"threshold": 0.7}})
    with monkeypatch.context() as patch:
        patch.setattr(stages.PartWriter, "close", torn)
        with pytest.raises(KeyboardInterrupt):
            scanned(tmp_path, texts, changed)
    assert [signal.name for signal in Findings.open(tmp_path / "out").measured] == ["document", "near_dup"]
    assert not list((tmp_path / "out").rglob(".stage-*")) and not list((tmp_path / "out").rglob("*.tmp"))
    assert rows(scanned(tmp_path, texts)).equals(whole)


def test_no_search_is_made_when_it_is_switched_off(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, scan=dataclasses.replace(CONFIG.scan, stages=()))
    found = scanned(tmp_path, ["a b c d e f"] * 2, config)
    assert [signal.name for signal in found.measured] == ["document", "near_dup"]


def test_rules_count_every_row_and_hit_the_copies(tmp_path: Path) -> None:
    base = [" ".join(words(seed)) for seed in range(10)]
    findings = scanned(tmp_path, [*base, base[0], " ".join(edited(words(1), 0.01))])
    results = {result.rule.id: result for result in assess(findings, rules_from({}), select=["FX3"]).results}
    assert (results["FX301"].n, results["FX301"].hits) == (12, 1)
    assert (results["FX302"].n, results["FX302"].hits) == (12, 1)


def test_the_search_reports_every_row_that_it_read(tmp_path: Path) -> None:
    findings = scanned(tmp_path, [" ".join(words(seed)) for seed in range(20)])
    seen: list[int] = []
    settings_ = Duplicates()
    find_duplicates(
        findings, None, threshold=settings_.threshold, keep=settings_.keep, work=tmp_path, advance=seen.append
    )
    assert sum(seen) == 20


def test_how_much_is_looked_at_at_once_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(edited(words(i % 9, 120), (0.0, 0.005, 0.02)[i % 3], i % 13)) for i in range(80)]
    findings = scanned(tmp_path, texts)

    def found() -> dict[str, object]:
        result = find_duplicates(findings, None, threshold=0.8, keep=("long", "first"), work=tmp_path)
        return {name: np.asarray(value).tolist() for name, value in vars(result).items()}

    at_once = found()
    assert len(set(np.asarray(at_once["keepers"]).tolist())) < 60
    monkeypatch.setattr(duplicate_search, "_COMPARED_ROWS", 2)
    monkeypatch.setattr(duplicate_search, "_SORTED_ROWS", 3)
    monkeypatch.setattr(signature_rows, "_BUCKET_BYTES", 1024)
    assert found() == at_once
