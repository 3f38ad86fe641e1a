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
    rows = values.shape[1]
    narrow = values.astype(np.float32)
    valid = np.packbits(~np.isnan(values) & defined, axis=1, bitorder="little")
    kind = pa.float32()
    return [
        pa.Array.from_buffers(kind, rows, [pa.py_buffer(bits), pa.py_buffer(numbers)])
        for bits, numbers in zip(valid, narrow, strict=True)
    ]
