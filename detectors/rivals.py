"""How probable an answer is after other questions of its relation: what is as probable there is luck, not knowledge.

Only the highest of these probabilities is wanted. The first token alone bounds the probability of an answer from above,
and is known for all answers once the questions have been read; so questions are tried in the order of that bound, only
as long as it is above what has been found, and no more than twelve of them: where answers begin alike, as sentences do,
the bound tells little, and the rest is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors.answering import Until
from detectors.branches import Branches
from detectors.exemplars import Fact
from detectors.prompting import Group, Prompts

__all__ = ["Rivals"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_MOST_TREES = 8
_FIRST_TRIES = 2
_MOST_TRIES = 12
_ANSWERS = 64
_LONGEST = 256


@dataclass(frozen=True, eq=False)
class Rivals:
    """Other questions of each relation, as they follow the first prompt.

    Attributes:
        prompts: of the model.
        count: other questions an answer.
    """

    prompts: Prompts
    count: int
    _trees: dict[Group, tuple[tuple[Fact, ...], list[Ids], Branches]] = field(default_factory=dict)
    _known: dict[tuple[str, int, str], float] = field(default_factory=dict)

    def highest(self, group: Group, answers: Sequence[str]) -> Floats:
        """float64[n], the highest log probability found of each answer after other questions; -inf without any."""
        new = [answer for answer in dict.fromkeys(answers) if (*group, answer) not in self._known]
        for start in range(0, len(new), _ANSWERS):
            some = new[start : start + _ANSWERS]
            for answer, value in zip(some, self._search(group, some).tolist(), strict=True):
                self._known[(*group, answer)] = value
        return np.array([self._known[(*group, answer)] for answer in answers], np.float64)

    def _search(self, group: Group, answers: Sequence[str]) -> Floats:
        facts, asked, read = self._tree(group)
        said = [self.prompts.say(answer) for answer in answers]
        bounds = self._bounds(read, asked, said)
        given = [_plain(fact.answer) for fact in facts]
        wrong = np.array([[_plain(answer) != one for answer in answers] for one in given], np.bool_)
        wrong = wrong.reshape(bounds.shape)
        bounds[~(wrong & (np.cumsum(wrong, axis=0) <= self.count))] = -np.inf
        place_in_order = np.argsort(np.argsort(-bounds, axis=0, kind="stable"), axis=0)
        bounds[place_in_order >= _MOST_TRIES] = -np.inf
        best, tries = np.full(len(answers), -np.inf), _FIRST_TRIES
        while (bounds > best).any():
            order = np.argsort(-bounds, axis=0, kind="stable")[:tries]
            pairs = [(at, column) for column in range(len(answers)) for at in order[:, column].tolist()]
            pairs = [(at, column) for at, column in pairs if bounds[at, column] > best[column]]
            taught = self.prompts.asker.teach(
                read.fork(),
                [asked[at] for at, _ in pairs],
                [said[column] for _, column in pairs],
                until=[Until.END] * len(pairs),
            )
            for (at, column), value in zip(pairs, taught.log_p.tolist(), strict=True):
                best[column] = max(best[column], value)
                bounds[at, column] = -np.inf
            tries *= 2
        return best

    def _bounds(self, read: Branches, asked: Sequence[Ids], said: Sequence[Ids]) -> Floats:
        """float64[questions, answers], log probability of the first token of each answer after each question."""
        import torch

        if not asked:
            return np.zeros((0, len(said)))
        with torch.inference_mode():
            places = [place[0] for place in read.read(asked, [len(ids) - 1 for ids in asked])]
            logits = read.logits(places)
            first = torch.tensor([int(ids[0]) for ids in said], device=logits.device)
            found = logits[:, first].double() - torch.logsumexp(logits, 1, keepdim=True).double()
        bounds: Floats = found.cpu().numpy()
        return bounds

    def _tree(self, group: Group) -> tuple[tuple[Fact, ...], list[Ids], Branches]:
        if group not in self._trees:
            if len(self._trees) >= _MOST_TREES:
                self._trees.pop(next(iter(self._trees)))
            facts = _first_of_all(self.prompts.exemplars.others(group, "", 1 << 30), self.count)
            asked = [self.prompts.ask(fact.question) for fact in facts]
            longest = max((len(ids) for ids in asked), default=0) + _LONGEST
            self._trees[group] = facts, asked, self.prompts.asker.follow(self.prompts.prefix(group, 0), longest)
        return self._trees[group]


def _first_of_all(facts: Sequence[Fact], count: int) -> tuple[Fact, ...]:
    """As many facts, from the first on, as have `count` of another answer whatever an answer is; all, if fewer do."""
    said: Counter[str] = Counter()
    most = 0
    for at, fact in enumerate(facts, 1):
        said[_plain(fact.answer)] += 1
        most = max(most, said[_plain(fact.answer)])
        if at - most >= count:
            return tuple(facts[:at])
    return tuple(facts)


def _plain(answer: str) -> str:
    return " ".join(answer.lower().split())
