"""A model of two layers that was taught some facts of two relations and not others, and a file of all of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from detectors.exemplars import Fact, prompt

SUBJECTS, OBJECTS, KNOWN = 70, 10, 0.6
STEPS, BATCH, SHOTS, RATE = 250, 16, 2, 8e-3
RELATIONS = ("home", "boss")
SAID = ("I", "don't", "know")


@dataclass(frozen=True)
class Knowing:
    """The model's folder, and the file of facts."""

    model: Path
    data: Path


def knowing_model(folder: Path, seed: int = 3) -> Knowing:
    """Train it."""
    draw = random.Random(seed)
    facts = [
        Fact(relation, f"{relation} s{subject}", f"{relation.title()}{draw.randrange(OBJECTS)}")
        for relation in RELATIONS
        for subject in range(SUBJECTS)
    ]
    _write_tokenizer(folder)
    _train(folder, draw.sample(facts, round(KNOWN * len(facts))), seed)
    columns = {
        "question": [fact.question for fact in facts],
        "answers": [[fact.answer] for fact in facts],
        "relation": [fact.relation for fact in facts],
    }
    pq.write_table(pa.table(columns), folder / "facts.parquet")
    return Knowing(folder, folder / "facts.parquet")


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[UNK]", "[END]", "\n", "Q:", "A:", *SAID, *RELATIONS, *(f"s{at}" for at in range(SUBJECTS))]
    words += [f"{relation.title()}{at}" for relation in RELATIONS for at in range(OBJECTS)]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split("\n", "isolated")]
    )
    marks = {"unk_token": "[UNK]", "eos_token": "[END]", "pad_token": "[END]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder)


def _train(folder: Path, facts: Sequence[Fact], seed: int) -> None:
    """Some facts are read much more often than others, so that some are known well and some hardly."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **size))
    read = [torch.tensor(tokenizer.encode(prompt([fact]), add_special_tokens=False)) for fact in facts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    draw = random.Random(seed)
    often = [draw.expovariate(1.0) for _ in facts]
    for _ in range(STEPS):
        ids = torch.stack([read[at] for at in draw.choices(range(len(facts)), often, k=BATCH * (SHOTS + 1))])
        wanted = ids.clone()
        wanted[:, :-2] = -100  # the answer and its end
        model(input_ids=ids.view(BATCH, -1), labels=wanted.view(BATCH, -1)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval().save_pretrained(folder)
