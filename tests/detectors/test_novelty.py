"""Novelty against whole logits worked out plainly, windows, batches, and planted text."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.novelty import MOST_CHARACTERS, Novelty, windows
from detectors.protocols import Device
from detectors.surprisal import lowest_mean, standardised, summary
from tests.detectors.tiny_models import WORDS, need_torch, prose, write_causal

FIELDS = ("surprisal", "surprisal_p95", "surprising", "min_k", "min_k_plus", "bits_per_byte", "zlib_ratio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_torch()
    return write_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_torch()
    return write_causal(tmp_path_factory.mktemp("marked"), marks=True, seed=3)


def measured(signal: Novelty, texts: Sequence[str | bytes | None]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = signal.load(Device.CPU)(Documents.from_texts(list(texts))).to_pylist()
    return found


def plainly(folder: Path, text: str, *, share: float, threshold: float) -> dict[str, float]:
    """What a text of one window should have, from logits of the whole vocabulary."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    bare = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    marks = [2] if tokenizer(text)["input_ids"][0] == 2 else []
    ids = torch.tensor([[*marks, *bare["input_ids"]]])
    with torch.inference_mode():
        log_p = torch.log_softmax(model(ids).logits[0, :-1].double(), 1)
    chosen = log_p[range(len(log_p)), ids[0, 1:]].numpy()
    p = log_p.exp()
    mean = (p * log_p).sum(1)
    spread = ((p * (log_p - mean[:, None]) ** 2).sum(1)).sqrt()
    bits = -chosen / np.log(2)
    z = (chosen - mean.numpy()) / spread.numpy()
    least = max(1, int(len(bits) * share))
    begin = bare["offset_mapping"][0 if marks else 1][0]
    span = text[begin : bare["offset_mapping"][-1][1]].encode()
    packed = zlib.compressobj(6, zlib.DEFLATED, -15)
    size = len(packed.compress(span) + packed.flush())
    return {
        "tokens": len(bits),
        "surprisal": bits.mean(),
        "surprisal_p95": np.percentile(bits, 95),
        "surprising": (bits > threshold).mean(),
        "min_k": -np.sort(bits)[::-1][:least].mean(),
        "min_k_plus": np.sort(z)[:least].mean(),
        "bits_per_byte": bits.sum() / len(span),
        "zlib_ratio": bits.sum() / (8 * size),
    }


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_numbers_are_those_of_whole_logits(folder: Path, marked: Path, share: float) -> None:
    text = prose(40, 2) + " Ünïcödé, x = 3."
    for model in (folder, marked):
        (found,) = measured(Novelty(model=str(model), window=100, share=share, threshold=8.0), [text])
        for name, value in plainly(model, text, share=share, threshold=8.0).items():
            assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
        assert (found["covered"] == 1.0) == (model == marked)


def test_the_lowest_values_are_counted_as_the_authors_count_them() -> None:
    values = np.array([3.0, -1.0, 2.0, 5.0, 0.0, 1.0, 4.0, 9.0, 8.0, 7.0])
    assert lowest_mean(values, 0.2) == pytest.approx(-0.5)
    assert lowest_mean(values, 0.29) == pytest.approx(-0.5)
    assert lowest_mean(values[:3], 0.2) == -1.0


def test_a_certain_model_gives_finite_numbers() -> None:
    zero = np.zeros(5)
    found = summary(zero, zero, zero, [b"a  b"], share=0.2, threshold=10.0)
    assert (found.mean, found.min_k, found.min_k_plus, found.bits_per_byte) == (0, 0, 0, 0)
    assert np.isfinite(standardised(np.array([-40.0]), np.array([-1e-9]), np.array([1e-14]))).all()
    assert summary(zero, zero, zero, [b""], share=0.2, threshold=10.0).bits_per_byte is None


def test_text_without_a_scored_token_is_null(folder: Path) -> None:
    found = measured(Novelty(model=str(folder)), [None, "", "  \n", "dog", "dog ran"])
    for row in found[:4]:
        assert set(row.values()) == {None}
    assert found[4]["tokens"] == 1 and found[4]["covered"] == 0.5 and found[4]["bits_per_byte"] is not None


def test_a_long_text_is_scored_up_to_the_cap_and_evenly(folder: Path) -> None:
    text = prose(1000, 4)
    (found,) = measured(Novelty(model=str(folder), max_tokens=96, window=32), [text])
    assert 80 < found["tokens"] <= 96 and found["covered"] == pytest.approx(found["tokens"] / 1001, abs=1e-4)


