"""`foxing signals`: list the signals that are installed, or say what one measures."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

import click

from audit.cli.completing import SIGNAL_OR_STAGE
from audit.cli.options import CONTEXT, Session, common, printable
from detectors.errors import PluginError

if TYPE_CHECKING:
    from audit.stages import Stage
    from detectors.protocols import Signal

_ADDED = (
    (
        "p_human",
        "float",
        "Conformal p-value of the margin among human documents, from the calibration; added on reading.",
    ),
    ("score", "float", "Probability of being machine-written at the stated prior; added on reading."),
    ("machine_share", "float", "Mean score over the windows of the text; added on reading."),
)
_BINARY = " (Binary: in the Parquet files of the findings only, not for rules and `foxing findings`.)"


@click.command("signals", context_settings=CONTEXT)
@click.argument("name", metavar="[NAME]", required=False, type=SIGNAL_OR_STAGE)
@common
def command(session: Session, name: str | None) -> None:
    """List what can be measured, or describe the signal or stage NAME: its fields, which rules read, and settings."""
    from detectors.registry import SIGNALS, STAGES, names

    if name is not None:
        session.result(_describe(_load(name)))
        return
    loaded = [_load(found) for group in (SIGNALS, STAGES) for found in names(group)]
    width = max(len(signal.name) for signal in loaded)
    session.result("\n".join(f"{signal.name.ljust(width)}  {_summary(signal)}" for signal in loaded))


def _load(name: str) -> Signal | Stage:
    from audit.stages import Stage
    from detectors.protocols import Signal
    from detectors.registry import SIGNALS, STAGES, load, names

    found = load(STAGES if name in names(STAGES) else SIGNALS, name)
    signal = found() if inspect.isclass(found) else found
    if not isinstance(signal, Signal | Stage):
        raise PluginError(f"signal {name!r} is {found!r}, which lacks schema or load. Uninstall or fix its package.")
    return signal


def _summary(signal: Signal | Stage) -> str:
    return printable(_doc(signal).partition("\n")[0])


def _doc(signal: Signal | Stage) -> str:
    return inspect.getdoc(type(signal)) or ""


def _describe(signal: Signal | Stage) -> str:
    from audit.findings_folder import is_binary
    from audit.signature import signal_config
    from detectors.protocols import Signal

    kind = "signal" if isinstance(signal, Signal) else "stage"
    reads = ", ".join(signal.reads) if isinstance(signal, Signal) else f"findings of {', '.join(signal.needs)}"
    lines = [f"{signal.name} (version {signal.version}, reads {reads})", "", _doc(signal)]
    fields = [
        (f.name, str(f.type), (f.metadata or {}).get(b"doc", b"").decode() + (_BINARY if is_binary(f) else ""))
        for f in signal.schema
    ]
    if signal.name == "ai_text":
        fields += _ADDED
    width = max(len(signal.name) + 1 + len(name) for name, _, _ in fields)
    lines += ["", "Fields:"]
    lines += [
        f"  {f'{signal.name}.{name}'.ljust(width)}  {type_.ljust(6)}  {doc}".rstrip() for name, type_, doc in fields
    ]
    settings = signal_config(signal)
    if settings:
        lines += [
            "",
            f"Settings, in [tool.foxing.{kind}.{signal.name}], and their defaults:",
        ]
        lines += [f"  {name} = {json.dumps(value, default=str)}" for name, value in settings.items()]
    return printable("\n".join(lines))
