"""Curricula by name: built with their settings, checked against each other, in the order in which they are applied."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from audit.config import settings
from curricula.protocols import CURRICULA, Curriculum, Dividing, Editing, Resampling
from detectors.errors import ConfigError, PluginError
from detectors.registry import load

__all__ = ["Settings", "overridden", "resolve"]

Settings = Mapping[str, Mapping[str, Any]]
"""Of each curriculum, by name, the keys that were given."""


def resolve(names: Sequence[str], seed: int, tables: Settings | None = None, where: str = "") -> tuple[Curriculum, ...]:
    """Curricula by name, those that resample first, else in the order in which they are named.

    Args:
        names: as `--curriculum` has them.
        seed: of those whose settings have none of their own.
        tables: settings by name, of these curricula and of others.
        where: the settings file, for messages.

    Raises:
        ConfigError: no name, the same twice, two that order, edit or divide, or settings that a curriculum has not.
        PluginError: a name that is not registered or does not keep the contract.
    """
    if not names:
        raise ConfigError("no curriculum. Name one with --curriculum, for example human-first.")
    if len(set(names)) < len(names):
        raise ConfigError(f"curriculum {','.join(names)}: a name stands twice. Name each once.")
    given = tables or {}
    for name in given:
        if name not in names:
            load(CURRICULA, name)
    chosen = tuple(_build(name, {"seed": seed, **given.get(name, {})}, where) for name in names)
    ordering = [each.name for each in chosen if each.orders]
    if len(ordering) > 1:
        raise ConfigError(f"curricula {' and '.join(ordering)} both set an order. Keep one of them.")
    editing = [each.name for each in chosen if isinstance(each, Editing)]
    if len(editing) > 1:
        raise ConfigError(f"curricula {' and '.join(editing)} both edit answers. Keep one of them.")
    dividing = [each.name for each in chosen if isinstance(each, Dividing) and each.parts]
    if len(dividing) > 1:
        raise ConfigError(f"curricula {' and '.join(dividing)} both divide the output. Keep one of them.")
    return tuple(sorted(chosen, key=lambda each: not isinstance(each, Resampling)))


def _build(name: str, values: Mapping[str, Any], where: str) -> Curriculum:
    kind = load(CURRICULA, name)
    if not isinstance(kind, type):
        raise PluginError(f"curriculum {name!r} is {kind!r}, not a class. Register the class itself.")
    curriculum: object = settings(kind, values, ": ".join(filter(None, (where, f"curriculum.{name}"))))
    if not isinstance(curriculum, Curriculum):
        raise PluginError(f"curriculum {name!r} lacks name, orders, needs, seed or rank. See curricula/protocols.py.")
    return curriculum


def overridden(tables: Settings, assignments: Sequence[str], names: Sequence[str]) -> Settings:
    """Settings with what `--set NAME.key=value` gives: a value as TOML has it, else the text as it is.

    Args:
        tables: settings by name.
        assignments: as they were typed.
        names: of the curricula that are asked for.

    Raises:
        ConfigError: something else, or a setting of a curriculum that is not asked for.
        PluginError: a setting of a curriculum that there is not.
    """
    made = {name: dict(table) for name, table in tables.items()}
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        name, dot, key = target.strip().rpartition(".")
        if not (equals and dot and name and key):
            raise ConfigError(
                f"--set {assignment!r} is not NAME.key=value. Write, for example, --set importance.strength=2."
            )
        if name not in names:
            load(CURRICULA, name)
            raise ConfigError(
                f"--set {assignment!r}: {name} is not among the curricula ({', '.join(names)}). "
                "Name it with --curriculum, or leave the setting out."
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        made.setdefault(name, {})[key] = value
    return made
