"""An assessment as GitHub workflow commands: annotations on a pull request, one line each.

Commands are read line by line, so a value with a line break could start a command of its own. Every value from data is
escaped as GitHub's own toolkit does (actions/toolkit, packages/core/src/command.ts) after control characters are taken
out, and nothing from data stands at the start of a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from audit.assessment import Verdict
from audit.formats import View, count, percent, plain, row_values, what

if TYPE_CHECKING:
    from audit.assess import Assessment, Case, Result

__all__ = ["render"]

_TOP_ROWS = 5


def render(assessment: Assessment, view: View) -> str:
    """One `::error` per unreadable file and per rule over budget and file, and a `::notice` with the signature.

    What a sample left undecided is a `::warning`, with `strict` an `::error`.
    """
    return "\n".join(_lines(assessment))


def _lines(assessment: Assessment) -> Iterator[str]:
    for failed in assessment.failed:
        yield _command("error", failed.uri, f"{failed.code} cannot be read", failed.message)
    for result in assessment.over:
        yield from _errors(result, assessment)
    for result in assessment.undecided:
        yield _command(
            "error" if assessment.strict else "warning",
            None,
            f"{result.rule.id} {result.rule.name} undecided",
            f"{what(result, assessment)}; budget {percent(result.rule.budget)}.",
        )
    over = len(assessment.over)
    known = sum(result.verdict is Verdict.KNOWN for result in assessment.results)
    open_ = f", {len(assessment.undecided)} undecided" if assessment.undecided else ""
    every = "no rule worse than in the baseline" if known else "every rule within budget"
    verdict = f"{count(over, 'rule')} over budget" if over else every if not open_ else "no rule over budget"
    size = f"{count(assessment.total.rows, 'row')} in {count(assessment.shards, 'shard')}"
    yield _command("notice", None, "foxing", f"{size}, {verdict}{open_}; {assessment.signature}")


def _errors(result: Result, assessment: Assessment) -> Iterator[str]:
    title = f"{result.rule.id} {result.rule.name}"
    share = what(result, assessment)
    text = f"{share}; budget {percent(result.rule.budget)}. foxing rule {result.rule.id} says what it means."
    by_file = sorted(result.worst, key=lambda case: case.uri)
    if not by_file:
        yield _command("error", None, title, text)
    for uri, cases in groupby(by_file, key=lambda case: case.uri):
        listed = [_describe(case) for case in list(cases)[:_TOP_ROWS]]
        yield _command("error", uri, title, f"{text} Worst here: {'; '.join(listed)}")


def _describe(case: Case) -> str:
    return case.message if case.row is None else f"row {case.row} {row_values(case.values)}"


def _command(kind: str, uri: str | None, title: str, text: str) -> str:
    properties = [("file", _relative(uri))] if uri else []
    properties.append(("title", title))
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties)
    return f"::{kind} {listed}::{_data(text)}"


def _relative(uri: str) -> str:
    # Annotations attach to paths as the repository has them, which is where a workflow runs.
    path = Path(uri)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else uri


def _data(text: str) -> str:
    return plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
