"""Training the detector: from labelled Parquet to files that load and separate what was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curricula import train_detector
from curricula.detector_card import auroc, wilson
from curricula.detector_corpus import Corpus, cut, document_weights, read_corpus, source_folds
from curricula.detector_fit import Member, blank_tables, damping, emitted, judged
from curricula.train_detector import Recipe, Trained, train, write_model
from detectors.ai_text.calibration import load_reference
from detectors.ai_text.model import load_model
from detectors.errors import InputError

PLAIN = (
    "the",
    "of",
    "and",
    "a",
    "house",
    "dog",
    "ran",
    "over",
    "hill",
    "we",
    "then",
    "saw",
    "old",
    "boat",
    "with",
    "my",
    "it",
)
ORNATE = (
    "furthermore",
    "crucial",
    "landscape",
    "delve",
    "tapestry",
    "moreover",
    "overall",
    "key",
    "the",
    "of",
    "and",
    "is",
)
QUICK = Recipe(members=(Member(10.0), Member(10.0, intercept_ridge=5.0)), iterations=6, folds=3)


def corpus_of(documents: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rows = []
    for i in range(documents):
        label = i % 2
        words = random.choice(ORNATE if label else PLAIN, size=int(random.integers(70, 120)))
        generator = "model" if label else "human"
        rows.append((f"{seed}-{i}", " ".join(words) + ".", label, f"site{i % 6 // 2}", "web", generator, "none", "en"))
    names = ["id", "text", "label", "source", "domain", "generator", "attack", "lang"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("label").cast(pl.Int8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labelled")
    corpus_of(900, 1).write_parquet(path / "train.parquet")
    corpus_of(200, 2).write_parquet(path / "dev.parquet")
    mirror = corpus_of(60, 3).filter(pl.col("label") == 1)
    pairs = [f"1-{2 * i}" for i in range(mirror.height)]
    mirror.with_columns(pl.lit("mirror").alias("source"), pl.Series("pair", pairs)).write_parquet(
        path / "mirror.parquet"
    )
    return path


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return read_corpus(folder)


@pytest.fixture(scope="module")
def trained(corpus: Corpus) -> Trained:
    return train(corpus, QUICK)


def test_trained_model_loads_and_separates_new_text(trained: Trained, tmp_path: Path) -> None:
    write_model(trained, tmp_path)
    model, reference = load_model(tmp_path), load_reference(tmp_path)
    fresh = corpus_of(300, 9)
    margins = judged(fresh, model, 0).margin
    assert auroc(fresh["label"].to_numpy().astype(np.int64), margins) > 0.99
    p = reference.p_human(margins, ["en"] * 300, fresh["text"].str.len_chars().to_numpy())
    assert np.median(p[1::2]) < 0.01 < np.median(p[::2])
    assert "Not for judging a person" in (tmp_path / "MODEL_CARD.md").read_text("utf-8")


def test_same_seed_gives_the_same_files(corpus: Corpus, trained: Trained, tmp_path: Path) -> None:
    write_model(trained, tmp_path / "one")
    write_model(train(corpus, QUICK), tmp_path / "two")
    for name in ("fast.npz", "calibration.npz", "model.json", "MODEL_CARD.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_features_keep_their_repeats_and_bursts_are_damped() -> None:
    frame = pl.DataFrame({"text": ["one two three", "one one one one two three"]})
    features = emitted(frame, blank_tables())
    rows = [slice(features.indptr[row], features.indptr[row + 1]) for row in range(2)]
    assert all(len(set(features.indices[row].tolist())) == len(features.indices[row]) for row in rows)
    assert [int(features.times[row].sum()) for row in rows] == features.counts.tolist()
    assert features.times[rows[1]].max() == 4
    found = damping(features)
    assert found[features.indices[rows[1]][features.times[rows[1]] == 4]].min() == pytest.approx(2 / 5)
    assert found.max() == 1.0


def test_held_back_rows_are_reported_and_not_trained_on(trained: Trained) -> None:
    assert {area.source for area in trained.inside} == {"site0", "site1", "site2"}
    assert {area.source for area in trained.cross} >= {"site0", "site1", "site2"}
    assert all(area.n_human + area.n_ai <= 200 for area in trained.inside)
    assert all(area.low <= area.value <= area.high for area in trained.cross)


def test_families_and_pairs_are_never_split_over_folds(corpus: Corpus) -> None:
    folds = source_folds(corpus, 3)
    frame = corpus.frame.with_columns(pl.Series("fold", folds))
    assert frame.group_by("family").agg(pl.col("fold").n_unique())["fold"].max() == 1
    fold_of = dict(frame.select("id", "fold").iter_rows())
    pairs = frame.filter(pl.col("pair").is_not_null())
    assert pairs.height > 0
    assert all(fold_of[pair] == fold for pair, fold in pairs.select("pair", "fold").iter_rows())


def test_classes_weigh_alike(corpus: Corpus) -> None:
    weights = document_weights(corpus, mirror_weight=4.0, source_power=0.5)
    label = corpus.label
    assert weights.mean() == pytest.approx(1.0)
    assert weights[label == 0].sum() == pytest.approx(weights[label == 1].sum())


def test_cut_keeps_runs_of_the_text(corpus: Corpus) -> None:
    short = cut(corpus, 0.5, 7)
    pairs = list(zip(corpus.frame["text"], short.frame["text"], strict=True))
    assert all(after in before for before, after in pairs)
    changed = np.mean([before != after for before, after in pairs])
    assert 0.2 < changed <= 0.6
    assert cut(corpus, 0.5, 7).frame.equals(short.frame)
    assert short.frame.columns == corpus.frame.columns


def test_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of train\.parquet"):
        read_corpus(tmp_path)


def test_column_that_is_missing_is_named(tmp_path: Path) -> None:
    corpus_of(10, 1).drop("lang").write_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match="no column 'lang'"):
        read_corpus(tmp_path)


def test_one_class_is_refused(tmp_path: Path) -> None:
    corpus_of(10, 1).filter(pl.col("label") == 1).write_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"label has \[1\]"):
        read_corpus(tmp_path)


def test_command_line_reports_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_detector.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "none of train.parquet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_auroc_halves_ties() -> None:
    assert auroc(np.array([0, 1, 0, 1]), np.array([0.0, 1.0, 1.0, 2.0])) == pytest.approx(0.875)
    assert np.isnan(auroc(np.array([1, 1]), np.array([0.0, 1.0])))


def test_wilson_interval_holds_the_share() -> None:
    low, high = wilson(0, 100)
    assert low == 0.0
    assert 0.03 < high < 0.04
