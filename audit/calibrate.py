"""Calibrates at read time: a raw detector margin becomes a conformal p-value and a probability."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from detectors.ai_text.calibration import ErrorRate

    Floats = npt.NDArray[np.float64]
    Names = npt.NDArray[np.str_]

__all__ = ["SIGNAL", "Calibration", "calibrated", "reference"]

SIGNAL = "ai_text"


class Calibration(Protocol):
    """What is known of a detector: tables that give its margins a meaning, and how often it errs.

    Arrays have one entry a document, NaN where undefined.
    """

    @property
    def digest(self) -> str:
        """Hex digest of the tables, for signatures."""
        ...

    def p_human(self, margin: Floats, language: Names, length: Floats) -> npt.NDArray[np.float32]:
        """Conformal p-value of each margin among human documents of that language and length."""
        ...

    def score(self, margin: Floats, language: Names, length: Floats) -> npt.NDArray[np.float32]:
        """Probability of being machine-written at the stated prior."""
        ...

    def error_rates(self, fpr: float) -> Sequence[ErrorRate]:
        """How many documents of each labelled source have `p_human <= fpr`."""
        ...


@cache
def reference() -> Calibration:
    """The calibration tables that lie beside the bundled detector, read once.

    Raises:
        SignalError: a table is missing or damaged.
    """
    from detectors.ai_text.calibration import load_reference

    return load_reference()


def calibrated(frame: pl.DataFrame, tables: Calibration | None = None) -> pl.DataFrame:
    """The frame with `ai_text.p_human` and `ai_text.score` (float32), null where the margin is null.

    Args:
        frame: a part of findings; without `ai_text` it comes back as it is.
        tables: calibration to use; None takes the bundled one.
    """
    import numpy as np
    import polars as pl

    if SIGNAL not in frame.columns:
        return frame
    fields = frame[SIGNAL].struct
    margin = _floats(fields.field("margin"))
    language = fields.field("language").fill_null("und").to_numpy().astype(np.str_)
    length = _floats(fields.field("length"))
    chosen = tables or reference()
    added = {}
    for name, values in (
        ("p_human", chosen.p_human(margin, language, length)),
        ("score", chosen.score(margin, language, length)),
    ):
        known = np.where(np.isnan(margin), np.nan, values).astype(np.float32)
        added[name] = pl.Series(name, known).fill_nan(None)
    present = frame[SIGNAL].is_not_null()
    struct = pl.col(SIGNAL).struct.with_fields(**added)
    return frame.with_columns(pl.when(pl.lit(present)).then(struct).otherwise(None).alias(SIGNAL))


def _floats(series: pl.Series) -> Floats:
    import polars as pl

    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
