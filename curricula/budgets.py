"""Budgets and mixes: how many of the ranked rows stay, the first in output order, and in which proportion by source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from curricula.decisions import Spool
from curricula.ranking import Ranked
from detectors.errors import ConfigError

__all__ = ["BUDGET", "MIX", "Budget", "limit", "parse_amount", "parse_mix"]

I64 = npt.NDArray[np.int64]
BUDGET, MIX = "budget", "mix"
"""Reasons under which rows are dropped that no rule and no curriculum drops."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_NEAR = 1e-6
_MOST = 10**18


@dataclass(frozen=True)
class Budget:
    """What the output may hold.

    Attributes:
        rows: most rows, each copy counted; None is no limit.
        tokens: most tokens, each copy counted; None is no limit.
        mix: source, or pattern of sources (`*` any text, `?` one character), to its share of the output, which add up
            to 1. Shares are of tokens where `tokens` is given, else of rows. Sources that none matches have none.
            Empty leaves sources as they are.
    """

    rows: int | None = None
    tokens: int | None = None
    mix: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, amount in (("rows", self.rows), ("tokens", self.tokens)):
            if amount is not None and amount < 1:
                raise ConfigError(f"{name} = {amount} leaves nothing. Ask for 1 or more.")
        if not self.mix:
            return
        if self.rows is not None and self.tokens is not None:
            raise ConfigError("a mix has shares of rows or of tokens: give --rows or --tokens with it, not both.")
        total = sum(self.mix.values())
        if any(share <= 0 for share in self.mix.values()) or abs(total - 1) > _NEAR:
            raise ConfigError(f"mix: shares are to be above 0 and add up to 1, not to {total:g}. Change them.")

    @property
    def limits(self) -> bool:
        """Whether it limits anything."""
        return self.rows is not None or self.tokens is not None or bool(self.mix)


def parse_amount(text: str) -> int:
    """A number of rows or tokens as people write it: 200000, 200_000, 1.5M, 1B.

    Raises:
        ConfigError: anything else.
    """
    found = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)\s*([KMBT]?)", text.strip(), re.IGNORECASE)
    if found is None:
        raise ConfigError(f"{text!r} is not an amount. Write a number, perhaps with K, M, B or T: 500K, 1B.")
    amount = Decimal(found[1].replace("_", "")) * _UNITS[found[2].upper()]
    if amount > _MOST:
        raise ConfigError(f"{text!r} is beyond {_MOST:,}. Write a smaller amount, or leave the limit out.")
    return round(amount)


def parse_mix(text: str) -> dict[str, float]:
    """`web=0.7,code=0.3` as a mapping.

    Raises:
        ConfigError: anything else, or a source that stands twice.
    """
    mix: dict[str, float] = {}
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        source, _, share = piece.rpartition("=")
        try:
            value = float(share)
        except ValueError:
            value = float("nan")
        if not source or not np.isfinite(value):
            raise ConfigError(f"mix: {piece!r} is not source=share. Write, for example, web=0.7,code=0.3.")
        if source in mix:
            raise ConfigError(f"mix: {source!r} stands twice. Name each once.")
        mix[source] = value
    return mix


def limit(found: Ranked, spool: Spool, order: I64, budget: Budget) -> I64:
    """Drop what is beyond a budget, and what a mix has no place for.

    Of a row with several copies some may stay. A row that would go beyond a number of tokens ends the output (or, in a
    mix, its source's part): the budget is never exceeded. A row whose tokens were not counted has none.

    Args:
        found: changed in place.
        spool: of the decided rows.
        order: kept rows in output order.
        budget: what to keep.

    Returns:
        The rows of `order` that are left, in order.

    Raises:
        ConfigError: a source of the mix that has no rows, or no tokens, left.
    """
    if not len(order):
        return order
    if budget.mix:
        _mix(found, spool, order, budget)
    else:
        allowed = found.copies[order].astype(np.int64)
        if budget.rows is not None:
            allowed = _first(allowed, np.ones(len(order), np.int64), budget.rows)
        if budget.tokens is not None:
            allowed = _first(allowed, _tokens(spool)[order], budget.tokens)
        _trim(found, order, allowed, BUDGET)
    return order[found.copies[order] > 0]


def _tokens(spool: Spool) -> I64:
    tokens: I64 = spool.column("_tokens").fill_null(0).to_numpy().astype(np.int64)
    return tokens


def _first(copies: I64, weights: I64, most: int) -> I64:
    """Copies of each row, in output order, so that they weigh `most` together: the first that do."""
    ends = np.cumsum(copies * weights)
    at = int(np.searchsorted(ends, most, side="right"))
    allowed = copies.copy()
    if at < len(copies):
        before = int(ends[at - 1]) if at else 0
        allowed[at] = (most - before) // int(weights[at])
        allowed[at + 1 :] = 0
    return allowed


def _trim(found: Ranked, rows: I64, allowed: I64, reason: str) -> None:
    found.copies[rows] = allowed
    found.drop(rows[allowed == 0], reason)


def _mix(found: Ranked, spool: Spool, order: I64, budget: Budget) -> None:
    by_tokens = budget.tokens is not None
    group = _groups(spool, list(budget.mix))[order]
    copies = found.copies[order].astype(np.int64)
    weights = _tokens(spool)[order] if by_tokens else np.ones(len(order), np.int64)
    there = np.zeros(len(budget.mix), np.int64)
    np.add.at(there, group[group >= 0], (copies * weights)[group >= 0])
    shares = np.array(list(budget.mix.values()))
    shares /= shares.sum()  # they add up to nearly 1, which of a billion is not enough
    for source, amount in zip(budget.mix, there.tolist(), strict=True):
        if not amount:
            what = "tokens" if by_tokens else "rows"
            raise ConfigError(f"mix: {source!r} has no {what} left. Leave it out, or drop less of it.")
    whole = float((there / shares).min())
    asked = budget.tokens if by_tokens else budget.rows
    quotas = _quotas(shares, int((whole if asked is None else min(whole, asked)) + _NEAR))
    allowed = np.zeros(len(order), np.int64)
    for number, quota in enumerate(quotas.tolist()):
        rows = np.flatnonzero(group == number)
        allowed[rows] = _first(copies[rows], weights[rows], min(quota, int(there[number])))
    _trim(found, order, allowed, MIX)


def _quotas(shares: npt.NDArray[np.float64], whole: int) -> I64:
    """Whole numbers in proportion to the shares that add up to `whole`: what is left goes to the largest remainders."""
    exact = shares * whole
    quotas = np.floor(exact + _NEAR).astype(np.int64)
    left = whole - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:left]] += 1
    return quotas


def _groups(spool: Spool, patterns: Sequence[str]) -> I64:
    """int64[n]: which pattern matches the source of each row first, -1 for none."""
    import polars as pl

    matched = pl.lit(-1, pl.Int64)
    for number, pattern in reversed(list(enumerate(patterns))):
        expression = "".join({"*": ".*", "?": "."}.get(mark, re.escape(mark)) for mark in pattern)
        matched = (
            pl.when(pl.col("source").str.contains(rf"(?s)\A(?:{expression})\z"))
            .then(pl.lit(number, pl.Int64))
            .otherwise(matched)
        )
    groups: I64 = pl.concat([f.select(group=matched)["group"] for f in spool.frames(["source"])]).to_numpy()
    return groups
