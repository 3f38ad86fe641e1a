"""Turns what one pass over findings counted into a result a rule: share, interval, verdict, sources, worst rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.assessment import Judged, Result, SourceShare, Verdict
from audit.calibrate import SIGNAL, Calibration, OwnCalibration, reference, uncalibrated
from audit.census import Census, Counts, Tally
from audit.evidence import Evidence
from audit.expressions import parse
from audit.false_flags import known_flags
from audit.narrowing import documents_by_flags, narrowed, words_by_flags
from audit.prevalence import Estimate, Interval, Opinion, Prevalence, Shares, prevalence, wilson
from audit.rogan_gladen import DRAWS, ErrorRates, Trial, estimate
from audit.rules import Rule, applicable, evaluate
from audit.score_cells import Cell, ScoreCells
from audit.shard_types import odd_types
from audit.worst import Case, Worst
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings

__all__ = ["Results", "Seen", "error_rates", "flagging_rate", "shard_result"]

_MACHINE_WRITTEN = "FX101"
_SCHEMA = "FX902"
_CORRECTABLE = re.compile(r"\s*ai_text\.p_human\s*<=?\s*(0?\.\d+|\d+(?:\.\d+)?e-\d+)\s*", re.IGNORECASE)
_CALIBRATED = re.compile(r"\bai_text\.(p_human|score|machine_share)\b", re.IGNORECASE)
_UNCORRECTED = "counted, not corrected: the detector's errors are known for `ai_text.p_human <= NUMBER` alone"
_ROGAN_GLADEN = "flagged, corrected for errors (Rogan and Gladen)"
_WORST_SHARDS = 20
_CLOSE_SOURCES = 200
_COARSE_DRAWS = 1_000


class Seen:
    """What one pass over the parts of findings collects; histograms of scores only where a share is estimated."""

    def __init__(self, rules: Sequence[Rule], top: int, estimating: Evidence | None, rate: float | None) -> None:
        self.rules = rules
        self.rate = rate
        self.census = Census()
        self.cells = ScoreCells()
        self.estimating = estimating if estimating is not None and estimating.profiles is not None else None
        self.applies: dict[str, bool] = {}
        self.worst = {rule.id: Worst(rule, top) for rule in rules if rule.when}
        self.tiers: set[str] = set()

    def add(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Take in the next part, calibrated; returns its verdicts, as `audit.rules.evaluate`."""
        if not self.applies:
            self.applies = {rule.id: applicable(rule, frame.schema) for rule in self.rules}
        verdicts = evaluate(frame, self.rules)
        self.census.add(Census.of(frame, verdicts))
        if SIGNAL in frame.columns and "tier" in frame[SIGNAL].struct.fields:
            fields = frame[SIGNAL].struct
            self.tiers.update(fields.field("tier").filter(fields.field("margin").is_not_null()).drop_nulls().unique())
        if self.estimating is not None and SIGNAL in frame.columns:
            tables = self.estimating.tables or reference()
            self.cells.add(ScoreCells.of(frame, tables, self.estimating.labels, rate=self.rate))
        for rule_id in verdicts.columns:
            self.worst[rule_id].add(frame, verdicts[rule_id])
        return verdicts


