"""An assessment for programs: one JSON object, described in docs/json.md and versioned."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

from audit.formats import View
from audit.formats.forms import form_document
from audit.profile import PROFILE_VERSION, QUANTILES

if TYPE_CHECKING:
    from audit.assess import Assessment, Case, Result, SourceShare
    from audit.census import Counts
    from audit.prevalence import Estimate, Interval, Prevalence, Shares
    from audit.profile import Profile, SourceProfile

__all__ = ["FORMAT", "VERSION", "render"]

FORMAT = "foxing-assessment"
VERSION = 1


def render(assessment: Assessment, view: View) -> str:
    """The assessment as ASCII JSON, keys in a fixed order; numbers that are not finite become null."""
    text = json.dumps(_document(assessment), indent=2, ensure_ascii=True, allow_nan=False)
    # Continuous integration takes ##[ for a command anywhere in what a step prints.
    return text.replace("##[", "#\\u0023[")


def _document(assessment: Assessment) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "signature": assessment.signature,
        "exit_code": assessment.exit_code,
        "strict": assessment.strict,
        "shards": assessment.shards,
        "sample": None if assessment.sample is None else dataclasses.asdict(assessment.sample),
        "baseline": None if assessment.baseline is None else dataclasses.asdict(assessment.baseline),
        "failed": [{"uri": f.uri, "code": f.code, "message": f.message} for f in assessment.failed],
        "signals": list(assessment.signals),
        "total": _counts(assessment.total),
        "sources": {name: _counts(counts) for name, counts in assessment.sources.items()},
        "rules": [_result(result) for result in assessment.results],
        "profile": _profile(assessment.profile),
        "form": form_document(assessment.form),
    }


def _profile(profile: Profile | None) -> dict[str, object] | None:
    if profile is None:
        return None
    return {
        "version": PROFILE_VERSION,
        "sketches": profile.signature,
        "equal_words": profile.equal_words,
        "apart": profile.apart,
        "quantiles": list(QUANTILES),
        "total": _source_profile(profile.total),
        "sources": {name: _source_profile(found) for name, found in profile.sources.items()},
    }


def _source_profile(found: SourceProfile) -> dict[str, object]:
    heaps = found.heaps
    return {
        "documents": found.documents,
        "words": found.words,
        "bytes": found.size_bytes,
        "distinct": [dataclasses.asdict(distinct) for distinct in found.distinct],
        "heaps": None if heaps is None else dataclasses.asdict(heaps),
        "growth": [dataclasses.asdict(point) for point in found.points],
        "lengths": {name: list(values) for name, values in found.quantiles.items()},
        "phrases": {
            name: {
                "candidates": phrases.candidates,
                "shortfall": phrases.shortfall,
                "items": [item._asdict() for item in phrases.items],
            }
            for name, phrases in found.phrases.items()
        },
    }


def _counts(counts: Counts) -> dict[str, object]:
    return {
        "rows": counts.rows,
        "words": counts.words,
        "characters": counts.characters,
        "bytes": counts.bytes,
        "nulls": counts.nulls,
        "invalid_utf8": counts.invalid_utf8,
        "errors": counts.errors,
        "unmeasured_rows": counts.unmeasured_rows,
        "unmeasured": dict(counts.unmeasured),
        "abstained": counts.abstained,
        "out_of_support": counts.out_of_support,
        "rules": {
            rule: {"n": tally.n, "hits": tally.hits, "n_words": tally.n_words, "hit_words": tally.hit_words}
            for rule, tally in counts.rules.items()
        },
    }


def _result(result: Result) -> dict[str, object]:
    return {
        "id": result.rule.id,
        "name": result.rule.name,
        "when": result.rule.when or None,
        "action": result.rule.action.value,
        "budget": result.rule.budget,
        "verdict": result.verdict.value,
        "judged": result.judged.value,
        "n": result.n,
        "hits": result.hits,
        "counted": result.counted,
        "share": result.share,
        "interval": _interval(result.interval),
        "corrected": result.corrected,
        "by_words": _estimate(result.by_words),
        "reason": result.reason,
        "sources": [_source(source) for source in result.sources],
        "worst": [_case(case) for case in result.worst],
        "estimation": _estimation(result.shares),
    }


def _estimation(shares: Shares | None) -> dict[str, object] | None:
    if shares is None:
        return None
    return {
        "documents": _prevalence(shares.documents),
        "words": _prevalence(shares.words),
        "groups": {
            kind: [{"group": name, **_prevalence(found)} for name, found in groups.items()]
            for kind, groups in shares.groups.items()
        },
    }


def _prevalence(found: Prevalence) -> dict[str, object]:
    return {
        "share": found.share,
        "interval": _interval(found.interval),
        "n": found.n,
        "labelled": found.labelled,
        "method": found.method,
        "second_opinions": [
            {"method": opinion.method, "share": opinion.share, "interval": _interval(opinion.interval)}
            for opinion in found.second_opinions
        ],
        "reasons": list(found.reasons),
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _estimate(estimate: Estimate | None) -> dict[str, object] | None:
    if estimate is None:
        return None
    return {
        "share": estimate.share,
        "interval": _interval(estimate.interval),
        "n": estimate.n,
        "observed": estimate.observed,
        "reason": estimate.reason,
    }


def _source(source: SourceShare) -> dict[str, object]:
    return {
        "source": source.source,
        "n": source.n,
        "hits": source.hits,
        "share": source.share,
        "interval": _interval(source.interval),
    }


def _case(case: Case) -> dict[str, object]:
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in case.values.items()
    }
    return {"uri": case.uri, "row": case.row, "source": case.source, "values": values, "message": case.message or None}
