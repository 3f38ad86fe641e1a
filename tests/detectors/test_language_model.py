"""Scoring with a causal model: the statistics are the model's, chunked or not, alone or in batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.errors import SignalError
from detectors.hub import digest_of, located
from detectors.language_model import LanguageModel, load_language_model
from detectors.protocols import Device
from detectors.tokens import Batching, equal_spans
from tests.detectors.tiny_models import need_torch, prose, write_causal

need_torch()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load_language_model(str(folder), Device.CPU)


def ids_of(model: LanguageModel, words: int, seed: int = 1) -> np.ndarray:
    return model.tokens.marked(model.tokens.ids(prose(words, seed)))


def test_statistics_are_those_of_the_whole_logits(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("detectors.language_model._CHUNK_POSITIONS", 7)
    ids = ids_of(model, 50)
    (scores,) = model.score([ids], Batching())
    with torch.inference_mode():
        logits = model.model(torch.from_numpy(ids)[None]).logits[0, :-1].double()
    log_p = torch.log_softmax(logits, 1).numpy()
    p, came = np.exp(log_p), log_p[np.arange(len(ids) - 1), ids[1:]]
    assert model.has_head
    np.testing.assert_allclose(scores.log_p, came, atol=1e-4)
    assert scores.rank.tolist() == (1 + (log_p > came[:, None] + 1e-9).sum(1)).tolist()
    np.testing.assert_allclose(scores.entropy, -(p * log_p).sum(1), atol=1e-4)
    np.testing.assert_allclose(scores.variance, (p * log_p**2).sum(1) - (p * log_p).sum(1) ** 2, atol=1e-3)


def test_a_sequence_alone_has_the_same_bits_in_any_company_and_batches_agree_within_noise(model: LanguageModel) -> None:
    sequences = [ids_of(model, words, seed) for seed, words in enumerate((40, 3, 80, 17))]
    alone = [model.score([ids], Batching())[0] for ids in sequences]
    together = model.score(sequences, Batching())
    batched = model.score(sequences, Batching(tokens=256, step=16))
    for one, two, three in zip(alone, together, batched, strict=True):
        assert one.log_p.tobytes() == two.log_p.tobytes()
        assert one.variance.tobytes() == two.variance.tobytes()
        np.testing.assert_allclose(one.log_p, three.log_p, atol=1e-4)
        np.testing.assert_allclose(one.mean, three.mean, atol=1e-4)


def test_expectations_are_taken_under_the_sampler(model: LanguageModel, tmp_path: Path) -> None:
    import torch

    other = load_language_model(str(write_causal(tmp_path, seed=5)), Device.CPU)
    ids = ids_of(model, 30)
    (scores,) = model.score([ids], Batching(), sampler=other)
    with torch.inference_mode():
        log_p = torch.log_softmax(model.model(torch.from_numpy(ids)[None]).logits[0, :-1].double(), 1).numpy()
        q = torch.softmax(other.model(torch.from_numpy(ids)[None]).logits[0, :-1].double(), 1).numpy()
    np.testing.assert_allclose(scores.mean, (q * log_p).sum(1), atol=1e-4)
    (own,) = model.score([ids], Batching())
    assert own.log_p.tobytes() == scores.log_p.tobytes()
    assert np.abs(own.mean - scores.mean).max() > 1e-2


def test_what_is_not_asked_for_is_not_computed(model: LanguageModel) -> None:
    (scores,) = model.score([ids_of(model, 10)], Batching(), ranks=False, moments=False)
    assert len(scores.log_p) > 0
    assert len(scores.rank) == len(scores.mean) == len(scores.variance) == 0


def test_one_token_has_nothing_to_score(model: LanguageModel) -> None:
    one, two = model.score([np.array([5]), np.array([5, 6])], Batching())
    assert (len(one.log_p), len(two.log_p)) == (0, 1)


def test_a_model_that_scales_its_logits_is_scored_by_its_own_head(tmp_path: Path) -> None:
    import torch
    from transformers import CohereConfig, CohereForCausalLM

    write_causal(tmp_path)
    size = 300
    config = CohereConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=64,
        logit_scale=3.0,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    CohereForCausalLM(config).save_pretrained(tmp_path)
    model = load_language_model(str(tmp_path), Device.CPU)
    ids = ids_of(model, 20)
    (scores,) = model.score([ids], Batching())
    with torch.inference_mode():
        log_p = torch.log_softmax(model.model(torch.from_numpy(ids)[None]).logits[0, :-1].double(), 1).numpy()
    assert not model.has_head
    np.testing.assert_allclose(scores.log_p, log_p[np.arange(len(ids) - 1), ids[1:]], atol=1e-4)


def test_marks_are_those_that_the_tokenizer_puts_around_a_text(tmp_path: Path, model: LanguageModel) -> None:
    marked = load_language_model(str(write_causal(tmp_path, marks=True)), Device.CPU)
    assert (model.tokens.prefix, model.tokens.suffix) == ((), ())
    assert (marked.tokens.prefix, marked.tokens.suffix) == ((2,), (3,))
    assert marked.tokens.marked(np.array([9])).tolist() == [2, 9, 3]


def test_a_model_without_weights_for_its_head_is_refused(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    write_causal(tmp_path)
    AutoModelForCausalLM.from_pretrained(tmp_path).base_model.save_pretrained(tmp_path)
    with pytest.raises(SignalError, match="has no weights for lm_head"):
        load_language_model(str(tmp_path), Device.CPU)


def test_an_adapter_alone_is_refused_as_its_base_is_part_of_no_digest(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "adapter")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "../base"}')
    with pytest.raises(SignalError, match="an adapter without the model"):
        load_language_model(str(folder), Device.CPU, precision="float32")


def test_pickled_weights_are_refused_unopened(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "run").encode() + b"'\ntR.")
    with pytest.raises(SignalError, match=r"pickled \(\.bin\).*safetensors"):
        load_language_model(str(folder), Device.CPU)
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_absent_is_an_error_only_when_asked_for(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here, so it is not absent")
    with pytest.raises(SignalError, match="no GPU"):
        load_language_model(str(folder), Device.CUDA)
    assert load_language_model(str(folder), Device.AUTO).device.type == "cpu"
    with pytest.raises(SignalError, match="precision 'float8' is none of"):
        load_language_model(str(folder), Device.CPU, precision="float8")


def test_a_hub_id_is_never_fetched_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(SignalError, match="HF_HUB_OFFLINE is set and it is not cached"):
        located("owner/model-that-nobody-has", "model")
    with pytest.raises(SignalError, match="no such file or folder"):
        located(str(tmp_path / "missing"), "model")


def test_a_cached_model_is_taken_without_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    asked: list[bool] = []
    cached = [str(tmp_path)]

    def fetched(name: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        asked.append(local_files_only)
        assert "*.py" not in allow_patterns
        if local_files_only and not cached:
            raise LocalEntryNotFoundError("not cached")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert located("owner/name", "model") == tmp_path
    assert asked == [True]
    cached.clear()
    assert located("owner/name", "model") == tmp_path
    assert asked == [True, True, False]


def test_a_misspelt_path_is_not_taken_for_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for name in ("models/detektor", "detector", "a/b/c"):
        with pytest.raises(SignalError, match="no such file or folder"):
            located(name, "model")


def test_digest_follows_content_and_ignores_notes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = digest_of(tmp_path)
    (tmp_path / "README.md").write_text("words")
    assert digest_of(tmp_path) == first
    (tmp_path / "config.json").write_text("{ }")
    assert digest_of(tmp_path) != first


@pytest.mark.parametrize("tokens", [0, 1, 7, 8, 9, 100])
def test_spans_cover_all_tokens_and_differ_by_one_at_most(tokens: int) -> None:
    spans = equal_spans(tokens, 8)
    assert [index for start, stop in spans for index in range(start, stop)] == list(range(tokens))
    sizes = {stop - start for start, stop in spans}
    assert len(spans) == -(-tokens // 8) and (not sizes or max(sizes) - min(sizes) <= 1)
