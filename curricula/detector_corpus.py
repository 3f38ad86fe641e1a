"""Labelled text for training a detector: reading it, its folds by source and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.errors import InputError

__all__ = ["FILES", "Corpus", "document_weights", "intercept_groups", "language_parts", "read_corpus", "source_folds"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

FILES = ("train", "dev", "modern_ai", "mirror", "dated_web")
_FAMILIES = {"hppt_zh": "hppt", "imbd_multilang": "imbd", "hc3_zh": "hc3_plus"}
_COLUMNS = ("id", "text", "label", "source", "domain", "generator", "attack", "lang")


@dataclass(frozen=True)
class Corpus:
    """Labelled documents.

    Attributes:
        frame: columns text, label, source, domain, generator, attack, lang, split, family (source, of the pair where
            there is one: documents of one family never lie on two sides of a fold).
    """

    frame: pl.DataFrame

    @property
    def label(self) -> Integers:
        """int64[n], 1 for machine text."""
        return self.frame["label"].to_numpy().astype(np.int64)

    def names(self, column: str) -> Names:
        """str[n]: a text column."""
        return self.frame[column].to_numpy().astype(np.str_)

    def rows(self, keep: npt.NDArray[np.bool_]) -> Corpus:
        """The documents where `keep` holds."""
        return Corpus(self.frame.filter(pl.Series(keep)))


def read_corpus(directory: Path, files: Sequence[str] = FILES) -> Corpus:
    """Read labelled Parquet files; those that are absent are left out, but some text of each class must be there.

    Raises:
        InputError: none of the files, a missing column, or one class only.
    """
    parts = []
    for name in files:
        path = directory / f"{name}.parquet"
        if not path.exists():
            continue
        frame = pl.read_parquet(path)
        missing = [column for column in _COLUMNS if column not in frame.columns]
        if missing:
            raise InputError(f"{path}: no column {missing[0]!r} (has: {', '.join(frame.columns)}).")
        pair = pl.col("pair") if "pair" in frame.columns else pl.lit(None, pl.String).alias("pair")
        parts.append(frame.select(*_COLUMNS, pair, pl.lit(name).alias("split")))
    if not parts:
        raise InputError(f"{directory}: none of {', '.join(f'{name}.parquet' for name in files)}. Set --data.")
    frame = pl.concat(parts)
    if frame["label"].n_unique() != 2:
        raise InputError(f"{directory}: label has {frame['label'].unique().to_list()}, training needs 0 and 1.")
    own = frame["source"].replace(_FAMILIES)
    of_pair = (
        frame.select("pair")
        .join(
            frame.select("id", own.alias("family")).unique("id"),
            left_on="pair",
            right_on="id",
            how="left",
            maintain_order="left",
        )
        .get_column("family")
    )
    return Corpus(frame.with_columns(of_pair.fill_null(own).alias("family")))


def source_folds(corpus: Corpus, folds: int) -> Integers:
    """int64[n]: fold of each document. A family of sources is never split; large families are dealt out first."""
    sizes = corpus.frame.group_by("family").len().sort(["len", "family"], descending=[True, False])
    filled, fold_of = [0] * folds, {}
    for family, size in sizes.iter_rows():
        fold_of[family] = filled.index(min(filled))
        filled[fold_of[family]] += size
    return np.array([fold_of[family] for family in corpus.frame["family"]], np.int64)


def document_weights(corpus: Corpus, *, mirror_weight: float, source_power: float) -> Floats:
    """float64[n], mean 1: sources of one class and language tempered, classes balanced in en, zh and all else."""
    cell = corpus.frame.select(pl.len().over("source", "label", "lang")).to_series().to_numpy().astype(np.float64)
    weights = cell**-source_power
    weights[corpus.names("split") == "mirror"] *= mirror_weight
    part, label = language_parts(corpus), corpus.label
    for index in range(3):
        total = weights[part == index].sum()
        for kind in (0, 1):
            rows = (part == index) & (label == kind)
            if rows.any():
                weights[rows] *= total / 2 / weights[rows].sum()
    result: Floats = weights / weights.mean()
    return result


def language_parts(corpus: Corpus) -> Integers:
    """int64[n]: 0 for English, 1 for Chinese, 2 for the languages that have little text of both classes."""
    language = corpus.names("lang")
    part: Integers = np.select([language == "en", language == "zh"], [0, 1], 2).astype(np.int64)
    return part


def intercept_groups(corpus: Corpus) -> Integers:
    """int64[n]: one number for each family of sources and language."""
    key = corpus.frame.select(pl.concat_str("family", "lang", separator="|")).to_series()
    return key.rank("dense").to_numpy().astype(np.int64) - 1
