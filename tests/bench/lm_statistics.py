"""What a language model's surprise at a text comes to, as numbers a small head can learn from, and such heads.

Everything here is of one window: `Scores` of t tokens give a fixed number of statistics, named in `STATISTICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from detectors.ai_text.zero_shot import METHODS
from detectors.language_model import Scores

__all__ = ["STATISTICS", "STRENGTHS", "Head", "balanced", "joined", "left_out_scores", "linear", "statistics", "trees"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]
Head = Callable[[Floats, Integers, Floats, Names], Callable[[Floats], Floats]]
"""Takes columns, labels, weights and groups; gives a function from columns to scores, higher is more machine-like."""

_ZERO_SHOT = ("likelihood", "log-rank", "lrr", "fast-detectgpt")
_RANKS = (1, 10, 100, 1000)
_QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_BLOCK = 16
_SURE, _SHOCK = 0.1, 8.0
_LEAST_VARIANCE = 1e-6

STATISTICS = (
    *_ZERO_SHOT,
    "curvature a token",
    "mean entropy",
    "spread of entropy",
    "lag-1 correlation of entropy",
    "spread of surprisal",
    "lag-1 correlation of surprisal",
    "correlation of surprisal and entropy",
    "mean step of surprisal",
    "spread of surprisal between blocks",
    "surprisal of the first half less that of the second",
    "mean variance",
    "mean standard score",
    "spread of standard scores",
    "standard score, 1 % quantile",
    "standard score, 5 % quantile",
    "standard score, 25 % quantile",
    *(f"share of ranks up to {rank}" for rank in _RANKS),
    *(f"surprisal, {share:.0%} quantile" for share in _QUANTILES),
    "share of surprisal under 0.1",
    "share of surprisal over 8",
)
"""Names of what `statistics` gives; surprisal is -log p, natural logarithms, a block is 16 tokens."""

STRENGTHS = (0.003, 0.03, 0.3)
"""Inverse strengths of regularisation that the linear head chooses from."""


def statistics(scores: Scores) -> Floats:
    """float64[len(STATISTICS)] of a window of 32 tokens or more, scored with ranks and moments; 0 where undefined."""
    surprisal, entropy = -scores.log_p.astype(np.float64), scores.entropy.astype(np.float64)
    variance = np.maximum(scores.variance.astype(np.float64), _LEAST_VARIANCE)
    standard = (entropy - surprisal) / np.sqrt(variance)
    blocks = surprisal[: len(surprisal) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).mean(1)
    half = len(surprisal) // 2
    return np.array(
        [
            *np.nan_to_num([METHODS[name](scores) for name in _ZERO_SHOT]),
            (entropy - surprisal).mean(),
            entropy.mean(),
            entropy.std(),
            _correlation(entropy[:-1], entropy[1:]),
            surprisal.std(),
            _correlation(surprisal[:-1], surprisal[1:]),
            _correlation(surprisal, entropy),
            np.abs(np.diff(surprisal)).mean(),
            blocks.std(),
            surprisal[:half].mean() - surprisal[half:].mean(),
            variance.mean(),
            standard.mean(),
            standard.std(),
            *np.quantile(standard, [0.01, 0.05, 0.25]),
            *((scores.rank <= rank).mean() for rank in _RANKS),
            *np.quantile(surprisal, _QUANTILES),
            (surprisal < _SURE).mean(),
            (surprisal > _SHOCK).mean(),
        ]
    )


def _correlation(one: Floats, two: Floats) -> float:
    """Pearson's; 0 where either does not vary."""
    a, b = one - one.mean(), two - two.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > _LEAST_VARIANCE else 0.0


def left_out_scores(
    head: Head, columns: Floats, label: Integers, group: Names, family: Names, source: Names, *, never: str = ""
) -> Floats:
    """float64[n]: scores of every row by a head that was fitted on other groups.

    Args:
        head: fits one.
        columns: float64[n, k].
        label: int64[n].
        group: str[n], what is left out together; the inner choice of a head leaves these out too.
        family: str[n]; rows of a family are left out with the group of that name, whatever their own group.
        source: str[n]; either class of every source weighs the same in fitting.
        never: a group that no head is fitted on.
    """
    scores = np.full(len(label), np.nan)
    for name in np.unique(group):
        out = group == name
        rows = np.flatnonzero(~out & (family != name) & (group != never))
        found = head(columns[rows], label[rows], balanced(label[rows], source[rows]), group[rows])
        scores[out] = found(columns[out])
    return scores


def balanced(label: Integers, source: Names) -> Floats:
    """float64[n], mean 1: either class of every source weighs the same."""
    _, cell, count = np.unique(np.char.add(source, label.astype(np.str_)), return_inverse=True, return_counts=True)
    weight: Floats = 1.0 / count[cell]
    return weight / weight.mean()


def linear(columns: Floats, label: Integers, weight: Floats, group: Names) -> Callable[[Floats], Floats]:
    """Logistic regression over standardised columns, its strength chosen on groups left out of these rows."""
    best, chosen = -np.inf, STRENGTHS[0]
    for strength in STRENGTHS:
        losses = []
        for name in np.unique(group):
            out = group == name
            found = _logistic(columns[~out], label[~out], weight[~out], strength)(columns[out])
            losses.append(np.logaddexp(0.0, np.where(label[out] == 1, -found, found)).mean())
        value = -float(np.mean(losses))
        if value > best:
            best, chosen = value, strength
    return _logistic(columns, label, weight, chosen)


def _logistic(columns: Floats, label: Integers, weight: Floats, strength: float) -> Callable[[Floats], Floats]:
    from sklearn.linear_model import LogisticRegression

    mean, spread = columns.mean(0), np.maximum(columns.std(0), 1e-9)
    model = LogisticRegression(C=strength, max_iter=5000).fit((columns - mean) / spread, label, sample_weight=weight)

    def scored(rows: Floats) -> Floats:
        # Four spreads are as far as a head should trust a column that it never saw there.
        found: Floats = model.decision_function(np.clip((rows - mean) / spread, -4.0, 4.0))
        return found

    return scored


def trees(columns: Floats, label: Integers, weight: Floats, group: Names) -> Callable[[Floats], Floats]:
    """Gradient-boosted trees, small and slow ones; the first column, if it is the fast margin, may only raise it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rising = [1] + [0] * (columns.shape[1] - 1)
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=150,
        max_leaf_nodes=8,
        min_samples_leaf=25,
        l2_regularization=5.0,
        monotonic_cst=rising,
        random_state=17,
    ).fit(columns, label, sample_weight=weight)

    def scored(rows: Floats) -> Floats:
        found: Floats = model.decision_function(rows)
        return found

    return scored


def joined(*columns: Floats | Sequence[float]) -> Floats:
    """float64[n, k] of columns and blocks of columns."""
    return np.column_stack([np.asarray(column, np.float64) for column in columns])
