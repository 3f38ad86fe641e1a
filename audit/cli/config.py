"""`foxing config`: show the settings in force, or check a settings file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.config import Config
    from audit.rules import Rule

_CURRICULA = "foxing.curricula"


@click.command("config", context_settings=CONTEXT)
@click.option("--check", is_flag=True, help="Only check: exit 2 when a key is unknown or a value does not fit.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@common
def command(session: Session, /, check: bool, files: tuple[Path, ...]) -> None:
    """Show the settings in force, as JSON, with the file they come from; with FILES, those of each of them instead."""
    sessions = [dataclasses.replace(session, config_path=file, isolated=False) for file in files] or [session]
    for one in sessions:
        _show(one, check=check)


def _show(session: Session, *, check: bool) -> None:
    from audit.rules import rules_from
    from audit.signals import build_signals, build_stages

    config = session.config
    signals = build_signals(config)
    rules = rules_from(config.rules)
    _check(config, rules)
    where = str(config.path) if config.path else "defaults (no foxing.toml or [tool.foxing] found)"
    if check:
        session.result(f"{where}: ok")
        return
    from audit.signature import signal_config

    shown = {
        "from": where,
        **dataclasses.asdict(config.scan),
        "calibration": dataclasses.asdict(config.calibration),
        "check": dataclasses.asdict(config.check),
        "curate": dataclasses.asdict(config.curate),
        "allow": dataclasses.asdict(config.allow),
        "signal": {signal.name: signal_config(signal) for signal in signals},
        "stage": {stage.name: signal_config(stage) for stage in build_stages(config)},
        "curriculum": config.curricula,
        "rule": {rule.id: {"when": rule.when, "action": rule.action.value, "budget": rule.budget} for rule in rules},
    }
    session.result(json.dumps(shown, indent=2, default=str))


def _check(config: Config, rules: Sequence[Rule]) -> None:
    """Check what only the commands that use it would meet: settings of signals that are off, rules and curricula."""
    from audit.calibrate import calibrated
    from audit.config import settings
    from audit.expressions import parse
    from audit.findings_folder import empty_part
    from audit.rules import applicable, choose, dropping, find
    from audit.signals import build_signals, build_stages
    from detectors.errors import PluginError
    from detectors.registry import SIGNALS, STAGES, load, names

    read = {name for rule in rules if rule.when for name in parse(rule.when, rule.id).columns}
    used = [*config.scan.signals, *config.signals, *sorted(read.intersection(names(SIGNALS)))]
    everything = dataclasses.replace(config.scan, signals=tuple(used))
    stages = build_stages(
        dataclasses.replace(config, scan=dataclasses.replace(config.scan, stages=tuple(names(STAGES))))
    )
    schema = calibrated(empty_part((*build_signals(dataclasses.replace(config, scan=everything)), *stages))).schema
    choose(rules, config.check.select, config.check.ignore)
    for rule_id in config.check.budget:
        find(rules, rule_id)
    dropped = [rule.id for prefix in config.curate.drop for rule in choose(rules, [prefix])]
    for rule in dropping(rules, dropped):
        applicable(rule, schema)
    for name in config.curate.curriculum:
        load(_CURRICULA, name)
    for name, table in config.curricula.items():
        kind = load(_CURRICULA, name)
        if not isinstance(kind, type):
            raise PluginError(f"curriculum {name!r} is {kind!r}, not a class. Register the class itself.")
        settings(kind, table, f"{config.path}: curriculum.{name}")
