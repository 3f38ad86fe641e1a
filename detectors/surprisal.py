"""How a text reads to a language model: numbers from the log probabilities of its tokens.

surprisal       minus log2 p of a token: bits that an ideal coder would spend on it
Min-K%          mean log p of the K % least probable tokens (Shi et al. 2024, arXiv 2310.16789)
Min-K%++        mean of the K % lowest z = (log p - mean) / standard deviation, both of log p over the vocabulary
                under the model's own prediction (Zhang et al. 2024, arXiv 2404.02936)
bits per byte   sum of surprisal over the UTF-8 bytes of the tokens; the model as a compressor
                (Delétang et al. 2024, arXiv 2309.10668)
zlib ratio      the model's bits over those of DEFLATE for the same bytes (Carlini et al. 2021, arXiv 2012.07805)
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Surprisal", "lowest_mean", "standardised", "summary"]

Floats = npt.NDArray[np.float64]
_LEAST_VARIANCE = 1e-6
_ZLIB_LEVEL = 6
_RAW = -15


@dataclass(frozen=True)
class Surprisal:
    """What the tokens of one text come to.

    Attributes:
        mean: bits a token.
        tail: 95th percentile of surprisal, bits.
        surprising: share of tokens whose surprisal is above the threshold, 0 to 1.
        min_k: Min-K%, mean log2 p (the paper's natural logarithm divided by log 2).
        min_k_plus: Min-K%++, in standard deviations.
        bits_per_byte: of the model; None where the tokens span no bytes.
        zlib_ratio: model bits over DEFLATE bits; None where the tokens span no bytes.
    """

    mean: float
    tail: float
    surprising: float
    min_k: float
    min_k_plus: float
    bits_per_byte: float | None
    zlib_ratio: float | None


def lowest_mean(values: Floats, share: float) -> float:
    """Mean of the lowest `share` of values, rounded down, at least one: as the authors' code of Min-K% has it."""
    count = max(1, int(len(values) * share))
    return float(np.partition(values, count - 1)[:count].mean())


def standardised(log_p: Floats, mean: Floats, variance: Floats) -> Floats:
    """float64[n]: z of each token. A variance under 1e-6 counts as that: float32 gives a smaller one no digits."""
    z: Floats = (log_p - mean) / np.sqrt(np.maximum(variance, _LEAST_VARIANCE))
    return z


def summary(
    log_p: Floats, mean: Floats, variance: Floats, spans: Sequence[bytes], *, share: float, threshold: float
) -> Surprisal:
    """Put the tokens of one text together.

    Args:
        log_p: float64[n], natural log probability of each token that was scored, n of 1 or more.
        mean: float64[n], its mean under the model's prediction.
        variance: float64[n], its variance.
        spans: UTF-8 bytes that these tokens stand for, one run a window.
        share: of tokens that Min-K% looks at, over 0 to 1.
        threshold: bits above which a token is surprising.
    """
    bits = -log_p / np.log(2.0)
    size = sum(map(len, spans))
    coder = zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, _RAW)
    packed = sum(len(coder.compress(span)) for span in spans) + len(coder.flush())
    return Surprisal(
        mean=float(bits.mean()),
        tail=float(np.percentile(bits, 95.0)),
        surprising=float((bits > threshold).mean()),
        min_k=lowest_mean(-bits, share),
        min_k_plus=lowest_mean(standardised(log_p, mean, variance), share),
        bits_per_byte=float(bits.sum()) / size if size else None,
        zlib_ratio=float(bits.sum()) / (8 * packed) if size else None,
    )
