"""`foxing doctor`: what foxing runs on, and what is in its way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from audit.environment import Environment, Extra, Package

_WIDTH = 20


@click.command("doctor", context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@common
def command(session: Session, as_json: bool) -> None:
    """Say what foxing runs on: versions and origins of packages, extras, plugins, devices, caches, models, settings.

    Nothing is installed, written or fetched. Exit status: 0 nothing is in the way, 1 something is but a plain scan
    runs, 2 a plain scan cannot run.
    """
    from audit.environment import look

    found = look(session.config_path, isolated=session.isolated)
    if as_json:
        session.result(json.dumps({**dataclasses.asdict(found), "exit_code": found.exit_code}, indent=2))
    else:
        session.result(printable("\n".join(_lines(found))))
        for problem in found.problems:
            (session.error if problem.fatal else session.warn)(problem.text)
    if found.exit_code:
        raise SystemExit(found.exit_code)


def _lines(found: Environment) -> Iterator[str]:
    yield _line("foxing", f"{found.foxing}, {found.origin}")
    yield _line("python", found.python)
    yield _line("machine", f"{found.machine}, {found.cores} cores for this process")
    yield _line("gpu", found.gpu)
    yield _line("settings", found.settings)
    for title, table in (("caches", found.caches), ("models", found.models), ("environment", found.variables)):
        yield f"\n{title}:" if table else f"\n{title}: nothing set"
        yield from (_line(f"  {name}", text) for name, text in table.items())
    yield "\npackages:"
    yield from (_line(f"  {one.name}", _package(one)) for one in found.packages)
    yield "\nextras (pip install 'foxing[NAME]'):"
    yield from (_line(f"  {one.name}", _extra(one)) for one in found.extras)
    if found.plugins:
        yield "\nplugins:"
    for plugin in found.plugins:
        state = "does not import" if plugin.error else "ok"
        yield _line(f"  {plugin.name}", f"{plugin.group}, {plugin.distribution}, {state}")


def _line(name: str, text: str) -> str:
    return f"{name.ljust(_WIDTH)}  {text}"


def _package(package: Package) -> str:
    there = "absent" if package.version is None else f"{package.version}, {package.origin}"
    return there if package.fits else f"{there} (needs {package.needs})"


def _extra(extra: Extra) -> str:
    state = f"lacks {', '.join(extra.missing)}" if extra.missing else "installed"
    return f"{state}; {extra.gives}" if extra.gives else state
