"""Finds signals, curricula and formats by name through entry points; ours are registered like anyone's."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from detectors.errors import PluginError

__all__ = ["SIGNALS", "load", "names"]

SIGNALS = "foxing.signals"
STAGES = "foxing.stages"


@cache
def _points(group: str) -> tuple[EntryPoint, ...]:
    """The points of a group, read once: what is installed does not change while a process runs."""
    return tuple(entry_points(group=group))


def names(group: str) -> list[str]:
    """Names registered in an entry-point group, sorted."""
    return sorted({point.name for point in _points(group)})


def load(group: str, name: str) -> object:
    """Import the object registered as `name` in `group`.

    Raises:
        PluginError: no such name, the same name registered by two distributions, or an import that fails.
    """
    found: dict[str, EntryPoint] = {point.value: point for point in _points(group) if point.name == name}
    kind = group.removeprefix("foxing.").rstrip("s")
    if not found:
        known = names(group)
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There is: {', '.join(known)}."
        raise PluginError(f"no {kind} {name!r}. {hint}")
    if len(found) > 1:
        raise PluginError(f"{kind} {name!r} is registered twice ({', '.join(sorted(found))}). Uninstall one of them.")
    (point,) = found.values()
    try:
        return point.load()
    except Exception as error:
        raise PluginError(
            f"{kind} {name!r} ({point.value}) does not import: {type(error).__name__}: {error}. Fix or uninstall it."
        ) from error
