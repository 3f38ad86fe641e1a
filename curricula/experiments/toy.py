"""A world of facts small enough to learn in seconds, and a model that knows some of them well, some a little, some not.

A fact is (first name, last name, relation) -> object. Subjects share their names with others, so that what is learnt of
one moves what is known of the others; with names of their own nothing spreads. A statement is
`[template, first, last, relation, object]`; a question is the same behind a template that pretraining never had.

    F facts, R rows, T templates, V vocabulary
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from curricula.model import Decoder, Shape
from curricula.packing import IGNORED, TokenBlock
from curricula.recipe import Recipe
from curricula.trainer import loss_sum, optimizer_of
from detectors.errors import MissingExtraError

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["ALL_SAMPLES", "Known", "World", "answers", "categories", "fit", "pretrained", "probabilities"]

I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
ALL_SAMPLES = 160
"""Samples of the published estimator: 16 of each of ten prompts."""
_TEMPERATURE, _TOP_K = 0.5, 40


class Known(IntEnum):
    """How well a model knows a fact (Gekhman et al. 2024)."""

    UNKNOWN = 0
    WEAKLY = 1
    MAYBE = 2
    HIGHLY = 3


@dataclass(frozen=True)
class World:
    """Facts.

    Attributes:
        first: first names; each goes with each last name.
        last: last names.
        relations: of each subject.
        objects: of each relation.
        templates: of statements; the question has one more.
        seed: which object each fact has.
    """

    first: int = 36
    last: int = 28
    relations: int = 4
    objects: int = 40
    templates: int = 6
    seed: int = 1

    @property
    def facts(self) -> int:
        """How many there are; fact `s * relations + r` is of subject s."""
        return self.first * self.last * self.relations

    @property
    def vocabulary(self) -> int:
        """Token ids: templates, names, relations, objects."""
        return self._objects + self.relations * self.objects

    @property
    def _objects(self) -> int:
        return self.templates + 1 + self.first + self.last + self.relations

    def truth(self) -> I64:
        """int64[F]: which of its relation's objects each fact has."""
        return np.random.default_rng([self.seed, 1]).integers(0, self.objects, self.facts)

    def rows(self, facts: I64, objects: I64, template: int | I64) -> I64:
        """int64[R, 5]: statements that facts have these objects."""
        subject, relation = np.divmod(facts, self.relations)
        first, last = np.divmod(subject, self.last)
        names = self.templates + 1
        columns = [
            np.broadcast_to(np.asarray(template), facts.shape),
            names + first,
            names + self.first + last,
            names + self.first + self.last + relation,
            self.token(facts, objects),
        ]
        return np.stack(columns, 1).astype(np.int64)

    def token(self, facts: I64, objects: I64) -> I64:
        """int64[R]: the token of an object of the fact's relation."""
        return np.asarray(self._objects + (facts % self.relations) * self.objects + objects)

    @property
    def question(self) -> int:
        """The template of questions."""
        return self.templates

    def parts(self) -> tuple[I64, I64, I64]:
        """Facts to train on, to stop by and to test on: of 70, 10 and 20 of a hundred subjects."""
        subjects = np.random.default_rng([self.seed, 2]).permutation(self.first * self.last)
        edges = [0, int(0.7 * len(subjects)), int(0.8 * len(subjects)), len(subjects)]
        by_subject = np.arange(self.facts).reshape(-1, self.relations)
        train, dev, test = (
            np.sort(by_subject[subjects[start:stop]].ravel()) for start, stop in itertools.pairwise(edges)
        )
        return train, dev, test


def _block(rows: Tensor) -> TokenBlock:
    """Rows as blocks of one document each, in which the last token is learnt."""
    ids = rows[:, :-1]
    targets = torch.full_like(ids, IGNORED)
    targets[:, -1] = rows[:, -1]
    position = torch.arange(ids.shape[1]).expand_as(ids)
    return TokenBlock(ids, targets, torch.zeros_like(ids), position, None, True)


