"""Fits detector weights: features of a labelled corpus in, an averaged logistic ensemble out, in floating point."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curricula.detector_corpus import Corpus
from detectors.ai_text.features import BUCKET_BITS, GROUPS, Emission, Tables, emit, fold_table, score, word_hash
from detectors.ai_text.language import LANGUAGES, function_words, lexicon
from detectors.ai_text.model import DENSE, FastModel, dense
from detectors.documents import Documents
from detectors.errors import MissingExtraError
from detectors.jit import compiled

__all__ = [
    "BUCKETS",
    "Fit",
    "Member",
    "Problem",
    "emitted",
    "fit_member",
    "make_tables",
    "mean_fit",
    "quantised",
    "scored",
    "style_scaling",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Float32s = npt.NDArray[np.float32]

BUCKETS = 1 << BUCKET_BITS
_CHUNK = 2000


@dataclass(frozen=True)
class Member:
    """One logistic regression of the ensemble.

    Attributes:
        c: inverse strength of the ridge on n-gram weights.
        intercept_ridge: ridge on an intercept of its own for every source and language, so that only contrasts within
            a source are learned; 0 for one intercept.
        style: factor on scaled style features; 0 leaves them out. Small, as they fit fast and transfer worst.
    """

    c: float
    intercept_ridge: float = 0.0
    style: float = 0.0


def _chunks(frame: pl.DataFrame) -> Iterator[Documents]:
    for start in range(0, frame.height, _CHUNK):
        yield Documents(pa.record_batch({"text": frame["text"].slice(start, _CHUNK).to_arrow()}))


def _joined(parts: Sequence[Emission]) -> Emission:
    counts = np.concatenate([part.counts for part in parts])
    return Emission(
        sums=np.concatenate([part.sums for part in parts]),
        counts=counts,
        windows=np.concatenate([part.windows for part in parts]),
        stats=np.concatenate([part.stats for part in parts]),
        votes=np.concatenate([part.votes for part in parts]),
        scripts=np.concatenate([part.scripts for part in parts]),
        indptr=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        indices=np.concatenate([part.indices for part in parts]),
    )


def emitted(frame: pl.DataFrame, tables: Tables) -> Emission:
    """Features of the first window of every document."""
    return _joined([emit(part.data, part.offsets, tables) for part in _chunks(frame)])


def scored(frame: pl.DataFrame, tables: Tables) -> Emission:
    """Sums of weights over all windows of every document, as a scan takes them."""
    return _joined([score(part.data, part.offsets, tables) for part in _chunks(frame)])


def make_tables(corpus: Corpus, groups: Sequence[str]) -> Tables:
    """Kernel tables without weights: fold table, lexicon, and the words that are common in most sources.

    A word is common when the median source of a language has it in 1 to 2 % of its documents, so that no topic of a
    single source gets in.
    """
    fold = fold_table()
    bits = sum(GROUPS[name] for name in groups)
    empty = np.zeros(BUCKETS // 8, np.uint8)
    lexicon_table = lexicon(lambda word: word_hash(word, fold)[0])
    tables = Tables(fold, empty, lexicon_table, np.zeros(BUCKETS, np.int8), GROUPS["word1"], len(LANGUAGES))
    emission = emitted(corpus.frame, tables)
    source, language = corpus.names("source"), corpus.names("lang")
    common = np.zeros(BUCKETS, np.bool_)
    for code in np.unique(language):
        shares = []
        for name in np.unique(source[language == code]):
            rows = np.flatnonzero((source == name) & (language == code))
            if len(rows) >= 60:
                ones = np.ones(len(rows))
                shares.append(_gradient(emission.indptr, emission.indices, rows, ones, BUCKETS) / len(rows))
        if len(shares) >= 2:
            common |= np.median(shares, axis=0) > (0.01 if len(shares) >= 20 else 0.02)
    for word in function_words():
        common[word_hash(word, fold)[1]] = True
    return dataclasses.replace(tables, common=np.packbits(common, bitorder="little"), groups=bits)


@compiled
def _sums(indptr: Integers, indices: Int32s, rows: Integers, weights: Float32s) -> Floats:
    """Sum of the weights of each row's buckets."""
    result = np.zeros(rows.size)
    for k in range(rows.size):
        total = np.float32(0.0)
        for j in range(indptr[rows[k]], indptr[rows[k] + 1]):
            total += weights[indices[j]]
        result[k] = total
    return result


