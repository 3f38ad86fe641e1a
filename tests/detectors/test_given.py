"""A number that rows bring along."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.given import Given
from detectors.protocols import Device


def values(column: pa.Array) -> list[float | None]:
    documents = Documents(pa.record_batch({"text": ["x"] * len(column), "column:score": column}))
    found: list[float | None] = Given("score").load(Device.CPU)(documents)["value"].to_pylist()
    return found


def test_it_keeps_the_contract_of_a_signal() -> None:
    text = awkward_documents().batch.column("text")
    check_signal(Given("score"), Documents(pa.record_batch({"text": text, "column:score": text})))
    numbers = pa.array([None, *range(1, len(text))], pa.float32())
    check_signal(Given("score"), Documents(pa.record_batch({"text": text, "column:score": numbers})))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0.5, None, float("nan"), float("inf")]), [0.5, None, None, None]),
        (pa.array([3, -2], pa.int32()), [3.0, -2.0]),
        (pa.array([True, False]), [1.0, 0.0]),
        (pa.array([Decimal("1.25"), None]), [1.25, None]),
        (pa.array([" 0.25 ", "-1e3", "n/a", "", None, "1.2.3"]), [0.25, -1000.0, None, None, None, None]),
    ],
)
def test_numbers_of_any_type_are_taken_and_all_else_is_null(column: pa.Array, expected: list[float | None]) -> None:
    assert values(column) == expected


def test_a_column_of_something_else_is_named() -> None:
    with pytest.raises(SignalError, match="'score' is list<"):
        values(pa.array([[1], [2]]))
    with pytest.raises(ConfigError, match="no column"):
        Given().load(Device.CPU)
