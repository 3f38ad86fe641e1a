"""SliCK in a toy world: what fine-tuning on unknown facts does to known ones, early and late."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricula.experiments.toy import Known, World, answers, categories, fit, pretrained
from curricula.model import Decoder

__all__ = ["MEASURES", "Recipe", "curves", "measured", "run_seed", "sets_of", "tables"]

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Arrays = dict[str, Floats]
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SINGLE = ("highly", "maybe", "weakly", "unknown")


@dataclass(frozen=True)
class Recipe:
    """Fixed before the seeds that count.

    Attributes:
        rows: facts of a fine-tuning set.
        epochs: until convergence.
        every: epochs between looks.
        rate: of fine-tuning.
        batch: facts of an update.
        known: share of facts known at the end of pretraining.
        first: first names of the world.
        last: last names of it.
        shares: of unknown facts.
    """

    rows: int = 512
    epochs: int = 40
    every: int = 2
    rate: float = 1e-4
    batch: int = 32
    known: float = 0.55
    first: int = 36
    last: int = 28
    shares: tuple[float, ...] = _SHARES


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: base model, facts, sets and orders are drawn anew.

    Returns:
        `test:ARM`: float64[looks, items], right or not, of held-out facts; `dev:ARM`: float64[looks]; `fit_known:ARM`
        and `fit_unknown:ARM`: float64[looks], shares fitted; `epochs`; `category`: of test items; `shares`: of
        categories, strict and chance-corrected.
    """
    world = World(seed=seed, first=recipe.first, last=recipe.last)
    base = pretrained(world, known=recipe.known)
    strict, corrected = categories(base, world), categories(base, world, least_hits=8)
    train, dev, test = world.parts()
    draw = np.random.default_rng([seed, 5])
    looks = sorted({*range(recipe.every, recipe.epochs + 1, recipe.every), 1, recipe.epochs})
    found: Arrays = {
        "epochs": np.array(looks, np.float64),
        "category": strict[test].astype(np.float64),
        "shares": np.stack([np.bincount(each, minlength=4) / len(each) for each in (strict, corrected)]),
    }
    for arm, facts in sets_of(train, strict, recipe.rows, recipe.shares, draw).items():
        found |= _arm(arm, base, world, facts, strict, (dev, test), looks, recipe, seed)
    return found


