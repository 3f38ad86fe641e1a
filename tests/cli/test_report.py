"""`foxing report` as people run it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit import open as open_audit
from audit.cli import options
from audit.findings_folder import Fields, Findings, ShardRecord
from audit.report.render import Form
from curricula.report import Wanted, write_report
from tests.audit.judging import row, write_findings
from tests.curricula.test_outcomes import write_trial

Run = Callable[..., Any]
ONE = ("--curriculum", "human-first")


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    rows = [row(margin=4.0 if at % 3 else -3.0, hits=int(at % 5 == 0)) for at in range(60)]
    write_findings(tmp_path / "audit", {"a": rows[:30], "b": rows[30:]})
    return tmp_path / "audit"


def test_the_page_is_one_small_file_without_scripts_or_addresses(foxing: Run, audit: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    answer = foxing(
        "report", audit, "-o", page, "--trial", write_trial(tmp_path / "trial"), "--title", "My corpus", *ONE
    )
    text = page.read_text("utf-8")
    assert answer.code == 0 and not answer.out and "report.html" in answer.err
    assert text.startswith("<!doctype html>") and page.stat().st_size < 3_000_000
    assert "<title>My corpus: foxing report</title>" in text and "Learning curves" in text
    assert "<script" not in text and "http://" not in text and "https://" not in text and "url(" not in text


def test_all_formats_say_the_same_share(foxing: Run, audit: Path) -> None:
    document = json.loads(foxing("report", audit, "--format", "json", "--no-curricula").out)
    share = document["headline"]["share"]
    assert share is not None
    for form in ("html", "markdown", "card"):
        answer = foxing("report", audit, "--format", form, "--no-curricula")
        assert answer.code == 0 and f"{100 * share:.1f}" in answer.out
        assert document["signature"] in answer.out.replace("\\", "")


def test_a_report_never_fails_for_what_it_found(foxing: Run, audit: Path) -> None:
    assert foxing("check", audit).code == 1
    assert foxing("report", audit, "--format", "card", "--no-curricula").code == 0


def test_the_baseline_may_be_a_scan_a_report_or_a_check(foxing: Run, audit: Path, tmp_path: Path) -> None:
    clean = [row(margin=-3.0) for _ in range(60)]
    write_findings(tmp_path / "now", {"a": clean, "c": clean})
    foxing("report", audit, "--format", "json", "--no-curricula", "-o", tmp_path / "old.json")
    foxing("check", audit, "--format", "json", "--output-file", tmp_path / "check.json")
    found = []
    for old in (audit, tmp_path / "old.json", tmp_path / "check.json"):
        answer = foxing("report", tmp_path / "now", "--baseline", old, "--format", "json", "--no-curricula")
        assert answer.code == 0, answer.err
        found.append(json.loads(answer.out)["change"])
    assert found[0] == found[1] == found[2]
    residue = next(one for one in found[0]["rules"] if one["rule"] == "FX102")
    assert residue["verdict"] == "lower" and residue["interval"][1] < 0
    assert found[0]["appeared"] == ["c"] and found[0]["vanished"] == ["b"]


def test_a_card_that_is_there_keeps_its_own_text(foxing: Run, audit: Path, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("---\nlicense: mit\n---\n# Mine\n")
    for _ in range(2):
        assert foxing("report", audit, "--format", "card", "--no-curricula", "-o", card).code == 0
    text = card.read_text()
    card.write_bytes(text.replace("\n", "\r\n").encode())
    assert foxing("report", audit, "--format", "card", "--no-curricula", "-o", card).code == 0
    assert card.read_text() == text and b"# Mine\r\n" in card.read_bytes()
    assert "license: mit" in text and "# Mine" in text and text.count("foxing report: begin") == 1


def test_named_curricula_are_foreseen_together_and_alone(foxing: Run, audit: Path) -> None:
    words = ("--curriculum", "human-first", "--curriculum", "shuffled", "--format", "json")
    names = [one["name"] for one in json.loads(foxing("report", audit, *words).out)["outcomes"]["outcomes"]]
    assert names == ["human-first", "shuffled"]


CARD = "---\nlicense: mit\n---\n# Mine\n"
FORMS: tuple[Form, ...] = ("html", "json", "markdown", "card")
SAME: list[tuple[Form, tuple[object, ...], dict[str, object]]] = [
    ("html", (), {}),
    ("html", ("--title", "My corpus", "--trial", "trial", "--baseline", "old"),
     {"title": "My corpus", "trial": "trial", "baseline": Path("old")}),
    ("json", ("--curriculum", "human-first,decontaminate", "--curriculum", "shuffled", "--examples", 1),
     {"curricula": [["human-first", "decontaminate"], "shuffled"], "examples": 1}),
    ("json", ("--baseline", "old.json", "--no-curricula", "--corpus", "."),
     {"baseline": "old.json", "curricula": None, "corpus": "."}),
    ("markdown", ("--no-text", "--labels", "labels.csv", *ONE),
     {"with_text": False, "labels": "labels.csv", "curricula": [["human-first"]]}),
    *((form, ("--no-curricula",), {"curricula": None}) for form in FORMS),
]  # fmt: skip


@pytest.mark.parametrize(("form", "words", "fields"), SAME)
def test_python_writes_the_bytes_of_the_command(
    form: Form,
    words: tuple[object, ...],
    fields: dict[str, Any],
    foxing: Run,
    audit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_findings(tmp_path / "old", {"a": [row(margin=-3.0, hits=1)] * 20})
    write_trial(tmp_path / "trial")
    rows = [(shard, at, int(at % 3 > 0)) for shard in "ab" for at in range(30)]
    (tmp_path / "labels.csv").write_text("shard,row,label\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    (tmp_path / "foxing.toml").write_text("[check.budget]\nFX102 = 0.5\n[curriculum.shuffled]\nseed = 3\n")
    assert foxing("report", "old", "--format", "json", "-o", "old.json", "--no-curricula").code == 0
    for name in ("command", "python"):
        Path(name).write_text(CARD)
    answer = foxing(
        "report", audit, "--format", form, "-o", "command", *words, "--config", "foxing.toml", settings=True
    )
    assert answer.code == 0, answer.err
    found = open_audit(audit, settings="foxing.toml")
    assert write_report(found, "python", Wanted(**fields), form=form) == Path("python")
    assert Path("python").read_bytes() == Path("command").read_bytes() != CARD.encode()
    if words == ("--no-curricula",):
        Path("alone").write_text(CARD)
        found.report("alone", form=form)
        assert Path("alone").read_bytes() == Path("command").read_bytes()


def test_findings_are_read_once_however_many_curricula_are_foreseen(
    audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []
    once = Findings._part

    def counted(self: Findings, shard: ShardRecord, first: int, fields: Fields | None) -> Iterator[pl.DataFrame]:
        read.append((shard.key, first))
        return once(self, shard, first, fields)

    monkeypatch.setattr(Findings, "_part", counted)
    write_report(open_audit(audit), tmp_path / "page")
    assert read == [("a", 0), ("a", 0), ("b", 0)]  # the first is looked at for its columns besides


def test_a_reference_that_cannot_be_used_is_said_before_a_row_is_read(
    foxing: Run, audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Findings, "_part", lambda *_: pytest.fail("read"))
    answer = foxing("report", audit, "--reference", audit, "--no-curricula")
    assert answer.code == 2 and "diversity was not scanned" in answer.err


def test_progress_goes_to_a_terminal_and_nowhere_else(
    foxing: Run, audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("report", audit, "-o", tmp_path / "page", "--baseline", audit, *ONE)
    assert foxing(*words).err.count("\n") == 1
    monkeypatch.setattr(options, "_is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setattr(options, "_REDRAW_EVERY_S", 0.0)
    shown = foxing(*words).err
    for what in ("baseline", "report", "curricula"):
        assert f"{what} 100%  60 of 60 rows" in shown, what
    assert "rows" not in foxing(*words, "-q").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--curriculum", "human-first", "--no-curricula"), "exclude each other"),
        (("--curriculum", "nonesuch"), "nonesuch"),
        (("--trial", "."), "trial.json"),
        (("--baseline", "nowhere"), "nowhere"),
        (("--format", "pdf"), "pdf"),
    ],
)
def test_what_cannot_be_done_exits_2_and_is_named(foxing: Run, audit: Path, words: tuple[str, ...], said: str) -> None:
    answer = foxing("report", audit, *words)
    assert answer.code == 2 and said in answer.err and not answer.out


def test_thousands_of_sources_still_make_a_small_page(foxing: Run, tmp_path: Path) -> None:
    rows = [row(margin=0.0, hits=at % 2, source=f"source-{at}" * 20) for at in range(3000)]
    write_findings(tmp_path / "many", {"a": rows}, by="src")
    page = tmp_path / "many.html"
    assert foxing("report", tmp_path / "many", "-o", page, "--no-curricula").code == 0
    assert page.stat().st_size < 300_000
    assert "2,970 smaller groups more" in page.read_text("utf-8")


def test_what_the_settings_allow_is_not_dropped_in_any_outcome(foxing: Run, tmp_path: Path) -> None:
    write_findings(tmp_path / "audit", {"bot": [row(margin=4.0)] * 9, "web": [row(margin=4.0)] * 3})
    (tmp_path / "foxing.toml").write_text('[allow]\nsource = ["bot"]\n')
    words = ("report", tmp_path / "audit", "--format", "json", "--config", tmp_path / "foxing.toml")
    document = json.loads(foxing(*words, settings=True).out)
    found = next(one for one in document["outcomes"]["outcomes"] if one["name"] == "original, --drop FX101")
    assert (found["rows"], found["kept"], found["dropped"]) == (12, 9, {"FX101": 3})
