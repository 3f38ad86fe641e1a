"""Uniform formats with a language model: 25 kinds of instructions, which a program checks.

The measures are those of the small language (`curricula.experiments.flaws`). Synthetic data are made-up facts in one
format or in many. What the model wrote before is its clean text, beside human text where there is some; and those of
its answers that keep to their instruction are what every arm is tuned on afterwards.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curricula.encoding import Encoder
from curricula.experiments.flaws import AXES, curves, measured, tables
from curricula.experiments.flaws_arms import LEARNT, Arrays, Plan, Sets, arms
from curricula.experiments.flaws_lab import Asked, Lab, setting_on
from curricula.experiments.flaws_world import ASKED, CHAT, UNIFORM, Language
from curricula.experiments.source import Source
from curricula.experiments.tuned import loaded
from curricula.instructions import KINDS, Check, Instruction, instructions
from curricula.writing import Sampling
from detectors.errors import InputError
from detectors.hub import digest_of, located
from detectors.protocols import Device

__all__ = ["AXES", "Recipe", "curves", "measured", "run_seed", "tables"]

_TEXT = "bench/human_web_40k.parquet"
_ROW = 12
_HELD = 8


@dataclass(frozen=True)
class Recipe:
    """Fixed before the seeds that count.

    Attributes:
        model: folder, GGUF file or hub id.
        data: Parquet file with a column `text` of human text; empty is none.
        device: auto, cpu or cuda.
        model_digest: of the model's files.
        data_digest: of the texts that are read.
        subjects: who do not exist, of each of whom there are four facts.
        objects: of each relation.
        block: tokens a block.
        batch: blocks of an update.
        micro: blocks that go through together.
        kinds: of instructions.
        asked: instructions that count, and as many facts.
        written: instructions that the model answers beforehand.
        texts: human texts that are read.
        max_tokens: of an answer.
        plan: of the arms.
    """

    model: str = "smollm2"
    data: str = ""
    device: str = "auto"
    model_digest: str = ""
    data_digest: str = ""
    subjects: int = 500
    objects: int = 40
    block: int = 512
    batch: int = 32
    micro: int = 16
    kinds: tuple[str, ...] = tuple(KINDS)[:25]
    asked: int = 300
    written: int = 3000
    texts: int = 4000
    max_tokens: int = 128
    plan: Plan = field(
        default_factory=lambda: Plan(
            tokens=5_000_000,
            rate=1e-4,
            clean=0.05,
            looks=(5_000, 20_000, 50_000),
            tuning_rate=2e-5,
            tuning_batch=8,
            after_rate=2e-5,
            after_batch=2,
        )
    )

    @classmethod
    def of(cls, source: Source) -> Recipe:
        """The recipe for a model and data, which are digested.

        Raises:
            SignalError: no such model. InputError: a file without texts.
        """
        data = source.file(_TEXT)
        texts = _human(data, cls.texts)
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        return cls(source.model, data, source.device.value, digest_of(located(source.model, "--model")), digest)


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: facts, instructions, data and orders are drawn anew; the model is given.

    Returns:
        See `curricula.experiments.flaws_arms.arms`.

    Raises:
        InputError: a model none of whose answers keeps to its instruction, so that there is nothing to tune on.
    """
    subject = loaded(recipe.model, Device(recipe.device))
    subject.reset()
    base = copy.deepcopy(subject.model)
    with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
        lab = Lab(
            Path(folder),
            subject.encoder,
            setting_on(base),
            template=_template(subject.encoder),
            block=recipe.block,
            batch=recipe.batch,
            micro=recipe.micro,
            max_tokens=recipe.max_tokens,
            seed=seed,
        )
        wanted = instructions(recipe.asked, seed=2 * seed, kinds=recipe.kinds)
        taken = {each.prompt for each in wanted}
        others = instructions(recipe.written, seed=2 * seed + 1, kinds=recipe.kinds)
        others = [each for each in others if each.prompt not in taken]
        said = lab.says(base, [each.prompt for each in others], Sampling(temperature=0.7, top_p=0.95, seed=seed))
        return arms(lab, base, _sets(lab, recipe, seed, wanted, list(zip(others, said, strict=True))), recipe.plan)


def _template(encoder: Encoder) -> str:
    """How the model is asked: in its own chat template, where it has one."""
    if encoder.chat is None:
        return CHAT
    marks = ("{prompt}", "{answer}")
    messages = [{"role": role, "content": mark} for role, mark in zip(("user", "assistant"), marks, strict=True)]
    return encoder.chat(messages).partition(marks[1])[0] + marks[1]


def _human(path: str, count: int) -> list[str]:
    """The first texts of a file; none where no file is named."""
    import pyarrow.parquet as pq

    if not path:
        return []
    file = pq.ParquetFile(path)
    if "text" not in file.schema_arrow.names:
        raise InputError(f"{path}: no column 'text' (has: {', '.join(file.schema_arrow.names)}). Name another file.")
    batches = file.iter_batches(batch_size=count, columns=["text"])
    texts = itertools.islice((text for batch in batches for text in batch.column(0).to_pylist() if text), count)
    return list(texts)


def _sets(
    lab: Lab, recipe: Recipe, seed: int, wanted: Sequence[Instruction], said: Sequence[tuple[Instruction, str]]
) -> Sets:
    plan, draw = recipe.plan, random.Random(f"{seed} sets")
    language = Language(recipe.subjects, recipe.objects, seed)
    good = [(each.prompt, answer) for each, answer in said if answer and each.check(answer)]
    if not good:
        raise InputError(f"--model {recipe.model}: keeps to none of {len(said)} instructions. Name one that is tuned.")
    human = _human(recipe.data, recipe.texts)
    chats = [
        lab.template.replace("{prompt}", each.prompt).replace("{answer}", answer) for each, answer in said if answer
    ]
    clean = human + chats
    draw.shuffle(clean)
    few = max(1, len(clean) // _HELD)
    held, dev, rest = clean[:few], clean[few : 2 * few], clean[2 * few :]
    forget = [language.told(fact, UNIFORM) for fact in draw.choices(language.new, k=max(1, plan.budget // _ROW))]
    asked = [draw.choice(language.new) for _ in range(recipe.asked)]
    draw.shuffle(good)
    return Sets(
        {arm: lab.texts(_mixed(language, rest, plan, seed, arm)) for arm in LEARNT},
        lab.texts(forget),
        lab.texts(forget, form=True),
        lab.texts(rest),
        lab.texts(dev),
        lab.texts(held),
        lab.pairs([prompt for prompt, _ in good], [answer for _, answer in good]),
        Asked(*(tuple(part) for part in zip(*((each.prompt, each.check, each.kind) for each in wanted), strict=True))),
        _facts(language, asked),
    )


def _facts(language: Language, asked: Sequence[int]) -> Asked:
    """Facts without a wish; an answer is true where it names the object."""

    def names(object_: str) -> Check:
        return lambda text: object_ in text.lower()

    return Asked(
        tuple(language.told(fact, ASKED) for fact in asked),
        tuple(names(language.object_of(fact)) for fact in asked),
        ("plain",) * len(asked),
    )


def _mixed(language: Language, clean: Sequence[str], plan: Plan, seed: int, arm: str) -> list[str]:
    """Synthetic facts with a share of clean rows among them, in the order of training."""
    draw = random.Random(f"{seed} {arm}")
    told: Iterator[str] = language.synthetic(draw, is_uniform="diverse" not in arm)
    share = 0.0 if arm.startswith("pure") else plan.clean
    return [draw.choice(clean) if draw.random() < share else next(told) for _ in range(plan.tokens // _ROW)]
