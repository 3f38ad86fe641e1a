"""A number that each row brings along, such as a score from elsewhere, so that rules and orders can look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.protocols import Device, Measure

__all__ = ["Given"]


@dataclass(frozen=True)
class Given:
    """The number in a column of the corpus: a rating, a metric, the score of a detector of one's own.

    This is how scores get in that foxing must not make itself: of a detector that was trained on these very rows, each
    scored by a copy that did not see it (out of fold). Null where the column is null, not finite, or text that is no
    number.

    Attributes:
        column: its name.
    """

    column: str = ""

    name: ClassVar[str] = "given"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [pa.field("value", pa.float64(), metadata={"doc": "The number in the column that is named."})]
    )

    @property
    def reads(self) -> tuple[str, ...]:
        """The column, once there is one."""
        return (f"column:{self.column}",) if self.column else ("text",)

    def load(self, device: Device) -> Measure:
        """Nothing to load.

        Raises:
            ConfigError: no column is named.
        """
        if not self.column:
            raise ConfigError('given: no column. Name one: [tool.foxing.signal.given] column = "score".')
        return self._measure

    def _measure(self, documents: Documents) -> pa.RecordBatch:
        values = documents.batch.column(f"column:{self.column}")
        try:
            numbers = _numbers(values)
        except (pa.ArrowException, TypeError) as error:
            raise SignalError(
                f"given: column {self.column!r} is {values.type}, which holds no numbers. Name another one."
            ) from error
        finite = pc.fill_null(pc.is_finite(numbers), False)
        return pa.record_batch([pc.if_else(finite, numbers, pa.scalar(None, pa.float64()))], schema=self.schema)


_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"


def _numbers(values: pa.Array) -> pa.DoubleArray:
    from detectors.answers import as_texts
    from detectors.documents import as_large_binary

    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return values.cast(pa.float64(), safe=False)
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8()).cast(pa.float64())
    texts = pc.utf8_trim_whitespace(as_texts(as_large_binary(values)))
    shaped = pc.match_substring_regex(texts, _NUMBER)
    return pc.if_else(shaped, texts, pa.scalar(None, pa.large_string())).cast(pa.float64())
