"""Measures units of a sample and gives them as parts of findings, calibrated, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from audit.evaluate import measure_blocks
from audit.findings_folder import COLUMN_PREFIX, is_binary
from audit.sequential_units import Unit, read
from detectors.documents import Documents
from detectors.protocols import Device, Signal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

__all__ = ["MeasureUnits", "Measured"]


@dataclass(frozen=True)
class Measured:
    """One unit, measured: its rows as `audit.findings_folder.Findings.parts` would give them, calibrated."""

    unit: Unit
    frame: pl.DataFrame


@dataclass(frozen=True)
class MeasureUnits:
    """The task of a sample, sent to workers as it is.

    Attributes:
        signals: to measure, raw columns among them.
        device: for signals with a model.
        by, domain, time: columns of sources, domains and dates; None where there is none.
        reference: the human reference of the user's own; None is the bundled one alone.
    """

    signals: tuple[Signal, ...]
    device: Device
    by: str | None
    domain: str | None
    time: str | None
    reference: Path | None

    def __call__(self, units: Sequence[Unit]) -> tuple[Measured, ...]:
        """Units of one file, in file order.

        Raises:
            ShardError: the file cannot be read. SignalError: a signal broke its contract.
        """
        from audit.calibrate import calibrated, tables_for

        layout = units[0].layout
        raw = (name.removeprefix("column:") for signal in self.signals for name in signal.reads if ":" in name)
        columns = sorted({*layout.columns, *raw})
        tables = None if self.reference is None else tables_for(self.reference)
        return tuple(
            Measured(unit, calibrated(self._frame(unit, batches), tables)) for unit, batches in read(units, columns)
        )

    def _frame(self, unit: Unit, batches: Sequence[pa.RecordBatch]) -> pl.DataFrame:
        import polars as pl

        structs, errors = self._measure(unit, batches)
        measured = {name: values for name, values in structs.items() if not name.startswith(COLUMN_PREFIX)}
        faults = [[text for text in row if text is not None] for row in zip(*errors.values(), strict=True)]
        columns: dict[str, pl.Series] = {
            "shard": pl.repeat(unit.shard.key, unit.rows, dtype=pl.String, eager=True),
            "row": pl.int_range(unit.first_row, unit.first_row + unit.rows, dtype=pl.Int64, eager=True),
        }
        columns["source"] = columns["shard"] if self.by is None else _values(structs[COLUMN_PREFIX + self.by])
        for name, column in (("domain", self.domain), ("time", self.time)):
            if column is not None:
                columns[name] = _values(structs[COLUMN_PREFIX + column])
        nulls = [series.is_null().cast(pl.UInt32) for series in measured.values()]
        columns["unmeasured"] = pl.select(pl.sum_horizontal(map(pl.lit, nulls))).to_series()
        columns["errors"] = pl.Series(faults, dtype=pl.List(pl.String))
        return pl.DataFrame({name: series.alias(name) for name, series in {**columns, **measured}.items()})

    def _measure(
        self, unit: Unit, batches: Sequence[pa.RecordBatch]
    ) -> tuple[dict[str, pl.Series], dict[str, list[str | None]]]:
        """A struct a signal, null where it has no measurement, and what each signal raised, row by row."""
        import polars as pl

        found: dict[Signal, list[pa.StructArray]] = {signal: [] for signal in self.signals}
        errors: dict[str, list[str | None]] = {signal.name: [] for signal in self.signals}
        for batch in batches:
            documents = Documents(unit.layout.documents(batch, unit.shard.uri))
            for measured in measure_blocks(self.signals, documents, self.device):
                found[measured.signal].append(_struct(measured.found, measured.valid))
                name = measured.signal.name
                said = measured.errors or [None] * measured.found.num_rows
                errors[name] += [None if text is None else f"{name}: {text}" for text in said]
        return {
            signal.name: pl.Series(signal.name, pl.from_arrow(pa.concat_arrays(arrays)))
            for signal, arrays in found.items()
        }, errors


def _struct(found: pa.RecordBatch, valid: npt.NDArray[np.bool_]) -> pa.StructArray:
    """The readable fields of a measurement; binary ones are for stages, which a sample has none of."""
    fields = [field for field in found.schema if not is_binary(field)] or list(found.schema)[:1]
    arrays = [found.column(field.name) for field in fields]
    plain = [pa.field(field.name, field.type) for field in fields]
    return pa.StructArray.from_arrays(arrays, fields=plain, mask=pc.invert(pa.array(valid)))


def _values(structs: pl.Series) -> pl.Series:
    return structs.struct.field("value").fill_null("(null)")
