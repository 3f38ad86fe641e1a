"""How well a model knows facts, by the paper's own estimator: answers are drawn, and are right or not.

It costs many times what the exact expectation costs (`detectors.probing`), and serves two ends: to check that, and to
probe models that answer but show no probabilities.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np

from detectors.errors import SignalError
from detectors.exemplars import prompt, question_hash
from detectors.probing import OWN_TOKENS, Question, Tokens, Tried, spellings
from detectors.prompting import Exemplars, Group, Prompts
from detectors.slick import SAMPLES

__all__ = ["CalledSpeaker", "Drawn", "Generate", "ModelSpeaker", "Speaker", "Tries", "draw_seed", "named_function"]

_LONGEST = 96
_PACK = 512


@dataclass(frozen=True, eq=False)
class Tries:
    """Answers to one question after one prompt.

    Attributes:
        greedy: the greedy answer; None where it did not end.
        sampled: of each sample, the answer; None where it did not end.
    """

    greedy: str | None
    sampled: tuple[str | None, ...]


class Speaker(Protocol):
    """Answers questions; all that this estimator needs of a model."""

    def tries(self, group: Group, at: int, questions: Sequence[Question]) -> list[Tries]:
        """Answer questions after prompt `at` of their group."""
        ...


def draw_seed(seed: int, question: str, at: int) -> int:
    """What the samples of one question after one prompt are drawn by: 63 bits, whatever else is asked."""
    key = hashlib.blake2b(f"{seed} {question_hash(question)} {at}".encode(), digest_size=8).digest()
    return int.from_bytes(key, "little") >> 1


@dataclass(frozen=True, eq=False)
class ModelSpeaker:
    """A model that is here: a prompt is read once for all questions, and what samples have in common once.

    Attributes:
        prompts: of the model.
    """

    prompts: Prompts

    def tries(self, group: Group, at: int, questions: Sequence[Question]) -> list[Tries]:
        """See `Speaker`. Every question has random numbers of its own, by seed, question and prompt."""
        prompts, tokens = self.prompts, Tokens.of(self.prompts, questions)
        found: list[Tries] = [Tries(None, ())] * len(questions)
        most = [min(_LONGEST, max(OWN_TOKENS, *(len(ids) for ids in said))) for said in tokens.said]
        for rows in prompts.packs(tokens.asked, [OWN_TOKENS] * len(questions), _PACK):
            branches = prompts.asker.follow(prompts.prefix(group, at), max(tokens.sizes()))
            asked = [tokens.asked[row] for row in rows]
            draws = []
            for row in rows:
                seed = draw_seed(prompts.exemplars.seed, questions[row].text, at)
                draws.append(np.random.Generator(np.random.Philox(seed)).random((SAMPLES, most[row])))
            greedy = prompts.asker.answer(branches, asked, stop=prompts.stop, most=max(most[row] for row in rows))
            drawn = prompts.asker.draw(branches, asked, draws, stop=prompts.stop)
            for row, best, samples in zip(rows, greedy, drawn, strict=True):
                texts = tuple(None if ids is None else prompts.told(ids) for ids in samples)
                # Others of the pack may have been given more room, and an answer must not depend on its company.
                ended = best.ended and len(best.ids) < most[row]
                found[row] = Tries(prompts.told(best.ids) if ended else None, texts)
        return found


class Generate(Protocol):
    """A function that answers prompts, such as a client of a model that runs elsewhere."""

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        temperature: float,
        top_k: int,
        seeds: Sequence[int],
        stop: str,
        most_tokens: int,
    ) -> Sequence[Sequence[str]]:
        """Continue prompts.

        Args:
            prompts: each ends where an answer begins.
            samples: continuations a prompt.
            temperature: 0 asks for the likeliest continuation.
            top_k: tokens that are drawn from.
            seeds: of the draws of each prompt; a service that takes none may leave them.
            stop: text that ends a continuation; what follows it does not count.
            most_tokens: of a continuation; more are cut off here as there.

        Returns:
            `samples` texts a prompt, in order.
        """
        ...


def named_function(name: str) -> Generate:
    """What `module:function` names.

    Raises:
        SignalError: there is no such module or function.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SignalError(
            f"knowledge.generate = {name!r}: cannot be found ({error}). Name a function as module:function."
        ) from error
    if not callable(found):
        raise SignalError(f"knowledge.generate = {name!r}: is no function. Name a function as module:function.")
    return cast(Generate, found)


