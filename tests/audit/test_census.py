from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.calibrate import calibrated
from audit.census import Census, Tally
from audit.rules import DEFAULTS, choose, evaluate
from tests.audit.judging import Row, Tables, document, row, write_findings

RULES = choose(DEFAULTS, ["FX101", "FX102", "FX901"])
faulty: Row = {"document": document(7), "residue": None, "error:residue": "ValueError: odd", "source": "b"}
some_rows: st.SearchStrategy[list[Row]] = st.lists(
    st.sampled_from([row(0.5, source="a"), row(3.0, words=9, hits=1, source="b"), row(None, source=None), faulty, {}]),
    min_size=1,
    max_size=8,
)


def census(folder: Path, rows: list[Row]) -> tuple[Census, pl.DataFrame]:
    (part,) = write_findings(folder, {"s": rows}, by="source").parts()
    frame = calibrated(part, Tables())
    return Census.of(frame, evaluate(frame, RULES)), frame


def test_everything_is_counted(tmp_path: Path) -> None:
    rows: list[Row] = [
        row(3.0, words=10, hits=2, source="web"),
        row(0.0, words=30, source="web"),
        row(None, words=1, source="books"),
        {**faulty, "source": "books"},
        {"source": "books"},
        {**row(0.0, source="books"), "document": document(5, valid=False)},
    ]
    found, _ = census(tmp_path, rows)
    total = found.total()
    assert found.sources == ("books", "web")
    assert (total.rows, total.words, total.bytes) == (6, 53, 318)
    assert (total.nulls, total.invalid_utf8, total.errors, total.unmeasured_rows) == (1, 1, 1, 2)
    assert (total.abstained, total.out_of_support) == (1, 0)
    assert total.unmeasured == {"ai_text": 2, "document": 1, "residue": 2}
    assert total.rules["FX101"] == Tally(3, 1, 45, 10, 100 + 900 + 25)
    assert total.rules["FX102"] == Tally(4, 1, 46, 10, 100 + 900 + 1 + 25)
    assert total.rules["FX901"].n == 6 and total.rules["FX901"].hits == 2
    assert found.source("web", ["FX101"]).rules["FX101"].hits == 1
    assert found.source("books", ["FX999"]).rules["FX999"] == Tally(0, 0, 0, 0, 0)


def merged(pieces: list[Census]) -> Census:
    whole = Census()
    for piece in pieces:
        whole.add(piece)
    return whole


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_rows, st.data())
def test_merging_does_not_depend_on_split_or_order(
    tmp_path_factory: object, rows: list[Row], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("census")  # type: ignore[attr-defined]
    whole, frame = census(folder, rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    edges = [0, *cuts, len(rows)]
    parts = [frame.slice(a, b - a) for a, b in pairwise(edges)]
    pieces = [Census.of(part, evaluate(part, RULES)) for part in parts]
    pieces = data.draw(st.permutations(pieces))
    assert merged(pieces) == whole
    halves = [merged(pieces[: len(pieces) // 2]), merged(pieces[len(pieces) // 2 :])]
    assert merged(halves[::-1]) == whole


def test_what_is_added_is_not_changed(tmp_path: Path) -> None:
    found, _ = census(tmp_path, [row(0.0, source="a")])
    both = merged([found, found])
    assert (found.total().rows, both.total().rows) == (1, 2)


def test_adding_touches_the_sources_of_the_other_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    update = Counter.update

    def counted(counter: Counter[str], *given: Counter[str]) -> None:
        steps.append(1)
        update(counter, *given)

    monkeypatch.setattr(Counter, "update", counted)
    census, sources = Census(), 3000
    parts = [Census({f"source {i}": Counter({"rows": 1}), "common": Counter({"rows": 1})}) for i in range(sources)]
    steps.clear()
    for part in parts:
        census.add(part)
    assert len(steps) <= 4 * sources
    assert len(census.sources) == sources + 1 and census.source("common").rows == sources


def test_adding_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    one, _ = census(tmp_path / "1", [row(0.0, source="a")])
    other, _ = census(tmp_path / "2", [row(0.0, source="b")])
    one.add(other)
    one.add(other)
    assert (one.total().rows, other.total().rows) == (3, 1)
