"""A report has a section for everything, says why one has no data, and can be read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from audit.assess import assess
from audit.findings_folder import FailedShard, Findings
from audit.intervals import Interval
from audit.report.baseline import read_baseline
from audit.report.build import Asked, build_report
from audit.report.content import Absent, Headline, Report
from audit.report.content_scores import Scores, Yield
from audit.report.content_text import Fit, Skeleton, Uniformity
from audit.report.content_training import Curve, Knowledge, Outcome, Outcomes, TrialArm, TrialChange, Trials, Unknown
from audit.report.document import render_json, schema
from audit.report.glance import glance
from audit.report.markdown import render_markdown
from audit.report.page import render_page
from audit.report.sections import sections_of
from audit.report.wording import meaning, verdict
from audit.rules import DEFAULTS
from detectors.errors import InputError
from tests.audit.judging import row, write_findings
from tests.hostile import ITEM, PAYLOADS

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"
SECTIONS = (
    "glance", "groups", "scores", "yield", "diversity", "cases", "form", "knowledge", "curricula", "trial", "change",
    "method",
)  # fmt: skip


@pytest.fixture
def hostile(hostile_scan: Findings, hostile_report: Report) -> tuple[Findings, Report]:
    return hostile_scan, hostile_report


@pytest.fixture
def bare(tmp_path: Path) -> Report:
    """A report on a scan that measured sizes alone, and could not read a file."""
    failed = [FailedShard("/data/b.parquet", "FX904", "/data/b.parquet: is torn. Fetch it again.")]
    findings = write_findings(tmp_path / "bare", {"a": [row()] * 3}, signals=("document",), failed=failed)
    return build_report(findings, DEFAULTS)


def filled(report: Report) -> Report:
    """With sections that only a probe, a curate and a trial fill."""
    knowledge = Knowledge(
        ("HighlyKnown", "Unknown"), {"": (3, 1), "a": (3, 1)}, (2, 2), Unknown(0.3, Interval(0.1, 0.5), 9)
    )
    outcomes = Outcomes(
        "document.words",
        (Outcome("dedup", 4, 3, 3, 90, 80, 0.5, None, 70.0, 71.5, {"FX301": 1}), Outcome("x", absent="no")),
    )
    curve = Curve("a", (1.0, 2.0), (3.0, 2.0), (2.5, 1.5), (3.5, 2.5))
    change = TrialChange("b - a", "loss", -0.5, -0.7, -0.3, 0.01)
    trial = Trials(
        "d1",
        1000,
        2,
        (curve, dataclasses.replace(curve, arm="b")),
        (TrialArm("a", "t", "loss", 2.0, None, None),),
        (change,),
    )
    return dataclasses.replace(report, knowledge=knowledge, outcomes=outcomes, trial=trial)


def test_every_section_is_there_and_says_why_where_it_has_no_data(bare: Report) -> None:
    sections = sections_of(bare)
    assert tuple(section.id for section in sections) == SECTIONS
    assert all(section.blocks for section in sections)
    text = render_markdown(bare)
    for said in (
        "ai\\_text was not scanned",
        "Diversity was not measured",
        "Form was not measured",
        "No model was asked",
        "No trial was named",
        "No earlier audit was named",
        "Neither duplicates nor leakage were looked for",
        "b.parquet: is torn",
        "no estimate",
    ):
        assert said in text, said


@pytest.mark.parametrize("rows", [[], [row(margin=None, words=3)] * 4, [{"source": "a"}] * 3])
def test_a_corpus_of_which_nothing_can_be_judged_has_a_page(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    report = build_report(write_findings(tmp_path / "none", {"a": rows}), DEFAULTS)
    assert report.headline.share is None and report.data.rows == len(rows)
    assert "no estimate" in render_page(report)
    jsonschema.validate(json.loads(render_json(report)), schema())


def test_all_sections_have_figures_where_everything_was_measured(hostile: tuple[Findings, Report]) -> None:
    report = filled(hostile[1])
    assert set(report.groups) == {"source", "domain", "language", "time"} and not report.missing_groups
    for field in ("scores", "variety", "uniformity", "knowledge", "outcomes", "trial"):
        assert not isinstance(getattr(report, field), Absent), field
    page = render_page(report)
    for title in ("Distribution of scores", "Lexical diversity", "SliCK categories", "Learning curves"):
        assert title in page


def test_shares_of_flagged_documents_are_of_all_that_were_judged(hostile: tuple[Findings, Report]) -> None:
    scores, rule = hostile[1].scores, next(rule for rule in hostile[1].rules if rule.id == "FX101")
    assert isinstance(scores, Scores) and scores.judged == rule.n == hostile[1].headline.n
    (threshold,) = [one for one in scores.thresholds if one.rate == 0.01]
    assert threshold.flagged == rule.hits


def test_groups_add_up_to_the_corpus(hostile: tuple[Findings, Report]) -> None:
    report = hostile[1]
    for groups in report.groups.values():
        assert sum(group.n for group in groups) == report.headline.n
    months = [group.name for group in report.groups["time"]]
    assert months == sorted(months) and len(months) == 6
    assert all(list(group.trend) == sorted(group.trend) for group in report.groups["source"])


def test_sources_of_which_nothing_could_be_judged_are_named_where_they_are_few(tmp_path: Path) -> None:
    def said(name: str, silent: int) -> str:
        rows = [row(source="web")] * 5 + [row(None, source=f"qa{at}") for at in range(silent)]
        return render_markdown(build_report(write_findings(tmp_path / name, {"a": rows}, by="src"), DEFAULTS))

    assert "Without a document" not in said("none", 0)
    assert "Without a document that could be judged: qa0, qa1." in said("two", 2)
    assert "could be judged: qa0, qa1, qa2, qa3, qa4 and 2 more." in said("seven", 7)


def test_words_beyond_those_that_were_there_are_a_share_too(bare: Report) -> None:
    outcomes = Outcomes("document.words", (Outcome("importance", 4, 3, 4, 200, 215, 0.5, None, 70.0, 71.5, {}),))
    assert "| 215 (108 %) |" in render_markdown(dataclasses.replace(bare, outcomes=outcomes))


def test_skeletons_that_most_rows_share_come_first(bare: Report) -> None:
    few, many = (Skeleton(name, n, 0.1, f"_ {name}", "text") for name, n in (("a", 2), ("b", 9)))
    fit = Fit("", 11, 0.2, Interval(0.1, 0.3), None, None, 0, {}, None, None)
    text = render_markdown(dataclasses.replace(bare, uniformity=Uniformity((fit,), (few, many), "")))
    assert text.index("| b | 9 |") < text.index("| a | 2 |")


def test_cases_hold_the_rows_that_the_rules_hit_with_their_texts(hostile: tuple[Findings, Report]) -> None:
    shown = {one.rule: one for one in hostile[1].examples}
    pair = shown["FX301"].pairs[0]
    assert pair.right is not None and pair.left.row != pair.right.row
    near = shown["FX302"].pairs[0]
    assert near.right is not None
    assert any("<i>RIVER</i>" in text for text, marked in (*near.left.pieces, *near.right.pieces) if marked)
    assert shown["FX102"].excerpts and shown["FX102"].excerpts[0].text.startswith("As an AI language model")
    leak = shown["FX303"].pairs[0]
    assert leak.right is None and [text for text, marked in leak.left.pieces if marked] == [ITEM]
    assert PAYLOADS[1] in leak.facts


def test_what_was_not_judged_has_no_cases_and_says_so(bare: Report) -> None:
    assert {one.rule for one in bare.examples} == {"FX101", "FX102", "FX301", "FX302", "FX303"}
    assert all("Not judged" in one.reason and not one.pairs and not one.excerpts for one in bare.examples)


def test_without_texts_no_word_of_the_corpus_is_in_it(hostile: tuple[Findings, Report]) -> None:
    report = build_report(hostile[0], DEFAULTS, Asked(with_text=False))
    for text in (render_page(report), render_markdown(report), render_json(report)):
        assert "As an AI language model" not in text and "RIVER" not in text and "as asked" in text


def test_a_corpus_that_is_gone_leaves_the_figures_and_says_that_texts_are_missing(
    hostile: tuple[Findings, Report], tmp_path: Path
) -> None:
    report = build_report(hostile[0], DEFAULTS, Asked(corpus=str(tmp_path)))
    assert report.headline == hostile[1].headline
    assert all(not one.pairs and not one.excerpts for one in report.examples)
    assert any("cannot be read" in one.reason for one in report.examples)


def test_the_json_keeps_to_the_schema_that_lies_in_the_docs(hostile: tuple[Findings, Report], bare: Report) -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == schema(), "write it again: make report-picture"
    against = assess(hostile[0], DEFAULTS, top=0)
    compared = build_report(hostile[0], DEFAULTS, baseline=against)
    for report in (bare, filled(hostile[1]), compared):
        document = json.loads(render_json(report))
        jsonschema.Draft202012Validator(schema()).validate(document)
        assert document["format"] == "foxing-report" and document["signature"] == report.signature


def test_a_report_read_back_is_the_same_audit(hostile: tuple[Findings, Report], tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(render_json(hostile[1]))
    change = build_report(hostile[0], DEFAULTS, baseline=read_baseline(tmp_path / "old.json")).change
    assert not isinstance(change, Absent)
    assert not change.sources and not change.appeared and not change.warnings
    assert change.rows == (48, 48) and len(set(change.signatures)) == 1
    for one in change.rules:
        assert one.change in (None, 0.0) and one.verdict.value in ("not told apart", "not comparable")


def test_rules_over_shards_are_exact_here_and_in_what_changed_even_beside_an_older_file(
    bare: Report, tmp_path: Path
) -> None:
    document = json.loads(render_json(bare))
    for rule in document["rules"]:
        if rule["judged"] == "shard":
            rule["interval"] = [0.0, 0.99]  # as it was written before
    (tmp_path / "old.json").write_text(json.dumps(document))
    other = write_findings(tmp_path / "new", {"a": [row()] * 3}, signals=("document",))
    report = build_report(other, DEFAULTS, baseline=read_baseline(tmp_path / "old.json"))
    assert not isinstance(report.change, Absent)
    (change,) = (one for one in report.change.rules if one.rule == "FX904")
    assert (change.change, change.interval, change.exact) == (-0.5, Interval(-0.5, -0.5), True)
    assert {one.rule for one in report.change.rules if one.exact} == {"FX902", "FX903", "FX904"}
    lines = [line for line in render_markdown(report).splitlines() if line.startswith("| FX904")]
    assert len(lines) == 2 and all("| exact |" in line for line in lines)


def test_no_source_looks_new_beside_a_report_that_had_many(tmp_path: Path) -> None:
    rows = [row(hits=at % 2, source=f"s{at}") for at in range(300)]
    findings = write_findings(tmp_path / "many", {"a": rows}, signals=("document", "residue"), by="src")
    (tmp_path / "old.json").write_text(render_json(build_report(findings, DEFAULTS)))
    change = build_report(findings, DEFAULTS, baseline=read_baseline(tmp_path / "old.json")).change
    assert not isinstance(change, Absent) and not change.appeared and not change.vanished


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "cannot be read as JSON"),
        ("[]", "is None in version None"),
        ('{"format": "foxing-report", "version": 99}', "in version 99"),
        ('{"format": "foxing-report", "version": 1}', "is damaged"),
        ('{"format": "foxing-report", "version": 1, "signature": "", "data": 3, "rules": []}', "is damaged"),
    ],
)
def test_a_baseline_that_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_baseline(tmp_path / "old.json")
    assert "old.json" in str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.9, "Even the lower end is above"), (0.0, 0.04, "within the budget"), (0.0, 0.3, "cannot be said yet")],
)
def test_the_headline_says_what_the_interval_leaves_open(low: float, high: float, said: str) -> None:
    assert said in meaning((low + high) / 2, Interval(low, high), 0.05, None)


@pytest.mark.parametrize(
    ("judged", "high", "said"),
    [
        ("over", 0.9, "over budget"),
        ("within", 0.04, "within budget"),
        ("within", 0.2, "not shown"),
        ("no estimate", 1, "no e"),
    ],
)
def test_a_verdict_is_within_budget_only_where_the_whole_interval_is(judged: str, high: float, said: str) -> None:
    head = Headline(0.02, Interval(0.0, high), 9, None, None, 0.05, judged, "", "", (), ())
    assert verdict(head)[0].startswith(said)


def test_an_interval_that_leaves_most_shares_open_is_called_a_guess() -> None:
    assert "a guess" in meaning(0.3, Interval(0.17, 1.0), 0.05, None)
    assert "a guess" not in meaning(0.3, Interval(0.25, 0.35), 0.05, None)


def test_the_filter_is_told_at_the_rate_at_which_fx101_flags(hostile: tuple[Findings, Report]) -> None:
    def told(report: Report) -> list[str]:
        return [text for text, target, _ in glance(report) if target == "yield"]

    (one,), milder = (
        told(hostile[1]),
        [dataclasses.replace(rule, when="ai_text.p_human <= 0.2") for rule in DEFAULTS[:1]],
    )
    assert DEFAULTS[0].id == "FX101" and "costs about" in one
    report = build_report(hostile[0], milder, Asked(with_text=False))
    assert isinstance(report.yield_curve, Yield) and report.yield_curve.rate == 0.2
    (other,) = told(report)
    assert other != one
    curve = dataclasses.replace(report.yield_curve, rate=None)
    assert not told(dataclasses.replace(report, yield_curve=curve))


def test_bad_news_stands_first_and_leads_to_its_section(hostile: tuple[Findings, Report]) -> None:
    items = glance(filled(hostile[1]))
    assert items[0][0].startswith("Over budget: ") and {target for _, target, _ in items} <= set(SECTIONS)


def test_the_same_findings_give_the_same_bytes(hostile: tuple[Findings, Report]) -> None:
    again = build_report(Findings.open(hostile[0].directory), DEFAULTS)
    assert render_page(again) == render_page(hostile[1]) and render_json(again) == render_json(hostile[1])
