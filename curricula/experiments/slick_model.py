"""SliCK with a language model: what tuning on facts that it does not know does to those that it knows.

The measures are those of the toy world (`curricula.experiments.slick`). One more arm has its unknown facts answered by
"I don't know".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricula.experiments import slick
from curricula.experiments.facts import Drawn, digest_of_facts, drawn, facts_at
from curricula.experiments.probed import categories_of
from curricula.experiments.source import Source
from curricula.experiments.toy import Known
from curricula.experiments.tuned import Tuned, loaded
from curricula.slick import IDK
from detectors.errors import InputError
from detectors.hub import digest_of, located
from detectors.protocols import Device

__all__ = ["Recipe", "curves", "measured", "run_seed", "tables"]

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Arrays = dict[str, Floats]
_IDK = "idk0.5"
_HALF = "D0.5"
_LEAST = 8


@dataclass(frozen=True)
class Recipe:
    """Fixed before the seeds that count.

    Attributes:
        model: folder, GGUF file or hub id.
        data: file of facts; empty is those made in code.
        device: auto, cpu or cuda.
        model_digest: of the model's files.
        data_digest: of the facts.
        rows: facts of a fine-tuning set.
        epochs: until convergence.
        looks: epochs after which the model is tried, besides the last.
        rate: of fine-tuning.
        batch: facts of an update.
        relations: that facts are of.
        each: facts of a relation, exemplars left out.
        reserve: exemplars of a relation.
        sets: prompts of the probe.
        shots: exemplars of a prompt.
        shares: of unknown facts.
    """

    model: str = "smollm2"
    data: str = ""
    device: str = "auto"
    model_digest: str = ""
    data_digest: str = ""
    rows: int = 1536
    epochs: int = 50
    looks: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40)
    rate: float = 5e-5
    batch: int = 64
    relations: int = 12
    each: int = 600
    reserve: int = 40
    sets: int = 10
    shots: int = 4
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)

    @classmethod
    def of(cls, source: Source) -> Recipe:
        """The recipe for a model and data, which are digested.

        Raises:
            SignalError: no such model. InputError: a file without questions.
        """
        data = source.file("tasks/qa.parquet")
        digest = digest_of(located(source.model, "--model"))
        return cls(source.model, data, source.device.value, digest, digest_of_facts(facts_at(data)))


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: facts, splits, exemplars, sets and orders are drawn anew; the model is given.

    Returns:
        As `curricula.experiments.slick.run_seed`, and `refused:ARM`: float64[looks, items], refusals.

    Raises:
        InputError: the model knows too few of the facts, or too many.
    """
    device = Device(recipe.device)
    split = drawn(
        facts_at(recipe.data), relations=recipe.relations, each=recipe.each, reserve=recipe.reserve, seed=seed
    )
    strict, corrected = categories_of(split, recipe.model, device, sets=recipe.sets, shots=recipe.shots, seed=seed)
    looks = sorted({*(epoch for epoch in recipe.looks if epoch < recipe.epochs), recipe.epochs})
    found: Arrays = {
        "epochs": np.array(looks, np.float64),
        "category": strict[split.test].astype(np.float64),
        "shares": np.stack([np.bincount(each, minlength=4) / len(each) for each in (strict, corrected)]),
    }
    sets = slick.sets_of(split.train, strict, recipe.rows, recipe.shares, np.random.default_rng([seed, 5]))
    if len(sets["known0.5"]) < _LEAST:
        raise InputError(
            f"{recipe.model}: knows, or does not know, fewer than {2 * _LEAST} of {len(split.train):,} facts: too few "
            "to compare. Name another model with --model, or more facts with --data."
        )
    arms = {name: facts for name, facts in sets.items() if len(facts) >= _LEAST}
    subject = loaded(recipe.model, device)
    for name, facts in (arms | {_IDK: arms[_HALF]}).items():
        found |= _arm(name, subject, split, facts, strict, looks, recipe, seed)
    return found


