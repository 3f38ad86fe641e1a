"""py3langid's model of 139 languages, walked and summed by kernels over a whole batch of samples.

py3langid (https://github.com/adbar/py3langid, after Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language
Identification Tool") is multinomial naive Bayes over byte n-grams that one automaton finds in a single pass. What the
library would answer is what comes out here; its Python loop over bytes is what a scan cannot afford.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, read_only
from detectors.langid_model import FEATURES, PER_NAT, WIDTH, Model, load
from detectors.langid_prefetch import prefetch_row

__all__ = ["Model", "load", "normal", "score"]

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]

# So many costs of one byte are sure to fit into a sum of two.
_FIT = 256
_ABREAST = 8
_UNITS = np.float32(1.0) / PER_NAT
_FACTORS = np.log1p(np.arange(_FIT + 1)).astype(np.float32)
_FEATURES, _WIDTH = np.uint64(FEATURES), np.uint64(WIDTH)
_NONE, _ONE, _TWO, _THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_ZERO, _UNIT, _LEAST = np.float32(0.0), np.float32(1.0), np.float32(-20.0)


def normal(sample: bytes) -> bytes:
    """What py3langid makes of a text before it looks at it: normal form C, and no text all in capitals."""
    text = sample.decode("utf-8")
    return unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode("utf-8")


def score(model: Model, samples: U8, starts: I64, lengths: I64) -> tuple[I32, F32]:
    """Most likely class of each sample, and its probability.

    Args:
        model: from `load`.
        samples: uint8[...]; UTF-8 in normal form.
        starts: int64[n]; first byte of each sample.
        lengths: int64[n]; its bytes, up to 65,535. A sample without any feature gets probability 0.

    Returns:
        int32[n], an index into `model.names`, of the first class of its language; float32[n], 0 to 1: the softmax of
        the scores over the square root of the sample's length, as in py3langid's `norm_probs`.
    """
    best, confidence = np.zeros(len(starts), np.int32), np.zeros(len(starts), np.float32)
    classes, longest = len(model.prior), int(lengths.max(initial=0)) + 1
    slots = 1 << (4 * longest).bit_length()
    scratch = (
        np.empty((_ABREAST, longest), np.uint32),
        np.empty(_ABREAST, np.uint64),
        np.empty((2, longest), np.uint32),
        np.zeros(slots, np.uint32),
        np.zeros(slots, np.uint16),
        np.empty(classes, np.uint16),
        np.empty(classes, np.float32),
    )
    # The kernel takes eight samples at a time; those that make up the last eight are empty.
    empty = np.zeros(-len(starts) % _ABREAST, np.int64)
    arrays = read_only(samples), read_only(np.append(starts, empty)), read_only(np.append(lengths, empty))
    automaton, classifier = (model.columns, model.moves, model.first_row), (model.costs, model.prior, model.twin)
    _score(automaton, classifier, *arrays, scratch, best, confidence)
    return best, confidence


@bare
def _score(
    automaton: tuple[U32, U32, int],
    classifier: tuple[U8, F32, I32],
    samples: U8,
    starts: I64,
    lengths: I64,
    scratch: tuple[U32, U64, U32, U32, U16, U16, F32],
    best: I32,
    confidence: F32,
) -> None:
    found, lanes, kinds, keys, counts, sums, scores = scratch
    costs, prior, twin = classifier
    for first in range(0, best.size, _ABREAST):
        _walk(automaton, costs, samples, starts, lengths, first, found, lanes)
        for lane in range(min(_ABREAST, best.size - first)):
            visits = int(lanes[np.uint64(lane)])
            if visits:
                _add(costs, found, lane, visits, kinds, keys, counts, sums, scores)
                document = np.uint64(first + lane)
                best[document], confidence[document] = _decide(scores, prior, twin, lengths[document])


@inlined
def _walk(
    automaton: tuple[U32, U32, int],
    costs: U8,
    samples: U8,
    starts: I64,
    lengths: I64,
    first: int,
    found: U32,
    lanes: U64,
) -> None:
    """Write the features of eight samples into the rows of `found`, their numbers into `lanes`.

    Each step waits for memory, but those of different samples wait at the same time.
    """
    columns, moves, first_row = automaton
    shortest = lengths[np.uint64(first)]
    for lane in range(_ABREAST):
        shortest = min(shortest, lengths[np.uint64(first + lane)])
    row = np.uint64(first_row)
    a, b, c, d, e, f, g, h = row, row, row, row, row, row, row, row
    i, j, k, m, n, o, p, q = _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE
    at0, at1 = starts[np.uint64(first)], starts[np.uint64(first + 1)]
    at2, at3 = starts[np.uint64(first + 2)], starts[np.uint64(first + 3)]
    at4, at5 = starts[np.uint64(first + 4)], starts[np.uint64(first + 5)]
    at6, at7 = starts[np.uint64(first + 6)], starts[np.uint64(first + 7)]
    for at in range(shortest):
        a, i = _step(columns, moves, costs, samples, at0 + at, a, found, 0, i)
        b, j = _step(columns, moves, costs, samples, at1 + at, b, found, 1, j)
        c, k = _step(columns, moves, costs, samples, at2 + at, c, found, 2, k)
        d, m = _step(columns, moves, costs, samples, at3 + at, d, found, 3, m)
        e, n = _step(columns, moves, costs, samples, at4 + at, e, found, 4, n)
        f, o = _step(columns, moves, costs, samples, at5 + at, f, found, 5, o)
        g, p = _step(columns, moves, costs, samples, at6 + at, g, found, 6, p)
        h, q = _step(columns, moves, costs, samples, at7 + at, h, found, 7, q)
    rows, visits = (a, b, c, d, e, f, g, h), (i, j, k, m, n, o, p, q)
    for lane in range(_ABREAST):
        row, visited, document = rows[lane], visits[lane], np.uint64(first + lane)
        for at in range(shortest, lengths[document]):
            row, visited = _step(columns, moves, costs, samples, starts[document] + at, row, found, lane, visited)
        lanes[np.uint64(lane)] = visited


@inlined
def _step(
    columns: U32, moves: U32, costs: U8, samples: U8, at: int, row: np.uint64, found: U32, lane: int, visits: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """The next row, and how many features were found until then."""
    entry = np.uint64(moves[np.uint64(columns[np.uint64(samples[np.uint64(at)])]) + row * _WIDTH])
    after = entry // _FEATURES
    feature = entry - after * _FEATURES
    found[np.uint64(lane), visits] = feature
    prefetch_row(costs, feature)
    return after, visits + np.uint64(feature != _NONE)


@inlined
def _add(
    costs: U8, found: U32, lane: int, visits: int, kinds: U32, keys: U32, counts: U16, sums: U16, scores: F32
) -> None:
    """Costs of all features, each times the logarithm of one plus how often it was found, from 0."""
    line, different, mask = np.uint64(lane), _NONE, np.uint64(keys.size - 1)
    for k in range(visits):
        feature = found[line, np.uint64(k)]
        slot = np.uint64(feature) & mask
        while keys[slot] != feature and keys[slot] != 0:
            slot = (slot + _ONE) & mask
        kinds[_NONE, different] = slot
        different += np.uint64(keys[slot] == 0)
        keys[slot] = feature
        counts[slot] += 1
    for c in range(scores.size):
        scores[np.uint64(c)] = 0
    left, times = int(different), 0
    while left:
        times += 1
        here, later = _NONE, _NONE
        for k in range(left):
            slot = np.uint64(kinds[_NONE, np.uint64(k)])
            last = counts[slot] == times
            kinds[_ONE, here] = keys[slot]
            kinds[_NONE, later] = slot
            here += np.uint64(last)
            later += np.uint64(not last)
            if last:
                keys[slot], counts[slot] = 0, 0
        left = int(later)
        for start in range(0, int(here), _FIT):
            _add_rows(costs, kinds, start, min(int(here), start + _FIT), sums)
            factor = _FACTORS[np.uint64(min(times, _FIT))]
            for c in range(scores.size):
                scores[np.uint64(c)] -= factor * np.float32(sums[np.uint64(c)])


@inlined
def _add_rows(costs: U8, kinds: U32, start: int, stop: int, sums: U16) -> None:
    for i in range(sums.size):
        sums[np.uint64(i)] = 0
    fours = stop - (stop - start) % 4
    for k in range(start, fours, 4):
        one, two = np.uint64(kinds[_ONE, np.uint64(k)]), np.uint64(kinds[_ONE, np.uint64(k + 1)])
        three, four = np.uint64(kinds[_ONE, np.uint64(k + 2)]), np.uint64(kinds[_ONE, np.uint64(k + 3)])
        for i in range(sums.size):
            c = np.uint64(i)
            sums[c] += np.uint16(costs[one, c]) + costs[two, c] + costs[three, c] + costs[four, c]
    for k in range(fours, stop):
        one = np.uint64(kinds[_ONE, np.uint64(k)])
        for i in range(sums.size):
            sums[np.uint64(i)] += costs[one, np.uint64(i)]


@inlined
def _decide(scores: F32, prior: F32, twin: I32, length: int) -> tuple[int, np.float32]:
    """First class of the likeliest language, and its probability; uses up `scores`."""
    scale = np.float32(1.0 / np.sqrt(length))
    for i in range(scores.size):
        c = np.uint64(i)
        scores[c] = (scores[c] * _UNITS + prior[c]) * scale
    # Four at a time, as each comparison and each sum waits for the one before it.
    tops = scores[_NONE], scores[_ONE], scores[_TWO], scores[_THREE]
    for i in range(4, scores.size, 4):
        c = np.uint64(i)
        tops = (
            max(tops[0], scores[c]),
            max(tops[1], scores[c + _ONE]),
            max(tops[2], scores[c + _TWO]),
            max(tops[3], scores[c + _THREE]),
        )
    top = max(max(tops[0], tops[1]), max(tops[2], tops[3]))
    for i in range(scores.size):
        scores[np.uint64(i)] = _exp(scores[np.uint64(i)] - top)
    sums = _ZERO, _ZERO, _ZERO, _ZERO
    for i in range(0, scores.size, 4):
        c = np.uint64(i)
        sums = sums[0] + scores[c], sums[1] + scores[c + _ONE], sums[2] + scores[c + _TWO], sums[3] + scores[c + _THREE]
    for i in range(twin.shape[0]):
        scores[np.uint64(twin[np.uint64(i), _ONE])] += scores[np.uint64(twin[np.uint64(i), _NONE])]
    winner, share = 0, _ZERO
    for i in range(scores.size):
        if scores[np.uint64(i)] > share:
            winner, share = i, scores[np.uint64(i)]
    return winner, share / ((sums[0] + sums[1]) + (sums[2] + sums[3]))


@inlined
def _exp(x: np.float32) -> np.float32:
    """e**x for x up to 0, to five digits; what is less than e**-20 counts as that. Vectors, and the same everywhere."""
    y = max(x, _LEAST) * np.float32(1 / 256)
    y = _UNIT + y * (_UNIT + y * np.float32(1 / 2) * (_UNIT + y * np.float32(1 / 3) * (_UNIT + y * np.float32(1 / 4))))
    for _ in range(8):
        y *= y
    return y