@compiled
def _gradient(indptr: Integers, indices: Int32s, rows: Integers, values: Floats, buckets: int) -> Float32s:
    """Sum over rows of `values`, into every bucket that the row has."""
    result = np.zeros(buckets, np.float32)
    for k in range(rows.size):
        value = np.float32(values[k])
        for j in range(indptr[rows[k]], indptr[rows[k] + 1]):
            result[indices[j]] += value
    return result


@dataclass(frozen=True)
class Fit:
    """Weights of a trained model in floating point: margin = mean over members of their linear forms."""

    weights: Floats
    dense: Floats
    bias: float

    def margins(self, emission: Emission, style: Floats, rows: Integers) -> Floats:
        """float64[len(rows)]: margins of documents from emitted features."""
        sums = _sums(emission.indptr, emission.indices, rows, self.weights.astype(np.float32))
        root = np.sqrt(np.maximum(emission.counts[rows], 1))
        result: Floats = sums / root + style[rows] @ self.dense + self.bias
        return result


@dataclass(frozen=True)
class Problem:
    """What a fit sees.

    Attributes:
        emission: emitted features of all documents.
        style: float64[n, len(DENSE)], scaled style features.
        label: int64[n].
        share: float64[n], document weights.
        group: int64[n], see `intercept_groups`.
    """

    emission: Emission
    style: Floats
    label: Integers
    share: Floats
    group: Integers


def fit_member(problem: Problem, rows: Integers, member: Member, *, iterations: int, dense_ridge: float) -> Fit:
    """Fit one logistic regression on `rows` by L-BFGS.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtraError("scipy", "train") from error
    emission, group = problem.emission, problem.group[rows]
    root = np.sqrt(np.maximum(emission.counts[rows], 1))
    sign, styled, share = 2.0 * problem.label[rows] - 1.0, member.style * problem.style[rows], problem.share[rows]
    width, own_ridge = styled.shape[1], member.intercept_ridge
    groups = int(group.max()) + 1 if own_ridge else 0
    indptr, indices = emission.indptr, emission.indices

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, bias = parameters[:BUCKETS], parameters[BUCKETS]
        style, own = parameters[BUCKETS + 1 : BUCKETS + 1 + width], parameters[BUCKETS + 1 + width :]
        margin = _sums(indptr, indices, rows, weights.astype(np.float32)) / root + bias + styled @ style
        if groups:
            margin = margin + own[group]
        agreement = sign * margin
        ridge = weights @ weights / member.c + dense_ridge * style @ style + own_ridge * own @ own
        residual = -share * sign / (1.0 + np.exp(np.clip(agreement, -500.0, 500.0)))
        slopes = [
            _gradient(indptr, indices, rows, residual / root, BUCKETS) + weights / member.c,
            np.array([residual.sum()]),
            styled.T @ residual + dense_ridge * style,
            np.bincount(group, residual, groups)[:groups] + own_ridge * own if groups else np.zeros(0),
        ]
        return (share @ np.logaddexp(0.0, -agreement) + ridge / 2) / len(rows), np.concatenate(slopes) / len(rows)

    start = np.zeros(BUCKETS + 1 + width + groups)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxcor": 8}).x
    return Fit(found[:BUCKETS], member.style * found[BUCKETS + 1 : BUCKETS + 1 + width], float(found[BUCKETS]))


def mean_fit(fits: Sequence[Fit]) -> Fit:
    """The fit whose margins are the mean margins of `fits`."""
    return Fit(
        np.mean([fit.weights for fit in fits], axis=0),
        np.mean([fit.dense for fit in fits], axis=0),
        float(np.mean([fit.bias for fit in fits])),
    )


def style_scaling(emission: Emission) -> tuple[Floats, Floats]:
    """Means and deviations of style features, float64[2, len(DENSE)] each, for spaced and unspaced scripts."""
    features, row = dense(emission)
    mean, deviation = np.zeros((2, len(DENSE))), np.ones((2, len(DENSE)))
    for index in (0, 1):
        part = features[row == index] if (row == index).sum() >= 2 else features
        mean[index], deviation[index] = part.mean(axis=0), np.maximum(part.std(axis=0), 1e-3)
    return mean, deviation


def quantised(fit: Fit, tables: Tables, scaling: tuple[Floats, Floats]) -> FastModel:
    """The model that ships: weights rounded to int8, the largest hundredth of a percent clipped."""
    scale = float(np.quantile(np.abs(fit.weights), 0.9999)) / 127.0 or 1.0
    weights = np.clip(np.rint(fit.weights / scale), -127, 127).astype(np.int8)
    return FastModel(dataclasses.replace(tables, weights=weights), scale, fit.bias, fit.dense, *scaling)
