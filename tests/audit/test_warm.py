from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from audit.warm import warm
from detectors.column import Column
from detectors.documents import Documents
from detectors.protocols import Device, Measure
from detectors.sketches import Sketches

SEEN: list[tuple[int, int]] = []


@dataclass(frozen=True)
class Recording:
    """Notes what it was given."""

    reads: tuple[str, ...] = ("text",)
    name: ClassVar[str] = "recording"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("words", pa.int32())])

    def load(self, device: Device) -> Measure:
        def measure(documents: Documents) -> pa.RecordBatch:
            SEEN.append((len(documents), len(documents.words)))
            return pa.record_batch([pa.array([0] * len(documents), pa.int32())], schema=self.schema)

        return measure


def test_every_signal_runs_once_on_words_enough_for_any_index() -> None:
    SEEN.clear()
    warm([Recording(), Column("language")], Device.CPU)
    ((documents, words),) = SEEN
    assert documents == 3 and words > 200


def test_sketches_are_run_without_the_column_that_they_read() -> None:
    warm([], Device.CPU, Sketches(by="source"))


def test_nothing_to_warm_is_no_error() -> None:
    warm([], Device.CPU)
