"""How varied the words are that a model wrote, at equal numbers of words: indices of diversity depend on length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.diversity import Diversity
from detectors.documents import Documents
from detectors.protocols import Device

__all__ = ["INDICES", "PIECE", "lexical_variety"]

INDICES = ("distinct_1", "distinct_2", "distinct_3", "mtld")
"""Fields of `detectors.diversity` that are taken; high is varied."""
PIECE = 200
"""Words of a piece."""


def lexical_variety(texts: Sequence[str], *, piece: int = PIECE) -> dict[str, float]:
    """Mean of each index over pieces of exactly so many words, cut from the texts one after the other.

    What does not fill a piece is left out; NaN where nothing fills one.

    Args:
        texts: what was written, in an order that is the same for all that are compared.
        piece: words of a piece.
    """
    whole = Documents.from_texts(["\n".join(texts)])
    words = whole.words
    starts = words.start[: len(words) - len(words) % piece : piece].tolist()
    ends = words.end[piece - 1 :: piece].tolist()
    content = whole.data.tobytes()
    pieces = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    if not pieces:
        return dict.fromkeys(INDICES, float("nan"))
    found = Diversity(min_words=1).load(Device.CPU)(Documents.from_texts([*pieces]))
    return {name: float(np.nanmean(np.asarray(found.column(name), np.float64))) for name in INDICES}
