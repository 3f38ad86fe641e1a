"""Asks curricula for order, copies and answers of all rows, in turn, and keeps what they say as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.calibrate import SIGNAL
from curricula.decisions import Spool
from curricula.protocols import Curriculum, Dividing, Editing, Reporting, Resampling
from curricula.sections import Division
from curricula.stored import as_array
from detectors.errors import PluginError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Edits", "Ranked", "rank_rows"]

_SLICE = 1 << 18  # a column of many chunks would be put into one piece, all of it
_LAST = np.iinfo(np.int64).max
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
I16 = npt.NDArray[np.int16]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Edits:
    """Rows that get another answer, by ascending corpus position.

    Attributes:
        index: int64.
        answers: large_string.
    """

    index: I64
    answers: pa.LargeStringArray

    @classmethod
    def none(cls) -> Edits:
        """No edits."""
        return cls(np.zeros(0, np.int64), pa.array([], pa.large_string()))

    def of(self, start: int, stop: int) -> pa.LargeStringArray:
        """One answer, or null, for each row from one position up to another."""
        begin, end = np.searchsorted(self.index, [start, stop]).tolist()
        place, present = np.zeros(stop - start, np.int64), np.zeros(stop - start, np.bool_)
        rows = self.index[begin:end] - start
        place[rows], present[rows] = np.arange(begin, end), True
        return self.answers.take(as_array(place, present))

    def only(self, keep: Bits) -> Edits:
        """Those of rows that are kept."""
        kept = keep[self.index]
        return Edits(self.index[kept], self.answers.filter(pa.array(kept)))


@dataclass
class Ranked:
    """What is to become of every row of the corpus, by its position there.

    Attributes:
        key: int64, lower is earlier; undefined where not `ranked`, and gone once there is an order.
        ranked: bool, whether the row has a key; those without follow all others.
        copies: int32, 0 where dropped.
        reason: int16, position in `reasons` of what dropped the row; -1 where it is kept.
        reasons: ids of rules that drop, then names of curricula, then what else may drop rows.
        edits: answers to be replaced, of kept rows and of others.
        reports: what curricula say that they came to, by name.
        division: which part of the output rows go to; None where no curriculum says.
    """

    key: I64
    ranked: Bits
    copies: I32
    reason: I16
    reasons: list[str]
    edits: Edits
    reports: dict[str, dict[str, float]] = field(default_factory=dict)
    division: Division | None = None

    def order(self) -> I64:
        """Kept rows in output order, over the whole corpus. The keys are used up: each array has 8 bytes a row."""
        key, self.key = self.key, np.zeros(0, np.int64)
        key[~self.ranked] = _LAST
        order = np.argsort(key, kind="stable")
        del key
        return order[self.copies[order] > 0]

    def drop(self, rows: npt.NDArray[np.int64] | Bits, reason: str) -> None:
        """Drop kept rows for a reason."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.copies[rows] = 0
        self.reason[rows] = self.reasons.index(reason)


def rank_rows(spool: Spool, rules: Sequence[str], curricula: Sequence[Curriculum]) -> Ranked:
    """Decide order, copies and answers.

    Args:
        spool: decided rows.
        rules: ids of the rules that drop.
        curricula: in the order in which they are applied: each sees as dropped what rules, and those before it, drop.

    Raises:
        PluginError: a curriculum that lost, doubled or mistyped rows.
    """
    rows = spool.rows
    found = Ranked(
        key=np.zeros(rows, np.int64),
        ranked=np.ones(rows, np.bool_),
        copies=np.ones(rows, np.int32),
        reason=_dropping(spool, rules) if rows else np.zeros(0, np.int16),
        reasons=list(rules),
        edits=Edits.none(),
    )
    found.copies[found.reason >= 0] = 0
    for curriculum in curricula if rows else ():
        _apply(found, spool, curriculum)
    return found


def _dropping(spool: Spool, rules: Sequence[str]) -> I16:
    """int16[n]: which rule drops each row, -1 for none."""
    import polars as pl

    codes = pl.col("dropped_by").replace_strict(
        list(rules), list(range(len(rules))), default=None, return_dtype=pl.Int16
    )
    parts = [frame.select(codes.fill_null(-1)).to_series() for frame in spool.frames(["dropped_by"])]
    return pl.concat(parts).to_numpy().astype(np.int16)


