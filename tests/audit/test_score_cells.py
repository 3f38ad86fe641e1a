from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.calibrate import calibrated
from audit.score_cells import GROUPINGS, ScoreCells
from audit.two_phase import Labels
from detectors.ai_text.spread import score_bins
from tests.audit.judging import Tables, ai_text, document

TABLES = Tables()
Row = dict[str, object]


def one(
    margin: float | None,
    *,
    words: int = 100,
    windows: list[float] | None = None,
    source: str = "web",
    time: str | None = None,
    outside: bool = False,
    language: str = "en",
) -> Row:
    found = {**ai_text(margin, language=language), "windows": windows, "out_of_support": outside}
    return {"source": source, "domain": "blog", "time": time, "document": document(words), "ai_text": found}


def part(rows: list[Row]) -> pl.DataFrame:
    kinds: dict[str, pl.DataType | type[pl.DataType]] = {
        "margin": pl.Float32, "tier": pl.String, "length": pl.Int32, "language": pl.String, "abstained": pl.Boolean,
        "out_of_support": pl.Boolean, "windows": pl.List(pl.Float32),
    }  # fmt: skip
    document: dict[str, pl.DataType | type[pl.DataType]] = {
        "bytes": pl.Int64,
        "characters": pl.Int64,
        "words": pl.Int32,
        "utf8_valid": pl.Boolean,
    }
    schema = {"source": pl.String, "domain": pl.String, "time": pl.String}
    frame = pl.DataFrame(rows, {**schema, "document": pl.Struct(document), "ai_text": pl.Struct(kinds)})
    shard, place = pl.lit("s").alias("shard"), pl.int_range(pl.len(), dtype=pl.Int64).alias("row")
    return calibrated(frame.with_columns(shard, place), TABLES)


def cells(rows: list[Row], labels: Labels | None = None) -> ScoreCells:
    return ScoreCells.of(part(rows), TABLES, labels)


def bin_of(margin: float) -> int:
    return int(score_bins([1 / (1 + np.exp(-margin))])[0])


def test_documents_and_words_are_counted_in_the_bins_of_their_scores() -> None:
    total = cells([one(2.2, words=30), one(2.2, words=10), one(-3.2, words=5), one(None, words=1000)]).total
    assert (total.n, total.documents[bin_of(2.2)], total.documents[bin_of(-3.2)]) == (3, 2, 1)
    assert (total.words[bin_of(2.2)], total.words[bin_of(-3.2)], total.words.sum()) == (40, 5, 45)
    assert total.words_size == pytest.approx(45**2 / (900 + 100 + 25))


def test_the_windows_of_a_document_share_its_words_and_the_document_counts_once() -> None:
    total = cells([one(1.2, words=90, windows=[-3.2, 4.2, 4.2]), one(0.2, words=10)]).total
    assert total.documents.sum() == 2 and total.documents[bin_of(1.2)] == 1
    assert total.words[bin_of(-3.2)] == 30 and total.words[bin_of(4.2)] == 60 and total.words[bin_of(1.2)] == 0
    assert total.words.sum() == 100 and total.words_size == pytest.approx(100**2 / 8200)


def test_words_that_do_not_divide_by_windows_lose_less_than_a_word_together() -> None:
    total = cells([one(0.0, words=100, windows=[0.0, 1.0, 2.0])]).total
    assert total.words.sum() == pytest.approx(100, abs=0.01)


def test_documents_unlike_the_reference_are_counted_apart() -> None:
    total = cells([one(2.2, words=30), one(2.2, words=7, outside=True, windows=[1.0, 2.0])]).total
    assert (total.n, total.outside, total.outside_words) == (2, 1, 7)
    assert total.documents.sum() == 1 and total.words.sum() == 30


def test_documents_of_a_tier_without_tables_are_counted_apart() -> None:
    rows = [one(2.2, words=30), one(2.2, words=7)]
    rows[1] = {**rows[1], "ai_text": {**dict(rows[1]["ai_text"]), "tier": "other"}}  # type: ignore[call-overload]
    total = cells(rows).total
    assert (total.n, total.outside, total.scored, total.outside_words) == (2, 1, 1, 7)


