"""Orders by a measure of quality."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import DEFAULT_SIGNALS
from curricula.composing import resolve
from curricula.protocols import Curriculum
from curricula.quality import METRICS, QualityFirst
from detectors.errors import ConfigError
from tests.curricula.decided import decided, in_order

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=60)


@given(VALUES, st.integers(0, 99))
def test_better_rows_come_first_and_undefined_ones_get_no_rank(values: list[float | None], seed: int) -> None:
    values = [0.0, *values]
    frame = decided(["s"] * len(values), given=[{"value": value} for value in values])
    found = in_order(QualityFirst(metric="given.value", seed=seed).rank(frame))
    known = [value for value in values if value is not None]
    assert [values[row] for row in found] == sorted(known, reverse=True)


def test_ties_are_shuffled_by_the_seed() -> None:
    frame = decided(["s"] * 50, given=[{"value": 1.0}] * 50)
    first, again, other = (in_order(QualityFirst(metric="given.value", seed=s).rank(frame)) for s in (1, 1, 2))
    assert first == again != other and first != sorted(first)


def test_the_sum_of_weighted_fields_is_a_metric() -> None:
    frame = decided(["s"] * 3, a=[{"x": 1.0}, {"x": 3.0}, {"x": 2.0}], b=[{"y": 0.0}, {"y": 1.0}, {"y": 0.1}])
    curriculum = QualityFirst(metric="0.5 * a.x - 2 * b.y")
    assert curriculum.needs == ("a", "b") and in_order(curriculum.rank(frame)) == [2, 0, 1]


def test_the_default_reads_only_what_a_scan_measures_by_default_and_prefers_clean_text() -> None:
    assert set(QualityFirst().needs) <= set(DEFAULT_SIGNALS)
    diversity = [
        {"dup_5gram": share, "dup_line_bytes_share": lines}
        for share, lines in ((0.5, 0.0), (0.0, 0.0), (0.0, 0.2), (None, None))
    ]
    residue = [{"hits": 0, "weak_hits": 0}] * 3 + [{"hits": 2, "weak_hits": 0}]
    frame = decided(["s"] * 4, diversity=diversity, residue=residue)
    assert in_order(QualityFirst().rank(frame)) == [1, 2, 0, 3]


def test_faults_of_pairs_count_against_them() -> None:
    good = {"copied": 0.1, "numbers": 0.0, "repeated": 0.0, "wrong_language": False, "length_ratio": 1.1}
    faults = [{"copied": 0.9}, {"numbers": 0.5}, {"repeated": 0.7}, {"wrong_language": True}, {"length_ratio": 3.0}]
    frame = decided(["s"] * 6, pair_quality=[{**good, **fault} for fault in ({}, *faults)])
    assert in_order(QualityFirst(metric="pairs").rank(frame))[0] == 0
    similar = [{**good, "similarity": value} for value in (0.80, 0.91, 0.85)]
    assert in_order(QualityFirst(metric="similar-pairs").rank(decided(["s"] * 3, pair_quality=similar))) == [1, 2, 0]


@pytest.mark.parametrize(
    ("metric", "match"),
    [("given.vlaue", "value"), ("source", "not a number"), ("sum(given.value)", "may not call"), ("3", "reads no")],
)
def test_what_is_no_metric_is_refused(metric: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        curriculum = QualityFirst(metric=metric)
        assert curriculum.needs is not None
        curriculum.rank(decided(["s"], given=[{"value": 1.0}]))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_named_metrics_read_signals(name: str) -> None:
    assert QualityFirst(metric=name).needs


def test_it_keeps_the_contract_and_is_registered() -> None:
    (found,) = resolve(["quality-first"], 3)
    assert found == QualityFirst(seed=3) and isinstance(found, Curriculum) and found.orders
