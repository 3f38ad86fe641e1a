"""The trial of a language model's statistics: its numbers, its draws, and that no head is fitted on what it judges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.frozen_sample import ENGLISH, MIRROR, MODERN, OTHER, drawn
from detectors.language_model import Scores
from tests.bench import detector_lm_statistics, lm_statistics_compare
from tests.bench.detector_stats import auroc
from tests.bench.lm_statistics import STATISTICS, balanced, left_out_scores, linear, statistics, trees
from tests.bench.lm_statistics_compare import BASE, compared, paired_interval
from tests.detectors.tiny_models import need_torch, write_causal
from tests.labelled import corpus

Floats = npt.NDArray[np.float64]


def named(scores: Scores) -> dict[str, float]:
    return dict(zip(STATISTICS, statistics(scores).tolist(), strict=True))


def scores_of(surprisal: list[float], entropy: float = 1.0, variance: float = 4.0, rank: int = 1) -> Scores:
    n = len(surprisal)
    return Scores(
        np.array([-value for value in surprisal], np.float32),
        np.full(n, rank),
        np.full(n, -entropy, np.float32),
        np.full(n, variance, np.float32),
    )


def labels(*values: int) -> Any:
    return np.array(values, np.int64)


# Statistics of one window


def test_statistics_are_those_worked_out_by_hand() -> None:
    found = named(scores_of([0.0, 3.0] * 16, rank=5))
    assert found["likelihood"] == pytest.approx(-1.5)
    assert found["log-rank"] == pytest.approx(-np.log(5))
    assert found["lrr"] == pytest.approx(1.5 / np.log(5))
    # 32 tokens, each 1 - 1.5 on average, over the root of 32 * 4
    assert found["fast-detectgpt"] == pytest.approx(32 * -0.5 / 128**0.5)
    assert found["curvature a token"] == pytest.approx(-0.5)
    assert found["spread of surprisal"] == pytest.approx(1.5)
    assert found["lag-1 correlation of surprisal"] == pytest.approx(-1.0)
    assert found["mean step of surprisal"] == pytest.approx(3.0)
    assert found["spread of surprisal between blocks"] == pytest.approx(0.0)
    assert found["mean standard score"] == pytest.approx(-0.25)
    assert found["spread of standard scores"] == pytest.approx(0.75)
    assert (found["share of ranks up to 1"], found["share of ranks up to 10"]) == (0.0, 1.0)
    assert found["surprisal, 90% quantile"] == pytest.approx(3.0)
    assert found["share of surprisal under 0.1"] == pytest.approx(0.5)


def test_blocks_and_halves_see_where_surprise_lies() -> None:
    found = named(scores_of([1.0] * 16 + [3.0] * 16))
    assert found["spread of surprisal between blocks"] == pytest.approx(1.0)
    assert found["surprisal of the first half less that of the second"] == pytest.approx(-2.0)


@given(st.lists(st.floats(0, 20, width=32), min_size=32, max_size=80), st.integers(1, 50_000))
def test_statistics_are_always_numbers(surprisal: list[float], rank: int) -> None:
    assert np.isfinite(statistics(scores_of(surprisal, rank=rank))).all()


# Heads


def test_head_is_never_fitted_on_what_it_judges() -> None:
    group = np.array(["a", "a", "b", "b", "m", "m", "x", "x"])
    family = np.array(["a", "a", "b", "b", "a", "b", "x", "x"])
    rows = np.arange(8.0)[:, None]
    label = labels(0, 1, 0, 1, 0, 1, 0, 1)
    seen = []

    def head(columns: Floats, *_: object) -> Callable[[Floats], Floats]:
        seen.append(columns[:, 0].astype(int).tolist())
        return lambda other: other[:, 0]

    found = left_out_scores(head, rows, label, group, family, group, never="x")
    # a: without its own rows and the mirrored one of its family; x: nothing is ever fitted on it
    assert seen == [[2, 3, 5], [0, 1, 4], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert found.tolist() == rows[:, 0].tolist()


def test_either_class_of_a_source_weighs_the_same() -> None:
    weight = balanced(labels(0, 0, 0, 1, 0, 1), np.array(["a", "a", "a", "a", "b", "b"]))
    assert weight[:3].sum() == pytest.approx(weight[3]) == pytest.approx(weight[4]) == pytest.approx(weight[5])
    assert weight.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("head", [linear, trees])
def test_head_ranks_another_source_by_what_carries_over(head: Any) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'foxing[train]'")
    random_ = np.random.default_rng(3)
    label = np.tile([0, 1], 300)
    group = np.repeat(["a", "b", "c"], 200)
    noise = random_.normal(size=600)
    found = left_out_scores(head, np.column_stack([label + noise / 2, noise]), label, group, group, group)
    assert min(auroc(label[group == name], found[group == name]) for name in "abc") > 0.9


# Comparison


def compared_frame(n: int) -> pl.DataFrame:
    unit = np.repeat(["a", "b", "new", "odd"], n)
    group = np.repeat(["a", "b", MODERN, OTHER], n)
    return pl.DataFrame({"unit": unit, "group": group, "label": np.tile([0, 1], 2 * n)})


def test_gain_counts_sources_and_leaves_other_languages_apart() -> None:
    frame = compared_frame(40)
    label = frame["label"].to_numpy()
    base = np.zeros(len(label))
    better = np.where(frame["group"].to_numpy() == OTHER, -label, label).astype(float)
    first, second = compared(frame, {BASE: base, "better": better})
    assert first["auroc"] == 0.5 and "gain" not in first
    assert [second[key] for key in ("auroc", "gain", "gain_low", "gain_high")] == pytest.approx([1.0, 0.5, 0.5, 0.5])
    assert (second["sources"], second["better"], second["worse"]) == (3, 3, 0)
    assert second["sign_p"] == pytest.approx(2 / 2**3)
    assert second["newer_generators"]["sources"] == 1 and second["older_generators"]["sources"] == 2
    assert second["other_languages"]["auroc"] == 0.0
    assert second["tpr_at_5_of_own"] == 1.0


def test_paired_interval_holds_the_gain_and_is_nought_for_the_same_scores() -> None:
    frame = compared_frame(60)
    label, noise = frame["label"].to_numpy(), np.random.default_rng(5).normal(size=240)
    base, other = label + 2 * noise, label + noise
    low, high = paired_interval(frame, base, other, draws=300)
    gain = np.mean([auroc(label[at], other[at]) - auroc(label[at], base[at]) for at in np.split(np.arange(240), 4)])
    assert low < gain < high and low > 0
    assert paired_interval(frame, base, base, draws=9) == (0.0, 0.0)


# The draw and the whole


def test_draw_has_each_document_once_and_as_many_of_either_class(tmp_path: Path) -> None:
    from curricula.detector_corpus import read_corpus

    frame = read_corpus(corpus(tmp_path)).frame
    found = drawn(frame)
    assert found["row"].n_unique() == found.height > 60
    assert found["text"].to_list() == frame["text"].gather(found["row"]).to_list()
    counts = found.group_by("unit", "group").agg(pl.col("label").mean(), pl.len())
    assert set(counts["label"]) == {0.5}
    assert set(found["group"]) == {"hppt", "mixset", "biscope", MIRROR, MODERN, OTHER}
    # The English ones come first, and what a mirrored text is paired with stands with it alone.
    english = (found["group"] != OTHER).to_list()
    assert english == sorted(english, reverse=True)
    pairs = found.filter(group=MIRROR)
    assert set(pairs.filter(label=1)["pair"]) == set(pairs.filter(label=0)["id"])
    assert found.filter(unit="hppt").height <= 2 * ENGLISH["hppt", "abstract"]
    assert drawn(frame).equals(found) and not drawn(frame, seed=2).equals(found)


def test_trial_runs_whole_with_a_tiny_model_and_keeps_what_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_torch()
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'foxing[train]'")
    data = tmp_path / "data" / "detection"
    data.mkdir(parents=True)
    corpus(data)
    monkeypatch.setenv("FOXING_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(lm_statistics_compare, "DRAWS", 20)
    from curricula.detector_corpus import read_corpus

    frame = read_corpus(data).frame.drop("text").with_row_index("row").with_columns(enough=True)
    margins = frame.with_columns(margin=pl.col("label") + pl.Series(np.random.default_rng(1).normal(size=frame.height)))
    margins.write_parquet(tmp_path / "margins.parquet")
    model = write_causal(tmp_path / "model")
    common = ["--margins", str(tmp_path / "margins.parquet"), "--work", str(tmp_path / "work"), "--model", str(model)]
    detector_lm_statistics.scored(drawn(read_corpus(data).frame).head(30), model, tmp_path / "work")
    first = {path: path.stat().st_mtime_ns for path in detector_lm_statistics.parts(tmp_path / "work")}
    scores = pl.DataFrame({"row": range(60), "unit": "a", "group": "a", "label": [0, 1] * 30})
    ranks = {"fast": pl.col("row"), "head": pl.col("label") * 1.0, "both": pl.col("label") + pl.col("row") / 100}
    scores.with_columns(**ranks).write_parquet(tmp_path / "head.parquet")
    common += ["--head", str(tmp_path / "head.parquet")]
    assert detector_lm_statistics.main([*common, "--out", str(tmp_path / "results")]) == 0
    assert all(path.stat().st_mtime_ns == when for path, when in first.items())
    (result,) = (tmp_path / "results").glob("detector-lm-statistics-*.json")
    found = json.loads(result.read_text("utf-8"))
    assert found["schema"] == detector_lm_statistics.SCHEMA
    assert found["documents"]["human"] == found["documents"]["machine"] > 30
    names = [one["scores"] for one in found["heads"]]
    assert names[0] == BASE and "fast tier and statistics" in names
    assert [one["auroc"] for one in found["frozen"]["heads"]][1:] == [1.0, 1.0]
    shown = capsys.readouterr().out
    assert "30 human and 30 machine documents." in shown
    assert "fast tier and statistics, trees" in shown and "documents a CPU second" in shown


def test_margins_of_other_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data" / "detection"
    data.mkdir(parents=True)
    corpus(data)
    monkeypatch.setenv("FOXING_DATA", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as stop:
        detector_lm_statistics.main(
            ["--margins", str(tmp_path / "none"), "--work", str(tmp_path), "--model", str(tmp_path)]
        )
    assert stop.value.code == 2
