"""What every command has: -h, --config, --isolated, -q, -v, --no-color, and the session they make."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TextIO, TypeVar

import click
from click.shell_completion import CompletionItem

from detectors.compiling import compiling_told

if TYPE_CHECKING:
    from audit.config import Config
    from audit.findings_folder import Findings

__all__ = [
    "CONTEXT",
    "PLACE",
    "Bar",
    "Session",
    "common",
    "executor_options",
    "placed",
    "printable",
    "use_system_memory_pool",
]

P = ParamSpec("P")
R = TypeVar("R")


class Place(click.types.StringParamType):
    """A path, a pattern or a URL: text, which shells complete by the names of files."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Ask the shell for files."""
        return [CompletionItem(incomplete, type="file")]


PLACE = Place()
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_LOG_EVERY_S = 60.0
_REDRAW_EVERY_S = 0.1
_RATE_OVER_S = 30.0
_COMPILE_S = 30


def printable(text: str) -> str:
    """Text from data made safe for a terminal and a log: control and bidirectional characters become `\\ufffd`.

    What GitHub's runner would take for a command, `::` at the start of a line and `##[` anywhere, is broken up.
    """
    return _COMMAND.sub(r"\1: ", _CONTROL.sub("\ufffd", text)).replace("##[", "# #[")


