"""Histograms of the detector's scores, by source, language, domain and month: what a share is estimated from.

One pass over findings fills them; their size depends on the number of groups, not of rows. All entries are whole
numbers, so adding is associative and commutative to the last bit: how a corpus is split never changes an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from audit.calibrate import GROUP_COLUMNS, SIGNAL, calibrated
from detectors.ai_text.spread import BINS, score_bins

if TYPE_CHECKING:
    import polars as pl

    from audit.calibrate import Calibration
    from audit.two_phase import Labels

__all__ = ["GROUPINGS", "Cell", "ScoreCells", "month"]

GROUPINGS = ("source", "language", "domain", "time")
"""What shares are broken down by, where the scan has it."""
WORD = 1024
"""Parts of a word: the windows of a document share its words, and whole numbers add up in any order."""
_MONTH = r"^\s*(\d{4}(?:-(?:0[1-9]|1[0-2]))?)(?:\D|$)"
_EPOCH = r"^\s*(\d{9,13})(?:\.\d*)?\s*$"
_EPOCH_SECONDS = 631_152_000, 4_102_444_799
"""1990 to 2099: a number between these counts seconds since 1970, one a thousand times as large milliseconds."""
_UNDATED = "(no date)"
_ALL = ("", "")
_DOCUMENTS, _WORDS, _HUMAN, _MACHINE = (slice(place * BINS, (place + 1) * BINS) for place in range(4))
_SQUARES, _OUTSIDE, _OUTSIDE_WORDS, _SCORED, _FLAGGED, _FLAGGED_WORDS = range(4 * BINS, 4 * BINS + 6)
_SIZE = 4 * BINS + 6

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """The scored documents of one group.

    Attributes:
        documents: int64[BINS], documents in support by bin of score.
        words: float64[BINS], words by bin; a document in windows spreads its words over the bins of these.
        words_size: effective number of documents behind `words`, (sum w)**2 / sum w**2.
        labelled: int64[2, BINS], documents in support whose author is known: human, machine.
        outside: documents that were judged although the reference has nothing like them, or nothing for their tier.
        outside_words: words in those.
        scored: documents with a score, in support or not.
        flagged: documents in support with a p-value at or below the rate that was asked for.
        flagged_words: words in those.
    """

    documents: Integers
    words: Floats
    words_size: float
    labelled: Integers
    outside: int
    outside_words: float
    scored: int
    flagged: int
    flagged_words: float

    @property
    def n(self) -> int:
        """Documents that the detector judged."""
        return int(self.documents.sum()) + self.outside


@dataclass
class ScoreCells:
    """Cells by grouping and group."""

    _cells: dict[tuple[str, str], Integers] = field(default_factory=dict)

    @classmethod
    def of(
        cls, frame: pl.DataFrame, tables: Calibration, labels: Labels | None = None, *, rate: float | None = None
    ) -> Self:
        """Count one part of findings.

        Args:
            frame: the part, calibrated: with `ai_text.score`.
            tables: the calibration, for the scores of windows.
            labels: documents whose author is known.
            rate: documents in support with `ai_text.p_human` at or below it count as flagged; None flags none.
        """
        import polars as pl

        found = cls()
        rows = _rows(frame, tables, labels, rate)
        present = [name for name in GROUPINGS if name in rows.columns]
        for grouping, keys in ((_ALL[0], []), *((name, [name]) for name in present)):
            found._count(
                grouping, rows.group_by(*keys, "bin", "outside", "label").agg(_sums()) if rows.height else rows
            )
        windows = rows.filter(pl.col("parts").is_not_null())
        if windows.height:
            pieces = windows.explode("parts")
            for grouping, keys in ((_ALL[0], []), *((name, [name]) for name in present)):
                found._spread(grouping, pieces.group_by(*keys, "parts").agg(pl.col("piece").sum()))
        return found

    def add(self, other: Self) -> None:
        """Take in another part's cells."""
        for key, counts in other._cells.items():
            self._cells[key] = self._cells[key] + counts if key in self._cells else counts

    @property
    def total(self) -> Cell:
        """Over all documents."""
        return _cell(self._cells.get(_ALL, np.zeros(_SIZE, np.int64)))

    def groups(self, grouping: str) -> Mapping[str, Cell]:
        """Group to cell, by name; empty where the scan has no such grouping."""
        return {group: _cell(counts) for (kind, group), counts in sorted(self._cells.items()) if kind == grouping}

    def _entry(self, grouping: str, row: Mapping[str, object]) -> Integers:
        key = (grouping, str(row[grouping]) if grouping else "")
        return self._cells.setdefault(key, np.zeros(_SIZE, np.int64))

    def _count(self, grouping: str, counted: pl.DataFrame) -> None:
        for row in counted.iter_rows(named=True):
            entry = self._entry(grouping, row)
            entry[_SCORED] += row["scored"]
            if row["outside"]:
                entry[_OUTSIDE] += row["documents"]
                entry[_OUTSIDE_WORDS] += row["whole"]
                continue
            entry[_FLAGGED] += row["flagged"]
            entry[_FLAGGED_WORDS] += row["hit"]
            place = row["bin"]
            entry[_DOCUMENTS][place] += row["documents"]
            entry[_WORDS][place] += row["single"]
            entry[_SQUARES] += row["squares"]
            if row["label"] is not None:
                entry[_MACHINE if row["label"] else _HUMAN][place] += row["documents"]

    def _spread(self, grouping: str, counted: pl.DataFrame) -> None:
        for row in counted.iter_rows(named=True):
            self._entry(grouping, row)[_WORDS][row["parts"]] += row["piece"]


