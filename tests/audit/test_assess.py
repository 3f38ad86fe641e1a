from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit.assess import Assessment, Evidence, Judged, Result, Verdict, assess
from audit.findings_folder import FailedShard, ShardRecord
from audit.intervals import Interval
from audit.rogan_gladen import estimate
from audit.rules import DEFAULTS, Rule, find, rules_from
from audit.shard_types import odd_types
from audit.two_phase import Labels
from detectors.ai_text.calibration import ErrorRate
from detectors.ai_text.spread import BIN_ODDS, Profiles
from detectors.errors import ConfigError
from tests.audit.judging import Row, Tables, document, row, write_findings
from tests.audit.labelled_sources import HUMAN_ODDS, MACHINE_ODDS, drawn, pool, usual

TABLES = Evidence(Tables())


def judged(assessment: Assessment, rule_id: str) -> Result:
    return next(result for result in assessment.results if result.rule.id == rule_id)


def corpus(flagged: int, clean: int, abstained: int = 0) -> list[Row]:
    return [*[row(3.0)] * flagged, *[row(0.0)] * clean, *[row(None)] * abstained]


def test_machine_written_compares_the_lower_bound_of_the_corrected_share(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": corpus(60, 140, 20)})
    result = judged(assess(findings, DEFAULTS, evidence=TABLES), "FX101")
    assert (result.n, result.hits, result.counted, result.corrected) == (200, 60, 0.3, True)
    assert result.share == pytest.approx((0.3 - 0.0075) / (0.75 - 0.0075))
    assert result.interval is not None and result.share is not None
    assert result.interval.low < result.share < result.interval.high
    between = (result.interval.low + result.share) / 2
    for budget, strict, verdict in (
        (result.interval.low - 0.001, False, Verdict.OVER),
        (between, False, Verdict.WITHIN),
        (between, True, Verdict.OVER),
        (result.interval.high + 0.001, True, Verdict.WITHIN),
    ):
        found = assess(findings, DEFAULTS, budgets={"FX101": budget}, strict=strict, evidence=TABLES)
        assert judged(found, "FX101").verdict is verdict
        assert found.exit_code == (1 if verdict is Verdict.OVER else 0)


def test_other_rules_compare_the_counted_share(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": [row(hits=1), *[row()] * 99]})
    for budget, verdict in ((0.01, Verdict.WITHIN), (0.0099, Verdict.OVER)):
        for strict in (False, True):
            found = assess(findings, DEFAULTS, budgets={"FX102": budget}, strict=strict, evidence=TABLES)
            result = judged(found, "FX102")
            assert (result.verdict, result.share, result.corrected) == (verdict, 0.01, False)


def test_a_machine_written_rule_of_another_shape_is_counted_not_corrected(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": corpus(1, 3)})
    rules = rules_from({"FX101": {"when": "ai_text.score > 0.9"}})
    result = judged(assess(findings, rules, evidence=TABLES), "FX101")
    assert (result.share, result.corrected, result.hits) == (0.25, False, 1)
    assert str(result.reason).startswith("counted, not corrected: ")
    rules = rules_from({"FX101": {"when": "ai_text.p_human <= 0.0"}})
    assert not judged(assess(findings, rules, evidence=TABLES), "FX101").corrected
    assert judged(assess(findings, DEFAULTS, evidence=TABLES), "FX101").reason is None


def test_nothing_measurable_is_no_estimate_and_fails_only_when_strict(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": corpus(0, 0, 5)})
    result = judged(found := assess(findings, DEFAULTS, evidence=TABLES), "FX101")
    assert (result.verdict, result.share, result.n) == (Verdict.NO_ESTIMATE, None, 0)
    assert result.reason and found.total.abstained == 5 and found.exit_code == 0
    assert assess(findings, DEFAULTS, strict=True, evidence=TABLES).exit_code == 1


def test_a_detector_without_known_errors_gives_no_estimate(tmp_path: Path) -> None:
    tables = Tables((ErrorRate("web", "human", 100, 1),))
    result = judged(assess(write_findings(tmp_path, {"a": corpus(9, 1)}), DEFAULTS, evidence=Evidence(tables)), "FX101")
    assert result.verdict is Verdict.NO_ESTIMATE and result.counted == 0.9 and "labelled source" in str(result.reason)


def test_words_weigh_the_share_by_words(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": [row(words=900, hits=1), *[row(words=100)] * 9]})
    result = judged(assess(findings, DEFAULTS, evidence=TABLES), "FX102")
    assert result.share == 0.1 and result.by_words is not None and result.by_words.share == 0.5
    assert result.by_words.n == 10 and result.by_words.interval is not None
    assert result.by_words.interval.high - result.by_words.interval.low > 0.4  # one long document decides


def test_sources_come_worst_first_with_their_own_intervals(tmp_path: Path) -> None:
    rows = {
        name: [row(hits=1, source=name)] * hits + [row(source=name)] * (50 - hits) for name, hits in SOURCES.items()
    }
    findings = write_findings(tmp_path, {"s": [r for part in rows.values() for r in part]}, by="source")
    result = judged(assess(findings, DEFAULTS, evidence=TABLES), "FX102")
    assert [(s.source, s.n, s.hits) for s in result.sources] == [("web", 50, 40), ("forum", 50, 10), ("books", 50, 0)]
    assert all(s.interval is not None and s.share is not None for s in result.sources)


SOURCES = {"books": 0, "web": 40, "forum": 10}


def test_worst_rows_are_bounded_and_ties_stay_in_corpus_order(tmp_path: Path) -> None:
    shards = {"a": [row(2.5), row(4.0), row(0.0)], "b": [row(4.0), row(3.0), row(2.5)]}
    findings = write_findings(tmp_path, shards)
    result = judged(assess(findings, DEFAULTS, top=4, evidence=TABLES), "FX101")
    assert [(case.uri, case.row) for case in result.worst] == [
        ("/data/a", 1),
        ("/data/b", 0),
        ("/data/b", 1),
        ("/data/a", 0),
    ]
    assert result.worst[0].values == {"ai_text.p_human": pytest.approx(1e-4), "ai_text.margin": 4.0}
    assert result.worst[0].source == "a"


def test_unmeasured_rows_are_counted_over_all_rows(tmp_path: Path) -> None:
    rows: list[Row] = [row(), row(), {}, {"document": document(), "ai_text": None, "error:ai_text": "ValueError: x"}]
    found = assess(write_findings(tmp_path, {"a": rows}), DEFAULTS, evidence=TABLES)
    result = judged(found, "FX901")
    assert (result.n, result.hits, result.verdict) == (4, 2, Verdict.OVER)
    assert (found.total.nulls, found.total.errors) == (1, 1)


def test_a_rule_without_its_signal_is_not_applicable_unless_selected_by_id(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": [row()]}, signals=("document", "residue"))
    result = judged(assess(findings, DEFAULTS, select=["FX1"], evidence=TABLES), "FX101")
    assert (result.verdict, result.reason) == (Verdict.NOT_APPLICABLE, "not scanned: ai_text")
    with pytest.raises(ConfigError, match=r"FX101: reads ai_text, which was not scanned\. Scan with --signals ai_text"):
        assess(findings, DEFAULTS, select=["FX101"], evidence=TABLES)


def test_select_ignore_and_budgets_name_unknown_rules(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": [row()]})
    found = assess(findings, DEFAULTS, select=["FX1", "FX9"], ignore=["FX90"], evidence=TABLES)
    assert [result.rule.id for result in found.results] == ["FX101", "FX102"]
    with pytest.raises(ConfigError, match="Did you mean 'FX101'"):
        assess(findings, DEFAULTS, budgets={"FX11": 0.1}, evidence=TABLES)


def test_a_column_of_another_type_is_found_over_shards(tmp_path: Path) -> None:
    columns = {"a": {"id": "int64"}, "b": {"id": "string"}, "c": {"id": "int64", "new": "bool"}}
    findings = write_findings(tmp_path, {name: [row()] for name in columns}, columns=columns)
    result = judged(found := assess(findings, DEFAULTS, evidence=TABLES), "FX902")
    assert (result.judged, result.n, result.hits, result.verdict) == (Judged.SHARDS, 3, 1, Verdict.OVER)
    assert result.is_exact and result.interval == Interval(1 / 3, 1 / 3) and not judged(found, "FX901").is_exact
    assert [(case.uri, case.row) for case in result.worst] == [("/data/b", None)]
    assert result.worst[0].message == "column 'id' is string, in most shards int64" and found.exit_code == 1


def test_a_shard_that_failed_is_an_exit_2_whatever_the_rules_say(tmp_path: Path) -> None:
    failed = FailedShard("/data/p.parquet", "FX903", "/data/p.parquet: is an LFS pointer.")
    findings = write_findings(tmp_path, {"a": [row(hits=1)]}, failed=[failed])
    found = assess(findings, DEFAULTS, evidence=TABLES)
    assert judged(found, "FX903").hits == 1 and judged(found, "FX903").n == 2 and judged(found, "FX904").hits == 0
    assert found.exit_code == 2
    assert assess(findings, DEFAULTS, select=["FX102"], budgets={"FX102": 1.0}, evidence=TABLES).exit_code == 2


def test_no_rows_at_all_is_an_exit_2(tmp_path: Path) -> None:
    found = assess(write_findings(tmp_path, {"a": []}), DEFAULTS, evidence=TABLES)
    assert found.exit_code == 2 and judged(found, "FX101").verdict is Verdict.NOT_APPLICABLE


def test_the_signature_names_the_rules_that_judged(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": [row()]})
    everything, some = (assess(findings, DEFAULTS, select=s, evidence=TABLES).signature for s in ([], ["FX1"]))
    assert "|rules:" in everything and everything != some
    assert everything == assess(findings, DEFAULTS, budgets={"FX101": 0.5}, evidence=TABLES).signature


def test_how_shards_are_split_changes_no_number(tmp_path: Path) -> None:
    rows = [row(float(i % 5), words=i + 1, hits=i % 3) for i in range(60)]
    whole = assess(write_findings(tmp_path / "w", {"a": rows}), DEFAULTS, evidence=TABLES)
    split = assess(write_findings(tmp_path / "s", {"a": rows[:7], "b": rows[7:]}), DEFAULTS, evidence=TABLES)
    for one, two in zip(whole.results, split.results, strict=True):
        if one.judged is Judged.ROWS:
            assert (one.n, one.hits, one.share, one.interval, one.by_words) == (
                two.n, two.hits, two.share, two.interval, two.by_words,
            )  # fmt: skip


def test_a_rule_with_an_own_expression_is_judged_like_any_other(tmp_path: Path) -> None:
    rules = [Rule("MY101", "short", "document.words < 50", budget=0.1), find(DEFAULTS, "FX901")]
    found = assess(write_findings(tmp_path, {"a": [row(words=10), row(words=100)]}), rules, evidence=TABLES)
    assert [(r.rule.id, r.share, r.verdict.value) for r in found.results] == [
        ("MY101", 0.5, "over"),
        ("FX901", 0.0, "within"),
    ]


def test_residue_is_shown_with_its_phrase(tmp_path: Path) -> None:
    result = judged(assess(write_findings(tmp_path, {"a": [row(hits=2)]}), DEFAULTS, evidence=TABLES), "FX102")
    assert result.worst[0].values == {"residue.hits": 2, "residue.phrase": "en.as_an_ai"}


@pytest.mark.parametrize(
    ("kinds", "odd"),
    [
        (["null", "null", "string", "int64"], {"d": "string"}),
        (["list<item: null>", "list<item: string>", "null"], {}),
        (["struct<a: int64, b: null>", "struct<a: int64, b: null>", "struct<a: string, b: string>"], {"c": "a: int64"}),
        (["large_string", "string_view", "string"], {}),
        (["null", "null"], {}),
        (["string", "string", "dictionary<values=string, indices=int32, ordered=0>"], {"c": "string"}),
        (["struct<null: int64>", "struct<null: int64>", "struct<null: string>"], {"c": "int64"}),
    ],
)
def test_null_fits_every_type_and_a_dictionary_is_one_of_its_own(kinds: list[str], odd: dict[str, str]) -> None:
    shards = [
        ShardRecord(key, key, "jsonl", 1, 1, "", "", {"id": kind}, (0,))
        for key, kind in zip("abcd", kinds, strict=False)
    ]
    found = odd_types(shards)
    assert [case.uri for case in found] == list(odd)
    assert all(said in case.message.partition("most shards")[2] for case, said in zip(found, odd.values(), strict=True))


def test_many_sources_cost_few_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []

    def counted(*given: object, **named: int) -> object:
        spent.append(named.get("draws", 20_000))
        return estimate(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("audit.results.estimate", counted)
    rows = [row(0.0, source=f"s{i:04}") for i in range(240) for _ in range(i + 1)]
    rows += [row(3.0, source=f"t{i:04}") for i in range(500)]
    result = judged(assess(write_findings(tmp_path, {"a": rows}, by="source"), DEFAULTS, evidence=TABLES), "FX101")
    assert len(result.sources) == 740 and all(source.interval is not None for source in result.sources)
    assert spent.count(20_000) == 200 + 2 and spent.count(1_000) == 241 - 200


@dataclass(frozen=True)
class ProfiledTables(Tables):
    """The same, which also know the whole distribution of scores in labelled sources."""

    profiles: Profiles = field(default_factory=usual)


PROFILED = Evidence(ProfiledTables())


def scored(share: float, n: int = 600, *, seed: int = 3, source: str = "web") -> list[Row]:
    counts = drawn(n, share, pool(9, HUMAN_ODDS, 50 + seed), pool(9, MACHINE_ODDS, 70 + seed), seed)
    return [row(float(margin), source=source) for margin in np.repeat(BIN_ODDS, counts)]


def test_where_distributions_are_known_the_share_comes_from_them_and_flags_stand_beside_it(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": scored(0.4)})
    result = judged(assess(findings, DEFAULTS, evidence=PROFILED), "FX101")
    assert result.shares is not None and result.corrected and result.verdict is Verdict.OVER
    assert (result.share, result.interval) == (result.shares.documents.share, result.shares.documents.interval)
    assert result.share == pytest.approx(0.4, abs=0.1) and result.counted == result.hits / result.n
    flagged = judged(assess(findings, DEFAULTS, evidence=TABLES), "FX101")
    assert flagged.shares is None and (flagged.hits, flagged.n) == (result.hits, result.n)
    (opinion,) = (o for o in result.shares.documents.second_opinions if "Rogan" in o.method)
    assert (opinion.share, opinion.interval) == (flagged.share, flagged.interval)
    assert result.by_words is not None and result.by_words.interval == result.shares.words.interval


def test_the_budget_is_held_against_the_lower_end_of_that_interval(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": scored(0.4)})
    interval = judged(assess(findings, DEFAULTS, evidence=PROFILED), "FX101").interval
    assert interval is not None
    for budget, strict, verdict in (
        (interval.low - 0.001, False, Verdict.OVER),
        (interval.low + 0.001, False, Verdict.WITHIN),
        (interval.low + 0.001, True, Verdict.OVER),
        (interval.high + 0.001, True, Verdict.WITHIN),
    ):
        found = assess(findings, DEFAULTS, budgets={"FX101": budget}, strict=strict, evidence=PROFILED)
        assert judged(found, "FX101").verdict is verdict


def test_human_text_is_never_over_budget(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": scored(0.0)})
    result = judged(assess(findings, DEFAULTS, budgets={"FX101": 0.0}, evidence=PROFILED), "FX101")
    assert result.interval is not None and result.interval.low == 0 and result.verdict is Verdict.WITHIN


def test_each_source_has_the_share_of_its_own_distribution(tmp_path: Path) -> None:
    rows = [*scored(0.0, source="books"), *scored(0.9, source="farm"), row(None, source="short")]
    result = judged(assess(write_findings(tmp_path, {"a": rows}, by="source"), DEFAULTS, evidence=PROFILED), "FX101")
    assert [source.source for source in result.sources] == ["farm", "books", "short"]
    farm, books, short = result.sources
    assert farm.share is not None and books.share is not None and farm.share > 0.6 > 0.2 > books.share
    assert (short.n, short.share, short.interval) == (0, None, None)


def test_wide_intervals_of_words_and_groups_are_cut_to_what_flags_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two lumps that no mix of the labelled sources explains.
    rows = [row(margin, source=name) for margin in (3.0, -4.5) for name in ("a", "b") for _ in range(150)]
    findings = write_findings(tmp_path, {"a": rows}, by="source")
    cut = judged(assess(findings, DEFAULTS, evidence=PROFILED), "FX101").shares
    monkeypatch.setattr("audit.narrowing.WIDE", 1.0)
    whole = judged(assess(findings, DEFAULTS, evidence=PROFILED), "FX101").shares
    assert cut is not None and whole is not None
    pairs = [(cut.documents, whole.documents), (cut.words, whole.words)]
    pairs += [(cut.groups[kind][name], one) for kind, groups in whole.groups.items() for name, one in groups.items()]
    assert [len(whole.groups[kind]) for kind in ("source", "language")] == [2, 1] and len(pairs) == 5
    for after, before in pairs:
        assert after.interval is not None and before.interval is not None
        assert before.interval.high - before.interval.low > 0.5 and "what was flagged" in after.reasons[-1]
        assert before.interval.low <= after.interval.low and after.interval.high <= before.interval.high
        assert after.interval.high - after.interval.low < before.interval.high - before.interval.low


def test_flags_on_text_unlike_the_reference_leave_its_share_open(tmp_path: Path) -> None:
    strange = [row(3.0, source="strange") for _ in range(500)]
    for one in strange:
        one["ai_text"]["out_of_support"] = True
    findings = write_findings(tmp_path, {"a": [*scored(0.0, n=400), *strange]}, by="source")
    result = judged(assess(findings, DEFAULTS, evidence=PROFILED), "FX101")
    assert result.shares is not None and result.hits >= 500
    for found in (result.shares.documents, result.shares.words, result.shares.groups["language"]["en"]):
        assert found.interval is not None and found.interval.low == 0 and found.interval.high >= 500 / 900


def test_labels_of_a_random_sample_decide(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": scored(0.4)})
    picked = np.random.default_rng(1).choice(findings.rows, 200, replace=False)
    frame = pl.DataFrame({"shard": ["a"] * 200, "row": pl.Series(picked, dtype=pl.Int64), "label": [False] * 200})
    result = judged(assess(findings, DEFAULTS, evidence=Evidence(ProfiledTables(), Labels(frame))), "FX101")
    assert result.shares is not None and result.shares.documents.labelled == 200
    assert result.share == 0 and result.verdict is Verdict.WITHIN


def test_how_shards_are_split_changes_no_estimated_share(tmp_path: Path) -> None:
    rows = [{**one, "document": document(i % 90)} for i, one in enumerate(scored(0.3, 200))]
    whole = judged(assess(write_findings(tmp_path / "w", {"a": rows}), DEFAULTS, evidence=PROFILED), "FX101")
    split = judged(
        assess(write_findings(tmp_path / "s", {"b": rows[90:], "a": rows[:90]}), DEFAULTS, evidence=PROFILED), "FX101"
    )
    assert whole.shares is not None and split.shares is not None
    assert (whole.shares.documents, whole.shares.words) == (split.shares.documents, split.shares.words)


def test_a_detector_whose_scores_are_unknown_is_judged_by_its_flags(tmp_path: Path) -> None:
    empty = Evidence(ProfiledTables(profiles=Profiles()))
    findings = write_findings(tmp_path, {"a": corpus(60, 140)})
    one, other = (judged(assess(findings, DEFAULTS, evidence=known), "FX101") for known in (empty, TABLES))
    assert (one.share, one.interval, one.shares) == (other.share, other.interval, None)


@pytest.mark.parametrize(
    ("tables", "shard", "says"), [(Tables(), "a", "nothing was scored"), (ProfiledTables(), "b", "no labelled row")]
)
def test_labels_that_change_nothing_are_an_error(tmp_path: Path, tables: Tables, shard: str, says: str) -> None:
    findings = write_findings(tmp_path, {"a": scored(0.4, 100)})
    labels = Labels(pl.DataFrame({"shard": [shard], "row": pl.Series([0], dtype=pl.Int64), "label": [True]}))
    with pytest.raises(ConfigError, match=says):
        assess(findings, DEFAULTS, evidence=Evidence(tables, labels))


def test_margins_of_a_model_without_a_reference_are_named_as_the_reason(tmp_path: Path) -> None:
    rows = [row(0.0), row(1.0)]
    for one in rows:
        one["ai_text"]["tier"] = "custom:x"
    (found,) = assess(write_findings(tmp_path, {"a": rows}), DEFAULTS, select=["FX101"], top=0).results
    assert found.verdict is Verdict.NO_ESTIMATE and found.reason is not None
    assert "custom:x have no human reference" in found.reason
