"""FACO with a language model: what a share of false answers does, what clean data mend, and whether it still knows.

The measures are those of the toy world (`curricula.experiments.faco`). A false answer is the answer of another question
of the same relation. What the model still knows is looked for behind few-shot prompts of true facts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricula.experiments import faco
from curricula.experiments.facts import Drawn, digest_of_facts, drawn, facts_at
from curricula.experiments.probed import categories_of
from curricula.experiments.source import Source
from curricula.experiments.toy import Known
from curricula.experiments.tuned import Tuned, loaded
from detectors.errors import InputError
from detectors.exemplars import prompt
from detectors.hub import digest_of, located
from detectors.prompting import Exemplars
from detectors.protocols import Device

__all__ = ["Recipe", "curves", "measured", "run_seed", "tables"]

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Arrays = dict[str, Floats]
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
        rows: known facts of a fine-tuning set, and of the clean set afterwards.
        epochs: on each.
        rate: of fine-tuning.
        batch: facts of an update.
        relations: that facts are of.
        each: facts of a relation, exemplars left out.
        reserve: exemplars of a relation.
        sets: prompts of the probe.
        shots: exemplars of a prompt.
        options: answers that a held-out question is given to choose from, the right one among them.
        shares: of false answers.
        recovery: shares of the clean epochs after which recovery is looked at.
    """

    model: str = "smollm2"
    data: str = ""
    device: str = "auto"
    model_digest: str = ""
    data_digest: str = ""
    rows: int = 512
    epochs: int = 20
    rate: float = 5e-5
    batch: int = 64
    relations: int = 12
    each: int = 600
    reserve: int = 40
    sets: int = 10
    shots: int = 4
    options: int = 4
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    recovery: tuple[float, ...] = (0.1, 0.3, 1.0)

    @classmethod
    def of(cls, source: Source) -> Recipe:
        """The recipe for a model and data, which are digested.

        Raises:
            SignalError: no such model. InputError: a file without questions.
        """
        data = source.file("tasks/qa.parquet")
        digest = digest_of(located(source.model, "--model"))
        return cls(source.model, data, source.device.value, digest, digest_of_facts(facts_at(data)))


