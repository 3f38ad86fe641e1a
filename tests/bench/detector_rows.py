"""The labelled rows of the detector's evaluation: margins as a scan gives them, or of models that left the row out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from audit.calibrate import SIGNAL, calibrated
from detectors.ai_text import AiText
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.protocols import Device

__all__ = ["KINDS", "LENGTHS", "Rows", "left_out", "length_bucket", "measured", "scanned", "timed_scan"]

KINDS = ("source", "domain", "generator", "language", "curve")
"""What the model that gave a margin may have left out; `curve` its source, and most other families of sources."""
LENGTHS = ("under 500", "500 to 1,000", "1,000 to 2,000", "2,000 and more")
_EDGES = (500, 1000, 2000)
_BINS_PER_DOUBLING = 2.0
_CHUNK = 2000
_WIDE = {"zh": 3.0, "ja": 3.0, "ko": 2.0}


@dataclass(frozen=True)
class Rows:
    """Rows and what is known of their margins.

    Attributes:
        frame: label, source, family, domain, generator, attack, lang, split, id, pair, and as read from findings
            margin, language, length, abstained, out_of_support, p_human, score (null where undefined).
        unseen: what the models behind the margins had never seen of a row: "source", "generator", "language", or
            "row" where only the row itself was held back.
        calibration: whether the calibration had seen the row's source: "left out" or "seen".
    """

    frame: pl.DataFrame
    unseen: str
    calibration: str

    @property
    def judged(self) -> Rows:
        """Rows that the detector did not abstain on."""
        return self.where(pl.col("p_human").is_not_null())

    def where(self, condition: pl.Expr) -> Rows:
        """The rows for which a condition holds."""
        return Rows(self.frame.filter(condition), self.unseen, self.calibration)

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """int64[n], 1 for machine text."""
        return self.frame["label"].to_numpy().astype(np.int64)

    def floats(self, column: str) -> npt.NDArray[np.float64]:
        """float64[n], NaN where null."""
        return self.frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    @property
    def cells(self) -> npt.NDArray[np.int64]:
        """int64[n]: number of the row's domain, language and length bin, two bins for each doubling of length."""
        width = pl.lit(1.0)
        for code, value in _WIDE.items():
            width = pl.when(pl.col("lang") == code).then(value).otherwise(width)
        size = (pl.col("length").cast(pl.Float64).clip(1) * width).log(2) * _BINS_PER_DOUBLING
        key = pl.concat_str("source", "domain", "lang", size.floor().cast(pl.Int64).cast(pl.String), separator="|")
        return self.frame.select(key.rank("dense")).to_series().to_numpy().astype(np.int64)


def length_bucket() -> pl.Expr:
    """The name of a row's length bucket."""
    name = pl.lit(LENGTHS[-1])
    for edge, label in reversed(list(zip(_EDGES, LENGTHS[:-1], strict=True))):
        name = pl.when(pl.col("length") < edge).then(pl.lit(label)).otherwise(name)
    return name


def _batches(texts: pl.Series) -> Iterator[pa.RecordBatch]:
    measure = AiText().load(Device.CPU)
    for start in range(0, len(texts), _CHUNK):
        yield measure(Documents(pa.record_batch({"text": texts.slice(start, _CHUNK).to_arrow()})))


def measured(texts: pl.Series) -> pl.DataFrame:
    """The fields of the `ai_text` signal for n texts, calibrated: one column a field."""
    batches = list(_batches(texts))
    struct = pl.Series(SIGNAL, pl.from_arrow(pa.Table.from_batches(batches, AiText.schema).to_struct_array()))
    return calibrated(pl.DataFrame({SIGNAL: struct})).unnest(SIGNAL)


def timed_scan(texts: pl.Series) -> float:
    """CPU seconds that the fast tier takes for these texts, words and language included; warm."""
    import time

    list(_batches(texts.head(50)))
    began = time.process_time()
    list(_batches(texts))
    return time.process_time() - began


def scanned(corpus: pl.DataFrame, *, unseen: str) -> Rows:
    """Rows with the margins of the shipped model.

    Args:
        corpus: rows with `text`, as `curricula.detector_corpus` reads them.
        unseen: see `Rows`; "nothing" for rows that the model was trained on.
    """
    return Rows(pl.concat([corpus.drop("text"), measured(corpus["text"])], how="horizontal"), unseen, "seen")


def left_out(rows: Rows, path: Path, kind: str) -> Rows:
    """The rows with margins of models that never saw their source, generator or language.

    Args:
        rows: of the whole corpus, scanned: language, length and the rest do not depend on the model.
        path: Parquet with `margin` and `label`, and `row` (position in the corpus) unless it has every row; with
            `p_human` and `score` where a calibration without the row's group gave them; with `group` where rows stand
            once for each of several models, which is then what is compared.
        kind: what was left out, of `KINDS`.

    Raises:
        InputError: the file does not fit the corpus.
    """
    found = pl.read_parquet(path)
    missing = [name for name in ("margin", "label") if name not in found.columns]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r} (has: {', '.join(found.columns)}).")
    place = found["row"].cast(pl.Int64) if "row" in found.columns else pl.Series(range(found.height), dtype=pl.Int64)
    whole = rows.frame.height
    address = found.select(place.alias("row"), *(["group"] if "group" in found.columns else []))
    if address.is_duplicated().any() or not place.is_between(0, whole - 1).all():
        raise InputError(f"{path}: `row` does not number rows of this corpus of {whole:,}. Write the margins again.")
    frame = rows.frame[place]
    if not frame["label"].cast(pl.Int64).equals(found["label"].cast(pl.Int64)):
        raise InputError(f"{path}: labels differ from those of the corpus. Write the margins again.")
    silent = frame["margin"].is_null() if "enough" not in found.columns else ~found["enough"]
    margin = pl.select(pl.when(~silent).then(found["margin"].cast(pl.Float32))).to_series()
    given = [name for name in ("windows", "group", "families", "documents") if name in found.columns]
    frame = frame.with_columns(margin.alias("margin"), silent.alias("abstained"), *(found[name] for name in given))
    if {"p_human", "score"} <= set(found.columns):
        both = [pl.when(pl.lit(~silent)).then(found[name]).alias(name) for name in ("p_human", "score")]
        return Rows(frame.with_columns(both), kind, "left out")
    fields = [name for name in AiText.schema.names if name in frame.columns]
    struct = pl.struct(pl.col(name).cast(kind_of) for name, kind_of in _kinds(fields).items()).alias(SIGNAL)
    again = calibrated(frame.select(struct)).unnest(SIGNAL).select("p_human", "score")
    return Rows(frame.with_columns(again), kind, "seen")


def _kinds(fields: list[str]) -> dict[str, pl.DataType]:
    schema = pl.from_arrow(AiText.schema.empty_table())
    assert isinstance(schema, pl.DataFrame)
    return {name: schema.schema[name] for name in fields}
