"""An assessment against an older one: what was over budget then and is no worse now fails nothing.

A rule over rows fails again where its share is higher than in the baseline by more than chance (the 95 % interval of
the difference lies above 0), or where a source that the baseline does not have is over budget by the lower end of its
own interval. A rule over files fails again for each file that the baseline does not name.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.assessment import Assessment, Baseline, Judged, Result, Verdict
from audit.compare import difference
from audit.intervals import Interval
from audit.signature import differing
from detectors.errors import ConfigError

__all__ = ["Known", "Older", "against", "read_baseline"]

_FORMAT, _VERSION = "foxing-assessment", 1


@dataclass(frozen=True)
class Known:
    """A rule in the baseline.

    Attributes:
        was_over: whether it was over budget, then or in that run's own baseline.
        share: with its interval; None where there was none.
        sources: that were judged.
        files: named among the worst.
        hits: rows or files.
    """

    was_over: bool
    share: tuple[float, Interval] | None
    sources: frozenset[str]
    files: frozenset[str]
    hits: int


@dataclass(frozen=True)
class Older:
    """A baseline: its signature, and rules by id."""

    signature: str
    rules: Mapping[str, Known]

    @property
    def ceilings(self) -> dict[str, float]:
        """Of rules over rows that were over budget, up to where their share may be by chance: above it, it is worse."""
        return {name: known.share[1].high for name, known in self.rules.items() if known.was_over and known.share}


def read_baseline(path: Path) -> Older:
    """Read what `foxing check --format json` wrote.

    Raises:
        ConfigError: it cannot be read, or is something else.
    """
    remedy = "Write it with: foxing check --format json --output-file FILE"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no baseline ({error}). {remedy}") from error
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (_FORMAT, _VERSION):
        raise ConfigError(f"{path}: is not {_FORMAT} {_VERSION}. {remedy}")
    try:
        return Older(str(found["signature"]), {rule["id"]: _known(rule) for rule in found["rules"]})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: is damaged ({error!r}). {remedy}") from error


def _known(rule: Mapping[str, Any]) -> Known:
    share, interval = rule["share"], rule["interval"]
    return Known(
        was_over=rule["verdict"] in (Verdict.OVER.value, Verdict.KNOWN.value),
        share=None if share is None or interval is None else (float(share), Interval(*map(float, interval))),
        sources=frozenset(str(source["source"]) for source in rule["sources"]),
        files=frozenset(str(case["uri"]) for case in rule["worst"]),
        hits=int(rule["hits"]),
    )


def against(assessment: Assessment, older: Older) -> Assessment:
    """The assessment with `known` in place of `over` where a rule is over budget as it was, and no worse."""
    results = tuple(_held(result, older.rules.get(result.rule.id)) for result in assessment.results)
    baseline = Baseline(older.signature, tuple(_warnings(older.signature, assessment.signature)))
    return dataclasses.replace(assessment, results=results, baseline=baseline)


def _held(result: Result, known: Known | None) -> Result:
    if result.verdict is not Verdict.OVER or known is None or not known.was_over:
        return result
    worse = _worse_files(result, known) if result.judged is Judged.SHARDS else _worse_rows(result, known)
    said = worse or "over budget as in the baseline, and not worse"
    reason = f"{result.reason}; {said}" if result.reason else said
    return dataclasses.replace(result, verdict=Verdict.OVER if worse else Verdict.KNOWN, reason=reason)


def _worse_files(result: Result, known: Known) -> str | None:
    new = [case.uri for case in result.worst if case.uri not in known.files]
    if new and len(known.files) >= known.hits:
        return f"{len(new)} not in the baseline"
    return f"{result.hits} where the baseline has {known.hits}" if result.hits > known.hits else None


def _worse_rows(result: Result, known: Known) -> str | None:
    if result.share is not None and result.interval is not None and known.share is not None:
        change, interval = difference(known.share, (result.share, result.interval))
        # A sample stops where it has just crossed the upper end in the baseline, which may be a share known exactly.
        if interval.low > 0 or (change > 0 and result.interval.low >= known.share[1].high):
            return f"higher than in the baseline by {100 * change:.2f} points"
    new = [
        source.source
        for source in result.sources
        if source.source not in known.sources and source.interval and source.interval.low > result.rule.budget
    ]
    return f"over budget in new sources: {len(new)}" if new else None


def _warnings(before: str, after: str) -> Iterator[str]:
    """How the two were measured or judged otherwise, by their signatures."""
    for name, one, other in differing(before, after):
        yield f"{name} was {one or 'nothing'} and is {other or 'nothing'} now, so part of a change may come from that"
