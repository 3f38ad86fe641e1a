"""Differences between arms of a trial: paired by item, over seeds and items, and corrected for looking at several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Contrast", "contrast", "corrected", "seed_interval"]

Floats = npt.NDArray[np.float64]
_REPEATS = 2000
_AT_ONCE = 2_000_000
_T95 = (
    math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip
"""Two-sided 95 % points of Student's t, by degrees of freedom up to 29."""


@dataclass(frozen=True)
class Contrast:
    """How much one arm is above another.

    Attributes:
        name: of the contrast.
        metric: what is compared.
        difference: mean over seeds and items.
        low: of the 95 % interval.
        high: of it.
        p: two-sided, that there is no difference: the larger of the bootstrap's, which is not smaller than
            2 / (repeats + 1), and, over two seeds or more, that of Student's t over seeds.
        seeds: compared.
        items: of each seed, the fewest.
        p_corrected: after `corrected`; None before.
    """

    name: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    seeds: int
    items: int
    p_corrected: float | None = None


def contrast(
    name: str, metric: str, pairs: Sequence[tuple[Floats, Floats]], *, shared: bool = False, seed: int = 17
) -> Contrast:
    """Paired hierarchical bootstrap: seeds are drawn, and items within each (2,000 times, percentile interval).

    The interval is at least as wide as `seed_interval`, because few seeds drawn from themselves vary too little; and p
    at least that of Student's t, because few seeds of one sign never change it when they are drawn again.

    Args:
        name: of the contrast.
        metric: what is compared.
        pairs: for each seed float64[n], float64[n]: the values of the same items in both arms; NaN where undefined.
        shared: whether all seeds have the same items, in the same order. What an item does to all of them is then no
            noise that seeds average out: the items that are drawn are drawn for all.
        seed: of the draws.
    """
    differences = [one - other for one, other in pairs]
    differences = [found for found in differences if not np.isnan(found).all()]
    if not differences:
        return Contrast(name, metric, math.nan, math.nan, math.nan, 1.0, 0, 0)
    draw = np.random.default_rng(seed)
    by_seed = np.array([np.nanmean(found) for found in differences])
    mean = float(by_seed.mean())
    means = _common(differences, draw) if shared else _apart(differences, draw)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    t_low, t_high = seed_interval(by_seed)
    if not math.isnan(t_low):
        low, high = min(low, t_low), max(high, t_high)
    below = (1 + min(int((means <= 0).sum()), int((means >= 0).sum()))) / (_REPEATS + 1)
    p = max(min(1.0, 2 * below), _of_student(by_seed))
    if low <= 0 <= high:
        p = max(p, 0.05)
    items = min(int((~np.isnan(found)).sum()) for found in differences)
    return Contrast(name, metric, mean, low, high, p, len(differences), items)


def _apart(differences: Sequence[Floats], draw: np.random.Generator) -> Floats:
    """float64[repeats]: means over drawn seeds, each with items of its own."""
    # A seed that is drawn twice has other items each time: column 31 s of its resampled means for the s-th draw.
    table = np.stack([_resampled(found[~np.isnan(found)][None], draw)[0] for found in differences])
    chosen = draw.integers(0, len(differences), (_REPEATS, len(differences)))
    column = (np.arange(_REPEATS)[:, None] + 31 * np.arange(len(differences))) % _REPEATS
    return np.asarray(table[chosen, column].mean(1))


def _common(differences: Sequence[Floats], draw: np.random.Generator) -> Floats:
    """float64[repeats]: means over drawn seeds, all with the same drawn items."""
    table = _resampled(np.stack(differences), draw)
    chosen = draw.integers(0, len(differences), (_REPEATS, len(differences)))
    return np.asarray(table[chosen, np.arange(_REPEATS)[:, None]].mean(1))


def _resampled(values: Floats, draw: np.random.Generator) -> Floats:
    """float64[seeds, repeats]: means of items drawn with replacement, undefined ones left out; values [seeds, n]."""
    known = ~np.isnan(values)
    filled, size = np.where(known, values, 0.0), values.shape[1]
    fallback = filled.sum(1) / known.sum(1)
    each = max(1, _AT_ONCE // values.size)
    parts = []
    for start in range(0, _REPEATS, each):
        items = draw.integers(0, size, (min(each, _REPEATS - start), size))
        count = known[:, items].sum(2)
        mean = filled[:, items].sum(2) / np.maximum(count, 1)
        parts.append(np.where(count > 0, mean, fallback[:, None]))
    return np.concatenate(parts, 1)


def _of_student(values: Floats) -> float:
    """Two-sided p of a mean of 0, of values by seed; 0 for a single seed (Abramowitz and Stegun 1964, 26.7.3-4)."""
    freedom = len(values) - 1
    if freedom < 1:
        return 0.0
    deviation = float(values.std(ddof=1))
    if not deviation:
        return 0.0 if values.mean() else 1.0
    angle = math.atan(abs(float(values.mean())) / deviation * math.sqrt(len(values) / freedom))
    odd = freedom % 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for power in range(1 + odd, freedom, 2):
        total += term
        term *= power / (power + 1) * math.cos(angle) ** 2
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return min(1.0, max(0.0, 1 - inside))


def seed_interval(values: Floats) -> tuple[float, float]:
    """95 % interval of the mean of values by seed, by Student's t; NaN for a single seed."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    half = (_T95[n - 1] if n <= len(_T95) else 1.96 + 2.4 / (n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    mean = float(values.mean())
    return mean - half, mean + half


def corrected(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts with p values of Holm (1979), over all of them, in the order given."""
    from dataclasses import replace

    order = sorted(range(len(contrasts)), key=lambda at: contrasts[at].p)
    found = list(contrasts)
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, contrasts[at].p * (len(contrasts) - rank)))
        found[at] = replace(contrasts[at], p_corrected=highest)
    return found
