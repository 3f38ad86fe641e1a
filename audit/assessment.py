"""What findings mean, as data: a result a rule, counts by source, and the exit code that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.census import Counts
    from audit.findings_folder import FailedShard
    from audit.format_profile import FormatProfile
    from audit.prevalence import Estimate, Interval, Shares
    from audit.profile import Profile
    from audit.rules import Rule
    from audit.worst import Case

__all__ = ["Assessment", "Baseline", "Judged", "Result", "Sample", "SourceShare", "Verdict"]


class Verdict(Enum):
    """What became of a rule."""

    WITHIN = "within"
    OVER = "over"
    NO_ESTIMATE = "no estimate"
    NOT_APPLICABLE = "not applicable"
    UNDECIDED = "undecided"
    KNOWN = "known"


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
        verdict: within or over budget; no estimate; not applicable because its signal was not scanned; undecided
            because a sample ended before its interval cleared the budget; or known, over budget as in the baseline.
        judged: what n counts.
        n: documents on which the rule is defined (not null), or shards.
        hits: of them hit.
        counted: hits / n; None when n is 0.
        share: what the budget is compared with: corrected for the detector's errors when `corrected`, else counted.
        interval: 95 % interval of `share`, both ends the share where it `is_exact`; None exactly when `share` is.
        corrected: whether the share is corrected.
        by_words: the same share by words instead of documents; None for rules over shards.
        reason: why there is no estimate, why the rule is not applicable, why FX101 is counted and not corrected, or
            how often FX303 flags clean text; None otherwise.
        sources: the share in each source, highest first.
        worst: the worst hits, worst first.
        shares: of FX101, how its share was estimated, other methods' estimates, and the share by language, domain and
            month; None where it is not estimated from whole distributions of scores.
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
    shares: Shares | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the share has no sampling error: it counts all shards, or a sample that came to hold every row."""
        return self.interval is not None and not self.corrected and self.interval.low == self.interval.high


@dataclass(frozen=True)
class Sample:
    """How a corpus was judged by a sample of it (`audit.sequential`).

    The intervals of the results then hold together, at every moment at which the sample could have stopped, with a
    chance of at least 1 - `error`. That covers which rows were drawn, not what the detector gets wrong.

    Attributes:
        units, of_units: runs of rows that were drawn; of how many.
        rows, of_rows: the same in rows.
        unit_rows: most rows of a unit.
        error: chance that any interval, and so any verdict by it, is wrong because of which units were drawn.
        seed: of the order of drawing.
        ended: why it stopped, in words.
    """

    units: int
    of_units: int
    rows: int
    of_rows: int
    unit_rows: int
    error: float
    seed: int
    ended: str


@dataclass(frozen=True)
class Baseline:
    """An older assessment against which this one was held.

    Attributes:
        signature: of the older one.
        warnings: how the two were measured or judged otherwise, in words.
    """

    signature: str
    warnings: tuple[str, ...]


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
        form: the format profile; None where it was not asked for, or `format` was not measured.
        sample: how the sample was drawn; None where every row was measured.
        baseline: what it was held against; None where nothing was.
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
    form: FormatProfile | None = None
    sample: Sample | None = None
    baseline: Baseline | None = None

    @property
    def over(self) -> tuple[Result, ...]:
        """Results over budget."""
        return tuple(result for result in self.results if result.verdict is Verdict.OVER)

    @property
    def undecided(self) -> tuple[Result, ...]:
        """Results of a sample that ended before their intervals cleared the budget."""
        return tuple(result for result in self.results if result.verdict is Verdict.UNDECIDED)

    @property
    def exit_code(self) -> int:
        """0 within budget, 1 over budget, 2 when a shard could not be read or there is no row at all.

        Undecided counts like an FX101 whose interval reaches over the budget: `strict` alone fails on it.
        """
        if self.failed or not self.total.rows:
            return 2
        return 1 if self.over or (self.strict and self.undecided) else 0
