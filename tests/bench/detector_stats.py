"""Statistics of a detector's evaluation: areas, rates at a false-positive rate, intervals, calibration error.

Pure functions of arrays. Higher values mean more machine-like; label 1 is machine text. Undefined figures are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Rate",
    "Reliability",
    "area_interval",
    "auroc",
    "clopper_pearson",
    "expected_calibration_error",
    "holm_rejects",
    "length_matched",
    "mean_interval",
    "true_positive_rate",
    "upper_tail",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_Z = 1.959964


class Rate(NamedTuple):
    """A counted share: hits of n, and its 95 % interval."""

    hits: int
    n: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, n: int) -> Rate:
        """The share with its exact interval; NaN where n is 0."""
        low, high = clopper_pearson(hits, n)
        return cls(hits, n, hits / n if n else math.nan, low, high)


class Reliability(NamedTuple):
    """A calibration curve.

    Attributes:
        error: mean distance between predicted and observed share, weighted by bin.
        predicted: mean score of each bin.
        observed: weighted share of machine text of each bin.
        documents: of each bin.
    """

    error: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    documents: tuple[int, ...]


def auroc(label: Integers, value: Floats, weight: Floats | None = None) -> float:
    """Probability that a machine text has the larger value, ties counting half; NaN with one class.

    Args:
        label: int[n], 1 for machine text.
        value: float[n].
        weight: float[n], not negative; None weighs all alike.
    """
    weights = np.ones(len(label)) if weight is None else weight
    if not len(label):
        return math.nan
    _, inverse = np.unique(value, return_inverse=True)
    machine = np.bincount(inverse, np.where(label == 1, weights, 0.0))
    human = np.bincount(inverse, np.where(label == 1, 0.0, weights))
    pairs = machine.sum() * human.sum()
    if not pairs > 0:
        return math.nan
    below = np.cumsum(human) - human
    return float((machine * (below + human / 2)).sum() / pairs)


def area_interval(area: float, n_human: float, n_ai: float) -> tuple[float, float]:
    """95 % interval of an AUROC (Hanley and McNeil 1982)."""
    if math.isnan(area) or n_human < 1 or n_ai < 1:
        return math.nan, math.nan
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (n_ai - 1) * (one - area**2) + (n_human - 1) * (two - area**2)
    half = _Z * math.sqrt(max(spread, 0.0) / (n_human * n_ai))
    return max(0.0, area - half), min(1.0, area + half)


def mean_interval(values: Floats, *, draws: int = 2000, seed: int = 17) -> tuple[float, float]:
    """95 % interval of an unweighted mean over groups, by drawing groups with replacement; NaN with fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    means = random.choice(values, (draws, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def true_positive_rate(label: Integers, value: Floats, fpr: float) -> float:
    """Share of machine text above the lowest threshold that lets at most `fpr` of this very human text through.

    NaN where `fpr` is below one document in the human text, so that the threshold would be a guess.
    """
    human, machine = np.sort(value[label == 0])[::-1], value[label == 1]
    allowed = math.floor(fpr * len(human) + 1e-9)
    if not allowed or not len(machine):
        return math.nan
    # The first human document that must not be flagged; whatever ties with it is not flagged either.
    return float((machine > human[allowed]).mean()) if allowed < len(human) else 1.0


def upper_tail(hits: int, n: int, share: float) -> float:
    """Probability of `hits` or more in n draws of probability `share`: exact binomial, in logarithms."""
    if hits <= 0:
        return 1.0
    if share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    k = np.arange(hits, n + 1, dtype=np.float64)
    logs = _log_choices(n)[hits:] + k * math.log(share) + (n - k) * math.log1p(-share)
    return float(min(1.0, np.exp(logs).sum()))


def _log_choices(n: int) -> Floats:
    """float64[n + 1]: logarithms of the binomial coefficients."""
    factorial = np.concatenate([np.zeros(1), np.cumsum(np.log(np.arange(1.0, n + 1)))])
    logs: Floats = factorial[n] - factorial - factorial[::-1]
    return logs


def clopper_pearson(hits: int, n: int, *, tail: float = 0.025) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934), `tail` on either side; (0, 1) where n is 0."""
    return (_lower(hits, n, tail), 1.0 - _lower(n - hits, n, tail)) if n else (0.0, 1.0)


def _lower(hits: int, n: int, tail: float) -> float:
    """The share at which `hits` or more of n have probability `tail`."""
    if hits == 0:
        return 0.0
    choices, k = _log_choices(n)[hits:], np.arange(hits, n + 1, dtype=np.float64)

    def excess(share: float) -> float:
        return float(np.exp(choices + k * math.log(share) + (n - k) * math.log1p(-share)).sum()) - tail

    return _root(excess)


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function of a share crosses 0."""
    low, high = 0.0, 1.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def holm_rejects(p_values: Floats, level: float = 0.05) -> npt.NDArray[np.bool_]:
    """bool[n]: hypotheses rejected with a chance of at most `level` that any of them is true (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    allowed = level / (len(p_values) - np.arange(len(p_values)))
    fails = p_values[order] > allowed
    first = int(np.argmax(fails)) if fails.any() else len(p_values)
    rejected = np.zeros(len(p_values), np.bool_)
    rejected[order[:first]] = True
    return rejected


def expected_calibration_error(
    label: Integers, score: Floats, weight: Floats | None = None, *, bins: int = 15
) -> Reliability:
    """Distance of scores from observed shares over bins of equal weight (Naeini et al. 2015).

    Args:
        label: int[n], 1 for machine text.
        score: float[n], probabilities.
        weight: float[n]; None weighs all alike. Weights that balance the classes compare with scores at a prior of 1/2.
        bins: how many.
    """
    if not len(label):
        return Reliability(math.nan, (), (), ())
    weights = np.ones(len(label)) if weight is None else weight
    order = np.argsort(score, kind="stable")
    running = np.cumsum(weights[order]) - weights[order] / 2
    place = np.zeros(len(label), np.int64)
    place[order] = np.minimum((running / weights.sum() * bins).astype(np.int64), bins - 1)
    mass = np.bincount(place, weights, bins)
    kept = mass > 0
    predicted = np.bincount(place, weights * score, bins)[kept] / mass[kept]
    observed = np.bincount(place, weights * label, bins)[kept] / mass[kept]
    error = float((mass[kept] / mass.sum() * np.abs(predicted - observed)).sum())
    documents = tuple(np.bincount(place, minlength=bins)[kept].tolist())
    return Reliability(error, tuple(predicted.tolist()), tuple(observed.tolist()), documents)


def length_matched(label: Integers, cell: Integers) -> Floats:
    """float[n]: weights under which both classes are spread alike over cells (domain, language, length bin).

    In a cell with h human and a machine documents, either class weighs min(h, a) in all; where one class is absent the
    other weighs nothing. So the sum of weights of a class is the number of documents that could be matched.
    """
    _, inverse = np.unique(cell, return_inverse=True)
    machine = np.bincount(inverse, label == 1)
    human = np.bincount(inverse, label == 0)
    both = np.minimum(machine, human)
    own = np.where(label == 1, machine[inverse], human[inverse])
    result: Floats = both[inverse] / np.maximum(own, 1)
    return result
