"""A share corrected at one threshold: what was flagged, given how often the detector errs on labelled sources.

The corrected share is that of Rogan and Gladen (1978, Am. J. Epidemiol. 107:71): (observed - fpr) / (tpr - fpr), with
mean rates over labelled sources. Its interval is drawn by Monte Carlo from three uncertainties: the observed rate (a
binomial with Jeffreys' prior), the error rates within each labelled source (binomial too), and their spread between
sources. The corpus at hand is taken to be like one more such source, whose error rates nobody has measured: each draw
takes those of one labelled human source and of one labelled machine source, or of a machine source unlike all of them.

An observed rate that no mix of a draw's two error rates gives is treated by its side. At or below the false alarms it
counts as share 0: the flags are no more than false alarms, and leaving such draws out would cry wolf. Above both rates
the draw is left out: its detector cannot have flagged that much, and counting it as share 1 would turn a detector that
misses much into certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.intervals import Estimate, Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["DRAWS", "ErrorRates", "Trial", "estimate"]

DRAWS = 20_000
_MIN_DRAWS = 40
_LEAST_RATE = 0.001
_MIN_SEPARATION = 0.05


@dataclass(frozen=True)
class Trial:
    """How often the detector flagged the documents of one labelled source: `hits` of `n`."""

    source: str
    n: int
    hits: int


@dataclass(frozen=True)
class ErrorRates:
    """What is known of the detector's errors at one threshold.

    Attributes:
        human: sources written by people; hits are false alarms.
        machine: sources written by models; hits are found.
    """

    human: tuple[Trial, ...]
    machine: tuple[Trial, ...]


def estimate(
    observed: float,
    effective_n: float,
    n: int,
    rates: ErrorRates,
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Estimate:
    """Correct an observed share for the detector's errors.

    Args:
        observed: share flagged, by documents or by words.
        effective_n: sample size behind it: documents, or `(sum w)**2 / sum w**2` by words.
        n: documents measured, carried along.
        rates: the detector's errors on labelled sources.
        seed: of the draws.
        draws: how many make the interval.
        level: of the interval, 0 to 1.

    Returns:
        The estimate, or the reason that there is none: nothing measured, or nothing known about the errors.
    """
    if n <= 0 or effective_n <= 0:
        return Estimate(None, None, 0, None, "no document could be scored")
    if not _informative(rates.human) or not _informative(rates.machine):
        return Estimate(None, None, n, observed, "the detector's errors were measured on no labelled source")
    import numpy as np

    fpr, tpr = _mean_rate(rates.human), _mean_rate(rates.machine)
    if tpr - fpr < _MIN_SEPARATION:
        reason = f"the detector does not tell the classes apart here (finds {tpr:.2f}, false alarms {fpr:.2f})"
        return Estimate(None, None, n, observed, reason)
    share = min(1.0, max(0.0, (observed - fpr) / (tpr - fpr)))
    low, high = _interval(observed, effective_n, rates, np.random.default_rng(seed), draws, level)
    return Estimate(share, Interval(min(low, share), max(high, share)), n, observed)


def _informative(trials: Sequence[Trial]) -> bool:
    return any(trial.n > 0 for trial in trials)


def _mean_rate(trials: Sequence[Trial]) -> float:
    """Mean over sources, each counting alike: the expected rate in a source that was not measured."""
    rates = [trial.hits / trial.n for trial in trials if trial.n > 0]
    return sum(rates) / len(rates)


def _interval(
    observed: float, size: float, rates: ErrorRates, random: np.random.Generator, draws: int, level: float
) -> tuple[float, float]:
    import numpy as np

    rate = random.beta(observed * size + 0.5, (1 - observed) * size + 0.5, draws)
    fpr, tpr = _draw(rates.human, random, draws), _draw(rates.machine, random, draws, unseen=True)
    apart = tpr - fpr >= _MIN_SEPARATION
    share = np.clip((rate - fpr) / np.where(apart, tpr - fpr, 1.0), 0.0, 1.0)
    # Error rates under which a flag tells nothing leave every share possible.
    share = np.where(apart, share, random.random(draws))
    possible = rate <= np.maximum(fpr, tpr)
    low, high = np.quantile(
        share[possible] if possible.sum() >= _MIN_DRAWS else share[apart], (0.5 - level / 2, 0.5 + level / 2)
    )
    return float(low), float(high)


def _draw(
    trials: Sequence[Trial], random: np.random.Generator, draws: int, *, unseen: bool = False
) -> npt.NDArray[np.float64]:
    """Error rates of a source like these: one of them at random, and its own rate within what its counts allow.

    A source's rate has a beta prior worth one document at the mean of sources, so that small sources are not taken for
    wild ones. With `unseen`, one source more is drawn from, whose rate may be anything (Jeffreys' prior).
    """
    import numpy as np

    usable = sorted((trial for trial in trials if trial.n > 0), key=lambda trial: trial.source)
    mean = min(max(_mean_rate(usable), _LEAST_RATE), 1 - _LEAST_RATE)
    hits = [trial.hits + mean for trial in usable] + [0.5] * unseen
    misses = [trial.n - trial.hits + 1 - mean for trial in usable] + [0.5] * unseen
    which = random.integers(len(hits), size=draws)
    return random.beta(np.array(hits)[which], np.array(misses)[which])
