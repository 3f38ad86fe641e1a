"""How probable given continuations are to a causal model: each after its own context, in batches of fixed shape.

A continuation has ended when what comes next is no letter or digit, so `19` is not found in `1901`; whether it is a
space, a point or the end of the text makes no difference. One tokenisation of each is tried, the tokenizer's own, so
probabilities are lower bounds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from detectors.language_model import LanguageModel

if TYPE_CHECKING:
    import torch

    from detectors.tokens import Tokens

__all__ = ["Continuations", "Judged", "split"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_BATCH, _STEP = 8, 8


@dataclass(frozen=True, eq=False)
class Judged:
    """What a model thinks of n continuations.

    Attributes:
        log_p: float64[n], natural log probability of the continuation and of an end after it.
        sampled: float64[n], probability that a sample at the temperature, from the `top_k` likeliest tokens, begins so.
        greedy: bool[n], whether greedy decoding begins so.
    """

    log_p: Floats
    sampled: Floats
    greedy: Bools


def split(tokens: Tokens, context: str, answer: str) -> tuple[Ids, Ids]:
    """int64 ids of a context and of what follows it, cut from the ids of both in one; at least one id each."""
    encoding = tokens.tokenizer.encode(context + answer, add_special_tokens=False)
    ids, offsets, edge = np.array(encoding.ids, np.int64), encoding.offsets, len(context.rstrip())
    first = next((at for at, (begin, _) in enumerate(offsets) if begin >= edge), len(ids))
    if 0 < first < len(ids) and offsets[first - 1][1] <= len(context):
        return ids[:first], ids[first:]
    gap = context[edge:]
    return tokens.ids(context[:edge]), tokens.ids(gap + answer)


@dataclass(frozen=True, eq=False)
class Continuations:
    """Judges continuations by one model.

    Attributes:
        model: to ask.
        ends: bool[vocabulary], on the model's device: tokens before which a word has ended.
        temperature: of samples.
        top_k: likeliest tokens that a sample is drawn from.
    """

    model: LanguageModel
    ends: torch.Tensor
    temperature: float
    top_k: int

    @classmethod
    def of(cls, model: LanguageModel, *, temperature: float, top_k: int) -> Self:
        """Find out which tokens end a word: once a model, for all of its vocabulary."""
        import torch

        return cls(
            model, torch.from_numpy(_ending(model.tokens, model.vocabulary)).to(model.device), temperature, top_k
        )

    def judge(self, contexts: Sequence[Ids], answers: Sequence[Ids]) -> Judged:
        """Read every answer after its context.

        Args:
            contexts: int64[c] each, one token or more; the model's own marks are put before them, and of what is too
                long for the model the begin is left out.
            answers: int64[a] each, one token or more.
        """
        import torch

        marks = np.array(self.model.tokens.prefix, np.int64)
        n = len(contexts)
        log_p, sampled, greedy = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_)
        room = [self.model.context - len(marks) - len(answer) for answer in answers]
        rows = [
            np.concatenate([marks, context[-most:], answer])
            for context, answer, most in zip(contexts, answers, room, strict=True)
        ]
        with torch.inference_mode():
            for batch, width in _batches([len(row) for row in rows]):
                ids = np.zeros((_BATCH, width), np.int64)
                for place, row in enumerate(batch):
                    ids[place, : len(rows[row])] = rows[row]
                hidden = self._hidden(torch.from_numpy(ids).to(self.model.device))
                for place, row in enumerate(batch):
                    first = len(rows[row]) - len(answers[row]) - 1
                    logits = self._logits(hidden[place, first : len(rows[row])])
                    log_p[row], sampled[row], greedy[row] = self._judged(logits, answers[row])
        return Judged(log_p, sampled, greedy)

    def _hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """float[batch, width, hidden or vocabulary]. What fills up a row comes last, so it disturbs nothing."""
        model = self.model.model.base_model if self.model.has_head else self.model.model
        found: torch.Tensor = model(input_ids=ids, use_cache=False)[0]
        return found

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = self.model.model.get_output_embeddings()(hidden) if self.model.has_head else hidden
        return logits.double()

    def _judged(self, logits: torch.Tensor, answer: Ids) -> tuple[float, float, bool]:
        """Of one answer; `logits` are float64[a + 1, vocabulary], the last row about what comes after it."""
        import torch

        wanted = torch.from_numpy(answer).to(logits.device)[:, None]
        log_p = torch.log_softmax(logits, 1)
        total = log_p[:-1].gather(1, wanted).sum() + torch.logsumexp(log_p[-1][self.ends], 0)
        top = logits.topk(min(self.top_k, logits.shape[1]), 1)
        weights = torch.softmax(top.values / self.temperature, 1)
        taken = (weights[:-1] * (top.indices[:-1] == wanted)).sum(1).prod() * weights[-1][
            self.ends[top.indices[-1]]
        ].sum()
        likeliest = logits.argmax(1)
        greedy = bool((likeliest[:-1] == wanted[:, 0]).all() and self.ends[likeliest[-1]])
        return float(total), float(taken), greedy


def _ending(tokens: Tokens, vocabulary: int) -> Bools:
    """bool[vocabulary]: tokens whose text, within a text, begins with neither letter, mark nor digit, and special ones.

    A token that is a part of a character is taken to go on.
    """
    anchor = int(tokens.ids("a")[-1])
    size = min(vocabulary, tokens.tokenizer.get_vocab_size(with_added_tokens=True))
    start = len(tokens.tokenizer.decode([anchor]))
    found = np.zeros(vocabulary, np.bool_)
    decoded = tokens.tokenizer.decode_batch([[anchor, token] for token in range(size)], skip_special_tokens=True)
    found[:size] = [not _goes_on(text[start : start + 1]) for text in decoded]
    return found


def _goes_on(letter: str) -> bool:
    return bool(letter) and (letter.isalnum() or letter == "\ufffd" or unicodedata.category(letter)[0] == "M")


def _batches(lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Rows of like length, at most eight, with the width of their batch: a multiple of 8, by length alone."""
    buckets: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        buckets.setdefault(-(-length // _STEP) * _STEP, []).append(row)
    for width in sorted(buckets):
        rows = buckets[width]
        for at in range(0, len(rows), _BATCH):
            yield rows[at : at + _BATCH], width
