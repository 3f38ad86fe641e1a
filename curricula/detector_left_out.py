"""Models that never saw part of the corpus, and what they say of it: sources, a generator, a language; a curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.detector_corpus import Corpus
from curricula.detector_fit import Judged, Member, Problem, fitted, judged, quantised
from detectors.ai_text import AiText
from detectors.ai_text.model import FastModel

__all__ = [
    "SHARES",
    "Trial",
    "curve",
    "generator_trials",
    "joined",
    "language_trials",
    "model_of",
    "out_of_source",
    "paired",
    "write_trials",
]

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of the families of sources that a fold may be trained on, for the learning curve."""


class Settings(Protocol):
    """What of a recipe decides the weights, see `curricula.train_detector.Recipe`."""

    @property
    def members(self) -> tuple[Member, ...]: ...

    @property
    def passes(self) -> int: ...

    @property
    def folds(self) -> int: ...

    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Trial:
    """What a model said of documents that it never saw.

    Attributes:
        group: what was left out, or for the learning curve what was kept.
        rows: int64[n], places of the documents in the corpus.
        found: what it said of each.
        families: that the model was trained on, and
        documents: of these.
    """

    group: str
    rows: Integers
    found: Judged
    families: float
    documents: float


def model_of(problem: Problem, rows: Integers, recipe: Settings) -> FastModel:
    """The model of some rows of a problem, as it would ship."""
    return quantised(fitted(problem, rows, recipe.members, passes=recipe.passes, seed=recipe.seed), problem)


def paired(corpus: Corpus, rows: Bools) -> Bools:
    """bool[n]: human documents that the documents of `rows` mirror."""
    pairs = corpus.frame.filter(pl.Series(rows))["pair"].drop_nulls().implode()
    found: Bools = corpus.frame["id"].is_in(pairs).to_numpy()
    return found


def joined(parts: Sequence[Judged], order: Sequence[Integers]) -> Judged:
    """Parts of documents put together again, each at the places that `order` has for it."""
    back = np.argsort(np.concatenate(order))
    columns = [np.concatenate([getattr(part, one.name) for part in parts]) for one in dataclasses.fields(Judged)]
    return Judged(*(column[back] for column in columns))


def out_of_source(corpus: Corpus, problem: Problem, fold: Integers, recipe: Settings) -> Judged:
    """Judge every document with a model that saw no document of its family, in the very way that a scan does.

    `problem` is of the documents that are not of split `dev`, in order.
    """
    (trial,) = _by_folds(corpus, problem, fold, recipe, (1.0,))
    return trial.found


def curve(corpus: Corpus, problem: Problem, fold: Integers, recipe: Settings) -> Iterator[Trial]:
    """The same with shares of the other families alone, of those with machine text and of those without."""
    yield from _by_folds(corpus, problem, fold, recipe, SHARES)


def _by_folds(
    corpus: Corpus, problem: Problem, fold: Integers, recipe: Settings, shares: Sequence[float]
) -> Iterator[Trial]:
    trained = corpus.names("split") != "dev"
    family, machine = corpus.names("family"), corpus.label == 1
    with_machine = np.isin(family, np.unique(family[machine]))
    random = np.random.default_rng(recipe.seed)
    order = {name: place for place, name in enumerate(random.permutation(np.unique(family)).tolist())}
    for share in shares:
        parts, places, families, documents = [], [], [], []
        for index in range(recipe.folds):
            left_out = fold == index
            if not left_out.any():
                continue
            kept = np.zeros(len(family), np.bool_)
            for kind in (with_machine, ~with_machine):
                names = sorted(np.unique(family[kind & ~left_out]).tolist(), key=order.__getitem__)
                kept |= kind & np.isin(family, names[: max(1, round(share * len(names)))])
            rows = np.flatnonzero((kept & ~left_out)[trained])
            parts.append(_judged(corpus, left_out, model_of(problem, rows, recipe)))
            places.append(np.flatnonzero(left_out))
            families.append(len(np.unique(family[trained][rows])))
            documents.append(len(rows))
        found = joined(parts, places)
        yield Trial(f"{share:g}", np.arange(len(fold)), found, float(np.mean(families)), float(np.mean(documents)))


def language_trials(corpus: Corpus, problem: Problem, recipe: Settings, codes: Sequence[str]) -> Iterator[Trial]:
    """For each language its documents, and the human ones that they mirror, as judged by a model without them."""
    for code in codes:
        own = corpus.names("lang") == code
        yield from _trial(code, corpus, problem, recipe, own | paired(corpus, own))


def generator_trials(corpus: Corpus, problem: Problem, recipe: Settings, names: Sequence[str]) -> Iterator[Trial]:
    """For each generator its documents and human ones, as judged by a model that saw neither.

    Human documents are those that the generator's mirror, which are left out with it, and those of split `dev` of the
    same sources, which no model sees.
    """
    held_back = corpus.names("split") == "dev"
    for name in names:
        own = corpus.names("generator") == name
        sources = np.unique(corpus.names("source")[own])
        people = held_back & (corpus.label == 0) & np.isin(corpus.names("source"), sources)
        yield from _trial(name, corpus, problem, recipe, own | paired(corpus, own) | people)


def _trial(name: str, corpus: Corpus, problem: Problem, recipe: Settings, out: Bools) -> Iterator[Trial]:
    trained = corpus.names("split") != "dev"
    rows = np.flatnonzero(~out[trained])
    if not out[trained].any() or not len(rows) or len(np.unique(corpus.label[out])) < 2:
        return
    families = len(np.unique(corpus.names("family")[trained][rows]))
    found = _judged(corpus, out, model_of(problem, rows, recipe))
    yield Trial(name, np.flatnonzero(out), found, float(families), float(len(rows)))


def _judged(corpus: Corpus, rows: Bools, model: FastModel) -> Judged:
    return judged(corpus.rows(rows).frame, model, AiText().min_characters)


def write_trials(trials: Sequence[Trial], corpus: Corpus, path: Path) -> None:
    """Write Parquet, a row a document and trial: row, label, margin, enough, group, families, documents."""
    label = corpus.label
    frames = [
        pl.DataFrame(
            {"row": one.rows, "label": label[one.rows], "margin": one.found.margin, "enough": one.found.enough}
        ).with_columns(group=pl.lit(one.group), families=pl.lit(one.families), documents=pl.lit(one.documents))
        for one in trials
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.concat(frames).write_parquet(path)
