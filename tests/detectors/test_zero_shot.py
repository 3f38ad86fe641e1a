"""Zero-shot scores: each formula, its sign, and two models that must read the same tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from detectors.ai_text.zero_shot import METHODS, load_zero_shot, statistic
from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.language_model import Scores
from detectors.protocols import Device
from tests.detectors.tiny_models import need_torch, prose, write_causal

need_torch()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_causal(tmp_path_factory.mktemp("second"), seed=4)


def scores(log_p: list[float], rank: list[int], mean: list[float], variance: list[float]) -> Scores:
    return Scores(np.float32(log_p), np.array(rank), np.float32(mean), np.float32(variance))


def test_each_formula_on_numbers_worked_out_by_hand() -> None:
    found = scores([-1.0, -3.0], [1, 4], [-2.0, -3.0], [3.0, 1.0])
    assert statistic("likelihood", found) == pytest.approx(-2.0)
    assert statistic("log-rank", found) == pytest.approx(-np.log(4) / 2)
    assert statistic("lrr", found) == pytest.approx(4 / np.log(4))
    assert statistic("fast-detectgpt", found) == pytest.approx((-4 + 5) / 2)
    assert statistic("binoculars", found) == pytest.approx(-4 / 5)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_text_that_the_model_expects_scores_higher(method: str) -> None:
    expected = scores([-0.4, -0.5], [1, 2], [-1.0, -1.0], [1.0, 1.0])
    surprising = scores([-4.0, -6.0], [900, 90_000_000_000], [-1.0, -1.0], [1.0, 1.0])
    assert statistic(method, expected) > statistic(method, surprising)


def test_what_is_undefined_is_nan() -> None:
    certain = scores([0.0], [1], [0.0], [0.0])
    assert np.isnan([statistic(method, certain) for method in ("lrr", "fast-detectgpt", "binoculars")]).all()
    assert all(np.isnan(statistic(method, Scores(np.zeros(0, np.float32)))) for method in METHODS)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_margins_come_from_the_models(method: str, folder: Path, second: Path) -> None:
    observer = str(second) if method == "binoculars" else ""
    shot = load_zero_shot(method, str(folder), observer, Device.CPU, max_tokens=40)
    short, long = prose(20, 1), prose(90, 2)
    margins = shot.margins([short, long, ""])
    ids = shot.model.tokens.marked(shot.model.tokens.ids(short))
    (found,) = shot.model.score([ids], shot.batching, sampler=shot.observer)
    assert margins.document[0] == pytest.approx(statistic(method, found), abs=1e-6)
    windows = margins.windows.to_pylist()
    assert windows[0] is None and windows[2] is None and len(windows[1]) == 3
    assert np.isnan(margins.document[2])


def test_an_observer_changes_the_expectations_of_fast_detectgpt(folder: Path, second: Path) -> None:
    text = [prose(60, 3)]
    alone = load_zero_shot("fast-detectgpt", str(folder), "", Device.CPU).margins(text).document[0]
    same = load_zero_shot("fast-detectgpt", str(folder), str(folder), Device.CPU).margins(text).document[0]
    other = load_zero_shot("fast-detectgpt", str(folder), str(second), Device.CPU).margins(text).document[0]
    assert same == pytest.approx(alone, abs=1e-5)
    assert abs(other - alone) > 1e-2


def test_binoculars_of_a_model_with_itself_is_its_perplexity_over_its_entropy(folder: Path) -> None:
    shot = load_zero_shot("binoculars", str(folder), str(folder), Device.CPU)
    ids = shot.model.tokens.ids(prose(60, 3))
    (found,) = shot.model.score([ids], shot.batching)
    expected = -float(found.log_p.sum() / found.mean.sum())
    assert shot.margins([prose(60, 3)]).document[0] == pytest.approx(expected, abs=1e-5)


def test_models_that_read_other_tokens_are_refused(folder: Path, tmp_path: Path) -> None:
    larger = write_causal(tmp_path / "larger", words=("unseen",))
    with pytest.raises(SignalError, match="logits"):
        load_zero_shot("binoculars", str(folder), str(larger), Device.CPU)
    marked = write_causal(tmp_path / "marked", marks=True)
    with pytest.raises(SignalError, match="other marks before a text"):
        load_zero_shot("binoculars", str(folder), str(marked), Device.CPU)


def test_methods_and_observers_are_checked(folder: Path) -> None:
    with pytest.raises(SignalError, match="Set observer to one with the same tokenizer"):
        load_zero_shot("binoculars", str(folder), "", Device.CPU)
    with pytest.raises(SignalError, match="lrr uses one model"):
        load_zero_shot("lrr", str(folder), str(folder), Device.CPU)
    with pytest.raises(SignalError, match="no method 'magic'"):
        load_zero_shot("magic", str(folder), "", Device.CPU)


def test_signal_over_a_language_model_keeps_the_contract(folder: Path) -> None:
    from tests.detectors.test_encoder import Tiered

    documents = awkward_documents(("response",))
    small = Documents(documents.batch.filter(pa.array(np.diff(documents.offsets) < 20_000)))
    check_signal(Tiered(model=str(folder), method="fast-detectgpt"), small)
