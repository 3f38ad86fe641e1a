"""Says what findings mean: every rule's share with its interval against its budget, by source, with the worst rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from audit.calibrate import SIGNAL, Calibration, calibrated, reference
from audit.census import Census, Counts, Tally
from audit.expressions import parse
from audit.prevalence import DRAWS, ErrorRates, Estimate, Interval, Trial, estimate, wilson
from audit.rules import Rule, applicable, choose, evaluate, find, rules_hash
from audit.shard_types import odd_types
from audit.worst import Case, Worst
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings import FailedShard, Findings
    from audit.profile import Profile

__all__ = [
    "Assessment",
    "Case",
    "Judged",
    "Result",
    "SourceShare",
    "Verdict",
    "assess",
    "calibration_digest",
    "judged_signature",
]

_MACHINE_WRITTEN = "FX101"
_SCHEMA = "FX902"
_CORRECTABLE = re.compile(r"\s*ai_text\.p_human\s*<=?\s*(0?\.\d+|\d+(?:\.\d+)?e-\d+)\s*", re.IGNORECASE)
_UNCORRECTED = "counted, not corrected: the detector's errors are known for `ai_text.p_human <= NUMBER` alone"
_WORST_SHARDS = 20
_CLOSE_SOURCES = 200
_COARSE_DRAWS = 1_000


class Verdict(Enum):
    """What became of a rule."""

    WITHIN = "within"
    OVER = "over"
    NO_ESTIMATE = "no estimate"
    NOT_APPLICABLE = "not applicable"


class Judged(Enum):
    """What a rule's `n` counts."""

    ROWS = "row"
    SHARDS = "shard"


@dataclass(frozen=True)
class SourceShare:
    """A rule's share in one source: `share` with its 95 % interval, corrected where the rule's own share is.

    A corrected interval comes from 20,000 draws in the sources with most hits (200 or more) and from 1,000 in others,
    which moves its ends by about 2 % of its width (standard error) and keeps ten thousand sources affordable.
    """

    source: str
    n: int
    hits: int
    share: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Result:
    """One rule, judged.

    Attributes:
        rule: the rule, its budget as judged.
        verdict: within or over budget; no estimate; or not applicable because its signal was not scanned.
        judged: what n counts.
        n: documents on which the rule is defined (not null), or shards.
        hits: of them hit.
        counted: hits / n; None when n is 0.
        share: what the budget is compared with: corrected for the detector's errors when `corrected`, else counted.
        interval: 95 % interval of `share`; None exactly when `share` is.
        corrected: whether the share is corrected.
        by_words: the same share by words instead of documents; None for rules over shards.
        reason: why there is no estimate, why the rule is not applicable, or why FX101 is counted and not corrected;
            None otherwise.
        sources: the share in each source, highest first.
        worst: the worst hits, worst first.
    """

    rule: Rule
    verdict: Verdict
    judged: Judged
    n: int
    hits: int
    counted: float | None
    share: float | None
    interval: Interval | None
    corrected: bool
    by_words: Estimate | None
    reason: str | None
    sources: tuple[SourceShare, ...]
    worst: tuple[Case, ...]


@dataclass(frozen=True)
class Assessment:
    """What findings mean under a set of rules.

    Attributes:
        results: one a rule, in rule order.
        total: counts over the corpus.
        sources: counts by source, by name.
        shards: number of shards that were measured.
        failed: shards that could not be read.
        signals: names of the signals that measured.
        strict: whether FX101 was judged by the upper end of its interval.
        signature: of findings and rules.
        profile: the lexical profile of the corpus; None where it was not asked for, or not sketched.
    """

    results: tuple[Result, ...]
    total: Counts
    sources: Mapping[str, Counts]
    shards: int
    failed: tuple[FailedShard, ...]
    signals: tuple[str, ...]
    strict: bool
    signature: str
    profile: Profile | None = None

    @property
    def over(self) -> tuple[Result, ...]:
        """Results over budget."""
        return tuple(result for result in self.results if result.verdict is Verdict.OVER)

    @property
    def exit_code(self) -> int:
        """0 within budget, 1 over budget, 2 when a shard could not be read or there is no row at all."""
        if self.failed or not self.total.rows:
            return 2
        return 1 if self.over else 0


