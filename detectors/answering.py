"""Asks a causal model many questions behind one prompt: how probable given answers are, what it answers itself, and
what it answers when it is sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detectors.branches import Branches, Prefix, Rows, Tree, reads_trees, tree_agrees
from detectors.errors import SignalError
from detectors.language_model import LanguageModel

if TYPE_CHECKING:
    import torch

__all__ = ["Asker", "Said", "Steps", "Teacher", "Until"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_HEAD_POSITIONS = 128


class Until(Enum):
    """How far an answer is followed once its first token is known."""

    END = "to its end"
    DRAWN = "unless no draw begins so"
    GREEDY = "unless greedy decoding begins otherwise"


@dataclass(frozen=True, eq=False)
class Teacher:
    """What the model thinks of given answers, each after its question.

    Attributes:
        log_p: float64[n], log probability of the answer; NaN where it was not followed to its end.
        sampled: float64[n], probability that a draw at the temperature, from the `top_k` likeliest tokens, is it.
        greedy: bool[n], whether the answer is what greedy decoding gives.
    """

    log_p: Floats
    sampled: Floats
    greedy: Bools


@dataclass(frozen=True, eq=False)
class Said:
    """One answer of the model's own.

    Attributes:
        ids: int64[t], without the token that stops it.
        log_p: its log probability, with that of the stop.
        sampled: probability that a draw is it.
        ended: whether the stop came.
    """

    ids: Ids
    log_p: float
    sampled: float
    ended: bool


@dataclass(frozen=True, eq=False)
class Steps:
    """What the model expects at some places.

    Attributes:
        log_p: float64[n], of wanted tokens.
        sampled: float64[n], probability that a draw is the wanted token; 0 outside the `top_k` likeliest.
        greedy: bool[n], whether the wanted token is the likeliest.
    """

    log_p: Floats
    sampled: Floats
    greedy: Bools


@dataclass(frozen=True, eq=False)
class Asker:
    """Asks one model.

    Attributes:
        model: to ask.
        temperature: of sampled answers.
        top_k: likeliest tokens that a sample is drawn from.
    """

    model: LanguageModel
    temperature: float = 0.5
    top_k: int = 40

    def read(self, ids: Ids) -> Prefix:
        """Read a prompt, int64[t] with the model's own marks in front.

        Raises:
            SignalError: the model keeps nothing of it.
        """
        import torch

        with torch.inference_mode():
            tokens = torch.from_numpy(ids)[None, :].to(self.model.device)
            found = self.model.model.base_model(input_ids=tokens, use_cache=True)
        if getattr(found, "past_key_values", None) is None:
            raise SignalError(
                f"{self.model.name}: keeps no keys and values of what it has read, so no prompt can be shared. "
                "Name a transformer, or answer prompts with a function: generate."
            )
        return Prefix(len(ids), found.past_key_values)

    @cached_property
    def _trees(self) -> bool:
        """Whether this model reads trees; tried once."""
        return tree_agrees(self.model, self.read((np.arange(4, dtype=np.int64) * 7 + 1) % self.model.vocabulary))

    def follow(self, prefix: Prefix, longest: int) -> Branches:
        """What follows a prompt, of up to `longest` tokens."""
        if self._trees and reads_trees(self.model, prefix, longest):
            return Tree(self.model, prefix)
        return Rows(self.model, prefix)

    def teach(
        self, branches: Branches, questions: Sequence[Ids], answers: Sequence[Ids], *, until: Sequence[Until]
    ) -> Teacher:
        """Read questions and answers.

        Args:
            branches: of the prompt that all of them follow.
            questions: int64[q] each, one token or more.
            answers: int64[a] each, one token or more, with what ends an answer.
            until: of each, how far it is followed; of one that is not, `sampled` and `greedy` are 0.
        """
        import torch

        n = len(questions)
        log_p, sampled, greedy = np.zeros(n), np.ones(n), np.ones(n, np.bool_)
        ends = [len(question) - 1 for question in questions]
        live = np.arange(n)
        with torch.inference_mode():
            if branches.in_steps:
                asked = branches.read(questions, ends)
                first = self.steps(branches, [place[0] for place in asked], [int(answer[0]) for answer in answers])
                kept = {Until.END: np.ones(n, np.bool_), Until.DRAWN: first.sampled > 0, Until.GREEDY: first.greedy}
                followed = np.array([kept[rule][row] for row, rule in enumerate(until)], np.bool_)
                log_p = np.where(followed, first.log_p, np.nan)
                sampled, greedy = first.sampled * followed, first.greedy & followed
                live = np.flatnonzero(followed)
            paths = [np.concatenate([questions[row], answers[row][:-1]]) for row in live.tolist()]
            skip = int(branches.in_steps)
            read = branches.read(paths, [ends[row] + skip for row in live.tolist()])
            owner = np.repeat(live, [len(places) for places in read])
            wanted = [int(token) for row in live.tolist() for token in answers[row][skip:]]
            rest = self.steps(branches, [place for places in read for place in places], wanted)
        np.add.at(log_p, owner, rest.log_p)
        np.multiply.at(sampled, owner, rest.sampled)
        np.logical_and.at(greedy, owner, rest.greedy)
        return Teacher(log_p, sampled, greedy)

    def answer(self, branches: Branches, questions: Sequence[Ids], *, stop: int, most: int) -> list[Said]:
        """The greedy answer to each question, of at most `most` tokens, which the token `stop` ends."""
        import torch

        given: list[list[int]] = [[] for _ in questions]
        log_p, sampled, ended = np.zeros(len(given)), np.ones(len(given)), np.zeros(len(given), np.bool_)
        live = list(range(len(given)))
        with torch.inference_mode():
            for step in range(most):
                paths = [np.concatenate([questions[row], np.array(given[row], np.int64)]) for row in live]
                places = [place[0] for place in branches.read(paths, [len(path) - 1 for path in paths])]
                for row, (token, log, share) in zip(live, self._likeliest(branches, places), strict=True):
                    log_p[row] += log
                    sampled[row] *= share
                    ended[row] = token == stop
                    if not ended[row]:
                        given[row].append(token)
                live = [row for row in live if not ended[row]]
                if not live or step == most - 1:
                    break
        return [
            Said(np.array(ids, np.int64), float(log_p[row]), float(sampled[row]), bool(ended[row]))
            for row, ids in enumerate(given)
        ]

    def draw(
        self, branches: Branches, questions: Sequence[Ids], draws: Sequence[Floats], *, stop: int
    ) -> list[list[Ids | None]]:
        """Sampled answers to each question; None where the stop did not come in time.

        Args:
            branches: of the prompt that all of them follow.
            questions: int64[q] each, one token or more.
            draws: float64[samples, most] each, numbers from 0 to 1: sample s of a question takes the token of which the
                cumulative probability passes `draws[s, t]` first, likeliest token first. So what a question is answered
                depends on these alone, not on its company.
            stop: token that ends an answer.
        """
        import torch

        found: list[list[Ids | None]] = [[None] * len(numbers) for numbers in draws]
        given: dict[tuple[int, int], list[int]] = {
            (row, sample): [] for row, numbers in enumerate(draws) for sample in range(len(numbers))
        }
        with torch.inference_mode():
            for step in range(max((numbers.shape[1] for numbers in draws), default=0)):
                live = [key for key in given if step < draws[key[0]].shape[1]]
                paths = [np.concatenate([questions[row], np.array(given[row, at], np.int64)]) for row, at in live]
                places = [place[0] for place in branches.read(paths, [len(path) - 1 for path in paths])]
                numbers = np.array([draws[row][at, step] for row, at in live])
                for key, token in zip(live, self._drawn(branches, places, numbers), strict=True):
                    if token == stop:
                        found[key[0]][key[1]] = np.array(given.pop(key), np.int64)
                    else:
                        given[key].append(token)
                if not given:
                    break
        return found

    def steps(self, branches: Branches, places: Sequence[int], wanted: Sequence[int]) -> Steps:
        """What the model expects at places about the tokens wanted there. Places may stand twice."""
        log_p, sampled, greedy = np.zeros(len(places)), np.zeros(len(places)), np.zeros(len(places), np.bool_)
        for rows, owner, logits in _looked(branches, places):
            import torch

            tokens = torch.tensor([wanted[row] for row in rows], device=logits.device)
            owners = torch.from_numpy(owner).to(logits.device)
            top, weights = self._top(logits)
            chosen = logits[owners, tokens].double() - torch.logsumexp(logits, 1).double()[owners]
            among = top[owners] == tokens[:, None]
            log_p[rows] = chosen.cpu().numpy()
            sampled[rows] = (weights[owners] * among).sum(1).cpu().numpy()
            greedy[rows] = among[:, 0].cpu().numpy()
        return Steps(log_p, sampled, greedy)

    def _likeliest(self, branches: Branches, places: Sequence[int]) -> list[tuple[int, float, float]]:
        """At each place the likeliest token, its log probability, and the probability that a draw is it."""
        import torch

        found: list[tuple[int, float, float]] = [(0, 0.0, 0.0)] * len(places)
        for rows, owner, logits in _looked(branches, places):
            top, weights = self._top(logits)
            best = logits.max(1).values.double() - torch.logsumexp(logits, 1).double()
            parts = zip(top[:, 0].tolist(), best.tolist(), weights[:, 0].tolist(), strict=True)
            known = list(parts)
            for row, at in zip(rows, owner.tolist(), strict=True):
                found[row] = known[at]
        return found

    def _drawn(self, branches: Branches, places: Sequence[int], numbers: Floats) -> list[int]:
        tokens = np.zeros(len(places), np.int64)
        for rows, owner, logits in _looked(branches, places):
            top, weights = (part.cpu().numpy() for part in self._top(logits))
            passed = np.cumsum(weights, axis=1)[owner] > numbers[rows][:, None]
            last = top.shape[1] - 1
            tokens[rows] = top[owner, np.where(passed.any(axis=1), passed.argmax(axis=1), last)]
        found: list[int] = tokens.tolist()
        return found

    def _top(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """int64[n, k], the likeliest tokens, likeliest first, and float64[n, k], how often each is drawn."""
        import torch

        top = logits.topk(min(self.top_k, logits.shape[1]), 1)
        return top.indices, torch.softmax(top.values.double() / self.temperature, 1)


def _looked(
    branches: Branches, places: Sequence[int]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], torch.Tensor]]:
    """(rows, which of the logits each has, float32[n, vocabulary]) of places, each looked at once, some at a time."""
    if not len(places):
        return
    distinct, owner = np.unique(np.array(places, np.int64), return_inverse=True)
    for start in range(0, len(distinct), _HEAD_POSITIONS):
        rows = np.flatnonzero((owner >= start) & (owner < start + _HEAD_POSITIONS))
        yield rows, owner[rows] - start, branches.logits(distinct[start : start + _HEAD_POSITIONS].tolist())
