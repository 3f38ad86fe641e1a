"""Calibrates at read time: a raw detector margin becomes a p-value against human text and a probability.

Margins belong to a model, which the `tier` column names. The bundled reference is for the bundled model alone; a
reference of the user's own text (`foxing calibrate`) may stand in for it by group, or give other models one. A margin
without a reference has no `p_human`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from audit.own_calibration import OwnCalibration
from audit.reference_file import EVERYTHING, Model, read_reference
from detectors.errors import ConfigError, FindingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from audit.findings_folder import Findings
    from detectors.ai_text.reference import ErrorRate, Reference

    Floats = npt.NDArray[np.float64]
    Names = npt.NDArray[np.str_]

__all__ = [
    "GROUP_COLUMNS",
    "SIGNAL",
    "Calibration",
    "OwnCalibration",
    "calibrated",
    "check_version",
    "current_model",
    "reference",
    "reference_margins",
    "tables_for",
    "tables_of",
    "uncalibrated",
    "window_p_human",
]

SIGNAL = "ai_text"
GROUP_COLUMNS = ("domain", "source")
"""Columns of findings that hold the group of a row; the first whose value is a group of the reference counts."""


class Calibration(Protocol):
    """What is known of a detector: tables that give its margins a meaning, and how often it errs.

    Arrays have one entry a document, NaN where undefined. `style` is None where findings have none.
    """

    @property
    def digest(self) -> str:
        """Hex digest of the tables, for signatures."""
        ...

    @property
    def tier(self) -> str:
        """Name of the model that the tables are for, as the `tier` column has it."""
        ...

    def p_human(
        self, margin: Floats, language: Names, length: Floats, style: Floats | None = None
    ) -> npt.NDArray[np.float32]:
        """P-value of each margin among human documents of that language and style."""
        ...

    def score(
        self, margin: Floats, language: Names, length: Floats, style: Floats | None = None
    ) -> npt.NDArray[np.float32]:
        """Probability of being machine-written at the stated prior."""
        ...

    def error_rates(self, fpr: float) -> Sequence[ErrorRate]:
        """How many documents of each labelled source have `p_human <= fpr`."""
        ...


@cache
def reference() -> Reference:
    """The calibration tables that lie beside the bundled detector, read once.

    Raises:
        SignalError: a table is missing or damaged.
    """
    from detectors.ai_text.reference import load_reference

    return load_reference()


@cache
def tables_for(path: Path | None) -> Calibration:
    """The bundled tables, with the user's reference before them where a file is named.

    Raises:
        ConfigError: the file cannot be used, or was made with another model or calibration than the bundled ones.
        SignalError: a bundled table is missing or damaged.
    """
    if path is None:
        return reference()
    from detectors.ai_text import AiText

    own = read_reference(path)
    expected = current_model(own.model.tier, AiText.version)
    if own.model != expected:
        raise ConfigError(
            f"{path}: was made with another {SIGNAL} ({own.model}; now {expected}). Run foxing calibrate again."
        )
    return OwnCalibration(reference(), own)


def tables_of(findings: Findings) -> Calibration | None:
    """The tables by which these findings are to be judged; None is the bundled ones, loaded when they are needed.

    Raises:
        ConfigError: as `tables_for`.
        FindingsError: another version of the detector gave the margins.
    """
    check_version(findings)
    return None if findings.reference is None else tables_for(findings.reference)


def check_version(findings: Findings) -> None:
    """Refuse margins of another version of the detector: they are on another scale, and tables would misjudge them.

    Raises:
        FindingsError: the findings hold such margins.
    """
    from detectors.ai_text import AiText

    for signal in findings.measured:
        if signal.name == SIGNAL and signal.version != AiText.version:
            raise FindingsError(
                f"{findings.directory}: {SIGNAL} was scanned in version {signal.version}, whose margins mean nothing "
                f"in version {AiText.version}. Run foxing scan again with --fresh, or into another folder."
            )


def current_model(tier: str, version: int) -> Model:
    """What margins of a tier are of, in this version of foxing."""
    from detectors.ai_text.model import MODEL_DIR, read_arrays

    if tier != reference().tier:
        return Model(version, tier, "", "")
    return Model(version, tier, read_arrays(MODEL_DIR, "fast.npz")[1][:32], reference().digest)


def uncalibrated(tiers: Iterable[str], tables: Calibration | None = None) -> str | None:
    """Why margins of some of these tiers have no `p_human`; None where all have one."""
    known = {(tables or reference()).tier}
    if isinstance(tables, OwnCalibration):
        known.add(tables.own.model.tier)
    missing = sorted(set(tiers) - known)
    if not missing:
        return None
    return (
        f"margins of {', '.join(missing)} have no human reference: make one of your own text with foxing calibrate, "
        "and name it as reference in [calibration]"
    )


def calibrated(frame: pl.DataFrame, tables: Calibration | None = None) -> pl.DataFrame:
    """The frame with `ai_text.p_human` and `ai_text.score` (float32), null without a margin or a reference for it.

    Where the frame has the margins of windows, `ai_text.machine_share` is there too: the mean score of the windows of a
    document, which for a page of human and machine-written passages lies between; the score where there is one window.

    Args:
        frame: a part of findings; without `ai_text` it comes back as it is.
        tables: calibration to use; None takes the bundled one.
    """
    import numpy as np
    import polars as pl

    if SIGNAL not in frame.columns:
        return frame
    rows = _Rows.of(frame)
    chosen = tables or reference()
    ours = ~np.isnan(rows.margin) & ((rows.tier == chosen.tier) | (rows.tier == ""))
    added = {}
    score = _score(rows, chosen, ours)
    values = {"p_human": _p_human(rows, chosen, ours), "score": score}
    if "windows" in frame[SIGNAL].struct.fields:
        values["machine_share"] = _machine_share(frame, rows, chosen, score)
    for name, column in values.items():
        added[name] = pl.Series(name, column.astype(np.float32)).fill_nan(None)
    present = frame[SIGNAL].is_not_null()
    struct = pl.col(SIGNAL).struct.with_fields(**added)
    return frame.with_columns(pl.when(pl.lit(present)).then(struct).otherwise(None).alias(SIGNAL))


def _machine_share(frame: pl.DataFrame, rows: _Rows, tables: Calibration, score: Floats) -> Floats:
    """float64[n]: mean score over the windows of each document."""
    import numpy as np

    pieces, whole, counts = _windows(frame, rows)
    ours = ~np.isnan(pieces.margin) & ((pieces.tier == tables.tier) | (pieces.tier == ""))
    sums = np.bincount(whole, _score(pieces, tables, ours), len(counts))
    return np.where((counts > 0) & ~np.isnan(score), sums / np.maximum(counts, 1), score)


def _windows(frame: pl.DataFrame, rows: _Rows) -> tuple[_Rows, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All windows as documents of the language, style and group of the whole; whose each is; how many each has."""
    import numpy as np

    windows = frame[SIGNAL].struct.field("windows")
    counts = windows.list.len().fill_null(0).to_numpy().astype(np.int64)
    whole = np.repeat(np.arange(len(windows)), counts)
    margin = _floats(windows.drop_nulls().list.explode(empty_as_null=False))
    pieces = rows.take(whole)
    return dataclasses.replace(pieces, margin=margin, length=pieces.length / counts[whole]), whole, counts


