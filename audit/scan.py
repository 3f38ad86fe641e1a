"""A scan: find the shards, measure what is not measured yet, commit the record. Resumable at every part."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit import __version__
from audit.config import Config, ScanConfig, settings
from audit.corpus import Corpus, Shard, open_shard
from audit.execute import Executor, executor_for
from audit.findings import (
    COLUMN_PREFIX,
    RECORD,
    FailedShard,
    Findings,
    ShardRecord,
    SignalRecord,
    part_path,
    read_identity,
    write_json,
)
from audit.layout import find_layout
from audit.measure import MeasureUnit, Receipt, Unit, identity, parts_of
from audit.readers import ShardError
from audit.signature import config_hash, signal_config
from audit.storage import digest, is_remote, stat
from detectors.column import Column
from detectors.errors import ConfigError, FindingsError, FoxingError, InputError, OutputError, PluginError
from detectors.protocols import Device, Signal
from detectors.registry import SIGNALS, load

__all__ = ["Progress", "ScanResult", "build_signals", "open_corpus", "scan"]

_DIGESTS = "digests.json"
_STDIN = "stdin.jsonl"


@dataclass(frozen=True)
class Progress:
    """How far a scan is; sizes are bytes as stored.

    Attributes:
        done_bytes: covered so far.
        total_bytes: of all shards.
        rows: covered so far.
        phase: `digest` or `measure`.
    """

    done_bytes: int
    total_bytes: int
    rows: int
    phase: str


@dataclass(frozen=True)
class ScanResult:
    """A finished scan.

    Attributes:
        findings: opened for reading.
        measured_rows: rows that were measured now, not before.
        text_bytes: UTF-8 bytes that were measured now.
        faults: rows on which a signal raised.
        cpu_s: seconds of measuring, summed over workers.
        wall_s: seconds from start to commit.
    """

    findings: Findings
    measured_rows: int
    text_bytes: int
    faults: int
    cpu_s: float
    wall_s: float


def build_signals(config: Config) -> tuple[Signal, ...]:
    """The signals that a configuration names, `document` always among them.

    Raises:
        PluginError: no such signal. ConfigError: settings that it does not have.
    """
    names = list(dict.fromkeys(("document", *config.scan.signals)))
    for name in config.signals:
        if name not in names:
            load(SIGNALS, name)
    where = str(config.path or "settings")
    return tuple(_build_signal(name, config.signals.get(name, {}), where) for name in names)


def _build_signal(name: str, values: Mapping[str, object], where: str) -> Signal:
    kind = load(SIGNALS, name)
    if not isinstance(kind, type):
        raise PluginError(f"signal {name!r} is {kind!r}, not a class. Register the class itself.")
    signal: object = settings(kind, values, f"{where}: signal.{name}")
    if not isinstance(signal, Signal):
        raise PluginError(f"signal {name!r} lacks name, version, reads, schema or load. See CONTRIBUTING.md.")
    return signal


def open_corpus(paths: Sequence[str], directory: Path, known: Findings | None, *, fresh: bool = False) -> Corpus:
    """The shards to scan: those named now, and those of an earlier scan of the same folder that are still there."""
    keys = {shard.uri: shard.key for shard in known.shards} if known else {}
    named = Corpus.open([str(_spool(directory, fresh=fresh)) if path == "-" else path for path in paths], keys=keys)
    if known is None:
        return named
    have = {shard.uri for shard in named.shards}
    before = [
        open_shard(record.uri, record.format, key=record.key, size_bytes=record.size_bytes)
        for record in known.shards
        if record.uri not in have and (is_remote(record.uri) or Path(record.uri).exists())
    ]
    return Corpus.of((*before, *named.shards))


def _spool(directory: Path, *, fresh: bool) -> Path:
    """Standard input, kept beside the findings: what cannot be read again could not be curated."""
    target = directory / _STDIN
    if sys.stdin.isatty():
        raise InputError("-: standard input is a terminal. Pipe JSONL into it.")
    directory.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    with temporary.open("wb") as handle:
        shutil.copyfileobj(sys.stdin.buffer, handle, 1 << 20)
    if target.exists() and not fresh and digest(str(target)) != digest(str(temporary)):
        temporary.unlink()
        raise ConfigError(
            f"-: standard input differs from what {directory} holds. Scan into another folder, or --fresh."
        )
    temporary.replace(target)
    return target


def _refuse_inside(directory: Path, paths: Sequence[str]) -> None:
    out = directory.resolve()
    for path in paths:
        if path == "-" or is_remote(path):
            continue
        here = Path(path.removeprefix("file://")).resolve()
        if here.is_dir() and out.is_relative_to(here):
            raise OutputError(f"{directory}: output inside the input {path}. Choose an output folder elsewhere.")
        if here.is_relative_to(out):
            raise OutputError(f"{directory}: the input {path} is inside the output. Choose another output folder.")


def scan(
    paths: Sequence[str],
    directory: Path | str,
    config: Config | None = None,
    *,
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> ScanResult:
    """Measure a corpus. What an earlier run of the same scan measured is kept.

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
    folder = Path(directory)
    signals = build_signals(chosen)
    _refuse_inside(folder, paths)
    _refuse_foreign(folder)
    known = _known(folder, fresh)
    corpus = open_corpus(paths, folder, known, fresh=fresh)
    with _locked(folder):
        if fresh:
            _clear(folder)
        for leftover in (folder / "findings").rglob(".*.tmp"):
            leftover.unlink()
        session = _Scan(folder, _with_columns(signals, known, chosen.scan), chosen.scan, on_progress)
        return session.run(corpus, began)


