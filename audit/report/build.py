"""Makes a report of findings, in one pass over them: all that the other commands know, and figures of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit import __version__
from audit.assess import Assessing, flagging_rate
from audit.assessment import Assessment, Result
from audit.calibrate import SIGNAL, calibrated, reference, tables_of
from audit.compare import Comparison, compare
from audit.evidence import Evidence
from audit.format_profile import format_profile
from audit.format_sample import SIGNAL as FORM
from audit.format_sample import Sampling
from audit.profile import corpus_profile
from audit.report.content import (
    Absent,
    Data,
    File,
    Headline,
    Opinion,
    Report,
    RuleLine,
    SourceLine,
)
from audit.report.content_scores import Scores, Yield
from audit.report.examples import Examples
from audit.report.groups import Trends, grouped, missing
from audit.report.knowledge import KnownCounts, knowledge_section
from audit.report.scores import RATES, THRESHOLDS, Flags, score_section, yield_section
from audit.report.uniformity import uniformity_section
from audit.report.variety import SIGNAL as DIVERSITY
from audit.report.variety import Histograms, reference_of, variety_section
from audit.report.wording import caveats, meaning
from audit.score_cells import ScoreCells

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings
    from audit.rules import Rule
    from audit.two_phase import Labels

__all__ = ["NO_OUTCOMES", "NO_TRIAL", "Asked", "Reading", "build_report"]

MACHINE_WRITTEN = "FX101"
NO_OUTCOMES = Absent("What curricula would keep was not worked out for this report.")
NO_TRIAL = Absent("No trial was named. Train with foxing trial, then foxing report DIR --trial FOLDER.")
_NO_BASELINE = Absent("No earlier audit was named. foxing report DIR --baseline OLD shows what changed.")
_MOST_FILES = 100
_DEFAULT_RATE = 0.01


@dataclass(frozen=True)
class Asked:
    """What a report is to say.

    Attributes:
        title: of it.
        budgets: rule id to share tolerated, in place of the rule's own.
        strict: judge FX101 by the upper end of its interval.
        examples: worst cases a rule.
        with_text: False leaves every text of the corpus out.
        corpus: folder that the corpus was moved to.
        labels: documents whose author is known.
    """

    title: str = "Corpus audit"
    budgets: Mapping[str, float] = dataclasses.field(default_factory=dict)
    strict: bool = False
    examples: int = 3
    with_text: bool = True
    corpus: str | None = None
    labels: Labels | None = None


def build_report(
    findings: Findings,
    rules: Sequence[Rule],
    asked: Asked | None = None,
    *,
    against: Findings | None = None,
    baseline: Assessment | None = None,
) -> Report:
    """Everything that findings say. What curricula and trials say is for `curricula.report` to fill in.

    Args:
        findings: of a finished scan.
        rules: to judge by.
        asked: what the report is to say.
        against: a scan whose documents stand for human ones in the section on diversity, and to which form is compared.
        baseline: an earlier audit.

    Raises:
        ConfigError: as `audit.assess.assess`.
        FindingsError: the findings are torn.
    """
    reading = Reading(findings, rules, asked, against=against)
    for _ in reading.parts():
        pass
    return reading.report(baseline)


class Reading:
    """What `build_report` does, part by part: for who reads the same parts for something else besides."""

    def __init__(
        self, findings: Findings, rules: Sequence[Rule], asked: Asked | None = None, *, against: Findings | None = None
    ) -> None:
        """Nothing read yet, but the diversity in `against`; arguments and errors are those of `build_report`."""
        self._findings = findings
        self._against, self._reference = against, reference_of(against)
        self._asked = wanted = asked or Asked()
        self._judging = Assessing(
            findings,
            rules,
            budgets=wanted.budgets,
            strict=wanted.strict,
            top=wanted.examples,
            evidence=Evidence(tables_of(findings), wanted.labels),
        )
        rates = [flagging_rate(rule) for rule in rules if rule.id == MACHINE_WRITTEN]
        self._seen = _Seen(self._judging, next(iter(rates), None) or _DEFAULT_RATE)
        self._examples = Examples(findings, rules, top=wanted.examples, with_text=wanted.with_text)
        self._form = Sampling(findings.seed)

    def parts(self) -> Iterator[pl.DataFrame]:
        """The parts of the findings in corpus order, calibrated, each taken in when it comes."""
        for part in self._findings.parts():
            frame = calibrated(part, self._judging.evidence.tables)
            self._examples.add(frame, self._judging.add(frame))
            self._seen.add(frame)
            if FORM in frame.columns:
                self._form.add(frame)
            yield frame

    def report(self, baseline: Assessment | None = None) -> Report:
        """What all parts say, and what changed since an earlier audit."""
        findings, wanted, seen = self._findings, self._asked, self._seen
        assessment = self._judging.assessment()
        machine = next((result for result in assessment.results if result.rule.id == MACHINE_WRITTEN), None)
        scores, yields = seen.scores(findings, machine)
        groups = grouped(seen.cells, machine.shares if machine else None, seen.trends, _no_share(machine))
        form = format_profile(
            findings, reference=_with_form(self._against, findings), corpus=wanted.corpus, sampling=self._form
        )
        return Report(
            title=wanted.title,
            foxing=__version__,
            signature=assessment.signature,
            data=_data(findings, assessment),
            headline=_headline(machine),
            rules=tuple(_rule(result) for result in assessment.results),
            groups=groups,
            missing_groups=missing(findings, groups),
            scores=scores,
            yield_curve=yields,
            variety=variety_section(seen.diversity, self._reference, corpus_profile(findings)),
            examples=self._examples.shown(assessment.results, wanted.corpus),
            uniformity=uniformity_section(form, with_text=wanted.with_text),
            knowledge=knowledge_section(seen.known),
            outcomes=NO_OUTCOMES,
            trial=NO_TRIAL,
            change=_change(baseline, assessment),
            caveats=caveats(assessment),
        )


def _with_form(against: Findings | None, findings: Findings) -> Findings | None:
    """The other scan where both measured form."""
    both = [{signal.name for signal in one.measured} for one in (findings, against) if one is not None]
    return against if all(FORM in names for names in both) else None


class _Seen:
    """What a report collects besides what the rules do."""

    def __init__(self, judging: Assessing, rate: float) -> None:
        self.evidence = judging.evidence
        self.tables = self.evidence.tables or reference()
        self.rate = rate
        self.counted = judging.cells  # the same, where the rules estimate a share from them
        self.cells = ScoreCells() if self.counted is None else self.counted
        self.flags = Flags((*RATES, *THRESHOLDS, rate))
        self.trends = Trends(rate)
        self.diversity = Histograms()
        self.known = KnownCounts()

    def add(self, frame: pl.DataFrame) -> None:
        if SIGNAL in frame.columns:
            if self.counted is None:
                self.cells.add(ScoreCells.of(frame, self.tables, self.evidence.labels, rate=self.rate))
            self.flags.add(frame)
            self.trends.add(frame)
        if DIVERSITY in frame.columns:
            self.diversity.add(frame)
        self.known.add(frame)

    def scores(self, findings: Findings, machine: Result | None) -> tuple[Scores | Absent, Yield | Absent]:
        if SIGNAL not in {signal.name for signal in findings.measured}:
            absent = Absent("ai_text was not scanned. Scan with --signals document,ai_text to see scores.")
            return absent, absent
        words = None if machine is None else machine.shares.words if machine.shares is not None else machine.by_words
        scores = score_section(self.cells.total, self.flags, self.evidence.profiles, self.tables)
        rate = flagging_rate(machine.rule) if machine is not None else None
        return scores, yield_section(self.flags, words, self.tables, rate=rate)


def _no_share(machine: Result | None) -> str:
    if machine is None:
        return f"{MACHINE_WRITTEN} is not among the rules"
    return machine.reason or "the detector's scores in labelled text are not known"


def _headline(machine: Result | None) -> Headline:
    if machine is None:
        reason = _no_share(machine)
        return Headline(None, None, 0, None, None, 0.0, "not applicable", meaning(None, None, 0.0, reason), "", (), ())
    shares, budget = machine.shares, machine.rule.budget
    words = shares.words if shares is not None else machine.by_words
    opinions = shares.documents.second_opinions if shares is not None else ()
    reasons = shares.documents.reasons if shares is not None else ((machine.reason,) if machine.reason else ())
    return Headline(
        share=machine.share,
        interval=machine.interval,
        n=machine.n,
        words=None if words is None else words.share,
        words_interval=None if words is None else words.interval,
        budget=budget,
        verdict=machine.verdict.value,
        meaning=meaning(machine.share, machine.interval, budget, machine.reason),
        method=shares.documents.method if shares is not None else "flagged documents",
        opinions=tuple(Opinion(one.method, one.share, one.interval) for one in opinions),
        reasons=reasons,
    )


def _rule(result: Result) -> RuleLine:
    return RuleLine(
        id=result.rule.id,
        name=result.rule.name,
        verdict=result.verdict.value,
        budget=result.rule.budget,
        judged=result.judged.value,
        share=result.share,
        interval=result.interval,
        hits=result.hits,
        n=result.n,
        reason=result.reason,
        sources=tuple(SourceLine(one.source, one.n, one.hits, one.share, one.interval) for one in result.sources),
    )


def _data(findings: Findings, assessment: Assessment) -> Data:
    total = assessment.total
    largest = sorted(findings.shards, key=lambda shard: (-shard.size_bytes, shard.uri))[:_MOST_FILES]
    return Data(
        rows=total.rows,
        words=total.words,
        bytes=total.bytes,
        shards=len(findings.shards),
        sources=len(assessment.sources),
        nulls=total.nulls,
        errors=total.errors,
        invalid_utf8=total.invalid_utf8,
        abstained=total.abstained,
        out_of_support=total.out_of_support,
        files=tuple(File(shard.uri, shard.rows, shard.size_bytes, shard.digest) for shard in largest),
        more_files=len(findings.shards) - len(largest),
        failed=tuple(f"{failed.message} ({failed.code})" for failed in findings.failed),
        signals=tuple(f"{signal.name} {signal.version}" for signal in findings.measured),
    )


def _change(baseline: Assessment | None, assessment: Assessment) -> Comparison | Absent:
    return _NO_BASELINE if baseline is None else compare(baseline, assessment)