@given(words=st.integers(1, 300), capacity=st.integers(2, 40), most=st.integers(16, 200))
def test_windows_keep_the_cap_in_order_and_hold_the_bytes_of_their_tokens(words: int, capacity: int, most: int) -> None:
    tokens = _tokens()
    text = " ".join(WORDS[at % len(WORDS)] for at in range(words))
    total, pieces = windows(tokens, text, capacity, most)
    sizes = [len(piece.ids) for piece in pieces]
    assert total == words and sum(sizes) <= most and max(sizes) <= capacity and max(sizes) - min(sizes) <= 1
    runs = -(-words // min(capacity, most))
    assert len(pieces) == (runs if words <= most else most // -(-words // runs))
    at = 0
    for piece in pieces:
        found = text.find(piece.whole.decode(), at)
        assert found >= at and len(piece.whole.split()) == len(piece.ids)
        assert piece.rest.split() == piece.whole.split()[1:]
        at = found + 1


@given(st.text(alphabet="aé日👩 ", min_size=1, max_size=60), st.integers(2, 9))
def test_windows_that_cut_characters_count_their_bytes_once(text: str, capacity: int) -> None:
    total, pieces = windows(_letters(), text, capacity, 10_000)
    assert total == len(text.encode()) == sum(len(piece.ids) for piece in pieces)
    assert b"".join(piece.whole for piece in pieces).decode() == text
    for piece in pieces:
        assert len(piece.rest) <= len(piece.ids) + 2 and piece.whole.endswith(piece.rest)


def _letters() -> Any:
    """A token is a byte."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from detectors.tokens import Tokens

    if len(_KEPT) < 2:
        _tokens()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        _KEPT.append(Tokens.of(tokenizer))
    return _KEPT[1]


_KEPT: list[Any] = []


def _tokens() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    from detectors.tokens import Tokens

    if not _KEPT:
        tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(["?", *WORDS])}, unk_token="?"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        _KEPT.append(Tokens.of(tokenizer))
    return _KEPT[0]


def test_what_lies_beyond_the_first_characters_changes_nothing(marked: Path) -> None:
    text = "dog ran over hill " * (MOST_CHARACTERS // 18 + 1)
    signal = Novelty(model=str(marked), max_tokens=32, window=16)
    first, more = measured(signal, [text[:MOST_CHARACTERS], text[:MOST_CHARACTERS] + " boat" * 50])
    assert first == more


@pytest.mark.parametrize("batch_tokens", [0, 256])
def test_a_text_has_the_same_numbers_in_any_company(folder: Path, batch_tokens: int) -> None:
    texts = [prose(words, words) for words in (3, 60, 9, 130, 61, 250, 30)]
    signal = Novelty(model=str(folder), window=100, batch_tokens=batch_tokens)
    whole = measured(signal, texts)
    alone = [row for text in texts for row in measured(signal, [text])]
    paired = [*measured(signal, texts[:3]), *measured(signal, texts[3:])]
    for one, two, three in zip(whole, alone, paired, strict=True):
        for name, value in one.items():
            assert two[name] == pytest.approx(value, abs=2e-4) and three[name] == pytest.approx(value, abs=2e-4)


def test_batches_give_the_numbers_of_windows_alone(folder: Path) -> None:
    texts = [prose(words, words) for words in (3, 60, 9, 130, 61)]
    alone = measured(Novelty(model=str(folder), window=100), texts)
    batched = measured(Novelty(model=str(folder), window=100, batch_tokens=512), texts)
    for one, two in zip(alone, batched, strict=True):
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-3, abs=1e-3), name


@pytest.mark.parametrize("batch_tokens", [0, 256])
def test_novelty_keeps_the_contract_of_a_signal(folder: Path, batch_tokens: int) -> None:
    documents = awkward_documents()
    small = Documents(documents.batch.filter(pa.array(np.diff(documents.offsets) < 20_000)))
    check_signal(Novelty(model=str(folder), max_tokens=64, window=32, batch_tokens=batch_tokens).pinned(), small)


def test_seen_text_is_told_from_unseen_by_a_model_that_was_trained_on_it(tmp_path: Path) -> None:
    seen, unseen = _sentences(60, 1), _sentences(60, 2)
    folder = _trained(write_causal(tmp_path / "taught"), seen)
    signal = Novelty(model=str(folder), window=64)
    found = [measured(signal, texts) for texts in (seen, unseen)]
    for name in ("min_k_plus", "min_k"):
        known, new = ([row[name] for row in rows] for rows in found)
        assert _auroc(known, new) > 0.95, name
    for name in ("surprisal", "bits_per_byte", "surprisal_p95", "zlib_ratio"):
        known, new = ([row[name] for row in rows] for rows in found)
        assert _auroc(new, known) > 0.95, name


def _sentences(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=14)) + "." for _ in range(count)]


def _trained(folder: Path, texts: Sequence[str]) -> Path:
    """The model in a folder, trained on texts until it has them nearly by heart."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


def _auroc(higher: Sequence[float], lower: Sequence[float]) -> float:
    one, two = np.array(higher)[:, None], np.array(lower)[None, :]
    return float((one > two).mean() + 0.5 * (one == two).mean())


def test_a_model_must_be_named_and_be_the_one_that_was_meant(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SignalError, match=r"signal\.novelty"):
        Novelty().pinned()
    with pytest.raises(SignalError, match="model_digest"):
        Novelty(model=str(folder), model_digest="0" * 64).pinned()
    with pytest.raises(SignalError, match=r"novelty\.model"):
        Novelty(model=str(tmp_path / "none")).pinned()


@pytest.mark.parametrize(
    "values",
    [
        {"max_tokens": 3},
        {"window": 0},
        {"share": 0.0},
        {"share": 1.5},
        {"threshold": float("nan")},
        {"batch_tokens": -1},
    ],
)
def test_settings_outside_their_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        Novelty(**values)
