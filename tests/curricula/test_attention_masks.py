"""Attention to packed documents by blocks sees what the mask of booleans sees."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests.detectors.tiny_models import need_torch

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

import torch  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.nn.attention.flex_attention import create_mask  # noqa: E402

from curricula.attention_masks import (  # noqa: E402
    attend,
    causal_mask,
    document_blocks,
    mask_of,
    takes_blocks,
    with_blocks,
)
from curricula.encoding import Encoded  # noqa: E402
from curricula.model import Decoder, Pretrained, Shape, Trainable  # noqa: E402
from curricula.packing import Row, TokenBlock, pack, stacked  # noqa: E402
from curricula.trainer import loss_sum  # noqa: E402

CPU = torch.device("cpu")
need_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU: run on a machine with CUDA to test attention by blocks in training"
)


def documents(lengths: list[int], size: int) -> torch.Tensor:
    found = torch.full((1, size), -1)
    at = 0
    for number, length in enumerate(lengths):
        found[0, at : at + length] = number
        at += length
    return found


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=3))
def test_blocks_see_what_the_mask_sees(lengths: list[int]) -> None:
    document = documents(lengths, 64)
    blocks = document_blocks(document)
    dense = create_mask(blocks.mask_mod, 1, 1, 64, 64, device="cpu")
    assert torch.equal(dense, causal_mask(document))


def test_blocks_with_a_window_see_no_further_back() -> None:
    document = documents([50, 14], 64)
    dense = create_mask(document_blocks(document, window=8).mask_mod, 1, 1, 64, 64, device="cpu")
    back = torch.arange(64)[:, None] - torch.arange(64)[None]
    assert torch.equal(dense, causal_mask(document) & (back < 8))


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_attention_by_blocks_is_that_by_mask_however_heads_are_shared(kv_heads: int) -> None:
    torch.manual_seed(0)
    document = documents([50, 30, 40], 128)
    q = torch.randn(1, 6, 128, 16)
    k, v = torch.randn(2, 1, kv_heads, 128, 16)
    with torch.inference_mode():
        one, other = (attend(q, k, v, mask) for mask in (document_blocks(document), causal_mask(document)))
    assert torch.allclose(one, other, atol=1e-5)


def test_on_a_cpu_the_mask_is_used() -> None:
    assert not takes_blocks(documents([50, 78], 128), 64)


def packed(size: int, device: torch.device) -> TokenBlock:
    draw = np.random.default_rng(1)
    rows = [draw.integers(1, 50, length) for length in (50, 30, 40)]
    encoded = [Row(at, Encoded(ids, np.ones(len(ids), np.bool_))) for at, ids in enumerate(rows)]
    blocks = list(pack(lambda epoch, first: iter(encoded), size, splits=False, pad=0, epochs=1))
    return stacked(blocks, device)


def tiny(**settings: object) -> Pretrained:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = LlamaConfig(vocab_size=50, num_key_value_heads=2, initializer_range=0.2, **size, **settings)
    return Pretrained(LlamaForCausalLM(config))


def test_a_model_of_transformers_gets_blocks_once_it_attends_by_them() -> None:
    model, block = tiny(), packed(128, CPU)
    assert isinstance(mask_of(model.plain.config, block.document, block.position), torch.Tensor)
    with_blocks(model.plain)
    blocks = mask_of(model.plain.config, block.document, block.position)
    assert not isinstance(blocks, torch.Tensor | dict)
    dense = create_mask(blocks.mask_mod, 1, 1, 128, 128, device="cpu")
    assert torch.equal(dense, causal_mask(block.document))


def test_a_model_with_dropout_in_its_attention_keeps_its_mask() -> None:
    model = tiny(attention_dropout=0.1)
    with_blocks(model.plain)
    assert model.plain.config._attn_implementation == "sdpa"


@pytest.mark.skipif(
    "FOXING_COMPILE" not in os.environ, reason="compiling takes a minute: set FOXING_COMPILE=1 to run this test"
)
def test_a_compiled_loss_by_blocks_is_that_by_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    shape = Shape(50, width=64, layers=2, heads=4, kv_heads=2, hidden=64, context=128)
    model, block = Decoder(shape), packed(128, CPU)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler
        by_mask = float(loss_sum(model, block))
        monkeypatch.setattr("curricula.model.takes_blocks", lambda document, width: True)  # as on a GPU
        assert float(torch.compile(loss_sum)(model, block)) == pytest.approx(by_mask, rel=1e-5)


def gradients(model: Trainable, block: TokenBlock) -> dict[str, torch.Tensor]:
    assert isinstance(model, torch.nn.Module)
    model.zero_grad()
    loss_sum(model, block).backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@need_gpu
def test_on_a_gpu_losses_and_gradients_by_blocks_are_those_by_mask() -> None:
    device = torch.device("cuda")
    torch.manual_seed(0)
    shape = Shape(50, width=96, layers=2, heads=6, kv_heads=2, hidden=64, context=128)
    model, block = Decoder(shape).to(device), packed(128, device)
    assert takes_blocks(block.document, 16)
    found = []
    for model.by_blocks in (True, False):
        found.append((float(loss_sum(model, block).detach()), gradients(model, block)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for name, value in found[0][1].items():
        assert torch.allclose(value, found[1][1][name], rtol=1e-3, atol=1e-3), name


@need_gpu
def test_on_a_gpu_a_model_of_transformers_has_the_same_gradients_by_blocks() -> None:
    device = torch.device("cuda")
    model, block = tiny().to(device), packed(128, device)
    by_mask = gradients(model, block)
    with_blocks(model.plain)
    for name, value in gradients(model, block).items():
        assert torch.allclose(value, by_mask[name], rtol=1e-3, atol=1e-3), name


@need_gpu
def test_on_a_gpu_no_document_sees_another_by_blocks() -> None:
    device = torch.device("cuda")
    shape = Shape(50, width=64, layers=2, heads=4, kv_heads=4, hidden=64, context=128)
    model, block = Decoder(shape).to(device), packed(128, device)
    changed = block.ids.clone()
    changed[0, 50:80] = (changed[0, 50:80] + 1) % 50
    with torch.inference_mode():
        one, other = model.hidden(block), model.hidden(replace(block, ids=changed))
    assert torch.equal(one[0, :50], other[0, :50]) and torch.equal(one[0, 80:120], other[0, 80:120])
    assert not torch.allclose(one[0, 50:80], other[0, 50:80])
