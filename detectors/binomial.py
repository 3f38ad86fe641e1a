"""Exact statements about a rate from counts: one-sided bounds, the order statistic behind a threshold, Holm's test."""

from __future__ import annotations

from math import ceil, lgamma, log, log1p

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENCE",
    "allowed_above",
    "at_least",
    "documents_needed",
    "holm",
    "least_rate",
    "lower_bound",
    "upper_bound",
]

CONFIDENCE = 0.95
"""Of every one-sided bound, unless another is asked for."""

_STEPS = 60
_TINY, _CLOSE = 1e-300, 1e-13

Floats = npt.NDArray[np.float64]
_lgamma = np.vectorize(lgamma, otypes=[np.float64])


def upper_bound(hits: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """float64[...]: the rate is below this with the given confidence (Clopper and Pearson 1934); 1 without documents.

    Args:
        hits: counted, 0 to n.
        n: documents.
        confidence: one-sided.
    """
    counted, size = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(n, np.float64))
    found = np.ones(counted.shape)
    open_ = counted < size
    if open_.any():
        found[open_] = _beta_quantile(confidence, counted[open_] + 1.0, size[open_] - counted[open_])
    return found


def lower_bound(hits: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """float64[...]: the rate is above this with the given confidence (Clopper and Pearson 1934); 0 where n is 0."""
    size = np.asarray(n, np.float64)
    result: Floats = 1.0 - upper_bound(size - np.asarray(hits, np.float64), size, confidence)
    return result


def at_least(hits: npt.ArrayLike, n: npt.ArrayLike, rate: float) -> Floats:
    """float64[...]: chance of `hits` or more in n documents at a true rate: the exact one-sided p-value of a count."""
    counted, size = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(n, np.float64))
    found = np.ones(counted.shape)
    some = counted > 0
    if some.any():
        found[some] = _beta_cdf(np.full(int(some.sum()), rate), counted[some], size[some] - counted[some] + 1.0)
    return found


def least_rate(n: int, confidence: float = CONFIDENCE) -> float:
    """The smallest false-positive rate that n human documents can vouch for: none above the threshold, 1 if n is 0."""
    return 1.0 - (1.0 - confidence) ** (1.0 / n) if n else 1.0


def documents_needed(rate: float, confidence: float = CONFIDENCE) -> int:
    """Human documents needed before any threshold can be vouched for at this rate: 299 at 0.01, 2,995 at 0.001."""
    return ceil(log(1.0 - confidence) / log1p(-rate) - 1e-9)


def allowed_above(n: int, rate: float, confidence: float = CONFIDENCE) -> int | None:
    """How many of n human documents may lie at or above a threshold so that P(its rate <= `rate`) >= `confidence`.

    The threshold is the order statistic above them. None when n is too small for any.
    """
    if n < documents_needed(rate, confidence):
        return None
    low, high = 0, ceil(n * rate) + 1  # low is allowed, high is not: more than n * rate never is
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(middle, n, confidence) <= rate else (low, middle)
    return low


def holm(p_values: npt.ArrayLike, level: float = 0.05) -> npt.NDArray[np.bool_]:
    """bool[n]: which hypotheses are rejected with a family-wise error of at most `level` (Holm 1979)."""
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    small = values[order] <= level / (len(values) - np.arange(len(values)))
    rejected = np.zeros(len(values), np.bool_)
    rejected[order[: len(values) if small.all() else int(np.argmin(small))]] = True
    return rejected


def _beta_quantile(probability: float, a: Floats, b: Floats) -> Floats:
    """By Newton's method, held within a bracket that halves when a step would leave it."""
    low, high = np.zeros_like(a), np.ones_like(a)
    log_scale = _lgamma(a + b) - _lgamma(a) - _lgamma(b)
    x = a / (a + b)
    for _ in range(_STEPS):
        excess = _beta_cdf(x, a, b) - probability
        low, high = np.where(excess < 0, x, low), np.where(excess < 0, high, x)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            slope = np.exp(log_scale + (a - 1.0) * np.log(x) + (b - 1.0) * np.log1p(-x))
            step = x - excess / slope
        inside = np.isfinite(step) & (step > low) & (step < high)
        moved = np.where(inside, step, (low + high) / 2.0)
        if (np.abs(moved - x) <= _CLOSE * x).all():
            break
        x = moved
    return x


def _beta_cdf(x: Floats, a: Floats, b: Floats) -> Floats:
    """Regularised incomplete beta function, by its continued fraction (Lentz 1976) on the side where that is short."""
    swapped = x > (a + 1.0) / (a + b + 2.0)
    one, two = np.where(swapped, b, a), np.where(swapped, a, b)
    at = np.clip(np.where(swapped, 1.0 - x, x), _TINY, 1.0)
    with np.errstate(divide="ignore"):
        front = _lgamma(a + b) - _lgamma(a) - _lgamma(b) + one * np.log(at) + two * np.log1p(-at) - np.log(one)
    part = np.exp(front) * _continued_fraction(at, one, two)
    result: Floats = np.where(swapped, 1.0 - part, part)
    return result


def _continued_fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    c = np.ones_like(x)
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d.copy()
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1.0 / _away(1.0 + even * d), _away(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1.0 / _away(1.0 + odd * d), _away(1.0 + odd / c)
        value *= d * c
        if (np.abs(d * c - 1.0) < _CLOSE).all():
            break
    return value


def _away(values: Floats) -> Floats:
    """Values kept away from 0, by which they are divided."""
    return np.where(np.abs(values) < _TINY, _TINY, values)
