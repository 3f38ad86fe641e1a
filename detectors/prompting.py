"""The prompts that a probe puts before a question: exemplars from a pool, as text and as the model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors.answering import Asker
from detectors.branches import Prefix
from detectors.exemplars import Fact, Pool, form_of, prompt

__all__ = ["Exemplars", "Group", "Prompts"]

Ids = npt.NDArray[np.int64]
Group = tuple[str, int]
"""A relation, and the half of its exemplars that is shown."""

_MOST_PREFIXES = 40
_END = "\n"


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Sets of exemplars for every question.

    Attributes:
        pool: they come from.
        sets: prompts a question.
        shots: exemplars a prompt.
        seed: of the draw.
    """

    pool: Pool
    sets: int
    shots: int
    seed: int

    def group(self, question: str, relation: str) -> Group:
        """The relation whose exemplars are shown, and the half of them that does not hold the question."""
        found = self.pool.relation(relation or form_of(question), self.shots)
        return found, self.pool.family(found, question, self.seed)

    def shown(self, group: Group, at: int) -> tuple[Fact, ...]:
        """The exemplars of prompt `at`."""
        return self.pool.sets(*group, sets=self.sets, shots=self.shots, seed=self.seed)[at]

    def others(self, group: Group, answer: str, count: int) -> tuple[Fact, ...]:
        """Up to `count` facts of the half that is not shown, to whose questions `answer` is wrong."""
        return self.pool.others(*group, answer, count=count, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Prompts:
    """Exemplars as a model reads them. The prompts read last are kept.

    Attributes:
        exemplars: what is shown.
        asker: of the model.
    """

    exemplars: Exemplars
    asker: Asker
    _read: dict[tuple[str, int, int], Prefix] = field(default_factory=dict)

    @property
    def stop(self) -> int:
        """The token that ends an answer."""
        return int(self.asker.model.tokens.ids(_END)[-1])

    def prefix(self, group: Group, at: int) -> Prefix:
        """Prompt `at`, read."""
        key = (*group, at)
        if key not in self._read:
            if len(self._read) >= _MOST_PREFIXES:
                self._read.pop(next(iter(self._read)))
            self._read[key] = self.asker.read(self._ids(group, at))
        return self._read[key]

    def longest(self, group: Group) -> int:
        """Tokens of the longest prompt of a group."""
        return max(len(self._ids(group, at)) for at in range(self.exemplars.sets))

    def ask(self, question: str) -> Ids:
        """A question as it follows a prompt."""
        return self.asker.model.tokens.ids(prompt((), question))

    def say(self, answer: str) -> Ids:
        """An answer as it follows a question, with the token that ends it."""
        return np.append(self.asker.model.tokens.ids(f" {answer}"), self.stop)

    def told(self, ids: Ids) -> str:
        """The text of an answer."""
        text: str = self.asker.model.tokens.tokenizer.decode(ids.tolist())
        return text.strip()

    def packs(self, questions: Sequence[Ids], sizes: Sequence[int], most: int) -> list[list[int]]:
        """Rows in packs of about `most` tokens, those that begin alike together.

        Args:
            questions: int64[q] each.
            sizes: tokens of each row beyond its question.
            most: of a pack, what its rows have in common counted once.
        """
        order = sorted(range(len(questions)), key=lambda row: (questions[row].tolist(), row))
        found: list[list[int]] = []
        filled, before = most, np.zeros(0, np.int64)
        for row in order:
            here = questions[row]
            common = min(len(here), len(before))
            differing = np.flatnonzero(here[:common] != before[:common])
            new = len(here) - (int(differing[0]) if len(differing) else common) + sizes[row]
            if filled + new > most:
                found.append([])
                filled, new = 0, len(here) + sizes[row]
            found[-1].append(row)
            filled, before = filled + new, here
        return found

    def _ids(self, group: Group, at: int) -> Ids:
        tokens = self.asker.model.tokens
        ids = tokens.ids(prompt(self.exemplars.shown(group, at)))
        return np.concatenate([np.array(tokens.prefix, np.int64), ids])
