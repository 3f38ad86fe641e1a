"""Which signals a run measures: those that are configured, and those that its folder already holds."""

from __future__ import annotations

from collections.abc import Mapping

from audit.config import Config, settings
from audit.findings import COLUMN_PREFIX, RECORD, Findings
from detectors.column import Column
from detectors.errors import PluginError
from detectors.protocols import Pinned, Signal
from detectors.registry import SIGNALS, load

__all__ = ["build_signals", "pinned", "with_known"]


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


def pinned(signals: tuple[Signal, ...]) -> tuple[Signal, ...]:
    """The signals that read files of their own with the digests of these files in their settings.

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


def with_known(signals: tuple[Signal, ...], known: Findings | None, by: str | None) -> tuple[Signal, ...]:
    """Add the raw columns and the signals that the folder already has: a new shard gets those too."""
    chosen = {signal.name: signal for signal in signals}
    for record in known.signals if known else ():
        if record.name.startswith(COLUMN_PREFIX):
            chosen.setdefault(record.name, Column(record.name.removeprefix(COLUMN_PREFIX)))
        elif record.name not in chosen:
            chosen[record.name] = _build_signal(record.name, record.config, RECORD)
    if by is not None:
        chosen.setdefault(COLUMN_PREFIX + by, Column(by))
    return tuple(chosen.values())
