"""Two languages made in code, and sentences of one with their translations into the other.

What makes translation hard is there in small: common and rare words, genders that articles and adjectives agree with,
a verb that goes to the end behind a conjunction, several words for one thing, names and numbers to copy. What is right
is known for every sentence: any of the words for a thing will do, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Grammar", "Pairs"]

Floats = npt.NDArray[np.float64]
_CONSONANTS = ("b d f g h j k l m n p r s t v w z", "p t k b d g m n l r s f sch pf z br kr st tr gl")
_VOWELS = ("a e i o u", "a e i o u au ei ü ö")
_ENDINGS = (("er", "e", "es"), ("en", "e", "es"))
_ARTICLES = (("der", "die", "das"), ("den", "die", "das"))
_INDEFINITE = (("ein", "eine", "ein"), ("einen", "eine", "ein"))
_PLURALS = ("en", "er", "s")
_CONJUNCTIONS = (("because", "weil"), ("if", "wenn"), ("while", "während"))
_SYLLABLES = (1, 2, 2, 3)


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations.

    Attributes:
        sources: one each.
        targets: one each.
        plain: the translation in the first word for each thing; empty where nobody knows.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    plain: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Grammar:
    """A pair of languages.

    Attributes:
        seed: which words there are, which is the other's, and how often each comes.
        nouns: things.
        verbs: what they do.
        adjectives: what they are like.
        names: that are copied.
        synonyms: most words for one thing.
        skew: exponent of how fast the frequency of words falls with their rank.
    """

    seed: int = 1
    nouns: int = 160
    verbs: int = 60
    adjectives: int = 60
    names: int = 60
    synonyms: int = 3
    skew: float = 1.0

    @cached_property
    def _words(self) -> tuple[list[str], list[list[str]], npt.NDArray[np.int64]]:
        """Of each word its form, its translations, and its gender."""
        draw = np.random.default_rng([self.seed, 1])
        total = self.nouns + self.verbs + self.adjectives
        mine = _invented(draw, total, 0)
        theirs = _invented(draw, total * self.synonyms, 1)
        many = draw.integers(1, self.synonyms + 1, total)
        groups = [theirs[at * self.synonyms : at * self.synonyms + many[at]] for at in range(total)]
        return mine, groups, draw.integers(0, 3, total)

    @cached_property
    def _name_words(self) -> list[str]:
        return [name.capitalize() for name in _invented(np.random.default_rng([self.seed, 2]), self.names, 0)]

    @cached_property
    def _first_words(self) -> dict[str, str]:
        """Any word for a thing, in any form, to the first one in that form."""
        _, groups, _ = self._words
        found: dict[str, str] = {}
        for at, group in enumerate(groups):
            for word in group:
                found |= {word + end: group[0] + end for end in self._forms(at)}
        return found

    def _forms(self, at: int) -> tuple[str, ...]:
        if at < self.nouns:
            return ("", *_PLURALS)
        return ("t", "en") if at < self.nouns + self.verbs else ("er", "e", "es", "en")

    def pairs(self, part: int, rows: int) -> Pairs:
        """Sentences of a part; parts differ, and a longer part begins with a shorter one."""
        draw = np.random.default_rng([self.seed, 3, part])
        made = [self._sentence(draw) for _ in range(rows)]
        targets = tuple(target for _, target in made)
        return Pairs(tuple(source for source, _ in made), targets, tuple(map(self.plain, targets)))

    def plain(self, target: str) -> str:
        """A translation in the first word for each thing."""
        return " ".join(self._first_words.get(word, word) for word in target.split())

    def _sentence(self, draw: np.random.Generator) -> tuple[str, str]:
        source, target = self._clause(draw, last=False)
        if draw.random() < 0.3:
            here, there = _CONJUNCTIONS[int(draw.integers(len(_CONJUNCTIONS)))]
            more, rest = self._clause(draw, last=True)
            source, target = [*source, here, *more], [*target, there, *rest]
        return " ".join(source), " ".join(target)

    def _clause(self, draw: np.random.Generator, *, last: bool) -> tuple[list[str], list[str]]:
        """Subject, verb and object; the verb is last in a subordinate clause of the other language."""
        subject, object_ = self._phrase(draw, 0), self._phrase(draw, 1)
        plural = subject[2]
        verb, said = self._word(draw, self.nouns, self.verbs)
        says = said + ("en" if plural else "t")
        mine = [*subject[0], verb + ("" if plural else "s"), *object_[0]]
        theirs = [*subject[1], *object_[1], says] if last else [*subject[1], says, *object_[1]]
        return mine, theirs

    def _phrase(self, draw: np.random.Generator, case: int) -> tuple[list[str], list[str], bool]:
        """A name, a number of things, or a thing with an article and perhaps an adjective."""
        kind = draw.random()
        if kind < 0.15:
            name = self._name_words[_ranked(draw, self.names, self.skew)]
            return [name], [name], False
        noun, theirs, gender = self._noun(draw)
        if kind < 0.3:
            number = str(draw.integers(2, 100))
            return [number, noun + "s"], [number, theirs + _PLURALS[gender]], True
        definite = draw.random() < 0.5
        mine = ["the" if definite else "a"]
        yours = [(_ARTICLES if definite else _INDEFINITE)[case][gender]]
        if draw.random() < 0.4:
            adjective, said = self._word(draw, self.nouns + self.verbs, self.adjectives)
            mine, yours = [*mine, adjective], [*yours, said + _ENDINGS[case][gender]]
        return [*mine, noun], [*yours, theirs], False

    def _noun(self, draw: np.random.Generator) -> tuple[str, str, int]:
        at = _ranked(draw, self.nouns, self.skew)
        mine, groups, genders = self._words
        return mine[at], groups[at][_ranked(draw, len(groups[at]), self.skew)], int(genders[at])

    def _word(self, draw: np.random.Generator, first: int, count: int) -> tuple[str, str]:
        at = first + _ranked(draw, count, self.skew)
        mine, groups, _ = self._words
        return mine[at], groups[at][_ranked(draw, len(groups[at]), self.skew)]


def _ranked(draw: np.random.Generator, count: int, skew: float) -> int:
    """A number below `count`, the r-th as often as (r + 1) ** -skew (Zipf)."""
    edges = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -skew)
    return int(np.searchsorted(edges, draw.uniform(0, edges[-1]), side="right").clip(max=count - 1))


def _invented(draw: np.random.Generator, count: int, language: int) -> list[str]:
    """Different words of a language, of one to three syllables."""
    consonants, vowels = _CONSONANTS[language].split(), _VOWELS[language].split()
    found: dict[str, None] = {}
    while len(found) < count:
        syllables = int(draw.choice(_SYLLABLES))
        word = "".join(str(draw.choice(consonants)) + str(draw.choice(vowels)) for _ in range(syllables))
        found[word + str(draw.choice(consonants))] = None
    return list(found)
