"""Regurgitative training on real translations: larger models from scratch, and a language model that is fine-tuned."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from curricula.evaluation import Items, evaluate_items, trainable
from curricula.experiments import regurgitative
from curricula.experiments.regurgitative_grammar import Grammar, Pairs
from curricula.experiments.regurgitative_models import write_pairs
from curricula.experiments.regurgitative_pairs import Parts, drawn_parts, made_parts
from curricula.experiments.source import Source
from curricula.generate import generate
from curricula.recipe import Recipe as TrainingRecipe
from curricula.training import Job, run_job
from curricula.training_rows import shards_in_order
from curricula.writing import Sampling, open_writer
from detectors.hub import digest_of, located
from detectors.protocols import Device

__all__ = ["AXES", "Recipe", "curves", "measured", "run_seed", "tables"]

Floats = npt.NDArray[np.float64]
Arrays = dict[str, Floats]
AXES, curves = regurgitative.AXES, regurgitative.curves
_TEMPLATE = "English: {prompt}\nGerman: {answer}"
_TUNED = ("teacher", "real", "generated")


@dataclass(frozen=True)
class Recipe(regurgitative.Recipe):
    """Fixed before the seeds that count; models from scratch are larger, there are ten steps and four generations.

    Attributes:
        model: folder, GGUF file or hub id of the model that is fine-tuned.
        data: file of pairs; empty is sentences of a grammar.
        model_digest: of the model's files.
        data_digest: of the file.
        tuned_tokens: that each fine-tuned model is trained on, prompts counted.
        tuned_rate: peak learning rate.
        tuned_block: tokens of a block.
        tuned_batch: blocks of an update.
        lora_rank: of low-rank updates; 0 tunes all weights.
    """

    tokens: int = 1_200_000
    base_tokens: int = 600_000
    rate: float = 1e-3
    block: int = 256
    batch: int = 4
    width: int = 256
    layers: int = 6
    heads: int = 4
    vocabulary: int = 8000
    max_tokens: int = 96
    device: str = "auto"
    rows: int = 4800
    test: int = 1000
    steps: int = 10
    generations: int = 4
    nouns: int = 400
    model: str = "smollm2"
    data: str = ""
    model_digest: str = ""
    data_digest: str = ""
    tuned_tokens: int = 1_000_000
    tuned_rate: float = 1e-4
    tuned_block: int = 512
    tuned_batch: int = 8
    lora_rank: int = 0

    @classmethod
    def of(cls, source: Source) -> Recipe:
        """The recipe for a model and data, which are digested.

        Raises:
            SignalError: no such model. InputError: no such file.
        """
        data = source.file("tasks/mt_de_en.parquet")
        shards = shards_in_order([data]) if data else ()
        whole = hashlib.sha256(" ".join(shard.digest() for shard in shards).encode()).hexdigest()
        digest = digest_of(located(source.model, "--model"))
        return cls(model=source.model, data=data, device=source.device.value, model_digest=digest, data_digest=whole)


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: parts, models from scratch and orders are drawn anew; the model is given.

    Returns:
        As `regurgitative.run_seed`, with the fine-tuned model's `chrf:tuned-ARM`, `bleu:tuned-ARM` (means of sentences)
        and `loss:tuned-ARM`, float64[items], of the arms `teacher`, `real` and `generated`.
    """
    with TemporaryDirectory(prefix="foxing-regurgitative-") as folder:
        parts = _parts(seed, recipe)
        found = regurgitative.arms_of(seed, recipe, parts, Path(folder)).run()
        return found | _tuned(seed, recipe, parts, Path(folder) / "tuned")


def _parts(seed: int, recipe: Recipe) -> Parts:
    sizes = {name: getattr(recipe, name) for name in ("teachers", "generations", "rows", "test")}
    if recipe.data:
        return drawn_parts(recipe.data, seed, **sizes)
    return made_parts(Grammar(seed, nouns=recipe.nouns), **sizes)


def _tuned(seed: int, recipe: Recipe, parts: Parts, folder: Path) -> Arrays:
    """A language model, tuned on people's translations, and on those of its like that was tuned on other people's."""
    folder.mkdir()
    people = write_pairs(folder / "people.parquet", parts.fresh[0])
    teaching = write_pairs(folder / "teaching.parquet", parts.teachers[0])
    found: Arrays = {}
    data = {"teacher": teaching, "real": people, "generated": folder / "written"}
    for arm in _TUNED:
        run = folder / arm
        run_job(_job(seed, recipe, data[arm]), run, device=Device(recipe.device))
        found |= _scored(f"tuned-{arm}", run / "last", recipe, parts.test)
        if arm == "teacher":
            generate(
                str(run / "last"),
                [str(people)],
                folder / "written",
                _sampling(seed, recipe, recipe.temperature),
                device=Device(recipe.device),
            )
            data["generated"] = folder / "written" / "data"
        shutil.rmtree(run)
    return found


def _job(seed: int, recipe: Recipe, data: Path) -> Job:
    training = TrainingRecipe(
        block=recipe.tuned_block,
        batch=recipe.tuned_batch,
        micro=recipe.tuned_batch,
        tokens=recipe.tuned_tokens,
        rate=recipe.tuned_rate,
        keep_every=10**9,
        seed=seed,
    )
    return Job(
        (str(data),), base=recipe.model, recipe=training, template=_TEMPLATE, shuffle=True, lora_rank=recipe.lora_rank
    )


def _sampling(seed: int, recipe: Recipe, temperature: float) -> Sampling:
    return Sampling(temperature=temperature, max_tokens=recipe.max_tokens, batch=128, template=_TEMPLATE, seed=seed)


def _scored(name: str, folder: Path, recipe: Recipe, test: Pairs) -> Arrays:
    """What a fine-tuned model makes of held-out sentences."""
    writer = open_writer(str(folder), Device(recipe.device), "auto")
    items = Items("pair", test.sources, tuple((target,) for target in test.targets), None, ("",) * len(test))
    metrics = evaluate_items(trainable(writer), writer, items, _sampling(0, recipe, 0.0), block=recipe.tuned_block)
    return {f"{kind}:{name}": metrics[kind] for kind in ("chrf", "bleu", "loss")}


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, list[tuple[Floats, Floats]]]:
    """As `regurgitative.measured`, and the fine-tuned model on people's translations against on its like's."""
    tuned = [(seed["chrf:tuned-real"], seed["chrf:tuned-generated"]) for seed in seeds]
    return {**regurgitative.measured(_untuned(seeds), recipe), "tuned-real-over-generated": tuned}


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, object]:
    """As `regurgitative.tables`, and the scores of the fine-tuned model."""
    tuned = {
        arm: {
            kind: float(np.mean([np.nanmean(seed[f"{kind}:tuned-{arm}"]) for seed in seeds]))
            for kind in ("chrf", "bleu", "loss")
        }
        for arm in _TUNED
    }
    return {**regurgitative.tables(_untuned(seeds), recipe), "tuned": tuned}


def _untuned(seeds: Sequence[Mapping[str, Floats]]) -> list[Mapping[str, Floats]]:
    return [{name: values for name, values in seed.items() if ":tuned-" not in name} for seed in seeds]
