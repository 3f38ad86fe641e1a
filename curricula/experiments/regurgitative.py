"""Regurgitative training in small: translation models that learn from people, from other models and from themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from curricula.contrasts import seed_interval
from curricula.experiments.regurgitative_arms import ORDERS, Arms
from curricula.experiments.regurgitative_gap import gap_closed
from curricula.experiments.regurgitative_grammar import Grammar
from curricula.experiments.regurgitative_models import Training
from curricula.experiments.regurgitative_pairs import Parts, made_parts

__all__ = ["AXES", "Recipe", "arms_of", "curves", "measured", "run_seed", "tables"]

Floats = npt.NDArray[np.float64]
Arrays = dict[str, Floats]
Pair = tuple[Floats, Floats]
AXES = {
    "curves": ("share of the data", "chrF on held-out sentences"),
    "generations": ("generations after people's data", "chrF on held-out sentences"),
}
"""What each panel of curves is drawn over, and of."""
_MOST = 2 / 3
"""Where orders are compared, as a share of the data: with little of it people's is not better than a model's."""
_CHAINS = ("replace", "accumulate", "importance")
_INDICES = ("distinct_1", "distinct_2", "distinct_3", "mtld")


@dataclass(frozen=True)
class Recipe(Training):
    """Fixed before the seeds that count.

    Attributes:
        rows: of each part.
        test: sentences held out.
        teachers: models that people taught, whose translations others learn from; two or more.
        steps: equal shares of the data that are added one after the other.
        generations: after the teacher.
        temperature: of what models write for others; 0 takes the likeliest token.
        strength: of importance resampling.
        nouns: of the grammar.
    """

    rows: int = 600
    test: int = 250
    teachers: int = 2
    steps: int = 3
    generations: int = 2
    temperature: float = 0.0
    strength: float = 1.0
    nouns: int = 60


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: languages, sentences, base model and orders are drawn anew.

    A model is named by its arm: `teacher0`, `teacher1`; `ARM@STEP` of `real`, `generated` (by the first teacher, in a
    random order), `mixed` (by all teachers in turn), `quality`, `human` and `reversed` (the first teacher's in other
    orders); `CHAIN` and generation of `replace`, `accumulate` and `importance`.

    Returns:
        Of each model `chrf:NAME`, float64[items], `bleu:NAME` and `corpus_chrf:NAME`, float64[1], and in a grammar
        `right:NAME`, float64[items], 1 where a translation is right. Of rows to learn from, of `real`, `generated`, and
        a chain's generation: `wrong:NAME` and `flagged:NAME`, float64[rows], and indices of lexical variety,
        float64[1]. `auroc` of the detector, and `wrong_half:ORDER`: errors in the first and in the second half.
    """
    with TemporaryDirectory(prefix="foxing-regurgitative-") as folder:
        parts = made_parts(
            Grammar(seed, nouns=recipe.nouns),
            teachers=recipe.teachers,
            generations=recipe.generations,
            rows=recipe.rows,
            test=recipe.test,
        )
        return arms_of(seed, recipe, parts, Path(folder)).run()


def arms_of(seed: int, recipe: Recipe, parts: Parts, folder: Path) -> Arms:
    """The arms of a seed by a recipe."""
    return Arms.of(
        recipe,
        parts,
        folder,
        seed=seed,
        steps=recipe.steps,
        generations=recipe.generations,
        temperature=recipe.temperature,
        strength=recipe.strength,
    )


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, list[Pair]]:
    """The declared measures, for each seed: items of two arms, or one number against 0.

    What closes a gap is not measured where there is no gap: where its interval over seeds holds 0.
    """
    zero, last = np.zeros(1), recipe.steps
    replaced, accumulated, resampled = (_model_of(chain, recipe.generations, recipe) for chain in _CHAINS)
    most = round(_MOST * last)
    pairs: dict[str, list[Pair]] = {
        "real-over-generated": _held(seeds, f"real@{last}", f"generated@{last}"),
        "fraction-is-enough": _held(seeds, f"real@{most}", f"generated@{last}"),
        "more-errors": [
            (seed["wrong:generated"].mean(keepdims=True), seed["wrong:real"].mean(keepdims=True)) for seed in seeds
        ],
        "less-varied": [(seed["distinct_2:real"] - seed["distinct_2:generated"], zero) for seed in seeds],
        "mixed-helps": _of_gap(seeds, "mixed", last),
        "quality-first-helps": _of_gap(seeds, "quality", most),
        "human-first-helps": _of_gap(seeds, "human", most),
        "reversed-hurts": _of_gap(seeds, "reversed", most, hurts=True),
        "gap-stays": [(seed[f"chrf:real@{most}"], _best(seed, most)) for seed in seeds],
        "collapse": _held(seeds, "teacher0", replaced),
        "accumulating-holds": _held(seeds, accumulated, replaced),
        "importance-helps": _held(seeds, resampled, accumulated),
    }
    return pairs