def sets_of(train: I64, category: I64, size: int, shares: Sequence[float], draw: np.random.Generator) -> dict[str, I64]:
    """The fine-tuning sets: by share of unknown facts, without the unknown ones, and of a single category.

    Args:
        train: facts to choose from.
        category: `Known` of every fact.
        size: facts of a set at most.
        shares: of unknown facts.
        draw: of the choice.
    """
    unknown = draw.permutation(train[category[train] == Known.UNKNOWN])
    known = draw.permutation(train[category[train] != Known.UNKNOWN])
    rows = min(size, len(unknown), len(known))
    sets = {}
    for share in shares:
        few = round(share * rows)
        sets[f"D{share:g}"] = np.concatenate([known[: rows - few], unknown[:few]])
    sets["known0.5"] = known[: rows - round(0.5 * rows)]
    of_each = {name: draw.permutation(train[category[train] == Known[name.upper()]]) for name in _SINGLE}
    least = min(rows, *(len(of_each[name]) for name in ("maybe", "unknown", "highly")))
    sets |= {name: facts[:least] for name, facts in of_each.items() if len(facts) >= least // 2}
    return sets


def _arm(
    arm: str,
    base: Decoder,
    world: World,
    facts: I64,
    category: I64,
    held: tuple[I64, I64],
    looks: Sequence[int],
    recipe: Recipe,
    seed: int,
) -> Arrays:
    """Fine-tune a copy of the base on facts, and look at it."""
    model, truth = copy.deepcopy(base), world.truth()
    known, unknown = facts[category[facts] != Known.UNKNOWN], facts[category[facts] == Known.UNKNOWN]
    seen: dict[str, list[Floats | float]] = {"test": [], "dev": [], "fit_known": [], "fit_unknown": []}

    def right(which: I64) -> Floats:
        return np.asarray(answers(model, world, which) == world.token(which, truth[which]), np.float64)

    def look(epoch: int) -> None:
        if epoch in looks:
            seen["test"].append(right(held[1]))
            seen["dev"].append(float(right(held[0]).mean()))
            seen["fit_known"].append(float(right(known).mean()) if len(known) else np.nan)
            seen["fit_unknown"].append(float(right(unknown).mean()) if len(unknown) else np.nan)

    rows = world.rows(facts, truth[facts], world.question)
    fit(model, rows, epochs=recipe.epochs, rate=recipe.rate, batch=recipe.batch, seed=seed, look=look)
    found = {f"{name}:{arm}": np.array(values) for name, values in seen.items()}
    return {**found, f"rows:{arm}": np.array([len(known), len(unknown)], np.float64)}


def _early(seed: Mapping[str, Floats], arm: str) -> Floats:
    """Items at the look with the best development accuracy."""
    return np.asarray(seed[f"test:{arm}"][int(np.argmax(seed[f"dev:{arm}"]))])


def _late(seed: Mapping[str, Floats], arm: str) -> Floats:
    """Items at the last look; nothing known of an arm for which there were no facts."""
    if f"test:{arm}" not in seed:
        return np.array([np.nan])
    return np.asarray(seed[f"test:{arm}"][-1])


def _half_fitted(seed: Mapping[str, Floats], arm: str, which: str) -> float:
    """Epoch by which half of some facts are fitted, between looks by a straight line."""
    shares, epochs = np.append(0.0, seed[f"{which}:{arm}"]), np.append(0.0, seed["epochs"])
    at = int(np.argmax(shares >= 0.5))
    if shares[at] < 0.5:
        return float(epochs[-1])
    step = (0.5 - shares[at - 1]) / (shares[at] - shares[at - 1])
    return float(epochs[at - 1] + step * (epochs[at] - epochs[at - 1]))


def _weights(seed: Mapping[str, Floats], shares: Sequence[float]) -> Floats:
    """[intercept, known, unknown]: least squares of accuracy on what is fitted of a set, over looks and shares."""
    rows, accuracy = [], []
    for share in shares:
        arm = f"D{share:g}"
        size = seed[f"rows:{arm}"].sum()
        counts = [np.nan_to_num(seed[f"{name}:{arm}"]) for name in ("fit_known", "fit_unknown")]
        parts = [count * rows_of / size for count, rows_of in zip(counts, seed[f"rows:{arm}"], strict=True)]
        rows.append(np.stack([np.ones_like(parts[0]), *parts], 1))
        accuracy.append(seed[f"test:{arm}"].mean(1))
    return np.asarray(np.linalg.lstsq(np.concatenate(rows), np.concatenate(accuracy), rcond=None)[0])


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, list[tuple[Floats, Floats]]]:
    """The declared measures, for each seed: items of two arms, or one number against 0."""
    zero = np.zeros(1)
    pairs: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in MEASURES}
    for seed in seeds:
        harm_late = _late(seed, "D0") - _late(seed, "D0.5")
        harm_early = _early(seed, "D0") - _early(seed, "D0.5")
        pairs["unknown-hurts"].append((_late(seed, "D0"), _late(seed, "D0.5")))
        pairs["late"].append((harm_late, harm_early))
        pairs["dropping-helps"].append((_late(seed, "known0.5"), _late(seed, "D0.5")))
        pairs["linear-model"].append((np.array([-_weights(seed, recipe.shares)[2]]), zero))
        later = _half_fitted(seed, "D0.5", "fit_unknown") - _half_fitted(seed, "D0.5", "fit_known")
        pairs["slower"].append((np.array([later]), zero))
        pairs["known-over-unknown"].append((_late(seed, "maybe"), _late(seed, "unknown")))
    return pairs


MEASURES = ("unknown-hurts", "late", "dropping-helps", "linear-model", "slower", "known-over-unknown")


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, object]:
    """What people look at besides: accuracy by arm early and late, by category, the linear model, shares."""
    arms = [name.removeprefix("test:") for name in seeds[0] if name.startswith("test:")]
    accuracy = {}
    for arm in arms:
        having = [seed for seed in seeds if f"test:{arm}" in seed]
        accuracy[arm] = {
            "early": float(np.mean([_early(seed, arm).mean() for seed in having])),
            "late": float(np.mean([_late(seed, arm).mean() for seed in having])),
            "late_by_category": _by_category(having, arm),
            "seeds": len(having),
        }
    weights = np.array([_weights(seed, recipe.shares) for seed in seeds])
    shares = np.mean([seed["shares"] for seed in seeds], 0)
    return {
        "accuracy": accuracy,
        "linear_model": dict(zip(("intercept", "known", "unknown"), weights.mean(0).tolist(), strict=True)),
        "categories": {
            name: {known.name.lower(): float(shares[at, known]) for known in Known}
            for at, name in enumerate(("strict", "chance_corrected"))
        },
    }


def _by_category(seeds: Sequence[Mapping[str, Floats]], arm: str) -> dict[str, float]:
    """Late accuracy on held-out facts of each category, where there are any."""
    found = {}
    for known in Known:
        shares = [_late(seed, arm)[chosen].mean() for seed in seeds if (chosen := seed["category"] == known).any()]
        if shares:
            found[known.name.lower()] = float(np.mean(shares))
    return found


def curves(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """Held-out accuracy by epoch: arm to (epochs, float64[seeds, looks])."""
    return {
        f"{share:.0%} unknown": (seeds[0]["epochs"], np.stack([seed[f"test:D{share:g}"].mean(1) for seed in seeds]))
        for share in recipe.shares
    }
