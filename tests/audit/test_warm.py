from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from audit.execute import Process
from audit.warm import warm, warm_by_several
from detectors import samples
from detectors.column import Column
from detectors.compiling import tell_compiling
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


@dataclass(frozen=True)
class Noting:
    """Writes the process that it runs in to a file of its own; says in the first one that a kernel is compiled."""

    folder: str
    name: str
    first: int
    reads: tuple[str, ...] = ("text",)
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("words", pa.int32())])

    def load(self, device: Device) -> Measure:
        def measure(documents: Documents) -> pa.RecordBatch:
            if os.getpid() == self.first:
                tell_compiling(True)
                deadline = time.monotonic() + 60
                while not list(Path(self.folder).glob("b.*")) and self.folder and time.monotonic() < deadline:
                    time.sleep(0.01)
            if self.folder:
                Path(self.folder, f"{self.name}.{os.getpid()}").touch()
            return pa.record_batch([pa.array([0] * len(documents), pa.int32())], schema=self.schema)

        return measure


def test_workers_begin_with_the_last_signal_once_a_kernel_is_compiled(tmp_path: Path) -> None:
    here = os.getpid()
    signals = [Noting(str(tmp_path), name, here) for name in "ab"]
    warm_by_several(Process(2), signals, Device.CPU)
    ran = {tuple(path.name.split(".")) for path in tmp_path.iterdir()}
    assert {("a", str(here)), ("b", str(here))} <= ran
    assert [name for name, process in ran if process != str(here)].count("b") == 1


def test_no_worker_begins_where_nothing_is_compiled(tmp_path: Path) -> None:
    signals = [Noting(str(tmp_path), name, -1) for name in "ab"]
    warm_by_several(Process(2), signals, Device.CPU)
    assert {path.name for path in tmp_path.iterdir()} == {f"a.{os.getpid()}", f"b.{os.getpid()}"}


def test_samples_of_sketches_become_full_so_that_what_makes_room_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be compiled in the middle of a scan, after some megabytes."""
    made_room = []
    make_room = samples._let_go
    monkeypatch.setattr(samples, "_let_go", lambda *held: (made_room.append(True), make_room(*held)))
    warm([], Device.CPU, Sketches(by="source"))
    assert made_room
