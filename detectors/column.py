"""A raw column carried into findings as it is: the sources, domains and dates that reports group by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.protocols import Device, Measure

__all__ = ["Column"]


@dataclass(frozen=True)
class Column:
    """The value of one raw column, as text.

    Attributes:
        column: its name in the corpus.
    """

    column: str
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [pa.field("value", pa.string(), metadata={"doc": "the column's value as text"})]
    )

    @property
    def name(self) -> str:
        """`column.NAME`, a folder of its own, so that grouping by another column only adds one."""
        return f"column.{self.column}"

    @property
    def reads(self) -> tuple[str, ...]:
        """The raw column."""
        return (f"column:{self.column}",)

    def load(self, device: Device) -> Measure:
        """Nothing to load."""
        return self._measure

    def _measure(self, documents: Documents) -> pa.RecordBatch:
        column = documents.batch.column(f"column:{self.column}")
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_nested(column.type):
            texts: pa.Array = pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
        elif pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            texts = pa.array(
                [None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], pa.string()
            )
        else:
            texts = pc.cast(column, pa.string())
        return pa.record_batch([texts], schema=self.schema)