def test_groups_are_those_of_source_language_domain_and_month() -> None:
    rows = [
        one(0.0, source="web", time="2024-05-17T10:00:00Z"),
        one(0.0, source="web", time="2024-05", language="fr"),
        one(0.0, source="books", time="2019"),
        one(0.0, source="books", time="yesterday"),
        one(0.0, source="books", time=None),
        one(0.0, source="books", time="2024-13-01"),
    ]
    found = {kind: {name: cell.n for name, cell in cells(rows).groups(kind).items()} for kind in GROUPINGS}
    assert found["source"] == {"books": 4, "web": 2} and found["language"] == {"en": 5, "fr": 1}
    assert found["domain"] == {"blog": 6}
    assert found["time"] == {"(no date)": 2, "2019": 1, "2024": 1, "2024-05": 2}


@pytest.mark.parametrize(
    ("time", "month"),
    [
        ("1621209600", "2021-05"),
        ("1621209600.25", "2021-05"),
        ("1621209600123", "2021-05"),
        ("631152000", "1990-01"),
        ("4102444799999", "2099-12"),
        ("123456789", "(no date)"),
        ("99999999999", "(no date)"),
        ("20210517", "(no date)"),
        ("-1621209600", "(no date)"),
        ("1621209600 or so", "(no date)"),
    ],
)
def test_plausible_times_since_1970_have_a_month(time: str, month: str) -> None:
    assert list(cells([one(0.0, time=time)]).groups("time")) == [month]


def test_flagged_documents_in_support_are_counted_and_their_words() -> None:
    rows = [one(-3.0), one(3.0), one(3.0, outside=True), one(None), one(3.0, source="books")]
    frame = part(rows)
    p = frame["ai_text"].struct.field("p_human")
    rate = float(p.drop_nulls().min())  # type: ignore[arg-type]
    found = ScoreCells.of(frame, TABLES, rate=rate)
    assert int((p <= rate).sum()) == 3 and (found.total.flagged, found.total.flagged_words) == (2, 200)
    assert {name: cell.flagged for name, cell in found.groups("source").items()} == {"books": 1, "web": 1}
    assert ScoreCells.of(frame, TABLES).total.flagged == 0


def test_labels_are_counted_by_author_and_bin() -> None:
    labels = Labels(
        pl.DataFrame({"shard": ["s"] * 3, "row": pl.Series([0, 1, 3], dtype=pl.Int64), "label": [True, False, True]})
    )
    rows = [one(2.2), one(2.2), one(2.2), one(2.2, outside=True)]
    total = cells(rows, labels).total
    assert total.labelled.sum() == 2 and total.labelled[:, bin_of(2.2)].tolist() == [1, 1]


some_rows = st.lists(
    st.builds(
        one,
        st.sampled_from([None, -2.0, 0.3, 3.0]),
        words=st.integers(0, 50),
        windows=st.sampled_from([None, [0.1, 2.0], [-1.0, 1.0, 3.0]]),
        source=st.sampled_from(["a", "b"]),
        outside=st.booleans(),
    ),
    max_size=8,
)


@given(some_rows, st.data())
def test_merging_does_not_depend_on_split_or_order(rows: list[Row], data: st.DataObject) -> None:
    frame = part(rows)
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3))), len(rows)]
    pieces = [ScoreCells.of(frame.slice(a, b - a), TABLES, rate=0.2) for a, b in pairwise(edges)]
    whole, other = ScoreCells.of(frame, TABLES, rate=0.2), ScoreCells()
    for piece in data.draw(st.permutations(pieces)):
        other.add(piece)
    for kind in ("source", "language"):
        assert list(whole.groups(kind)) == list(other.groups(kind))
    pairs = zip(
        [whole.total, *whole.groups("source").values()], [other.total, *other.groups("source").values()], strict=True
    )
    for one_cell, two in pairs:
        assert (one_cell.documents == two.documents).all() and (one_cell.words == two.words).all()
        assert (one_cell.words_size, one_cell.outside, one_cell.n) == (two.words_size, two.outside, two.n)
        assert (one_cell.flagged, one_cell.flagged_words) == (two.flagged, two.flagged_words)


def test_what_is_added_is_not_changed() -> None:
    found = cells([one(0.0)])
    both = ScoreCells()
    both.add(found)
    both.add(found)
    assert (found.total.n, both.total.n) == (1, 2)


def test_findings_without_windows_or_words_are_counted_too() -> None:
    frame = part([one(0.0, words=5)]).drop("document")
    kept = [name for name in frame["ai_text"].struct.fields if name != "windows"]
    frame = frame.with_columns(pl.struct(pl.col("ai_text").struct.field(name) for name in kept).alias("ai_text"))
    total = ScoreCells.of(frame, TABLES).total
    assert total.n == 1 and total.words.sum() == 0 and total.words_size == 0
