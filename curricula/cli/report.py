"""`foxing report`: one page about one audit."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common

if TYPE_CHECKING:
    from audit.assessment import Assessment
    from audit.findings_folder import Findings
    from audit.report.build import Asked
    from audit.report.content import Report
    from audit.rules import Rule

EXAMPLES = """\b
Examples:
  foxing report audit -o report.html
  foxing report audit -o report.html --baseline audit-last-week --trial trial
  foxing report audit --format card -o README.md --no-text
"""
FORMATS = ("html", "json", "markdown", "card")


@click.command("report", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there instead of to stdout."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="html", show_default=True)
@click.option(
    "--baseline",
    metavar="OLD",
    type=click.Path(path_type=Path, exists=True),
    help="Earlier scan, or JSON of an earlier report or check: adds what changed.",
)
@click.option(
    "--reference",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Scan whose documents diversity is laid beside, in place of the bundled human ones.",
)
@click.option(
    "--trial",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of a finished foxing trial: adds its curves.",
)
@click.option(
    "--curriculum",
    "curricula",
    metavar="NAMES",
    multiple=True,
    help="Curricula to foresee together, comma-separated. Repeatable; without it each one by itself.",
)
@click.option("--no-curricula", is_flag=True, help="Foresee none, which saves a pass over the findings for each.")
@click.option(
    "--examples", type=click.IntRange(0, 50), default=3, show_default=True, help="Worst cases shown of each rule."
)
@click.option("--no-text", is_flag=True, help="Show no text of the corpus.")
@click.option("--corpus", metavar="ROOT", help="Folder that the scanned files were moved to.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Random sample of rows with shard, row and label, for FX101, as for foxing check.",
)
@click.option("--title", default="Corpus audit", show_default=True, help="Of the page.")
@common
def command(
    session: Session,
    /,
    directory: Path,
    output: Path | None,
    form: str,
    **chosen: object,
) -> None:
    """Write what the scan in DIR means as one page: self-contained, without scripts, to be read in two minutes.

    `html` works from a file, without a network, on screen and on paper; `json` has the same content and more of it,
    `markdown` the same as text. `card` writes a section and metadata for a Hugging Face dataset card; a card that is
    at FILE keeps all else that it holds. A report judges by the settings of `foxing check`, and always exits 0.
    """
    if output is None and form == "html" and sys.stdout.isatty():
        raise click.UsageError("A page is not for a terminal. Name a file with -o.")
    from audit.rules import rules_from

    if chosen["curricula"] and chosen["no_curricula"]:
        raise click.UsageError("--curriculum and --no-curricula exclude each other.")
    findings = session.findings(directory)
    rules = rules_from(session.config.rules)
    report = _built(session, findings, rules, chosen)
    _write(session, _rendered(report, form, output), output)


def _built(session: Session, findings: Findings, rules: Sequence[Rule], chosen: dict[str, object]) -> Report:
    from audit.report.build import build_report
    from curricula.trial_reading import read_trial

    trial, other = _path(chosen["trial"]), _path(chosen["reference"])
    curves = None if trial is None else read_trial(trial)
    report = build_report(
        findings,
        rules,
        _asked(session, chosen),
        against=None if other is None else session.findings(other),
        baseline=_baseline(session, _path(chosen["baseline"]), rules),
    )
    if curves is not None:
        report = dataclasses.replace(report, trial=curves)
    if chosen["no_curricula"]:
        return report
    from curricula.outcomes import outcomes, plans

    names = [[name.strip() for name in text.split(",") if name.strip()] for text in _texts(chosen["curricula"])]
    requests = plans(names, seed=findings.seed, tables=session.config.curricula)
    return dataclasses.replace(report, outcomes=outcomes(findings, rules, requests))


def _asked(session: Session, chosen: dict[str, object]) -> Asked:
    from audit.report.build import Asked
    from audit.two_phase import Labels

    labels, corpus = _path(chosen["labels"]), chosen["corpus"]
    return Asked(
        title=str(chosen["title"]),
        budgets=session.config.check.budget,
        strict=session.config.check.strict,
        examples=int(str(chosen["examples"])),
        with_text=not chosen["no_text"],
        corpus=None if corpus is None else str(corpus),
        labels=None if labels is None else Labels.read(labels),
    )


def _baseline(session: Session, old: Path | None, rules: Sequence[Rule]) -> Assessment | None:
    """An earlier audit, judged by the rules in force now where its findings are there."""
    if old is None:
        return None
    from audit.assess import assess
    from audit.calibrate import tables_of
    from audit.evidence import Evidence
    from audit.report.baseline import read_baseline

    if not old.is_dir():
        return read_baseline(old)
    earlier, check = session.findings(old), session.config.check
    evidence = Evidence(tables_of(earlier))
    return assess(earlier, rules, budgets=check.budget, strict=check.strict, top=0, evidence=evidence)


def _rendered(report: Report, form: str, output: Path | None) -> str:
    if form == "html":
        from audit.report.page import render_page

        return render_page(report)
    if form == "json":
        from audit.report.document import render_json

        return render_json(report)
    if form == "markdown":
        from audit.report.markdown import render_markdown

        return render_markdown(report)
    from audit.report.card import render_card

    return render_card(report, _card(output))


def _card(path: Path | None) -> str | None:
    """The card that is there; None where none is."""
    from detectors.errors import InputError

    if path is None or not path.exists():
        return None
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a card ({error}). Name another file with -o.") from error


def _write(session: Session, text: str, output: Path | None) -> None:
    from audit.replacing import replacing

    if output is None:
        session.result(text)
        return
    with replacing(output) as stream:
        stream.write((text.rstrip("\n") + "\n").encode("utf-8"))
    session.note(f"{output}: {output.stat().st_size / 1000:,.0f} kB")


def _path(value: object) -> Path | None:
    return value if isinstance(value, Path) else None


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, tuple) else ()
