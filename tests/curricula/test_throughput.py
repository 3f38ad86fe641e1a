"""Speed: FLOPs as torch counts them, the peak by the device's name, and nothing said where nothing is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.detectors.tiny_models import need_torch, write_causal

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

import torch  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from curricula.encoding import Encoded  # noqa: E402
from curricula.model import Decoder, EncoderDecoder, Pretrained, Shape, Trainable  # noqa: E402
from curricula.packing import IGNORED, Packed, Row, cut, pack, stacked  # noqa: E402
from curricula.recipe import Recipe  # noqa: E402
from curricula.throughput import Meter, Work, peak_flops, speed_of, work_of  # noqa: E402
from curricula.training import Job, Scratch, run_job  # noqa: E402
from tests.curricula.training_data import write_texts  # noqa: E402

CPU = torch.device("cpu")
SHAPE = Shape(64, width=32, layers=3, heads=2, kv_heads=1, hidden=48, context=64)


def packed(lengths: list[int], size: int, sources: list[int] | None = None) -> list[Packed]:
    draw = np.random.default_rng(0)
    rows = [
        Encoded(
            draw.integers(1, 60, length),
            np.ones(length, np.bool_),
            None if sources is None else draw.integers(1, 60, sources[at]),
        )
        for at, length in enumerate(lengths)
    ]
    read = (Row(at, row) for at, row in enumerate(rows))
    return list(pack(lambda epoch, first: read, size, splits=False, pad=0, epochs=1))


def counted(model: Trainable, blocks: list[Packed]) -> float:
    """FLOPs of a forward and a backward pass, the head at learnt positions, as torch counts them."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # of which every product is seen
        block = stacked(blocks, CPU)
        model.head(model.hidden(block)[block.targets != IGNORED]).sum().backward()
    return float(counter.get_total_flops())


def llama(**settings: object) -> Pretrained:
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return Pretrained(LlamaForCausalLM(LlamaConfig(vocab_size=64, num_key_value_heads=1, **size, **settings)))


@pytest.mark.parametrize("kind", ["decoder", "tied", "untied"])
def test_flops_of_a_whole_block_are_those_that_torch_counts(kind: str) -> None:
    model = Decoder(SHAPE) if kind == "decoder" else llama(tie_word_embeddings=kind == "tied")
    blocks = packed([40, 40], 40)
    work = work_of(model)
    assert work is not None
    assert work.of(blocks) == pytest.approx(counted(model, blocks), rel=0.02)


def test_positions_that_are_looked_up_cost_nothing() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=1024)
    model = Pretrained(GPT2LMHeadModel(config))
    blocks = packed([40, 40], 40)
    work = work_of(model)
    assert work is not None
    assert work.of(blocks) == pytest.approx(counted(model, blocks), rel=0.02)


def test_flops_of_an_encoder_decoder_are_those_that_torch_counts() -> None:
    model = EncoderDecoder(replace(SHAPE, encoder_layers=2))
    blocks = packed([32], 32, [32])
    work = work_of(model)
    assert work is not None
    assert work.of(blocks) == pytest.approx(counted(model, blocks), rel=0.02)


def test_weights_of_a_published_size_cost_what_is_published() -> None:
    """SmolLM2-135M: 134.5 million weights, tied; 6 each, and 12 * 30 layers * 576 * 1,024 of attention."""
    with torch.device("meta"):
        shape = Shape(49_152, width=576, layers=30, heads=9, kv_heads=3, hidden=1536, context=1024)
        model = Decoder(shape)
    work = work_of(model)
    assert work is not None
    weights = 49_152 * 576 + 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    assert work.target + work.head == 6 * weights == pytest.approx(6 * 134.5e6, rel=0.001)
    assert work.attention * 1024 == 12 * 30 * 576 * 1024


def test_documents_of_a_block_cost_less_than_one_as_long_and_padding_costs_nothing() -> None:
    work = Work(target=10.0, head=0.0, attention=1.0)
    assert work.of(packed([40], 40)) == 400 + 1600
    assert work.of(packed([20, 20], 40)) == 400 + 2 * 400
    assert work.of(packed([20], 40)) == 200 + 400
    assert work.of([cut(packed([40], 40)[0], 10)]) == 100 + 100


