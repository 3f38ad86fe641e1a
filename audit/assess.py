"""Says what findings mean: every rule's share with its interval against its budget, by source, with the worst rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audit.assessment import Assessment, Judged, Result, SourceShare, Verdict
from audit.calibrate import SIGNAL, Calibration, calibrated, reference
from audit.evidence import Evidence
from audit.results import Results, Seen, error_rates, flagging_rate, shard_result
from audit.rules import Rule, choose, find, rules_hash
from audit.worst import Case
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings
    from audit.score_cells import ScoreCells

__all__ = [
    "Assessing",
    "Assessment",
    "Case",
    "Evidence",
    "Judged",
    "Result",
    "SourceShare",
    "Verdict",
    "assess",
    "calibration_digest",
    "error_rates",
    "flagging_rate",
    "judged_signature",
    "shard_result",
]


def assess(
    findings: Findings,
    rules: Sequence[Rule],
    *,
    budgets: Mapping[str, float] | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    strict: bool = False,
    top: int = 10,
    evidence: Evidence | None = None,
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
        evidence: what is known of the detector and of documents; None takes the bundled detector's tables alone.

    Raises:
        ConfigError: an id that no rule has, a rule selected by its full id whose signal was not scanned, or labels that
            cannot be used.
    """
    judging = Assessing(
        findings,
        rules,
        budgets=budgets,
        select=select,
        ignore=ignore,
        strict=strict,
        top=top,
        evidence=evidence,
    )
    for part in findings.parts():
        judging.add(calibrated(part, judging.evidence.tables))
    return judging.assessment()


class Assessing:
    """What `assess` does, part by part: for who reads the same parts for something else besides.

    Attributes:
        evidence: what is known of the detector and of documents.
    """

    def __init__(
        self,
        findings: Findings,
        rules: Sequence[Rule],
        *,
        budgets: Mapping[str, float] | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        strict: bool = False,
        top: int = 10,
        evidence: Evidence | None = None,
    ) -> None:
        """Nothing read yet; arguments and errors are those of `assess`."""
        for rule_id in budgets or {}:
            find(rules, rule_id)
        self.evidence = evidence or Evidence()
        self._findings = findings
        self._rules = choose(rules, select, ignore)
        self._budgets = dict(budgets or {})
        self._selected = frozenset(select)
        self._strict = strict
        self._rate = next((found for rule in self._rules if (found := flagging_rate(rule))), None)
        self._pass = Seen(self._rules, top, self.evidence if self._rate else None, self._rate)

    @property
    def cells(self) -> ScoreCells | None:
        """Histograms of the scores so far; None where no share is estimated from them."""
        return None if self._pass.estimating is None else self._pass.cells

    def add(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Take in the next part of findings, calibrated; returns its verdicts, as `audit.rules.evaluate`."""
        return self._pass.add(frame)

    def assessment(self) -> Assessment:
        """What all parts mean."""
        if self.evidence.labels is not None and self._rate:
            _check_labels(self._pass)
        census, findings = self._pass.census, self._findings
        ids = [rule.id for rule in self._rules if rule.when and self._pass.applies.get(rule.id)]
        total = census.total(ids)
        sources = {name: census.source(name, ids) for name in census.sources}
        judged = Results(
            findings, self._pass, total, sources, self._budgets, self._selected, self._strict, self.evidence
        )
        return Assessment(
            results=tuple(judged.of(rule) for rule in self._rules),
            total=total,
            sources=sources,
            shards=len(findings.shards),
            failed=tuple(findings.failed),
            signals=tuple(signal.name for signal in findings.measured),
            strict=self._strict,
            signature=judged_signature(findings, self._rules, self.evidence.tables),
        )


def _check_labels(pass_: Seen) -> None:
    """Labels that change nothing must not look as if they had."""
    if not pass_.cells.total.scored:
        raise ConfigError(
            "labels: nothing was scored by a tier with known scores of labelled sources. Leave the labels out."
        )
    if not pass_.cells.total.labelled.any():
        raise ConfigError("labels: no labelled row was judged. Take shard and row from foxing findings.")


def judged_signature(findings: Findings, rules: Sequence[Rule], tables: Calibration | None = None) -> str:
    """The signature of findings under rules, and under the calibration where the detector was scanned."""
    return findings.signature(rules=rules_hash(rules), calibration=calibration_digest(findings, tables))


def calibration_digest(findings: Findings, tables: Calibration | None = None) -> str | None:
    """Digest of the tables behind `p_human` and `score`; None where the detector was not scanned."""
    scanned = any(signal.name == SIGNAL for signal in findings.measured)
    return (tables or reference()).digest if scanned else None