def assess(
    findings: Findings,
    rules: Sequence[Rule],
    *,
    budgets: Mapping[str, float] | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    strict: bool = False,
    top: int = 10,
    tables: Calibration | None = None,
) -> Assessment:
    """Judge findings, in one pass and bounded memory.

    Args:
        findings: of a finished scan.
        rules: all rules there are.
        budgets: rule id to share tolerated, in place of the rule's own.
        select: prefixes of rule ids to judge; empty judges all.
        ignore: prefixes of rule ids to leave out.
        strict: judge FX101 by the upper end of its interval, and take no estimate for over budget.
        top: number of worst rows kept for each rule.
        tables: what is known of the detector; None takes the bundled detector's tables.

    Raises:
        ConfigError: an id that no rule has, or a rule selected by its full id whose signal was not scanned.
    """
    for rule_id in budgets or {}:
        find(rules, rule_id)
    chosen = choose(rules, select, ignore)
    pass_ = _Pass(chosen, top)
    for part in findings.parts():
        pass_.add(calibrated(part, tables))
    ids = [rule.id for rule in chosen if rule.when and pass_.applies.get(rule.id)]
    total = pass_.census.total(ids)
    sources = {name: pass_.census.source(name, ids) for name in pass_.census.sources}
    judge = _Judge(findings, pass_, total, sources, dict(budgets or {}), frozenset(select), strict, tables)
    return Assessment(
        results=tuple(judge.result(rule) for rule in chosen),
        total=total,
        sources=sources,
        shards=len(findings.shards),
        failed=tuple(findings.failed),
        signals=tuple(signal.name for signal in findings.measured),
        strict=strict,
        signature=judged_signature(findings, chosen, tables),
    )


class _Pass:
    """What one pass over the parts of findings collects."""

    def __init__(self, rules: Sequence[Rule], top: int) -> None:
        self.rules = rules
        self.census = Census()
        self.applies: dict[str, bool] = {}
        self.worst = {rule.id: Worst(rule, top) for rule in rules if rule.when}

    def add(self, frame: pl.DataFrame) -> None:
        if not self.applies:
            self.applies = {rule.id: applicable(rule, frame.schema) for rule in self.rules}
        verdicts = evaluate(frame, self.rules)
        self.census.add(Census.of(frame, verdicts))
        for rule_id in verdicts.columns:
            self.worst[rule_id].add(frame, verdicts[rule_id])


