from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.ledger import Entry, Ledger, Rate, entry_of
from audit.ledger_chart import chart
from audit.ledger_drift import _change, design_effect, series_of, spent
from audit.ledger_report import described, document
from audit.signature import measured_by
from detectors.errors import ConfigError, InputError, OutputError

SIGNATURE = "foxing:0.1.0|document:1:7674|rules:7e10|corpus:41d8|seed:17"
START = datetime(2026, 1, 5, tzinfo=UTC)
EVIL = 'web<&"\x1b[31m'


def entry(*counts: tuple[int, int], signature: str = SIGNATURE, name: str = "assistant residue") -> Entry:
    """An audit of sources with `n` rows and `hits` each."""
    n, hits = (sum(column) for column in zip(*counts, strict=True))
    rate = Rate("FX102", name, 0.001, "over", n, hits, hits / n, (0.0, 1.0), counts)
    return Entry(signature, n, len(counts), 0, ((rate, tuple(f"s{at}" for at in range(len(counts)))),))


def written(tmp_path: Path, *entries: Entry, corpus: str = "web") -> Ledger:
    tmp_path.mkdir(exist_ok=True)
    ledger = Ledger(tmp_path / "web.ledger")
    for week, each in enumerate(entries):
        ledger.append(each, corpus=corpus, at=START + timedelta(weeks=week))
    return ledger


def test_what_is_written_comes_back_and_later_entries_change_nothing_before(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry((100, 3), (50, 1)))
    (first,) = ledger.audits()
    assert (first.number, first.at, first.corpus, first.rows) == (1, START, "web", 150)
    assert first.rates["FX102"].sources == ((100, 3), (50, 1)) and not first.accepted
    ledger.append(entry((9, 9)), corpus="books")
    assert ledger.audits("web") == (first,) and [audit.number for audit in ledger.audits()] == [1, 2]


def test_thousands_of_sources_are_named_once_in_memory_and_corpora_are_told_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = written(tmp_path, entry((100, 3), (50, 1)), entry((100, 4), (50, 1)))
    ledger.append(entry((9, 9)), corpus="books")
    first, second = (audit.rates["FX102"] for audit in ledger.audits("web"))
    assert first.names is second.names and first.names == ("s0", "s1")
    asked: list[str] = []
    connect = sqlite3.connect

    def traced(path: Path, *, timeout: float, isolation_level: None) -> sqlite3.Connection:
        connection = connect(path, timeout=timeout, isolation_level=isolation_level)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    assert ledger.corpora() == ("books", "web") and asked and not any("FROM sources" in one for one in asked)
    with pytest.raises(InputError, match="is no ledger yet"):
        Ledger(tmp_path / "none").corpora()


@pytest.mark.parametrize(
    "change", ["UPDATE audits SET rows = 1", "DELETE FROM rates", "DELETE FROM audits", "UPDATE sources SET n = 0"]
)
def test_the_record_can_only_be_added_to(tmp_path: Path, change: str) -> None:
    ledger = written(tmp_path, entry((100, 3)))
    with sqlite3.connect(ledger.path) as connection, pytest.raises(sqlite3.IntegrityError, match="only added to"):
        connection.execute(change)
    connection.close()


