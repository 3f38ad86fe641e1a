"""Does the promised false-positive rate hold in a domain that calibration never saw? Each is left out once and judged.

A domain fails when its exact one-sided 95 % lower bound (Clopper and Pearson 1934), held against all domains at once
(Holm 1979), lies above twice the promised rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ai_text.reference_fit import Fitter, Labelled
from detectors.ai_text.tail import Tail
from detectors.binomial import at_least, holm, lower_bound, upper_bound

__all__ = ["RATES", "LeftOut", "LeftOutTest", "choose_deviations", "judged", "left_out_by", "left_out_test"]

RATES = (0.01, 0.001)
"""False-positive rates that `choose_deviations` makes hold."""

_TOLERATED = 2.0
_STEPS = 20
_LARGEST = 6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Human documents of one group, and the tail of a reference that never saw the group.

    Attributes:
        name: of the group.
        adjusted: float64[n], ascending adjusted margins of its human documents.
        tail: of all others.
    """

    name: str
    adjusted: Floats
    tail: Tail

    def hits(self, rate: float, deviations: float) -> int:
        """Documents with `p_human` at or below a rate."""
        return int((self.tail.p(self.adjusted, deviations) <= rate).sum())


@dataclass(frozen=True)
class LeftOutTest:
    """One group, tested.

    Attributes:
        name: of the group.
        n: human documents.
        hits: of them at or below the promised rate.
        low: one-sided 95 % lower bound of its false-positive rate.
        high: one-sided 95 % upper bound.
        failed: the rate is above twice the promised one, at 5 % for all groups together.
        small: too small to test: fewer than one hit is to be expected at twice the promised rate.
    """

    name: str
    n: int
    hits: int
    low: float
    high: float
    failed: bool
    small: bool


def left_out_by(fitter: Fitter, groups: npt.NDArray[np.str_]) -> tuple[LeftOut, ...]:
    """Leave out each group that has human documents: all its rows, of both classes.

    Args:
        fitter: of the labelled documents.
        groups: str[n], the group of each: its domain, language or source.
    """
    human = fitter.data.human
    found = []
    for name in np.unique(groups[human]):
        own = groups == name
        if own.all():
            continue
        fitted = fitter.fit(~own)
        found.append(LeftOut(str(name), np.sort(fitted.adjusted(fitter.data, own & human)), fitted.tail))
    return tuple(found)


def judged(groups: Sequence[LeftOut], rate: float, deviations: float) -> tuple[LeftOutTest, ...]:
    """Test every group at a promised rate, those with most evidence against the promise first."""
    n = np.array([len(group.adjusted) for group in groups])
    hits = np.array([group.hits(rate, deviations) for group in groups])
    small = n * _TOLERATED * rate < 1.0
    chance = at_least(hits, n, _TOLERATED * rate)
    failed = np.zeros(len(groups), np.bool_)
    failed[~small] = holm(chance[~small])
    low, high = lower_bound(hits, n), upper_bound(hits, n)
    return tuple(
        LeftOutTest(
            groups[i].name, int(n[i]), int(hits[i]), float(low[i]), float(high[i]), bool(failed[i]), bool(small[i])
        )
        for i in np.lexsort((n, chance))
    )


def choose_deviations(groups: Sequence[LeftOut], rates: Sequence[float] = RATES) -> float:
    """The least deviations of source means, in steps of 1/20 and 6 at most, at which no group fails at any rate."""
    for step in range(_LARGEST * _STEPS):
        if not any(test.failed for rate in rates for test in judged(groups, rate, step / _STEPS)):
            return step / _STEPS
    return float(_LARGEST)


def left_out_test(
    data: Labelled, groups: npt.NDArray[np.str_], rate: float, deviations: float
) -> tuple[LeftOutTest, ...]:
    """The whole test at once: `judged` of `left_out_by`."""
    return judged(left_out_by(Fitter(data), groups), rate, deviations)


def left_out_table(tests: Sequence[LeftOutTest], rate: float) -> list[str]:
    """The test as lines of Markdown, those that failed first; groups too small to test are named below."""
    lines = [
        f"| left out | human texts | at p <= {rate:g} | rate | one-sided 95 % bounds | over {_TOLERATED * rate:g} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for test in sorted((test for test in tests if not test.small), key=lambda test: not test.failed):
        verdict = "**yes**" if test.failed else "no"
        share = f"{test.hits / test.n:.4f} | {test.low:.4f}, {test.high:.4f}"
        lines.append(f"| {test.name} | {test.n} | {test.hits} | {share} | {verdict} |")
    small = [f"{test.name} ({test.n})" for test in tests if test.small]
    return [*lines, "", f"Too small to test: {', '.join(small)}."] if small else lines
