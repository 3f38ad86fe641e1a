"""The bench of curricula: its own measures are right, and the document shows what was measured."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.bench.chrf import chrf
from tests.bench.curricula import _accuracy, _distinct, _wins, made, order_of, share
from tests.bench.curricula_report import DOCUMENT, filled, newest


def test_the_document_shows_the_newest_result() -> None:
    result = newest()
    assert result is not None
    text = DOCUMENT.read_text("utf-8")
    assert filled(text, result) == text


def test_chrf_falls_with_what_is_missing() -> None:
    assert chrf("The cat sat on the mat.", "The cat sat on the mat.") == 100
    assert chrf("", "a") == 0 and chrf("xyz", "abc") == 0
    assert 0 < chrf("The cat sat", "The cat sat on the mat.") < chrf("The cat sat on a mat", "The cat sat on the mat.")


def test_pairs_of_translations_are_counted_where_they_differ() -> None:
    assert _wins([0, 1, 2], [50.0, 40.0, 60.0]) == (1, 3)
    assert _wins([0, 1], [50.0, 50.5]) == (0, 0)
    assert _accuracy(np.array([[1.0, 2.0], [3.0, 4.0]]))["share"] == pytest.approx(4 / 6)


def test_distinct_grams_are_those_of_the_first_part() -> None:
    grams = [(np.array([1, 2], np.uint32), 2), (np.array([1, 2], np.uint32), 2), (np.array([3, 4], np.uint32), 2)]
    assert _distinct(np.array([0, 1, 2]), grams)["first 50%"] == 0.5
    assert _distinct(np.array([0, 2, 1]), grams)["first 50%"] == 1.0


def test_shares_have_their_n_and_interval() -> None:
    found = share(np.array([True, False, False, False]))
    low, high = found["interval"]  # type: ignore[misc]
    assert found["n"] == 4 and low < found["share"] == 0.25 < high  # type: ignore[operator]


def test_made_rows_have_what_curricula_read() -> None:
    frame = made(50)
    assert frame.height == 50 and frame["gram_sample"].struct.field("sample").dtype == pl.List(pl.UInt32)
    assert order_of(frame.lazy().select("index", rank=-pl.col("index"))).tolist() == list(range(49, -1, -1))
