"""Reads an earlier report or assessment back, as far as a comparison looks at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from audit.assessment import Assessment, Judged, Result, SourceShare, Verdict
from audit.census import Counts
from audit.intervals import Interval
from audit.rules import Rule
from detectors.errors import InputError

__all__ = ["READABLE", "read_baseline"]

READABLE = {"foxing-report": 1, "foxing-assessment": 1}
"""Formats that can be compared with, and the version of each that this foxing reads."""


def read_baseline(path: Path) -> Assessment:
    """What an earlier `foxing report --format json` or `foxing check --format json` found.

    Only what `audit.compare` looks at is filled in: shares with intervals by rule and source, rows and signature.

    Raises:
        InputError: no such file, or not one of these formats in a version that can be read.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}). Name a scan's folder or a JSON report.") from error
    kind = document.get("format") if isinstance(document, dict) else None
    if kind not in READABLE or document.get("version") != READABLE[kind]:
        version = document.get("version") if isinstance(document, dict) else None
        known = " or ".join(f"{name} {number}" for name, number in READABLE.items())
        raise InputError(f"{path}: is {kind!r} in version {version!r}, not {known}. Write it again with this foxing.")
    try:
        return _assessment(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({error!r}). Write it again.") from error


def _assessment(document: Mapping[str, object]) -> Assessment:
    results = tuple(_result(rule) for rule in _list(document["rules"]))
    sources = sorted({source.source for result in results for source in result.sources})
    return Assessment(
        results=results,
        total=_rows(document),
        sources=dict.fromkeys(sources, _counts(0)),
        shards=0,
        failed=(),
        signals=(),
        strict=False,
        signature=str(document["signature"]),
    )


def _rows(document: Mapping[str, object]) -> Counts:
    """Both formats count rows, in an object of another name."""
    holder = document["data"] if "data" in document else document["total"]
    if not isinstance(holder, Mapping):
        raise TypeError("no counts of rows")
    return _counts(int(str(holder["rows"])))


def _counts(rows: int) -> Counts:
    return Counts(rows, 0, 0, 0, 0, 0, 0, 0, 0, 0, {}, {})


def _list(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise TypeError("not a list of objects")
    return value


def _result(rule: Mapping[str, object]) -> Result:
    share, interval = _share(rule)
    if share is not None and rule["judged"] == Judged.SHARDS.value:
        interval = Interval(share, share)  # older files have an interval here, though every shard was looked at
    sources = tuple(
        SourceShare(str(one["source"]), int(str(one["n"])), int(str(one["hits"])), *_share(one))
        for one in _list(rule["sources"])
    )
    return Result(
        rule=Rule(str(rule["id"]), str(rule["name"]), "", budget=float(str(rule["budget"]))),
        verdict=Verdict(rule["verdict"]),
        judged=Judged(rule["judged"]),
        n=int(str(rule["n"])),
        hits=int(str(rule["hits"])),
        counted=None,
        share=share,
        interval=interval,
        corrected=False,
        by_words=None,
        reason=None,
        sources=sources,
        worst=(),
    )


def _share(holder: Mapping[str, object]) -> tuple[float | None, Interval | None]:
    share, ends = holder["share"], holder["interval"]
    if share is None or ends is None:
        return None, None
    if not isinstance(ends, list):
        raise TypeError("an interval is not a list")
    low, high = (float(str(end)) for end in ends)
    return float(str(share)), Interval(low, high)
