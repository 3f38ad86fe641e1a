"""How well a model knows facts, by the exact expectation of the paper's estimator: every accepted answer is read after
every prompt, and nothing is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.answering import Said, Until
from detectors.prompting import Group, Prompts
from detectors.rivals import Rivals
from detectors.slick import Category, any_hit, categories

__all__ = ["OWN_TOKENS", "Exact", "Question", "Tokens", "Tried", "spellings"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
OWN_TOKENS = 24
"""Most tokens of the model's own answer, its end included."""
_MOST_SPELLINGS = 8
_PACK = 384
_DECODED = 1024
"""New tokens a pack where own answers are read token by token: every step reads all weights, so many share one."""


@dataclass(frozen=True)
class Question:
    """One row to probe.

    Attributes:
        text: the question.
        answers: accepted answers, the first one first; none where the row has none.
        relation: what kind of fact it is, "" where the corpus does not say.
    """

    text: str
    answers: tuple[str, ...]
    relation: str


@dataclass(frozen=True, eq=False)
class Tried:
    """What an estimator found about n questions, after `sets` prompts each. It is filled in place.

    Attributes:
        greedy: bool[n, sets], whether the greedy answer is right.
        sampled: float64[n, sets], share of samples that are right, or its expectation.
        log_p: float64[n], of the likeliest accepted answer after the first prompt; NaN if it is not known.
        others_log_p: float64[n], the highest one of that answer after other questions; NaN if it is not known, as
            where a fact is Unknown anyhow.
        lucky: bool[n], whether other questions make the right answer as probable; False where it is Unknown anyhow.
        own: the greedy answer after the first prompt.
        own_log_p: float64[n], of it; NaN if it is not known.
        own_sampled: float64[n], share of samples after the first prompt that are it, or its expectation.
        own_greedy: float64[n], share of prompts after which the greedy answer is it; NaN where it did not end.
        own_lucky: bool[n], whether other questions make it as probable; not looked for where `own_greedy` is under 1.
    """

    greedy: Bools
    sampled: Floats
    log_p: Floats
    others_log_p: Floats
    lucky: Bools
    own: list[str]
    own_log_p: Floats
    own_sampled: Floats
    own_greedy: Floats
    own_lucky: Bools

    @classmethod
    def nothing(cls, n: int, sets: int) -> Tried:
        """Of n questions, before any was tried."""
        log_p, others, own, drawn, share = (np.full(n, np.nan) for _ in range(5))
        lucky, own_lucky = (np.zeros(n, np.bool_) for _ in range(2))
        greedy, sampled = np.zeros((n, sets), np.bool_), np.zeros((n, sets))
        return cls(greedy, sampled, log_p, others, lucky, [""] * n, own, drawn, share, own_lucky)

    def put(self, rows: Sequence[int], found: Tried) -> None:
        """Take over what was found about the questions in `rows`."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                value[list(rows)] = getattr(found, name)
        for row, text in zip(rows, found.own, strict=True):
            self.own[row] = text


def spellings(answers: Sequence[str]) -> tuple[str, ...]:
    """Accepted answers as given, and with a capital where one begins without: as a sentence would begin with it."""
    forms = [form for answer in answers for form in (answer, answer[:1].upper() + answer[1:])]
    return tuple(dict.fromkeys(forms))[:_MOST_SPELLINGS]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Questions as tokens, each with its accepted answers in all spellings.

    Attributes:
        asked: int64[q] each.
        forms: spellings of each question's answers.
        said: the same as int64[a] each, with the end.
    """

    asked: list[Ids]
    forms: list[tuple[str, ...]]
    said: list[list[Ids]]

    @classmethod
    def of(cls, prompts: Prompts, questions: Sequence[Question]) -> Tokens:
        """Tokenise questions."""
        forms = [spellings(question.answers) for question in questions]
        asked = [prompts.ask(question.text) for question in questions]
        return cls(asked, forms, [[prompts.say(form) for form in some] for some in forms])

    def sizes(self) -> list[int]:
        """Of each question, tokens of its longest continuation, the model's own answer included."""
        ends = (max(OWN_TOKENS, *(len(ids) for ids in said)) for said in self.said)
        return [len(ids) + end for ids, end in zip(self.asked, ends, strict=True)]


@dataclass(frozen=True, eq=False)
class _Round:
    """The questions of a group while they are tried.

    Attributes:
        group: they belong to.
        tokens: of them.
        found: what is known.
        best: of each, the likeliest accepted answer.
        longest: tokens of the longest continuation of all.
        own: of each, the model's own answer once it is known.
        agreed: of each, further prompts after which that is the greedy answer.
    """

    group: Group
    tokens: Tokens
    found: Tried
    best: list[str]
    longest: int
    own: list[Said]
    agreed: Floats