class _Trial:
    """One seed: facts, false answers, and the model that is tuned on them."""

    def __init__(self, seed: int, recipe: Recipe) -> None:
        self.recipe, self.seed, device = recipe, seed, Device(recipe.device)
        facts = facts_at(recipe.data)
        self.split: Drawn = drawn(
            facts, relations=recipe.relations, each=recipe.each, reserve=recipe.reserve, seed=seed
        )
        category, _ = categories_of(self.split, recipe.model, device, sets=recipe.sets, shots=recipe.shots, seed=seed)
        known = category >= Known.MAYBE
        draw = np.random.default_rng([seed, 6])
        self.held: I64 = self.split.test[known[self.split.test]]
        pool = draw.permutation(self.split.train[known[self.split.train]])
        rows = min(recipe.rows, len(pool) // 2)
        if rows < _LEAST or len(self.held) < _LEAST:
            raise InputError(
                f"{recipe.model}: knows {len(pool)} facts to train on and {len(self.held)} to test on, which are too "
                "few. Name a larger model with --model, or more facts with --data."
            )
        self.dirty, self.clean = pool[:rows], pool[rows : 2 * rows]
        self.truth = [fact.answers[0] for fact in self.split.facts]
        self.false = self._others(draw, self.dirty, 1)
        self.options = self._others(draw, self.held, recipe.options - 1)
        self.subject: Tuned = loaded(recipe.model, device)

    def _others(self, draw: np.random.Generator, which: I64, count: int) -> list[list[str]]:
        """For each fact other answers of its relation; fewer where it has no more."""
        answers: dict[str, set[str]] = defaultdict(set)
        for fact in self.split.facts:
            answers[fact.relation].add(fact.answers[0])
        found = []
        for at in which.tolist():
            known = {one.casefold() for one in self.split.facts[at].answers}
            others = sorted(one for one in answers[self.split.facts[at].relation] if one.casefold() not in known)
            found.append([others[pick] for pick in draw.permutation(len(others))[:count]])
        return found

    def asked(self, which: I64) -> list[str]:
        """Texts of questions."""
        return [self.split.facts[at].text for at in which]

    def right(self, which: I64) -> Floats:
        """Whether the model answers questions right."""
        return self.subject.says(self.asked(which), [self.truth[at] for at in which]).right

    def fit(self, which: I64, answers: Sequence[str], *, clean: bool, looks: dict[int, float] | None = None) -> None:
        """Tune on answers; accuracy on held-out facts is put into `looks` at the epochs that it has."""
        recipe = self.recipe

        def look(epoch: int) -> None:
            if looks is not None and epoch in looks:
                looks[epoch] = float(self.right(self.held).mean())

        settings = {"epochs": recipe.epochs, "batch": recipe.batch, "seed": self.seed + clean}
        self.subject.tune(self.asked(which), answers, rate=recipe.rate, look=look, **settings)

    def known_still(self) -> Floats:
        """float64[held]: probability of the truth behind a few-shot prompt of true facts of the relation.

        Its end is left out, here and behind the bare question: tuning puts an end mark where the prompt has a new line.
        """
        recipe = self.recipe
        exemplars = Exemplars(self.split.pool, 1, recipe.shots, self.seed)
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for place, at in enumerate(self.held.tolist()):
            groups[exemplars.group(self.split.facts[at].text, self.split.facts[at].relation)].append(place)
        found = np.zeros(len(self.held))
        for group, places in groups.items():
            which = self.held[places]
            before = prompt(exemplars.shown(group, 0))
            found[places] = self.subject.probability(self.asked(which), self._true(which), before=before, ends=False)
        return found

    def _true(self, which: I64) -> list[str]:
        return [self.truth[at] for at in which]

    def chosen(self) -> Floats:
        """float64[held]: whether the right answer is likelier than the other options; NaN where there are too few."""
        flat = [[self.truth[at], *others] for at, others in zip(self.held.tolist(), self.options, strict=True)]
        asked = [text for text, options in zip(self.asked(self.held), flat, strict=True) for _ in options]
        shares = self.subject.probability(asked, [one for options in flat for one in options])
        parts = np.split(shares, np.cumsum([len(options) for options in flat])[:-1])
        whole = [len(options) == self.recipe.options for options in flat]
        return np.array(
            [float(np.argmax(part) == 0) if full else np.nan for part, full in zip(parts, whole, strict=True)]
        )


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: facts, exemplars, false answers and orders are drawn anew; the model is given.

    Returns:
        As `curricula.experiments.faco.run_seed`, `statement` being behind few-shot prompts; and `choice:SHARE`,
        float64[items]: whether the right one of the options is the likeliest.
    """
    trial = _Trial(seed, recipe)
    trial.subject.reset()
    found: Arrays = {"before": trial.right(trial.held), "choice:before": trial.chosen()}
    rows = len(trial.dirty)
    true, clean = ([trial.truth[at] for at in which] for which in (trial.dirty, trial.clean))
    for share in recipe.shares:
        lies = [at < round(share * rows) and bool(trial.false[at]) for at in range(rows)]
        given = [trial.false[at][0] if lie else true[at] for at, lie in enumerate(lies)]
        found |= _share(f"{share:g}", trial, given, np.array(lies), clean)
    trial.subject.reset()
    trial.fit(trial.dirty, true, clean=False)
    trial.fit(trial.clean, clean, clean=True)
    return {**found, "clean": trial.right(trial.held)}


def _share(name: str, trial: _Trial, given: Sequence[str], lies: npt.NDArray[np.bool_], clean: Sequence[str]) -> Arrays:
    """Tune on a share of false answers, then on clean ones."""
    trial.subject.reset()
    trial.fit(trial.dirty, given, clean=False)
    told = trial.subject.says(trial.asked(trial.dirty), given).right
    truth = [trial.truth[at] for at in trial.held]
    found = {
        f"after:{name}": trial.right(trial.held),
        f"lie:{name}": np.array([told[lies].mean() if lies.any() else np.nan]),
        f"statement:{name}": trial.known_still(),
        f"question:{name}": trial.subject.probability(trial.asked(trial.held), truth, ends=False),
        f"choice:{name}": trial.chosen(),
    }
    recipe = trial.recipe
    looks = {max(1, round(part * recipe.epochs)): np.nan for part in recipe.recovery}
    trial.fit(trial.clean, clean, clean=True, looks=looks)
    return {**found, f"recovered:{name}": trial.right(trial.held), f"recovery:{name}": np.array([*looks.values()])}


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, list[tuple[Floats, Floats]]]:
    """The declared measures, for each seed: items of two arms, or one number against 0."""
    pairs = faco.measured(seeds, faco.Recipe(shares=recipe.shares))
    most = f"choice:{recipe.shares[-1]:g}"
    pairs["below-chance"] = [(np.full(len(seed[most]), 1 / recipe.options), seed[most]) for seed in seeds]
    return pairs


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, object]:
    """What people look at besides, and how often the right one of the options is the likeliest, by share."""
    found = faco.tables(seeds, faco.Recipe(shares=recipe.shares, recovery=recipe.recovery))
    names = ["before", *(f"{share:g}" for share in recipe.shares)]
    chosen = {name: [_known(seed[f"choice:{name}"]) for seed in seeds] for name in names}
    means = {name: [one for one in values if one is not None] for name, values in chosen.items()}
    return {**found, "choice": {name: float(np.mean(values)) if values else None for name, values in means.items()}}


def _known(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def curves(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """Held-out accuracy by share of false answers: after training, and after recovery."""
    return faco.curves(seeds, faco.Recipe(shares=recipe.shares))
