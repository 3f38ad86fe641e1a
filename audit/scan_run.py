"""A scan: find the shards, measure what is not measured yet, commit the record. Resumable at every part."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit import __version__
from audit.config import Config
from audit.corpus import Corpus, open_shard
from audit.destination import (
    DIGESTS,
    clear,
    local_folder,
    refuse_foreign,
    refuse_inside,
    spool,
    take_back,
)
from audit.findings_folder import RECORD, Findings, ShardRecord, SignalRecord
from audit.lock import locked
from audit.scanning import Progress, Scanning
from audit.signals import build_signals, build_stages, pinned, with_known
from audit.signature import config_hash, signal_config
from audit.slices import SLICES, SliceRecord, slice_records
from audit.stages import Stage, run_stages
from audit.storage import is_remote
from detectors.errors import FindingsError, FoxingError, InputError
from detectors.protocols import Signal

__all__ = ["Progress", "ScanResult", "known_findings", "scan", "scanned_corpus", "settings_of"]


@dataclass(frozen=True)
class ScanResult:
    """A finished scan.

    Attributes:
        findings: opened for reading.
        skipped: files in the folders named that are no data files, and so were passed over.
        gone: shards of earlier scans that are no longer in a folder that was scanned again; they left the corpus.
        measured_rows: rows that were measured now, not before.
        text_bytes: UTF-8 bytes that were measured now.
        faults: rows on which a signal raised.
        cpu_s: CPU seconds of measuring, summed over workers.
        wall_s: seconds from start to commit.
    """

    findings: Findings
    skipped: tuple[str, ...]
    gone: tuple[str, ...]
    measured_rows: int
    text_bytes: int
    faults: int
    cpu_s: float
    wall_s: float


def scanned_corpus(paths: Sequence[str], folder: Path, known: Findings | None) -> tuple[Corpus, tuple[str, ...]]:
    """The shards to scan, and those of earlier scans of this folder that are gone from where they were looked for.

    What an earlier scan covered stays part of the corpus, and what it could not read is tried again.
    """
    keys = {shard.uri: shard.key for shard in known.shards} if known else {}
    named = Corpus.open(paths, keys=keys)
    refuse_inside(folder, (), (shard.uri for shard in named.shards))
    if known is None:
        return named, ()
    have = {shard.uri for shard in named.shards}
    before = [
        open_shard(record.uri, record.format, key=record.key, size_bytes=record.size_bytes)
        for record in known.shards
        if record.uri not in have
    ]
    retried = [failed.uri for failed in known.failed if failed.uri not in have and _is_there(failed.uri)]
    if retried:
        before += Corpus.open(retried, keys={**keys, **{shard.uri: shard.key for shard in named.shards}}).shards
    # A folder that is scanned again says what belongs to it; what lay elsewhere must still be there.
    gone = tuple(shard.uri for shard in before if not _is_there(shard.uri) and _below(shard.uri, paths))
    kept = [shard for shard in before if shard.uri not in gone]
    return Corpus.of((*kept, *named.shards), skipped=named.skipped), gone


def _is_there(uri: str) -> bool:
    return is_remote(uri) or Path(uri).exists()


def _below(uri: str, paths: Sequence[str]) -> bool:
    return any(not is_remote(path) and Path(uri).is_relative_to(Path(path).absolute()) for path in paths)


def scan(
    paths: Sequence[str],
    directory: Path | str,
    config: Config | None = None,
    *,
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> ScanResult:
    """Measure a corpus. What an earlier run of the same scan measured is kept, and what its slices measured.

    With one worker it measures in this process, which then keeps memory that it freed (`audit.allocator`).

    Args:
        paths: files, directories, globs, URLs; `-` is JSONL on standard input.
        directory: where findings go; made when absent.
        config: settings; None takes the defaults.
        fresh: throw away what is there and start over.
        on_progress: called after each unit of work.

    Returns:
        The result. Shards that could not be read are in `findings.failed`; the others were measured.

    Raises:
        InputError: nothing could be read, or there is no row at all.
        ConfigError: what is there was measured with other settings, another seed or other bytes.
        OutputError: the folder is not foxing's, is in use, lies in the input, or cannot be written.
    """
    began = time.monotonic()
    chosen = config or Config()
    folder = local_folder(directory)
    signals, stages = pinned(build_signals(chosen)), pinned(build_stages(chosen))
    refuse_inside(folder, paths)
    refuse_foreign(folder)
    created = not folder.exists()
    with locked(folder):
        try:
            known = known_findings(folder, fresh=fresh)
            named = [str(spool(folder, fresh=fresh)) if path == "-" else path for path in paths]
            corpus, gone = scanned_corpus(named, folder, known)
            _sweep(folder)
            every = with_known(signals, known, chosen.scan.columns)
            slices = [] if fresh else slice_records(folder)
            run = Scanning(
                folder,
                every,
                chosen.scan,
                known,
                finished=_finished(slices),
                fresh=fresh,
                on_progress=on_progress,
            )
            for piece in slices:
                piece.refuse_other({"parts": piece.piece.of, **settings_of(run)}, folder)
            return _Scan(run, stages).run(corpus, gone, began)
        except FoxingError:
            if created:  # still held: without the lock it may be another's by now
                take_back(folder)
            raise


def known_findings(folder: Path, *, fresh: bool = False) -> Findings | None:
    """What an earlier scan of a folder has committed; None where none has."""
    try:
        return None if fresh else Findings.open(folder)
    except FindingsError:
        if (folder / RECORD).exists():
            raise
        return None


def _sweep(folder: Path) -> None:
    """Remove what killed workers were writing."""
    for leftover in (*folder.glob(".*.tmp"), *(folder / "findings").rglob(".*.tmp")):
        leftover.unlink(missing_ok=True)


class _Scan:
    """What a scan does with its run: measure all of it, find what is known of the whole, commit."""

    def __init__(self, run: Scanning, stages: tuple[Stage, ...]) -> None:
        self._run = run
        self._stages = stages

    def run(self, corpus: Corpus, gone: tuple[str, ...], began: float) -> ScanResult:
        """Measure, judge the whole, commit."""
        run, folder = self._run, self._run.folder
        digests = run.digests(corpus.shards, folder / DIGESTS, others=(folder / SLICES).glob("*.digests.json"))
        units = {shard.uri: run.units(shard, digests[shard.uri]) for shard in corpus.shards if shard.uri in digests}
        run.refuse_unreadable(corpus)
        if run.fresh:
            clear(folder)
        run.refuse_changed([unit for found in units.values() for unit in found[:1]])
        receipts = run.measure(corpus.shards, [unit for found in units.values() for unit in found])
        run.refuse_unreadable(corpus)
        _sweep(folder)
        records = [
            run.record(shard, digests[shard.uri], units[shard.uri], receipts.get(shard.key, []))
            for shard in corpus.shards
            if shard.uri not in run.failed
        ]
        if not sum(record.rows for record in records):
            more = f" (nor in {len(records) - 1} other files)" if len(records) > 1 else ""
            raise InputError(f"{records[0].uri}: no rows in all of it{more}. Check what wrote it.")
        findings = Findings(
            folder,
            tuple(records),
            tuple(run.failed.values()),
            tuple(_signal_record(signal) for signal in run.signals),
            run.config.seed,
            run.by,
            run.domain,
            run.time,
        )
        findings = self._staged(findings)
        findings.commit(__version__)
        shutil.rmtree(folder / SLICES, ignore_errors=True)
        done = [receipt for found in receipts.values() for receipt in found]
        return ScanResult(
            findings=findings,
            skipped=corpus.skipped,
            gone=gone,
            measured_rows=sum(receipt.measured_rows for receipt in done),
            text_bytes=sum(receipt.text_bytes for receipt in done),
            faults=sum(receipt.faults for receipt in done),
            cpu_s=sum(receipt.seconds for receipt in done),
            wall_s=time.monotonic() - began,
        )

    def _staged(self, findings: Findings) -> Findings:
        done: Counter[str] = Counter()

        def advance(stage: str, rows: int) -> None:
            done[stage] += rows
            self._run.on_progress(Progress(done[stage], findings.rows, done[stage], stage))

        return run_stages(findings, self._stages, commit=lambda found: found.commit(__version__), advance=advance)


def _signal_record(signal: Signal) -> SignalRecord:
    depends = [signal.version, signal_config(signal, located=False)]
    return SignalRecord(signal.name, signal.version, signal_config(signal), config_hash(depends))


def settings_of(run: Scanning) -> dict[str, Any]:
    """What the numbers of a run depend on, JSON-ready: the same in all slices of a scan."""
    signals = {signal.name: _signal_record(signal).config_hash for signal in run.signals}
    columns = {"text": run.config.text, "by": run.by, "domain_column": run.domain, "time_column": run.time}
    return {"signals": signals, "seed": run.config.seed, "sketches": run.config.sketches, **columns}


def _finished(slices: Sequence[SliceRecord]) -> list[ShardRecord]:
    try:
        return [ShardRecord(**{**one, "parts": tuple(one["parts"])}) for piece in slices for one in piece.shards]
    except (KeyError, TypeError) as error:
        raise FindingsError(f"the record of a part is damaged ({error!r}). Run that part again.") from error
