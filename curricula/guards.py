"""Guard rails: what stops a curate before anything is written, with what to look at and how to permit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curricula.allow import FAMILY
from curricula.budgets import BUDGET, MIX
from curricula.decisions import Spool
from curricula.ranking import Ranked
from curricula.tally import Counts, Tally
from detectors.errors import ConfigError

__all__ = ["Limits", "refusal"]

_NAMED = 3
_HALF = 0.5


@dataclass(frozen=True)
class Limits:
    """What an output must not fall short of.

    Attributes:
        allow_loss: largest share of rows (0-1) that a source may lose to rules and curricula; what a budget or a mix
            leaves out was asked for. Above one half it is also the largest share of all rows that one rule, or one
            curriculum, may drop; that is one half otherwise.
        min_rows: fewest rows of the output, copies counted.
        min_tokens: fewest tokens of the output, copies counted.
    """

    allow_loss: float = 0.5
    min_rows: int = 0
    min_tokens: int = 0


def refusal(tally: Tally, ranked: Ranked, spool: Spool, limits: Limits) -> str | None:
    """Why an output must not be written, None when it may.

    Raises:
        ConfigError: a least number of tokens where none were counted.
    """
    if not tally.rows:
        return "the corpus has no rows, so there is nothing to write. Scan files that hold rows."
    if not tally.kept:
        reasons = ", ".join(reason for reason, rows in tally.total.dropped.items() if rows)
        return f"all {tally.rows:,} rows would be dropped ({reasons}), which leaves no corpus. Drop by fewer rules."
    judged = [reason for reason in ranked.reasons if reason not in (BUDGET, MIX)]
    absurd = _absurd(tally, judged, ranked, spool, max(_HALF, limits.allow_loss))
    return absurd or _losing(tally, judged, limits.allow_loss) or _little(tally, limits)


def _absurd(tally: Tally, judged: Sequence[str], ranked: Ranked, spool: Spool, most: float) -> str | None:
    """A rule that hits, or a curriculum that drops, most of the corpus is more likely wrong than the corpus."""
    for reason in judged:
        rows = _hit(tally.total, reason)
        if rows > most * tally.rows:
            worst = sorted(tally.sources, key=lambda counts: -_hit(counts, reason))[:_NAMED]
            named = "; ".join(f"{counts.name} {_hit(counts, reason):,} of {counts.rows:,}" for counts in worst)
            return (
                f"{reason} would drop {rows:,} of all {tally.rows:,} rows ({rows / tally.rows:.1%}), most of them in "
                f"{named}. Look at {', '.join(_addresses(ranked, spool, reason))}, or permit it with "
                f"--allow-loss {_rounded_up(_needed(tally, judged, rows / tally.rows))}."
            )
    return None


def _hit(counts: Counts, reason: str) -> int:
    if reason not in counts.hits:
        return counts.dropped[reason]
    return counts.hits[reason] - (counts.spared if reason.startswith(FAMILY) else 0)


def _addresses(ranked: Ranked, spool: Spool, reason: str) -> list[str]:
    """The first rows that were dropped for a reason, as `shard:row`."""
    found: list[str] = []
    start, number = 0, ranked.reasons.index(reason)
    for frame in spool.frames(["shard", "row"]):
        rows = np.flatnonzero(ranked.reason[start : start + frame.height] == number)[: _NAMED - len(found)]
        found += [f"{frame['shard'][at]}:{frame['row'][at]}" for at in rows.tolist()]
        start += frame.height
        if len(found) == _NAMED:
            break
    return found


def _losing(tally: Tally, judged: Sequence[str], most: float) -> str | None:
    losing = [counts for counts in tally.sources if _lost(counts, judged) > most]
    worst = sorted(losing, key=lambda counts: -_lost(counts, judged))
    if not worst:
        return None
    named = "; ".join(
        f"{counts.name} {_lost(counts, judged):.1%} ({counts.lost_by(judged):,} of {counts.rows:,} rows)"
        for counts in worst[:_NAMED]
    )
    more = f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else ""
    return (
        f"{len(worst)} source{'s' * (len(worst) > 1)} would lose more than {most:.0%} of rows: {named}{more}. "
        f"Look at the rules, or permit it with --allow-loss {_rounded_up(_lost(worst[0], judged))}."
    )


def _lost(counts: Counts, judged: Sequence[str]) -> float:
    return counts.lost_by(judged) / counts.rows if counts.rows else 0.0


def _needed(tally: Tally, judged: Sequence[str], share: float) -> float:
    """What --allow-loss has to be for nothing to stop the run that it can permit."""
    return max([share, *(_lost(counts, judged) for counts in tally.sources)])


def _little(tally: Tally, limits: Limits) -> str | None:
    after = tally.total.after
    if after.rows < limits.min_rows:
        return f"{after.rows:,} rows would be left, fewer than the {limits.min_rows:,} of --min-rows. Drop less."
    if not limits.min_tokens:
        return None
    if after.tokens is None:
        raise ConfigError("--min-tokens: no tokens were counted in these findings. Scan again, or leave it out.")
    if after.tokens < limits.min_tokens:
        least = f"{limits.min_tokens:,} of --min-tokens"
        return f"{after.tokens:,} tokens would be left, fewer than the {least}. Drop less."
    return None


def _rounded_up(share: float) -> str:
    return f"{min(1.0, -(-share * 100 // 1) / 100):.2f}"
