"""Checks that edited rows hold the answers that the plan has for them, and that no other row was edited."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.layout import Kind, Layout
from curricula.edit import Editor, KeptAnswers
from curricula.manifest import SeriesRecord
from curricula.plan import PlanCursor
from curricula.stored import in_transit, recast
from detectors.errors import InputError

__all__ = ["Edits", "kept_answers"]


def kept_answers(series: SeriesRecord) -> KeptAnswers:
    """How the rows of a series were edited.

    Raises:
        InputError: a layout that no answers have.
    """
    found = re.fullmatch(r"(\w+)\((.*)\)", series.layout)
    if found is None or found[1] not in [kind.value for kind in Kind]:
        raise InputError(f"manifest: no answers are laid out as {series.layout!r}. Curate again with --fresh.")
    schema = series.arrow_schema()
    transit = pa.schema([field.with_type(in_transit(field.type)) for field in schema], metadata=schema.metadata)
    layout = Layout(Kind(found[1]), tuple(found[2].split(", ")))
    if layout.columns[-1] not in schema.names:
        raise InputError(
            f"manifest: {series.layout!r} names a column that the rows have not. Curate again with --fresh."
        )
    return KeptAnswers(Editor(transit, layout), series.original)


class Edits:
    """The edits of one series, by output position.

    Args:
        kept: how rows were edited.
        positions: int64, ascending: output rows that were to be edited.
        answers: large_string, what each was to be.
        rows: int64, which row of the plan each is a copy of.
    """

    def __init__(
        self,
        kept: KeptAnswers,
        positions: npt.NDArray[np.int64],
        answers: pa.LargeStringArray,
        rows: npt.NDArray[np.int64],
    ) -> None:
        self._kept, self._positions, self._answers, self._rows = kept, positions, answers, rows
        self._seen = 0
        self._unedited = set[int]()

    @property
    def name(self) -> str:
        """Name of the column that keeps what stood there."""
        return self._kept.name

    @classmethod
    def of(cls, plan: Path, shards: list[str], series: SeriesRecord) -> Edits:
        """Read a plan.

        Raises:
            InputError: what is no plan, or places edits beyond the output.
        """
        PlanCursor(plan, 0, columns := ["shard", "rank", "copies", "answer"]).close()
        table = pq.read_table(plan, columns=columns, filters=~pc.field("answer").is_null())
        table = table.filter(pc.is_in(table.column("shard"), pa.array(shards, pa.string())))
        copies = table.column("copies").to_numpy()
        if len(copies) and (copies.min() < 1 or copies.sum(dtype=np.int64) > series.places.rows):
            raise InputError(f"{plan}: has more rows than the output.")
        row = np.repeat(np.arange(table.num_rows), copies)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
        positions = table.column("rank").to_numpy()[row] + nth
        if len(positions) and not 0 <= positions.min() <= positions.max() < series.places.rows:
            raise InputError(f"{plan}: places rows beyond the output.")
        positions = series.places.final(positions)
        order = np.argsort(positions)
        positions = positions[order]
        answers = table.column("answer").combine_chunks().take(pa.array(row[order]))
        return cls(kept_answers(series), positions, answers, row[order])

    def check(self, batch: pa.RecordBatch, first: int, path: str) -> list[str]:
        """What is wrong with the edits of rows that follow each other from output position `first`."""
        begin, end = np.searchsorted(self._positions, [first, first + batch.num_rows]).tolist()
        rows = self._positions[begin:end] - first
        self._seen += len(rows)
        edited = np.flatnonzero(np.asarray(batch.column(self._kept.name).is_valid()))
        narrow, done = self._narrow(batch), np.isin(rows, edited)
        left = self._kept.editor.originals(narrow.take(pa.array(rows[~done])))
        if done.sum() != len(edited) or left.null_count != len(left):
            return [f"{path}: {len(edited):,} of its rows were edited, and not the {len(rows):,} of the plan"]
        self._unedited |= set(self._rows[begin:end][~done].tolist())
        texts = self._kept.editor.texts(narrow.take(pa.array(rows[done])))
        same = pc.all(pc.equal(texts, self._answers.slice(begin, end - begin).filter(pa.array(done)))).as_py()
        return [] if same in (True, None) else [f"{path}: edited answers are not those of the plan"]

    def _narrow(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        schema = self._kept.widened(self._kept.editor.schema)
        wide = recast(batch, schema)
        return wide.select(list(range(wide.num_columns - 1)))

    def restored(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as they were read."""
        return self._kept.restored(recast(batch, self._kept.widened(self._kept.editor.schema)))

    def missing(self, unedited: int) -> list[str]:
        """Edits of the plan that no file had a row for, and rows left unedited that are not as many as recorded."""
        gone, found = len(self._positions) - self._seen, len(self._unedited)
        problems = [f"data/: {gone:,} rows that the plan edits are not there"] if gone else []
        if found != unedited:
            problems.append(f"data/: {found:,} rows have no answer to replace, {unedited:,} recorded")
        return problems
