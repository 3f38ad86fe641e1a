"""What a report says, as data: every figure that the page, the Markdown and the JSON show, and why one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.assessment import Judged
from audit.intervals import Interval
from audit.report.content_scores import Scores, Yield
from audit.report.content_text import Shown, Uniformity, Variety
from audit.report.content_training import Knowledge, Outcomes, Trials

if TYPE_CHECKING:
    from audit.compare import Comparison

__all__ = ["Absent", "Data", "File", "Group", "Headline", "Opinion", "Report", "RuleLine", "SourceLine"]


@dataclass(frozen=True)
class Absent:
    """Stands for a section without data.

    Attributes:
        absent: why, and what would give it, in one sentence.
    """

    absent: str


@dataclass(frozen=True)
class File:
    """A file of the corpus."""

    uri: str
    rows: int
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class Data:
    """What was audited.

    Attributes:
        rows: all rows.
        words, bytes: in measured documents.
        shards, sources: how many.
        nulls: rows without a text.
        errors: rows on which a signal failed.
        invalid_utf8: documents that are not valid UTF-8.
        abstained: documents too short, or of a language too foreign, for the detector.
        out_of_support: documents unlike anything that the detector was trained on.
        files: the largest, at most 100.
        more_files: files that are not listed.
        failed: files that could not be read, each with why.
        signals: name and version of what measured.
    """

    rows: int
    words: int
    bytes: int
    shards: int
    sources: int
    nulls: int
    errors: int
    invalid_utf8: int
    abstained: int
    out_of_support: int
    files: tuple[File, ...]
    more_files: int
    failed: tuple[str, ...]
    signals: tuple[str, ...]


@dataclass(frozen=True)
class Opinion:
    """The headline share by another method."""

    method: str
    share: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Headline:
    """The share of machine-written text.

    Attributes:
        share, interval: of documents, 0 to 1, with its 95 % interval; None where there is no estimate.
        n: documents that the detector judged.
        words, words_interval: the same share of words.
        budget: share tolerated.
        verdict: as `foxing check` has it.
        meaning: all of it in one sentence.
        method: how it was estimated.
        opinions: the same by other methods.
        reasons: why there is no estimate, or what widened the interval.
    """

    share: float | None
    interval: Interval | None
    n: int
    words: float | None
    words_interval: Interval | None
    budget: float
    verdict: str
    meaning: str
    method: str
    opinions: tuple[Opinion, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class SourceLine:
    """A rule's share in one source."""

    source: str
    n: int
    hits: int
    share: float | None
    interval: Interval | None


@dataclass(frozen=True)
class RuleLine:
    """One rule, judged; the fields are those of `audit.assessment.Result`."""

    id: str
    name: str
    verdict: str
    budget: float
    judged: str
    share: float | None
    interval: Interval | None
    hits: int
    n: int
    reason: str | None
    sources: tuple[SourceLine, ...]

    @property
    def is_exact(self) -> bool:
        """Whether all of what it counts was looked at, so that its share has no sampling error."""
        return self.judged == Judged.SHARDS.value


@dataclass(frozen=True)
class Group:
    """One source, domain, language or month.

    Attributes:
        name: of it.
        n: documents that the detector judged.
        words: in those that it scored.
        share, interval: of machine-written documents; None where there is no estimate.
        flagged: documents at or below the rate of FX101.
        scores: documents by bin of score, as `Scores.centres`.
        trend: month to share of the scored documents that are flagged; empty without dates.
        reason: why there is no share, or what widened its interval.
    """

    name: str
    n: int
    words: int
    share: float | None
    interval: Interval | None
    flagged: int
    scores: tuple[int, ...]
    trend: Mapping[str, float]
    reason: str


@dataclass(frozen=True)
class Report:
    """Everything that a report says.

    Attributes:
        title: of the page.
        foxing: version that wrote it.
        signature: what measured and judged.
        data: what was audited.
        headline: share of machine-written text.
        rules: every rule, in rule order.
        groups: "source", "domain", "language", "time" to its groups, most documents first, months in order; "" to why
            one is missing.
        missing_groups: grouping to why it has no groups.
        scores, yield_curve, variety, uniformity, knowledge, outcomes, trial, change: one a section.
        examples: of rules about pairs and of machine-written text.
        caveats: what the figures do not say.
    """

    title: str
    foxing: str
    signature: str
    data: Data
    headline: Headline
    rules: tuple[RuleLine, ...]
    groups: Mapping[str, tuple[Group, ...]]
    missing_groups: Mapping[str, str]
    scores: Scores | Absent
    yield_curve: Yield | Absent
    variety: Variety | Absent
    examples: tuple[Shown, ...]
    uniformity: Uniformity | Absent
    knowledge: Knowledge | Absent
    outcomes: Outcomes | Absent
    trial: Trials | Absent
    change: Comparison | Absent
    caveats: tuple[str, ...]