def _apply(found: Ranked, spool: Spool, curriculum: Curriculum) -> None:
    seen = spool.scan(lambda start, stop: found.copies[start:stop] == 0)
    frame = _asked(curriculum.rank(seen), curriculum, spool.rows)
    if isinstance(curriculum, Reporting):
        # Numbers that are undefined are left out: JSON has no word for them.
        report = {name: float(value) for name, value in curriculum.report(seen).items() if math.isfinite(value)}
        found.reports[curriculum.name] = report
    times = np.ones(spool.rows if "copies" in frame.columns else 0, np.int32)
    names = curriculum.parts if isinstance(curriculum, Dividing) else ()
    parts = np.zeros(spool.rows if names else 0, np.int8)
    for part in frame.iter_slices(_SLICE):
        index = part["index"].to_numpy()
        if curriculum.orders:
            found.ranked[index] = part["rank"].is_not_null().to_numpy()
            found.key[index] = part["rank"].fill_null(_LAST).to_numpy()
        if len(times):
            times[index] = part["copies"].fill_null(1).to_numpy()
        if len(parts):
            parts[index] = part["part"].fill_null(0).to_numpy()
    if len(times):
        _multiply(found, spool, curriculum, times)
    if names:
        if len(parts) and not 0 <= parts.min() <= parts.max() < len(names):
            raise PluginError(f"curriculum {curriculum.name!r} gives parts that it does not name. Give 0 and up.")
        found.division = Division(names, parts)
    if isinstance(curriculum, Editing):
        edits = frame.select("index", "answer").drop_nulls("answer").sort("index")
        found.edits = Edits(edits["index"].to_numpy(), edits["answer"].to_arrow().cast(pa.large_string()))


def _asked(answer: pl.LazyFrame, curriculum: Curriculum, rows: int) -> pl.DataFrame:
    """What a curriculum says of every row, once it is checked."""
    import polars as pl

    columns = answer.collect_schema().names()
    if missing := {"index", "rank"} - set(columns):
        raise PluginError(
            f"curriculum {curriculum.name!r} gives no {' and '.join(sorted(missing))} but {', '.join(columns)}. "
            "See curricula/protocols.py."
        )
    wanted = [
        pl.col("index", "rank").cast(pl.Int64),
        *([pl.col("copies").cast(pl.Int32)] if "copies" in columns else []),
        *([pl.col("answer").cast(pl.String)] if isinstance(curriculum, Editing) else []),
        *([pl.col("part").cast(pl.Int8)] if isinstance(curriculum, Dividing) and curriculum.parts else []),
    ]
    frame = answer.select(wanted).collect(engine="streaming")
    if not _is_permutation(frame, rows):
        raise PluginError(
            f"curriculum {curriculum.name!r} gave {frame.height:,} rows for {rows:,}, or one twice. "
            "Each index goes out once."
        )
    return frame


def _multiply(found: Ranked, spool: Spool, curriculum: Curriculum, times: I32) -> None:
    """Multiply copies; rows that get none are dropped, in the name of the curriculum."""
    least = 0 if isinstance(curriculum, Resampling) else 1
    kept = found.copies > 0
    if (times[kept] < least).any():
        raise PluginError(
            f"curriculum {curriculum.name!r} asks for {times[kept].min()} copies of a row. "
            + ("Give 0 or more." if least == 0 else "Only rules, and curricula with `resamples`, drop rows.")
        )
    if SIGNAL in curriculum.needs and isinstance(curriculum, Resampling):
        times[spool.column("exempt").to_numpy()] = 1
    product = found.copies.astype(np.int64) * times
    if len(product) and product.max() > np.iinfo(np.int32).max:
        raise PluginError(f"curriculum {curriculum.name!r}: more than 2^31 copies of a row. Ask for fewer.")
    found.copies[:] = product
    found.drop(kept & (times == 0), curriculum.name)


def _is_permutation(frame: pl.DataFrame, rows: int) -> bool:
    if frame.height != rows or frame["index"].null_count():
        return False
    seen = np.zeros(rows, np.bool_)
    for part in frame.iter_slices(_SLICE):
        index = part["index"].to_numpy()
        if len(index) and not 0 <= index.min() <= index.max() < rows:
            return False
        seen[index] = True
    return bool(seen.all())
