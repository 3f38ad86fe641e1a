"""Labelled sources made in code: scores bell-shaped in log odds, people low and models high, every source its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.ai_text.spread import BIN_ODDS, BINS, HUMAN, Profiles

HUMAN_ODDS, MACHINE_ODDS, APART = -1.5, 2.0, 0.7

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def bell(odds: float, width: float = 1.2) -> Floats:
    """float64[BINS]: a normalised histogram around these log odds."""
    shape: Floats = np.exp(-0.5 * ((BIN_ODDS - odds) / width) ** 2) + 1e-4
    return shape / shape.sum()


def pool(sources: int, odds: float, seed: int, apart: float = APART) -> Floats:
    """float64[sources, BINS]: sources whose means lie `apart` from each other, one standard deviation."""
    return np.array([bell(odds + shift) for shift in np.random.default_rng(seed).normal(0, apart, sources)])


def profiles(human: Floats, machine: Floats, size: int = 400) -> Profiles:
    """Rows h0, h1, ... and m0, m1, ..., each machine source written by one generator of its own."""
    names = [*(f"h{i}" for i in range(len(human))), *(f"m{i}" for i in range(len(machine)))]
    generators = [HUMAN] * len(human) + [f"model-{i}" for i in range(len(machine))]
    counts = np.rint(np.concatenate([human, machine]) * size).astype(np.int64).reshape(len(names), BINS)
    return Profiles(tuple(names), tuple(generators), counts)


def usual(sources: int = 40, apart: float = APART) -> Profiles:
    """As many human as machine sources."""
    return profiles(pool(sources, HUMAN_ODDS, 1, apart), pool(sources, MACHINE_ODDS, 2, apart))


def drawn(n: int, share: float, human: Floats, machine: Floats, seed: int = 0) -> Integers:
    """int64[BINS]: a corpus in equal parts of some human and some machine sources."""
    mix = (1 - share) * human.mean(axis=0) + share * machine.mean(axis=0)
    return np.random.default_rng(seed).multinomial(n, mix / mix.sum())