def _held(seeds: Sequence[Mapping[str, Floats]], one: str, other: str) -> list[Pair]:
    return [(seed[f"chrf:{one}"], seed[f"chrf:{other}"]) for seed in seeds]


def _best(seed: Mapping[str, Floats], step: int) -> Floats:
    """Items of the order that comes nearest to people's in this seed."""
    return max((seed[f"chrf:{name}@{step}"] for name in ("quality", "human")), key=lambda items: float(items.mean()))


def _gaps(seeds: Sequence[Mapping[str, Floats]], step: int) -> Floats:
    """float64[seeds]: how far what a model wrote is behind what people wrote, after so many steps."""
    return np.array([(seed[f"chrf:real@{step}"] - seed[f"chrf:generated@{step}"]).mean() for seed in seeds])


def _of_gap(seeds: Sequence[Mapping[str, Floats]], arm: str, step: int, *, hurts: bool = False) -> list[Pair]:
    low, high = seed_interval(_gaps(seeds, step))
    if not (low > 0 or high < 0):
        return [(np.array([np.nan]), np.zeros(1)) for _ in seeds]
    found = _held(seeds, f"{arm}@{step}", f"generated@{step}")
    return [(other, one) for one, other in found] if hurts else found


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, object]:
    """What people look at besides: scores of every model, gaps closed, what the rows are like, and generations."""
    models = [name.removeprefix("chrf:") for name in seeds[0] if name.startswith("chrf:")]
    kinds = [kind for kind in ("corpus_chrf", "bleu", "right") if f"{kind}:{models[0]}" in seeds[0]]
    rows = [name.removeprefix("wrong:") for name in seeds[0] if name.startswith("wrong:")]
    return {
        "signatures": _sacrebleu(),
        "scores": {
            model: {"chrf": _mean(seeds, f"chrf:{model}")} | {kind: _mean(seeds, f"{kind}:{model}") for kind in kinds}
            for model in models
        },
        "gap_closed": {
            f"{arm}@{step}": gap_closed(
                np.array([(seed[f"chrf:{arm}@{step}"] - seed[f"chrf:generated@{step}"]).mean() for seed in seeds]),
                _gaps(seeds, step),
            ).to_json()
            for arm in ("mixed", *ORDERS)
            for step in range(1, recipe.steps + 1)
            if f"chrf:{arm}@{step}" in seeds[0]
        },
        "rows": {
            name: {
                kind: _mean(seeds, f"{kind}:{name}")
                for kind in ("wrong", "flagged", *_INDICES)
                if f"{kind}:{name}" in seeds[0]
            }
            for name in rows
        },
        "wrong_in_first_and_second_half": {
            order: np.mean([seed[f"wrong_half:{order}"] for seed in seeds], 0).tolist()
            for order in ("quality", "human")
        },
        "auroc_of_the_detector": _mean(seeds, "auroc"),
        "generations": {chain: list(map(float, values.mean(0))) for chain, values in _chains(seeds, recipe).items()},
    }


def _mean(seeds: Sequence[Mapping[str, Floats]], name: str) -> float:
    return float(np.mean([seed[name].mean() for seed in seeds]))


def _sacrebleu() -> dict[str, str]:
    """What sacreBLEU calls the metrics as they are computed here."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = {"BLEU": BLEU(), "chrF": CHRF()}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def _chains(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, Floats]:
    """float64[seeds, generations + 1] of each chain: chrF from the teacher on."""

    names = {chain: [_model_of(chain, at, recipe) for at in range(recipe.generations + 1)] for chain in _CHAINS}
    return {
        chain: np.array([[seed[f"chrf:{name}"].mean() for name in models] for seed in seeds])
        for chain, models in names.items()
    }


def _model_of(chain: str, generation: int, recipe: Recipe) -> str:
    """Name of a chain's model: generation 0 is the teacher; the first that replaces reads what the teacher wrote."""
    if not generation:
        return "teacher0"
    return f"generated@{recipe.steps}" if (chain, generation) == ("replace", 1) else f"{chain}{generation}"


def curves(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """chrF by share of the data, all orders ending in the same model, and by generation.

    Returns:
        Label, `generations/CHAIN` in the second panel, to (where, float64[seeds, places]).
    """
    shares = np.arange(1, recipe.steps + 1) / recipe.steps
    labels = {"real": "people", "generated": "a model, random order", "mixed": "several models"}
    labels |= {"quality": "best first", "human": "likest to people's first", "reversed": "worst first"}

    def values(seed: Mapping[str, Floats], arm: str) -> list[float]:
        names = [arm if f"chrf:{arm}@{step}" in seed else "generated" for step in range(1, recipe.steps + 1)]
        return [float(seed[f"chrf:{name}@{step}"].mean()) for step, name in enumerate(names, 1)]

    found = {label: (shares, np.array([values(seed, arm) for seed in seeds])) for arm, label in labels.items()}
    where = np.arange(recipe.generations + 1, dtype=np.float64)
    return found | {f"generations/{name}": (where, values) for name, values in _chains(seeds, recipe).items()}