def test_reading_writes_nothing_and_waits_for_no_writer_who_is_named_when_he_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.ledger").touch()
    assert Ledger(tmp_path / "empty.ledger").audits() == () and not (tmp_path / "empty.ledger").stat().st_size
    ledger = written(tmp_path, entry((100, 3)))
    monkeypatch.setattr("audit.ledger._WAIT_S", 0.1)
    writer = sqlite3.connect(ledger.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert len(ledger.audits()) == 1
        with pytest.raises(OutputError, match=r"another process has held it for 0 s .* Run this again"):
            ledger.append(entry((100, 4)), corpus="web")
    finally:
        writer.close()
    assert ledger.append(entry((100, 4)), corpus="web") == 2


def test_rules_that_one_audit_lacks_and_files_that_could_not_be_read_are_named(tmp_path: Path) -> None:
    first = entry((100, 3))
    (rate, names) = first.rates[0]
    other = replace(first, failed=2, rates=((replace(rate, rule="FX101", hits=3), names),))
    found = series_of(written(tmp_path, first, other).audits())
    assert found.looks[0].apart == ("FX101", "FX102") and not found.looks[0].changes
    said = described(found)
    assert "not in it: 2 files that could not be read" in said
    assert "judged in one of both audits only, so not compared: FX101, FX102" in said
    assert document(found)["not_compared"] == ["FX101", "FX102"]
    assert series_of(written(tmp_path / "b", first, other).audits(), rules=["FX102"]).looks[0].apart == ("FX102",)


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "web.ledger")
    threads = [
        threading.Thread(target=lambda: [ledger.append(entry((10, 1)), corpus="web") for _ in range(5)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [audit.number for audit in ledger.audits()] == list(range(1, 21))


def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("some text that is no database, and long enough to be taken for a header")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for name in ("notes.txt", "other.db"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(OutputError, match=r"is no ledger"):
            Ledger(tmp_path / name).append(entry((1, 0)), corpus="web")
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(InputError, match="--add AUDIT"):
        Ledger(tmp_path / "none").audits()


def test_the_counts_of_a_sample_that_stopped_at_will_are_refused() -> None:
    with pytest.raises(ConfigError, match="is of a sample"):
        entry_of({"format": "foxing-assessment", "version": 1, "sample": {"rows": 64}}, "a.json")


@pytest.mark.parametrize("document", [[], {"format": "foxing-assessment", "version": 1}, {"format": "x", "version": 1}])
def test_what_is_no_assessment_is_refused(document: object) -> None:
    with pytest.raises(ConfigError, match="foxing check --format json"):
        entry_of(document, "a.json")


def test_the_same_measuring_is_told_by_all_of_the_signature_but_what_may_differ() -> None:
    assert measured_by(SIGNATURE) == measured_by(SIGNATURE.replace("41d8", "9999").replace("0.1.0", "0.2.0"))
    assert measured_by(SIGNATURE) != measured_by(SIGNATURE.replace("7e10", "9999"))


def test_a_step_is_a_drift_until_it_is_accepted(tmp_path: Path) -> None:
    calm, high = [(1000, 10)] * 20, [(1000, 40)] * 20
    ledger = written(tmp_path, entry(*calm), entry(*calm[1:], (1000, 11)), entry(*high))
    series = series_of(ledger.audits())
    (change,) = series.drifted
    assert (change.rule, change.before, change.after) == ("FX102", 0.01, 0.04) and 0 < change.interval.low < 0.03
    assert not series.looks[0].drifted and [look.number for look in series.looks] == [1, 2]
    ledger.accept(3)
    ledger.append(entry(*high[1:], (1000, 39)), corpus="web", at=START + timedelta(weeks=3))
    series = series_of(ledger.audits())
    assert series.baseline.number == 3 and not series.drifted
    with pytest.raises(InputError, match="has no audit 9"):
        ledger.accept(9)


def test_what_was_accepted_last_is_the_baseline_whatever_its_number(tmp_path: Path) -> None:
    ledger = written(tmp_path, *[entry((1000, 10 * at), (1000, 10 * at)) for at in (1, 2, 3, 4)])
    for number in (3, 2):
        ledger.accept(number)
        assert series_of(ledger.audits()).baseline.number == number
    assert [audit.accepted for audit in ledger.audits()] == [0, 2, 1, 0]


@pytest.mark.parametrize(("error", "change"), [(float("nan"), 0.0), (0.05, float("nan")), (0.0, 0.0), (0.05, 2.0)])
def test_limits_by_which_nothing_could_drift_are_refused(tmp_path: Path, error: float, change: float) -> None:
    with pytest.raises(ConfigError, match="no drift could be found"):
        series_of(written(tmp_path, entry((1000, 10))).audits(), error=error, min_change=change)


def test_a_change_that_is_small_enough_is_no_drift_and_a_fall_is_one(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry(*[(10_000, 400)] * 20), entry(*[(10_000, 100)] * 20))
    assert series_of(ledger.audits()).drifted[0].change == pytest.approx(-0.03)
    assert not series_of(ledger.audits(), min_change=0.05).drifted
    assert not series_of(ledger.audits(), rules=["FX3"]).looks[0].changes


def test_only_audits_that_were_measured_alike_are_compared(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry((1000, 1)), entry((1000, 500), signature=SIGNATURE.replace("7e10", "77aa")))
    series = series_of(ledger.audits())
    assert series.left_out == 1 and series.baseline.number == 2 and not series.looks


def test_an_audit_of_what_has_not_changed_is_no_new_look(tmp_path: Path) -> None:
    same = entry((1000, 10))
    series = series_of(written(tmp_path, same, same, same, entry((1000, 11))).audits())
    assert [look.number for look in series.looks] == [1, 1, 2]


def test_all_looks_together_spend_no_more_than_the_error() -> None:
    assert sum(spent(0.05, look) for look in range(1, 100_000)) == pytest.approx(0.05, abs=1e-6)


@given(st.integers(1, 60).map(lambda n: [(100, 10)] * n))
@settings(max_examples=20)
def test_sources_that_are_alike_count_as_independent_documents(sources: list[tuple[int, int]]) -> None:
    assert design_effect([sources, sources], error=0.05) == 1


def test_sources_that_are_hit_all_or_nothing_count_as_one_document_each() -> None:
    many, few = [(100, 100), *[(100, 0)] * 9] * 30, [(100, 100), (100, 0), (100, 0)]
    assert design_effect([many], error=0.05) == pytest.approx(100, rel=0.05)
    assert design_effect([few], error=0.05) > 200
    assert design_effect([[(100, 1)] * 9, [(100, 90)] * 9], error=0.05) == 1


@pytest.mark.parametrize("error", [0.1, 0.0025, 1e-5])
@pytest.mark.parametrize(("sources", "freedom"), [(2, 1), (3, 2), (5, 4), (8, 7), (61, 60), (100, 99)])
def test_few_sources_widen_as_much_as_students_t_does(error: float, sources: int, freedom: int) -> None:
    """Against scipy: half of the documents of each source are hit, all of them or none, in turn."""
    from scipy.stats import norm, t

    counts = [(10, 10 * (at % 2)) for at in range(sources)]
    share = sum(hits for _, hits in counts) / (10 * sources)
    spread = sum((hits - share * n) ** 2 for n, hits in counts) * sources / freedom
    wider = float(t.ppf(1 - error / 2, freedom) / norm.ppf(1 - error / 2))
    expected = spread / (10 * sources * share * (1 - share)) * wider**2
    assert design_effect([counts], error=error) == pytest.approx(expected, rel=1e-3)


def test_two_audits_of_one_process_are_seldom_said_to_have_drifted(tmp_path: Path) -> None:
    """At a promised 20 % for the first look's half, sources vary (intra-class correlation 0.05): 100 pairs."""
    random, alarms = np.random.default_rng(11), 0
    ledger = written(tmp_path, entry((10, 1)))
    (made,) = ledger.audits()
    for _ in range(100):
        pair = []
        for number in (1, 2):
            rows = random.integers(50, 500, 20)
            hits = random.binomial(rows, random.beta(1.9, 17.1, 20))
            ((rate, _),) = entry(*zip(rows.tolist(), hits.tolist(), strict=True)).rates
            pair.append(replace(made, number=number, rates={"FX102": rate}))
        alarms += bool(series_of(pair, error=0.2).drifted)
    assert alarms <= 10 + 3 * 3


def test_a_corrected_share_has_no_budget_beside_what_was_flagged(tmp_path: Path) -> None:
    counted = entry((1000, 30))
    ((rate, names),) = counted.rates
    corrected = replace(counted, rates=((replace(rate, share=0.2), names),))
    for at, (each, lines) in enumerate(((counted, 1), (corrected, 0))):
        (tmp_path / str(at)).mkdir()
        series = series_of(written(tmp_path / str(at), each, each).audits())
        text = chart(series)
        assert text.count('class="budget"') == lines == 1 - text.count("3.00 % flagged")
        assert ("FX102: what was flagged, before any correction" in described(series)) == (not lines)


@pytest.mark.parametrize("entries", [1, 5])
def test_the_chart_is_one_svg_without_anything_from_outside(tmp_path: Path, entries: int) -> None:
    weeks = [entry((1000, 10 * (week + 1)), (1000, 3), name=EVIL) for week in range(entries)]
    series = series_of(written(tmp_path, *weeks, corpus=EVIL).audits())
    text = chart(series)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and "\x1b" not in text
    assert len(root.findall(".//{*}circle")) == entries and root.find("{*}title") is not None
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "") and "<script" not in text
    assert len(root.findall(".//{*}circle[@class='drift']")) == sum(bool(look.drifted) for look in series.looks)


def test_a_clock_that_was_set_back_draws_no_line_backwards_and_the_scale_is_told(tmp_path: Path) -> None:
    ledger = written(tmp_path, entry((1000, 100)), entry((1000, 200)), entry((1000, 300)))
    ledger.append(entry((1000, 400)), corpus="web", at=START + timedelta(days=3))
    root = ElementTree.fromstring(chart(series_of(ledger.audits())))
    (line,) = root.findall(".//{*}polyline")
    across = [float(point.split(",")[0]) for point in line.attrib["points"].split()]
    assert across == sorted(across) and len(across) == 4
    texts = [element.text for element in root.findall("{*}text")]
    assert "FX102 assistant residue: 40.0 %, drifted" in texts and "40.0 %" in texts


def test_a_level_is_told_from_certainty_however_many_looks_there_were(tmp_path: Path) -> None:
    found = series_of(written(tmp_path, *[entry((1000, 10 + at)) for at in range(60)]).audits())
    assert any("look 59 since the baseline; intervals at 99.9986 %" in line for line in described(found))


def test_the_same_sources_drift_together_however_much_they_differ_from_each_other(tmp_path: Path) -> None:
    """Sources of 0 to 20 %, all of them up by a fifth: no source is what another is, and each has changed."""
    rows = [(2000, 20 * at) for at in range(21)]
    later = [(n, hits * 6 // 5) for n, hits in rows]
    same = series_of(written(tmp_path / "a", entry(*rows), entry(*later)).audits())
    (change,) = same.looks[0].changes
    assert change.drifted and change.design_effect < 4
    # The order in which sources are listed is that of their shares, and changes nothing.
    other = entry(*reversed(later))
    ((rate, names),) = other.rates
    turned = replace(other, rates=((rate, tuple(reversed(names))),))
    (again,) = series_of(written(tmp_path / "b", entry(*rows), turned).audits()).looks[0].changes
    assert again.design_effect == pytest.approx(change.design_effect)
    # Other sources of such shares might as well be a draw of the same kind.
    strange = replace(other, rates=((rate, tuple(f"new {name}" for name in names)),))
    (apart,) = series_of(written(tmp_path / "c", entry(*rows), strange).audits()).looks[0].changes
    assert not apart.drifted and apart.design_effect > 20


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_source_that_appears_or_vanishes_leaves_the_others_comparable(tmp_path: Path, where: str) -> None:
    """Sources of 0 to 20 % go up by a fifth, while one small source comes or goes."""
    rows = [(2000, 20 * at) for at in range(21)]
    later = [(n, hits * 6 // 5) for n, hits in rows]
    pair = [[*rows, (200, 20)], later] if where == "before" else [rows, [*later, (200, 24)]]
    (change,) = series_of(written(tmp_path, *(entry(*each) for each in pair)).audits()).looks[0].changes
    assert change.drifted and change.design_effect < 5


def test_two_sources_in_common_among_many_that_are_not_count_as_two(tmp_path: Path) -> None:
    """Fifty new sources say nothing of how much the two of the baseline would differ from others."""
    few, many = [(1000, 40), (1000, 60)], [(1000, 40), (1000, 60), *[(1000, 100 + at) for at in range(50)]]
    (change,) = series_of(written(tmp_path, entry(*few), entry(*many)).audits()).looks[0].changes
    assert not change.drifted and change.design_effect > 100


@pytest.mark.parametrize("same", [True, False])
def test_sources_of_unequal_size_raise_no_more_false_alarms_than_promised(same: bool) -> None:
    """Five sources, one of them most of the corpus, in each of which documents are a little alike: nothing drifts."""
    random, alarms, pairs = np.random.default_rng(7), 0, 300

    def audit(start: int) -> Rate:
        n = np.array([20_000, 4_000, 2_000, 1_000, 500])
        hits = random.binomial(n, random.beta(0.05 * 49, 0.95 * 49, 5))
        counts = tuple(zip(n.tolist(), hits.tolist(), strict=True))
        names = tuple(str(start + at) for at in range(5))
        return Rate("FX102", "residue", 0.1, "within", int(n.sum()), int(hits.sum()), 0.0, None, counts, names)

    for _ in range(pairs):
        before, after = audit(0), audit(0 if same else 5)
        alarms += _change(before, after, error=0.025, min_change=0.0).drifted
    assert alarms <= 0.025 * pairs + 6


@pytest.mark.parametrize("moved", [0, 400])
def test_one_of_many_sources_that_moves_is_no_sure_drift_of_all(tmp_path: Path, moved: int) -> None:
    before = [(1000, 50)] * 10
    after = [(1000, 50 + moved), *before[1:]]
    (change,) = series_of(written(tmp_path, entry(*before), entry(*after)).audits()).looks[0].changes
    assert not change.drifted and (change.design_effect > 10) == bool(moved)
