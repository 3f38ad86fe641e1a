"""Asks a causal model many questions behind one prompt: the prompt goes through the model once, then batches of fixed
shape, so that a question has the same numbers in whatever company it comes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detectors.language_model import LanguageModel

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

__all__ = ["Asker", "Prefix", "Teacher"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_STEP = 4


@dataclass(frozen=True, eq=False)
class Prefix:
    """A prompt that the model has read.

    Attributes:
        tokens: how many.
        cache: keys and values, batch of one.
    """

    tokens: int
    cache: DynamicCache


@dataclass(frozen=True, eq=False)
class Teacher:
    """What the model thinks of given answers, each after its question.

    Attributes:
        log_p: float64[n], log probability of the answer.
        sampled: float64[n], probability that a draw at the temperature, from the `top_k` likeliest tokens, is it.
        greedy: bool[n], whether the answer is what greedy decoding gives.
    """

    log_p: Floats
    sampled: Floats
    greedy: Bools


@dataclass(frozen=True, eq=False)
class Asker:
    """Asks one model.

    Attributes:
        model: to ask.
        batch: questions that go through it together.
        temperature: of sampled answers.
        top_k: likeliest tokens that a sample is drawn from.
    """

    model: LanguageModel
    batch: int = 16
    temperature: float = 0.5
    top_k: int = 40

    def read(self, ids: Ids) -> Prefix:
        """Read a prompt, int64[t] with the model's own marks in front."""
        import torch

        with torch.inference_mode():
            tokens = torch.from_numpy(ids)[None, :].to(self.model.device)
            found = self.model.model.base_model(input_ids=tokens, use_cache=True)
        return Prefix(len(ids), found.past_key_values)

    def teach(self, prefix: Prefix, questions: Sequence[Ids], answers: Sequence[Ids]) -> Teacher:
        """Read questions and answers after a prompt.

        Args:
            prefix: that all of them follow.
            questions: int64[q] each, one token or more.
            answers: int64[a] each, one token or more, with what ends an answer.
        """
        import torch

        n = len(questions)
        log_p, sampled, greedy = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
        lengths = [len(question) + len(answer) for question, answer in zip(questions, answers, strict=True)]
        with torch.inference_mode():
            for rows, width in _batches(lengths, self.batch):
                ids = np.zeros((self.batch, width), np.int64)
                for place, row in enumerate(rows):
                    ids[place, : lengths[row]] = np.concatenate([questions[row], answers[row]])
                hidden = self._hidden(prefix, ids)
                for place, row in enumerate(rows):
                    first, count = len(questions[row]) - 1, len(answers[row])
                    logits = self._logits(hidden[place, first : first + count])
                    wanted = torch.from_numpy(answers[row]).to(logits.device)
                    log_p[row], sampled[row], greedy[row] = self._judge(logits, wanted)
        return Teacher(log_p, sampled, greedy)

    def answer(self, prefix: Prefix, questions: Sequence[Ids], *, stop: int, most: int) -> list[tuple[Ids, float]]:
        """The greedy answer to each question after a prompt, without the token that stops it, and its log probability.

        Args:
            prefix: that all of them follow.
            questions: int64[q] each, one token or more.
            stop: token that ends an answer.
            most: tokens of an answer at most.
        """
        import torch

        found: list[tuple[Ids, float]] = []
        with torch.inference_mode():
            for question in questions:
                cache = copy.deepcopy(prefix.cache)
                ids = torch.from_numpy(question)[None, :].to(self.model.device)
                given: list[int] = []
                total, at = 0.0, prefix.tokens
                while len(given) < most:
                    read = self._read(ids, cache, at)
                    at += ids.shape[1]
                    scores = torch.log_softmax(self._logits(read[0, -1:])[0], 0)
                    token = int(scores.argmax())
                    total += float(scores[token])
                    if token == stop:
                        break
                    given.append(token)
                    ids = torch.tensor([[token]], device=ids.device)
                found.append((np.array(given, np.int64), total))
        return found

    def _hidden(self, prefix: Prefix, ids: Ids) -> torch.Tensor:
        """float[batch, width, hidden or vocabulary] of rows that follow the prompt.

        What fills up a row comes last, so it disturbs nothing before it.
        """
        import torch

        cache = copy.deepcopy(prefix.cache)
        cache.batch_repeat_interleave(len(ids))
        return self._read(torch.from_numpy(ids).to(self.model.device), cache, prefix.tokens)

    def _read(self, ids: torch.Tensor, cache: DynamicCache, at: int) -> torch.Tensor:
        """What the body gives for tokens that stand at position `at` and after it, or logits where there is no head."""
        import torch

        positions = torch.arange(at, at + ids.shape[1], device=ids.device)[None, :].expand(len(ids), -1)
        model = self.model.model.base_model if self.model.has_head else self.model.model
        found: torch.Tensor = model(input_ids=ids, past_key_values=cache, position_ids=positions, use_cache=True)[0]
        return found

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self.model.has_head:
            return hidden.float()
        logits: torch.Tensor = self.model.model.get_output_embeddings()(hidden).float()
        return logits

    def _judge(self, logits: torch.Tensor, wanted: torch.Tensor) -> tuple[float, float, bool]:
        import torch

        log_p = torch.log_softmax(logits.double(), 1).gather(1, wanted[:, None]).sum()
        top = logits.topk(min(self.top_k, logits.shape[1]), 1)
        among = top.indices == wanted[:, None]
        weights = torch.softmax(top.values.double() / self.temperature, 1)
        sampled = (weights * among).sum(1).prod()
        return float(log_p), float(sampled), bool((logits.argmax(1) == wanted).all())


def _batches(lengths: Sequence[int], size: int) -> list[tuple[list[int], int]]:
    """Rows of like length, at most `size` each, with the width of their batch: a multiple of 4, by length alone."""
    order = sorted(range(len(lengths)), key=lambda row: (-(-lengths[row] // _STEP), row))
    found: list[tuple[list[int], int]] = []
    for row in order:
        width = -(-lengths[row] // _STEP) * _STEP
        if not found or found[-1][1] != width or len(found[-1][0]) == size:
            found.append(([], width))
        found[-1][0].append(row)
    return found
