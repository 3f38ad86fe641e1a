"""One slice of a scan: any number of independent processes measure a corpus into one folder, a slice each.

Slices know nothing of each other but that their settings agree. Each can be killed and run again alone. The scan
without a slice then finds their work done, looks at the corpus as a whole, and commits.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.config import Config
from audit.corpus import Shard
from audit.destination import DIGESTS, local_folder, refuse_foreign, refuse_inside
from audit.findings_folder import FailedShard, write_json
from audit.lock import locked
from audit.measure import Receipt, parts_of
from audit.scan_run import known_findings, scanned_corpus, settings_of
from audit.scanning import Progress, Scanning
from audit.signals import build_signals, pinned, with_known
from audit.slices import SLICES, Line, Slice, SliceRecord, slice_records
from detectors.errors import InputError

__all__ = ["PartResult", "scan_part"]


@dataclass(frozen=True)
class PartResult:
    """A slice that is measured.

    Attributes:
        piece: which.
        units: of the slice, those of shards that cannot be read left out.
        failed: shards of the slice that could not be scanned.
        left: numbers of the slices that have not been measured to their end.
        measured_rows: rows that were measured now, not before.
        text_bytes: UTF-8 bytes that were measured now.
        faults: rows on which a signal raised.
        cpu_s: CPU seconds of measuring, summed over workers.
        wall_s: seconds.
    """

    piece: Slice
    units: int
    failed: tuple[FailedShard, ...]
    left: tuple[int, ...]
    measured_rows: int
    text_bytes: int
    faults: int
    cpu_s: float
    wall_s: float


def scan_part(
    paths: Sequence[str],
    directory: Path | str,
    piece: Slice,
    config: Config | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> PartResult:
    """Measure one slice of a corpus. What an earlier run of it measured is kept; nothing is committed.

    Other slices may be measured into the same folder at the same time. `audit.scan_run.scan` of the same paths puts
    them together, and measures what they have left.

    Args:
        paths: files, directories, globs, URLs; the same for all slices.
        directory: where findings go, the same for all slices; made when absent.
        piece: which slice.
        config: settings, the same for all slices; None takes the defaults.
        on_progress: called after each unit of work.

    Raises:
        InputError: standard input, or no input at all.
        ConfigError: another slice, or what is there, was measured with other settings, another seed or other bytes.
        OutputError: the folder is not foxing's, or cannot be written; this slice, or a scan of it all, is under way.
    """
    began = time.monotonic()
    if "-" in paths:
        raise InputError("-: standard input cannot be read in parts. Write it to a file first.")
    chosen = config or Config()
    folder = local_folder(directory)
    signals = pinned(build_signals(chosen))
    refuse_inside(folder, paths)
    refuse_foreign(folder)
    with locked(folder, shared=True), locked(folder / SLICES, f"{piece.number}-of-{piece.of}.lock"):
        known = known_findings(folder)
        corpus, _ = scanned_corpus(paths, folder, known)
        every = with_known(signals, known, chosen.scan.columns)
        run = Scanning(folder, every, chosen.scan, known, on_progress=on_progress)
        return _Slice(run, piece, Line(corpus.shards)).run(corpus.shards, began)


class _Slice:
    """The run of one slice."""

    def __init__(self, run: Scanning, piece: Slice, line: Line) -> None:
        self._run, self._piece, self._line = run, piece, line
        self._settings = {"parts": piece.of, **settings_of(run)}

    def run(self, corpus: Sequence[Shard], began: float) -> PartResult:
        """Measure the units of the slice, and leave its record."""
        run, folder, piece = self._run, self._run.folder, self._piece
        for record in slice_records(folder):
            record.refuse_other(self._settings, folder)
        self._leave(done=False)
        mine = {shard.uri: found for shard in corpus if (found := self._mine(shard)) != []}
        shards = [shard for shard in corpus if shard.uri in mine]
        kept = piece.file(folder, "digests.json")
        digests = run.digests(shards, kept, others=[folder / DIGESTS])
        every = {shard.uri: run.units(shard, digests[shard.uri]) for shard in shards if shard.uri in digests}
        units = {uri: [found[at] for at in mine[uri] or range(len(found))] for uri, found in every.items()}
        run.refuse_changed([unit for found in units.values() for unit in found[:1]])
        receipts = run.measure(shards, [unit for found in units.values() for unit in found])
        whole = [
            run.record(shard, digests[shard.uri], units[shard.uri], receipts[shard.key])
            for shard in shards
            if shard.uri not in run.failed and units[shard.uri] and len(units[shard.uri]) == len(every[shard.uri])
        ]
        self._leave(done=True, shards=tuple(dataclasses.asdict(record) for record in whole))
        finished = {record.piece.number for record in slice_records(folder) if record.done}
        done = [receipt for found in receipts.values() for receipt in found]
        return self._result(done, finished, sum(map(len, units.values())), began)

    def _mine(self, shard: Shard) -> list[int] | None:
        """Which units of a shard are of this slice; None: all there are, of a shard that is not cut or has no rows."""
        if not self._line.touches(shard, self._piece):
            return []
        try:
            groups = shard.groups() or ()
        except (InputError, OSError):
            groups = ()  # it is this slice that says so
        parts = parts_of(groups)
        if parts:
            return self._line.units(shard, parts, [group.size_bytes for group in groups], self._piece)
        return None if self._line.has_middle(shard, self._piece) else []

    def _leave(self, *, done: bool, shards: tuple[dict[str, object], ...] = ()) -> None:
        record = SliceRecord(self._piece, self._settings, done, shards)
        write_json(self._piece.file(self._run.folder, "json"), record.to_json())

    def _result(self, done: list[Receipt], finished: set[int], units: int, began: float) -> PartResult:
        return PartResult(
            piece=self._piece,
            units=units,
            failed=tuple(self._run.failed.values()),
            left=tuple(number for number in range(1, self._piece.of + 1) if number not in finished),
            measured_rows=sum(receipt.measured_rows for receipt in done),
            text_bytes=sum(receipt.text_bytes for receipt in done),
            faults=sum(receipt.faults for receipt in done),
            cpu_s=sum(receipt.seconds for receipt in done),
            wall_s=time.monotonic() - began,
        )
