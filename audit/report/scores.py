"""Scores in a report: their distribution beside labelled text, thresholds at stated rates, what a filter leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.calibrate import SIGNAL
from audit.intervals import Estimate, Interval
from audit.mixture import Reference
from audit.report.content import Absent
from audit.report.content_scores import Scores, Threshold, Yield, YieldPoint
from detectors.ai_text.spread import BIN_ODDS

if TYPE_CHECKING:
    import polars as pl

    from audit.calibrate import Calibration
    from audit.prevalence import Prevalence
    from audit.score_cells import Cell
    from detectors.ai_text.reference import ErrorRate
    from detectors.ai_text.spread import Profiles

__all__ = ["RATES", "THRESHOLDS", "Flags", "score_section", "yield_section"]

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Rates at which the yield is worked out."""
THRESHOLDS = (0.05, 0.01, 0.001)
"""Rates that are marked in the distribution of scores."""
_FINE = np.arange(-10.0, 12.0, 0.05)
_OUTER = (0.1, 0.9)

Floats = npt.NDArray[np.float64]


class Flags:
    """What would be flagged at each rate: documents and words, and a fine histogram of scores. Adds up in any order."""

    def __init__(self, rates: Sequence[float] = RATES) -> None:
        self.rates = tuple(sorted(set(rates)))
        self.documents = np.zeros(len(self.rates) + 1, np.int64)
        self.words = np.zeros(len(self.rates) + 1, np.int64)
        self.all_words = 0
        self.fine = np.zeros(len(_FINE) + 1, np.int64)

    def add(self, frame: pl.DataFrame) -> None:
        """Take in one calibrated part that has `ai_text`."""
        import polars as pl

        fields = frame[SIGNAL].struct
        if "document" in frame.columns:
            words = frame["document"].struct.field("words").cast(pl.Int64).fill_null(0).to_numpy()
            self.all_words += int(words.sum())
        else:
            words = np.zeros(frame.height, np.int64)
        p = fields.field("p_human").cast(pl.Float64)
        known = p.is_not_null().to_numpy()
        # The smallest rate at which a document goes; the last place is for those that go at none.
        place = np.searchsorted(np.array(self.rates, np.float32), p.drop_nulls().to_numpy().astype(np.float32))
        self.documents += np.bincount(place, minlength=len(self.documents))
        self.words += np.bincount(place, words[known], len(self.words)).astype(np.int64)
        score = np.clip(fields.field("score").drop_nulls().to_numpy().astype(np.float64), 1e-9, 1 - 1e-9)
        self.fine += np.bincount(np.searchsorted(_FINE, np.log(score / (1 - score))), minlength=len(self.fine))

    def flagged(self, rate: float) -> tuple[int, int]:
        """Documents and words at or below a rate, which must be one of `rates`."""
        last = self.rates.index(rate) + 1
        return int(self.documents[:last].sum()), int(self.words[:last].sum())

    def score_above(self, documents: int) -> float | None:
        """The score above which so many documents lie; None for none."""
        if not documents:
            return None
        above = np.cumsum(self.fine[::-1])
        at = len(self.fine) - 1 - int(np.searchsorted(above, documents))
        return float(1 / (1 + np.exp(-_FINE[min(max(at - 1, 0), len(_FINE) - 1)])))


def score_section(cell: Cell, flags: Flags, profiles: Profiles | None, tables: Calibration) -> Scores | Absent:
    """The distribution of scores beside those of labelled text.

    Args:
        cell: of the whole corpus.
        flags: of it, with `THRESHOLDS` among its rates.
        profiles: histograms of labelled sources; None where they are not known.
        tables: the calibration.
    """
    n = int(cell.documents.sum())
    if profiles is None:
        return Absent("The scores of this detector in labelled text are not known, so there is nothing to lay beside.")
    if not n:
        return Absent("No document had a score that can be compared: all were too short, or unlike the reference.")
    reference = Reference.of(profiles)
    low, high = np.quantile(reference.human.shapes, _OUTER, axis=0)
    return Scores(
        centres=_bins(BIN_ODDS),
        n=n,
        judged=int(flags.documents.sum()),
        corpus=_bins(cell.documents / n),
        human=_bins(reference.human.shapes.mean(axis=0)),
        human_low=_bins(low),
        human_high=_bins(high),
        machine=_bins(reference.machine.shapes.mean(axis=0)),
        sources=(len(reference.human.sources), len(reference.machine.sources)),
        thresholds=tuple(_threshold(rate, flags, tables.error_rates(rate)) for rate in THRESHOLDS),
    )


def _bins(values: npt.NDArray[np.generic]) -> tuple[float, ...]:
    return tuple(float(value) for value in values.tolist())


def _threshold(rate: float, flags: Flags, known: Iterable[ErrorRate]) -> Threshold:
    trials = list(known)
    human, human_n = _pooled([one for one in trials if one.kind == "human"])
    machine, machine_n = _pooled([one for one in trials if one.kind != "human"])
    flagged = flags.flagged(rate)[0]
    return Threshold(rate, flags.score_above(flagged), flagged, human, human_n, machine, machine_n)


def _pooled(trials: Sequence[ErrorRate]) -> tuple[float | None, int]:
    n = sum(one.n for one in trials)
    return (sum(one.hits for one in trials) / n if n else None), n


def yield_section(
    flags: Flags, words: Prevalence | Estimate | None, tables: Calibration, *, rate: float | None
) -> Yield | Absent:
    """What is left when documents at or below a rate go.

    The machine words that go are those flagged less the human words flagged by mistake, F - (1 - share) * FPR, so
    (share - F + (1 - share) * FPR) / (1 - F) of what is kept is left. Beside the share that depends on nothing but the
    false-positive rate in labelled text (`error_rates`). The interval takes both ends of the share's, and the tenth and
    ninetieth percentile of the rate over labelled sources.

    Args:
        flags: of the corpus.
        words: the estimated share of machine-written words.
        tables: the calibration.
        rate: at which FX101 flags; None where it flags by something else.
    """
    if not flags.all_words:
        return Absent("Words were not counted. Scan with --signals document,ai_text to see what a filter would keep.")
    if words is None or words.share is None or words.interval is None:
        return Absent("There is no estimate of the share of machine-written words, so what a filter leaves is unknown.")
    points = [YieldPoint(0.0, 1.0, words.share, words.interval, 0.0)]
    there = np.array([words.interval.low, words.share, words.interval.high])
    for at in flags.rates:
        gone = flags.flagged(at)[1] / flags.all_words
        trials = [one for one in tables.error_rates(at) if one.kind == "human" and one.n]
        shares = np.array([one.hits / one.n for one in trials] or [at])
        pooled = _pooled(trials)[0]
        middle = at if pooled is None else pooled
        low, high = (float(end) for end in np.quantile(shares, _OUTER))
        shares_of = ((words.interval.low, low), (words.share, middle), (words.interval.high, high))
        left = np.array([share - gone + (1 - share) * mistaken for share, mistaken in shares_of])
        # A stricter filter never brings machine text back, whatever the labelled rates say of it.
        there = np.minimum(there, np.clip(left, 0.0, 1.0 - gone))
        ends = sorted((there / (1 - gone)).tolist()) if gone < 1 else [0.0, 0.0, 0.0]
        points.append(YieldPoint(at, 1 - gone, ends[1], Interval(ends[0], ends[2]), middle))
    return Yield(flags.all_words, rate, tuple(points))
