"""Fits detector weights: features of a labelled corpus in, an averaged ensemble of linear machines out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curricula.detector_corpus import Corpus, intercept_groups, language_parts
from detectors.ai_text.disguise import as_read
from detectors.ai_text.fast import enough, languages
from detectors.ai_text.features import KEY_BITS, SLOT_BITS, STATS, Tables, common_words, emit, fold_table, score
from detectors.ai_text.kernel import CHECK_BITS, COMMON_BITS
from detectors.ai_text.model import FastModel
from detectors.ai_text.style import style
from detectors.documents import Documents
from detectors.jit import bare, compiled

__all__ = ["Fit", "Judged", "Member", "Problem", "blank_tables", "fitted", "judged", "problem_of", "quantised"]

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

_CHUNK = 2000
_COMMON_WORDS, _COMMON_DOCUMENTS = 150, 100
_LARGEST_LANGUAGE, _COMMONEST_NEED, _RAREST_NEED, _MIN_FAMILIES = 80_000, 20, 6, 3
_MIN_LANGUAGE = 40
_RARE_POWER, _RARE_CAP = 0.25, 3.0


@dataclass(frozen=True)
class Member:
    """One linear machine of the ensemble.

    Attributes:
        c: what a document of weight 1 may cost, by the ridge on weights.
        own_intercepts: scale of an intercept of its own for every source and language, by `language_parts`: the more of
            it, the more only contrasts within a source are learned.
    """

    c: float
    own_intercepts: tuple[float, float, float]


@dataclass(frozen=True)
class Problem:
    """What a fit sees of n documents and v features.

    Attributes:
        keys: int32[v], ascending keys of the features that are learned.
        spread: int64[v], documents that have each, and
        mass: float64[v], their weights together.
        common: uint64, bitmap of common words.
        indptr: int64[n + 1], spans of documents in `indices`.
        indices: int32, features of each document by their place in `keys`, each once.
        label: int64[n].
        share: float64[n], document weights.
        group: int64[n], see `intercept_groups`.
        part: int64[n], see `language_parts`.
    """

    keys: Int32s
    spread: Integers
    mass: Floats
    common: npt.NDArray[np.uint64]
    indptr: Integers
    indices: Int32s
    label: Integers
    share: Floats
    group: Integers
    part: Integers


@dataclass(frozen=True)
class Fit:
    """Weights of a trained model in floating point, float64[v], 0 where a feature found no slot, and the bias."""

    weights: Floats
    bias: float


@dataclass(frozen=True)
class Judged:
    """Documents as a scan sees them: margin float64[n], language str[n], length int64[n], enough bool[n], style."""

    margin: Floats
    language: npt.NDArray[np.str_]
    length: Integers
    enough: Bools
    style: Float32s


def _chunks(frame: pl.DataFrame) -> Iterator[Documents]:
    for start in range(0, frame.height, _CHUNK):
        yield as_read(Documents(pa.record_batch({"text": frame["text"].slice(start, _CHUNK).to_arrow()})))


def blank_tables(common: npt.NDArray[np.uint64] | None = None) -> Tables:
    """Kernel tables without weights, and without common words unless they are given."""
    none = np.zeros((1 << COMMON_BITS) // 64, np.uint64)
    return Tables(fold_table(), none if common is None else common, np.zeros(1 << SLOT_BITS, np.uint16))


def _common(frame: pl.DataFrame) -> npt.NDArray[np.uint64]:
    """The words that stand in most documents of each language that has enough of them."""
    language = frame["lang"].to_numpy().astype(np.str_)
    seen: dict[str, list[npt.NDArray[np.uint64]]] = {}
    row = 0
    for documents in _chunks(frame):
        words = documents.words
        for first, last in zip(words.doc_offsets[:-1], words.doc_offsets[1:], strict=True):
            seen.setdefault(str(language[row]), []).append(np.unique(words.hashes[first:last]))
            row += 1
    chosen = [np.zeros(0, np.uint64)]
    for parts in seen.values():
        if len(parts) >= _COMMON_DOCUMENTS:
            hashes, documents_ = np.unique(np.concatenate(parts), return_counts=True)
            chosen.append(hashes[np.lexsort((hashes, -documents_))[:_COMMON_WORDS]])
    return common_words(np.unique(np.concatenate(chosen)))


@compiled
def _distinct(indptr: Integers, keys: Int32s) -> tuple[Integers, Int32s]:
    """Each key of a row once, ascending."""
    ends, found = np.zeros_like(indptr), np.empty_like(keys)
    used = 0
    for row in range(indptr.size - 1):
        first = used
        for key in np.sort(keys[indptr[row] : indptr[row + 1]]):
            if used == first or found[used - 1] != key:
                found[used] = key
                used += 1
        ends[row + 1] = used
    return ends, found[:used].copy()


def _emitted(frame: pl.DataFrame, tables: Tables) -> tuple[Integers, Int32s]:
    """Keys of the first window of every document, each once a row."""
    parts = []
    for documents in _chunks(frame):
        emission = emit(documents, tables)
        parts.append(_distinct(emission.indptr, emission.keys))
    sizes = np.concatenate([np.diff(ends) for ends, _ in parts])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), np.concatenate([keys for _, keys in parts])


@compiled
def _counted(indptr: Integers, keys: Int32s, rows: Integers, family: Integers, size: int) -> tuple[Int32s, Int32s]:
    """Documents and families that have each key; `rows` must have those of a family together."""
    documents, families = np.zeros(size, np.int32), np.zeros(size, np.int32)
    last = np.full(size, -1, np.int32)
    for row in rows:
        for j in range(indptr[row], indptr[row + 1]):
            key = keys[j]
            documents[key] += 1
            if last[key] != family[row]:
                last[key] = family[row]
                families[key] += 1
    return documents, families


def _learnable(indptr: Integers, keys: Int32s, corpus: Corpus) -> Int32s:
    """Keys that in some language stand in enough documents, and in families enough that they are no source's own."""
    chosen = np.zeros(1 << KEY_BITS, np.bool_)
    family = corpus.frame["family"].rank("dense").to_numpy().astype(np.int64)
    language = corpus.names("lang")
    for name in np.unique(language):
        rows = np.flatnonzero(language == name)
        if len(rows) < _MIN_LANGUAGE:
            continue
        rows = rows[np.argsort(family[rows], kind="stable")]
        own = np.concatenate([keys[indptr[row] : indptr[row + 1]] for row in rows])
        used, place = np.unique(own, return_inverse=True)
        sizes = (indptr[1:] - indptr[:-1])[rows]
        spans = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        documents, families = _counted(spans, place.astype(np.int32), np.arange(len(rows)), family[rows], len(used))
        need = max(_RAREST_NEED, _COMMONEST_NEED * min(len(rows) / _LARGEST_LANGUAGE, 1.0))
        chosen[used[(documents >= need) & (families >= _MIN_FAMILIES)]] = True
    return np.flatnonzero(chosen).astype(np.int32)


