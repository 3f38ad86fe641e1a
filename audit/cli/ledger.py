"""`foxing ledger`: audits over time, and whether they drift from a baseline."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.completing import RULES
from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from audit.ledger import Audit, Entry, Ledger
    from audit.ledger_drift import Series

EXAMPLES = """\b
Examples:
  foxing ledger web.ledger --add audit                        write the newest scan down; exit 1 on drift
  foxing ledger web.ledger --chart web.svg --select FX1
  foxing ledger web.ledger --accept 12                        what drifted is meant: compare with it from now on
"""


@click.command("ledger", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("path", metavar="LEDGER", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--add",
    metavar="AUDIT",
    type=click.Path(path_type=Path, exists=True),
    help="Write an audit down: a scan's folder, or what foxing check --format json wrote.",
)
@click.option("--corpus", metavar="NAME", help="Name of the corpus; needed where a ledger holds several.")
@click.option("--select", metavar="IDS", type=RULES, help="Only rules that begin so, comma-separated: FX101,FX3.")
@click.option(
    "--error-rate",
    type=click.FloatRange(1e-6, 0.5),
    default=0.05,
    show_default=True,
    help="Chance of a false alarm, over all looks since the baseline and all rules.",
)
@click.option(
    "--min-change",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="A change of a share up to this is no drift, however certain it is.",
)
@click.option("--accept", type=click.IntRange(1), metavar="N", help="Compare with audit N from now on.")
@click.option(
    "--chart", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.svg", help="Draw shares over time there."
)
@click.option(
    "--notify",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    help="Write what drifted there, only when something did.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common
def command(
    session: Session,
    /,
    path: Path,
    add: Path | None,
    corpus: str | None,
    select: str | None,
    accept: int | None,
    form: str,
    **chosen: object,
) -> None:
    """Keep audits in LEDGER, an append-only file, and say whether the newest has drifted from the baseline.

    The baseline is the first audit of a corpus that was measured and judged like the newest, or the last that was
    accepted. Exit status: 0 no drift, 1 drift, 2 when it could not be said.
    """
    from audit.ledger import Ledger
    from audit.ledger_drift import series_of
    from audit.ledger_report import described, document

    error, min_change = chosen["error_rate"], chosen["min_change"]
    assert isinstance(error, float) and isinstance(min_change, float)
    ledger = Ledger(path)
    if add is not None:
        number = ledger.append(_entry(session, add), corpus=corpus or _only_corpus(ledger))
        session.note(f"written down as audit {number}")
    name = corpus or _only_corpus(ledger)
    if accept is not None:
        _accept(ledger, name, accept)
    rules = tuple(name.strip() for name in (select or "").split(",") if name.strip())
    audits = _audits(ledger, name)
    _refuse_unjudged(ledger, audits[-1], rules)
    series = series_of(audits, rules=rules, error=error, min_change=min_change)
    record = json.dumps(document(series), indent=1, ensure_ascii=True)
    session.result(record if form == "json" else "\n".join(printable(line) for line in described(series)))
    _write(chosen["chart"], lambda: _chart(series, rules))
    if series.drifted:
        _write(chosen["notify"], lambda: record)
        raise SystemExit(1)


def _entry(session: Session, add: Path) -> Entry:
    """An audit to write down: judged now by the rules in force, or as it was judged."""
    from audit.ledger import entry_of
    from detectors.errors import ConfigError

    if not add.is_dir():
        try:
            return entry_of(json.loads(add.read_text("utf-8")), str(add))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{add}: cannot be read as JSON ({error}). Name a scan's folder, or a check's JSON."
            ) from error
    from audit.assess import assess
    from audit.calibrate import tables_of
    from audit.evidence import Evidence
    from audit.formats import View
    from audit.formats.json import render
    from audit.rules import rules_from

    findings, check = session.findings(add), session.config.check
    assessment = assess(
        findings,
        rules_from(session.config.rules),
        budgets=check.budget,
        select=check.select,
        ignore=check.ignore,
        strict=check.strict,
        evidence=Evidence(tables_of(findings)),
    )
    return entry_of(json.loads(render(assessment, View())), str(add))


def _audits(ledger: Ledger, corpus: str) -> tuple[Audit, ...]:
    """Audits of a corpus, which must have one."""
    from detectors.errors import ConfigError

    if found := ledger.audits(corpus):
        return found
    names = ", ".join(ledger.corpora()) or "none at all"
    raise ConfigError(f"{ledger.path}: holds no audit of corpus {corpus!r} (has: {names}). Name another with --corpus.")


def _refuse_unjudged(ledger: Ledger, newest: Audit, rules: Sequence[str]) -> None:
    """Rules that were asked for and not judged must not look as if they had not drifted."""
    from detectors.errors import ConfigError

    for prefix in rules:
        if not any(rule.startswith(prefix) for rule in newest.rates):
            judged = ", ".join(newest.rates) or "none"
            raise ConfigError(
                f"{ledger.path}: audit {newest.number} judged no rule that begins with {prefix!r} (judged: {judged}). "
                "Choose others with --select, or scan what that rule needs."
            )


def _accept(ledger: Ledger, corpus: str, number: int) -> None:
    """Accept an audit that the newest one can be compared with; another would change nothing."""
    from detectors.errors import ConfigError

    audits = _audits(ledger, corpus)
    alike = [audit.number for audit in audits if audit.measured == audits[-1].measured]
    if number not in alike:
        listed = ", ".join(map(str, alike[-10:]))
        raise ConfigError(
            f"--accept {number}: is no audit of {corpus!r} that was measured and judged like the newest. "
            f"Those are: {listed}."
        )
    ledger.accept(number)


def _only_corpus(ledger: Ledger) -> str:
    """The name of the one corpus that a ledger holds; `corpus` for a new ledger."""
    from detectors.errors import ConfigError

    names = ledger.corpora() if ledger.path.exists() else ()
    if len(names) > 1:
        raise ConfigError(f"{ledger.path}: holds {len(names)} corpora ({', '.join(names)}). Name one with --corpus.")
    return names[0] if names else "corpus"


def _chart(series: Series, rules: Sequence[str]) -> str:
    from audit.ledger_chart import chart

    return chart(series, rules)


def _write(path: object, make: Callable[[], str]) -> None:
    from audit.replacing import replacing

    if isinstance(path, Path):
        with replacing(path) as stream:
            stream.write((make() + "\n").encode())
