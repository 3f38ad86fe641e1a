"""A report with all that `foxing report` puts into it: the audit, what curricula would keep, trials, what changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.report.render import Form, check_form, write_rendered

if TYPE_CHECKING:
    import polars as pl

    from audit.api import Audit
    from audit.assessment import Assessment
    from audit.findings_folder import Findings
    from audit.report.content import Report
    from curricula.foresee import Request

__all__ = ["Tell", "Wanted", "built", "write_report"]

Tell = Callable[[str, int, int], None]
"""Is called with what is being done, and how many rows of how many are."""


@dataclass(frozen=True)
class Wanted:
    """What a report is to hold: the options of `foxing report`.

    Attributes:
        title: of the page.
        baseline: folder of an earlier scan, or JSON of an earlier report or check: adds what changed.
        reference: folder of a scan whose documents diversity is laid beside; None takes the bundled human ones.
        trial: folder of a finished trial: adds its curves.
        curricula: lists of names of curricula that are foreseen together, or single names; empty foresees each by
            itself, None foresees none, which saves a pass over the rows for each.
        examples: worst cases a rule.
        with_text: False shows no text of the corpus.
        corpus: folder that the scanned files were moved to.
        labels: file with a random sample of rows whose author is known, for FX101.
    """

    title: str = "Corpus audit"
    baseline: str | Path | None = None
    reference: str | Path | None = None
    trial: str | Path | None = None
    curricula: Sequence[Sequence[str]] | None = ()
    examples: int = 3
    with_text: bool = True
    corpus: str | None = None
    labels: str | Path | None = None


def built(audit: Audit, wanted: Wanted | None = None, tell: Tell = lambda what, done, total: None) -> Report:
    """Everything that the findings, curricula and trials say.

    The findings are read once; what curricula need of a row is put on disk for them.

    Args:
        audit: of a finished scan, with the settings that judge it.
        wanted: what the report is to hold.
        tell: is told how far it is.

    Raises:
        ConfigError: a rule or a reference that cannot be used. FindingsError: no finished scan, or torn findings.
        InputError: a baseline, trial or file of labels that cannot be read, or a file of the corpus that is gone and
            whose columns the allow-list looks at. PluginError: no such curriculum.
    """
    from audit.report.build import Asked, Reading
    from audit.rules import rules_from
    from audit.two_phase import Labels
    from curricula.outcomes import Outlook, plans
    from curricula.trial_reading import read_trial

    asked, check, findings = wanted or Wanted(), audit.config.check, audit.recorded
    rules = rules_from(audit.config.rules)
    curves = None if asked.trial is None else read_trial(Path(asked.trial))
    reading = Reading(
        findings,
        rules,
        Asked(
            title=asked.title,
            budgets=check.budget,
            strict=check.strict,
            examples=asked.examples,
            with_text=asked.with_text,
            corpus=asked.corpus,
            labels=None if asked.labels is None else Labels.read(Path(asked.labels)),
        ),
        against=None if asked.reference is None else _beside(audit, Path(asked.reference)),
    )
    chosen, tables, allow = asked.curricula, audit.config.curricula, audit.config.allow
    requests: tuple[Request, ...] = ()
    if chosen is not None:
        requests = plans(_lists(chosen), seed=findings.seed, tables=tables, allow=allow, corpus=asked.corpus)
    # What is asked for and not there is said before the first row is read.
    with closing(Outlook(findings, rules, requests)) as outlook:
        baseline = None if asked.baseline is None else _baseline(audit, Path(asked.baseline), tell)
        outlook.read(_told(reading.parts(), findings.rows, "report", tell))
        report = reading.report(baseline)
        if chosen is not None:
            rows, total = findings.rows, findings.rows * len(requests)
            tell("curricula", 0, total)
            foreseen = outlook.outcomes(lambda done: tell("curricula", rows * done, total))
            report = dataclasses.replace(report, outcomes=foreseen)
    return report if curves is None else dataclasses.replace(report, trial=curves)


def _lists(chosen: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """One name is a sequence of letters to Python, and never meant as such."""
    names = [chosen] if isinstance(chosen, str) else chosen
    return [[name] if isinstance(name, str) else name for name in names]


def _beside(audit: Audit, directory: Path) -> Findings:
    """Another scan, judged by the reference of the settings."""
    from audit.findings_folder import Findings

    return dataclasses.replace(Findings.open(directory), reference=audit.config.reference)


def _baseline(audit: Audit, old: Path, tell: Tell) -> Assessment:
    """An earlier audit, judged by the rules in force now where its findings are there."""
    from audit.assess import Assessing
    from audit.calibrate import calibrated, tables_of
    from audit.evidence import Evidence
    from audit.report.baseline import read_baseline
    from audit.rules import rules_from

    if not old.is_dir():
        return read_baseline(old)
    earlier, check = _beside(audit, old), audit.config.check
    tables = tables_of(earlier)
    judging = Assessing(
        earlier,
        rules_from(audit.config.rules),
        budgets=check.budget,
        strict=check.strict,
        top=0,
        evidence=Evidence(tables),
    )
    for part in _told(earlier.parts(), earlier.rows, "baseline", tell):
        judging.add(calibrated(part, tables))
    return judging.assessment()


def _told(parts: Iterable[pl.DataFrame], rows: int, what: str, tell: Tell) -> Iterator[pl.DataFrame]:
    done = 0
    for part in parts:
        yield part
        done += part.height
        tell(what, done, rows)


def write_report(audit: Audit, path: str | Path, wanted: Wanted | None = None, *, form: Form = "html") -> Path:
    """Write the report of `foxing report` to a file, which appears when it is whole, and return its path.

    Args:
        audit: of a finished scan, with the settings that judge it.
        path: the file. A dataset card that is there keeps all else that it holds.
        wanted: what the report is to hold; None takes the defaults of the command.
        form: `html`, `json` (docs/report.schema.json), `markdown` or `card`, for a Hugging Face dataset.

    Raises:
        ConfigError: no such form. OutputError: the file cannot be written. Besides what `built` raises.
    """
    check_form(form)
    write_rendered(built(audit, wanted), form, Path(path))
    return Path(path)