def use_system_memory_pool() -> None:
    """Let Arrow take memory from the C library, in this process and its workers; to be called before it is imported.

    Its own pools keep what they were given: 80 MB more of a scan stay resident, for no speed.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


@dataclass(frozen=True)
class Session:
    """One invocation: its settings and its three ways to speak.

    Attributes:
        config_path: the file named with --config.
        isolated: read no configuration file.
        quiet: only results, warnings and errors.
        verbose: say more.
        color: colour is wanted and possible.
    """

    config_path: Path | None = None
    isolated: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = False

    @cached_property
    def config(self) -> Config:
        """The settings, read when first asked for."""
        from audit.config import load_config

        return load_config(self.config_path, isolated=self.isolated)

    def findings(self, directory: Path) -> Findings:
        """The findings of a scan, to be judged by the human reference that the settings name."""
        from audit.findings_folder import Findings

        return dataclasses.replace(Findings.open(directory), reference=self.config.reference)

    def result(self, text: str) -> None:
        """What the command was asked for, on standard output."""
        click.echo(text, color=self.color or None)

    def note(self, text: str) -> None:
        """What is good to know, on standard error; not with -q."""
        if not self.quiet:
            click.echo(printable(text), err=True)

    def error(self, text: str) -> None:
        """What could not be done, on standard error."""
        click.echo(f"foxing: error: {printable(' '.join(text.split()))}", err=True)

    def warn(self, text: str) -> None:
        """What people must see, on standard error."""
        click.echo(f"foxing: warning: {printable(' '.join(text.split()))}", err=True)

    @contextmanager
    def progress(self, label: str, *, unit: str = "MB") -> Iterator[Bar]:
        """A bar on a terminal; elsewhere one line a minute; nothing with -q. Says so when kernels must be compiled."""
        bar = Bar(label, unit, live=_is_terminal(sys.stderr) and not self.quiet, quiet=self.quiet)
        try:
            with compiling_told(self._compiling):
                yield bar
        finally:
            bar.finish()

    def _compiling(self, kept: bool) -> None:
        if kept:
            self.note(f"compiling kernels for this machine (about {_COMPILE_S} s, once) ...")
        else:
            self.note(
                f"compiling kernels (about {_COMPILE_S} s, in each run: no folder to keep them in can be written; "
                "set NUMBA_CACHE_DIR to one that can) ..."
            )


class Bar:
    """Progress with rate and time left, both of the last half minute: what an earlier run did is passed at once."""

    def __init__(self, label: str, unit: str, *, live: bool, quiet: bool) -> None:
        self.label = label
        self._unit = unit
        self._live = live
        self._quiet = quiet
        self._began = self._last = time.monotonic()
        self._recent: deque[tuple[float, float, float]] = deque([(self._began, 0.0, 0.0)])

    def update(self, done: float, total: float, extra: str = "", *, text_mb: float | None = None) -> None:
        """Show that `done` of `total` units are done.

        Args:
            done: so far, in units.
            total: in units.
            extra: put at the end of the line.
            text_mb: MB of text that was measured so far; its rate is shown instead of that of units.
        """
        now = time.monotonic()
        if self._quiet:
            return
        if done < self._recent[-1][1]:  # another phase, counted from its own start
            self._recent.clear()
        self._recent.append((now, done, text_mb or 0.0))
        while len(self._recent) > 2 and now - self._recent[1][0] > _RATE_OVER_S:
            self._recent.popleft()
        if now - self._last < (_REDRAW_EVERY_S if self._live else _LOG_EVERY_S) and (done < total or not self._live):
            return
        self._last = now
        line = self._line(now, done, total, text_mb) + extra
        click.echo(f"\r\x1b[K{line}" if self._live else line, err=True, nl=not self._live)

    def _line(self, now: float, done: float, total: float, text_mb: float | None) -> str:
        then, done_then, text_then = self._recent[0]
        passed = max(1e-9, now - then)
        rate = (done - done_then) / passed
        shown = f"{rate:,.1f} {self._unit}/s"
        if text_mb is not None:
            shown = f"{(text_mb - text_then) / passed:,.1f} MB/s of text"
        left = "? left" if rate <= 0 and done < total else f"{_clock(max(0.0, total - done) / (rate or 1.0))} left"
        share = done / total if total else 1.0
        return f"{self.label} {share:4.0%}  {done:,.0f} of {total:,.0f} {self._unit}  {shown}  {left}"

    def finish(self) -> None:
        """Clear the bar."""
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)


def _clock(seconds: float) -> str:
    """`0:09`, `2:05`, `11:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _is_terminal(stream: TextIO | None) -> bool:
    """False for a stream that was closed before foxing began, too."""
    return stream is not None and stream.isatty()


def common(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Add the options that every command has, and pass the session they make as first argument."""

    @click.option(
        "--config", "config_path", type=click.Path(dir_okay=False, path_type=Path), help="Read settings from this file."
    )
    @click.option("--isolated", is_flag=True, help="Read no settings file.")
    @click.option("-q", "--quiet", is_flag=True, help="Print results, warnings and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @click.option("--no-color", is_flag=True, help="Print without colour (so does NO_COLOR).")
    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        color = not kwargs.pop("no_color") and "NO_COLOR" not in os.environ and _is_terminal(sys.stdout)
        session = Session(
            config_path=kwargs.pop("config_path"),  # type: ignore[arg-type]
            isolated=bool(kwargs.pop("isolated")),
            quiet=bool(kwargs.pop("quiet")),
            verbose=bool(kwargs.pop("verbose")),
            color=color,
        )
        return command(session, *args, **kwargs)

    return wrapped


def executor_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that say where tasks run; they are `executor` and `ray_address` of the settings."""
    named = click.option(
        "--executor", type=click.Choice(["local", "ray"]), help="Processes of this machine (default), or Ray actors."
    )
    address = click.option(
        "--ray-address",
        metavar="A",
        help="Ray cluster: auto or HOST:PORT. RAY_ADDRESS when not given, else Ray is started on this machine.",
    )
    return named(address(command))


def placed(config: Config, executor: str | None, ray_address: str | None) -> Config:
    """The settings with what the options of `executor_options` say in place of their own.

    Raises:
        UsageError: the address of a Ray cluster for what does not run on Ray.
    """
    chosen = executor or config.scan.executor
    if ray_address is not None and chosen != "ray":
        raise click.UsageError(f"--ray-address {ray_address}: is for --executor ray. Add that.")
    where = dataclasses.replace(config.scan, executor=chosen, ray_address=ray_address or config.scan.ray_address)
    return dataclasses.replace(config, scan=where)
