"""Training the detector: from labelled Parquet to files that load and separate what was learned."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curricula import train_detector
from curricula.detector_card import auroc, wilson
from curricula.detector_corpus import Corpus, document_weights, read_corpus, source_folds
from curricula.detector_fit import Member, Problem, fitted, judged, problem_of, quantised
from curricula.train_detector import Recipe, Trained, train, write_left_out, write_margins, write_model
from detectors.ai_text.calibration import load_reference
from detectors.ai_text.kernel import CHECK_BITS
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
QUICK = Recipe(members=(Member(2.0, (0.1, 0.1, 0.3)), Member(1.0, (0.0, 0.0, 0.0))), passes=4, folds=3)


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


def test_features_of_few_documents_or_families_are_not_learned(corpus: Corpus) -> None:
    problem = problem_of(corpus, np.ones(corpus.frame.height))
    rows = [problem.indices[low:high] for low, high in pairwise(problem.indptr)]
    assert all((np.diff(row) > 0).all() for row in rows)
    spread = np.bincount(problem.indices, minlength=len(problem.keys))
    assert np.array_equal(spread, problem.spread)
    assert spread.min() >= 6
    family = corpus.frame["family"].to_numpy()
    for feature in range(0, len(problem.keys), 50):
        having = [name for name, row in zip(family, rows, strict=True) if feature in row]
        assert len(set(having)) >= 3


@pytest.fixture(scope="module")
def problem(corpus: Corpus) -> Problem:
    return problem_of(corpus, document_weights(corpus, mirror_weight=4.0, source_power=0.5))


def test_own_intercepts_take_up_what_sets_sources_apart(problem: Problem) -> None:
    """Where a source has one class only, its own intercept explains it, and its words are not learned for it."""
    rows = np.flatnonzero((problem.group != 0) | (problem.label == 1))
    common, own = (
        fitted(problem, rows, [Member(2.0, (scale,) * 3)], passes=20, seed=1).weights for scale in (0.0, 30.0)
    )
    assert np.abs(own).sum() < np.abs(common).sum()


def test_shipped_weights_are_those_of_the_fit(problem: Problem) -> None:
    fit = fitted(problem, np.arange(len(problem.label)), QUICK.members, passes=4, seed=1)
    model = quantised(fit, problem)
    slots = problem.keys >> CHECK_BITS
    used = np.flatnonzero(fit.weights)
    assert len(np.unique(slots[used])) == len(used)
    entries = model.tables.weights[slots[used]]
    kept = (entries & 255) > 0
    assert (entries[kept] >> 8 == problem.keys[used][kept] & (1 << CHECK_BITS) - 1).all()
    weights = (entries & 255).astype(np.uint8).view(np.int8) * model.scale
    assert np.quantile(np.abs(weights - fit.weights[used]), 0.99) <= model.scale * 0.51


def test_margins_are_written_with_what_calibration_needs(trained: Trained, corpus: Corpus, tmp_path: Path) -> None:
    write_margins(trained, corpus, tmp_path / "new" / "margins.parquet")
    frame = pl.read_parquet(tmp_path / "new" / "margins.parquet")
    assert frame.height == corpus.frame.height
    assert set(frame.columns) >= {"margin", "label", "family", "language", "length", "enough", "style", "fold", "row"}
    assert "text" not in frame.columns
    assert frame.group_by("family").agg(pl.col("fold").n_unique())["fold"].max() == 1
    assert auroc(frame["label"].to_numpy().astype(np.int64), frame["margin"].to_numpy()) > 0.99


def test_generator_left_out_is_measured_on_held_back_rows(corpus: Corpus) -> None:
    found = train(
        corpus, dataclasses.replace(QUICK, generators_left_out=("model", "absent"), languages_left_out=("en",))
    )
    assert "AUROC with generator model left out of training, site0 en" in found.card
    assert "absent left out" not in found.card and "lang en left out" not in found.card
    (trial,) = found.generators
    people = trial.rows[corpus.label[trial.rows] == 0]
    mirrored = corpus.frame["id"].is_in(corpus.frame["pair"].drop_nulls().implode()).to_numpy()[people]
    assert ((corpus.names("split")[people] == "dev") | mirrored).all() and mirrored.any() and not mirrored.all()
    assert (corpus.label == 1).sum() == len(trial.rows) - len(people)


def test_margins_of_all_that_was_left_out_are_written_for_the_evaluation(corpus: Corpus, tmp_path: Path) -> None:
    recipe = dataclasses.replace(QUICK, generators_left_out=("model",))
    found = train(corpus, recipe)
    write_left_out(found, corpus, recipe, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.parquet", "generator.parquet", "source.parquet"]
    curve = pl.read_parquet(tmp_path / "curve.parquet")
    assert curve.group_by("group").len()["len"].unique().to_list() == [corpus.frame.height]
    sizes = curve.group_by("group").agg(pl.col("families").first(), pl.col("documents").first()).sort("families")
    assert sizes["group"].to_list()[-1] == "1" and sizes["documents"].is_sorted()
    last = curve.filter(pl.col("group") == "1")
    assert last["margin"].to_numpy() == pytest.approx(found.outside.margin)
    assert set(pl.read_parquet(tmp_path / "generator.parquet").columns) >= {"row", "label", "margin", "enough", "group"}


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
