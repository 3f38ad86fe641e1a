"""`foxing check`: judge findings, or scan and judge, and exit by the verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common

if TYPE_CHECKING:
    from audit.findings import Findings
    from audit.rules import Rule

EXAMPLES = """\b
Examples:
  foxing check audit
  foxing check corpus/*.parquet --budget FX101=0.02 --format github
  foxing check audit --select FX1 --strict --statistics
"""


@click.command("check", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--format", "format_name", default="text", show_default=True, help="text, json, github, or an installed one."
)
@click.option(
    "--output-file", type=click.Path(path_type=Path, dir_okay=False), help="Write there instead of to stdout."
)
@click.option(
    "--select", multiple=True, help="Judge only rules that begin so: FX101, FX1. Repeatable or comma-separated."
)
@click.option("--ignore", multiple=True, help="Leave out rules that begin so. Repeatable or comma-separated.")
@click.option("--budget", multiple=True, metavar="ID=SHARE", help="Share tolerated, 0 to 1. Repeatable.")
@click.option("--strict", is_flag=True, help="Judge FX101 by the upper end of its interval.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 when over budget; 2 stays 2.")
@click.option("--statistics", is_flag=True, help="Add every rule's table by source.")
@common
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    format_name: str,
    output_file: Path | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    budget: tuple[str, ...],
    strict: bool,
    exit_zero: bool,
    statistics: bool,
) -> None:
    """Judge a scan's folder, or scan PATHS into a temporary folder and judge that.

    Exit status: 0 within budget, 1 over budget, 2 when something could not be read.
    """
    from audit.assess import assess
    from audit.formats import FORMATS, View, render
    from audit.rules import choose, rules_from
    from detectors.registry import load

    config = session.config.check
    load(FORMATS, format_name)
    rules = rules_from(session.config.rules)
    budgets = _budgets(config.budget, budget, rules)
    selected, ignored = _listed(select) or config.select, _listed(ignore) or config.ignore
    choose(rules, selected, ignored)
    with _opened(session, paths) as findings:
        assessment = assess(
            findings, rules, budgets=budgets, select=selected, ignore=ignored, strict=strict or config.strict
        )
    color = session.color and output_file is None
    text = render(format_name, assessment, View(color=color, statistics=statistics))
    if output_file is None:
        session.result(text)
    else:
        _write(output_file, text + "\n")
    if assessment.exit_code and not (exit_zero and assessment.exit_code == 1):
        raise SystemExit(assessment.exit_code)


def _listed(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(piece.strip() for value in values for piece in value.split(",") if piece.strip())


def _budgets(configured: Mapping[str, float], given: Sequence[str], rules: Sequence[Rule]) -> dict[str, float]:
    from audit.rules import find, share
    from detectors.errors import ConfigError

    budgets = {find(rules, rule_id).id: share(value, f"budget {rule_id}") for rule_id, value in configured.items()}
    for text in given:
        rule_id, equals, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not equals or not 0 <= number <= 1:
            raise ConfigError(f"--budget {text!r} is not ID=SHARE. Write, for example, --budget FX101=0.02.")
        budgets[find(rules, rule_id).id] = number
    return budgets


@contextmanager
def _opened(session: Session, paths: Sequence[str]) -> Iterator[Findings]:
    from audit.findings import RECORD, Findings

    if len(paths) == 1 and ((Path(paths[0]) / RECORD).is_file() or (Path(paths[0]) / "findings").is_dir()):
        yield Findings.open(paths[0])
        return
    with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
        yield _scanned(session, paths, Path(folder) / "scan")


def _scanned(session: Session, paths: Sequence[str], folder: Path) -> Findings:
    from audit.scan import Progress, scan

    with session.progress("scan") as bar:

        def show(progress: Progress) -> None:
            bar.update(progress.done_bytes / 1e6, progress.total_bytes / 1e6, f"  {progress.rows:,} rows")

        return scan(paths, folder, session.config, on_progress=show).findings


def _write(path: Path, text: str) -> None:
    from detectors.errors import OutputError

    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Choose another --output-file.") from error
