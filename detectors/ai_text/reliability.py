"""Are scores probabilities? Expected calibration error and reliability by group, at the prior that the score states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ai_text.adjustment import effective

__all__ = ["LENGTHS", "Bin", "Reliability", "length_names", "reliability"]

LENGTHS = (500, 1000, 2000)
"""Edges of length buckets, in effective characters."""

_BINS = 10
_MIN_CLASS = 30

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Bin:
    """Documents whose score lies in a tenth of 0 to 1.

    Attributes:
        n: documents.
        score: their mean score.
        share: of machine text among them, if `prior` of all text were machine text.
    """

    n: int
    score: float
    share: float


@dataclass(frozen=True)
class Reliability:
    """How well scores of one group fit.

    Attributes:
        group: its name.
        n_human: human documents.
        n_ai: machine documents.
        error: expected calibration error: mean over documents of |score - share| of their bin (Naeini et al. 2015).
        bins: those that are not empty, by score.
    """

    group: str
    n_human: int
    n_ai: int
    error: float
    bins: tuple[Bin, ...]


def length_names(length: npt.ArrayLike, language: Names) -> Names:
    """str[n]: the length bucket of each document, such as `500-1000`."""
    edges = [0, *LENGTHS]
    names = [f"{low}-{high}" for low, high in zip(edges, LENGTHS, strict=False)] + [f"{LENGTHS[-1]}+"]
    found: Names = np.array(names)[np.searchsorted(LENGTHS, effective(length, language), side="right")]
    return found


def reliability(score: Floats, label: npt.NDArray[np.int64], group: Names, *, prior: float) -> tuple[Reliability, ...]:
    """Reliability of each group with at least 30 documents of each class, by name.

    Args:
        score: float[n], NaN where a document was not judged; such documents are left out.
        label: int64[n], 1 for machine text.
        group: str[n], such as the language of each, or `en 500-1000`.
        prior: share of machine text at which `score` is a probability. Classes are weighted to it.
    """
    found = []
    for name in np.unique(group):
        rows = (group == name) & ~np.isnan(score)
        n_ai = int(label[rows].sum())
        n_human = int(rows.sum()) - n_ai
        if min(n_ai, n_human) >= _MIN_CLASS:
            weight = np.where(label[rows] == 1, prior / n_ai, (1.0 - prior) / n_human)
            bins, error = _bins(np.asarray(score[rows], np.float64), label[rows], weight)
            found.append(Reliability(str(name), n_human, n_ai, error, bins))
    return tuple(found)


def _bins(score: Floats, label: npt.NDArray[np.int64], weight: Floats) -> tuple[tuple[Bin, ...], float]:
    place = np.minimum((score * _BINS).astype(np.int64), _BINS - 1)
    total = np.bincount(place, weight, _BINS)
    counts = np.bincount(place, minlength=_BINS)
    scores, shares = np.bincount(place, weight * score, _BINS), np.bincount(place, weight * label, _BINS)
    used = np.flatnonzero(counts)
    bins = tuple(Bin(int(counts[k]), float(scores[k] / total[k]), float(shares[k] / total[k])) for k in used)
    return bins, float(np.abs(scores - shares).sum())
