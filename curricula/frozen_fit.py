"""Fits the head that the encoder tier puts on a frozen language model, and judges every source with it left out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.frozen_sample import EXTRA, MIRROR, MODERN, WEB
from detectors.ai_text.frozen import pooled
from detectors.ai_text.windows import cut
from detectors.errors import InputError
from detectors.language_model import LanguageModel

__all__ = ["Head", "claim", "fit_head", "home", "left_out", "read_states", "state_files", "weights_of", "write_states"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

_PART = 50
_ABOUT = "states.json"
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map of pooled states.

    Attributes:
        weights: float64[k].
        bias: of a state of zeros.
    """

    weights: Floats
    bias: float

    def of(self, states: Floats) -> Floats:
        """float64[n] of float64[n, k], higher is more machine-like."""
        found: Floats = states @ self.weights + self.bias
        return found


def claim(work: Path, about: Mapping[str, object]) -> None:
    """Note in a folder of states what they are of.

    Raises:
        InputError: it holds states of something else.
    """
    path, wanted = work / _ABOUT, dict(about)
    if state_files(work):
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            found = {}
        other = ", ".join(key for key in wanted if found.get(key) != wanted[key])
        if other:
            raise InputError(f"{work}: holds states of other {other}. Name another folder, or empty this one.")
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted, indent=2) + "\n", "utf-8")


def write_states(
    sample: pl.DataFrame, model: LanguageModel, layers: Sequence[int], max_tokens: int, work: Path
) -> None:
    """Pool the states of documents that `work` has none of yet, in parts of 50; what is there is kept.

    Args:
        sample: row and text.
        model: whose states.
        layers: after which.
        max_tokens: of a window; documents are cut as a scan cuts them.
        work: folder of the parts: row, window (its number in the document), tokens, pooled.
    """
    work.mkdir(parents=True, exist_ok=True)
    found = state_files(work)
    done = set(read_states(work)["row"]) if found else set()
    left = sample.filter(~pl.col("row").is_in(list(done)))
    for at in range(0, left.height, _PART):
        part = left[at : at + _PART]
        windows = cut(part["text"].to_list(), model.tokens, max_tokens)
        owner = np.repeat(part["row"].to_numpy(), np.diff(windows.first))
        columns = {
            "row": pl.Series(owner, dtype=pl.UInt32),
            "tokens": pl.Series(windows.tokens),
            "pooled": pl.Series(pooled(model, windows.ids, layers)).cast(pl.List(pl.Float32)),
        }
        temporary = work / ".part.tmp"
        pl.DataFrame(columns).write_parquet(temporary)
        temporary.rename(work / f"part-{len(found) + at // _PART:05d}.parquet")
        sys.stderr.write(f"{at + part.height} of {left.height} documents read ...\n")


def state_files(work: Path) -> list[Path]:
    """What `write_states` wrote."""
    return sorted(work.glob("part-*.parquet"))


def read_states(work: Path) -> pl.DataFrame:
    """Columns row, tokens and pooled, a row a window."""
    return pl.concat([pl.read_parquet(path, columns=["row", "tokens", "pooled"]) for path in state_files(work)])


def home(frame: pl.DataFrame) -> Names:
    """str[n]: what each row is left out with: its group if it is measured in one, else what its text is of."""
    own = (
        pl.when(pl.col("split").is_in([MODERN, WEB]))
        .then(pl.lit(MODERN))
        .when(pl.col("split") == "mirror")
        .then(pl.lit(MIRROR))
        .otherwise(pl.col("family"))
    )
    chosen = pl.when(pl.col("group") == EXTRA).then(own).otherwise(pl.col("group"))
    return frame.select(chosen.alias("home")).to_series().to_numpy().astype(np.str_)


def weights_of(label: Integers, unit: Names) -> Floats:
    """float64[n], mean 1: a unit's class of n rows weighs as the root of n, both classes the same in all."""
    key = np.char.add(unit, label.astype(np.str_))
    _, cell, count = np.unique(key, return_inverse=True, return_counts=True)
    weight: Floats = 1.0 / np.sqrt(count[cell].astype(np.float64))
    for kind in (0, 1):
        weight[label == kind] /= max(float(weight[label == kind].sum()), _LEAST_SPREAD)
    weight /= weight.mean()
    return weight


def fit_head(states: Floats, label: Integers, weight: Floats, strength: float) -> Head:
    """Logistic regression over standardised states, `strength` being the inverse of its regularisation."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = states.mean(0), np.maximum(states.std(0), _LEAST_SPREAD)
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-4)
    model.fit((states - mean) / spread, label, sample_weight=weight)
    weights: Floats = model.coef_[0] / spread
    return Head(weights, float(model.intercept_[0] - mean @ weights))


def left_out(states: Floats, frame: pl.DataFrame, strength: float) -> Floats:
    """float64[n]: every row by a head fitted on rows of other homes and families.

    Args:
        states: float64[n, k].
        frame: label, unit, group, family and split of n rows.
        strength: see `fit_head`.
    """
    label, unit, at = frame["label"].to_numpy().astype(np.int64), frame["unit"].to_numpy().astype(np.str_), home(frame)
    family, scores = frame["family"].to_numpy().astype(np.str_), np.full(frame.height, np.nan)
    for name in np.unique(at[frame["group"].to_numpy() != EXTRA]):
        rows = (at != name) & (family != name)
        head = fit_head(states[rows], label[rows], weights_of(label[rows], unit[rows]), strength)
        scores[at == name] = head.of(states[at == name])
    return scores
