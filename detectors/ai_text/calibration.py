"""Builds the reference from labelled margins: adjustment, tail, score, and error rates with each family left out.

`Reference` and `load_reference` are those of `detectors.ai_text.reference`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.ai_text.adjustment import KINDS, STYLE, effective, kinds
from detectors.ai_text.left_out import choose_deviations, left_out_by
from detectors.ai_text.reference import (
    CALIBRATION_FILE,
    LOG_STEPS,
    PRIOR,
    Allowance,
    ErrorRate,
    Reference,
    load_reference,
    score_terms,
)
from detectors.ai_text.reference_fit import Fitted, Fitter, Labelled
from detectors.ai_text.spread import HUMAN, fit_profiles
from detectors.ai_text.tail import Tail
from detectors.binomial import allowed_above

__all__ = [
    "CALIBRATION_FILE",
    "PRIOR",
    "TABLE_RATES",
    "Allowance",
    "ErrorRate",
    "Labelled",
    "Reference",
    "build_reference",
    "fit_reference",
    "load_reference",
]

TABLE_RATES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Of the table by domain and language."""

_MIN_GROUP = 50
_GRID_SIZE = 600

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]


def fit_reference(
    margin: npt.ArrayLike,
    label: Integers,
    source: Names,
    language: Names,
    length: Integers,
    *,
    domain: Names | None = None,
    family: Names | None = None,
    style: npt.ArrayLike | None = None,
) -> Reference:
    """Build the reference without knowing generators, see `build_reference`.

    Args: as the attributes of `Labelled`. Without domains or families each source is one; without style all is usual.
    """
    usual = np.full((len(label), len(STYLE)), np.nan)
    return build_reference(
        Labelled(
            margin=np.asarray(margin, np.float64),
            label=np.asarray(label, np.int64),
            source=source,
            family=source if family is None else family,
            domain=source if domain is None else domain,
            generator=np.where(np.asarray(label) == 1, "", HUMAN),
            language=language,
            length=length,
            style=usual if style is None else np.asarray(style, np.float64),
        )
    )


def build_reference(data: Labelled) -> Reference:
    """Build the reference from out-of-source margins of documents long enough to judge.

    What `error_rates` and `profiles` count leaves the document's own family out of the adjustment and the tail too.
    """
    fitter = Fitter(data)
    whole = fitter.fit(np.ones(len(data.label), np.bool_))
    deviations = choose_deviations(left_out_by(fitter, data.domain))
    grid = _grid(whole.tail, deviations)
    outside, p = _left_out(fitter, whole, deviations)
    coefficients = _fit_score(data, outside)
    sources, which, starts, surprises = _surprises(fitter, p)
    return Reference(
        adjustment=whole.adjustment,
        style_limits=fitter.limits,
        deviations=deviations,
        grid=grid,
        tail=whole.tail.p(grid, deviations),
        coefficients=coefficients,
        prior=PRIOR,
        sources=sources,
        kinds=which,
        starts=starts,
        surprises=surprises,
        allowances=_allowances(data),
        profiles=fit_profiles(_scores(coefficients, data, outside), data.label, data.source, data.generator),
        digest="",
    )