def pretrained(
    world: World, *, known: float = 0.55, width: int = 64, layers: int = 2, rate: float = 1e-3, batch: int = 512
) -> Decoder:
    """A model that has read statements until it knows a share `known` of facts behind at least one template.

    How often a fact, and a template of it, is read varies by orders of magnitude, as in text: so some facts are known
    behind all templates, some behind one, and some not at all.
    """
    torch.manual_seed(world.seed)
    heads = {"heads": 2, "kv_heads": 2}
    model = Decoder(Shape(world.vocabulary, width=width, layers=layers, hidden=4 * width, context=8, **heads))
    draw = np.random.default_rng([world.seed, 3])
    optimizer = optimizer_of(dict(model.named_parameters()), Recipe(rate=rate, weight_decay=0.0), torch.device("cpu"))
    truth = world.truth()
    often = 1.5 * draw.normal(size=(world.facts, 1)) + draw.normal(size=(world.facts, world.templates))
    edges = np.cumsum(np.exp(often).ravel())
    while True:
        for _ in range(25):
            pairs = np.searchsorted(edges, draw.uniform(0, edges[-1], batch), side="right")
            facts, template = np.divmod(np.minimum(pairs, len(edges) - 1), world.templates)
            _step(model, optimizer, torch.from_numpy(world.rows(facts, truth[facts], template)), rate)
        if _greedy(model, world).any(0).mean() >= known:
            return model


def _greedy(model: Decoder, world: World) -> Bools:
    """bool[T, F]: whether the greedy answer behind each template is right."""
    facts, truth = np.arange(world.facts), world.truth()
    found = []
    for template in range(world.templates):
        rows = world.rows(facts, truth, template)
        found.append(probabilities(model, rows).argmax(-1).numpy() == rows[:, -1])
    return np.stack(found)


def _step(model: Decoder, optimizer: torch.optim.Optimizer, rows: Tensor, rate: float) -> float:
    """One update with rows; returns the mean loss of their last token."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = loss_sum(model, _block(rows)) / len(rows)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
    optimizer.step()
    return float(loss.detach())


def fit(
    model: Decoder,
    rows: I64,
    *,
    epochs: int,
    rate: float,
    batch: int,
    seed: int,
    look: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Fine-tune a model, in place, on rows in an order that each epoch draws anew; `look` is called after each."""
    draw = np.random.default_rng([seed, 4])
    optimizer = optimizer_of(dict(model.named_parameters()), Recipe(rate=rate, weight_decay=0.0), torch.device("cpu"))
    table = torch.from_numpy(rows)
    for epoch in range(1, epochs + 1):
        order = torch.from_numpy(draw.permutation(len(rows)))
        for start in range(0, len(rows), batch):
            _step(model, optimizer, table[order[start : start + batch]], rate)
        look(epoch)


def probabilities(model: Decoder, rows: I64) -> Tensor:
    """float32[R, V]: what the model expects in place of the last token."""
    with torch.inference_mode():
        hidden = model.hidden(_block(torch.from_numpy(rows)))[:, -1]
        return model.head(hidden).float().softmax(-1)


def answers(model: Decoder, world: World, facts: I64) -> I64:
    """int64[R]: the token that the model answers the question of each fact with."""
    rows = world.rows(facts, np.zeros_like(facts), world.question)
    return np.asarray(probabilities(model, rows).argmax(-1).numpy())


def categories(model: Decoder, world: World, *, least_hits: int = 1) -> I64:
    """int64[F]: `Known` of every fact, by greedy answers and the expectation of sampled ones behind each template.

    A fact that no template's greedy answer has right is weakly known when at least `least_hits` of 160 samples are
    expected to hit with probability one half.
    """
    facts, truth = np.arange(world.facts), world.truth()
    greedy, sampled = [], []
    for template in range(world.templates):
        rows = world.rows(facts, truth, template)
        shares = probabilities(model, rows)
        right = torch.from_numpy(rows[:, -1])
        greedy.append((shares.argmax(-1) == right).numpy())
        best = shares.topk(_TOP_K)
        tempered = best.values ** (1 / _TEMPERATURE)
        hit = (best.indices == right[:, None]) * tempered
        sampled.append((hit.sum(-1) / tempered.sum(-1)).numpy())
    right_share, chance = np.mean(greedy, 0), np.clip(np.mean(sampled, 0), 0, 1)
    likely = _at_least(chance.astype(np.float64), least_hits) >= 0.5
    weakly = np.where(likely, Known.WEAKLY, Known.UNKNOWN)
    return np.where(right_share == 1, Known.HIGHLY, np.where(right_share > 0, Known.MAYBE, weakly)).astype(np.int64)


def _at_least(share: Floats, hits: int) -> Floats:
    """Probability of at least so many hits in 160 draws."""
    from math import comb

    fewer = [comb(ALL_SAMPLES, k) * share**k * (1 - share) ** (ALL_SAMPLES - k) for k in range(hits)]
    return np.asarray(1 - np.sum(fewer, axis=0))
