"""The arms of the experiment on uniform formats: what one base model becomes, and how it answers after a short tuning.

base -> uniform      synthetic facts in one format       -> what unlearning, its rivals, and clean text make of it
     -> again        the same, drawn in another order
     -> diverse      the same facts in eight formats
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from curricula.experiments.flaws_lab import Asked, Lab, Model
from curricula.training_rows import TrainingRows
from curricula.unlearn import Forgetting

__all__ = ["CONTINUED", "LEARNT", "RIVALS", "UNLEARNT", "Arrays", "Plan", "Sets", "arms", "names_of"]

Floats = npt.NDArray[np.float64]
Arrays = dict[str, Floats]
UNLEARNT, CONTINUED = "unlearnt", "continued"
LEARNT = ("uniform", "diverse", "again", "pure-uniform", "pure-diverse")
_LOOK = 2
_LOOKED_AT = ("base", "uniform", "diverse", UNLEARNT, CONTINUED)
RIVALS = {
    UNLEARNT: Forgetting(guard_every=_LOOK),
    "form-only": Forgetting(guard_every=_LOOK),
    "ascent": Forgetting(method="ascent", replay=0.0, bias=0.0, guard_every=_LOOK),
    "difference": Forgetting(method="ascent", bias=0.0, guard_every=_LOOK),
    "npo": Forgetting(method="npo", guard_every=_LOOK),
    "replay-only": Forgetting(forget=0.0, guard_every=_LOOK),
}
"""Ways to unlearn: lower-bounded forgetting with replay and KL; of the format's tokens alone; gradient ascent; gradient
difference; NPO with replay and KL; and all but the forgetting."""


@dataclass(frozen=True)
class Plan:
    """Budgets and rates.

    Attributes:
        tokens: of synthetic data with clean text among it.
        rate: of training on them.
        clean: share of rows of clean text among them; none where data are pure.
        looks: tokens of tuning after which answers are looked at; the last one counts.
        tuning_rate: of tuning.
        tuning_batch: blocks of its updates.
        share: of `tokens` that unlearning and clean continuation may take.
        after_rate: of both.
        after_batch: blocks of rows to forget, and of rows to keep, of an update; continuation takes both of clean text.
        forget: weight of forgetting, of all methods.
    """

    tokens: int = 200_000
    rate: float = 2e-3
    clean: float = 0.05
    looks: tuple[int, ...] = (1_000, 2_500, 5_000)
    tuning_rate: float = 5e-4
    tuning_batch: int = 8
    share: float = 0.01
    after_rate: float = 1e-3
    after_batch: int = 2
    forget: float = 0.01

    @property
    def budget(self) -> int:
        """Tokens of unlearning."""
        return int(self.share * self.tokens)


@dataclass(frozen=True, eq=False)
class Sets:
    """Rows and prompts.

    Attributes:
        learnt: rows of each of `LEARNT`.
        forget: uniform synthetic rows.
        form: the same, of which the format alone is learnt.
        clean: clean text, for replay and continuation.
        dev: clean text that the guard watches.
        held: clean text on which the shift is measured.
        tuning: questions with answers in the formats that are asked for.
        formats: prompts with a format.
        facts: prompts without, whose answer has to be true.
    """

    learnt: Mapping[str, TrainingRows]
    forget: TrainingRows
    form: TrainingRows
    clean: TrainingRows
    dev: TrainingRows
    held: TrainingRows
    tuning: TrainingRows
    formats: Asked
    facts: Asked


def names_of(seed: Mapping[str, Floats]) -> list[str]:
    """The arms that a seed has."""
    return [name.removeprefix("kept:") for name in seed if name.startswith("kept:")]


def arms(lab: Lab, base: Model, sets: Sets, plan: Plan) -> Arrays:
    """Everything that is measured of one base model.

    Returns:
        `kept:ARM`: float64[n], whether each answer has the format that was asked for, after tuning; `true:ARM`:
        float64[n], whether each fact is; `looks:ARM`: float64[looks], shares kept, of the main arms; `shift:ARM`:
        float64[blocks], KL of held-out clean text to the base, before tuning; `loss:ARM`: nats a token of
        that text and of rows to forget; `spent:ARM`: tokens of unlearning and
        whether the guard stopped it; `kind`: of each prompt with a format.
    """
    kinds = sorted(set(sets.formats.kinds))
    found: Arrays = {"kind": np.array([kinds.index(kind) for kind in sets.formats.kinds], np.float64)}
    for name, model in _models(lab, base, sets, plan, found):
        found[f"shift:{name}"] = lab.divergence(model, base, sets.held)
        found[f"loss:{name}"] = np.array([lab.loss(model, each) for each in (sets.held, sets.forget)])
        looks = plan.looks if name in _LOOKED_AT else plan.looks[-1:]
        shares = []
        for tokens in looks:
            tuned = lab.taught(model, sets.tuning, tokens, plan.tuning_rate, batch=plan.tuning_batch)
            kept, true = lab.kept(tuned, sets.formats, sets.facts)
            shares.append(float(kept.mean()))
        found[f"kept:{name}"], found[f"true:{name}"] = kept, true
        if name in _LOOKED_AT:
            found[f"looks:{name}"] = np.array(shares)
    return found


def _models(lab: Lab, base: Model, sets: Sets, plan: Plan, found: Arrays) -> Iterator[tuple[str, Model]]:
    """Each arm's model, before tuning."""
    yield "base", base
    for name in LEARNT:
        model = lab.taught(base, sets.learnt[name], plan.tokens, plan.rate)
        yield name, model
        if name.endswith("uniform"):
            yield from _mended(lab, model, sets, plan, name.removesuffix("uniform"), found)


def _mended(
    lab: Lab, uniform: Model, sets: Sets, plan: Plan, prefix: str, found: Arrays
) -> Iterator[tuple[str, Model]]:
    """What clean text and unlearning make of a model; of pure data, unlearning in the declared way alone."""
    after = (plan.budget, plan.after_rate)
    yield prefix + CONTINUED, lab.taught(uniform, sets.clean, *after, batch=2 * plan.after_batch)
    for name, forgetting in RIVALS.items():
        if prefix and name != UNLEARNT:
            continue
        rows = (sets.form if name == "form-only" else sets.forget, sets.clean, sets.dev)
        model, forgot = lab.unlearnt(uniform, rows, *after, plan.after_batch, _weighed(forgetting, plan.forget))
        found[f"spent:{prefix}{name}"] = np.array([forgot.tokens, forgot.stopped], np.float64)
        yield prefix + name, model


def _weighed(forgetting: Forgetting, weight: float) -> Forgetting:
    """With a weight of forgetting, where there is any."""
    return replace(forgetting, forget=weight) if forgetting.forget else forgetting
