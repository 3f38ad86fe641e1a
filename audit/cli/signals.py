"""`foxing signals`: list the signals that are installed, or say what one measures."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, printable
from detectors.errors import PluginError

if TYPE_CHECKING:
    from detectors.protocols import Signal

_ADDED = (
    (
        "p_human",
        "float",
        "Conformal p-value of the margin among human documents, from the calibration; added on reading.",
    ),
    ("score", "float", "Probability of being machine-written at the stated prior; added on reading."),
)
_BINARY = " (Binary: in the Parquet files of the findings only, not for rules and `foxing findings`.)"


@click.command("signals", context_settings=CONTEXT)
@click.argument("name", metavar="[NAME]", required=False)
@common
def command(session: Session, name: str | None) -> None:
    """List the installed signals, or describe the signal NAME: its fields, which rules can read, and its settings."""
    from detectors.registry import SIGNALS, names

    if name is not None:
        session.result(_describe(_load(name)))
        return
    loaded = [_load(found) for found in names(SIGNALS)]
    width = max(len(signal.name) for signal in loaded)
    session.result("\n".join(f"{signal.name.ljust(width)}  {_summary(signal)}" for signal in loaded))


def _load(name: str) -> Signal:
    from detectors.protocols import Signal
    from detectors.registry import SIGNALS, load

    found = load(SIGNALS, name)
    signal = found() if inspect.isclass(found) else found
    if not isinstance(signal, Signal):
        raise PluginError(f"signal {name!r} is {found!r}, which lacks schema or load. Uninstall or fix its package.")
    return signal


def _summary(signal: Signal) -> str:
    return printable(_doc(signal).partition("\n")[0])


def _doc(signal: Signal) -> str:
    return inspect.getdoc(type(signal)) or ""


def _describe(signal: Signal) -> str:
    from audit.findings import is_binary
    from audit.signature import signal_config

    lines = [f"{signal.name} (version {signal.version}, reads {', '.join(signal.reads)})", "", _doc(signal)]
    fields = [
        (f.name, str(f.type), (f.metadata or {}).get(b"doc", b"").decode() + (_BINARY if is_binary(f) else ""))
        for f in signal.schema
    ]
    if signal.name == "ai_text":
        fields += _ADDED
    width = max(len(signal.name) + 1 + len(name) for name, _, _ in fields)
    lines += ["", "Fields:"]
    lines += [
        f"  {f'{signal.name}.{name}'.ljust(width)}  {kind.ljust(6)}  {doc}".rstrip() for name, kind, doc in fields
    ]
    settings = signal_config(signal)
    if settings:
        lines += ["", f"Settings, in [tool.foxing.signal.{signal.name}], and their defaults:"]
        lines += [f"  {name} = {json.dumps(value, default=str)}" for name, value in settings.items()]
    return printable("\n".join(lines))
