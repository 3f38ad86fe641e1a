"""Labelled files for fine-tuning a detector, and windows of tokens drawn from them so that no source drowns another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curricula.detector_corpus import Corpus, read_corpus
from detectors.ai_text.disguise import as_read
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.tokens import Tokens

__all__ = ["Batch", "Sampler", "read_labelled"]

Ids = npt.NDArray[np.int64]
Batch = tuple[Ids, Ids, Ids]
"""ids int64[b, t], mask int64[b, t], label int64[b]."""

_DEFAULTS = {"domain": "", "attack": "none", "lang": "und"}


def read_labelled(paths: Sequence[Path]) -> Corpus:
    """Read labelled Parquet files, or folders in the layout of `curricula.detector_corpus.read_corpus`.

    A file has the columns `text` and `label` (0 human, 1 machine); `source` is by default the name of the file,
    `generator` the class, `lang` `und`; `pair` is the id of a document on the same topic, whose source then is its own.

    Raises:
        InputError: no such file, a missing column, or one class only.
    """
    parts = [read_corpus(path).frame if path.is_dir() else _read(path) for path in paths]
    if not parts:
        raise InputError("no labelled file. Name one with --data.")
    frame = pl.concat(parts, how="diagonal_relaxed")
    labels = frame["label"].unique().sort().to_list()
    if labels != [0, 1]:
        raise InputError(f"{paths[0]}: label has {labels}, training needs 0 and 1.")
    # As the texts of a scan are before a costlier tier judges them.
    texts = as_read(Documents(pa.record_batch({"text": frame["text"].to_arrow()})))
    return Corpus(frame.with_columns(pl.Series("text", texts.texts(), pl.String)))


def _read(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]}). Name a Parquet file.") from error
    for name in ("text", "label"):
        if name not in frame.columns:
            raise InputError(f"{path}: no column {name!r} (has: {', '.join(frame.columns)}).")
    kind = frame.schema["label"]
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise InputError(f"{path}: label is {kind}, not a number. Write 0 for human text and 1 for machine text.")
    given = {
        "id": pl.concat_str(pl.lit(f"{path.stem}-"), pl.int_range(pl.len())),
        "source": pl.lit(path.stem),
        "generator": pl.when(pl.col("label") == 1).then(pl.lit("machine")).otherwise(pl.lit("human")),
        "pair": pl.lit(None, pl.String),
        **{name: pl.lit(value) for name, value in _DEFAULTS.items()},
    }
    frame = frame.with_columns(values.alias(name) for name, values in given.items() if name not in frame.columns)
    own = frame.select("id", family="source").unique("id")
    of_pair = frame.select("pair").join(own, left_on="pair", right_on="id", how="left", maintain_order="left")["family"]
    return frame.select(
        "id",
        "text",
        pl.col("label").cast(pl.Int8),
        *("source", "domain", "generator", "attack", "lang", "pair"),
        pl.lit(path.stem).alias("split"),
        of_pair.fill_null(frame["source"]).alias("family"),
    ).drop_nulls("text")


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws training windows: documents by weight, with replacement, and of each a run of tokens at random.

    Attributes:
        texts: of the documents.
        label: int64[n].
        weight: float64[n], see `curricula.detector_corpus.document_weights`.
        tokens: the tokenizer.
        max_tokens: of a window, with its marks.
        seed: of all draws.
    """

    texts: Sequence[str]
    label: Ids
    weight: npt.NDArray[np.float64]
    tokens: Tokens
    max_tokens: int
    seed: int

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of so many windows, without end."""
        random = np.random.default_rng(self.seed)
        share = self.weight / self.weight.sum()
        while True:
            # Like lengths go together: four batches are drawn at once, and dealt out by length.
            drawn = random.choice(len(self.texts), 4 * size, p=share)
            windows = [self._window(self.texts[row], random) for row in drawn]
            order = np.argsort([len(window) for window in windows], kind="stable")
            for part in random.permutation(order.reshape(4, size)):
                yield (*self._padded([windows[at] for at in part]), self.label[drawn[part]])

    def _window(self, text: str, random: np.random.Generator) -> Ids:
        # A token is seldom more than twelve characters: a longer run is cut before it is tokenised.
        room = 12 * self.max_tokens
        if len(text) > room:
            at = int(random.integers(len(text) - room + 1))
            text = text[at : at + room]
        ids = self.tokens.ids(text)
        most = self.max_tokens - self.tokens.marks
        # A quarter of the windows are shorter than they could be, so that length says little.
        if random.random() < 0.25:
            most = int(random.integers(min(32, most), most + 1))
        at = int(random.integers(max(1, len(ids) - most + 1)))
        return self.tokens.marked(ids[at : at + most])

    def _padded(self, windows: Sequence[Ids]) -> tuple[Ids, Ids]:
        width = max(1, *(len(window) for window in windows))
        ids = np.full((len(windows), width), self.tokens.pad, np.int64)
        mask = np.zeros((len(windows), width), np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window)], mask[row, : len(window)] = window, 1
        return ids, mask
