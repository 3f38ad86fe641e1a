"""The state of one run of a scan: digests, units and measuring of its shards, whoever then puts them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.config import ScanConfig
from audit.corpus import Corpus, Shard
from audit.digests import digests_of
from audit.execute import Executor, Outcome, Process, Serial, TaskError, executor_for
from audit.findings_folder import FailedShard, Findings, ShardRecord
from audit.layout import find_layout
from audit.measure import MeasureUnit, PartReceipt, Receipt, Unit, columns_of, identity, parts_of, refuse_other
from audit.parts import any_part, part_path, read_identity
from audit.readers import ShardError
from audit.signals import named_model
from audit.storage import is_remote, stat
from audit.warm import warm_by_several
from detectors.errors import FoxingError, InputError
from detectors.protocols import Device, Signal
from detectors.sketches import Sketches

__all__ = ["Progress", "Scanning"]


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


class Scanning:
    """One run: what was known before, what failed.

    Args:
        folder: of the scan, which is there and held.
        signals: to measure, raw columns among them.
        config: of the scan.
        known: findings of an earlier scan of this folder.
        finished: records of shards that slices of this scan measured whole.
        fresh: what is there is thrown away.
        on_progress: called after each unit of work.
    """

    def __init__(
        self,
        folder: Path,
        signals: tuple[Signal, ...],
        config: ScanConfig,
        known: Findings | None,
        *,
        finished: Iterable[ShardRecord] = (),
        fresh: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.folder = folder
        self.signals = signals
        self.config = config
        self.known = {shard.uri: shard for shard in (*(known.shards if known else ()), *finished)}
        self.by = config.by or (known.by if known else None)
        self.domain = config.domain_column or (known.domain if known else None)
        self.time = config.time_column or (known.time if known else None)
        self.sketches = Sketches(by=self.by) if config.sketches else None
        self.fresh = fresh
        self.failed: dict[str, FailedShard] = {}
        self.on_progress = on_progress or (lambda progress: None)
        self.executor: Executor = executor_of(config, signals)
        self._stamps: dict[str, tuple[int, int] | None] = {}

    def digests(self, shards: Sequence[Shard], kept: Path, *, others: Iterable[Path] = ()) -> dict[str, str]:
        """`sha256:HEX` of the shards that can be read, by URI; `kept` and `others` as `audit.digests` has them.

        Raises:
            OutputError, InputError: workers do not see the folder, or the shards. Said before anything is read.
        """
        self.executor.reach(self.folder, (shard.uri for shard in shards))
        self._stamps = {shard.uri: _stamp(shard.uri) for shard in shards}
        return digests_of(shards, kept, self.executor, others=others, fail=self.fail, on_progress=self._on_digest)

    def _on_digest(self, done: int, total: int) -> None:
        self.on_progress(Progress(done, total, 0, "digest"))

    def fail(self, uri: str, error: Exception) -> None:
        """Note a shard that cannot be scanned; the first reason counts."""
        code = error.code if isinstance(error, ShardError) else "FX904"
        message = str(error) if isinstance(error, FoxingError) else f"{uri}: {error}"
        self.failed.setdefault(uri, FailedShard(uri, code, message))

    def units(self, shard: Shard, digest: str) -> list[Unit]:
        """What there is to do on a shard; nothing where it fails."""
        try:
            names = self._names(shard, digest)
            layout = find_layout(names, shard.uri, text=self.config.text)
            for signal in self.signals:
                for column in signal.reads:
                    _need_column(column, names, shard.uri)
        except ShardError as error:
            self.fail(shard.uri, error)
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

    def refuse_changed(self, firsts: Iterable[Unit]) -> None:
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

    def measure(self, shards: Sequence[Shard], units: Sequence[Unit]) -> dict[str, list[Receipt]]:
        """Measure what is not there yet of some units, and say of each shard what they did.

        Raises:
            FoxingError: what concerns more than one shard, such as a full disk.
        """
        sizes = {shard.key: shard.size_bytes for shard in shards}
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
                self.fail(shard.uri, _where(outcome.item, outcome.error))
                continue
            receipts.setdefault(shard.key, []).append(outcome.value)
            done += sizes[shard.key] / counts[shard.key]
            rows += sum(part.rows for part in outcome.value.parts)
            text += outcome.value.text_bytes
            self.on_progress(Progress(int(done), total, rows, "measure", text))
        for shard in shards:
            if self._is_changed(shard, receipts.get(shard.key, ())):
                self._forget(shard, receipts.pop(shard.key))
        return receipts

    def _is_changed(self, shard: Shard, receipts: Sequence[Receipt]) -> bool:
        """Whether a file that was measured now is another than the one whose digest its findings carry."""
        if not any(receipt.measured_rows for receipt in receipts) or is_remote(shard.uri):
            return False
        return _stamp(shard.uri) != self._stamps.get(shard.uri)

    def _forget(self, shard: Shard, receipts: Sequence[Receipt]) -> None:
        """Take back the findings of a file that changed: some rows may be of the old file, some of the new."""
        for signal in self._measured:
            for receipt in receipts:
                for part in receipt.parts:
                    part_path(self.folder, signal.name, shard.key, part.first_row).unlink(missing_ok=True)
        what = "changed or went away while it was scanned"
        self.fail(shard.uri, ShardError(shard.uri, what, "Scan again when nothing writes to it."))

    def _outcomes(self, task: MeasureUnit, units: Sequence[Unit]) -> Iterator[Outcome[Unit, Receipt]]:
        if isinstance(self.executor, Serial):
            yield from self.executor.map(task, units)
            return
        waiting = [unit for unit in units if task.has_work(unit)]
        finished = set(map(id, units)) - set(map(id, waiting))
        yield from Serial().map(task, [unit for unit in units if id(unit) in finished])
        if waiting:
            if isinstance(self.executor, Process):
                # Workers then find every kernel in the cache, and what they are forked from starts meanwhile.
                self.executor.start()
                warm_by_several(self.executor, self.signals, task.device, self.sketches)
            yield from self.executor.map(task, waiting)

    def record(self, shard: Shard, digest: str, units: Sequence[Unit], receipts: Sequence[Receipt]) -> ShardRecord:
        """A shard all of whose units were measured, as the commit record has it."""
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

    def refuse_unreadable(self, corpus: Corpus) -> None:
        """Stop where no shard is left.

        Raises:
            InputError: with the reason of the first one.
        """
        if len(self.failed) < len(corpus.shards):
            return
        first = next(iter(self.failed.values()))
        more = f" (and {len(self.failed) - 1} other files cannot be read either)" if len(self.failed) > 1 else ""
        raise InputError(first.message + more)


def executor_of(config: ScanConfig, signals: Iterable[Signal]) -> Executor:
    """The executor that a configuration asks for; actors of Ray hold a GPU where a signal has a model to run on it."""
    models = any(named_model(signal) for signal in signals)
    gpu = {Device.CPU: False, Device.CUDA: True, Device.AUTO: None}[Device(config.device)] if models else False
    return executor_for(config.workers, config.executor, ray_address=config.ray_address, gpu=gpu)


def _stamp(uri: str) -> tuple[int, int] | None:
    """Size and time of a file on disk; None where it is gone, or not on disk."""
    try:
        return None if is_remote(uri) else stat(uri)
    except OSError:
        return None


def _where(unit: Unit, error: Exception | None) -> Exception:
    """An error of a unit that says which rows it had."""
    if error is None or isinstance(error, FoxingError):
        return error or InputError(f"{unit.shard.uri}: cannot be read.")
    rows = "" if unit.part is None else f"rows {unit.part.first_row} to {unit.part.first_row + unit.part.rows - 1}: "
    return TaskError(f"{rows}{error}")


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
