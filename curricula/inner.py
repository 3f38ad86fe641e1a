"""An order inside another: what curricula that arrange the order of another one build it with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curricula.composing import resolve
from curricula.protocols import Curriculum, Editing
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["inner", "keys_of"]

I64 = npt.NDArray[np.int64]


def inner(name: str, seed: int, where: str) -> Curriculum:
    """The curriculum that is registered under a name, with its default settings.

    Raises:
        ConfigError: it sets no order, or does more than that.
        PluginError: there is none of that name.
    """
    (found,) = resolve((name,), seed)
    if not found.orders or isinstance(found, Editing) or getattr(found, "resamples", False):
        raise ConfigError(f"{where} = {name!r} does not just set an order. Name one that does, such as human-first.")
    return found


def keys_of(curriculum: Curriculum, decided: pl.LazyFrame) -> I64:
    """int64[n], by corpus position: the rank that a curriculum gives each row, the largest number if it gives none."""
    import polars as pl

    last = np.iinfo(np.int64).max
    rank = pl.col("rank").cast(pl.Int64).fill_null(last)
    frame = curriculum.rank(decided).select("index", rank).collect(engine="streaming")
    if not frame["index"].is_sorted():
        frame = frame.sort("index")
    return frame["rank"].to_numpy()
