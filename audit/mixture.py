"""A corpus as a mix of human and machine sources: the likeliest share of machine text, and what else would do.

The likeliest share maximises the likelihood of the corpus's histogram of scores under (1 - share) * human + share *
machine, where human and machine are mean histograms of labelled sources. It is where the EM of Saerens et al. (2002,
Neural Comput. 14:21) stops, and the estimate of Liang et al. (2024, arXiv 2403.07183) on scores instead of words.

Its error comes from the corpus holding sources unlike the mean. How unlike is known from the labelled sources, and how
far that averages out depends on how many sources the corpus mixes. So the interval is found by inverting a test: for
each of a row of true shares, corpora are drawn that mix a few labelled sources of each kind, and estimated with means
of resampled labelled sources; a true share belongs to the interval when the estimate at hand is not in the outer
2.5 % of the estimates under it. How many sources are mixed is drawn as well, and draws count the more, the more their
histograms misfit the means as the corpus itself does: a corpus that fits them closely is a mix of many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from detectors.ai_text.spread import BINS, HUMAN, Profiles

__all__ = [
    "SHARES", "UNKNOWN", "Component", "Mixing", "Reference", "Sampling", "likeliest_share", "misfit", "posterior",
]  # fmt: skip

SHARES = np.array([0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0])
"""True shares at which estimates are drawn; the interval's ends lie between them by interpolation."""
_FLOOR = 1e-4
_SMALL = 1e-9
_STEPS = 14
_TAIL = 0.025
_ALARM = 0.01
"""A corpus without machine text is to have an interval from 0 in 99 draws of 100: never cry wolf."""
UNKNOWN = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of sources that a corpus may mix when nobody knows: each as likely as the next."""
_BANDWIDTH = 0.45

Floats = npt.NDArray[np.float64]


def likeliest_share(observed: Floats, human: Floats, machine: Floats) -> Floats:
    """float64[n]: the share that makes each observed histogram likeliest.

    Args:
        observed: float64[n, BINS], each summing to 1.
        human, machine: float64[n or 1, BINS], positive.
    """
    difference = machine - human
    low, high = np.zeros(len(observed)), np.ones(len(observed))
    share = np.full(len(observed), 0.25)
    for _ in range(_STEPS):  # Newton's steps on a falling derivative, halving what is left where one leads out of it
        ratio = difference / (human + share[:, None] * difference)
        slope, bend = (observed * ratio).sum(axis=1), (observed * ratio**2).sum(axis=1)
        low, high = np.where(slope > 0, share, low), np.where(slope > 0, high, share)
        step = share + slope / np.maximum(bend, _SMALL)
        share = np.where((step >= low) & (step <= high), step, (low + high) / 2)
    at_none = (observed * difference / human).sum(axis=1) <= _SMALL
    at_all = (observed * difference / machine).sum(axis=1) >= -_SMALL
    result: Floats = np.where(at_none, 0.0, np.where(at_all, 1.0, share))
    return result


def misfit(observed: Floats, share: Floats, human: Floats, machine: Floats) -> Floats:
    """float64[n]: log of the chi-square distance, a document, of each histogram from its best mix."""
    fitted = human + share[:, None] * (machine - human)
    distance = ((observed - fitted) ** 2 / (fitted + 1e-3)).sum(axis=1)
    result: Floats = np.log(distance + _SMALL)
    return result


def posterior(share: float, human: Floats, machine: Floats) -> Floats:
    """float64[BINS]: probability that a document of a bin is machine-written, at that share."""
    joint = share * machine
    result: Floats = joint / (joint + (1.0 - share) * human)
    return result


@dataclass(frozen=True)
class Component:
    """Labelled sources of one kind of author.

    Attributes:
        sources: their names.
        sizes: float64[sources], documents behind each.
        shapes: float64[sources, BINS], normalised histograms.
        variants: for each source, its histograms by generator, float64[generators, BINS].
    """

    sources: tuple[str, ...]
    sizes: Floats
    shapes: Floats
    variants: tuple[Floats, ...]

    @property
    def mean(self) -> Floats:
        """float64[BINS]: mean over sources, each counting alike; no bin is quite empty."""
        return _floored(self.shapes.mean(axis=0))

    def shape(self, source: str) -> Floats | None:
        """float64[BINS]: histogram of one source, drawn a little to the mean; None where there is none."""
        if source not in self.sources:
            return None
        place = self.sources.index(source)
        return _floored((self.shapes[place] * self.sizes[place] + self.mean) / (self.sizes[place] + 1.0))


@dataclass(frozen=True)
class Reference:
    """What is known of both kinds of author."""

    human: Component
    machine: Component

    @classmethod
    def of(cls, profiles: Profiles) -> Reference:
        """Group the rows of the profiles by source."""
        return cls(_component(profiles, human=True), _component(profiles, human=False))


def _component(profiles: Profiles, *, human: bool) -> Component:
    rows: dict[str, list[Floats]] = {}
    for source, generator, counts in zip(profiles.sources, profiles.generators, profiles.counts, strict=True):
        if (generator == HUMAN) is human and counts.sum() > 0:
            rows.setdefault(source, []).append(counts.astype(np.float64))
    names = tuple(sorted(rows))
    totals = np.array([np.sum(rows[name], axis=0) for name in names]).reshape(len(names), BINS)
    sizes = totals.sum(axis=1)
    return Component(
        names,
        sizes,
        totals / np.maximum(sizes, 1.0)[:, None],
        tuple(np.array([counts / counts.sum() for counts in rows[name]]) for name in names),
    )


def _floored(shape: Floats) -> Floats:
    result: Floats = (shape + _FLOOR) / (shape + _FLOOR).sum()
    return result


@dataclass(frozen=True)
class Mixing:
    """What is known of one kind of author in the corpus.

    Attributes:
        levels: numbers of labelled sources that the corpus may mix, each as likely as the others.
        known: float64[BINS], mean histogram of the corpus's sources that are labelled under their own name.
        possible: float64[any, BINS], what `known` may be as well, for all that is known of how much each source holds.
        weight: share of its documents from such sources.
        size: labelled documents behind `known`.
    """

    levels: tuple[int, ...] = UNKNOWN
    known: Floats = field(default_factory=lambda: np.full(BINS, 1.0 / BINS))
    possible: Floats = field(default_factory=lambda: np.full((1, BINS), 1.0 / BINS))
    weight: float = 0.0
    size: float = 1.0

    def mean(self, component: Component) -> Floats:
        """float64[BINS]: the histogram to expect."""
        return _floored(self.weight * self.known + (1.0 - self.weight) * component.mean)

    @classmethod
    def by_name(
        cls, component: Component, names: Sequence[str], documents: Floats, levels: tuple[int, ...] = UNKNOWN
    ) -> Mixing:
        """Match the corpus's sources with labelled sources of the same name.

        Args:
            component: the labelled sources.
            names: sources of the corpus.
            documents: float64[draws, names], how many documents by this kind of author each may hold; the first row is
                the mean.
            levels: as above, for what remains.
        """
        own = np.array([name in component.sources for name in names])
        if documents[0, own].sum() <= 0:
            return cls(levels)
        shapes = np.array([component.shape(name) for name in names if name in component.sources])
        sizes = component.sizes[[component.sources.index(name) for name in names if name in component.sources]]
        held = documents[:, own] + _SMALL
        shares = held / held.sum(axis=1, keepdims=True)
        return cls(
            levels,
            known=shares[0] @ shapes,
            possible=shares @ shapes,
            weight=min(1.0, float(documents[0, own].sum() / documents[0].sum())),
            size=float(1.0 / (shares[0] ** 2 / sizes).sum()),
        )


@dataclass(frozen=True)
class Sampling:
    """Estimates and misfits of drawn corpora: float64[shares, draws] each."""

    estimates: Floats
    misfits: Floats

    @classmethod
    def draw(cls, reference: Reference, mixing: tuple[Mixing, Mixing], n: float, *, seed: int, draws: int) -> Sampling:
        """Draw corpora of `n` documents at each of the true shares and estimate them as the corpus is.

        Args:
            reference: labelled sources of both kinds, at least one of each.
            mixing: what is known of the corpus's human and machine sources.
            n: documents, or the effective number of them by words.
            seed: of the draws.
            draws: corpora at each true share.
        """
        random = np.random.default_rng(seed)
        size = max(1, round(n))
        pairs = list(zip((reference.human, reference.machine), mixing, strict=True))
        human, machine = (_corpora(component, mix, random, draws) for component, mix in pairs)
        means = [_means(component, mix, random, draws) for component, mix in pairs]
        estimates, misfits = np.empty((len(SHARES), draws)), np.empty((len(SHARES), draws))
        for place, share in enumerate(SHARES):
            truth = (1.0 - share) * human + share * machine
            observed = random.multinomial(size, truth / truth.sum(axis=1, keepdims=True)) / size
            estimates[place] = likeliest_share(observed, means[0], means[1])
            misfits[place] = misfit(observed, estimates[place], means[0], means[1])
        return cls(estimates, misfits)

    def interval(self, estimate: float, found: float | None = None) -> tuple[float, float]:
        """The true shares under which the estimate is nothing odd.

        Args:
            estimate: of the corpus.
            found: its misfit; None weighs all draws alike.
        """
        weights = np.ones_like(self.estimates) if found is None else self._weights(found)
        low, high = self._usual if found is None else _quantiles(self.estimates, weights, (_TAIL, 1.0 - _TAIL))
        (none,) = self._usual_of_none if found is None else _quantiles(self.estimates[:1], weights[:1], (1.0 - _ALARM,))
        least = 0.0 if none[0] >= estimate else float(np.interp(estimate, high, SHARES))
        if estimate <= low[0]:
            most = float(SHARES[np.flatnonzero(low <= low[0])[-1]])
        else:
            most = 1.0 if low[-1] <= estimate else float(np.interp(estimate, low + _SMALL * SHARES, SHARES))
        return min(least, estimate), max(most, estimate)

    def oddity(self, found: float) -> float:
        """Share of drawn corpora, over all true shares, that misfit as much or more."""
        return float((self.misfits >= found).mean())

    @cached_property
    def _usual(self) -> tuple[Floats, Floats]:
        low, high = _quantiles(self.estimates, np.ones_like(self.estimates), (_TAIL, 1.0 - _TAIL))
        return low, high

    @cached_property
    def _usual_of_none(self) -> tuple[Floats]:
        (none,) = _quantiles(self.estimates[:1], np.ones_like(self.estimates[:1]), (1.0 - _ALARM,))
        return (none,)

    def _weights(self, found: float) -> Floats:
        # Beyond what was drawn there is nothing to weigh by: take the draws that misfit most.
        near = np.clip(found, *np.quantile(self.misfits, (0.01, 0.99)))
        result: Floats = np.exp(-0.5 * ((self.misfits - near) / _BANDWIDTH) ** 2) + 1e-6
        return result


def _corpora(component: Component, mixing: Mixing, random: np.random.Generator, draws: int) -> Floats:
    """float64[draws, BINS]: histograms of one kind of author in drawn corpora."""
    result = np.empty((draws, BINS))
    for part, level in zip(np.array_split(random.permutation(draws), len(mixing.levels)), mixing.levels, strict=True):
        result[part] = _mixes(component, level, random, len(part))
    if mixing.weight <= 0:
        return result
    size = max(1, round(mixing.size))
    possible = mixing.possible[random.integers(len(mixing.possible), size=draws)]
    known = random.multinomial(size, possible / possible.sum(axis=1, keepdims=True)) / size
    return mixing.weight * known + (1.0 - mixing.weight) * result


def _mixes(component: Component, sources: int, random: np.random.Generator, draws: int) -> Floats:
    """Each a mix of so many sources in equal parts, every one written by one of the generators it is known with."""
    stacked = np.concatenate(component.variants)
    starts = np.cumsum([0, *(len(part) for part in component.variants)])
    which = random.integers(len(component.sources), size=(draws, sources))
    variant = (random.random((draws, sources)) * np.diff(starts)[which]).astype(np.int64) + starts[which]
    picked = np.zeros((draws, len(stacked)))
    np.add.at(picked, (np.arange(draws)[:, None], variant), 1.0 / sources)
    result: Floats = picked @ stacked
    return result


def _means(component: Component, mixing: Mixing, random: np.random.Generator, draws: int) -> Floats:
    """float64[draws, BINS]: what the mean would be with labelled sources resampled."""
    n = len(component.sources)
    picked = random.multinomial(n, np.full(n, 1.0 / n), draws) / n
    shapes = mixing.weight * mixing.known + (1.0 - mixing.weight) * (picked @ component.shapes)
    result: Floats = (shapes + _FLOOR) / (1.0 + _FLOOR * BINS)
    return result


def _quantiles(values: Floats, weights: Floats, levels: Sequence[float]) -> list[Floats]:
    """Weighted quantiles of each row, made monotone: more machine text never means a lower estimate."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    running = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    running /= running[:, -1:]
    rows, last = np.arange(len(values)), values.shape[1] - 1
    places = (np.minimum((running < level).sum(axis=1), last) for level in levels)
    return [np.maximum.accumulate(ordered[rows, place]) for place in places]
