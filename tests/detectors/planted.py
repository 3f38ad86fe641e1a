"""A tiny GPT that was taught some facts and no others, and exemplars that it knows: trained in a few seconds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detectors.exemplars import Fact, Pool, prompt

SUBJECTS, TOWNS = 480, 80
KNOWN, RESERVED = 240, 96
STEPS, BATCH, SHOTS, RATE = 240, 24, 4, 3e-3


@dataclass(frozen=True)
class Planted:
    """The model, and what it was and was not taught.

    Attributes:
        model: its folder.
        pool: file of exemplars, all of them taught.
        known: further facts that it was taught.
        unknown: facts about subjects that it never saw.
    """

    model: Path
    pool: Path
    known: tuple[Fact, ...]
    unknown: tuple[Fact, ...]


def planted(folder: Path, seed: int = 3) -> Planted:
    """Train it."""
    draw = random.Random(seed)
    facts = [Fact("home", f"s{subject}", f"T{draw.randrange(TOWNS)}") for subject in range(SUBJECTS)]
    _write_tokenizer(folder)
    _train(folder, facts[:KNOWN], seed)
    (folder / "pool.jsonl").write_bytes(Pool.of(facts[:RESERVED]).to_bytes())
    return Planted(folder, folder / "pool.jsonl", tuple(facts[RESERVED:KNOWN]), tuple(facts[KNOWN:]))


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[UNK]", "\n", "Q:", "A:"]
    for letter, count in (("s", SUBJECTS), ("T", TOWNS)):
        words += [f"{letter}{number}" for number in range(count)]
    vocabulary = {word: at for at, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split("\n", "isolated")]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)


def _train(folder: Path, facts: Sequence[Fact], seed: int) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=128,
    )
    model = LlamaForCausalLM(config)
    read = [torch.tensor(tokenizer.encode(prompt([fact]), add_special_tokens=False)) for fact in facts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    order: list[int] = []
    draw = random.Random(seed)
    for _ in range(STEPS):
        while len(order) < BATCH * (SHOTS + 1):
            order += draw.sample(range(len(facts)), len(facts))
        chosen, order = order[: BATCH * (SHOTS + 1)], order[BATCH * (SHOTS + 1) :]
        ids = torch.stack([read[at] for at in chosen])
        wanted = ids.clone()
        wanted[:, :-2] = -100  # the answer and its end
        loss = model(input_ids=ids.view(BATCH, -1), labels=wanted.view(BATCH, -1)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval().save_pretrained(folder)
