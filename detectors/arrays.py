"""Arrow columns from a matrix of numbers, at once: column by column costs more than the kernels that fill them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["float_arrays", "weighted_means"]


def float_arrays(values: npt.NDArray[np.float64], defined: npt.NDArray[np.bool_]) -> list[pa.FloatArray]:
    """k float32 arrays of n rows; null where a value is not a number or its row is not defined.

    Args:
        values: float64[k, n].
        defined: bool[n].
    """
    columns, rows = values.shape
    narrow = np.ascontiguousarray(values, np.float32)
    valid = np.packbits(~np.isnan(narrow) & defined, bitorder="little")
    whole = pa.Array.from_buffers(pa.float32(), columns * rows, [pa.py_buffer(valid), pa.py_buffer(narrow)])
    return [whole.slice(column * rows, rows) for column in range(columns)]


def weighted_means(
    pieces: pa.RecordBatch, names: Sequence[str], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """float64[len(names), 1]: of each column the mean over the rows that have it; NaN where none does.

    Args:
        pieces: k rows; columns of numbers, with nulls.
        names: columns.
        weights: float64[k]; a row of weight 0 does not count.
    """
    means = []
    for name in names:
        values = np.asarray(pieces.column(name).cast(pa.float64()).fill_null(np.nan))
        known = ~np.isnan(values) & (weights > 0)
        means.append(np.average(values[known], weights=weights[known]) if known.any() else np.nan)
    return np.array(means)[:, None]