def _sums() -> list[pl.Expr]:
    import polars as pl

    words = pl.col("words")
    return [
        pl.len().cast(pl.Int64).alias("documents"),
        pl.col("scored").sum().cast(pl.Int64),
        pl.col("flagged").sum().cast(pl.Int64),
        (words.filter("flagged").sum() * WORD).alias("hit"),
        (words.sum() * WORD).alias("whole"),
        (words.filter(pl.col("parts").is_null()).sum() * WORD).alias("single"),
        (words * words).sum().alias("squares"),
    ]


def _rows(frame: pl.DataFrame, tables: Calibration, labels: Labels | None, rate: float | None) -> pl.DataFrame:
    """Judged documents: their bin, words, support, label and groups; the bins of windows and the words of each."""
    import polars as pl

    fields = frame[SIGNAL].struct
    score = fields.field("score")
    words = frame["document"].struct.field("words").cast(pl.Int64) if "document" in frame.columns else score.is_null()
    named = [name for name in GROUPINGS if name in frame.columns]
    rows = frame.select(*named).with_columns(
        fields.field("language").fill_null("und").alias("language"),
        words.cast(pl.Int64).fill_null(0).alias("words"),
        (fields.field("out_of_support").fill_null(False) | score.is_null()).alias("outside"),
        score.is_not_null().alias("scored"),
        (pl.lit(False) if rate is None else (fields.field("p_human") <= rate).fill_null(False)).alias("flagged"),
        pl.Series("bin", score_bins(score.fill_null(0.5).to_numpy())),
        pl.Series("label", labels.of(frame) if labels else [None] * frame.height, pl.Boolean),
        _windows(frame, tables).alias("parts"),
    )
    if "time" in rows.columns:
        rows = rows.with_columns(month(pl.col("time")))
    inside = pl.col("parts").list.len()
    return rows.with_columns(
        pl.when(~pl.col("outside")).then("parts"),
        (pl.col("words") * WORD // inside).alias("piece"),
    ).filter(fields.field("margin").is_not_null())


def month(time: pl.Expr) -> pl.Expr:
    """The month, or the year where no more is known, of dates as text or as time since 1970."""
    import polars as pl

    number = time.str.extract(_EPOCH).cast(pl.Int64)
    low, high = _EPOCH_SECONDS
    in_seconds, in_milliseconds = number.is_between(low, high), number.is_between(1000 * low, 1000 * high + 999)
    seconds = pl.when(in_seconds).then(number).when(in_milliseconds).then(number // 1000)
    since = pl.from_epoch(seconds, time_unit="s").dt.strftime("%Y-%m")
    return pl.coalesce(time.str.extract(_MONTH), since, pl.lit(_UNDATED))


def _windows(frame: pl.DataFrame, tables: Calibration) -> pl.Series:
    """list[i64] or null: the bins of the windows of documents that have more than one, each judged as a document."""
    import polars as pl

    fields = pl.col(SIGNAL).struct
    if "windows" not in frame[SIGNAL].struct.fields:
        return pl.Series([None] * frame.height, dtype=pl.List(pl.Int64))
    named = [name for name in GROUP_COLUMNS if name in frame.columns]
    several = (
        frame.with_row_index("place")
        .filter(fields.field("windows").list.len() > 1)
        .select("place", *named, SIGNAL, fields.field("windows").alias("margin"))
    )
    pieces = several.explode("margin").with_columns(
        fields.with_fields(
            pl.col("margin"), length=fields.field("length") // fields.field("windows").list.len().cast(pl.Int32)
        )
    )
    scored = calibrated(pieces, tables).with_columns(fields.field("score")).drop_nulls("score")
    binned = scored.select("place", pl.Series("parts", score_bins(scored["score"].to_numpy())))
    lists = binned.group_by("place").agg("parts")
    numbered = pl.DataFrame({"place": pl.int_range(frame.height, dtype=pl.UInt32, eager=True)})
    return numbered.join(lists, on="place", how="left", maintain_order="left")["parts"]


def _cell(counts: Integers) -> Cell:
    words = counts[_WORDS] / WORD
    squares = float(counts[_SQUARES])
    return Cell(
        documents=counts[_DOCUMENTS],
        words=words,
        words_size=float(words.sum()) ** 2 / squares if squares else 0.0,
        labelled=np.stack([counts[_HUMAN], counts[_MACHINE]]),
        outside=int(counts[_OUTSIDE]),
        outside_words=float(counts[_OUTSIDE_WORDS]) / WORD,
        scored=int(counts[_SCORED]),
        flagged=int(counts[_FLAGGED]),
        flagged_words=float(counts[_FLAGGED_WORDS]) / WORD,
    )
