"""Guard rails: what stops a curate before anything is written, with what to look at and how to permit it."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from curricula.budgets import BUDGET, MIX
from curricula.decisions import Spool
from curricula.ranking import Ranked
from curricula.ranks import matching
from curricula.tally import Counts, Tally
from detectors.errors import ConfigError

__all__ = ["Limits", "parse_losses", "refusal"]

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
        allow_loss_of: source, or pattern of sources, to what it may lose instead; a name goes before patterns, and of
            patterns the first that matches counts.
    """

    allow_loss: float = 0.5
    min_rows: int = 0
    min_tokens: int = 0
    allow_loss_of: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for source, share in self.allow_loss_of.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"allow_loss of {source} = {share} is not a share. Give a number from 0 to 1.")

    def of(self, source: str) -> float:
        """What a source may lose."""
        if source in self.allow_loss_of:
            return self.allow_loss_of[source]
        shares = (share for pattern, share in self.allow_loss_of.items() if fnmatch.fnmatchcase(source, pattern))
        return next(shares, self.allow_loss)

    def refuse_strangers(self, sources: Sequence[str]) -> None:
        """Take no pattern that matches no source.

        Raises:
            ConfigError: there is one.
        """
        if self.allow_loss_of:
            matching(sources, tuple(self.allow_loss_of), "allow_loss")


def parse_losses(texts: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """`0.2`, `web=0.5,code=1`: the share that any source may lose, None where none is given, and those of some.

    Raises:
        ConfigError: anything else, or the same twice.
    """
    every: float | None = None
    some: dict[str, float] = {}
    for piece in (piece.strip() for text in texts for piece in text.split(",")):
        source, equals, text = piece.rpartition("=")
        try:
            share = float(text)
        except ValueError:
            share = float("nan")
        if not 0 <= share <= 1 or (equals and not source):
            raise ConfigError(f"--allow-loss {piece!r} is no share from 0 to 1. Write 0.2, or SOURCE=0.5 for one.")
        if source in some or (not equals and every is not None):
            raise ConfigError(f"--allow-loss: {source or 'the share of all sources'} stands twice. Give it once.")
        if equals:
            some[source] = share
        else:
            every = share
    return every, some


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
    limits.refuse_strangers([counts.name for counts in tally.sources])
    judged = [reason for reason in ranked.reasons if reason not in (BUDGET, MIX)]
    return _absurd(tally, judged, ranked, spool, limits) or _losing(tally, judged, limits) or _little(tally, limits)


def _absurd(tally: Tally, judged: Sequence[str], ranked: Ranked, spool: Spool, limits: Limits) -> str | None:
    """A rule that hits, or a curriculum that drops, most of the corpus is more likely wrong than the corpus."""
    most = sum(max(_HALF, limits.of(counts.name)) * counts.rows for counts in tally.sources)
    for reason in judged:
        rows = _hit(tally.total, reason)
        if rows > most:
            worst = sorted(tally.sources, key=lambda counts: -_hit(counts, reason))[:_NAMED]
            named = "; ".join(f"{counts.name} {_hit(counts, reason):,} of {counts.rows:,}" for counts in worst)
            return (
                f"{reason} would drop {rows:,} of all {tally.rows:,} rows ({rows / tally.rows:.1%}), most of them in "
                f"{named}. Look at {', '.join(_addresses(ranked, spool, reason)) or 'its rows'}, or permit it with "
                f"--allow-loss {_rounded_up(_needed(tally, judged, rows / tally.rows))}."
            )
    return None


def _hit(counts: Counts, reason: str) -> int:
    """Rows that a rule hits and may drop: of those on the allow-list, an FX1 rule drops none."""
    if reason not in counts.hits:
        return counts.dropped[reason]
    return counts.hits[reason] - counts.excused.get(reason, 0)


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


def _losing(tally: Tally, judged: Sequence[str], limits: Limits) -> str | None:
    losing = [counts for counts in tally.sources if _lost(counts, judged) > limits.of(counts.name)]
    worst = sorted(losing, key=lambda counts: -_lost(counts, judged))
    if not worst:
        return None
    shares = {limits.of(counts.name) for counts in worst}
    named = "; ".join(
        f"{counts.name} {_lost(counts, judged):.1%} ({counts.lost_by(judged):,} of {counts.rows:,} rows"
        + (f", at most {limits.of(counts.name):.0%})" if len(shares) > 1 else ")")
        for counts in worst[:_NAMED]
    )
    more = f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else ""
    said = f"{shares.pop():.0%} of rows" if len(shares) == 1 else "they may"
    needed = _rounded_up(_lost(worst[0], judged))
    alone = len(worst) == 1 and len(tally.sources) > 1 and not set(worst[0].name) & set("*?[,")
    permit = shlex.quote(f"{worst[0].name}={needed}") if alone else needed
    return (
        f"{len(worst)} source{'s' * (len(worst) > 1)} would lose more than {said}: {named}{more}. "
        f"Look at the rules, or permit it with --allow-loss {permit}."
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
