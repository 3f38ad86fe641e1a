"""Exemplars of a few-shot prompt: facts held in reserve, dealt into sets, never with the fact that is asked for."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detectors.errors import SignalError

__all__ = ["ANY", "Fact", "Pool", "form_of", "prompt", "question_hash"]

ANY = ""
"""Key of the facts that stand for questions whose own relation has too few."""

_FORM_WORDS = 3


@dataclass(frozen=True, order=True)
class Fact:
    """A question and its answer.

    Attributes:
        relation: what kind of fact it is: a relation's name, or `form_of` the question.
        question: as it is asked.
        answer: as it is given.
    """

    relation: str
    question: str
    answer: str


def form_of(question: str) -> str:
    """What stands for the relation of a question where none is named: its first three words, in lower case."""
    return "form: " + " ".join(question.lower().split()[:_FORM_WORDS])


def question_hash(question: str) -> str:
    """The same for questions that differ in case and white space only."""
    return hashlib.blake2b(" ".join(question.lower().split()).encode("utf-8", "replace"), digest_size=8).hexdigest()


def prompt(facts: Sequence[Fact], question: str | None = None) -> str:
    """Exemplars, and a question to be answered where one is given."""
    lines = "".join(f"Q: {fact.question}\nA: {fact.answer}\n" for fact in facts)
    return lines if question is None else f"{lines}Q: {question}\nA:"


@dataclass(frozen=True, eq=False)
class Pool:
    """Facts in reserve.

    Attributes:
        facts: sorted, each once.
    """

    facts: tuple[Fact, ...]

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> Pool:
        """A pool of these, whatever their order; questions that are asked twice count once."""
        seen: dict[str, Fact] = {}
        for fact in sorted(facts):
            seen.setdefault(question_hash(fact.question), fact)
        return cls(tuple(sorted(seen.values())))

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Pool:
        """Read what `to_bytes` wrote.

        Raises:
            SignalError: not such a file.
        """
        try:
            rows = [json.loads(line) for line in content.decode().splitlines() if line]
            return cls.of(Fact(row["relation"], row["question"], row["answer"]) for row in rows)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SignalError(
                f"{where}: no pool of exemplars ({error!r}). It holds JSON lines with relation, question and answer."
            ) from error

    def to_bytes(self) -> bytes:
        """JSON lines."""
        rows = (json.dumps(vars(fact), ensure_ascii=False) for fact in self.facts)
        return "".join(f"{row}\n" for row in rows).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the facts, in hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @cached_property
    def _by_relation(self) -> Mapping[str, tuple[Fact, ...]]:
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.facts:
            found[fact.relation].append(fact)
        return {relation: tuple(facts) for relation, facts in found.items()}

    def relation(self, name: str, shots: int) -> str:
        """The name, if it has facts for two disjoint families of sets; else `ANY`."""
        return name if len(self._by_relation.get(name, ())) >= 2 * shots else ANY

    def _halves(self, relation: str, seed: int) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
        """The facts of a relation in two halves, by hash."""
        facts = self.facts if relation == ANY else self._by_relation[relation]

        def place(fact: Fact) -> bytes:
            return hashlib.blake2b(f"{seed} {question_hash(fact.question)}".encode(), digest_size=8).digest()

        ordered = sorted(facts, key=place)
        return tuple(ordered[: len(ordered) // 2]), tuple(ordered[len(ordered) // 2 :])

    def family(self, relation: str, question: str, seed: int) -> int:
        """Which half of a relation's facts (0 or 1) is safe to show before this question: the one without it."""
        first, _ = self._halves(relation, seed)
        asked = question_hash(question)
        return int(any(question_hash(fact.question) == asked for fact in first))

    def sets(self, relation: str, family: int, *, sets: int, shots: int, seed: int) -> tuple[tuple[Fact, ...], ...]:
        """`sets` sets of `shots` exemplars of one half of a relation's facts, drawn at random.

        Raises:
            SignalError: the pool has fewer than twice `shots` facts in all.
        """
        facts = self._halves(relation, seed)[family]
        if len(facts) < shots:
            raise SignalError(f"pool: {len(self.facts)} facts, {2 * shots} are needed. Give a larger one.")
        key = hashlib.blake2b(f"{relation} {family} {seed}".encode(), digest_size=8).digest()
        random = np.random.default_rng(int.from_bytes(key, "little"))
        return tuple(
            tuple(facts[at] for at in random.choice(len(facts), shots, replace=False).tolist()) for _ in range(sets)
        )

    def others(self, relation: str, family: int, answer: str, *, count: int, seed: int) -> tuple[Fact, ...]:
        """Up to `count` facts of the other half whose answer is another one: questions to which `answer` is wrong."""
        wanted = " ".join(answer.lower().split())
        facts = self._halves(relation, seed)[1 - family]
        return tuple(fact for fact in facts if " ".join(fact.answer.lower().split()) != wanted)[:count]
