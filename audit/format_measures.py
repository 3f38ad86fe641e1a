"""Numbers that say how uniform the form of many documents is: shares, entropies, distances, effective numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.prevalence import Interval, wilson

__all__ = [
    "Compression",
    "Share",
    "compression",
    "effective_number",
    "entropy_bits",
    "jensen_shannon",
    "skeleton_features",
    "top_share",
]

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

TOP = 100
_GROUPS = 20
_T_19 = 2.093
"""0.975 quantile of Student's t with 19 degrees of freedom."""
_LEVEL = 9
_GRAMS = 3
_GRAM_BASE = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval.

    Attributes:
        share: 0 to 1.
        interval: 95 %.
        rows: that it was counted over.
    """

    share: float
    interval: Interval
    rows: int


def top_share(skeletons: U64) -> Share | None:
    """Share of rows in the 100 most frequent skeletons that two rows or more have; None without rows.

    The interval is that of a delete-a-group jackknife over 20 groups of rows (Kott 2001, J. Off. Stat. 17:521), in
    which the 100 are chosen anew each time, and nowhere narrower than Wilson's interval of a share of so many rows.

    Args:
        skeletons: uint64[n], in random order: row i is of group i modulo 20.
    """
    n = len(skeletons)
    if not n:
        return None
    _, ids = np.unique(skeletons, return_inverse=True)
    share = _shared(np.bincount(ids), n)
    group = np.arange(n) % _GROUPS
    base = wilson(round(share * n), n)
    if n < 2 * _GROUPS:
        return Share(share, base, n)
    # Skeletons of one row count in no group either.
    counts = np.bincount(ids)
    repeated = counts > 1
    number = np.cumsum(repeated) - 1
    kept = repeated[ids]
    size = int(repeated.sum())
    by_group = np.bincount(group[kept] * size + number[ids[kept]], minlength=_GROUPS * size).reshape(_GROUPS, size)
    left = counts[repeated] - by_group
    sizes = n - np.bincount(group, minlength=_GROUPS)
    replicates = np.array([_shared(row, int(rows)) for row, rows in zip(left, sizes, strict=True)])
    spread = (_GROUPS - 1) / _GROUPS * float(((replicates - replicates.mean()) ** 2).sum())
    half = _T_19 * math.sqrt(spread)
    low, high = min(base.low, max(0.0, share - half)), max(base.high, min(1.0, share + half))
    return Share(share, Interval(low, high), n)


def _shared(counts: npt.NDArray[np.int64], n: int) -> float:
    several = counts[counts > 1]
    if len(several) > TOP:
        several = np.partition(several, len(several) - TOP)[-TOP:]
    return float(several.sum() / n)


def entropy_bits(values: U64) -> float | None:
    """Entropy of the values' frequencies in bits, at most log2 of their number; None without values."""
    if not len(values):
        return None
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def jensen_shannon(first: U64, second: U64) -> float:
    """Distance of two samples' frequencies: root of the Jensen-Shannon divergence in bits, 0 to 1 (Lin 1991).

    Samples of equal size, for rare values make small samples differ more.
    """
    values, ids = np.unique(np.concatenate([first, second]), return_inverse=True)
    p = np.bincount(ids[: len(first)], minlength=len(values)) / len(first)
    q = np.bincount(ids[len(first) :], minlength=len(values)) / len(second)
    middle = (p + q) / 2
    return math.sqrt(max(0.0, (_relative(p, middle) + _relative(q, middle)) / 2))


def _relative(p: F64, q: F64) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())


def effective_number(features: F64) -> float:
    """Vendi score of Friedman and Dieng 2023 (arXiv:2210.02410): exp of the entropy of the eigenvalues of K / n.

    1 when all rows are alike, n when no two have anything in common.

    Args:
        features: float64[n, d], rows of length 1; K is their cosines.
    """
    kernel = features @ features.T / len(features)
    values = np.linalg.eigvalsh(kernel)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def skeleton_features(tokens: U64, offsets: npt.NDArray[np.int64]) -> F64:
    """float64[n, d]: square roots of the counts of masked 1- to 3-grams of each document, scaled to length 1.

    Args:
        tokens: uint64[m], of `detectors.skeletons.masked_words`.
        offsets: int64[n + 1], ascending; document i is `tokens[offsets[i] : offsets[i + 1]]`, of one token at least.
    """
    rows: list[npt.NDArray[np.int64]] = []
    grams: list[U64] = []
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    gram = np.zeros(len(tokens), np.uint64)
    for n in range(1, _GRAMS + 1):
        ends = len(tokens) - n + 1
        if ends <= 0:
            break
        gram = gram[:ends] * _GRAM_BASE + (tokens[n - 1 :] ^ np.uint64(n))
        inside = owner[:ends] == owner[n - 1 :]
        rows.append(owner[:ends][inside])
        grams.append(gram[inside])
    _, columns = np.unique(np.concatenate(grams), return_inverse=True)
    features = np.zeros((len(offsets) - 1, int(columns.max()) + 1))
    np.add.at(features, (np.concatenate(rows), columns), 1.0)
    features = np.sqrt(features)
    scaled: F64 = features / np.linalg.norm(features, axis=1, keepdims=True)
    return scaled


@dataclass(frozen=True)
class Compression:
    """How well text compresses as it is, and with its words shuffled: what they differ by is order, not vocabulary.

    Attributes:
        ratio: bytes / compressed bytes (Zstandard, level 9).
        shuffled: the same after a shuffle of all words.
        size_bytes: of the sample.
    """

    ratio: float
    shuffled: float
    size_bytes: int

    @property
    def gain(self) -> float:
        """Ratio over that of the shuffled words; 1 where order holds nothing."""
        return self.ratio / self.shuffled


def compression(text: bytes, seed: int) -> Compression | None:
    """Compression of a text; None where it has no words."""
    words = text.split()
    if not words:
        return None
    plain = b" ".join(words)
    order = np.random.default_rng(seed).permutation(len(words))
    shuffled = b" ".join([words[at] for at in order.tolist()])
    codec = pa.Codec("zstd", compression_level=_LEVEL)
    sizes = [len(codec.compress(each, asbytes=True)) for each in (plain, shuffled)]
    return Compression(len(plain) / sizes[0], len(plain) / sizes[1], len(plain))