def _arm(
    name: str,
    subject: Tuned,
    split: Drawn,
    facts: I64,
    category: I64,
    looks: Sequence[int],
    recipe: Recipe,
    seed: int,
) -> Arrays:
    """Tune the model on facts, and look at it."""
    subject.reset()
    truth = [fact.answers[0] for fact in split.facts]
    unknown = category == Known.UNKNOWN
    taught = [IDK if name == _IDK and unknown[at] else answer for at, answer in enumerate(truth)]
    known, new = facts[~unknown[facts]], facts[unknown[facts]]
    seen: dict[str, list[Floats | float]] = {"test": [], "refused": [], "dev": [], "fit_known": [], "fit_unknown": []}

    def of(which: I64, answers: Sequence[str]) -> tuple[list[str], list[str]]:
        return [split.facts[at].text for at in which], [answers[at] for at in which]

    def fitted(which: I64) -> float:
        return float(subject.fitted(*of(which, taught)).mean()) if len(which) else np.nan

    def look(epoch: int) -> None:
        if epoch in looks:
            said = subject.says(*of(split.test, truth))
            seen["test"].append(said.right)
            seen["refused"].append(said.refused)
            seen["dev"].append(float(subject.says(*of(split.dev, truth)).right.mean()))
            seen["fit_known"].append(fitted(known))
            seen["fit_unknown"].append(fitted(new))

    subject.tune(*of(facts, taught), epochs=recipe.epochs, rate=recipe.rate, batch=recipe.batch, seed=seed, look=look)
    found = {f"{kind}:{name}": np.array(values) for kind, values in seen.items()}
    return {**found, f"rows:{name}": np.array([len(known), len(new)], np.float64)}


def _on_answered(seed: Mapping[str, Floats], arm: str, at: int) -> Floats:
    """Items at a look, NaN where the model refused; nothing known of an arm for which there were no facts."""
    if f"test:{arm}" not in seed:
        return np.array([np.nan])
    return np.where(seed[f"refused:{arm}"][at] > 0, np.nan, seed[f"test:{arm}"][at])


def _early(seed: Mapping[str, Floats], arm: str) -> int:
    """The look with the best development accuracy."""
    return int(np.argmax(seed[f"dev:{arm}"])) if f"dev:{arm}" in seed else -1


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, list[tuple[Floats, Floats]]]:
    """The declared measures, for each seed: items of two arms, or one number against 0."""
    pairs = slick.measured(seeds, slick.Recipe(shares=recipe.shares))
    pairs |= {"idk-answers-better": [], "idk-steady": []}
    for seed in seeds:
        late = float(_mean(_on_answered(seed, _IDK, -1)))
        early = float(_mean(_on_answered(seed, _IDK, _early(seed, _IDK))))
        plain = float(_mean(_on_answered(seed, _HALF, -1)))
        pairs["idk-answers-better"].append((np.array([late - plain]), np.zeros(1)))
        pairs["idk-steady"].append((np.array([late - early]), np.zeros(1)))
    return pairs


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, object]:
    """What people look at besides, and of each arm refusals: coverage, accuracy on answered, and the two multiplied."""
    found = slick.tables(seeds, slick.Recipe(shares=recipe.shares))
    arms = [name.removeprefix("refused:") for name in seeds[0] if name.startswith("refused:")]
    return {
        **found,
        "refusals": {arm: _refusals([seed for seed in seeds if f"test:{arm}" in seed], arm) for arm in arms},
    }


def _refusals(seeds: Sequence[Mapping[str, Floats]], arm: str) -> dict[str, dict[str, float | None]]:
    """Means over seeds, at the best and at the last look."""
    found: dict[str, dict[str, float | None]] = {}
    for when in ("early", "late"):
        looks = [_early(seed, arm) if when == "early" else -1 for seed in seeds]
        refused = [seed[f"refused:{arm}"][at] for seed, at in zip(seeds, looks, strict=True)]
        right = [seed[f"test:{arm}"][at] for seed, at in zip(seeds, looks, strict=True)]
        answered = [_mean(_on_answered(seed, arm, at)) for seed, at in zip(seeds, looks, strict=True)]
        known = [value for value in answered if not np.isnan(value)]
        found[when] = {
            "coverage": float(np.mean([1 - each.mean() for each in refused])),
            "exact_on_answered": float(np.mean(known)) if known else None,
            "exact_times_coverage": float(
                np.mean([(one * (1 - other)).mean() for one, other in zip(right, refused, strict=True)])
            ),
        }
    return found


def curves(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """Held-out accuracy by epoch: arm to (epochs, float64[seeds, looks])."""
    return slick.curves(seeds, slick.Recipe(shares=recipe.shares))
