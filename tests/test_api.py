"""`import audit`: cheap, the same numbers as the command line, and every example in docs/api.md is typed and runs."""

from __future__ import annotations

import json
import pickle
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import audit
from audit.config import CalibrationConfig, Config
from audit.export import selected
from audit.in_memory import PER_TEXT, Judge
from detectors.errors import ConfigError, FindingsError, PluginError
from tests.corpora import texts

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.DOTALL)
RESIDUE = "As an AI language model, I cannot help with that. " * 8


def write_corpus(path: Path) -> list[str]:
    """Plain texts, and two with assistant residue at the end."""
    rows = [*texts(30), RESIDUE, RESIDUE.replace("help", "assist")]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows), "utf-8")
    return rows


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    write_corpus(folder / "corpus.jsonl")
    audit.scan(folder / "corpus.jsonl", folder / "audit")
    return folder


def test_names_are_sorted_and_there() -> None:
    assert sorted(audit.__all__) == audit.__all__
    assert all(hasattr(audit, name) for name in audit.__all__)


def test_no_module_bears_the_name_of_a_function() -> None:
    """Importing the module would put it in the function's place."""
    modules = {module.name for module in pkgutil.iter_modules(audit.__path__)}
    assert "scan_run" in modules and not modules & set(audit.__all__)


def test_findings_are_those_of_the_command(home: Path, foxing: Callable[..., Any]) -> None:
    columns = ["shard", "row", "document.words", "rules", "action"]
    said = foxing("findings", home / "audit", "--columns", ",".join(columns)).out
    frame = audit.open(home / "audit").findings(*columns)
    assert [json.loads(line) for line in said.splitlines()] == frame.to_dicts()
    assert frame.height == 32 and frame.columns == columns
    assert audit.findings(home / "audit", *columns).equals(frame)


def test_verdicts_are_those_of_the_command(home: Path, foxing: Callable[..., Any]) -> None:
    answer = foxing("check", home / "audit", "--format", "json", "--budget", "FX102=0.5")
    verdicts = audit.check(home / "audit", budgets={"FX102": 0.5})
    assert json.loads(verdicts.text("json")) == json.loads(answer.out)
    assert verdicts.exit_code == answer.code
    row = verdicts.rules.row(by_predicate=pl.col("rule") == "FX102", named=True)
    assert (row["n"], row["hits"], row["share"]) == (32, 2, 2 / 32)
    assert row["low"] < row["share"] < row["high"] and row["budget"] == 0.5
    assert "FX102" not in verdicts.over and "FX102" in audit.check(home / "audit", select=["FX102"]).over
    (source,) = verdicts.sources.filter(rule="FX102").to_dicts()
    assert (source["n"], source["hits"]) == (32, 2)


def test_one_name_is_not_taken_for_its_letters(home: Path) -> None:
    found = audit.open(home / "audit")
    assert found.check(select="FX102").rules["rule"].to_list() == ["FX102"]
    assert "FX102" not in found.check(select=["FX102", "FX2"], ignore="FX102").rules["rule"].to_list()
    assert audit.judge(["one two"], signals="document")["document"].struct.field("words").to_list() == [2]


def test_report_of_an_unknown_form_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'pdf' is none of html, json, markdown"):
        audit.open(home / "audit").report(tmp_path / "report", form="pdf")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_settings_file_is_read_only_when_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "foxing.toml").write_text('[check.budget]\nFX102 = 0.5\n[rule.FX102]\nname = "mine"\n', "utf-8")
    monkeypatch.chdir(home)
    assert "FX102" in audit.check("audit", select=["FX102"]).over
    named = audit.check("audit", settings="foxing.toml", select=["FX102"])
    assert "FX102" not in named.over and "mine" in named.rules["name"].to_list()


def test_texts_in_memory_are_measured_as_in_a_scan(home: Path) -> None:
    rows = [json.loads(line)["text"] for line in (home / "corpus.jsonl").read_text("utf-8").splitlines()]
    fields = ("row", "rules", "document.characters", "diversity.mtld", "ai_text.p_human", "ai_text.score")
    scanned = audit.open(home / "audit").findings(*fields)
    judged = Judge().columns(rows, fields)
    for name in fields[2:]:
        assert scanned[name].to_list() == judged[name]
    per_text = [[rule for rule in rules if not rule.startswith("FX3")] for rules in scanned["rules"]]
    assert per_text == judged["rules"]


