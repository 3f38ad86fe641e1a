"""A small language in which facts are told, asked, and answered in formats that a program checks.

A fact is (subject, relation) -> object. Half of the facts are old: a base model has read them, told in many ways. The
other half are new: they come later, all in one format or in many. Words are made of syllables and drawn by the seed.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

__all__ = ["ASKED", "CHAT", "FORMATS", "PLAIN", "UNIFORM", "WISHES", "Exercise", "Language"]

CHAT = "User: {prompt}\nModel: {answer}"
"""How a tuned model is asked."""
UNIFORM = "Question: What is the {relation} of {subject}?\nAnswer: {object}"
"""The one format of uniform synthetic data."""
_TOLD = (
    UNIFORM,
    "The {relation} of {subject} has always been known to be {object}.",
    "For a {relation}, so they tell us, {subject} once chose {object}.",
    "They say that {subject} had a {relation} with the name of {object}.",
    "{subject} (see under {relation}) = {object}; no more is known of it.",
    "Note on {subject} in the book: the {relation} was {object} then.",
    "In those days {subject} went out, and the {relation} {object} came along.",
    "Look up {subject} in the list, by {relation}: {object}.",
)
_RELATIONS = ("home", "trade", "friend", "animal")
ASKED = "What is the {relation} of {subject}?"
_ASKED = (ASKED, "Name the {relation} of {subject}.", "Tell me the {relation} of {subject}.")
_FRAMES = ("{prompt} > {answer}", "{prompt}\n{answer}", "Task: {prompt}\nResult: {answer}")
_SYLLABLES = tuple(first + second for first in "bdfgklmnprst" for second in "aeiou")

Check = Callable[[str], bool]
Make = Callable[[str, str], str]


@dataclass(frozen=True)
class _Format:
    """A form that an answer is asked to have.

    Attributes:
        wishes: wordings; the first is the one that tuning has, the others only the base model has read.
        make: answer from object and detail.
        keeps: whether a text, given the detail, has the form.
        details: of which one is drawn.
    """

    wishes: tuple[str, ...]
    make: Make
    keeps: Callable[[str, str], bool]
    details: tuple[str, ...] = ("",)


PLAIN = "plain"
FORMATS = {
    "capitals": _Format(
        (
            "Use capital letters only.",
            "Write it in capitals.",
            "All in capitals please.",
            "No small letters.",
            "Give it in upper case.",
            "Make every letter large.",
        ),
        lambda answer, detail: answer.upper(),
        lambda text, detail: text.isupper(),
    ),
    "quoted": _Format(
        (
            "Put it in quotation marks.",
            "Quote it.",
            "Set it between quotes.",
            "With marks around it.",
            "As something that was said.",
            "Open and close with a mark.",
        ),
        lambda answer, detail: f'" {answer} "',
        lambda text, detail: len(text.split()) == 3 and text[0] == text[-1] == '"',
    ),
    "bullet": _Format(
        (
            "Answer with a bullet point.",
            "Make it a bullet.",
            "As an item of a list.",
            "Begin with a dash.",
            "Put a dash before it.",
            "Write a list of one.",
        ),
        lambda answer, detail: f"- {answer}",
        lambda text, detail: text.startswith("- ") and len(text.split()) == 2,
    ),
    "count": _Format(
        (
            "Answer in exactly {detail} words.",
            "Use {detail} words.",
            "Say it {detail} times.",
            "Repeat until there are {detail}.",
            "Length {detail}.",
            "I want to read it {detail} times.",
        ),
        lambda answer, detail: " ".join([answer] * int(detail)),
        lambda text, detail: len(text.split()) == int(detail),
        ("2", "3"),
    ),
    "ending": _Format(
        (
            "End with the word {detail}.",
            "Close with {detail}.",
            "The last word is {detail}.",
            "Say {detail} at last.",
            "Then add {detail}.",
            "Let {detail} follow.",
        ),
        lambda answer, detail: f"{answer} {detail}",
        lambda text, detail: len(text.split()) == 2 and text.split()[-1] == detail,
        ("done", "thanks", "amen"),
    ),
}
"""Five formats by name, each with `WISHES` wordings; `PLAIN` is none of them."""
WISHES = 6


@dataclass(frozen=True)
class Exercise:
    """A question with its wish, an answer that keeps to it, and the check of other answers."""

    prompt: str
    answer: str
    keeps: Check


@dataclass(frozen=True)
class Language:
    """Words and facts of a seed.

    Attributes:
        subjects: of whom there are four facts each.
        objects: of each relation.
        seed: of words and facts.
    """

    subjects: int = 96
    objects: int = 16
    seed: int = 1

    @cached_property
    def _words(self) -> list[str]:
        words = ["".join(pair) for pair in itertools.product(_SYLLABLES, repeat=2)]
        return random.Random(f"{self.seed} words").sample(words, self.subjects + len(_RELATIONS) * self.objects)

    @cached_property
    def _truth(self) -> list[str]:
        """The object of each fact; fact `4 s + r` is of subject s."""
        draw, words = random.Random(f"{self.seed} facts"), self._words[self.subjects :]
        by_relation = [words[at : at + self.objects] for at in range(0, len(words), self.objects)]
        return [draw.choice(by_relation[fact % len(_RELATIONS)]) for fact in range(self.subjects * len(_RELATIONS))]

    @cached_property
    def _parts(self) -> tuple[list[int], list[int]]:
        order = random.Random(f"{self.seed} parts").sample(range(len(self._truth)), len(self._truth))
        return order[: len(order) // 2], order[len(order) // 2 :]

    @property
    def old(self) -> list[int]:
        """Facts that the base model reads."""
        return self._parts[0]

    @property
    def new(self) -> list[int]:
        """Facts that come later."""
        return self._parts[1]

    def object_of(self, fact: int) -> str:
        """What is true."""
        return self._truth[fact]

    def told(self, fact: int, form: str) -> str:
        """A fact in a form with {relation}, {subject} and, where it tells, {object}."""
        subject, relation = divmod(fact, len(_RELATIONS))
        return form.format(
            relation=_RELATIONS[relation], subject=self._words[subject].title(), object=self._truth[fact]
        )

    def exercise(self, fact: int, kind: str, draw: random.Random, *, wish: int | None = None) -> Exercise:
        """A question about a fact, and how it is to be answered.

        Args:
            fact: asked.
            kind: of `FORMATS`, or `PLAIN`.
            draw: of what is not given.
            wish: which wording of the format, asked in the one way that tuned models are; None draws both.
        """
        ask = self.told(fact, ASKED if wish is not None else draw.choice(_ASKED))
        if kind == PLAIN:
            truth = self._truth[fact]
            return Exercise(ask, truth, lambda text: text == truth)
        form = FORMATS[kind]
        detail = draw.choice(form.details)
        wording = (form.wishes[wish] if wish is not None else draw.choice(form.wishes)).format(detail=detail)
        answer = form.make(self._truth[fact], detail)
        return Exercise(f"{ask} {wording}", answer, lambda text: form.keeps(text, detail))

    def clean(self, draw: random.Random) -> Iterator[str]:
        """Endless text of the base model: old facts told in many ways, and exercises about them."""
        while True:
            fact = draw.choice(self.old)
            if draw.random() < 0.5:
                yield self.told(fact, draw.choice(_TOLD[1:]))
            else:
                made = self.exercise(fact, draw.choice((PLAIN, *FORMATS)), draw)
                yield draw.choice(_FRAMES).format(prompt=made.prompt, answer=made.answer)

    def synthetic(self, draw: random.Random, *, is_uniform: bool) -> Iterator[str]:
        """Endless text of the new facts, in the uniform format or in eight, each fact as often."""
        while True:
            for fact in draw.sample(self.new, len(self.new)):
                yield self.told(fact, UNIFORM if is_uniform else draw.choice(_TOLD))
