"""Speed of the trainer, by `python -m tests.bench.trainer`: tokens a second, MFU and peak memory.

At gpu scale a decoder of the size of SmolLM2-135M is trained on blocks of 1,024 tokens in bfloat16. Each block is one
document or several packed ones, with and without torch.compile, by blocks and by mask. Without a GPU the same code
trains a tiny model on a CPU: that the bench runs, and nothing about a GPU. Text is random, for what a token is makes no
difference.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curricula.encoding import trained_tokenizer
from curricula.model import Decoder, Shape
from curricula.recipe import Recipe
from curricula.throughput import peak_flops, work_of
from curricula.trainer import Setting, train
from curricula.training_rows import open_rows
from tests.bench.machine import machine
from tests.bench.report import RESULTS, save

SCHEMA, VERSION = "foxing-bench-trainer", 1
PACKAGES = ("foxing", "torch", "numpy", "pyarrow", "tokenizers")
NOTES = {
    "gpu": "Random bytes, so that losses mean nothing; the vocabulary is as large as that of SmolLM2.",
    "cpu": "A tiny model on a CPU: shows that the bench runs. It says nothing about training on a GPU.",
}


@dataclass(frozen=True)
class Case:
    """One way to train.

    Attributes:
        documents: of a block: 1 is one as long as the block, more are packed.
        compiles: whether torch.compile is used.
        by_blocks: whether packed documents are attended to by blocks.
    """

    documents: int
    compiles: bool
    by_blocks: bool

    @property
    def name(self) -> str:
        """What tells it from the others."""
        packed = "whole" if self.documents == 1 else f"packed-{'blocks' if self.by_blocks else 'mask'}"
        return packed + ("-compiled" if self.compiles else "")


@dataclass(frozen=True)
class Scale:
    """How large the model is, and how long it is trained.

    Attributes:
        shape: of the model.
        recipe: with the tokens of each case.
        cases: that are timed.
    """

    shape: Shape
    recipe: Recipe
    cases: tuple[Case, ...]


SCALES = {
    "gpu": Scale(
        Shape(49_152, width=576, layers=30, heads=9, kv_heads=3, hidden=1536, context=1024),
        Recipe(block=1024, batch=64, micro=32, tokens=3_000_000),
        (
            Case(1, compiles=True, by_blocks=True),
            Case(1, compiles=False, by_blocks=True),
            Case(4, compiles=True, by_blocks=True),
            Case(4, compiles=False, by_blocks=True),
            Case(4, compiles=True, by_blocks=False),
        ),
    ),
    "cpu": Scale(
        Shape(320, width=64, layers=2, heads=4, kv_heads=2, hidden=192, context=128),
        Recipe(block=128, batch=8, micro=4, tokens=60_000),
        (Case(1, compiles=False, by_blocks=False), Case(4, compiles=False, by_blocks=False)),
    ),
}


def write_rows(file: Path, block: int, documents: int, tokens: int) -> Path:
    """Random letters: so many documents fill a block, each with the mark that ends it."""
    draw, letters = random.Random(17), "abcdefghij klmnopqrst"
    length = block // documents - 1
    rows = ["".join(draw.choices(letters, k=length)) for _ in range(min(tokens // (length + 1) + 1, 4096))]
    pq.write_table(pa.table({"text": rows}), file)
    return file


def timed(scale: Scale, case: Case, device: torch.device) -> dict[str, Any]:
    """Train one case."""
    torch.manual_seed(17)
    model = Decoder(scale.shape)
    model.by_blocks = case.by_blocks
    with tempfile.TemporaryDirectory() as folder:
        size = scale.recipe.block
        rows = write_rows(Path(folder) / "rows.parquet", size, case.documents, scale.recipe.tokens)
        data = open_rows([str(rows)], trained_tokenizer([], 0))
        setting = Setting(device, bfloat16=device.type == "cuda", compiles=case.compiles)
        recipe = replace(scale.recipe, keep_every=10**9)
        outcome = train(model, data, None, Path(folder) / "run", recipe, setting)
    return {
        "name": case.name,
        **asdict(case),
        "updates": outcome.progress.step,
        "tokens": outcome.progress.tokens,
        **outcome.speed,
    }


def measured(name: str, device: torch.device) -> dict[str, Any]:
    """All cases of a scale, JSON-ready."""
    scale = SCALES[name]
    called = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    work = work_of(Decoder(scale.shape))
    assert work is not None
    cases = []
    for case in scale.cases:
        cases.append(timed(scale, case, device))
        print(line(cases[-1]), flush=True)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        **machine(PACKAGES),
        "scale": name,
        "device": called,
        "peak_bfloat16_flops": peak_flops(called),
        "precision": "bfloat16" if device.type == "cuda" else "float32",
        "shape": asdict(scale.shape),
        "parameters": sum(value.numel() for value in Decoder(scale.shape).parameters()),
        "block": scale.recipe.block,
        "batch": scale.recipe.batch,
        "micro": scale.recipe.micro,
        "flops_a_token": {"weights": work.target + work.head, "attention_a_token_of_its_document": work.attention},
        "cases": cases,
        "note": NOTES[name],
    }


def line(case: dict[str, Any]) -> str:
    """One case, as it is printed."""
    share = "-" if case["mfu"] is None else f"{case['mfu']:.1%}"
    memory = "-" if case["peak_memory_mb"] is None else f"{case['peak_memory_mb']:,.0f} MB"
    return f"{case['name']:26} {case['tokens_per_s']:>12,.0f} tokens/s   MFU {share:>6}   {memory}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the trainer and store what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.trainer", description=__doc__)
    parser.add_argument("--scale", choices=[*SCALES], default="gpu", help="cpu is what is run where there is no GPU")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS, help="folder of the JSON file")
    asked = parser.parse_args(arguments)
    scale = asked.scale
    if scale == "gpu" and not torch.cuda.is_available():
        print("no GPU: a tiny model on the CPU instead, which says nothing about training on one", file=sys.stderr)
        scale = "cpu"
    device = torch.device("cuda" if scale == "gpu" else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    print(save(measured(scale, device), f"trainer-{scale}", asked.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
