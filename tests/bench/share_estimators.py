"""Ways to estimate the share of machine text in a corpus, the product's own among them, to be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audit.mixture import Mixing, Reference, Sampling, likeliest_share, posterior
from audit.narrowing import LEVEL, narrowed
from audit.prevalence import DRAWS, estimated, saerens
from audit.rogan_gladen import ErrorRates, estimate
from audit.source_match import matched
from audit.two_phase import two_phase
from detectors.ai_text.spread import BINS

DOCUMENTS = 10_000
SEED = 17

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Corpus(NamedTuple):
    """A corpus: source to documents, int64[2, BINS], flagged ones last; those by models, int64[BINS]; their share."""

    sources: dict[str, Integers]
    machine: Integers
    share: float

    @property
    def named(self) -> dict[str, Integers]:
        """Source to documents by bin, int64[BINS]."""
        return {name: counts.sum(axis=0) for name, counts in self.sources.items()}

    @property
    def documents(self) -> Integers:
        """int64[BINS]: over all sources."""
        total: Integers = np.array(list(self.sources.values()), np.int64).sum(axis=(0, 1))
        return total

    @property
    def flagged(self) -> int:
        """Documents that are flagged."""
        return int(sum(counts[1].sum() for counts in self.sources.values()))


class Pool(NamedTuple):
    """Sources to draw from: names and histograms, float64[sources, 2, BINS], normalised, the flagged ones last."""

    names: list[str]
    shapes: Floats


@dataclass(frozen=True)
class World:
    """What a corpus is drawn from, and the labelled sources that estimates are made with: their scores, and how often
    their documents are flagged."""

    human: Pool
    machine: Pool
    reference: Reference
    rates: ErrorRates

    def draw(self, share: float, sources: int | None, random: np.random.Generator) -> Corpus:
        """A corpus of documents of so many sources of each kind; None takes as many as there are."""
        found: dict[str, Integers] = {}
        machine, written = int(random.binomial(DOCUMENTS, share)), np.zeros(BINS, np.int64)
        for pool, size in ((self.human, DOCUMENTS - machine), (self.machine, machine)):
            count = sources or len(pool.names)
            picked = random.integers(len(pool.names), size=count)
            parts = random.multinomial(size, np.full(count, 1.0 / count))
            for place, part in zip(picked, parts, strict=True):
                drawn = random.multinomial(part, pool.shapes[place].ravel()).reshape(2, BINS)
                found[pool.names[place]] = found.get(pool.names[place], 0) + drawn
                written += drawn.sum(axis=0) * (pool is self.machine)
        return Corpus(found, written, machine / DOCUMENTS)


Estimator = Callable[[Corpus], tuple[float, float, float]]


def shipped(world: World, *, named: bool, cut: bool = True) -> Estimator:
    """The product's own estimate; without `cut` its interval as it is before flagged documents narrow it."""
    drawn: list[Sampling] = []

    def estimate_share(corpus: Corpus) -> tuple[float, float, float]:
        counts = corpus.documents
        mixing = matched(world.reference, corpus.named, seed=SEED) if named else (Mixing(), Mixing())
        if named or not drawn:
            drawn[:] = [Sampling.draw(world.reference, mixing, counts.sum(), seed=SEED, draws=DRAWS)]
        found = estimated(world.reference, counts, mixing, drawn[0])
        if cut:
            n = int(counts.sum())
            found = narrowed(
                found, lambda: estimate(corpus.flagged / n, n, n, world.rates, seed=SEED, level=LEVEL).interval
            )
        assert found.share is not None and found.interval is not None
        return found.share, found.interval.low, found.interval.high

    return estimate_share


def at_number(world: World, sources: int) -> Estimator:
    """The same share; its interval takes the corpus for a mix of so many sources, whatever the scores look like."""
    mixing = Mixing((sources,)), Mixing((sources,))
    sampling = Sampling.draw(world.reference, mixing, DOCUMENTS, seed=SEED, draws=DRAWS)

    def estimate(corpus: Corpus) -> tuple[float, float, float]:
        share = _likeliest(world.reference, corpus.documents)
        return share, *sampling.interval(share)

    return estimate