@dataclass(frozen=True, eq=False)
class CalledSpeaker:
    """A function that answers prompts.

    Attributes:
        exemplars: that stand in a prompt.
        generate: the function.
        temperature: of samples.
        top_k: tokens that a sample is drawn from.
    """

    exemplars: Exemplars
    generate: Generate
    temperature: float
    top_k: int

    def tries(self, group: Group, at: int, questions: Sequence[Question]) -> list[Tries]:
        """See `Speaker`."""
        facts = self.exemplars.shown(group, at)
        texts = [prompt(facts, question.text) for question in questions]
        seeds = [draw_seed(self.exemplars.seed, question.text, at) for question in questions]
        greedy = self._asked(texts, 1, 0.0, seeds)
        sampled = self._asked(texts, SAMPLES, self.temperature, seeds)
        return [Tries(best[0], tuple(drawn)) for best, drawn in zip(greedy, sampled, strict=True)]

    def _asked(self, texts: list[str], samples: int, temperature: float, seeds: list[int]) -> list[list[str]]:
        found = self.generate(
            texts,
            samples=samples,
            temperature=temperature,
            top_k=self.top_k,
            seeds=seeds,
            stop="\n",
            most_tokens=OWN_TOKENS,
        )
        if len(found) != len(texts) or any(len(answers) != samples for answers in found):
            raise SignalError(
                f"knowledge.generate: {len(texts)} prompts with {samples} samples each were asked for, and other "
                "numbers came back. Return a list of `samples` texts for each prompt."
            )
        return [[answer.split("\n", 1)[0].strip() for answer in answers] for answers in found]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One greedy answer and 16 samples after every prompt, each equal to an accepted answer or not.

    For chance, an answer is looked for among the samples that other questions get after the first prompt: it is luck
    where one of them has it as often. Sixteen samples a question tell that less finely than probabilities do.

    Attributes:
        speaker: who answers.
        exemplars: of every group.
        others: other questions; 0 corrects nothing.
    """

    speaker: Speaker
    exemplars: Exemplars
    others: int
    _heard: dict[Group, list[tuple[str, Tries]]] = field(default_factory=dict)

    def measure(self, group: Group, questions: Sequence[Question]) -> Tried:
        """Try all questions of a group."""
        sets = self.exemplars.sets
        found = Tried.nothing(len(questions), sets)
        tries = [self.speaker.tries(group, at, questions) for at in range(sets)]
        for row, question in enumerate(questions):
            right = frozenset(spellings(question.answers))
            for at, answers in enumerate(tries):
                found.greedy[row, at] = answers[row].greedy in right
                found.sampled[row, at] = _share(answers[row], right)
            found.lucky[row] = self._is_lucky(group, right, float(found.sampled[row].mean()))
            own = tries[0][row].greedy
            if own is not None:
                mine = frozenset((own,))
                found.own[row], found.own_sampled[row] = own, _share(tries[0][row], mine)
                found.own_greedy[row] = np.mean([answers[row].greedy == own for answers in tries])
                share = float(np.mean([_share(answers[row], mine) for answers in tries]))
                found.own_lucky[row] = self._is_lucky(group, mine, share)
        return found

    def _is_lucky(self, group: Group, right: frozenset[str], share: float) -> bool:
        """Whether some other question, to which they are wrong, gets these answers as often."""
        if not self.others:
            return False
        if group not in self._heard:
            facts = self.exemplars.others(group, "", self.others)
            asked = [Question(fact.question, (fact.answer,), fact.relation) for fact in facts]
            tries = self.speaker.tries(group, 0, asked) if asked else []
            self._heard[group] = [(fact.answer, answers) for fact, answers in zip(facts, tries, strict=True)]
        wrong = [_share(answers, right) for answer, answers in self._heard[group] if answer not in right]
        return bool(wrong) and share <= max(wrong)


def _share(tries: Tries, right: frozenset[str]) -> float:
    return sum(answer in right for answer in tries.sampled) / max(1, len(tries.sampled))
