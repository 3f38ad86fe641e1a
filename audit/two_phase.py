"""The share of machine text where the authors of a random sample are known: labels decide, scores sharpen.

The estimate is the prediction-powered mean of Angelopoulos et al. (2023, Science 382:669) with the power tuning of
Angelopoulos, Duchi and Zrnic (2023, arXiv 2311.01453): lambda * mean score over the corpus + mean of (label - lambda *
score) over the sample. It is right whatever the scores are worth, as long as the sample is random; good scores only
make it narrower. A document's score here is the probability of its bin at the share that the mixture finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from audit.intervals import Interval, wilson
from detectors.errors import InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LEAST_LABELS", "Labels", "is_random_sample", "two_phase"]

LEAST_LABELS = 30
"""Fewer labelled documents say less than the scores do."""
_LEAST_OF_A_KIND = 5
_LEAST_EXPECTED = 5.0
_LIMIT = 3.09  # one in a thousand
_READERS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl"}
_COLUMNS = {"shard": "a shard's key", "row": "a position in it", "label": "0 human, 1 machine"}

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Documents whose author is known.

    Attributes:
        frame: `shard` str, `row` i64, `label` bool (true: machine-written), one row a document.
    """

    frame: pl.DataFrame

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a Parquet, CSV or JSONL file with the columns `shard`, `row` and `label` (0 human, 1 machine).

        `foxing findings` writes shard and row. Rows without a label are left out.

        Raises:
            InputError: no such file, another format, a missing column, another label, or two labels for one document.
        """
        import polars as pl

        kind = _READERS.get(path.suffix)
        if kind is None:
            raise InputError(f"{path}: is none of {', '.join(_READERS)}. Write the labels as one of them.")
        try:
            frame = _read(path, kind)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: cannot be read as {kind} ({error}). Check the file.") from error
        for column, meaning in _COLUMNS.items():
            if column not in frame.columns:
                raise InputError(f"{path}: no column {column!r} ({meaning}; has: {', '.join(frame.columns)}).")
        known = frame.select(*_COLUMNS).filter(pl.col("label").is_not_null())
        try:
            typed = known.with_columns(
                pl.col("shard").cast(pl.String), pl.col("row").cast(pl.Int64), pl.col("label").cast(pl.Int64)
            )
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{path}: row and label must be whole numbers ({error}). Change their values.") from error
        odd = typed.filter(~pl.col("label").is_in([0, 1]))
        if odd.height:
            raise InputError(f"{path}: label {odd['label'][0]} is neither 0 (human) nor 1 (machine). Change its value.")
        if typed.select("shard", "row").is_duplicated().any():
            raise InputError(f"{path}: a document (shard and row) has more than one label. Keep one of them.")
        return cls(typed.with_columns(pl.col("label").cast(pl.Boolean)))

    def of(self, frame: pl.DataFrame) -> pl.Series:
        """bool[rows]: label of each row of a part of findings, null where there is none."""
        joined = frame.select("shard", "row").join(self.frame, on=["shard", "row"], how="left", maintain_order="left")
        return joined["label"]


def _read(path: Path, kind: str) -> pl.DataFrame:
    import polars as pl

    if kind == "parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path) if kind == "csv" else pl.read_ndjson(path)


def two_phase(documents: Integers, labelled: Integers, probability: Floats) -> tuple[float, Interval]:
    """Estimate a share from a labelled random sample and the scores of all.

    Args:
        documents: int64[bins], documents of the corpus by bin of score.
        labelled: int64[2, bins], labelled human and machine documents, at least one.
        probability: float64[bins], what the scores of a bin say.

    Returns:
        The share of machine-written documents and its 95 % interval. With fewer than five labels of one kind the
        scores are left out, for their worth cannot be told: the share and Wilson's interval of the labels alone.
    """
    n, whole = int(labelled.sum()), int(documents.sum())
    machine = int(labelled[1].sum())
    if min(machine, n - machine) < _LEAST_OF_A_KIND or whole <= n:
        return machine / n, wilson(machine, n)
    mean_label, mean_score = machine / n, float(labelled.sum(axis=0) @ probability) / n
    spread = float(labelled.sum(axis=0) @ (probability - mean_score) ** 2) / (n - 1)
    joint = float(labelled[1] @ probability) / n - mean_label * mean_score
    weight = min(1.0, max(0.0, joint / spread / (1.0 + n / whole))) if spread > 0 else 0.0
    everywhere = float(documents @ probability) / whole
    share = min(1.0, max(0.0, weight * everywhere + mean_label - weight * mean_score))
    error = sum(
        float(labelled[kind] @ (kind - weight * probability - (mean_label - weight * mean_score)) ** 2)
        for kind in (0, 1)
    ) / (n - 1)
    corpus = float(documents @ (probability - everywhere) ** 2) / whole
    variance = error / n + weight**2 * corpus / whole
    # Wilson's interval of as many plain labels as are worth the same: it keeps its level near 0 and 1.
    worth = max(share * (1.0 - share) / variance, 1.0) if variance > 0 else float(n)
    return share, wilson(share * worth, worth)


def is_random_sample(documents: Integers, labelled: Integers) -> bool:
    """Whether the scores of labelled documents could be those of a random sample (chi-square, level 0.001)."""
    sample = labelled.sum(axis=0).astype(np.float64)
    expected = documents / documents.sum() * sample.sum()
    groups = _merged(expected)
    seen, due = np.bincount(groups, sample), np.bincount(groups, expected)
    freedom = len(due) - 1
    if freedom < 1:
        return True
    distance = float(((seen - due) ** 2 / due).sum())
    # Wilson and Hilferty (1931): the cube root of a chi-square variable is nearly normal.
    spread = 2.0 / (9.0 * freedom)
    return bool(((distance / freedom) ** (1 / 3) - (1.0 - spread)) / spread**0.5 < _LIMIT)


def _merged(expected: Floats) -> Integers:
    """int64[bins]: neighbouring bins in groups that expect at least five documents each."""
    groups, group, held = np.zeros(len(expected), np.int64), 0, 0.0
    for place, value in enumerate(expected):
        groups[place] = group
        held += value
        if held >= _LEAST_EXPECTED:
            group, held = group + 1, 0.0
    return np.minimum(groups, max(0, group - 1))
