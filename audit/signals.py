"""Which signals a run measures: those that are configured, and those that its folder already holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from audit.config import Config, settings
from audit.findings_folder import COLUMN_PREFIX, RECORD, Findings
from audit.stages import Stage
from detectors.column import Column
from detectors.errors import PluginError
from detectors.protocols import Pinned, Signal
from detectors.registry import SIGNALS, STAGES, load, names

__all__ = ["build_signals", "build_stages", "named_model", "pinned", "with_known"]


def build_signals(config: Config) -> tuple[Signal, ...]:
    """The signals that a configuration names, `document` always among them.

    Raises:
        PluginError: no such signal. ConfigError: settings that it does not have.
    """
    wanted = list(dict.fromkeys(("document", *config.scan.signals)))
    for name in config.signals:
        if name not in wanted:
            load(SIGNALS, name)
    where = str(config.path or "settings")
    return tuple(_build_signal(name, config.signals.get(name, {}), where) for name in wanted)


def build_stages(config: Config) -> tuple[Stage, ...]:
    """The stages that a configuration names.

    Raises:
        PluginError: no such stage. ConfigError: settings that it does not have.
    """
    for name in config.stages:
        load(STAGES, name)
    where = str(config.path or "settings")
    return tuple(_build_stage(name, config.stages.get(name, {}), where) for name in dict.fromkeys(config.scan.stages))


def _build_stage(name: str, values: Mapping[str, object], where: str) -> Stage:
    kind = load(STAGES, name)
    if not isinstance(kind, type):
        raise PluginError(f"stage {name!r} is {kind!r}, not a class. Register the class itself.")
    stage: object = settings(kind, values, f"{where}: stage.{name}")
    if not isinstance(stage, Stage):
        raise PluginError(f"stage {name!r} lacks name, version, needs, schema, depends or prepare. See audit.stages.")
    return stage


P = TypeVar("P", Signal, Stage)


def pinned(signals: tuple[P, ...]) -> tuple[P, ...]:
    """The signals or stages that read files of their own with the digests of these files in their settings.

    Raises:
        SignalError: no such file, or not the one that is asked for.
    """
    return tuple(signal.pinned() if isinstance(signal, Pinned) else signal for signal in signals)


def _build_signal(name: str, values: Mapping[str, object], where: str) -> Signal:
    kind = load(SIGNALS, name)
    if not isinstance(kind, type):
        raise PluginError(f"signal {name!r} is {kind!r}, not a class. Register the class itself.")
    signal: object = settings(kind, values, f"{where}: signal.{name}")
    if not isinstance(signal, Signal):
        raise PluginError(f"signal {name!r} lacks name, version, reads, schema or load. See CONTRIBUTING.md.")
    return signal


def named_model(signal: Signal) -> str:
    """The model that a signal loads on a device, by the setting `model` or `encoder`; "" where it has none."""
    named = (getattr(signal, setting, "") for setting in ("model", "encoder"))
    return next((str(name) for name in named if name), "")


def with_known(signals: tuple[Signal, ...], known: Findings | None, columns: Sequence[str]) -> tuple[Signal, ...]:
    """Add the raw columns and the signals that the folder already has: a new shard gets those too."""
    chosen, stages = {signal.name: signal for signal in signals}, names(STAGES)
    for record in known.signals if known else ():
        if record.name.startswith(COLUMN_PREFIX):
            chosen.setdefault(record.name, Column(record.name.removeprefix(COLUMN_PREFIX)))
        elif record.name not in chosen and record.name not in stages:
            chosen[record.name] = _build_signal(record.name, record.config, RECORD)
    for column in columns:
        chosen.setdefault(COLUMN_PREFIX + column, Column(column))
    return tuple(chosen.values())
