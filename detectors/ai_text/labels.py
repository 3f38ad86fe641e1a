"""Which label of a sequence classifier means machine-written: the one that was named, or what the names tell."""

from __future__ import annotations

import re
from collections.abc import Mapping

from detectors.errors import SignalError

__all__ = ["machine_labels"]

_MACHINE = frozenset("ai machine generated fake chatgpt gpt llm llms bot synthetic artificial model".split())
_HUMAN = frozenset("human humans real person people original genuine natural".split())
_NEGATION = frozenset("not non no un".split())
_PLAIN = ("label_0", "label_1")


def machine_labels(names: Mapping[int, str], wanted: str, what: str) -> tuple[int, ...]:
    """Which labels mean machine-written.

    Args:
        names: label of each output.
        wanted: name or number of one; empty guesses: names such as fake, ai, machine and generated, or all but one
            that is named human or real; LABEL_1 of LABEL_0 and LABEL_1.
        what: the model, for messages.

    Raises:
        SignalError: no such label, or the names do not tell.
    """
    shown = ", ".join(f"{index}: {name}" for index, name in sorted(names.items()))
    if wanted:
        found = tuple(index for index, name in names.items() if wanted in (name, str(index)))
        found = found or tuple(index for index, name in names.items() if wanted.lower() == name.lower())
        if len(found) != 1:
            raise SignalError(f"{what}: no label {wanted!r} (has {shown}). Set machine_label to one of these.")
        return found
    kinds = {index: _kind(name) for index, name in names.items()}
    machine = tuple(index for index, kind in kinds.items() if kind == "machine")
    human = [index for index, kind in kinds.items() if kind == "human"]
    if len(names) == 2 and {name.lower() for name in names.values()} == set(_PLAIN):
        return tuple(index for index, name in names.items() if name.lower() == _PLAIN[1])
    if len(names) > 1 and len(human) == 1 and "unclear" not in kinds.values():
        return tuple(index for index in names if index not in human)
    if len(machine) == 1 and len(names) == 2:
        return machine
    raise SignalError(f"{what}: cannot tell which label means machine-written ({shown}). Set machine_label to it.")


def _kind(name: str) -> str:
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    if words & _NEGATION:
        return "unclear"
    if words & _HUMAN:
        return "human"
    return "machine" if words & _MACHINE else "other"
