"""The arms of one seed: what people translated, what models did, in which order, and over generations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricula.experiments.regurgitative_grammar import Pairs
from curricula.experiments.regurgitative_models import Models, Training, scores
from curricula.experiments.regurgitative_orders import QUALITY, Detector, Ranks, decided, flagged, order_of, taken
from curricula.experiments.regurgitative_pairs import Parts
from curricula.importance import Importance
from curricula.lexical_variety import lexical_variety
from curricula.mixing import Accumulate, Replace
from curricula.order import HumanFirst
from curricula.quality import QualityFirst
from curricula.writing import Writer

__all__ = ["ORDERS", "Arms", "joined", "picked"]

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
ORDERS = ("quality", "human", "reversed")
"""Orders that are held against a random one; `reversed` is that of quality from its end."""
_REAL = "real"


def picked(pairs: Pairs, rows: I64) -> Pairs:
    """Some rows of pairs."""
    plain = tuple(pairs.plain[row] for row in rows) if pairs.plain else ()
    return Pairs(tuple(pairs.sources[row] for row in rows), tuple(pairs.targets[row] for row in rows), plain)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Rows of several parts, one after the other."""
    return Pairs(
        tuple(source for part in parts for source in part.sources),
        tuple(target for part in parts for target in part.targets),
    )