@dataclass(frozen=True)
class Results:
    """Results of rules over what was seen; budgets, selection and strictness as `audit.assess.assess` has them."""

    findings: Findings
    seen: Seen
    total: Counts
    sources: Mapping[str, Counts]
    budgets: Mapping[str, float]
    selected: frozenset[str]
    strict: bool
    evidence: Evidence

    def of(self, rule: Rule) -> Result:
        """The result of one rule."""
        judged = _with_budget(rule, self.budgets)
        if not rule.when:
            return shard_result(self.findings, judged)
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
        profiles = self.evidence.profiles
        if profiles is not None and flagging_rate(rule) and self.seen.cells.total.scored:
            return self._estimated(rule, prevalence(self.seen.cells, profiles, seed=self.findings.seed))
        tally = self.total.rules[rule.id]
        rates, known = self._rates(rule), known_flags(self.findings, rule)
        found, by_words = self._share(tally, rates), self._share_of_words(tally, rates)
        return Result(
            rule=rule,
            verdict=Verdict.NO_ESTIMATE if known.is_missing else self._verdict(rule, found, rates is not None),
            judged=Judged.ROWS,
            n=tally.n,
            hits=tally.hits,
            counted=tally.hits / tally.n if tally.n else None,
            share=found.share,
            interval=found.interval,
            corrected=rates is not None and found.share is not None,
            by_words=by_words,
            reason=self._uncalibrated(rule, tally)
            or found.reason
            or known.reason
            or (_UNCORRECTED if rule.id == _MACHINE_WRITTEN and rates is None else None),
            sources=self._sources(rule, rates),
            worst=self.seen.worst[rule.id].cases(self._uris()),
        )

    def _estimated(self, rule: Rule, shares: Shares) -> Result:
        """FX101, its share estimated from the distribution of scores, with what was flagged beside it."""
        tally = self.total.rules[rule.id]
        rates = self._rates(rule)
        flagged = self._share(tally, rates)
        opinion = Opinion(_ROGAN_GLADEN, flagged.share, flagged.interval)
        whole = dataclasses.replace(shares.documents, second_opinions=(*shares.documents.second_opinions, opinion))
        words, groups = shares.words, shares.groups
        # How a reference of the user's own errs on other text than that is not known.
        if rates is not None and not isinstance(self.evidence.tables, OwnCalibration):
            cell, seed, errs = self.seen.cells.total, self.findings.seed, rates
            whole = narrowed(whole, lambda: documents_by_flags(cell, errs, seed=seed))
            words = narrowed(words, lambda: words_by_flags(cell, errs, seed=seed))
            groups = self._groups(shares, rates)
        shares = dataclasses.replace(shares, documents=whole, words=words, groups=groups)
        found = Estimate(whole.share, whole.interval, whole.n, flagged.observed)
        observed = tally.hit_words / tally.n_words if tally.n_words else None
        return Result(
            rule=rule,
            verdict=self._verdict(rule, found, corrected=True),
            judged=Judged.ROWS,
            n=tally.n,
            hits=tally.hits,
            counted=flagged.observed,
            share=whole.share,
            interval=whole.interval,
            corrected=whole.share is not None,
            by_words=Estimate(
                words.share, words.interval, words.n, observed, None if words.interval else _joined(words)
            ),
            reason=_joined(whole),
            sources=self._estimated_sources(rule, shares),
            worst=self.seen.worst[rule.id].cases(self._uris()),
            shares=shares,
        )

    def _groups(self, shares: Shares, rates: ErrorRates) -> Mapping[str, Mapping[str, Prevalence]]:
        """The shares of groups, wide ones narrowed by what was flagged in each."""

        def cut(one: Prevalence, cell: Cell) -> Prevalence:
            seed = self.findings.seed
            return narrowed(one, lambda: documents_by_flags(cell, rates, seed=seed, draws=_COARSE_DRAWS))

        found: dict[str, Mapping[str, Prevalence]] = {}
        for kind, groups in shares.groups.items():
            cells = self.seen.cells.groups(kind)
            found[kind] = {name: cut(one, cells[name]) for name, one in groups.items()}
        return found

    def _estimated_sources(self, rule: Rule, shares: Shares) -> tuple[SourceShare, ...]:
        nothing, by_name = Prevalence(None, None, 0), shares.groups.get("source", {})
        listed = ((name, counts.rules[rule.id], by_name.get(name, nothing)) for name, counts in self.sources.items())
        return _highest_first(
            SourceShare(name, tally.n, tally.hits, one.share, one.interval) for name, tally, one in listed
        )

    def _uncalibrated(self, rule: Rule, tally: Tally) -> str | None:
        """Why no row has what a rule about `p_human` or `score` reads, where that is for want of a reference."""
        if tally.n or not _CALIBRATED.search(rule.when):
            return None
        return uncalibrated(self.seen.tiers, self.evidence.tables)

    def _rates(self, rule: Rule) -> ErrorRates | None:
        """The detector's errors at the rule's threshold; None for a rule whose counted share is judged."""
        threshold = flagging_rate(rule)
        return error_rates(self.evidence.tables or reference(), threshold) if threshold else None

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
        return _highest_first(shares)

    def _verdict(self, rule: Rule, found: Estimate, corrected: bool) -> Verdict:
        if found.share is None or found.interval is None:
            return Verdict.OVER if self.strict and corrected else Verdict.NO_ESTIMATE
        value = found.share
        if corrected:
            value = found.interval.high if self.strict else found.interval.low
        return Verdict.OVER if value > rule.budget else Verdict.WITHIN

    def _uris(self) -> dict[str, str]:
        return {shard.key: shard.uri for shard in self.findings.shards}


def shard_result(findings: Findings, rule: Rule) -> Result:
    """The result of a rule over shards: those that could not be read, or do not fit the others.

    Every shard is looked at, so the share has no sampling error: both ends of its interval are the share.
    """
    cases = [Case(failed.uri, None, None, {}, failed.message) for failed in findings.failed if failed.code == rule.id]
    if rule.id == _SCHEMA:
        cases += odd_types(findings.shards)
    n, hits = len(findings.shards) + len(findings.failed), len({case.uri for case in cases})
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
        interval=None if share is None else Interval(share, share),
        corrected=False,
        by_words=None,
        reason=None,
        sources=(),
        worst=tuple(cases[:_WORST_SHARDS]),
    )


def error_rates(tables: Calibration, threshold: float) -> ErrorRates:
    """The detector's errors at `p_human <= threshold` on its labelled sources."""
    found = tables.error_rates(threshold)
    trials = [(rate.kind, Trial(rate.source, rate.n, rate.hits)) for rate in found]
    return ErrorRates(
        human=tuple(trial for kind, trial in trials if kind == "human"),
        machine=tuple(trial for kind, trial in trials if kind != "human"),
    )


def flagging_rate(rule: Rule) -> float | None:
    """The p-value at which the rule flags machine-written text; None for a rule whose counted share is judged."""
    found = _CORRECTABLE.fullmatch(rule.when) if rule.id == _MACHINE_WRITTEN else None
    return float(found[1]) if found is not None and 0 < float(found[1]) < 1 else None


def _joined(found: Prevalence) -> str | None:
    return "; ".join(found.reasons) or None


def _highest_first(shares: Iterable[SourceShare]) -> tuple[SourceShare, ...]:
    return tuple(sorted(shares, key=lambda source: (-_lower(source.interval), -(source.share or 0), source.source)))


def _with_budget(rule: Rule, budgets: Mapping[str, float]) -> Rule:
    return dataclasses.replace(rule, budget=budgets[rule.id]) if rule.id in budgets else rule


def _lower(interval: Interval | None) -> float:
    return interval.low if interval else -1.0
