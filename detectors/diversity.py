"""Lexical diversity, repetition and sentence rhythm of each document."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.arrays import float_arrays, weighted_means
from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.protocols import Device, Measure

__all__ = ["Diversity"]

_ZLIB_LEVEL = 6
_FIELDS = {
    "ttr": "Different words / words. Falls with length: never compare it between lengths.",
    "root_ttr": "Different words / sqrt(words).",
    "mattr": "Moving-average type-token ratio: mean over all windows of mattr_window words.",
    "mtld": "Mean length in words over which the type-token ratio stays above mtld_threshold, both directions.",
    "hdd": "Expected type-token ratio of hdd_draws words drawn at random.",
    "yule_k": "Yule's K: 10**4 times the chance that two words drawn are the same, corrected. High is repetitive.",
    "hapax_share": "Share of the different words that occur once.",
    "zipf_slope": "Slope of log frequency over log rank of the words; null where all are equally frequent.",
    "distinct_1": "Different words / words.",
    "distinct_2": "Different pairs of consecutive words / pairs.",
    "distinct_3": "Different triples of consecutive words / triples.",
    **{
        f"top_{n}gram": f"Share of word characters in the most frequent {n}-gram; 0 if none repeats." for n in (2, 3, 4)
    },
    **{f"dup_{n}gram": f"Share of word characters in {n}-grams that occur more than once." for n in range(2, 11)},
    "dup_line_share": "Share of lines that repeat an earlier line.",
    "dup_line_bytes_share": "Share of the lines' bytes in lines that repeat an earlier line.",
    "sentence_length_mean": "Mean words per sentence.",
    "sentence_length_std": "Standard deviation of words per sentence; null under two sentences.",
    "compression_ratio": f"Bytes / bytes after zlib level {_ZLIB_LEVEL}; null unless compression is on.",
}


@dataclass(frozen=True)
class Diversity:
    """How varied the words of a document are, how much it repeats itself, how evenly long its sentences are.

    `words` (int32) is given for every text. All other fields are float32 (computed in float64) and null in documents
    of fewer than `min_words` words, where they say nothing; besides, `mattr` is null under `mattr_window` words, `hdd`
    under `hdd_draws`, n-gram fields under n words, `sentence_length_std` under two sentences and `compression_ratio`
    unless `compression` is on. A document of more than 1 MiB is measured in pieces (`detectors.pieces`): `words` are
    added up, and every other field is the mean over the pieces, weighted by their words. Definitions and sources:
    `detectors.lexical`, `detectors.repetition`; words and sentences: `detectors.words`; compression ratio: Shaib et
    al. 2024 (arXiv:2403.00553).

    Args:
        mattr_window: words in a window of MATTR.
        mtld_threshold: type-token ratio, between 0 and 1, at which MTLD completes a factor.
        hdd_draws: words drawn for HD-D.
        min_words: documents with fewer words get nulls.
        compression: whether to compute the compression ratio, which costs more than all the rest.

    Raises:
        ConfigError: a setting outside its range.
    """

    mattr_window: int = 50
    mtld_threshold: float = 0.72
    hdd_draws: int = 42
    min_words: int = 50
    compression: bool = False

    name: ClassVar[str] = "diversity"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("words", pa.int32(), metadata={"doc": "Words, as foxing segments text."}),
            *(pa.field(name, pa.float32(), metadata={"doc": doc}) for name, doc in _FIELDS.items()),
        ]
    )

    def __post_init__(self) -> None:
        for setting, least in (("mattr_window", 1), ("hdd_draws", 1), ("min_words", 0)):
            if getattr(self, setting) < least:
                raise ConfigError(f"diversity: {setting} is {getattr(self, setting)}. Set it to {least} or more.")
        if not 0 < self.mtld_threshold < 1:
            raise ConfigError(f"diversity: mtld_threshold is {self.mtld_threshold}. Set it between 0 and 1.")

    def load(self, device: Device) -> Measure:
        """Import the kernels. Runs on the CPU whatever the device."""
        from detectors.lexical import lexical_indices, sentence_lengths
        from detectors.repetition import line_repetition, ngram_repetition

        def measure(documents: Documents) -> pa.RecordBatch:
            words = documents.words
            long_enough = words.counts >= self.min_words
            lexical = lexical_indices(
                words, mattr_window=self.mattr_window, mtld_threshold=self.mtld_threshold, hdd_draws=self.hdd_draws
            )
            ngrams = ngram_repetition(words)
            columns = [
                *lexical,
                *ngrams.distinct,
                *ngrams.top,
                *ngrams.duplicate,
                *line_repetition(documents.data, documents.offsets),
                *sentence_lengths(words),
                self._compression_ratios(documents, long_enough),
            ]
            arrays = float_arrays(np.stack(columns), long_enough)
            return pa.record_batch([pa.array(words.counts.astype(np.int32)), *arrays], schema=self.schema)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """Words added up; of all else the mean over the pieces that have it, weighted by their words."""
        words = np.asarray(pieces.column("words"), np.float64)
        means = weighted_means(pieces, self.schema.names[1:], words)
        arrays = float_arrays(means, np.ones(1, np.bool_))
        return pa.record_batch([pa.array([int(words.sum())], pa.int32()), *arrays], schema=self.schema)

    def _compression_ratios(self, documents: Documents, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        ratios = np.full(len(documents), np.nan)
        if self.compression:
            data, offsets = memoryview(documents.data.data), documents.offsets
            for i in np.flatnonzero(wanted & (np.diff(offsets) > 0)):
                text = data[offsets[i] : offsets[i + 1]]
                ratios[i] = len(text) / len(zlib.compress(text, _ZLIB_LEVEL))
        return ratios