@dataclass(frozen=True, eq=False)
class Exact:
    """The exact expectation.

    Attributes:
        prompts: of the model.
        rivals: other questions after which answers are tried; None corrects nothing.
    """

    prompts: Prompts
    rivals: Rivals | None

    def measure(self, group: Group, questions: Sequence[Question]) -> Tried:
        """Try all questions of a group."""
        n, sets = len(questions), self.prompts.exemplars.sets
        tokens = Tokens.of(self.prompts, questions)
        nothing = Said(np.zeros(0, np.int64), 0.0, 0.0, False)
        longest = max(tokens.sizes())
        tried = _Round(group, tokens, Tried.nothing(n, sets), [""] * n, longest, [nothing] * n, np.zeros(n))
        sizes = [sum(len(ids) - 1 for ids in said) for said in tokens.said]
        for rows in self.prompts.packs(tokens.asked, sizes, _DECODED):
            self._first(tried, rows)
        for at in range(1, sets):
            for rows in self.prompts.packs(tokens.asked, sizes, _PACK):
                self._next(tried, at, rows)
        found = tried.found
        for row, said in enumerate(tried.own):
            found.own[row], found.own_log_p[row] = self.prompts.told(said.ids), said.log_p
            found.own_sampled[row] = said.sampled
            found.own_greedy[row] = (1 + tried.agreed[row]) / sets if said.ended else np.nan
        if self.rivals is not None:
            known = np.flatnonzero(categories(found.greedy, any_hit(found.sampled)) != Category.UNKNOWN.value)
            found.others_log_p[known] = self.rivals.highest(group, [tried.best[row] for row in known.tolist()])
            found.lucky[known] = found.log_p[known] <= found.others_log_p[known]
            always = np.flatnonzero(found.own_greedy >= 1)
            highest = self.rivals.highest(group, [found.own[row] for row in always.tolist()])
            found.own_lucky[always] = found.own_log_p[always] <= highest
        return found

    def _first(self, tried: _Round, rows: Sequence[int]) -> None:
        """The first prompt: every answer to its end, and the model's own."""
        prompts, tokens, found = self.prompts, tried.tokens, tried.found
        branches = prompts.asker.follow(prompts.prefix(tried.group, 0), tried.longest)
        asked = [tokens.asked[row] for row in rows for _ in tokens.said[row]]
        said = [ids for row in rows for ids in tokens.said[row]]
        taught = prompts.asker.teach(branches, asked, said, until=[Until.END] * len(said))
        start = 0
        for row in rows:
            span = slice(start, start + len(tokens.said[row]))
            highest = int(taught.log_p[span].argmax())
            tried.best[row], found.log_p[row] = tokens.forms[row][highest], taught.log_p[span][highest]
            found.sampled[row, 0] = min(1.0, float(taught.sampled[span].sum()))
            found.greedy[row, 0] = bool(taught.greedy[span].any())
            start = span.stop
        own = prompts.asker.answer(branches, [tokens.asked[row] for row in rows], stop=prompts.stop, most=OWN_TOKENS)
        for row, answer in zip(rows, own, strict=True):
            tried.own[row] = answer

    def _next(self, tried: _Round, at: int, rows: Sequence[int]) -> None:
        """A further prompt: answers as far as a draw may give them, and the model's own as far as it is greedy."""
        prompts, tokens, found = self.prompts, tried.tokens, tried.found
        branches = prompts.asker.follow(prompts.prefix(tried.group, at), tried.longest)
        owner = [row for row in rows for _ in tokens.said[row]]
        ended = [row for row in rows if tried.own[row].ended]
        said = [ids for row in rows for ids in tokens.said[row]]
        taught = prompts.asker.teach(
            branches,
            [tokens.asked[row] for row in [*owner, *ended]],
            [*said, *(np.append(tried.own[row].ids, prompts.stop) for row in ended)],
            until=[Until.DRAWN] * len(said) + [Until.GREEDY] * len(ended),
        )
        np.add.at(found.sampled[:, at], owner, taught.sampled[: len(said)])
        np.logical_or.at(found.greedy[:, at], owner, taught.greedy[: len(said)])
        np.minimum(found.sampled[:, at], 1.0, out=found.sampled[:, at])
        np.add.at(tried.agreed, np.array(ended, np.int64), taught.greedy[len(said) :])
