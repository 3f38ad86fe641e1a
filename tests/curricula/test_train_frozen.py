"""Fitting the encoder tier's head: what is left out, what is written, from labelled text made in code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curricula import frozen_fit, train_frozen
from curricula.detector_corpus import read_corpus
from curricula.frozen_fit import fit_head, home, left_out, weights_of
from curricula.frozen_sample import EXTRA, MIRROR, MODERN, OTHER, drawn, fitted_on
from detectors.ai_text.frozen import load_frozen, read_frozen
from detectors.protocols import Device
from tests.detectors.tiny_models import need_torch, write_causal
from tests.labelled import corpus

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'foxing[train]'")


def rows() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "group": ["a", "b", MODERN, MIRROR, EXTRA, EXTRA, "c", EXTRA] * 2,
            "family": ["a", "b", "site", "a", "a", "site", "c", "c"] * 2,
            "split": ["train", "train", "dated_web", "mirror", "train", "dated_web", "train", "train"] * 2,
            "unit": ["a", "b", "newer/one", MIRROR, "a", "dated_web", "c", "c"] * 2,
            "label": [0] * 8 + [1] * 8,
        }
    )


def test_each_row_is_left_out_with_what_its_text_is_of() -> None:
    assert home(rows()).tolist()[:8] == ["a", "b", MODERN, MIRROR, "a", MODERN, "c", "c"]


def test_no_head_is_fitted_on_the_home_or_family_that_it_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, seen = rows(), list[set[int]]()

    def spied(states: np.ndarray, *rest: object) -> frozen_fit.Head:
        seen.append({int(value) % 8 for value in states[:, 0]})
        return frozen_fit.Head(np.ones(1), 0.0)

    monkeypatch.setattr(frozen_fit, "fit_head", spied)
    found = left_out(np.arange(16.0)[:, None], frame, 0.1)
    # a: without its own rows, the extra ones of it, and the mirrored text of its family
    every = set(range(8))
    assert seen == [every - {0, 3, 4}, every - {1}, every - {6, 7}, every - {3}, every - {2, 5}]
    assert np.isfinite(found[frame["group"].to_numpy() != EXTRA]).all()


def test_both_classes_weigh_the_same_and_large_units_less_a_row() -> None:
    weight = weights_of(np.array([0, 0, 0, 0, 0, 1]), np.array(["a", "a", "a", "a", "b", "a"]))
    assert weight[:5].sum() == pytest.approx(weight[5]) and weight.mean() == pytest.approx(1.0)
    assert weight[:4].sum() == pytest.approx(2 * weight[4])


def test_head_in_raw_states_ranks_as_it_was_fitted() -> None:
    random = np.random.default_rng(2)
    label = np.tile([0, 1], 100)
    states = np.column_stack([100 + 50 * (label + random.normal(size=200) / 4), random.normal(size=200), np.ones(200)])
    head = fit_head(states, label, np.ones(200), 1.0)
    assert ((head.of(states) > 0) == label).mean() > 0.95


def test_shorter_documents_come_between_those_that_are_measured(tmp_path: Path) -> None:
    frame = read_corpus(corpus(tmp_path)).frame
    found = fitted_on(frame)
    measured = drawn(frame).filter(pl.col("group") != OTHER)
    extra = found.filter(group=EXTRA)
    assert found.filter(pl.col("group") != EXTRA).equals(measured.select(found.columns))
    assert found["row"].n_unique() == found.height and set(extra["lang"]) == {"en"}
    assert extra["size"].min() >= 250 and extra["size"].max() < 800
    assert found["group"].to_list()[:10].count(EXTRA) == 2 and found["group"].to_list()[4] == EXTRA
    assert fitted_on(frame).equals(found)


def test_trainer_writes_a_head_that_loads_and_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_torch()
    corpus(tmp_path)
    frame = read_corpus(tmp_path).frame.drop("text").with_row_index("row").with_columns(enough=True)
    noise = pl.Series(np.random.default_rng(1).normal(size=frame.height))
    frame.with_columns(margin=pl.col("label") + noise).write_parquet(tmp_path / "margins.parquet")
    model = write_causal(tmp_path / "model")
    common = ["--data", str(tmp_path), "--work", str(tmp_path / "work"), "--model", str(model), "--layers", "1,2"]
    common += ["--precision", "float32", "--margins", str(tmp_path / "margins.parquet")]
    assert train_frozen.main([*common, "--out", str(tmp_path / "one"), "--scores", str(tmp_path / "s.parquet")]) == 0
    shown = capsys.readouterr().out
    assert "| mean, all |" in shown and "must not be used to judge" in shown
    kept = {path: path.stat().st_mtime_ns for path in frozen_fit.state_files(tmp_path / "work")}
    assert train_frozen.main([*common, "--out", str(tmp_path / "two")]) == 0
    assert kept == {path: path.stat().st_mtime_ns for path in frozen_fit.state_files(tmp_path / "work")}
    for name in ("frozen.json", "frozen.npz", train_frozen.CARD):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    # Kept states are of one model, these layers, this data: others would be mixed in unseen.
    layers = [*common[:-6], "--layers", "0,1", *common[-4:]]
    assert layers.count("--layers") == 1 and train_frozen.main([*layers, "--out", str(tmp_path / "three")]) == 2
    assert "holds states of other layers" in capsys.readouterr().err and not (tmp_path / "three").exists()
    record = read_frozen(tmp_path / "one")[0]
    assert record.layers == (1, 2) and record.fast_weight > 0
    loaded = load_frozen(tmp_path / "one", Device.CPU, model=str(model))
    assert loaded.max_tokens <= record.max_tokens
    scores = pl.read_parquet(tmp_path / "s.parquet")
    assert scores.null_count().sum_horizontal().item() == 0
    spread = scores.select((pl.col("both") - pl.col("head")).std() / pl.col("head").std()).item()
    assert spread == pytest.approx(1.0, abs=1e-6)


def test_margins_of_other_data_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_torch()
    corpus(tmp_path)
    gone = read_corpus(tmp_path).frame.head(3).drop("text").with_row_index("row")
    gone.with_columns(enough=True, margin=0.0).write_parquet(tmp_path / "margins.parquet")
    model = write_causal(tmp_path / "model")
    options = ["--data", str(tmp_path), "--work", str(tmp_path / "w"), "--model", str(model), "--layers", "1"]
    assert train_frozen.main([*options, "--margins", str(tmp_path / "margins.parquet"), "--out", str(tmp_path)]) == 2
    assert "documents. Write it from" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--layers", "1,b"), ("--margins", "none"), ("--model", "none")])
def test_options_that_name_nothing_are_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    need_torch()
    corpus(tmp_path)
    (tmp_path / "m").write_bytes(b"")
    options = {"--data": tmp_path, "--work": tmp_path / "w", "--out": tmp_path / "o", "--margins": tmp_path / "m"}
    chosen = {**options, "--model": tmp_path / "m", option: value}
    assert train_frozen.main([str(part) for pair in chosen.items() for part in pair]) == 2
    assert value in capsys.readouterr().err and not (tmp_path / "o").exists() and not (tmp_path / "w").exists()
