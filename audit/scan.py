"""A scan: find the shards, measure what is not measured yet, commit the record. Resumable at every part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit import __version__
from audit.config import Config, ScanConfig
from audit.corpus import Corpus, Shard, open_shard
from audit.destination import (
    clear,
    local_folder,
    refuse_foreign,
    refuse_inside,
    spool,
    take_back,
)
from audit.digests import digests_of
from audit.execute import Executor, Outcome, Process, executor_for
from audit.findings import RECORD, FailedShard, Findings, ShardRecord, SignalRecord
from audit.layout import find_layout
from audit.lock import locked
from audit.measure import MeasureUnit, PartReceipt, Receipt, Unit, columns_of, identity, parts_of, refuse_other
from audit.parts import any_part, read_identity
from audit.readers import ShardError
from audit.signals import build_signals, build_stages, pinned, with_known
from audit.signature import config_hash, signal_config
from audit.stages import Stage, run_stages
from audit.storage import is_remote
from audit.warm import warm
from detectors.errors import FindingsError, FoxingError, InputError
from detectors.protocols import Device, Signal
from detectors.sketches import Sketches

__all__ = ["Progress", "ScanResult", "scan"]


@dataclass(frozen=True)
class Progress:
    """How far a scan is; sizes are bytes as stored.

    Attributes:
        done_bytes: covered so far.
        total_bytes: of all shards.
        rows: covered so far.
        phase: `digest`, `measure`, or the name of a stage, where "bytes" are rows.
        text_bytes: UTF-8 bytes that were measured so far, by this run.
    """

    done_bytes: int
    total_bytes: int
    rows: int
    phase: str
    text_bytes: int = 0


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


def _corpus(paths: Sequence[str], folder: Path, known: Findings | None) -> tuple[Corpus, tuple[str, ...]]:
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
    """Measure a corpus. What an earlier run of the same scan measured is kept.

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
    try:
        with locked(folder):
            known = _known(folder, fresh)
            named = [str(spool(folder, fresh=fresh)) if path == "-" else path for path in paths]
            corpus, gone = _corpus(named, folder, known)
            for leftover in (*folder.glob(".*.tmp"), *(folder / "findings").rglob(".*.tmp")):
                leftover.unlink()
            every = with_known(signals, known, chosen.scan.columns)
            run = _Scan(folder, every, stages, chosen.scan, known, fresh, on_progress)
            return run.run(corpus, gone, began)
    except FoxingError:
        if created:
            take_back(folder)
        raise


def _known(folder: Path, fresh: bool) -> Findings | None:
    try:
        return None if fresh else Findings.open(folder)
    except FindingsError:
        if (folder / RECORD).exists():
            raise
        return None


