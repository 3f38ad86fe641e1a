"""Judges a corpus by a sample that stops as soon as its intervals have cleared or crossed the budgets.

Every rule over rows has an interval that holds at each moment (`audit.sequential`); with `k` such rules each of its
ends may be wrong with a chance of error / 2k, so that all verdicts together are wrong with a chance of at most `error`,
whatever the corpus is like and however the rows of a file resemble each other.

FX101 is over budget when the lower end of its corrected share is. At a flagged share that is known exactly, that end
is a function of the flagged share alone: the correction by Rogan and Gladen with its uncertainty about the detector.
So the sample decides whether the flagged share of the corpus lies above the one at which that end meets the budget. A
whole scan also looks at the distribution of scores, and may come to another estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.assess import error_rates, flagging_rate, judged_signature, shard_result
from audit.assessment import Assessment, Judged, Result, Sample, SourceShare, Verdict
from audit.calibrate import SIGNAL, reference, uncalibrated
from audit.census import Census
from audit.expressions import parse
from audit.false_flags import known_flags
from audit.intervals import Estimate, Interval, wilson
from audit.rogan_gladen import ErrorRates, estimate
from audit.rules import Rule, applicable, evaluate
from audit.sequential import ShareSequence
from audit.sequential_measure import Measured
from audit.sequential_units import UNIT_ROWS, Population
from audit.worst import Worst
from detectors import registry
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.calibrate import Calibration
    from audit.findings_folder import Findings

__all__ = ["Judge", "Limits", "meeting_share"]

_STEPS = 40
_LEAST_UNITS = 50
_NOTHING = "no document that was drawn could be measured for it"


@dataclass(frozen=True)
class Limits:
    """How long to draw.

    Attributes:
        error: chance that any verdict is wrong because of which units were drawn.
        max_rows: most rows to measure.
        strict: judge FX101 by the upper end of its corrected share.
        top: worst rows kept for each rule.

    Raises:
        ConfigError: `error` is no such chance.
    """

    error: float = 0.05
    max_rows: int = 200_000
    strict: bool = False
    top: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise ConfigError(f"error rate {self.error:g}: nothing could be decided. Give one between 0 and 1.")


def meeting_share(budget: float, end: Callable[[float], float]) -> float | None:
    """The flagged share at which an end of the corrected share meets the budget; 1 where it never passes it.

    Args:
        budget: share tolerated.
        end: of the corrected share's interval, at a flagged share; rising.

    Returns:
        None where the end is over budget when nothing is flagged.
    """
    if end(0.0) > budget:
        return None
    low, high = 0.0, 1.0
    if end(high) <= budget:
        return 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if end(middle) > budget else (middle, high)
    return low


class _Ruled:
    """One rule as the sample goes on."""

    def __init__(
        self, rule: Rule, rows: int, error: float, limits: Limits, rates: ErrorRates | None, seed: int, ceiling: float
    ) -> None:
        self.rule = rule
        self.ceiling = ceiling if ceiling > rule.budget else None
        self.rates = rates
        self.rows = rows
        self.seed = seed
        self.strict = limits.strict
        # A detector that does not tell the classes apart proves nothing, whatever it flags.
        self.is_blind = rates is not None and self.corrected(0.0).interval is None
        self.clean = self._flagged(rule.budget)
        self.target = self._flagged(self.ceiling or rule.budget)
        self.error = error
        self.sequence = ShareSequence(rows, budget=max(self.target, 0.0), error=error)
        self.n = self.hits = 0
        self.worst = Worst(rule, limits.top)

    def _flagged(self, share: float) -> float:
        """The counted share that stands for a share to be judged by; -1 where none is small enough."""
        if self.rates is None or self.is_blind:
            return share
        found = meeting_share(share, self._end)
        return -1.0 if found is None else found

    def _end(self, flagged: float) -> float:
        interval = self.corrected(flagged).interval
        assert interval is not None
        return interval.high if self.strict else interval.low

    def corrected(self, flagged: float) -> Estimate:
        """The corrected share of a corpus of which exactly so much is flagged."""
        assert self.rates is not None
        return estimate(flagged, self.rows, self.rows, self.rates, seed=self.seed)

    @property
    def verdict(self) -> Verdict:
        """What its interval says now."""
        if self.is_blind:
            return Verdict.OVER if self.strict else Verdict.NO_ESTIMATE
        if self.target < 0 or self.sequence.is_above:
            return Verdict.OVER
        if self.target >= 1 or self.sequence.is_within:
            may_be_over = self.ceiling is not None and self.sequence.interval.high > self.clean
            return Verdict.KNOWN if may_be_over else Verdict.WITHIN
        return Verdict.UNDECIDED

    def add(self, measured: Measured, hit: pl.Series) -> None:
        """Take in the next unit."""
        judged, hits = hit.len() - hit.null_count(), int(hit.sum() or 0)
        self.n, self.hits = self.n + judged, self.hits + hits
        self.sequence.update(measured.unit.rows, judged, hits)
        self.worst.add(measured.frame, hit)


class Judge:
    """Takes units in the order in which they were drawn, says when to stop, and what they mean."""

    def __init__(
        self,
        findings: Findings,
        rules: Sequence[Rule],
        population: Population,
        limits: Limits,
        tables: Calibration | None,
        ceilings: Mapping[str, float],
    ) -> None:
        """Nothing drawn yet.

        Args:
            findings: the files, signals and settings, as a scan would record them.
            rules: to judge, with the budgets that count.
            population: what is drawn from.
            limits: how long.
            tables: what is known of the detector; None takes the bundled tables.
            ceilings: of rules that a baseline had over budget, the share above which they are worse now.
        """
        self._ceilings = ceilings
        self._findings = findings
        self._rules = rules
        self._population = population
        self._limits = limits
        self._tables = tables
        self._ruled: dict[str, _Ruled] = {}
        self._census = Census()
        self._tiers: set[str] = set()
        self._units = self._rows = 0

    def start(self, schema: pl.Schema) -> None:
        """Learn from the first unit's columns which rules can be judged."""
        chosen = [rule for rule in self._rules if applicable(rule, schema)]
        error = self._limits.error / (2 * max(1, len(chosen)))
        for rule in chosen:
            rate = flagging_rate(rule)
            rates = error_rates(self._tables or reference(), rate) if rate else None
            ceiling = self._ceilings.get(rule.id, 0.0)
            seed = self._findings.seed
            self._ruled[rule.id] = _Ruled(rule, self._population.rows, error, self._limits, rates, seed, ceiling)

    def add(self, measured: Measured) -> str | None:
        """Take in the next unit; why to stop, None to go on."""
        frame = measured.frame
        if not self._units:
            self.start(frame.schema)
        verdicts = evaluate(frame, self._rules)
        self._census.add(Census.of(frame, verdicts))
        self._units, self._rows = self._units + 1, self._rows + measured.unit.rows
        if SIGNAL in frame.columns and "tier" in frame[SIGNAL].struct.fields:
            self._tiers.update(frame[SIGNAL].struct.field("tier").drop_nulls().unique())
        for name, rule in self._ruled.items():
            rule.add(measured, verdicts[name])
        return self._ended()

    def _ended(self) -> str | None:
        if self._rows >= self._population.rows:
            return "everything was drawn"
        verdicts = [(rule, rule.verdict) for rule in self._ruled.values()]
        over = [rule.rule.id for rule, verdict in verdicts if verdict is Verdict.OVER]
        if over:
            return f"{', '.join(over)} is over budget"
        seen = self._units >= _LEAST_UNITS
        waiting = [rule for rule, verdict in verdicts if verdict is Verdict.UNDECIDED and (rule.n or not seen)]
        if not waiting:
            return "every rule is decided"
        left = (self._limits.max_rows - self._rows) / max(1, self._rows / self._units)
        if left <= 0:
            return f"{self._rows:,} rows were measured, and no more than {self._limits.max_rows:,} are allowed"
        if seen and all(rule.sequence.units_to_go > left for rule in waiting):
            return f"what is left would not be decided within {self._limits.max_rows:,} rows"
        return None

    def assessment(self, ended: str) -> Assessment:
        """What the sample means."""
        ids = list(self._ruled)
        names = self._census.sources
        sample = Sample(
            units=self._units,
            of_units=self._population.units,
            rows=self._rows,
            of_rows=self._population.rows,
            unit_rows=UNIT_ROWS,
            error=self._limits.error,
            seed=self._findings.seed,
            ended=ended,
        )
        signature = judged_signature(self._findings, self._rules, self._tables)
        return Assessment(
            results=tuple(self._result(rule) for rule in self._rules),
            total=self._census.total(ids),
            sources={name: self._census.source(name, ids) for name in names},
            shards=len(self._findings.shards),
            failed=self._findings.failed,
            signals=tuple(signal.name for signal in self._findings.measured),
            strict=self._limits.strict,
            # Nothing was digested: files are told by name, size and rows, and that is no digest of a corpus.
            signature=signature.replace("|corpus:", f"|sample:{self._units}.{UNIT_ROWS}|files:"),
            sample=sample,
        )

    def _result(self, rule: Rule) -> Result:
        if not rule.when:
            return shard_result(self._findings, rule)
        found = self._ruled.get(rule.id)
        if found is None:
            return self._not_judged(rule)
        known = known_flags(self._findings, rule)
        verdict = Verdict.NO_ESTIMATE if known.is_missing else found.verdict
        if not found.n and not known.is_missing:
            verdict = Verdict.OVER if self._limits.strict and found.rates is not None else Verdict.NO_ESTIMATE
        interval = found.sequence.interval
        counted = found.hits / found.n if found.n else None
        share, reason = counted, known.reason
        if found.rates is not None and counted is not None:
            fixed = found.corrected(counted)
            low, high = (found.corrected(end).interval for end in (interval.low, interval.high))
            share, reason = fixed.share, fixed.reason or _flags(found)
            interval = Interval(low.low, high.high) if low and high else Interval(0.0, 1.0)
        if verdict is Verdict.KNOWN:
            not_worse = f"over budget in the baseline, and not above its {100 * (found.ceiling or 0):.2f} %"
            reason = f"{reason}; {not_worse}" if reason else not_worse
        if verdict is Verdict.UNDECIDED:
            left = self._population.rows - self._rows
            more = min(float(left), found.sequence.units_to_go * self._rows / self._units)
            needed = f"about {more:,.0f} more rows would decide"
            reason = f"{reason}; {needed}" if reason else needed
        return Result(
            rule=rule,
            verdict=verdict,
            judged=Judged.ROWS,
            n=found.n,
            hits=found.hits,
            counted=counted,
            share=share,
            interval=None if share is None else interval,
            corrected=found.rates is not None and share is not None,
            by_words=None,
            reason=reason if found.n else uncalibrated(self._tiers, self._tables) or reason or _NOTHING,
            sources=tuple(self._sources(rule.id)),
            worst=found.worst.cases({shard.key: shard.uri for shard in self._findings.shards}),
        )

    def _sources(self, rule_id: str) -> list[SourceShare]:
        """Counted shares by source, with intervals as if its rows had been drawn one by one: a hint where to look."""
        found = []
        for name in self._census.sources:
            tally = self._census.source(name, [rule_id]).rules[rule_id]
            if tally.n:
                found.append(SourceShare(name, tally.n, tally.hits, tally.hits / tally.n, wilson(tally.hits, tally.n)))
        return sorted(found, key=lambda one: (-(one.interval.low if one.interval else 0.0), one.source))

    def _not_judged(self, rule: Rule) -> Result:
        scanned = {signal.name for signal in self._findings.measured}
        missing = [name for name in parse(rule.when, rule.id).columns if name not in scanned]
        stages = sorted(set(missing) & set(registry.names(registry.STAGES)))
        reason = f"needs the whole corpus: {', '.join(stages)}" if stages else f"not scanned: {', '.join(missing)}"
        nothing = (None, None, False, None)
        return Result(rule, Verdict.NOT_APPLICABLE, Judged.ROWS, 0, 0, None, *nothing, reason, (), ())


def _flags(found: _Ruled) -> str | None:
    if 0 <= found.target < 1:
        over = "worse than in the baseline" if found.ceiling else "over budget"
        return f"judged by flags: {over} where more than {100 * found.target:.2f} % of rows are flagged"
    end = "upper" if found.strict else "lower"
    never = "is over budget even if nothing is flagged" if found.target < 0 else "cannot pass the budget by flags alone"
    return f"judged by flags: the {end} end of its corrected share {never}"