def test_logits_of_tokens_that_are_not_learnt_cost_nothing() -> None:
    block = packed([40], 40)[0]
    half = replace(block, targets=np.where(np.arange(40) < 20, IGNORED, block.targets))
    work = Work(target=10.0, head=7.0, attention=0.0)
    assert work.of([block]) - work.of([half]) == 7.0 * 20


def test_frozen_weights_cost_a_forward_pass_and_half_a_backward_one(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    lm = AutoModelForCausalLM.from_pretrained(write_causal(tmp_path))
    whole = work_of(Pretrained(lm))
    low = work_of(Pretrained(AutoModelForCausalLM.from_pretrained(tmp_path), lora_rank=1))
    assert whole is not None and low is not None
    assert 4 / 6 < low.target / whole.target < 0.75
    assert low.attention == whole.attention


def test_a_mixture_of_experts_has_no_known_cost() -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = MixtralConfig(vocab_size=64, num_key_value_heads=1, num_local_experts=2, **size)
    assert work_of(Pretrained(MixtralForCausalLM(config))) is None


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10", 125e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce GTX 1080", None),
        ("", None),
    ],
)
def test_the_peak_is_that_of_the_device_of_the_name(name: str, peak: float | None) -> None:
    assert peak_flops(name) == peak


def test_on_a_cpu_speed_and_memory_are_known_and_utilisation_is_not() -> None:
    meter = Meter(Decoder(SHAPE), CPU, bfloat16=True, world=1)
    found = meter.stop(packed([40], 64))
    assert found["tokens_per_s"] is not None and found["tokens_per_s"] > 0
    assert found["mfu"] is None
    assert found["peak_memory_mb"] is None or found["peak_memory_mb"] > 10


def test_a_run_says_how_fast_it_was_in_every_line_and_in_its_record(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 60)
    recipe = Recipe(block=32, batch=4, micro=2, tokens=2000)
    scratch = Scratch(width=32, layers=1, heads=2, vocabulary=300)
    outcome = run_job(Job((str(data),), scratch=scratch, recipe=recipe), tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    updates = [line for line in lines if "loss" in line]
    assert all(line["tokens_per_s"] > 0 and line["mfu"] is None and "peak_memory_mb" in line for line in updates)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["speed"] == dict(outcome.speed) == speed_of(tmp_path / "out" / "metrics.jsonl")
    assert record["speed"]["tokens_per_s"] > 0 and record["speed"]["mfu"] is None


def test_the_speed_of_a_run_leaves_its_first_updates_out(tmp_path: Path) -> None:
    rates = [1.0, 2.0, 3.0, 100.0, 300.0, 200.0]
    lines = [{"loss": 1.0, "tokens_per_s": rate, "mfu": rate / 1e3, "peak_memory_mb": rate} for rate in rates]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"dev_loss": 1.0}]))
    assert speed_of(tmp_path / "m.jsonl") == {"tokens_per_s": 200.0, "mfu": 0.2, "peak_memory_mb": 300.0}
    (tmp_path / "none.jsonl").write_text("")
    assert speed_of(tmp_path / "none.jsonl") == {"tokens_per_s": None, "mfu": None, "peak_memory_mb": None}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: run on a machine with CUDA to measure utilisation")
def test_on_a_gpu_utilisation_is_a_share_and_memory_is_that_of_tensors() -> None:
    device = torch.device("cuda")
    model = Decoder(replace(SHAPE, width=64)).to(device)
    meter = Meter(model, device, bfloat16=True, world=1)
    blocks = packed([40], 64)
    assert int((stacked(blocks, device).targets != IGNORED).sum()) == 39
    found = meter.stop(blocks)
    assert found["peak_memory_mb"] is not None and found["peak_memory_mb"] > 0
    if peak_flops(torch.cuda.get_device_name()) is not None:
        assert found["mfu"] is not None and 0 <= found["mfu"] < 1
