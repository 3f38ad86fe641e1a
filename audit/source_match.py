"""Sources of a corpus that are labelled under their own name: their text need not be taken for that of others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from audit.mixture import Mixing, Reference
from detectors.ai_text.spread import BINS

__all__ = ["matched"]

_GRID = np.concatenate([[0.0, 0.01, 0.02], np.arange(1, 20) * 0.05, [0.98, 0.99, 1.0]])
_STEPS = 200
_POSSIBLE = 100
_TRUST = 400.0
"""Documents of a source beyond which its histogram says no more: sources change."""

Floats = npt.NDArray[np.float64]


def matched(reference: Reference, sources: Mapping[str, npt.NDArray[np.int64]], *, seed: int) -> tuple[Mixing, Mixing]:
    """What is known of the corpus's human and of its machine text from sources with labels of their own.

    Args:
        reference: labelled sources.
        sources: source of the corpus to its documents by bin of score, int64[BINS].
        seed: of the draws of what sources may hold.

    How much of each kind a source holds is first estimated source by source, with a distribution of shares that all
    sources have in common (empirical Bayes); that only weighs the sources, and is not the estimate of the share.
    """
    known = set(reference.human.sources) | set(reference.machine.sources)
    if not known & set(sources):
        return Mixing(), Mixing()
    names = list(sources)
    counts = np.array(list(sources.values()), np.float64).reshape(-1, BINS)
    machine = counts.sum(axis=1) * _machine_shares(reference, names, counts, seed)
    human = np.maximum(counts.sum(axis=1) - machine, 0.0)
    return Mixing.by_name(reference.human, names, human), Mixing.by_name(reference.machine, names, machine)


def _machine_shares(reference: Reference, names: list[str], counts: Floats, seed: int) -> Floats:
    """float64[draws, sources]: posterior mean share of each source, then draws of what it may be."""
    sizes = counts.sum(axis=1, keepdims=True)
    scaled = counts / (1.0 + sizes / _TRUST)
    means = reference.human.mean, reference.machine.mean
    fits = scaled @ np.log(_mixes(*means)).T
    for place, name in enumerate(names):
        own = reference.human.shape(name), reference.machine.shape(name)
        if own[0] is not None or own[1] is not None:
            human, machine = (mean if one is None else one for one, mean in zip(own, means, strict=True))
            fits[place] = np.log(_mixes(human, machine)) @ scaled[place]
    likelihood = np.exp(fits - fits.max(axis=1, keepdims=True))
    found = likelihood / likelihood.sum(axis=1, keepdims=True)
    for _ in range(_STEPS):
        found = likelihood * found.mean(axis=0)
        found /= found.sum(axis=1, keepdims=True)
    chance = np.random.default_rng(seed).random((_POSSIBLE, len(names), 1))
    drawn = _GRID[np.minimum((found.cumsum(axis=1) < chance).sum(axis=2), len(_GRID) - 1)]
    return np.concatenate([(found @ _GRID)[None], drawn])


def _mixes(human: Floats, machine: Floats) -> Floats:
    """float64[grid, BINS]"""
    mixed: Floats = (1.0 - _GRID)[:, None] * human + _GRID[:, None] * machine
    return mixed
