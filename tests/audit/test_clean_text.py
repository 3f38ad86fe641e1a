"""What clean text teaches: learned on one half, measured on the other, whatever the order of its rows and files."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit.clean_text import CleanText, learn_stops, measure_flags
from audit.corpus import Corpus
from audit.rulebook import Rule
from detectors.benchmark_index import BenchmarkIndex
from detectors.documents import Documents
from detectors.errors import ConfigError, InputError
from detectors.pieces import LONG_BYTES

RULE = Rule("FX303", "benchmark leakage", "leakage.item_share >= 0.5")
PHRASE = "once upon a time there was a king who had three daughters"
ITEM = "which binding of the three was sewn on four cords and then covered with calf by the first owner"


def index_of(*items: str) -> BenchmarkIndex:
    ids = [str(number) for number in range(len(items))]
    return BenchmarkIndex.from_documents(Documents.from_texts([*items]), ["quiz"] * len(items), ids)


def clean(tmp_path: Path, *texts: str | None, name: str = "clean", seed: int = 17) -> CleanText:
    path = tmp_path / f"{name}.parquet"
    pl.DataFrame({"id": range(len(texts)), "text": texts}).write_parquet(path)
    return CleanText(Corpus.open([str(path)]), seed)


def fillers(n: int) -> list[str]:
    return [f"page {number} of the ledger is about {number * 7} other things" for number in range(n)]


def half(text: CleanText, which: int) -> list[str | None]:
    return [one for _, _, documents in text.half(which) for one in documents.texts()]


def test_the_halves_are_all_of_it_and_depend_on_text_and_seed_alone(tmp_path: Path) -> None:
    texts = fillers(200)
    forwards, backwards = clean(tmp_path, *texts, None), clean(tmp_path, *texts[::-1], name="again")
    first, second = half(forwards, 0), half(forwards, 1)
    assert sorted(map(str, first + second)) == sorted(texts) and 60 < len(first) < 140
    assert set(half(backwards, 0)) == set(first)
    assert set(half(clean(tmp_path, *texts, seed=18), 0)) != set(first)
    rows = [row for _, found, _ in forwards.half(0) for row in found.tolist()]
    assert [texts[row] for row in rows] == first


def test_an_item_all_over_clean_text_is_named_and_keeps_flagging(tmp_path: Path) -> None:
    item = f"{PHRASE} and one"
    text = clean(tmp_path, *[f"{item} {filler}" for filler in fillers(100)])
    learned = learn_stops(index_of(item, ITEM), text)
    measured = measure_flags(learned.index, text, RULE)
    flags, n = measured.index.false_flags, len(half(text, 1))
    assert flags is not None and (flags.documents, flags.flagged, learned.documents) == (n, n, 100 - n)
    assert not learned.index.stops.any()
    for sightings, count in ((learned.sightings, 100 - n), (measured.sightings, n)):
        assert len(sightings) == count and {one.item for one in sightings} == {"0"}


def test_common_phrases_do_not_flag_once_they_are_learned(tmp_path: Path) -> None:
    texts = [f"{PHRASE} {filler}" for filler in fillers(100)]
    text = clean(tmp_path, *texts)
    index = index_of(f"{PHRASE} {ITEM}")
    rule = Rule("FX303", "benchmark leakage", "leakage.covered > 0")
    eight = BenchmarkIndex.from_documents(Documents.from_texts([f"{PHRASE} {ITEM}"]), ["quiz"], ["0"], n={"quiz": 8})
    before = measure_flags(eight, text, rule).index.false_flags
    learned = learn_stops(eight, text)
    after = measure_flags(learned.index, text, rule).index.false_flags
    assert before is not None and after is not None
    assert (before.flagged, after.flagged) == (before.documents, 0)
    assert np.flatnonzero(learned.index.stops).tolist() == [0, 1, 2, 3, 4] and learned.sightings == ()
    assert after.when == rule.when and dict(after.by_benchmark) == {"quiz": 0}
    assert learn_stops(index, text).index.stops.tolist() == learned.index.stops.tolist()


def test_an_item_in_clean_text_is_named_with_its_place(tmp_path: Path) -> None:
    texts = fillers(50)
    for which in (0, 1):
        place = next(at for at, one in enumerate(texts) if one in half(clean(tmp_path, *texts), which))
        held = [*texts]
        held[place] = f"{held[place]} {ITEM}"
        text = clean(tmp_path, *held)
        if f"{texts[place]} {ITEM}" not in half(text, which):
            continue
        learned = learn_stops(index_of(ITEM), text)
        found = learned.sightings if which == 0 else measure_flags(learned.index, text, RULE).sightings
        assert [(one.benchmark, one.item, one.row) for one in found] == [("quiz", "0", place)]
        assert not learned.index.stops.any()


def test_a_long_document_is_learned_from_in_pieces(tmp_path: Path) -> None:
    long = "\n".join(f"line {number} of a long page" for number in range(LONG_BYTES // 20)) + f"\n{ITEM}"
    texts = [f"{long} {number}" for number in range(4)]
    learned = learn_stops(index_of(ITEM), clean(tmp_path, *texts))
    assert {one.item for one in learned.sightings} == {"0"}


def test_only_rows_before_a_date_are_clean(tmp_path: Path) -> None:
    texts = fillers(40)
    dates = [None if at % 4 == 0 else datetime.date(2015 + at % 4, 6, 30) for at in range(40)]
    for name, column in (
        ("dates", pl.Series(dates)),
        ("texts", pl.Series([None if date is None else date.isoformat() for date in dates])),
        ("moments", pl.Series(dates).cast(pl.Datetime)),
    ):
        path = tmp_path / f"{name}.parquet"
        pl.DataFrame({"text": texts, "published": column}).write_parquet(path)
        corpus = Corpus.open([str(path)])
        for before, years in (("2017", {1}), ("2017-06-30", {1}), ("2017-07", {1, 2})):
            text = CleanText(corpus, time="published", before=before)
            kept = {texts.index(str(one)) % 4 for which in (0, 1) for one in half(text, which)}
            assert kept == years, (name, before)
    faults: list[tuple[str | None, str | None, str]] = [
        ("published", None, "go together"),
        (None, "2017", "go together"),
        ("published", "May 2017", "is not a date"),
    ]
    for column_name, date, words in faults:
        with pytest.raises(ConfigError, match=words):
            CleanText(corpus, time=column_name, before=date)


def test_too_little_clean_text_is_an_error(tmp_path: Path) -> None:
    index = index_of(ITEM)
    text = clean(tmp_path, "one page")
    which = 0 if half(text, 0) else 1
    with pytest.raises(InputError, match=r"no document in its (first|second) half \(.*clean.parquet\)"):
        measure_flags(index, text, RULE) if which == 0 else learn_stops(index, text)


def test_a_rule_over_other_signals_cannot_be_measured(tmp_path: Path) -> None:
    rule = Rule("FX303", "benchmark leakage", "leakage.hits > 0 AND document.words > 10")
    with pytest.raises(ConfigError, match="looks at more than leakage"):
        measure_flags(index_of(ITEM), clean(tmp_path, *fillers(20)), rule)
