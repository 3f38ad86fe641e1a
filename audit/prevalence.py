"""The share of machine-written text, with a 95 % interval that says what is not known.

Shares are estimated from whole histograms of scores (`audit.mixture`), not from counts above a threshold: how far
labelled sources, and the generators in them, differ from each other is what makes the interval wide, and a histogram
says how much of that the corpus averages out. Where the authors of a random sample are known, they decide
(`audit.two_phase`). The share at one threshold (`audit.rogan_gladen`) and the EM of Saerens et al. on the scores
themselves are given beside it: methods that disagree by more than the interval mean that the reference does not fit.

What widens the interval is said in `reasons`: documents unlike anything in the reference may be either, all of them;
a corpus that fits no mix of labelled sources may be wrong by a share that would explain all of the misfit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil, exp, sqrt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.intervals import Estimate, Interval, wilson
from audit.mixture import Mixing, Reference, Sampling, likeliest_share, misfit, posterior
from audit.source_match import matched
from audit.two_phase import LEAST_LABELS, is_random_sample, two_phase
from detectors.ai_text.spread import BIN_ODDS

if TYPE_CHECKING:
    from audit.score_cells import Cell, ScoreCells
    from detectors.ai_text.spread import Profiles

__all__ = [
    "DRAWS", "Estimate", "Interval", "Opinion", "Prevalence", "Shares", "estimated", "prevalence", "saerens", "wilson",
]  # fmt: skip

MIXTURE, TWO_PHASE, SAERENS = "mixture of score distributions", "two-phase with labels", "EM on scores (Saerens)"
DRAWS, _COARSE_DRAWS = 2000, 600
_LEAST_GROUP = 30
_SIZES = (_LEAST_GROUP, 100, 300, 1000, 3000, 10_000, 100_000)
_ODD = 0.01
_WIDE = 0.1
_MANY_OUTSIDE = 0.01
_ONE = (1,)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Opinion:
    """The same share by another method."""

    method: str
    share: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Prevalence:
    """A share of machine-written text.

    Attributes:
        share: point estimate, 0 to 1; None when there is none.
        interval: 95 % interval; None exactly when `share` is.
        n: documents that the detector judged.
        labelled: of them with a label that was used.
        method: how it was estimated.
        second_opinions: the same share by other methods.
        reasons: why there is no estimate, or what widened the interval, in words.
    """

    share: float | None
    interval: Interval | None
    n: int
    labelled: int = 0
    method: str = MIXTURE
    second_opinions: tuple[Opinion, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shares:
    """The share of machine-written text in a corpus, and in its parts.

    Attributes:
        documents: share of documents.
        words: share of words.
        groups: "source", "language", "domain" or "time" to its groups, each with its share of documents.
    """

    documents: Prevalence
    words: Prevalence
    groups: Mapping[str, Mapping[str, Prevalence]]


def prevalence(cells: ScoreCells, profiles: Profiles, *, seed: int) -> Shares:
    """Estimate the share of machine-written text.

    Args:
        cells: histograms of the corpus.
        profiles: histograms of labelled sources, by tables and models that never saw them.
        seed: of the draws.

    Returns:
        Shares by documents and by words, and by source, language, domain and month. A source of the corpus that the
        profiles name is held against its own histograms; in every other, human and machine text are taken to be like
        those of labelled sources picked at random, of one where a single source is concerned, of an unknown number
        where several are.
    """
    estimator = _Estimator(Reference.of(profiles), seed)
    if not estimator.usable:
        nothing = Prevalence(None, None, cells.total.n, reasons=("the detector was measured on no labelled source",))
        return Shares(nothing, nothing, {})
    sources = cells.groups("source")
    mixing = matched(estimator.reference, {name: cell.documents for name, cell in sources.items()}, seed=seed)
    groups = {
        "source": {name: estimator.source(name, cell) for name, cell in sources.items()},
        **{kind: estimator.groups(cells.groups(kind)) for kind in ("language", "domain", "time")},
    }
    total = cells.total
    return Shares(estimator.corpus(total, mixing), estimator.words(total, mixing), groups)


@dataclass(frozen=True)
class _Estimator:
    reference: Reference
    seed: int
    _drawn: dict[tuple[tuple[int, ...], int], Sampling] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return bool(self.reference.human.sources and self.reference.machine.sources)

    def corpus(self, cell: Cell, mixing: tuple[Mixing, Mixing]) -> Prevalence:
        """By documents, with second opinions."""
        n = int(cell.documents.sum())
        found = self._documents(cell, mixing, self._draw(mixing, n, DRAWS))
        return replace(found, second_opinions=(*found.second_opinions, Opinion(SAERENS, saerens(cell.documents), None)))

    def words(self, cell: Cell, mixing: tuple[Mixing, Mixing]) -> Prevalence:
        """By words; windows of long documents count by themselves."""
        found = estimated(self.reference, cell.words, mixing, self._draw(mixing, cell.words_size, DRAWS))
        whole = float(cell.words.sum()) + cell.outside_words
        return replace(_with_outside(found, cell.outside_words, whole), n=cell.n)

    def source(self, name: str, cell: Cell) -> Prevalence:
        """One source: its text is like that of one labelled source, its own where it has a reference."""
        one = np.ones((1, 1))
        human = Mixing.by_name(self.reference.human, [name], one, _ONE)
        return self._group(cell, (human, Mixing.by_name(self.reference.machine, [name], one, _ONE)))

    def groups(self, cells: Mapping[str, Cell]) -> dict[str, Prevalence]:
        """Groups of documents, each from an unknown number of sources."""
        return {name: self._group(cell, (Mixing(), Mixing())) for name, cell in cells.items()}

    def _group(self, cell: Cell, mixing: tuple[Mixing, Mixing]) -> Prevalence:
        n = int(cell.documents.sum())
        if n < _LEAST_GROUP:
            return Prevalence(None, None, cell.n, reasons=(f"fewer than {_LEAST_GROUP} documents could be scored",))
        if any(mix.weight > 0 for mix in mixing):
            return self._documents(cell, mixing, self._draw(mixing, n, _COARSE_DRAWS))
        # Groups of like size share their draws; those of the smaller size are the wider ones.
        key = mixing[0].levels, max(size for size in _SIZES if size <= n)
        if key not in self._drawn:
            self._drawn[key] = self._draw(mixing, key[1], _COARSE_DRAWS)
        return self._documents(cell, mixing, self._drawn[key])

    def _draw(self, mixing: tuple[Mixing, Mixing], n: float, draws: int) -> Sampling:
        return Sampling.draw(self.reference, mixing, n, seed=self.seed, draws=draws)

    def _documents(self, cell: Cell, mixing: tuple[Mixing, Mixing], sampling: Sampling) -> Prevalence:
        """By documents: from labels where they are enough and a random sample, else from the scores alone."""
        scored = estimated(self.reference, cell.documents, mixing, sampling)
        shown = replace(_with_outside(scored, cell.outside, cell.n), n=cell.n)
        labelled = int(cell.labelled.sum())
        if scored.share is None or labelled < LEAST_LABELS:
            return replace(shown, reasons=(*shown.reasons, *_advice(shown)))
        if not is_random_sample(cell.documents, cell.labelled):
            reason = f"{labelled:,} labels were not used: their scores are not those of a random sample of documents"
            return replace(shown, reasons=(*shown.reasons, reason, *_advice(shown)))
        human, machine = mixing[0].mean(self.reference.human), mixing[1].mean(self.reference.machine)
        # A share of 0 would make every score 0, which says nothing.
        probability = posterior(min(max(scored.share, 0.01), 0.99), human, machine)
        share, interval = two_phase(cell.documents, cell.labelled, probability)
        other = Opinion(MIXTURE, shown.share, shown.interval)
        found = Prevalence(share, interval, cell.n, labelled, TWO_PHASE, (other,))
        return _with_outside(found, cell.outside, cell.n)


_NOTHING = "no document could be scored"


def estimated(
    reference: Reference, counts: npt.NDArray[np.generic], mixing: tuple[Mixing, Mixing], sampling: Sampling
) -> Prevalence:
    """The share from a histogram of scores alone.

    Args:
        reference: labelled sources.
        counts: number[BINS], documents or words.
        mixing: what is known of the human and the machine text.
        sampling: drawn with the same, at the size of `counts`.
    """
    if counts.sum() <= 0:
        return Prevalence(None, None, 0, reasons=(_NOTHING,))
    human, machine = mixing[0].mean(reference.human), mixing[1].mean(reference.machine)
    observed = (counts / counts.sum())[None]
    share = likeliest_share(observed, human[None], machine[None])
    distance = float(misfit(observed, share, human[None], machine[None])[0])
    several = any(len(mix.levels) > 1 and mix.weight < 1 for mix in mixing)
    low, high = sampling.interval(float(share[0]), distance if several else None)
    reasons = []
    if sampling.oddity(distance) < _ODD:
        # As if all of the misfit came from a share that is wrong by so much.
        apart = float(((machine - human) ** 2 / (human + share[0] * (machine - human))).sum())
        wrong = sqrt(exp(distance) / apart)
        low, high = min(low, float(share[0]) - wrong), max(high, float(share[0]) + wrong)
        reasons.append("the scores fit no mix of the labelled sources, so the interval is widened")
    interval = Interval(max(0.0, float(low)), min(1.0, float(high)))
    return Prevalence(float(share[0]), interval, int(counts.sum()), reasons=tuple(reasons))


def _with_outside(found: Prevalence, outside: float, whole: float) -> Prevalence:
    """The estimate over all scored documents: those unlike anything in the reference may be either."""
    if outside <= 0 or whole <= 0:
        return found
    rest = outside / whole
    share = f"{100 * rest:.0f} %" if rest >= 0.1 else f"{100 * rest:.2g} %"
    if found.share is None or found.interval is None:
        return replace(found, reasons=(f"{share} of it is unlike anything that the reference knows",))
    interval = Interval((1.0 - rest) * found.interval.low, min(1.0, (1.0 - rest) * found.interval.high + rest))
    reasons = found.reasons
    if rest >= _MANY_OUTSIDE:
        reasons = (*reasons, f"{share} of it is unlike anything that the reference knows and may be either")
    return replace(found, interval=interval, reasons=reasons)


def _advice(found: Prevalence) -> tuple[str, ...]:
    if found.share is None or found.interval is None or found.interval.high - found.interval.low <= _WIDE:
        return ()
    middle = min(0.5, max(found.share, 0.1))
    labels = ceil(middle * (1.0 - middle) * (2 * 1.96 / _WIDE) ** 2 / 50) * 50
    return (f"about {labels} labels of random documents would narrow it to {100 * _WIDE:.0f} points",)


def saerens(counts: npt.NDArray[np.generic]) -> float | None:
    """EM on the scores as they are, which are probabilities at even odds; None without a document."""
    if counts.sum() <= 0:
        return None
    odds, weights, share = np.exp(BIN_ODDS), counts / counts.sum(), 0.5
    for _ in range(1000):
        step = float(weights @ (share * odds / (share * odds + 1.0 - share)))
        if abs(step - share) < 1e-7:
            break
        share = step
    return share
