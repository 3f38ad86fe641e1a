"""Arrow columns from a matrix of numbers, at once: column by column costs more than the kernels that fill them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["float_arrays"]


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