@dataclass(frozen=True, eq=False)
class Arms:
    """Trains and scores.

    Attributes:
        models: of the seed.
        parts: of the seed.
        seed: of orders.
        steps: equal shares of the data, by tokens, that are added one after the other.
        generations: after the first model, which people taught.
        temperature: of what teachers write.
        strength: of importance resampling.
        found: what was measured so far.
    """

    models: Models
    parts: Parts
    seed: int
    steps: int
    generations: int
    temperature: float
    strength: float
    found: dict[str, Floats]

    @classmethod
    def of(
        cls,
        training: Training,
        parts: Parts,
        folder: Path,
        *,
        seed: int,
        steps: int,
        generations: int,
        temperature: float,
        strength: float,
    ) -> Arms:
        """Arms whose tokenizer and base come from what the first teacher reads."""
        models = Models(training, seed, parts.teachers[0], folder)
        return cls(models, parts, seed, steps, generations, temperature, strength, {})

    def run(self) -> dict[str, Floats]:
        """All arms; see `regurgitative.run_seed` for what is measured."""
        teachers = [self._model(f"teacher{at}", part) for at, part in enumerate(self.parts.teachers)]
        people = self.parts.fresh[0]
        written = [self._written(teacher, people) for teacher in teachers]
        detector = Detector.fitted(self.parts.teachers[1].targets, written[1].targets)
        self._items(people, written[0])
        mixed = Pairs(people.sources, tuple(written[at % len(written)].targets[at] for at in range(len(people))))
        last = self._cumulative(people, written[0], mixed, teachers[1], detector)
        self._generations(written[0], last, detector)
        return self.found

    def _model(self, name: str, pairs: Pairs) -> Writer:
        """A model trained on pairs, and its scores."""
        writer = self.models.trained(name, pairs)
        test = self.parts.test
        texts = self.models.translate(writer, test.sources)
        each, bleu, chrf = scores(texts, test.targets)
        self.found.update(
            {f"chrf:{name}": each, f"bleu:{name}": np.array([bleu]), f"corpus_chrf:{name}": np.array([chrf])}
        )
        if self.parts.grammar is not None:
            self.found[f"right:{name}"] = self._right(texts, test)
        return writer

    def _right(self, texts: Sequence[str], wanted: Pairs) -> Floats:
        """float64[n]: 1 where the grammar has nothing against a translation."""
        assert self.parts.grammar is not None
        plain = map(self.parts.grammar.plain, texts)
        return np.array([float(text == right) for text, right in zip(plain, wanted.plain, strict=True)])

    def _written(self, writer: Writer, pairs: Pairs) -> Pairs:
        return Pairs(pairs.sources, self.models.translate(writer, pairs.sources, self.temperature))

    def _wrong(self, written: Pairs, people: Pairs) -> Floats:
        """float64[n]: 1 where a translation is wrong: to the grammar, else on its face."""
        if self.parts.grammar is not None:
            return 1 - self._right(written.targets, people)
        return flagged(written, self.parts.languages).astype(np.float64)

    def _items(self, people: Pairs, written: Pairs) -> None:
        """Errors and variety of what people and the first teacher wrote, at equal tokens."""
        room = min(self.models.sizes(people).sum(), self.models.sizes(written).sum())
        for name, pairs in ((_REAL, people), ("generated", written)):
            part = self._up_to(pairs, np.arange(len(pairs)), int(room))
            rows = Pairs(pairs.sources[: len(part)], pairs.targets[: len(part)], people.plain[: len(part)])
            self.found[f"wrong:{name}"] = self._wrong(rows, rows)
            self.found[f"flagged:{name}"] = flagged(rows, self.parts.languages).astype(np.float64)
            for index, value in lexical_variety(rows.targets).items():
                self.found[f"{index}:{name}"] = np.array([value])

    def _up_to(self, pairs: Pairs, order: I64, tokens: int) -> I64:
        """The first rows of an order that have so many target tokens together; at least one."""
        reached = np.cumsum(self.models.sizes(pairs)[order])
        return order[: max(1, int(np.searchsorted(reached, tokens, side="right")))]

    def _cumulative(self, people: Pairs, written: Pairs, mixed: Pairs, judge: Writer, detector: Detector) -> Writer:
        """Models of ever more of each arm's data; returns that of all that the first teacher wrote."""
        random = np.random.default_rng([self.seed, 8]).permutation(len(people))
        room = int(min(self.models.sizes(pairs).sum() for pairs in (people, written, mixed)))
        arms = {_REAL: (people, random), "generated": (written, random), "mixed": (mixed, random)}
        arms |= {name: (written, order) for name, order in self._orders(written, people, judge, detector).items()}
        last: Writer | None = None
        for name, (pairs, order) in arms.items():
            for step in range(1, self.steps + 1):
                if name in ORDERS and step == self.steps:
                    continue  # all the data is the same in any order
                rows = self._up_to(pairs, order, room * step // self.steps)
                writer = self._model(f"{name}@{step}", picked(pairs, rows))
                if name == "generated":
                    last = writer
        assert last is not None
        return last

    def _orders(self, written: Pairs, people: Pairs, judge: Writer, detector: Detector) -> dict[str, I64]:
        machine = detector.probabilities(written.targets)
        value = self.models.likelihood(judge, written)
        rows = decided(written, self.parts.languages, ["teacher"] * len(written), value=value, machine=machine)
        quality = order_of(QualityFirst(self.seed, QUALITY), rows)
        human = order_of(HumanFirst(self.seed), rows)
        wrong = self._wrong(written, people)
        real = detector.probabilities(people.targets)
        self.found["auroc"] = np.array([_auroc(machine, real)])
        half = len(written) // 2
        for name, order in (("quality", quality), ("human", human)):
            self.found[f"wrong_half:{name}"] = np.array([wrong[order[:half]].mean(), wrong[order[half:]].mean()])
        return {"quality": quality, "human": human, "reversed": quality[::-1].copy()}

    def _generations(self, written: Pairs, first: Writer, detector: Detector) -> None:
        """Replace, accumulate and importance: each generation learns from what the one before wrote."""
        chains: dict[str, list[Pairs]] = {"replace": [written], "accumulate": [written], "importance": [written]}
        for name, chain in chains.items():
            for generation in range(1, self.generations + 1):
                if name == "replace" and generation == 1:
                    writer = first  # the same data as all that the teacher wrote
                else:
                    writer = self._model(f"{name}{generation}", self._pool(name, chain, detector))
                if generation < self.generations:
                    chain.append(self._written(writer, self.parts.fresh[generation]))
                    wrong = self._wrong(chain[-1], self.parts.fresh[generation])
                    self.found[f"wrong:{name}{generation}"] = wrong
                    self.found[f"distinct_2:{name}{generation}"] = np.array(
                        [lexical_variety(chain[-1].targets)["distinct_2"]]
                    )

    def _pool(self, name: str, chain: Sequence[Pairs], detector: Detector) -> Pairs:
        """What a generation reads: of the newest rows only, or of all, with people's among them."""
        machine_made = [chain[-1]] if name == "replace" else list(chain)
        parts = [self.parts.teachers[0], *machine_made]
        pool = joined(parts)
        sources = [_REAL if at == 0 else f"generation{at}" for at, part in enumerate(parts) for _ in range(len(part))]
        machine = detector.probabilities(pool.targets) if name == "importance" else np.zeros(len(pool))
        rows = decided(pool, self.parts.languages, sources, value=np.zeros(len(pool)), machine=machine)
        return picked(pool, taken(self._curriculum(name, len(chain)), rows))

    def _curriculum(self, name: str, generations: int) -> Ranks:
        if name == "replace":
            return Replace(self.seed, (_REAL,), 1.0)
        if name == "accumulate":
            return Accumulate(self.seed, (_REAL,), generations / (generations + 1))
        return Importance(self.seed, self.strength)


def _auroc(machine: Floats, human: Floats) -> float:
    """How often a machine's row has the higher score, ties by half."""
    order = np.sort(human)
    below = np.searchsorted(order, machine, side="left") + np.searchsorted(order, machine, side="right")
    return float(below.mean() / (2 * len(human)))