class _Scan:
    """The state of one run: what was known, what failed."""

    def __init__(
        self,
        folder: Path,
        signals: tuple[Signal, ...],
        stages: tuple[Stage, ...],
        config: ScanConfig,
        known: Findings | None,
        fresh: bool,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.folder = folder
        self.signals = signals
        self.stages = stages
        self.config = config
        self.executor: Executor = executor_for(config.workers)
        self.known = {shard.uri: shard for shard in known.shards} if known else {}
        self.by = config.by or (known.by if known else None)
        self.domain = config.domain_column or (known.domain if known else None)
        self.time = config.time_column or (known.time if known else None)
        self.sketches = Sketches(by=self.by) if config.sketches else None
        self.fresh = fresh
        self.failed: dict[str, FailedShard] = {}
        self.on_progress = on_progress or (lambda progress: None)

    def run(self, corpus: Corpus, gone: tuple[str, ...], began: float) -> ScanResult:
        digests = digests_of(corpus.shards, self.folder, self.executor, fail=self._fail, on_progress=self._on_digest)
        units = {shard.uri: self._units(shard, digests[shard.uri]) for shard in corpus.shards if shard.uri in digests}
        self._refuse_unreadable(corpus)
        if self.fresh:
            clear(self.folder)
        self._refuse_changed([unit for found in units.values() for unit in found[:1]])
        receipts = self._measure(corpus, [unit for found in units.values() for unit in found])
        self._refuse_unreadable(corpus)
        records = [
            self._record(shard, digests[shard.uri], units[shard.uri], receipts.get(shard.key, []))
            for shard in corpus.shards
            if shard.uri not in self.failed
        ]
        if not sum(record.rows for record in records):
            more = f" (nor in {len(records) - 1} other files)" if len(records) > 1 else ""
            raise InputError(f"{records[0].uri}: no rows in all of it{more}. Check what wrote it.")
        findings = Findings(
            self.folder,
            tuple(records),
            tuple(self.failed.values()),
            tuple(_signal_record(signal) for signal in self.signals),
            self.config.seed,
            self.by,
            self.domain,
            self.time,
        )
        findings = self._staged(findings)
        findings.commit(__version__)
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
            self.on_progress(Progress(done[stage], findings.rows, done[stage], stage))

        return run_stages(findings, self.stages, commit=lambda found: found.commit(__version__), advance=advance)

    def _on_digest(self, done: int, total: int) -> None:
        self.on_progress(Progress(done, total, 0, "digest"))

    def _fail(self, uri: str, error: Exception) -> None:
        code = error.code if isinstance(error, ShardError) else "FX904"
        message = str(error) if isinstance(error, FoxingError) else f"{uri}: {error}"
        self.failed.setdefault(uri, FailedShard(uri, code, message))

    def _units(self, shard: Shard, digest: str) -> list[Unit]:
        try:
            names = self._names(shard, digest)
            layout = find_layout(names, shard.uri, text=self.config.text)
            for signal in self.signals:
                for column in signal.reads:
                    _need_column(column, names, shard.uri)
        except ShardError as error:
            self._fail(shard.uri, error)
            return []
        groups = shard.groups()
        if groups is None:
            return [Unit(shard, digest, layout, None, self._known_parts(shard, digest))]
        return [Unit(shard, digest, layout, part) for part in parts_of(groups)]

    def _names(self, shard: Shard, digest: str) -> list[str]:
        """Column names. An earlier scan of the same bytes knows them; a JSONL file must be read whole for them."""
        record = self.known.get(shard.uri)
        return list(record.columns) if record is not None and record.digest == digest else shard.reader.names()

    def _known_parts(self, shard: Shard, digest: str) -> tuple[PartReceipt, ...]:
        record = self.known.get(shard.uri)
        if self.fresh or record is None or record.digest != digest:
            return ()
        ends = (*record.parts[1:], record.rows)[: len(record.parts)]  # a file without rows has no parts
        return tuple(PartReceipt(first, end - first) for first, end in zip(record.parts, ends, strict=True))

    def _refuse_changed(self, firsts: Iterable[Unit]) -> None:
        """Stop when findings on disk were made otherwise than this run would make them, before anything is added."""
        for unit in firsts:
            for signal in self._measured:
                path = any_part(self.folder, signal.name, unit.shard.key)
                found = read_identity(path) if path is not None else None
                if found is not None:
                    wanted = identity(signal, unit, self.config.seed, found.first_row)
                    if wanted.differences(found):
                        refuse_other(wanted, found, self.folder, unit.shard.key)

    @property
    def _measured(self) -> list[Signal | Sketches]:
        return [*self.signals, *([self.sketches] if self.sketches else [])]

    def _measure(self, corpus: Corpus, units: list[Unit]) -> dict[str, list[Receipt]]:
        sizes = {shard.key: shard.size_bytes for shard in corpus.shards}
        counts = Counter(unit.shard.key for unit in units)
        total = sum(sizes[key] for key in counts)
        task = MeasureUnit(self.folder, self.signals, Device(self.config.device), self.config.seed, self.sketches)
        receipts: dict[str, list[Receipt]] = {}
        done, rows, text = 0.0, 0, 0
        for outcome in self._outcomes(task, units):
            shard = outcome.item.shard
            if outcome.value is None:
                if isinstance(outcome.error, FoxingError) and not isinstance(outcome.error, InputError):
                    raise outcome.error
                self._fail(shard.uri, outcome.error or InputError(f"{shard.uri}: cannot be read."))
                continue
            receipts.setdefault(shard.key, []).append(outcome.value)
            done += sizes[shard.key] / counts[shard.key]
            rows += sum(part.rows for part in outcome.value.parts)
            text += outcome.value.text_bytes
            self.on_progress(Progress(int(done), total, rows, "measure", text))
        return receipts

    def _outcomes(self, task: MeasureUnit, units: list[Unit]) -> Iterator[Outcome[Unit, Receipt]]:
        if not isinstance(self.executor, Process):
            yield from self.executor.map(task, units)
            return
        waiting = [unit for unit in units if task.has_work(unit)]
        finished = set(map(id, units)) - set(map(id, waiting))
        yield from executor_for(1).map(task, [unit for unit in units if id(unit) in finished])
        if waiting:
            # Workers then find every kernel in the cache, and what they are forked from starts meanwhile.
            self.executor.start()
            warm(self.signals, task.device, self.sketches)
            yield from self.executor.map(task, waiting)

    def _record(self, shard: Shard, digest: str, units: list[Unit], receipts: list[Receipt]) -> ShardRecord:
        parts = sorted((part for receipt in receipts for part in receipt.parts), key=lambda part: part.first_row)
        seen = next((receipt.columns for receipt in receipts if receipt.columns is not None), None)
        if seen is None and shard.uri in self.known:
            seen = self.known[shard.uri].columns
        return ShardRecord(
            key=shard.key,
            uri=shard.uri,
            format=shard.format.value,
            rows=sum(part.rows for part in parts),
            size_bytes=shard.size_bytes,
            digest=digest,
            layout=str(units[0].layout) if units else "",
            columns=columns_of(shard) if seen is None else seen,
            parts=tuple(part.first_row for part in parts),
        )

    def _refuse_unreadable(self, corpus: Corpus) -> None:
        if len(self.failed) < len(corpus.shards):
            return
        first = next(iter(self.failed.values()))
        more = f" (and {len(self.failed) - 1} other files cannot be read either)" if len(self.failed) > 1 else ""
        raise InputError(first.message + more)


def _need_column(read: str, names: Sequence[str], uri: str) -> None:
    kind, separator, column = read.partition(":")
    if kind == "column" and separator and column not in names:
        has = ", ".join(names[:12])
        raise ShardError(
            uri,
            f"no column {column!r} (has: {has})",
            "Name another with --by, --domain-column or --time-column.",
            code="FX902",
        )


def _signal_record(signal: Signal) -> SignalRecord:
    depends = [signal.version, signal_config(signal, located=False)]
    return SignalRecord(signal.name, signal.version, signal_config(signal), config_hash(depends))
