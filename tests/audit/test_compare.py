"""Two audits against each other: intervals of differences, sources that moved, and what makes figures incomparable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.assess import Assessment, assess
from audit.compare import Change, compare, difference
from audit.config import Config, ScanConfig
from audit.prevalence import Interval, wilson
from audit.rules import rules_from
from audit.scan_run import scan
from audit.signature import differing

CONFIG = Config(scan=ScanConfig(signals=("near_dup",), by="site", workers=1, sketches=False))
RULES = rules_from({})


def assessed(folder: Path, name: str, copies: dict[str, int], config: Config = CONFIG) -> Assessment:
    """A corpus of 60 rows a site, of which some are copies of the first."""
    texts = [
        " ".join(f"{name}{site}{0 if row < count else row}w{word}" for word in range(30))
        for site, count in copies.items()
        for row in range(60)
    ]
    path = folder / f"{name}.parquet"
    pl.DataFrame({"text": texts, "site": np.repeat(list(copies), 60).tolist()}).write_parquet(path)
    return assess(scan([str(path)], folder / f"{name}-audit", config).findings, RULES, select=["FX3"])


def test_signatures_of_any_shape_can_be_held_against_each_other() -> None:
    assert list(differing("odd", "a:1:x|corpus:2|seed:3|sample:4")) == [("odd", "", None), ("a", None, "1:x")]
    assert list(differing("", "foxing:1|seed:2")) == []


def test_a_change_beyond_chance_is_told_and_one_within_it_is_not(tmp_path: Path) -> None:
    before = assessed(tmp_path, "a", {"one": 2, "two": 5, "old": 2})
    after = assessed(tmp_path, "b", {"one": 50, "two": 6, "new": 2})
    found = compare(before, after)
    (total,) = [one for one in found.rules if one.rule == "FX301"]
    assert total.verdict is Change.HIGHER and total.change == pytest.approx((49 + 5 + 1 - 1 - 4 - 1) / 180)
    assert [(one.source, one.verdict) for one in found.sources] == [("one", Change.HIGHER)]
    assert (found.appeared, found.vanished, found.rows) == (("new",), ("old",), (180, 180))
    assert found.warnings == ()
    back = compare(after, before)
    assert [one.verdict for one in back.rules if one.rule == "FX301"] == [Change.LOWER]


def test_an_audit_is_not_told_apart_from_itself(tmp_path: Path) -> None:
    same = assessed(tmp_path, "a", {"one": 9})
    found = compare(same, same)
    judged = {one.verdict for one in found.rules if one.before is not None}
    assert judged == {Change.NOT_TOLD_APART} and not found.sources


def test_other_settings_are_named(tmp_path: Path) -> None:
    before = assessed(tmp_path, "a", {"one": 9})
    other = dataclasses.replace(CONFIG, stages={"duplicates": {"threshold": 0.9}})
    found = compare(before, assessed(tmp_path, "b", {"one": 9}, other))
    assert len(found.warnings) == 1 and found.warnings[0].startswith("duplicates: 1:")
    newer = dataclasses.replace(before, signature=before.signature.replace("near_dup:1:", "near_dup:2:"))
    (warning,) = compare(before, newer).warnings
    assert warning.startswith("near_dup: 1:") and " and 2:" in warning


def test_a_rule_without_an_estimate_is_not_compared(tmp_path: Path) -> None:
    before = assessed(tmp_path, "a", {"one": 9})
    unmeasured = dataclasses.replace(before, results=before.results[1:])
    found = compare(before, unmeasured)
    (lost,) = [one for one in found.rules if one.rule == before.results[0].rule.id]
    assert lost.verdict is Change.NOT_COMPARABLE and lost.change is None and lost.before is not None


counts = st.tuples(st.integers(0, 200), st.integers(1, 200)).map(lambda pair: (min(pair), max(pair)))


@given(one=counts, other=counts)
def test_intervals_hold_the_change_and_turn_round_with_it(one: tuple[int, int], other: tuple[int, int]) -> None:
    before, after = ((hits / n, wilson(hits, n)) for hits, n in (one, other))
    change, interval = difference(before, after)
    assert -1 <= interval.low <= change <= interval.high <= 1
    back, turned = difference(after, before)
    assert (
        back == -change and turned.low == pytest.approx(-interval.high) and turned.high == pytest.approx(-interval.low)
    )


def test_the_interval_is_that_of_newcombe() -> None:
    """56 of 70 against 48 of 80: Newcombe 1998 (Stat. Med. 17:873), table II, method 10."""
    change, interval = difference((48 / 80, wilson(48, 80)), (56 / 70, wilson(56, 70)))
    assert change == pytest.approx(0.2)
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-4)


def test_a_difference_without_any_width_is_exact() -> None:
    assert difference((0.25, Interval(0.25, 0.25)), (0.5, Interval(0.5, 0.5))) == (0.25, Interval(0.25, 0.25))
