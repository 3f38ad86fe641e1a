"""Draws a sample of files that nobody scanned: opens them, measures unit by unit, and stops when the judge says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from audit.assessment import Assessment, Verdict
from audit.calibrate import tables_for
from audit.config import Config
from audit.corpus import Corpus, Shard
from audit.execute import Process, executor_for
from audit.expressions import parse
from audit.findings_folder import FailedShard, Findings, ShardRecord, SignalRecord
from audit.layout import Layout, find_layout
from audit.readers import ShardError
from audit.rules import Rule, choose
from audit.sequential_check import Judge, Limits
from audit.sequential_measure import Measured, MeasureUnits
from audit.sequential_units import Cut, Population, Unit, cut, first_names, one_pass
from audit.signals import build_signals, pinned, with_known
from audit.signature import config_hash, signal_config
from audit.warm import warm_by_several
from detectors.errors import ConfigError, FoxingError, InputError
from detectors.protocols import Device, Signal

__all__ = ["Drawn", "check_sample"]

_OF_ALL = frozenset({"unmeasured", "errors"})
_NOWHERE = Path()
_FIRST_LOOK = 64
_GROWTH = 1.25


@dataclass(frozen=True)
class Drawn:
    """How far a sample is: rows measured, the most allowed, and rows of the corpus."""

    rows: int
    max_rows: int
    of_rows: int


def check_sample(
    paths: Sequence[str],
    config: Config,
    rules: Sequence[Rule],
    *,
    limits: Limits,
    ceilings: Mapping[str, float] | None = None,
    on_progress: Callable[[Drawn], None] | None = None,
) -> Assessment:
    """Judge files by a sample of their rows.

    Args:
        paths: files, directories, globs, URLs.
        config: settings; those of `check` choose rules and budgets.
        rules: all rules there are.
        limits: how long to draw.
        ceilings: of rules that a baseline had over budget, the share above which they are worse now.
        on_progress: called after each unit.

    Returns:
        The assessment; files that could not be opened, or of which a drawn unit could not be read, are in `failed`.

    Raises:
        InputError: nothing could be read, or there is no row at all; standard input.
        ConfigError: settings that do not fit; a rule named in full that a sample cannot judge.
    """
    if "-" in paths:
        raise InputError("-: standard input cannot be sampled. Check it without --sample, or name a file.")
    if config.scan.executor != "local":
        raise ConfigError(
            f'executor = {config.scan.executor!r}: a sample is measured on this machine. Set executor = "local" for it.'
        )
    chosen = _budgeted(choose(rules, config.check.select, config.check.ignore), config)
    corpus = Corpus.open(list(paths))
    signals = pinned(with_known(_needed(build_signals(config), chosen), None, config.scan.columns))
    opened = _Opened(config, signals)
    population = opened.cut(corpus)
    findings = opened.findings(corpus)
    if not population.rows:
        raise InputError(opened.nothing(corpus))
    tables = tables_for(config.reference) if config.reference else None
    judge = Judge(findings, chosen, population, limits, tables, ceilings or {})
    scan = config.scan
    task = MeasureUnits(signals, Device(scan.device), scan.by, scan.domain_column, scan.time_column, config.reference)
    drawing = _Drawing(task, population, judge, limits, on_progress or (lambda drawn: None))
    ended = drawing.run(scan.workers, scan.seed)
    assessment = judge.assessment(ended)
    assessment = dataclasses.replace(assessment, failed=(*assessment.failed, *drawing.failed))
    if not assessment.total.rows:
        raise InputError(_first_of(assessment.failed))
    _refuse_unjudged(assessment, config)
    return assessment


def _budgeted(rules: Sequence[Rule], config: Config) -> tuple[Rule, ...]:
    return tuple(dataclasses.replace(rule, budget=config.check.budget.get(rule.id, rule.budget)) for rule in rules)


def _needed(signals: tuple[Signal, ...], rules: Sequence[Rule]) -> tuple[Signal, ...]:
    """The signals that the rules read, all of them where a rule looks at what could not be measured."""
    read = {name for rule in rules if rule.when for name in parse(rule.when, rule.id).columns}
    if read & _OF_ALL:
        return signals
    return tuple(signal for signal in signals if signal.name in read or signal.name == "document")


def _refuse_unjudged(assessment: Assessment, config: Config) -> None:
    """A rule that was named in full and cannot be judged by a sample must not look as if it had been."""
    for result in assessment.results:
        if result.rule.id in config.check.select and result.verdict is Verdict.NOT_APPLICABLE:
            raise ConfigError(f"rule {result.rule.id}: {result.reason}. Leave out --sample, or the rule.")


def _first_of(failed: Sequence[FailedShard]) -> str:
    more = len(failed) - 1
    return failed[0].message + (f" (and {more} other files cannot be read either)" if more else "")


class _Opened:
    """The files of a corpus as they were found: their units, and those that cannot be opened."""

    def __init__(self, config: Config, signals: tuple[Signal, ...]) -> None:
        self._config = config
        self._signals = signals
        self._cuts: dict[str, tuple[Layout, Cut]] = {}
        self._failed: list[FailedShard] = []

    def cut(self, corpus: Corpus) -> Population:
        for shard in corpus.shards:
            try:
                self._cuts[shard.uri] = self._layout(shard), cut(shard)
            except ShardError as error:
                self._failed.append(FailedShard(shard.uri, error.code, str(error)))
            except OSError as error:
                self._failed.append(FailedShard(shard.uri, "FX904", f"{shard.uri}: {error}"))
        found = [(shard, *self._cuts[shard.uri]) for shard in corpus.shards if shard.uri in self._cuts]
        return Population(tuple(one for one in found if len(one[2].rows)))

    def _layout(self, shard: Shard) -> Layout:
        names = first_names(shard)
        try:
            layout = find_layout(names, shard.uri, text=self._config.scan.text)
        except ShardError:
            names = shard.reader.names()  # a key that comes late in JSONL
            layout = find_layout(names, shard.uri, text=self._config.scan.text)
        needed = {read.removeprefix("column:") for signal in self._signals for read in signal.reads if ":" in read}
        if needed - set(names):
            names = shard.reader.names()
        if missing := sorted(needed - set(names)):
            has = ", ".join(names[:12])
            raise ShardError(
                shard.uri, f"no column {missing[0]!r} (has: {has})", "Name another in the settings.", code="FX902"
            )
        return layout

    def nothing(self, corpus: Corpus) -> str:
        """Why there is nothing to draw from."""
        if self._failed:
            return _first_of(self._failed)
        return f"{corpus.shards[0].uri}: no rows in all of it. Check what wrote it."

    def findings(self, corpus: Corpus) -> Findings:
        """What a scan would record of these files, as far as that is known without reading them."""
        return Findings(
            directory=_NOWHERE,
            shards=tuple(self._record(shard) for shard in corpus.shards if shard.uri in self._cuts),
            failed=tuple(self._failed),
            signals=tuple(_signal_record(signal) for signal in self._signals),
            seed=self._config.scan.seed,
            by=self._config.scan.by,
            domain=self._config.scan.domain_column,
            time=self._config.scan.time_column,
            reference=self._config.reference,
        )

    def _record(self, shard: Shard) -> ShardRecord:
        layout, units = self._cuts[shard.uri]
        kinds = {} if shard.groups() is None else {field.name: str(field.type) for field in shard.schema()}
        known = f"{shard.key} {shard.size_bytes} {units.total}"
        return ShardRecord(
            shard.key, shard.uri, shard.format.value, units.total, shard.size_bytes, known, str(layout), kinds, ()
        )


class _Drawing:
    """Hands units to workers and their measurements to the judge, in the order in which they were drawn."""

    def __init__(
        self,
        task: MeasureUnits,
        population: Population,
        judge: Judge,
        limits: Limits,
        on_progress: Callable[[Drawn], None],
    ) -> None:
        self.failed: list[FailedShard] = []
        self._task = task
        self._population = population
        self._judge = judge
        self._limits = limits
        self._on_progress = on_progress

    def run(self, workers: int, seed: int) -> str:
        """Draw until the judge says why to stop."""
        executor = executor_for(workers)
        if isinstance(executor, Process):
            executor.start()
            warm_by_several(executor, self._task.signals, self._task.device)
        waiting: dict[int, Measured] = {}
        broken: dict[int, tuple[Shard, Exception | None]] = {}
        due = rows = 0
        ended: str | None = None
        outcomes = executor.map(self._task, self._pieces(seed))
        for outcome in outcomes:
            if outcome.value is None:
                # Told when its turn comes, which does not depend on who is quicker.
                broken[min(unit.place for unit in outcome.item)] = outcome.item[0].shard, outcome.error
            else:
                waiting |= {measured.unit.place: measured for measured in outcome.value}
            while due in waiting and ended is None:
                measured = waiting.pop(due)
                due, rows = due + 1, rows + measured.unit.rows
                ended = self._judge.add(measured)
                self._on_progress(Drawn(rows, min(self._limits.max_rows, self._population.rows), self._population.rows))
            if ended is None and due in broken:
                ended = self._fail(*broken[due])
            if ended is not None:
                if isinstance(outcomes, Generator):
                    outcomes.close()
                return ended
        raise AssertionError("the judge stops when everything was drawn")

    def _fail(self, shard: Shard, error: Exception | None) -> str:
        if isinstance(error, FoxingError) and not isinstance(error, InputError):
            raise error
        code = error.code if isinstance(error, ShardError) else "FX904"
        self.failed.append(FailedShard(shard.uri, code, str(error)))
        return "a unit that was drawn cannot be read, and a sample without it would mislead"

    def _pieces(self, seed: int) -> Iterator[tuple[Unit, ...]]:
        """Units of a look that are found by one pass over a file or a row group together, others one by one."""
        drawn = self._population.drawn(seed)
        size = _FIRST_LOOK
        while look := list(islice(drawn, size)):
            passes: dict[tuple[object, ...], list[Unit]] = {}
            for unit in look:
                passes.setdefault(one_pass(unit), []).append(unit)
            yield from map(tuple, passes.values())
            size = round(size * _GROWTH)


def _signal_record(signal: Signal) -> SignalRecord:
    depends = [signal.version, signal_config(signal, located=False)]
    return SignalRecord(signal.name, signal.version, signal_config(signal), config_hash(depends))