def resampled(world: World) -> Estimator:
    """The same share with the textbook interval: labelled documents' sources resampled, the corpus like their mean."""
    random = np.random.default_rng(SEED)
    pair = world.reference.human, world.reference.machine
    means = [
        random.multinomial(len(one.sources), np.full(len(one.sources), 1 / len(one.sources)), 400) @ one.shapes
        / len(one.sources)
        + 1e-4
        for one in pair
    ]  # fmt: skip

    def estimate(corpus: Corpus) -> tuple[float, float, float]:
        counts = corpus.documents
        share = _likeliest(world.reference, counts)
        observed = random.multinomial(counts.sum(), counts / counts.sum(), 400) / counts.sum()
        low, high = np.quantile(likeliest_share(observed, means[0], means[1]), (0.025, 0.975))
        return share, min(float(low), share), max(float(high), share)

    return estimate


def threshold(world: World, least: int, *, sources: int | None) -> Estimator:
    """Rogan and Gladen at a bin of scores, error rates of so many sources (None: as many as are labelled)."""
    random = np.random.default_rng(SEED)
    rates = [one.shapes[:, least:].sum(axis=1) for one in (world.reference.human, world.reference.machine)]
    drawn = [
        rate[random.integers(len(rate), size=(2000, sources or len(rate)))].mean(axis=1) for rate in rates
    ]  # fmt: skip

    def estimate(corpus: Corpus) -> tuple[float, float, float]:
        counts = corpus.documents
        observed = counts[least:].sum() / counts.sum()
        share = float(np.clip((observed - rates[0].mean()) / (rates[1].mean() - rates[0].mean()), 0, 1))
        apart = drawn[1] - drawn[0] > 0.05
        shares = np.clip((observed - drawn[0][apart]) / (drawn[1] - drawn[0])[apart], 0, 1)
        low, high = np.quantile(shares, (0.025, 0.975)) if apart.any() else (0.0, 1.0)
        return share, min(float(low), share), max(float(high), share)

    return estimate


def labelled(world: World, labels: int) -> Estimator:
    """The product's estimate where so many random documents have a label."""
    random = np.random.default_rng(SEED)
    human, machine = world.reference.human.mean, world.reference.machine.mean

    def estimate(corpus: Corpus) -> tuple[float, float, float]:
        documents = corpus.documents
        drawn = random.multivariate_hypergeometric(np.concatenate([documents - corpus.machine, corpus.machine]), labels)
        share = min(max(_likeliest(world.reference, documents), 0.01), 0.99)
        found, interval = two_phase(documents, drawn.reshape(2, BINS), posterior(share, human, machine))
        return found, interval.low, interval.high

    return estimate


def em_alone(world: World) -> Estimator:
    """Saerens' EM on the scores themselves; it has no interval."""

    def estimate(corpus: Corpus) -> tuple[float, float, float]:
        share = saerens(corpus.documents)
        assert share is not None
        return share, share, share

    return estimate


def _likeliest(reference: Reference, counts: Integers) -> float:
    human, machine = reference.human.mean[None], reference.machine.mean[None]
    return float(likeliest_share((counts / counts.sum())[None], human, machine)[0])


Makers = Mapping[str, Callable[[World], Estimator]]
SHIPPED: Makers = {
    "shipped": lambda world: shipped(world, named=False),
    "shipped, flags not looked at": lambda world: shipped(world, named=False, cut=False),
}
NAMED: Makers = {"shipped, sources named": lambda world: shipped(world, named=True)}
LABELLED: Makers = {
    "shipped, 150 labels": lambda world: labelled(world, 150),
    "shipped, 300 labels": lambda world: labelled(world, 300),
}
OTHERS: Makers = {
    **LABELLED,
    **{f"mixture, {n} sources": lambda world, n=n: at_number(world, n) for n in (4, 8, 16, 32)},  # type: ignore[misc]
    "mixture, sources resampled": resampled,
    "Rogan-Gladen, score > .88, one source": lambda world: threshold(world, 13, sources=1),
    "Rogan-Gladen, score > .88, mean": lambda world: threshold(world, 13, sources=None),
    "Rogan-Gladen, score > .5, mean": lambda world: threshold(world, 9, sources=None),
    "EM on scores (Saerens)": em_alone,
}
