"""Cuts the texts of documents into windows of tokens, and makes document margins of window margins again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.tokens import Tokens, equal_spans

__all__ = ["Margins", "Windows", "cut"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Margins:
    """What a model says of n documents.

    Attributes:
        document: float64[n], mean over windows weighted by their tokens; NaN where no window has a margin.
        windows: list<float32>[n], margins of all windows in order; null for documents of one window or none.
    """

    document: Floats
    windows: pa.ListArray


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of tokens, those of a document together and in order.

    Attributes:
        ids: int64[t] each, with the marks that the model wants around them.
        tokens: int64[w], tokens of each without marks.
        first: int64[n + 1]; windows of document i are `[first[i], first[i + 1])`.
    """

    ids: list[npt.NDArray[np.int64]]
    tokens: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]

    def margins(self, margin: Floats) -> Margins:
        """Put the margins of windows, float64[w] with NaN where undefined, together to those of documents."""
        documents = len(self.first) - 1
        owner = np.repeat(np.arange(documents), np.diff(self.first))
        defined = np.isfinite(margin)
        weight = np.where(defined, self.tokens, 0).astype(np.float64)
        total = np.bincount(owner, weight, documents)
        summed = np.bincount(owner, weight * np.where(defined, margin, 0.0), documents)
        mean = np.where(total > 0, summed / np.maximum(total, 1.0), np.nan)
        values = pa.array(margin.astype(np.float32), mask=~defined)
        lists = pa.ListArray.from_arrays(pa.array(self.first.astype(np.int32)), values)
        several = pa.array(np.diff(self.first) > 1)
        return Margins(mean, pa.array(lists.to_pylist(), pa.list_(pa.float32()), mask=~np.asarray(several)))


def cut(texts: Sequence[str], tokens: Tokens, max_tokens: int) -> Windows:
    """Cut texts into windows of equal size, at most `max_tokens` with their marks; a text without tokens has none."""
    ids, sizes, first = [], [], [0]
    capacity = max(1, max_tokens - tokens.marks)
    for text in texts:
        found = tokens.ids(text)
        for start, stop in equal_spans(len(found), capacity):
            ids.append(tokens.marked(found[start:stop]))
            sizes.append(stop - start)
        first.append(len(ids))
    return Windows(ids, np.array(sizes, np.int64), np.array(first, np.int64))