def _known(folder: Path, fresh: bool) -> Findings | None:
    try:
        return None if fresh else Findings.open(folder)
    except FindingsError:
        if (folder / RECORD).exists():
            raise
        return None


def _with_columns(signals: tuple[Signal, ...], known: Findings | None, config: ScanConfig) -> tuple[Signal, ...]:
    """Add the raw columns and the signals that the folder already has: a new shard gets those too."""
    chosen = {signal.name: signal for signal in signals}
    for record in known.signals if known else ():
        if record.name.startswith(COLUMN_PREFIX):
            chosen.setdefault(record.name, Column(record.name.removeprefix(COLUMN_PREFIX)))
        elif record.name not in chosen:
            chosen[record.name] = _build_signal(record.name, record.config, RECORD)
    if config.by is not None:
        chosen.setdefault(COLUMN_PREFIX + config.by, Column(config.by))
    return tuple(chosen.values())


class _Scan:
    """The state of one run: what failed, what was counted."""

    def __init__(
        self,
        folder: Path,
        signals: tuple[Signal, ...],
        config: ScanConfig,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.folder = folder
        self.signals = signals
        self.config = config
        self.executor: Executor = executor_for(config.workers)
        self.failed: dict[str, FailedShard] = {}
        self.on_progress = on_progress or (lambda progress: None)

    def run(self, corpus: Corpus, began: float) -> ScanResult:
        digests = self._digests(corpus)
        units = {shard.uri: self._units(shard, digests[shard.uri]) for shard in corpus.shards if shard.uri in digests}
        self._refuse_changed([unit for found in units.values() for unit in found[:1]])
        receipts = self._measure(corpus, [unit for found in units.values() for unit in found])
        records = [
            self._record(shard, digests[shard.uri], units[shard.uri], receipts.get(shard.key, []))
            for shard in corpus.shards
            if shard.uri not in self.failed
        ]
        self._refuse_empty(corpus, records)
        findings = Findings(
            self.folder,
            tuple(records),
            tuple(self.failed.values()),
            tuple(_signal_record(signal) for signal in self.signals),
            self.config.seed,
            self.config.by,
        )
        findings.commit(__version__)
        done = [receipt for found in receipts.values() for receipt in found]
        return ScanResult(
            findings,
            sum(receipt.measured_rows for receipt in done),
            sum(receipt.text_bytes for receipt in done),
            sum(receipt.faults for receipt in done),
            sum(receipt.seconds for receipt in done),
            time.monotonic() - began,
        )

    def _fail(self, uri: str, error: Exception) -> None:
        code = error.code if isinstance(error, ShardError) else "FX904"
        message = str(error) if isinstance(error, FoxingError) else f"{uri}: {error}"
        self.failed.setdefault(uri, FailedShard(uri, code, message))

    def _digests(self, corpus: Corpus) -> dict[str, str]:
        cache = _read_digests(self.folder)
        digests: dict[str, str] = {}
        fresh: list[Shard] = []
        stamps: dict[str, list[int]] = {}
        for shard in corpus.shards:
            try:
                stamps[shard.uri] = list(stat(shard.uri))
                shard.reader.names()
            except (InputError, OSError) as error:
                self._fail(shard.uri, error)
                continue
            entry = cache.get(shard.uri)
            if entry is not None and entry[0] == stamps[shard.uri]:
                digests[shard.uri] = entry[1]
            else:
                fresh.append(shard)
        total, done = sum(shard.size_bytes for shard in fresh), 0
        for outcome in _small(self.executor, fresh).map(Shard.digest, fresh):
            shard = outcome.item
            if outcome.value is None:
                self._fail(shard.uri, outcome.error or InputError(f"{shard.uri}: cannot be read."))
                continue
            digests[shard.uri] = outcome.value
            done += shard.size_bytes
            self.on_progress(Progress(done, total, 0, "digest"))
        if fresh:
            kept = {uri: [stamps[uri], digest] for uri, digest in digests.items()}
            write_json(self.folder / _DIGESTS, kept)
        return digests

    def _units(self, shard: Shard, digest: str) -> list[Unit]:
        try:
            names = shard.reader.names()
            layout = find_layout(names, shard.uri, text=self.config.text)
            for signal in self.signals:
                for column in signal.reads:
                    if column.startswith("column:") and column.removeprefix("column:") not in names:
                        raise ShardError(
                            shard.uri,
                            f"no column {column.removeprefix('column:')!r} (has: {', '.join(names[:12])})",
                            "Name another with --by.",
                            code="FX902",
                        )
        except ShardError as error:
            self._fail(shard.uri, error)
            return []
        groups = shard.groups()
        if groups is None:
            return [Unit(shard, digest, layout, None)]
        return [Unit(shard, digest, layout, part) for part in parts_of(groups)]

    def _refuse_changed(self, firsts: Iterable[Unit]) -> None:
        """Stop when findings on disk were made otherwise than this run would make them."""
        for unit in firsts:
            for signal in self.signals:
                wanted = identity(signal, unit, self.config.seed, 0)
                found = read_identity(part_path(self.folder, signal.name, unit.shard.key, 0))
                if found is not None and found != wanted:
                    what = "; ".join(wanted.differences(found))
                    raise ConfigError(
                        f"{self.folder}: findings of {signal.name} on {unit.shard.key} differ from this scan ({what}). "
                        "Scan into another folder, or start over with --fresh."
                    )

    def _measure(self, corpus: Corpus, units: list[Unit]) -> dict[str, list[Receipt]]:
        sizes = {shard.key: shard.size_bytes for shard in corpus.shards}
        counts = Counter(unit.shard.key for unit in units)
        total = sum(sizes[key] for key in counts)
        task = MeasureUnit(self.folder, self.signals, Device(self.config.device), self.config.seed)
        receipts: dict[str, list[Receipt]] = {}
        done, rows = 0.0, 0
        for outcome in self.executor.map(task, units):
            shard = outcome.item.shard
            if outcome.value is None:
                if isinstance(outcome.error, FoxingError) and not isinstance(outcome.error, InputError):
                    raise outcome.error
                self._fail(shard.uri, outcome.error or InputError(f"{shard.uri}: cannot be read."))
                continue
            receipts.setdefault(shard.key, []).append(outcome.value)
            done += sizes[shard.key] / counts[shard.key]
            rows += sum(part.rows for part in outcome.value.parts)
            self.on_progress(Progress(int(done), total, rows, "measure"))
        return receipts

    def _record(self, shard: Shard, digest: str, units: list[Unit], receipts: list[Receipt]) -> ShardRecord:
        parts = sorted((part for receipt in receipts for part in receipt.parts), key=lambda part: part.first_row)
        schema = shard.schema()
        return ShardRecord(
            shard.key,
            shard.uri,
            shard.format.value,
            sum(part.rows for part in parts),
            shard.size_bytes,
            digest,
            str(units[0].layout) if units else "",
            {field.name: str(field.type) for field in schema},
            tuple(part.first_row for part in parts),
        )

    def _refuse_empty(self, corpus: Corpus, records: list[ShardRecord]) -> None:
        if not records:
            first = next(iter(self.failed.values()))
            more = f" (and {len(self.failed) - 1} other shards cannot be read either)" if len(self.failed) > 1 else ""
            raise InputError(first.message + more)
        if not sum(record.rows for record in records):
            raise InputError(f"{records[0].uri}: no rows in all of {len(records)} shards. Check what wrote them.")


def _small(executor: Executor, items: Sequence[Shard]) -> Executor:
    """Start processes only where there is enough to hash for them to pay."""
    return executor if sum(shard.size_bytes for shard in items) > 4 << 30 else executor_for(1)


def _signal_record(signal: Signal) -> SignalRecord:
    config = signal_config(signal)
    return SignalRecord(signal.name, signal.version, config, config_hash([signal.version, config]))


def _read_digests(folder: Path) -> dict[str, tuple[list[int], str]]:
    try:
        found = json.loads((folder / _DIGESTS).read_text("utf-8"))
        return {uri: (list(entry[0]), str(entry[1])) for uri, entry in found.items()}
    except (OSError, ValueError, AttributeError, IndexError, TypeError):
        return {}


def _refuse_foreign(folder: Path) -> None:
    """A folder with files that are not foxing's is somebody's: leave it alone."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file. Name a folder with -o.")
    ours = {RECORD, _DIGESTS, _STDIN, "findings", "lock"}
    if not folder.is_dir() or (folder / RECORD).exists():
        return
    if any(path.name not in ours and not path.name.startswith(".") for path in folder.iterdir()):
        raise OutputError(f"{folder}: is not empty and holds no scan. Name a new folder with -o.")


def _clear(folder: Path) -> None:
    (folder / RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder / "findings", ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two scans into one folder would undo each other: the second one stops and says who has it."""
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror}). Choose another -o or mend its rights."
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            raise OutputError(
                f"{folder}: in use by {handle.read().strip() or 'another process'}. Wait for it or stop it."
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        handle.flush()
        yield