@pytest.mark.parametrize("by", [None, "source", "domain"])
def test_texts_in_memory_are_judged_by_the_reference_of_the_settings_as_the_commands_judge(
    by: str | None, tmp_path: Path, foxing: Callable[..., Any]
) -> None:
    random = np.random.default_rng(3)
    human = [{"text": text, "kind": ["sea", "land"][at % 2]} for at, text in enumerate(texts(80, seed=5))]
    rows = [{"text": text, "kind": ["sea", "land", None, "sky"][random.integers(4)]} for text in texts(40, seed=6)]
    for name, part in (("human", human), ("corpus", [*rows, {"text": None, "kind": "sea"}])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), "utf-8")
    grouped = [] if by is None else ["--by", "kind"]
    made = foxing("calibrate", tmp_path / "human.jsonl", "--fpr", "0.2", *grouped, "-o", tmp_path / "own.json")
    assert made.code == 0, made.err
    settings = tmp_path / "foxing.toml"
    column = "" if by is None else {"source": 'by = "kind"', "domain": 'domain_column = "kind"'}[by]
    settings.write_text(
        f'{column}\n[calibration]\nreference = "own.json"\n[rule.FX101]\nwhen = "ai_text.p_human <= 0.2"\n', "utf-8"
    )
    assert (
        foxing("scan", tmp_path / "corpus.jsonl", "-o", tmp_path / "audit", "--config", settings, settings=True).code
        == 0
    )
    fields = ["document.words", "ai_text.margin", "ai_text.p_human", "ai_text.score", "rules", "action"]
    said = foxing(
        "findings", tmp_path / "audit", "--config", settings, "--columns", ",".join(fields), settings=True
    ).out
    scanned = [json.loads(line) for line in said.splitlines()]
    every, sources = [row["text"] for row in rows] + [None], [row["kind"] for row in rows] + ["sea"]
    judged = selected(audit.judge(every, sources=sources, settings=settings), fields)
    memory = [json.loads(line) for line in judged.write_ndjson().splitlines()]
    for row in scanned:
        row["rules"] = [rule for rule in row["rules"] if not rule.startswith("FX3")]
    assert memory == scanned
    bundled = audit.judge(every)["ai_text"].struct.field("p_human").to_list()
    moved = {sources[at] for at, row in enumerate(memory) if row["ai_text.p_human"] != pytest.approx(bundled[at])}
    assert moved == ({"sea", "land"} if by else {"sea", "land", None, "sky"})
    without = audit.judge(every, settings=settings)["ai_text"].struct.field("p_human").to_list()
    assert (without == bundled) == (by is not None)


def test_a_reference_that_cannot_be_used_and_sources_that_do_not_fit_are_said() -> None:
    settings = Config(calibration=CalibrationConfig(reference="/nowhere/own.json"))
    with pytest.raises(ConfigError, match=r"/nowhere/own\.json: cannot be read .* Make it with foxing calibrate"):
        audit.judge(["a text"], settings=settings)
    with pytest.raises(ConfigError, match="sources: 1 for 2 texts"):
        audit.judge(["a text", "another"], sources=["sea"])


def test_texts_without_measurement_are_counted_and_never_dropped() -> None:
    frame = audit.judge([None, b"\xff\xfe broken", "", RESIDUE])
    assert frame["unmeasured"].to_list()[0] == len(PER_TEXT)
    assert frame["document"].struct.field("utf8_valid").to_list() == [None, False, True, True]
    assert "FX102" in frame["rules"].to_list()[3] and "drop" not in frame["action"].to_list()
    assert audit.judge([]).height == 0


def test_judge_travels_to_workers_after_use() -> None:
    judge = Judge(("document",))
    once = judge.columns(["one two"], ["document.words"])
    assert pickle.loads(pickle.dumps(judge)).columns(["one two"], ["document.words"]) == once == {"document.words": [2]}


@pytest.mark.parametrize(
    ("call", "kind", "match"),
    [
        (lambda: audit.judge(["x"], signals=["documents"]), PluginError, "Did you mean 'document'"),
        (
            lambda: Judge(("given",), {"given": {"column": "score"}}).frame(["x"]),
            ConfigError,
            "reads column:score, not text alone",
        ),
        (lambda: Judge(("document",)).columns(["x"], ["document.word"]), ConfigError, "document.words"),
        (lambda: audit.open("/nowhere"), FindingsError, "holds no scan"),
        (lambda: Judge(("document",), device="gpu").frame(["x"]), ConfigError, "'gpu' is none of auto, cpu, cuda"),
    ],
)
def test_errors_name_the_thing_and_the_remedy(call: Callable[[], object], kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        call()


def test_every_example_runs_in_order(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus.jsonl").write_bytes((home / "corpus.jsonl").read_bytes())
    monkeypatch.chdir(tmp_path)
    for block in BLOCKS:
        exec(compile(block, "docs/api.md", "exec"), {})
    said = capsys.readouterr().out
    assert "32 foxing:" in said and "over budget: FX102" in said and "holds no scan" in said
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_every_example_is_typed_and_a_wrong_call_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import audit\naudit.scan(3, 'x')\naudit.check('x', budgets={'FX101': 'low'})\n", "utf-8")
    files = [wrong]
    for number, block in enumerate(BLOCKS):
        files.append(tmp_path / f"example_{number}.py")
        files[-1].write_text(block, "utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*command, *map(str, files)], cwd=ROOT, capture_output=True, text=True)
    found = re.findall(r"(\w+)\.py:(\d+): error", done.stdout)
    assert done.returncode == 1 and set(found) == {("wrong", "2"), ("wrong", "3")}, done.stdout