def problem_of(corpus: Corpus, share: Floats) -> Problem:
    """Emit a corpus and choose what is learned of it. Labels are not looked at."""
    common = _common(corpus.frame)
    indptr, emitted = _emitted(corpus.frame, blank_tables(common))
    keys = _learnable(indptr, emitted, corpus)
    place = np.full(1 << KEY_BITS, -1, np.int32)
    place[keys] = np.arange(len(keys), dtype=np.int32)
    found = place[emitted]
    held = np.concatenate([np.zeros(1, np.int64), np.cumsum(found >= 0)])
    ends, indices = held[indptr], found[found >= 0]
    return Problem(
        keys=keys,
        spread=np.bincount(indices, minlength=len(keys)).astype(np.int64),
        mass=np.bincount(indices, np.repeat(share, np.diff(ends)), len(keys)).astype(np.float64),
        common=common,
        indptr=ends,
        indices=indices,
        label=corpus.label,
        share=share,
        group=intercept_groups(corpus),
        part=language_parts(corpus),
    )


@bare
def _sweep(
    indptr: Integers,
    indices: Int32s,
    order: Integers,
    sign: Floats,
    cost: Floats,
    group: Integers,
    scales: tuple[Float32s, Floats, Floats, Floats],
    state: tuple[Float32s, Floats, Floats],
) -> None:
    """One pass of dual coordinate descent over the rows in `order`, for squared hinge loss (Hsieh et al. 2008).

    `scales`: of each feature, of each row, norm of each row with its own penalty, own intercept of each row.
    `state`: scaled weights, dual variables, and intercepts (the common one first).
    """
    feature, row_scale, norm, own = scales
    weights, dual, intercepts = state
    for k in range(order.size):
        row = order[k]
        low, high = indptr[row], indptr[row + 1]
        one, two = np.float32(0.0), np.float32(0.0)  # two sums, as one would wait for each addition
        for j in range(low, high - 1, 2):
            one += weights[indices[j]] * feature[indices[j]]
            two += weights[indices[j + 1]] * feature[indices[j + 1]]
        if (high - low) % 2:
            one += weights[indices[high - 1]] * feature[indices[high - 1]]
        place = group[row] + 1
        margin = np.float64(one + two) * row_scale[row] + intercepts[0] + own[row] * intercepts[place]
        slope = sign[row] * margin - 1.0 + dual[row] * cost[row]
        moved = max(dual[row] - slope / norm[row], 0.0) - dual[row]
        if moved == 0.0:
            continue
        dual[row] += moved
        signed = moved * sign[row]
        step = np.float32(signed * row_scale[row])
        for j in range(low, high):
            weights[indices[j]] += step * feature[indices[j]]
        intercepts[0] += signed
        intercepts[place] += own[row] * signed