def _grid(tail: Tail, deviations: float) -> Floats:
    """Adjusted margins at which the tail is written down, dense where it is thin."""
    upper = 1.0 - np.geomspace(0.5, 1.0 / (len(tail.pooled) + 1.0), _GRID_SIZE // 2)
    shifted = tail.within + tail.mean + deviations * tail.spread
    places = np.concatenate([np.linspace(0.0, 0.5, 50), upper])
    parts = [np.quantile(values, places) for values in (tail.pooled, shifted) if len(values)]
    return np.unique(np.concatenate([[-np.inf], *parts, *(np.nextafter(part[-1:], np.inf) for part in parts)]))


def _left_out(fitter: Fitter, whole: Fitted, deviations: float) -> tuple[Floats, Floats]:
    """Adjusted margins and p-values of all documents, each family left out once."""
    data = fitter.data
    outside, p = np.zeros(len(data.label)), np.ones(len(data.label))
    for family in np.unique(data.family):
        own = data.family == family
        # With one family there is nothing to leave it out of.
        fitted = fitter.fit(~own) if data.human[~own].any() else whole
        outside[own] = fitted.adjusted(data, own)
        p[own] = fitted.tail.p(outside[own], deviations)
    return outside, p


def _surprises(
    fitter: Fitter, p: Floats
) -> tuple[tuple[str, ...], npt.NDArray[np.int8], Integers, npt.NDArray[np.uint16]]:
    """Names, kinds, spans and -log(p) of the documents of each source and class."""
    # Rounded down, so that a hit counted here is a hit.
    steps = np.minimum(np.floor(-np.log(p) * LOG_STEPS + 1e-3), 65535).astype(np.uint16)
    found: dict[tuple[str, int], npt.NDArray[np.uint16]] = {}
    for index, name in enumerate(fitter.source_names):
        for kind in (0, 1):
            rows = (fitter.source == index) & (fitter.data.label == kind)
            if rows.any():
                found[str(name), kind] = np.sort(steps[rows])
    starts = np.cumsum([0, *map(len, found.values())]).astype(np.int64)
    kinds_ = np.array([kind for _, kind in found], np.int8)
    return tuple(name for name, _ in found), kinds_, starts, np.concatenate([*found.values()])


def _allowances(data: Labelled) -> tuple[Allowance, ...]:
    """The table by domain and language, of raw margins, where there are 50 human documents."""
    found = []
    for domain in np.unique(data.domain[data.human]):
        for language in np.unique(data.language[data.human & (data.domain == domain)]):
            rows = data.human & (data.domain == domain) & (data.language == language)
            if rows.sum() >= _MIN_GROUP:
                ordered = np.sort(data.margin[rows])[::-1]
                margins = {rate: _order_statistic(ordered, rate) for rate in TABLE_RATES}
                found.append(Allowance(str(domain), str(language), len(ordered), margins))
    return tuple(found)


def _order_statistic(descending: Floats, rate: float) -> float | None:
    allowed = allowed_above(len(descending), rate)
    return None if allowed is None else float(descending[allowed])


def _fit_score(data: Labelled, adjusted: Floats) -> Floats:
    """Logistic weights by Newton steps, every source tempered within its class and both classes alike."""
    kind = kinds(data.language)
    terms = score_terms(adjusted, effective(data.length, data.language))
    start = _newton(terms, data.label, data.source, np.zeros(4), np.full(4, 1e-3))
    result = [
        _newton(terms[kind == k], data.label[kind == k], data.source[kind == k], start, np.full(4, 20.0))
        for k in range(len(KINDS))
    ]
    # A larger margin must never lower the score, at any length.
    for weights in result:
        weights[1] = max(weights[1], 0.05)
        weights[3] = np.clip(weights[3], -weights[1] / 2.5, weights[1] / 2.0)
    return np.stack(result)


def _scores(coefficients: Floats, data: Labelled, adjusted: Floats) -> Floats:
    terms = score_terms(adjusted, effective(data.length, data.language))
    logit = (coefficients[kinds(data.language)] * terms).sum(axis=1)
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(logit, -500.0, 500.0)))
    return result


def _newton(terms: Floats, label: Integers, source: Names, start: Floats, ridge: Floats) -> Floats:
    weights = start.copy()
    if len(label) == 0 or label.min() == label.max():
        return weights
    share = np.zeros(len(label))
    for kind in (0, 1):
        rows = np.flatnonzero(label == kind)
        _, inverse, counts = np.unique(source[rows], return_inverse=True, return_counts=True)
        part = 1.0 / np.sqrt(counts[inverse])
        share[rows] = part / part.sum() * min(len(label), 5000) / 2
    loss = _loss(terms, label, share, weights, start, ridge)
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-np.clip(terms @ weights, -30.0, 30.0)))
        gradient = terms.T @ (share * (p - label)) + ridge * (weights - start)
        hessian = (terms * (share * p * (1.0 - p))[:, None]).T @ terms + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        # Far from the solution a whole step overshoots.
        while (new := _loss(terms, label, share, weights - step, start, ridge)) > loss and np.abs(step).max() > 1e-8:
            step = step / 2.0
        weights, loss = weights - step, new
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _loss(terms: Floats, label: Integers, share: Floats, weights: Floats, start: Floats, ridge: Floats) -> float:
    fit = share @ np.logaddexp(0.0, np.where(label == 1, -1.0, 1.0) * (terms @ weights))
    return float(fit + (ridge * (weights - start) ** 2).sum() / 2)