@dataclass(frozen=True)
class _Judge:
    findings: Findings
    seen: _Pass
    total: Counts
    sources: Mapping[str, Counts]
    budgets: Mapping[str, float]
    selected: frozenset[str]
    strict: bool
    tables: Calibration | None

    def result(self, rule: Rule) -> Result:
        judged = _with_budget(rule, self.budgets)
        if not rule.when:
            return self._shards(judged)
        if not self.seen.applies.get(rule.id):
            return self._not_applicable(judged)
        return self._rows(judged)

    def _not_applicable(self, rule: Rule) -> Result:
        scanned = {signal.name for signal in self.findings.measured}
        missing = [name for name in parse(rule.when, rule.id).columns if name not in scanned]
        reason = f"not scanned: {', '.join(missing)}" if self.seen.applies else "no rows"
        if rule.id in self.selected and self.seen.applies:
            names = ", ".join(missing)
            raise ConfigError(f"rule {rule.id}: reads {names}, which was not scanned. Scan with --signals {names}.")
        nothing = (None, None, False, None)
        return Result(rule, Verdict.NOT_APPLICABLE, Judged.ROWS, 0, 0, None, *nothing, reason, (), ())

    def _rows(self, rule: Rule) -> Result:
        tally = self.total.rules[rule.id]
        rates = self._rates(rule)
        found, by_words = self._share(tally, rates), self._share_of_words(tally, rates)
        return Result(
            rule=rule,
            verdict=self._verdict(rule, found, rates is not None),
            judged=Judged.ROWS,
            n=tally.n,
            hits=tally.hits,
            counted=tally.hits / tally.n if tally.n else None,
            share=found.share,
            interval=found.interval,
            corrected=rates is not None and found.share is not None,
            by_words=by_words,
            reason=found.reason or (_UNCORRECTED if rule.id == _MACHINE_WRITTEN and rates is None else None),
            sources=self._sources(rule, rates),
            worst=self.seen.worst[rule.id].cases(self._uris()),
        )

    def _rates(self, rule: Rule) -> ErrorRates | None:
        """The detector's errors at the rule's threshold; None for a rule whose counted share is judged."""
        threshold = _CORRECTABLE.fullmatch(rule.when) if rule.id == _MACHINE_WRITTEN else None
        if threshold is None or not 0 < float(threshold[1]) < 1:
            return None
        return error_rates(self.tables or reference(), float(threshold[1]))

    def _share(self, tally: Tally, rates: ErrorRates | None, draws: int = DRAWS) -> Estimate:
        if not tally.n:
            return Estimate(None, None, 0, None, "no document could be measured for it")
        observed = tally.hits / tally.n
        if rates is None:
            return Estimate(observed, wilson(tally.hits, tally.n), tally.n, observed)
        return estimate(observed, tally.n, tally.n, rates, seed=self.findings.seed, draws=draws)

    def _share_of_words(self, tally: Tally, rates: ErrorRates | None) -> Estimate:
        if not tally.n_words:
            return Estimate(None, None, tally.n, None, "no words were counted")
        observed = tally.hit_words / tally.n_words
        size = tally.n_words**2 / tally.n_words_squared
        if rates is None:
            return Estimate(observed, wilson(observed * size, size), tally.n, observed)
        return estimate(observed, size, tally.n, rates, seed=self.findings.seed)

    def _sources(self, rule: Rule, rates: ErrorRates | None) -> tuple[SourceShare, ...]:
        tallies = {name: counts.rules[rule.id] for name, counts in self.sources.items()}
        # Small sources repeat each other's counts, and the same counts give the same interval.
        distinct = {(tally.hits, tally.n): tally for tally in tallies.values()}
        found = {
            key: self._share(distinct[key], rates, DRAWS if place < _CLOSE_SOURCES else _COARSE_DRAWS)
            for place, key in enumerate(sorted(distinct, reverse=True))
        }
        shares = [
            SourceShare(name, tally.n, tally.hits, one.share, one.interval)
            for name, tally, one in ((name, tally, found[tally.hits, tally.n]) for name, tally in tallies.items())
        ]
        return tuple(sorted(shares, key=lambda source: (-_lower(source.interval), -(source.share or 0), source.source)))

    def _verdict(self, rule: Rule, found: Estimate, corrected: bool) -> Verdict:
        if found.share is None or found.interval is None:
            return Verdict.OVER if self.strict and corrected else Verdict.NO_ESTIMATE
        value = found.share
        if corrected:
            value = found.interval.high if self.strict else found.interval.low
        return Verdict.OVER if value > rule.budget else Verdict.WITHIN

    def _shards(self, rule: Rule) -> Result:
        cases = [
            Case(failed.uri, None, None, {}, failed.message)
            for failed in self.findings.failed
            if failed.code == rule.id
        ]
        if rule.id == _SCHEMA:
            cases += odd_types(self.findings.shards)
        n, hits = len(self.findings.shards) + len(self.findings.failed), len({case.uri for case in cases})
        share = hits / n if n else None
        over = share is not None and share > rule.budget
        return Result(
            rule=rule,
            verdict=Verdict.OVER if over else Verdict.WITHIN,
            judged=Judged.SHARDS,
            n=n,
            hits=hits,
            counted=share,
            share=share,
            interval=wilson(hits, n) if n else None,
            corrected=False,
            by_words=None,
            reason=None,
            sources=(),
            worst=tuple(cases[:_WORST_SHARDS]),
        )

    def _uris(self) -> dict[str, str]:
        return {shard.key: shard.uri for shard in self.findings.shards}


def judged_signature(findings: Findings, rules: Sequence[Rule], tables: Calibration | None = None) -> str:
    """The signature of findings under rules, and under the calibration where the detector was scanned."""
    return findings.signature(rules=rules_hash(rules), calibration=calibration_digest(findings, tables))


def calibration_digest(findings: Findings, tables: Calibration | None = None) -> str | None:
    """Digest of the tables behind `p_human` and `score`; None where the detector was not scanned."""
    scanned = any(signal.name == SIGNAL for signal in findings.measured)
    return (tables or reference()).digest if scanned else None


def error_rates(tables: Calibration, threshold: float) -> ErrorRates:
    """The detector's errors at `p_human <= threshold` on its labelled sources."""
    found = tables.error_rates(threshold)
    trials = [(rate.kind, Trial(rate.source, rate.n, rate.hits)) for rate in found]
    return ErrorRates(
        human=tuple(trial for kind, trial in trials if kind == "human"),
        machine=tuple(trial for kind, trial in trials if kind != "human"),
    )


def _with_budget(rule: Rule, budgets: Mapping[str, float]) -> Rule:
    return dataclasses.replace(rule, budget=budgets[rule.id]) if rule.id in budgets else rule


def _lower(interval: Interval | None) -> float:
    return interval.low if interval else -1.0
