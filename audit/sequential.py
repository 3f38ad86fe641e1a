"""An interval for a share that holds at every moment of a sample of unequal clusters, so that looking may stop at will.

A corpus of `rows` rows is a finite population of units, runs of rows. Units are drawn one after another without
replacement, each with a chance in proportion to its rows. Of a unit with `n` rows, `x` of them judged by a rule and `y`
hit, the score against a candidate share `m` is `w = (y - m x) / n`, which lies in [-m, 1 - m] whatever the size of the
unit. Where the share of the whole corpus is `m`, the scores of all units weighted by rows come to 0; so, given what
was drawn before, the expected score of the next unit is minus the sum of `y - m x` so far over the rows not drawn yet.
That makes the capital of a gambler who bets on `w` against that expectation a martingale, which by Ville's inequality
reaches 1 / error with a chance of at most `error`, ever. A share at which it has is ruled out.

Sources: Waudby-Smith and Ramdas 2024, J. R. Stat. Soc. B 86:1 (betting, sampling without replacement, the bets of
their `aGRAPA`); Shekhar, Xu, Lipton, Liang and Ramdas 2023, UAI (arXiv:2305.06884: unequal chances of being drawn).
"""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING

from audit.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["ShareSequence"]

_CAPS = (0.5, 0.95)
_TINY = 1e-12
_ROUNDING = 1e-6


class ShareSequence:
    """Bounds of one share (hits of judged rows) in a corpus, after each unit that was drawn.

    Each side of the interval is wrong, ever, with a chance of at most `error`: the bounds of all moments hold together.
    Shares are tried on a grid; a bound is a tried share up to which (from which) every one is ruled out, so that the
    grid makes the interval wider and never wrong.
    """

    def __init__(self, rows: int, *, budget: float, error: float) -> None:
        """Nothing drawn yet.

        Args:
            rows: of all units together.
            budget: a share that must be on the grid, for it will be decided by.
            error: chance that a bound is ever wrong, each side for itself.
        """
        import numpy as np

        self._left = rows
        self._needed = log(1.0 / error)
        fine, coarse = np.geomspace(1e-5, 0.02, 60), np.linspace(0.02, 0.98, 97)
        self._budget = min(max(budget, 0.0), 1.0)
        self._grid: Floats = np.unique(np.concatenate([fine, coarse, 1.0 - fine, [self._budget]]))
        self._at = int(np.searchsorted(self._grid, self._budget))
        size = len(self._grid)
        self._capital = np.zeros((2, len(_CAPS), size))
        self._refuted = np.zeros((2, size), np.bool_)
        self._hits = self._judged = 0
        self._units = 0
        self._moments = np.zeros(5)
        self._grown = np.zeros(2)

    def update(self, rows: int, judged: int, hits: int) -> None:
        """Take in the next unit: its rows, those of them that the rule is defined on, those hit."""
        import numpy as np

        grid = self._grid
        expected = -(self._hits - grid * self._judged) / self._left
        score = (hits - grid * judged) / rows
        mean, variance = self._forecast()
        for side, sign in enumerate((1.0, -1.0)):
            # The least that a bet may meet: a unit without hits for "more than m", a unit all hit for "less than m".
            floor = grid + expected if side == 0 else 1.0 - grid - expected
            edge = sign * (mean - expected)
            bet = np.maximum(0.0, edge) / np.maximum(variance + edge * edge, _TINY)
            for place, cap in enumerate(_CAPS):
                size = np.minimum(bet, cap / np.maximum(floor, _TINY)) * (floor > _TINY)
                self._capital[side, place] += np.log1p(np.maximum(size * sign * (score - expected), -1 + _TINY))
        share, part = hits / rows, judged / rows
        self._moments += (share, part, share * share, share * part, part * part)
        self._hits, self._judged, self._left = self._hits + hits, self._judged + judged, self._left - rows
        self._units += 1
        top = self._capital.max(axis=1)
        mixed = top + np.log(np.exp(self._capital - top[:, None]).mean(axis=1))
        self._refuted |= mixed >= self._needed
        # What no row that is left could bring about: fewer hits than were seen, or fewer misses.
        most = grid * (self._judged + self._left)
        self._refuted |= np.stack([self._hits - most, most - self._hits - self._left]) > _ROUNDING
        self._grown = mixed[:, self._at]

    def _forecast(self) -> tuple[Floats, Floats]:
        """Mean and variance of scores so far at each share, with one made-up unit that is as the share says."""
        share, part, share_2, both, part_2 = self._moments
        grid, n = self._grid, self._units + 1
        mean = (share - grid * part) / n
        square = share_2 - 2 * grid * both + grid * grid * part_2 + grid * (1 - grid) / 4
        return mean, square / n - mean * mean

    @property
    def interval(self) -> Interval:
        """The interval now; a point once everything was drawn, 0 to 1 where nothing is judged."""
        if self._left <= 0:
            share = self._hits / self._judged if self._judged else None
            return Interval(0.0, 1.0) if share is None else Interval(share, share)
        more, less = self._refuted
        low = 0.0 if not more[0] else float(self._grid[(~more).argmax() - 1] if not more.all() else 1.0)
        high = 1.0 if not less[-1] else float(self._grid[len(less) - (~less[::-1]).argmax()] if not less.all() else 0.0)
        return Interval(min(low, high), max(low, high))

    @property
    def is_above(self) -> bool:
        """Whether the share is shown to be above the budget: that share, and every one below it, is ruled out."""
        if self._left <= 0:
            return self._judged > 0 and self._hits / self._judged > self._budget
        return bool(self._refuted[0, : self._at + 1].all())

    @property
    def is_within(self) -> bool:
        """Whether the share is shown not to be above the budget."""
        if self._left <= 0:
            return self._judged > 0 and not self.is_above
        return bool(self._refuted[1, self._at :].all())

    @property
    def units_to_go(self) -> float:
        """About how many more units until the interval clears the budget: without hits, or hit as they were so far.

        A guess at when it is better to stop; what the interval says does not rest on it.
        """
        above, below = self._needed - self._grown
        pace = float(self._grown[0]) / max(self._units, 1)
        clean = log(1.0 + _CAPS[-1] * self._budget)
        return min(float(above) / pace if pace > _TINY else inf, float(below) / clean if clean > _TINY else inf)
