"""An assessment as SARIF 2.1.0 (OASIS, 2020 and errata 2023), which code hosts show beside a change.

A rule over budget is a result in each file of its worst rows, undecided ones of a sample are results of kind `open`,
and what is no worse than in the baseline is a note. Files below the working directory are named relative to it, below
`%SRCROOT%`; every address is percent-encoded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from audit import __version__
from audit.assessment import Verdict
from audit.formats import View, percent, plain, row_values, what
from audit.readers.protocol import as_bytes

if TYPE_CHECKING:
    from audit.assess import Assessment, Case, Result

__all__ = ["render"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_TOP_ROWS = 5
_LINES = (".jsonl", ".ndjson")
_URL_SAFE = ":/?#[]@!$&'()*+,;=~"
_ROOT = "%SRCROOT%"
_LEVELS = {Verdict.OVER: "error", Verdict.KNOWN: "note"}


def render(assessment: Assessment, view: View) -> str:
    """One run as ASCII JSON."""
    return json.dumps(_log(assessment), indent=2, ensure_ascii=True, allow_nan=False).replace("##[", "#\\u0023[")


def _log(assessment: Assessment) -> dict[str, object]:
    rules = [result for result in assessment.results if result.verdict is not Verdict.NOT_APPLICABLE]
    index = {result.rule.id: place for place, result in enumerate(rules)}
    failed = [
        {"level": "error", "message": {"text": plain(one.message)}, "locations": [_location(one.uri, None)]}
        for one in assessment.failed
    ]
    properties: dict[str, object] = {"signature": assessment.signature}
    if assessment.sample is not None:
        properties["sampled"] = f"{assessment.sample.rows} of {assessment.sample.of_rows} rows"
    run = {
        "tool": {
            "driver": {
                "name": "foxing",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(result) for result in rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not assessment.failed and bool(assessment.total.rows),
                "exitCode": assessment.exit_code,
                "toolExecutionNotifications": failed,
            }
        ],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The directory that foxing was run in."}}},
        "results": [one for result in rules for one in _results(result, index[result.rule.id], assessment)],
        "columnKind": "unicodeCodePoints",
        "properties": properties,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(result: Result) -> dict[str, object]:
    rule = result.rule
    name = plain(rule.name)
    found: dict[str, object] = {
        "id": plain(rule.id),
        "name": "".join(word.capitalize() for word in name.replace("-", " ").split()) or plain(rule.id),
        "shortDescription": {"text": f"{name}: more than {percent(rule.budget)} of {result.judged.value}s"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"budget": rule.budget, "when": plain(rule.when)},
    }
    text = "\n".join(plain(line) for line in rule.explanation.splitlines())
    if text:
        found |= {"fullDescription": {"text": text}, "help": {"text": text}}
    return found


def _results(result: Result, index: int, assessment: Assessment) -> Iterator[dict[str, object]]:
    level = _LEVELS.get(result.verdict)
    is_open = result.verdict is Verdict.UNDECIDED
    if level is None and not is_open:
        return
    if is_open and assessment.strict:
        level = "error"
    share = what(result, assessment)
    text = f"{plain(result.rule.id)} {plain(result.rule.name)}: {share}; budget {percent(result.rule.budget)}."
    common: dict[str, object] = {"ruleId": plain(result.rule.id), "ruleIndex": index, "level": level or "none"}
    common["kind"] = "fail" if level else "open"
    if assessment.baseline is not None:
        common["baselineState"] = "unchanged" if result.verdict is Verdict.KNOWN else "new"
    if is_open or not result.worst:
        yield {**common, "message": {"text": text}}
        return
    # One result a file: code hosts show no more than some thousands, and fewer are read.
    for uri, found in groupby(sorted(result.worst, key=lambda case: case.uri), key=lambda case: case.uri):
        cases = list(found)[:_TOP_ROWS]
        said = "; ".join(_said(case) for case in cases)
        yield {
            **common,
            "message": {"text": f"{text} Worst here: {said}"},
            "locations": [_location(uri, cases[0].row)],
            "partialFingerprints": {"foxing/v1": _fingerprint(result, uri)},
            "properties": {"rows": [case.row for case in cases if case.row is not None]},
        }


def _said(case: Case) -> str:
    return plain(case.message) if case.row is None else f"row {case.row} {row_values(case.values)}"


def _fingerprint(result: Result, uri: str) -> str:
    return hashlib.sha256(as_bytes(f"{result.rule.id}\n{_address(uri)[0]}")).hexdigest()[:32]


def _location(uri: str, row: int | None) -> dict[str, object]:
    address, relative = _address(uri)
    artifact: dict[str, object] = {"uri": address}
    if relative:
        artifact["uriBaseId"] = _ROOT
    physical: dict[str, object] = {"artifactLocation": artifact}
    if row is not None and uri.lower().endswith(_LINES):
        physical["region"] = {"startLine": row + 1}
    return {"physicalLocation": physical}


def _address(uri: str) -> tuple[str, bool]:
    """A file as a URI reference, and whether it is relative to the working directory."""
    if "://" in uri:
        return quote(as_bytes(uri), safe=_URL_SAFE), False
    path, here = Path(uri), Path.cwd()
    if not path.is_absolute():
        return quote(as_bytes(uri)), True
    if path.is_relative_to(here):
        return quote(as_bytes(path.relative_to(here).as_posix())), True
    return "file://" + quote(as_bytes(path.as_posix())), False
