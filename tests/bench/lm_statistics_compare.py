"""Whether scores that know more rank better than the fast margin does: areas by source, paired intervals, signs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.frozen_sample import MIRROR, MODERN, OTHER
from tests.bench.detector_stats import auroc, mean_interval, true_positive_rate, upper_tail

__all__ = ["BASE", "areas", "compared", "paired_interval"]

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]
BASE = "fast tier"
_LEAST = 8
DRAWS, _SEED = 2000, 17
_POOLED, _OWN = 0.01, 0.05


def compared(frame: pl.DataFrame, scores: Mapping[str, Floats]) -> list[Row]:
    """A row for each name in `scores`, the first of which is `BASE`.

    Args:
        frame: label, unit and group of n documents.
        scores: float64[n] each.
    """
    english = (frame["group"] != OTHER).to_numpy()
    newer = frame["group"].is_in([MODERN, MIRROR]).to_numpy()
    return [
        {
            "scores": name,
            **_macro(frame, scores, name, english),
            "older_generators": _macro(frame, scores, name, english & ~newer),
            "newer_generators": _macro(frame, scores, name, english & newer),
            "other_languages": _macro(frame, scores, name, ~english),
            "tpr_at_1_of_all": _pooled(frame, values, english),
            "tpr_at_5_of_own": _own(frame, values, english),
        }
        for name, values in scores.items()
    ]


def areas(frame: pl.DataFrame, scores: Mapping[str, Floats]) -> list[Row]:
    """AUROC of every name in `scores`, a row for each source and what was left out with it."""
    found = []
    for unit, group in sorted(frame.select("unit", "group").unique().iter_rows()):
        rows = ((frame["unit"] == unit) & (frame["group"] == group)).to_numpy()
        label = _label(frame)[rows]
        counts = {"human": int((label == 0).sum()), "machine": int((label == 1).sum())}
        values = {name: auroc(label, one[rows]) for name, one in scores.items()}
        found.append({"source": unit, "left_out_with": group, **counts, "auroc": values})
    return found


def _macro(frame: pl.DataFrame, scores: Mapping[str, Floats], name: str, rows: npt.NDArray[np.bool_]) -> Row:
    part = frame.filter(pl.Series(rows))
    mine = [one for one in areas(part, {key: scores[key][rows] for key in (BASE, name)}) if _large(one)]
    gains = np.array([one["auroc"][name] - one["auroc"][BASE] for one in mine])
    values = np.array([one["auroc"][name] for one in mine])
    low, high = mean_interval(values)
    found: Row = {
        "sources": len(mine),
        "auroc": float(values.mean()) if len(mine) else math.nan,
        "low": low,
        "high": high,
    }
    if name == BASE or not len(mine):
        return found
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    lower, upper = paired_interval(part, scores[BASE][rows], scores[name][rows], draws=DRAWS)
    sign = min(1.0, 2 * upper_tail(max(better, worse), better + worse, 0.5))
    return {
        **found,
        "gain": float(gains.mean()),
        "gain_low": lower,
        "gain_high": upper,
        "better": better,
        "worse": worse,
        "sign_p": sign,
    }


def _large(area: Row) -> bool:
    return min(area["human"], area["machine"]) >= _LEAST


def paired_interval(frame: pl.DataFrame, base: Floats, other: Floats, *, draws: int) -> tuple[float, float]:
    """95 % interval of the mean gain in AUROC over sources: sources are drawn again, and in each its documents.

    The heads are not fitted again, so the interval speaks of other sources and documents, not of other heads.
    """
    label, random = _label(frame), np.random.default_rng(_SEED)
    gains = []
    for unit in sorted(frame["unit"].unique()):
        rows = np.flatnonzero((frame["unit"] == unit).to_numpy())
        human, machine = rows[label[rows] == 0], rows[label[rows] == 1]
        if min(len(human), len(machine)) >= _LEAST:
            gains.append(_ordered(other, machine, human) - _ordered(base, machine, human))
    means = np.empty(draws)
    for draw in range(draws):
        chosen = [gains[at] for at in random.integers(len(gains), size=len(gains)).tolist()]
        means[draw] = np.mean([_redrawn(len(one), random) @ one @ _redrawn(one.shape[1], random) for one in chosen])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _ordered(values: Floats, machine: npt.NDArray[np.int64], human: npt.NDArray[np.int64]) -> Floats:
    """float64[machine, human]: 1 where the machine text has the larger value, 0.5 where both are alike."""
    one, two = values[machine][:, None], values[human][None, :]
    found: Floats = (one > two) + 0.5 * (one == two)
    return found


def _redrawn(size: int, random: np.random.Generator) -> Floats:
    """float64[size], sum 1: how often each of `size` comes when as many are drawn with replacement."""
    return random.multinomial(size, np.full(size, 1 / size)) / size


def _pooled(frame: pl.DataFrame, values: Floats, rows: npt.NDArray[np.bool_]) -> float:
    """Share of machine text found where 1 % of all human text of unseen sources is let through."""
    return true_positive_rate(_label(frame)[rows], values[rows], _POOLED)


def _own(frame: pl.DataFrame, values: Floats, rows: npt.NDArray[np.bool_]) -> float:
    """Mean over sources of the share found where 5 % of the source's own human text is let through."""
    label, unit = _label(frame)[rows], frame["unit"].to_numpy()[rows]
    found = [true_positive_rate(label[unit == one], values[rows][unit == one], _OWN) for one in np.unique(unit)]
    known = [one for one in found if not math.isnan(one)]
    return float(np.mean(known)) if known else math.nan


def _label(frame: pl.DataFrame) -> npt.NDArray[np.int64]:
    return frame["label"].to_numpy().astype(np.int64)
