"""Fits detector weights: features of a labelled corpus in, an averaged logistic ensemble out, in floating point."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from detectors.ai_text.fast import enough, languages
from detectors.ai_text.features import BUCKET_BITS, STATS, Tables, emit, fold_table, score
from detectors.ai_text.model import FastModel
from detectors.documents import Documents
from detectors.errors import MissingExtraError
from detectors.jit import compiled

__all__ = [
    "BUCKETS",
    "Features",
    "Fit",
    "Judged",
    "Member",
    "Problem",
    "blank_tables",
    "damping",
    "emitted",
    "fit_member",
    "judged",
    "mean_fit",
    "quantised",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Float32s = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

BUCKETS = 1 << BUCKET_BITS
_CHUNK = 2000


@dataclass(frozen=True)
class Member:
    """One logistic regression of the ensemble.

    Attributes:
        c: inverse strength of the ridge on n-gram weights.
        intercept_ridge: ridge on an intercept of its own for every source and language, so that only contrasts within
            a source are learned; 0 for one intercept.
    """

    c: float
    intercept_ridge: float = 0.0


@dataclass(frozen=True)
class Features:
    """What n documents consist of, as compressed sparse rows.

    Attributes:
        indptr: int64[n + 1], spans of rows.
        indices: int32, buckets, each once a row.
        times: uint8, how often the row has the bucket; 255 stands for more too.
        counts: int64[n], features of each row with their repeats.
    """

    indptr: Integers
    indices: Int32s
    times: Bytes
    counts: Integers


@dataclass(frozen=True)
class Judged:
    """Documents as a scan sees them: margin float64[n], language str[n], length int64[n], enough bool[n]."""

    margin: Floats
    language: npt.NDArray[np.str_]
    length: Integers
    enough: npt.NDArray[np.bool_]


def _chunks(frame: pl.DataFrame) -> Iterator[Documents]:
    for start in range(0, frame.height, _CHUNK):
        yield Documents(pa.record_batch({"text": frame["text"].slice(start, _CHUNK).to_arrow()}))


@compiled
def _tallied(indptr: Integers, indices: Int32s, buckets: int) -> tuple[Integers, Int32s, Bytes]:
    """Each bucket of a row once, with how often it stood there."""
    place = np.full(buckets, -1, np.int64)
    ends, found = np.zeros(indptr.size, np.int64), np.empty(indices.size, np.int32)
    times = np.zeros(indices.size, np.uint8)
    used = 0
    for row in range(indptr.size - 1):
        first = used
        for j in range(indptr[row], indptr[row + 1]):
            bucket = indices[j]
            at = place[bucket]
            if at < first:
                at = used
                place[bucket] = at
                found[at] = bucket
                used += 1
            if times[at] < 255:
                times[at] += 1
        ends[row + 1] = used
    return ends, found[:used].copy(), times[:used].copy()


def emitted(frame: pl.DataFrame, tables: Tables) -> Features:
    """Features of the first window of every document."""
    parts = []
    for documents in _chunks(frame):
        emission = emit(documents, tables)
        parts.append((*_tallied(emission.indptr, emission.indices, BUCKETS), emission.counts))
    sizes = np.concatenate([np.diff(part[0]) for part in parts])
    return Features(
        indptr=np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]),
        indices=np.concatenate([part[1] for part in parts]),
        times=np.concatenate([part[2] for part in parts]),
        counts=np.concatenate([part[3] for part in parts]),
    )


def judged(frame: pl.DataFrame, model: FastModel, min_characters: int) -> Judged:
    """Judge documents in the very way that a scan does."""
    column = STATS.index("characters")
    parts: list[tuple[Floats, npt.NDArray[np.str_], Integers, npt.NDArray[np.bool_]]] = []
    for documents in _chunks(frame):
        emission = score(documents, model.tables)
        names = np.array(languages(documents).to_pylist(), np.str_)
        parts.append((model.margins(emission), names, emission.stats[:, column], enough(emission, min_characters)))
    return Judged(
        margin=np.concatenate([part[0] for part in parts]),
        language=np.concatenate([part[1] for part in parts]),
        length=np.concatenate([part[2] for part in parts]),
        enough=np.concatenate([part[3] for part in parts]),
    )


def blank_tables() -> Tables:
    """Kernel tables without weights."""
    return Tables(fold_table(), np.zeros(BUCKETS, np.int8))


def damping(features: Features) -> Floats:
    """float64[BUCKETS]: rows that have a bucket / its occurrences. What comes in bursts then learns smaller weights."""
    rows = np.bincount(features.indices, minlength=BUCKETS)
    occurrences = np.bincount(features.indices, features.times, BUCKETS)
    result: Floats = np.where(rows > 0, rows / np.maximum(occurrences, 1.0), 1.0)
    return result


@compiled
def _descend(
    indptr: Integers,
    indices: Int32s,
    times: Bytes,
    rows: Integers,
    root: Floats,
    offset: Floats,
    sign: Floats,
    share: Floats,
    pairs: Float32s,
) -> tuple[Floats, Floats]:
    """Agreements and residuals of a logistic loss; adds its slope to `pairs[:, 1]`, where `pairs[:, 0]` are weights.

    One pass a row, weight and slope side by side: what is read for the margin is in cache when the slope is added.
    """
    agreement, residual = np.zeros(rows.size), np.zeros(rows.size)
    for k in range(rows.size):
        low, high = indptr[rows[k]], indptr[rows[k] + 1]
        one, two = np.float32(0.0), np.float32(0.0)  # two sums, as one would wait for each addition
        for j in range(low, high - 1, 2):
            one += pairs[indices[j], 0] * np.float32(times[j])
            two += pairs[indices[j + 1], 0] * np.float32(times[j + 1])
        if (high - low) % 2:
            one += pairs[indices[high - 1], 0] * np.float32(times[high - 1])
        agreement[k] = sign[k] * ((np.float64(one) + np.float64(two)) / root[k] + offset[k])
        residual[k] = -share[k] * sign[k] / (1.0 + np.exp(min(max(agreement[k], -500.0), 500.0)))
        step = np.float32(residual[k] / root[k])
        for j in range(low, high):
            pairs[indices[j], 1] += step * np.float32(times[j])
    return agreement, residual


@dataclass(frozen=True)
class Fit:
    """Weights of a trained model in floating point: margin = mean over members of their linear forms."""

    weights: Floats
    bias: float


@dataclass(frozen=True)
class Problem:
    """What a fit sees.

    Attributes:
        features: of all documents.
        damping: float64[BUCKETS], see `damping`.
        label: int64[n].
        share: float64[n], document weights.
        group: int64[n], see `intercept_groups`.
    """

    features: Features
    damping: Floats
    label: Integers
    share: Floats
    group: Integers


def fit_member(problem: Problem, rows: Integers, member: Member, *, iterations: int) -> Fit:
    """Fit one logistic regression on `rows` by L-BFGS.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtraError("scipy", "train") from error
    features, group, scale = problem.features, problem.group[rows], problem.damping
    root: Floats = np.sqrt(np.maximum(features.counts[rows], 1))
    sign = np.where(problem.label[rows] == 1, 1.0, -1.0)
    share = problem.share[rows]
    own_ridge = member.intercept_ridge
    groups = int(group.max()) + 1 if own_ridge else 0
    pairs = np.zeros((BUCKETS, 2), np.float32)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, bias, own = parameters[:BUCKETS], parameters[BUCKETS], parameters[BUCKETS + 1 :]
        pairs[:, 0], pairs[:, 1] = weights * scale, 0.0
        offset = bias + own[group] if groups else np.full(len(rows), bias)
        agreement, residual = _descend(
            features.indptr, features.indices, features.times, rows, root, offset, sign, share, pairs
        )
        ridge = weights @ weights / member.c + own_ridge * own @ own
        slopes = [
            pairs[:, 1] * scale + weights / member.c,
            np.array([residual.sum()]),
            np.bincount(group, residual, groups)[:groups] + own_ridge * own if groups else np.zeros(0),
        ]
        return (share @ np.logaddexp(0.0, -agreement) + ridge / 2) / len(rows), np.concatenate(slopes) / len(rows)

    start = np.zeros(BUCKETS + 1 + groups)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxcor": 8}).x
    return Fit(found[:BUCKETS] * scale, float(found[BUCKETS]))


def mean_fit(fits: Sequence[Fit]) -> Fit:
    """The fit whose margins are the mean margins of `fits`."""
    return Fit(np.mean([fit.weights for fit in fits], axis=0), float(np.mean([fit.bias for fit in fits])))


def quantised(fit: Fit, tables: Tables) -> FastModel:
    """The model that ships: weights rounded to int8, the largest hundredth of a percent clipped."""
    scale = float(np.quantile(np.abs(fit.weights), 0.9999)) / 127.0 or 1.0
    weights = np.clip(np.rint(fit.weights / scale), -127, 127).astype(np.int8)
    return FastModel(dataclasses.replace(tables, weights=weights), scale, fit.bias)
