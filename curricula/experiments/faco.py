"""FACO in a toy world: what a share of false answers does, what clean data mends, and whether the model still knows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricula.experiments.toy import Known, World, answers, categories, fit, pretrained, probabilities
from curricula.model import Decoder

__all__ = ["Recipe", "curves", "measured", "run_seed", "tables"]

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Arrays = dict[str, Floats]


@dataclass(frozen=True)
class Recipe:
    """Fixed before the seeds that count.

    Attributes:
        rows: known facts of a fine-tuning set, and of the clean set afterwards.
        epochs: on each.
        rate: of fine-tuning.
        batch: facts of an update.
        known: share of facts known at the end of pretraining.
        first: first names of the world.
        last: last names of it.
        shares: of false answers.
        recovery: shares of the clean epochs after which recovery is looked at.
    """

    rows: int = 512
    epochs: int = 20
    rate: float = 1e-4
    batch: int = 32
    known: float = 0.8
    first: int = 36
    last: int = 28
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    recovery: tuple[float, ...] = (0.1, 0.3, 1.0)


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: base model, facts, false answers and orders are drawn anew.

    Returns:
        `before`, `after:SHARE`, `recovered:SHARE` and `clean`: float64[items], right or not, of held-out facts that
        the base knows; `lie:SHARE`: share of training facts answered with the false answer that they were given;
        `statement:SHARE`, `question:SHARE`: float64[items], probability of the truth; `recovery:SHARE`: float64[looks].
    """
    world = World(seed=seed, first=recipe.first, last=recipe.last)
    base, truth = pretrained(world, known=recipe.known), world.truth()
    known = categories(base, world) >= Known.MAYBE
    train, _, test = world.parts()
    held = test[known[test]]
    draw = np.random.default_rng([seed, 6])
    pool = draw.permutation(train[known[train]])
    rows = min(recipe.rows, len(pool) // 2)
    dirty, clean = pool[:rows], pool[rows : 2 * rows]
    false = (truth[dirty] + draw.integers(1, world.objects, rows)) % world.objects
    found: Arrays = {"before": _right(base, world, held)}
    for share in recipe.shares:
        given = np.where(np.arange(rows) < round(share * rows), false, truth[dirty])
        found |= _share(f"{share:g}", base, world, (dirty, given, clean, held), recipe, seed)
    model = copy.deepcopy(base)
    for first, part in ((0, pool[:rows]), (1, clean)):
        _fit(model, world, part, truth[part], recipe, seed + first)
    return {**found, "clean": _right(model, world, held)}


def _right(model: Decoder, world: World, facts: I64) -> Floats:
    return np.asarray(answers(model, world, facts) == world.token(facts, world.truth()[facts]), np.float64)


def _fit(model: Decoder, world: World, facts: I64, objects: I64, recipe: Recipe, seed: int) -> None:
    rows = world.rows(facts, objects, world.question)
    fit(model, rows, epochs=recipe.epochs, rate=recipe.rate, batch=recipe.batch, seed=seed)


def _truth_share(model: Decoder, world: World, facts: I64, template: int) -> Floats:
    """Probability of the true object of each fact behind a template."""
    rows = world.rows(facts, world.truth()[facts], template)
    shares = probabilities(model, rows).numpy()
    return np.asarray(shares[np.arange(len(rows)), rows[:, -1]], np.float64)


def _share(
    name: str, base: Decoder, world: World, sets: tuple[I64, I64, I64, I64], recipe: Recipe, seed: int
) -> Arrays:
    """Train on a share of false answers, then on clean ones."""
    dirty, given, clean, held = sets
    model, truth = copy.deepcopy(base), world.truth()
    _fit(model, world, dirty, given, recipe, seed)
    wrong = dirty[given != truth[dirty]]
    lies = answers(model, world, dirty) == world.token(dirty, given)
    statements = [_truth_share(model, world, held, template) for template in range(world.templates)]
    found = {
        f"after:{name}": _right(model, world, held),
        f"lie:{name}": np.array([lies[given != truth[dirty]].mean() if len(wrong) else np.nan]),
        f"statement:{name}": np.mean(statements, 0),
        f"question:{name}": _truth_share(model, world, held, world.question),
    }
    looks: list[float] = []
    wanted = {max(1, round(part * recipe.epochs)) for part in recipe.recovery}

    def look(epoch: int) -> None:
        if epoch in wanted:
            looks.append(float(_right(model, world, held).mean()))

    rows = world.rows(clean, truth[clean], world.question)
    fit(model, rows, epochs=recipe.epochs, rate=recipe.rate, batch=recipe.batch, seed=seed + 1, look=look)
    return {**found, f"recovered:{name}": _right(model, world, held), f"recovery:{name}": np.array(looks)}


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, list[tuple[Floats, Floats]]]:
    """The declared measures, for each seed: items of two arms, or one number against 0."""
    zero, names = np.zeros(1), [f"{share:g}" for share in recipe.shares]
    most = names[-1]
    pairs: dict[str, list[tuple[Floats, Floats]]] = {
        name: [] for name in ("falsity-hurts", "monotone", "recovery", "not-whole", "knows-better")
    }
    for seed in seeds:
        accuracy = np.array([seed[f"after:{name}"].mean() for name in names])
        slope = np.polyfit(np.array(recipe.shares), accuracy, 1)[0]
        pairs["falsity-hurts"].append((np.array([-slope]), zero))
        pairs["monotone"].append((np.array([(-np.diff(accuracy)).min()]), zero))
        pairs["recovery"].append((seed[f"recovered:{most}"], seed[f"after:{most}"]))
        pairs["not-whole"].append((seed["clean"], seed[f"recovered:{most}"]))
        pairs["knows-better"].append((seed[f"statement:{most}"], seed[f"question:{most}"]))
    return pairs


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, object]:
    """What people look at besides: accuracy after, after recovery, and false answers given back, by share."""

    def mean(name: str) -> float | None:
        values = [float(np.mean(seed[name])) for seed in seeds]
        return None if np.isnan(values).all() else float(np.nanmean(values))

    names = [f"{share:g}" for share in recipe.shares]
    rows = {
        name: {kind: mean(f"{kind}:{name}") for kind in ("after", "recovered", "lie", "statement", "question")}
        for name in names
    }
    accuracy = [[seed[f"after:{name}"].mean() for name in names] for seed in seeds]
    pearson = [float(np.corrcoef(recipe.shares, each)[0, 1]) for each in accuracy]
    return {
        "before": mean("before"),
        "clean_with_equal_steps": mean("clean"),
        "by_share_of_false_answers": rows,
        "pearson": {"mean": float(np.mean(pearson)), "by_seed": pearson},
        "recovery": {name: np.mean([seed[f"recovery:{name}"] for seed in seeds], 0).tolist() for name in names},
    }


def curves(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """Held-out accuracy by share of false answers: after training, and after recovery."""
    shares = np.array(recipe.shares)
    return {
        label: (shares, np.array([[seed[f"{kind}:{share:g}"].mean() for share in recipe.shares] for seed in seeds]))
        for label, kind in (("after training", "after"), ("after recovery", "recovered"))
    }
