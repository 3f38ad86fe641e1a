"""Budgets keep the first rows of the order, mixes hold shares by source, and neither is ever exceeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.budgets import Budget, limit, parse_amount, parse_mix
from curricula.ranking import Ranked, rank_rows
from detectors.errors import ConfigError
from tests.curricula.spooled import Backwards, Resampled, spooled


def limited(
    sources: Sequence[str],
    budget: Budget,
    *,
    copies: Sequence[int] | None = None,
    tokens: Sequence[int | None] | None = None,
) -> tuple[Ranked, list[int]]:
    with closing(spooled(sources, tokens=tokens)) as spool:
        resampled = Resampled(copies=tuple(copies or [1] * len(sources)))
        ranked = rank_rows(spool, [], [resampled, Backwards()])
        return ranked, limit(ranked, spool, ranked.order(), budget).tolist()


def test_rows_kept_are_the_first_of_the_order() -> None:
    ranked, order = limited("abcde", Budget(rows=3))
    assert order == [4, 3, 2]
    assert [ranked.reasons[reason] for reason in ranked.reason[:2].tolist()] == ["budget", "budget"]


def test_copies_count_and_some_of_a_row_may_stay() -> None:
    ranked, order = limited("abcd", Budget(rows=4), copies=[1, 1, 3, 2])
    assert order == [3, 2]
    assert ranked.copies.tolist() == [0, 0, 2, 2]


def test_row_that_would_go_beyond_the_tokens_ends_the_output() -> None:
    _, order = limited("abcd", Budget(tokens=10), tokens=[1, 7, 4, 3])
    assert order == [3, 2], "the row of 7 does not fit, and the row of 1 comes after it"


def test_row_without_counted_tokens_has_none() -> None:
    _, order = limited("abc", Budget(tokens=5), tokens=[5, None, 5])
    assert order == [2, 1]


def test_mix_is_the_largest_that_holds_its_shares() -> None:
    ranked, order = limited("wwwwwwwwcccx", Budget(mix={"w": 0.75, "c": 0.25}))
    assert [order.count(row) for row in (8, 9, 10)] == [0, 1, 1], "8 of w allow 10 rows, so 2 or 3 of c"
    assert len(order) == 10
    assert ranked.reasons == ["resampled", "mix"]


def test_mix_with_a_budget_has_exactly_that_many_rows() -> None:
    _, order = limited("w" * 50 + "c" * 50, Budget(rows=33, mix={"w": 0.7, "c": 0.3}))
    assert len(order) == 33
    assert sum(row < 50 for row in order) == 23


def test_mix_of_tokens_takes_patterns_of_sources() -> None:
    tokens = [10] * 20
    _, order = limited(
        ["web/a", "web/b"] * 5 + ["code"] * 10, Budget(tokens=100, mix={"web/*": 0.6, "c?de": 0.4}), tokens=tokens
    )
    assert sum(row < 10 for row in order) == 6
    assert len(order) == 10


def test_shares_that_nearly_add_up_to_1_give_no_more_than_the_budget() -> None:
    mix = {"a": 0.6000005, "b": 0.4}
    ranked, _ = limited("ab", Budget(rows=2_000_000, mix=mix), copies=[2_000_000] * 2)
    assert int(ranked.copies.sum()) == 2_000_000


AMOUNTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=60)
@given(AMOUNTS, st.integers(1, 60), st.sampled_from(["rows", "tokens"]), st.booleans())
def test_no_budget_is_exceeded_and_what_stays_is_a_beginning(
    rows: list[tuple[str, int, int]], most: int, unit: str, mixed: bool
) -> None:
    sources, copies, tokens = ([row[at] for row in rows] for at in range(3))
    weights = np.array(tokens if unit == "tokens" else [1] * len(rows))
    there = {
        name: sum(c * w for s, c, w in zip(sources, copies, weights.tolist(), strict=True) if s == name)
        for name in "abc"
    }
    names = [name for name, amount in there.items() if amount]
    mix: Mapping[str, float] = dict.fromkeys(names, 1 / len(names)) if mixed and names else {}
    ranked, order = limited(sources, Budget(**{unit: most}, mix=mix), copies=copies, tokens=tokens)  # type: ignore[arg-type]
    assert int((ranked.copies * weights).sum()) <= most
    for group in names if mix else ["abc"]:
        full = [row for row in reversed(range(len(rows))) if copies[row] and sources[row] in group]
        left = [row for row in order if sources[row] in group]
        assert left == full[: len(left)]
        assert all(ranked.copies[row] == copies[row] for row in left[:-1])
        if mix:
            share = int((ranked.copies[left] * weights[left]).sum())
            assert share <= min(there[name] for name in names) + 1
    if unit == "rows" and not mix:
        assert int(ranked.copies.sum()) == min(most, sum(copies))


@pytest.mark.parametrize(
    ("text", "amount"), [("7", 7), ("500K", 500_000), ("1.5m", 1_500_000), ("1B", 10**9), ("2_000", 2000)]
)
def test_amounts_are_read_as_people_write_them(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", ["", "-3", "1X", "many", "1.2.3"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not an amount"):
        parse_amount(text)


def test_amounts_are_exact_and_have_an_end() -> None:
    assert parse_amount("900_000_000_000_000_001") == 900_000_000_000_000_001
    for text in ("9" * 400, "1000001T", "1000000001B"):
        with pytest.raises(ConfigError, match="is beyond 1,000,000,000,000,000,000"):
            parse_amount(text)


def test_mixes_are_read_and_refused_with_what_is_wrong() -> None:
    assert parse_mix("web=0.7, a=b=0.3") == {"web": 0.7, "a=b": 0.3}
    for text in ("web", "web=x", "=0.5", "web=nan"):
        with pytest.raises(ConfigError, match="is not source=share"):
            parse_mix(text)
    with pytest.raises(ConfigError, match="stands twice"):
        parse_mix("web=0.5,web=0.5")
    with pytest.raises(ConfigError, match=r"add up to 1, not to 0\.9"):
        Budget(mix={"a": 0.4, "b": 0.5})
    with pytest.raises(ConfigError, match="not both"):
        Budget(rows=1, tokens=1, mix={"a": 1.0})
    with pytest.raises(ConfigError, match="leaves nothing"):
        Budget(rows=0)


def test_mix_with_a_source_that_has_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="'code' has no rows left"):
        limited("www", Budget(mix={"w": 0.5, "code": 0.5}))