@compiled
def _row_sums(indptr: Integers, indices: Int32s, values: Floats) -> Floats:
    sums = np.zeros(indptr.size - 1)
    for row in range(sums.size):
        for j in range(indptr[row], indptr[row + 1]):
            sums[row] += values[indices[j]]
    return sums


def _fit_member(problem: Problem, rows: Integers, member: Member, held: Bools, *, passes: int, seed: int) -> Fit:
    """Fit on `rows`, with the features that are `held`."""
    random = np.random.default_rng(seed)
    feature = np.where(held, _rarity(problem.spread), 0.0)
    row_scale = 1.0 / np.sqrt(np.maximum(_row_sums(problem.indptr, problem.indices, held.astype(np.float64)), 1.0))
    own = np.array(member.own_intercepts)[problem.part]
    cost = 0.5 / np.maximum(member.c * problem.share, 1e-6)
    norm = _row_sums(problem.indptr, problem.indices, feature**2) * row_scale**2 + 1.0 + own**2 + cost
    sign = np.where(problem.label == 1, 1.0, -1.0)
    state = np.zeros(len(feature), np.float32), np.zeros(len(sign)), np.zeros(int(problem.group.max()) + 2)
    scales = feature.astype(np.float32), row_scale, norm, own
    for _ in range(passes):
        order = random.permutation(rows)
        _sweep(problem.indptr, problem.indices, order, sign, cost, problem.group, scales, state)
    return Fit(state[0].astype(np.float64) * feature, float(state[2][0]))


def _rarity(spread: Integers) -> Floats:
    """float64[v]: rarer features may learn larger weights, as they stand for more than chance."""
    usual = max(float(np.median(spread)), 1.0)
    scale: Floats = np.minimum((np.maximum(spread, 1) / usual) ** -_RARE_POWER, _RARE_CAP)
    return scale


def fitted(problem: Problem, rows: Integers, members: Sequence[Member], *, passes: int, seed: int) -> Fit:
    """Fit the ensemble on `rows` twice: with all features, then with those that found a slot of the table.

    Of features that share a slot, the one whose weight times the root of its documents is largest keeps it.
    """
    held = np.ones(len(problem.keys), np.bool_)
    for stage in range(2):
        fits = [_fit_member(problem, rows, member, held, passes=passes, seed=seed) for member in members]
        fit = Fit(np.mean([one.weights for one in fits], axis=0), float(np.mean([one.bias for one in fits])))
        if stage == 0:
            held = _slotted(problem, fit.weights)
    return fit


def _slotted(problem: Problem, weights: Floats) -> Bools:
    slot = problem.keys >> CHECK_BITS
    order = np.lexsort((-np.abs(weights) * np.sqrt(problem.mass), slot))
    first = np.concatenate([[True], slot[order][1:] != slot[order][:-1]])
    held = np.zeros(len(weights), np.bool_)
    held[order[first]] = True
    held &= weights != 0.0
    return held


def quantised(fit: Fit, problem: Problem) -> FastModel:
    """The model that ships: weights rounded to int8, the largest hundredth of a percent clipped."""
    used = np.abs(fit.weights[fit.weights != 0.0])
    scale = float(np.quantile(used, 0.9999)) / 127.0 if len(used) else 1.0
    weights = np.clip(np.rint(fit.weights / scale), -127, 127).astype(np.int8)
    tables = blank_tables(problem.common)
    kept = weights != 0
    keys = problem.keys[kept].astype(np.int64)
    entries = (keys & (1 << CHECK_BITS) - 1) << 8 | weights[kept].view(np.uint8)
    tables.weights[keys >> CHECK_BITS] = entries.astype(np.uint16)
    return FastModel(tables, scale, fit.bias)


def judged(frame: pl.DataFrame, model: FastModel, min_characters: int) -> Judged:
    """Judge documents in the very way that a scan does."""
    column = STATS.index("characters")
    parts = []
    for documents in _chunks(frame):
        scores = score(documents, model.tables)
        length = scores.stats[:, column]
        parts.append(
            Judged(
                margin=model.margins(scores.sums),
                language=np.array(languages(documents).to_pylist(), np.str_),
                length=length,
                enough=enough(scores, min_characters),
                style=style(documents, length),
            )
        )
    return Judged(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Judged)))
