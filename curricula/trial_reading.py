"""Reads what a trial left in its folder, for a report: results, and learning curves as a chart can show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audit.report.content_training import Curve, TrialArm, TrialChange, Trials
from detectors.errors import InputError

__all__ = ["read_trial"]

FORMAT, VERSION = "foxing-trial", 1
_MOST_POINTS = 120
_SMOOTH = 25
Floats = npt.NDArray[np.float64]


def read_trial(folder: Path) -> Trials:
    """The result in FOLDER/trial.json and the losses in FOLDER/ARM/seed-N/metrics.jsonl.

    Arms without losses have no curve.

    Raises:
        InputError: no finished trial there, one of another version, or one that is damaged.
    """
    path = folder / "trial.json"
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Name the folder of a finished foxing trial.") from error
    kind, version = (document.get("format"), document.get("version")) if isinstance(document, dict) else (None, None)
    if (kind, version) != (FORMAT, VERSION):
        raise InputError(f"{path}: is {kind!r} {version!r}, not {FORMAT} {VERSION}. Run the trial with this foxing.")
    try:
        return _trials(document, folder)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error!r}). Run the trial again: finished runs are kept.") from error


def _trials(document: Mapping[str, object], folder: Path) -> Trials:
    runs = _objects(document["runs"])
    arms = list(dict.fromkeys(str(run["arm"]) for run in runs))
    seeds = sorted({int(str(run["seed"])) for run in runs})
    curves = [_curve(folder, arm, seeds) for arm in arms]
    return Trials(
        digest=str(document["digest"]),
        tokens=int(str(document["tokens"])),
        seeds=len(seeds),
        curves=tuple(curve for curve in curves if curve is not None),
        arms=tuple(
            TrialArm(
                str(row["arm"]),
                str(row["test"]),
                str(row["metric"]),
                _number(row["mean"]),
                _number(row["low"]),
                _number(row["high"]),
            )
            for row in _objects(document["arms"])
        ),
        changes=tuple(
            TrialChange(
                str(row["name"]),
                str(row["metric"]),
                _number(row["difference"]),
                _number(row["low"]),
                _number(row["high"]),
                _number(row["p_corrected"]),
            )
            for row in _objects(document["contrasts"])
        ),
    )


def _objects(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise TypeError("not a list of objects")
    return value


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _curve(folder: Path, arm: str, seeds: Sequence[int]) -> Curve | None:
    """Training losses at the updates that all seeds have, smoothed as in the trial's own picture."""
    rows = [_losses(folder / arm / f"seed-{seed}" / "metrics.jsonl") for seed in seeds]
    steps = min(map(len, rows))
    if not steps:
        return None
    table = np.array([row[:steps] for row in rows], np.float64)
    window = max(1, min(_SMOOTH, steps // 10))
    kernel = np.ones(window) / window
    smooth = np.array([np.convolve(row, kernel, "valid") for row in table[:, :, 1]])
    tokens = table[0, window - 1 :, 0]
    kept = np.unique(np.linspace(0, len(tokens) - 1, min(_MOST_POINTS, len(tokens))).round().astype(int))
    low, high = smooth.min(axis=0), smooth.max(axis=0)
    return Curve(arm, *(_thinned(values, kept) for values in (tokens, smooth.mean(axis=0), low, high)))


def _thinned(values: Floats, kept: npt.NDArray[np.int64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values[kept])


def _losses(path: Path) -> list[tuple[float, float]]:
    if not path.is_file():
        return []
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    return [(float(line["tokens"]), float(line["loss"])) for line in lines if line.get("loss") is not None]
