"""Writes docs/reference.md from the code: every command with its options, every rule, signal, stage and curriculum.

python samples/reference.py [FILE]        FILE is docs/reference.md unless named
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from audit.rulebook import DEFAULTS
from audit.signature import signal_config
from audit.stages import Stage
from curricula.cli import COMMANDS, foxing
from curricula.protocols import CURRICULA, Curriculum
from detectors.protocols import Signal
from detectors.registry import SIGNALS, STAGES, load, names

TARGET = Path(__file__).parent.parent / "docs" / "reference.md"
COMMON = ("config_path", "isolated", "quiet", "verbose", "no_color")
OURS = ("audit.", "curricula.", "detectors.")
HEAD = """# Reference

Made from the code by `python samples/reference.py`, and held to it by a test: do not edit. What the numbers mean is in
[metrics.md](metrics.md), exit codes are in [check.md](check.md#exit-codes).

Every command also takes `--config FILE`, `--isolated`, `-q`, `-v`, `--no-color` and `-h`.
"""


def main(path: Path) -> None:
    """Write the file anew."""
    path.write_text(reference(), "utf-8")


def reference() -> str:
    """The whole document."""
    sections = (HEAD, *_commands(), *_rules(), *_measures(SIGNALS, "Signals"), *_measures(STAGES, "Stages"))
    return "\n".join([*sections, *_curricula()]).rstrip("\n") + "\n"


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    context = click.Context(foxing, info_name="foxing")
    for name in COMMANDS:
        command = foxing.get_command(context, name)
        assert command is not None
        usage = command.collect_usage_pieces(click.Context(command))
        yield f"### {name}\n\n    foxing {' '.join([name, *usage])}\n"
        yield _prose(command.help or "") + "\n"
        options = [one for one in command.params if isinstance(one, click.Option) and one.name not in COMMON]
        if options:
            yield "| option | what it does |\n| --- | --- |"
            yield "\n".join(_option(option) for option in options) + "\n"


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" {option.make_metavar(click.Context(foxing))}"
    text = option.help or ""
    shown = option.default if option.show_default and not callable(option.default) else None
    default = f" Default: {shown}." if shown not in (None, False, ()) else ""
    return f"| {names}{_cell(kind)} | {_cell(text)}{_cell(default)} |"


def _rules() -> Iterator[str]:
    yield "## Rules\n\n| rule | name | hits where | budget |\n| --- | --- | --- | ---: |"
    for rule in DEFAULTS:
        when = f"`{_cell(rule.when)}`" if rule.when else "a file, not a row"
        yield f"| {rule.id} | {_cell(rule.name)} | {when} | {rule.budget:g} |"
    yield ""


def _measures(group: str, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    for name in names(group):
        kind = load(group, name)
        if not isinstance(kind, type) or not kind.__module__.startswith(OURS):
            continue
        found = kind()
        assert isinstance(found, Signal | Stage)
        yield f"### {name}\n\n{_prose(_first_paragraph(kind))}\n"
        yield "| field | type | what |\n| --- | --- | --- |"
        for field in found.schema:
            doc = (field.metadata or {}).get(b"doc", b"").decode()
            yield f"| `{name}.{field.name}` | {_cell(str(field.type))} | {_cell(doc)} |"
        values = signal_config(found)
        if values:
            yield "\nSettings: " + ", ".join(f"`{key} = {value!r}`" for key, value in values.items()) + "."
        yield ""


def _curricula() -> Iterator[str]:
    yield "## Curricula\n\n| curriculum | needs | what |\n| --- | --- | --- |"
    for name in names(CURRICULA):
        kind = load(CURRICULA, name)
        if isinstance(kind, type) and kind.__module__.startswith(OURS):
            built = kind()
            assert isinstance(built, Curriculum)
            needs = ", ".join(built.needs) or "nothing"
            yield f"| `{name}` | {needs} | {_cell(_first_paragraph(kind))} |"
    yield ""


def _first_paragraph(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _prose(text: str) -> str:
    """Paragraphs of a docstring on one line each."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(_plain(paragraph).split()) for paragraph in paragraphs)


def _plain(text: str) -> str:
    return re.sub(r"<(\w)", r"\\<\1", text.replace("\b", ""))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) if text.strip() == text else " " + _cell(text.strip())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
