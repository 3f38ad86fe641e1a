"""`foxing config`: show the settings in force, or check a settings file."""

from __future__ import annotations

import dataclasses
import json

import click

from audit.cli.options import CONTEXT, Session, common


@click.command("config", context_settings=CONTEXT)
@click.option("--check", is_flag=True, help="Only check: exit 2 when a key is unknown or a value does not fit.")
@common
def command(session: Session, check: bool) -> None:
    """Show the settings in force, as JSON, with the file they come from."""
    from audit.calibrate import calibrated
    from audit.findings import empty_part
    from audit.rules import applicable, rules_from
    from audit.scan import build_signals

    config = session.config
    signals = build_signals(config)
    rules = rules_from(config.rules)
    schema = calibrated(empty_part(signals)).schema
    for rule in rules:
        applicable(rule, schema)
    where = str(config.path) if config.path else "defaults (no foxing.toml or [tool.foxing] found)"
    if check:
        session.result(f"{where}: ok")
        return
    from audit.signature import signal_config

    shown = {
        "from": where,
        **dataclasses.asdict(config.scan),
        "check": dataclasses.asdict(config.check),
        "curate": dataclasses.asdict(config.curate),
        "signal": {signal.name: signal_config(signal) for signal in signals},
        "rule": {rule.id: {"when": rule.when, "action": rule.action.value, "budget": rule.budget} for rule in rules},
    }
    session.result(json.dumps(shown, indent=2, default=str))
