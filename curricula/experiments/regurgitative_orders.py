"""Findings about translations, and the rows that a curriculum takes of them: as a scan and `foxing curate` would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricula.experiments.regurgitative_grammar import Pairs
from curricula.quality import METRICS
from detectors.documents import Documents
from detectors.errors import MissingExtraError
from detectors.pair_quality import PairQuality
from detectors.protocols import Device

if TYPE_CHECKING:
    import polars as pl

__all__ = ["QUALITY", "Detector", "Ranks", "decided", "flagged", "order_of", "taken"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]
QUALITY = f"given.value + ({METRICS['pairs']})"
"""Of a translation: its mean log-probability a token under another model, less what is wrong with it on its face."""
_COPIED, _REPEATED, _RATIO = 0.5, 0.2, 2.0
_HASHES, _STRENGTH = 2**16, 1.0


class Ranks(Protocol):
    """What of a curriculum is asked here."""

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """See `curricula.protocols.Curriculum`."""
        ...


def _looked_at(pairs: Pairs, languages: tuple[str, str]) -> pa.RecordBatch:
    """What `pair_quality` finds. Languages that were made up are nobody's: then none is wrong."""
    signal = PairQuality("src", "tgt", source_language=languages[0], target_language=languages[1])
    columns = {"text": pairs.targets, "column:src": pairs.sources, "column:tgt": pairs.targets}
    batch = pa.record_batch({name: pa.array(values, pa.large_string()) for name, values in columns.items()})
    found = signal.load(Device.CPU)(Documents(batch))
    if languages != ("", ""):
        return found
    at = found.schema.get_field_index("wrong_language")
    return found.set_column(at, found.schema.field(at), pa.array([False] * len(pairs)))


def flagged(pairs: Pairs, languages: tuple[str, str]) -> Bools:
    """bool[n]: which translations are wrong on their face.

    They are empty, copied by half, have other numbers than the source, go round in a loop, are half or twice as long as
    the source, or in another language.
    """
    found = _looked_at(pairs, languages)
    copied, numbers, repeated, ratio = (
        np.nan_to_num(found.column(name).to_numpy(zero_copy_only=False).astype(np.float64))
        for name in ("copied", "numbers", "repeated", "length_ratio")
    )
    wrong = np.array([bool(value) for value in found.column("wrong_language").to_pylist()])
    long = (ratio > _RATIO) | (ratio < 1 / _RATIO)
    return np.asarray((copied > _COPIED) | (numbers > 0) | (repeated > _REPEATED) | long | wrong)


def decided(
    pairs: Pairs, languages: tuple[str, str], sources: Sequence[str], *, value: Floats, machine: Floats
) -> pl.LazyFrame:
    """Rows and findings, in the form in which curricula read them.

    Args:
        pairs: the rows.
        languages: of source and target; empty for those that were made up.
        sources: of each row, where it comes from.
        value: float64[n], of the signal `given`.
        machine: float64[n], the probability that a row is machine-written, as `ai_text` gives it.
    """
    import polars as pl

    n = len(pairs)
    quality = pl.from_arrow(_looked_at(pairs, languages))
    assert isinstance(quality, pl.DataFrame)
    frame = pl.DataFrame(
        {
            "index": np.arange(n),
            "shard": ["rows"] * n,
            "row": np.arange(n),
            "source": list(sources),
            "action": ["keep"] * n,
        }
    ).with_columns(
        pair_quality=quality.to_struct("pair_quality"),
        given=pl.DataFrame({"value": value}).to_struct("given"),
        ai_text=pl.DataFrame({"score": machine.astype(np.float32)}).to_struct("ai_text"),
    )
    return frame.lazy()


def order_of(curriculum: Ranks, rows: pl.LazyFrame) -> I64:
    """int64[n]: rows in the order of a curriculum; those without a rank last, in their own."""
    found = curriculum.rank(rows).collect().sort("index")
    return np.asarray(found["rank"].arg_sort(nulls_last=True).to_numpy(), np.int64)


def taken(curriculum: Ranks, rows: pl.LazyFrame) -> I64:
    """int64[m]: rows that a curriculum that resamples takes, each as often as it does."""
    found = curriculum.rank(rows).collect().sort("index")
    return np.repeat(np.arange(len(found)), found["copies"].to_numpy())


@dataclass(frozen=True, eq=False)
class Detector:
    """Logistic regression over hashed words, pairs of words and runs of letters: people's translations or a model's.

    It is fitted on one model's translations and asked about another's, so that no row is judged by what has seen it.

    Attributes:
        weights: float64[features].
        intercept: of the regression.
    """

    weights: Floats
    intercept: float

    @classmethod
    def fitted(cls, human: Sequence[str], machine: Sequence[str]) -> Detector:
        """Fit on texts of both kinds, which weigh the same together.

        Raises:
            MissingExtraError: scikit-learn is not installed.
        """
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise MissingExtraError("scikit-learn", "train") from error
        model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1000)
        labels = np.array([0] * len(human) + [1] * len(machine))
        model.fit(_hashed([*human, *machine]), labels)
        return cls(model.coef_[0], float(model.intercept_[0]))

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """float64[n]: that each text is a model's."""
        margin = _hashed(texts) @ self.weights + self.intercept
        return np.asarray(1 / (1 + np.exp(-margin)))


def _hashed(texts: Sequence[str]) -> Any:
    """Sparse float64[n, features]: words and pairs of them, and runs of two to four letters, each part of length 1."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import HashingVectorizer

    words = HashingVectorizer(n_features=_HASHES, ngram_range=(1, 2), token_pattern=r"\S+")
    letters = HashingVectorizer(n_features=_HASHES, analyzer="char_wb", ngram_range=(2, 4))
    return hstack([each.transform(texts) for each in (words, letters)]).tocsr()