def window_p_human(frame: pl.DataFrame, tables: Calibration | None = None) -> pl.Series:
    """list<float32>: `p_human` of every window of each document, null where a document has no windows.

    A window is judged as a document of the language, style and group of the whole.
    """
    import numpy as np
    import polars as pl

    rows, whole, counts = _windows(frame, _Rows.of(frame))
    chosen = tables or reference()
    ours = ~np.isnan(rows.margin) & ((rows.tier == chosen.tier) | (rows.tier == ""))
    flat = pl.DataFrame({"at": whole, "p": pl.Series(_p_human(rows, chosen, ours).astype(np.float32)).fill_nan(None)})
    lists = flat.group_by("at", maintain_order=True).agg("p")
    at = pl.DataFrame({"at": np.arange(len(counts))})
    return at.join(lists, on="at", how="left", maintain_order="left")["p"].rename("windows")


def reference_margins(frame: pl.DataFrame, group: str | None) -> pl.DataFrame:
    """Columns group, tier and margin of the rows of findings that have one: what a reference is made of.

    Args:
        frame: a part of findings.
        group: `domain` or `source`; None puts every row into one group.

    Margins of the bundled model are adjusted for language and style, as they are when they are judged.
    """
    import numpy as np
    import polars as pl

    rows = _Rows.of(frame)
    margin = _comparable(rows, reference())
    names = pl.lit(EVERYTHING) if group is None else pl.col(group)
    found = frame.select(names.alias("group"), pl.Series("tier", rows.tier.astype(object).tolist(), pl.String))
    known = pl.Series(~np.isnan(margin)) & frame[SIGNAL].is_not_null()
    return found.with_columns(pl.Series("margin", margin)).filter(known)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What calibration looks at, one entry a document."""

    margin: Floats
    language: Names
    length: Floats
    style: Floats | None
    tier: Names
    groups: tuple[Names, ...]

    @classmethod
    def of(cls, frame: pl.DataFrame) -> _Rows:
        fields = frame[SIGNAL].struct
        return cls(
            margin=_floats(fields.field("margin")),
            language=_names(fields.field("language"), "und"),
            length=_floats(fields.field("length")),
            style=_style(fields.field("style")) if "style" in fields.fields else None,
            tier=_names(fields.field("tier"), ""),
            groups=tuple(_names(frame[name], "") for name in GROUP_COLUMNS if name in frame.columns),
        )

    def take(self, at: npt.NDArray[np.int64]) -> _Rows:
        style = None if self.style is None else self.style[at]
        groups = tuple(names[at] for names in self.groups)
        return _Rows(self.margin[at], self.language[at], self.length[at], style, self.tier[at], groups)


def _p_human(rows: _Rows, tables: Calibration, ours: npt.NDArray[np.bool_]) -> Floats:
    import numpy as np

    bundled = _with_style(tables.p_human, rows)
    found = np.where(ours, bundled.astype(np.float64), np.nan)
    if isinstance(tables, OwnCalibration):
        own = tables.own
        margin = np.where(rows.tier == own.model.tier, _comparable(rows, tables.bundled), np.nan)
        for names in (*reversed(rows.groups), *([np.full(len(margin), EVERYTHING)] if not rows.groups else [])):
            p = own.p_human(margin, names)
            found = np.where(np.isnan(p), found, p)
    return found


def _score(rows: _Rows, tables: Calibration, ours: npt.NDArray[np.bool_]) -> Floats:
    import numpy as np

    return np.where(ours, _with_style(tables.score, rows).astype(np.float64), np.nan)


class _Table(Protocol):
    def __call__(
        self, margin: Floats, language: Names, length: Floats, style: Floats | None = None
    ) -> npt.NDArray[np.float32]: ...


def _with_style(table: _Table, rows: _Rows) -> npt.NDArray[np.float32]:
    return table(rows.margin, rows.language, rows.length, rows.style)


def _comparable(rows: _Rows, bundled: Reference) -> Floats:
    """Adjusted margins where the bundled model gave them, raw ones where another did."""
    import numpy as np

    adjusted = bundled.adjustment(rows.margin, rows.language, rows.style)
    return np.where(rows.tier == bundled.tier, adjusted, rows.margin)


def _floats(series: pl.Series) -> Floats:
    import polars as pl

    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _names(series: pl.Series, absent: str) -> Names:
    import numpy as np
    import polars as pl

    return series.cast(pl.String).fill_null(absent).to_numpy().astype(np.str_)


def _style(series: pl.Series) -> Floats:
    """float64[n, k]: lists of k numbers; NaN where null."""
    import numpy as np
    import polars as pl

    from detectors.ai_text.adjustment import STYLE

    lists = series.cast(pl.List(pl.Float64))
    found = np.full((len(lists), len(STYLE)), np.nan)
    known = np.flatnonzero((lists.list.len() == len(STYLE)).fill_null(False).to_numpy())
    values = lists.gather(known).list.explode(empty_as_null=False).fill_null(float("nan")).to_numpy()
    found[known] = values.reshape(len(known), len(STYLE))
    return found
