"""docs/curricula.md tells the truth: its commands run as they stand, and every curriculum is in it."""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curricula.protocols import CURRICULA
from detectors.registry import names
from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch

Run = Callable[..., Any]
TEXT = (Path(__file__).parent.parent / "docs" / "curricula.md").read_text("utf-8")
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    foxing curate ")]
WORDS = (
    "river stone lantern quiet morning engine paper copper window garden winter signal harbour thread number".split()
)
SETTINGS = """
by = "author"
signals = [
  "document", "diversity", "language", "near_dup", "residue", "ai_text", "gram_sample", "pair_quality", "given",
]
[signal.given]
column = "score"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doc")
    rng = random.Random(1)
    authors = {"human": 15, "model-a": 10, "model-b": 5}
    rows = [
        {
            "question": f"What of number {row}?",
            "answer": " ".join(rng.choice(WORDS[: authors[author]]) for _ in range(60)).capitalize() + ".",
            "author": author,
            "score": rng.random(),
        }
        for row, author in enumerate([*authors] * 40)
    ]
    pl.DataFrame(rows).write_parquet(folder / "corpus.parquet")
    (folder / "own.toml").write_text(SETTINGS, "utf-8")
    return folder


@pytest.fixture
def there(home: Path, foxing: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with findings named `audit`, made once."""
    monkeypatch.chdir(home)
    if not (home / "audit").exists():
        made = foxing("scan", "corpus.parquet", "-o", "audit", "--config", "own.toml", "--workers", "1", settings=True)
        assert made.code == 0, made.err
    return home


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_runs_and_its_output_is_verified(line: str, there: Path, foxing: Run) -> None:
    _, *words = shlex.split(line)
    if "probed" in words:
        need_torch()
        if not (there / "probed").exists():
            write_letter_model(there / "model")
            letters = "abcdefghij"
            facts = {"question": [f"capital of {letter}?" for letter in letters], "relation": ["capital"] * 10}
            pl.DataFrame({**facts, "answers": [[f"t{letter}"] for letter in letters]}).write_parquet("qa.parquet")
            assert foxing("probe", "qa.parquet", "-o", "probed", "--model", "model").code == 0
    made = foxing(*words, "--fresh")
    assert made.code == 0, made.err
    out = words[words.index("-o") + 1]
    assert foxing("verify", f"{out}/manifest.json").code == 0


def test_a_report_is_shown_before_and_kept_in_the_manifest(there: Path, foxing: Run) -> None:
    words = (
        "curate",
        "audit",
        "--curriculum",
        "importance,shuffled",
        "--set",
        "importance.strength=3",
        "--allow-loss",
        "1",
    )
    shown = foxing(*words, "--dry-run")
    assert re.search(r"^importance: rows 120, effective sample size [\d.]+, left out \d+", shown.out, re.MULTILINE)
    assert foxing(*words, "-o", "reported", "--fresh").code == 0
    first, second = json.loads((there / "reported" / "manifest.json").read_text("utf-8"))["curricula"]
    told = json.loads(foxing(*words, "--dry-run", "--format", "json").out)["reports"]
    assert first["report"] == told["importance"] and 0 < first["report"]["effective_sample_size"] <= 120
    assert "report" not in second


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("quality-first", "--set", "quality-first.metric=diversity.mtdl"), "no field 'mtdl'.*'mtld'"),
        (("quality-first", "--set", "quality-first.metric=pair"), "no column 'pair'"),
        (("importance", "--set", "importance.strength=-1"), "strength = -1 is not from 0 to 100"),
        (("importance", "--set", "importance.probability=leakage.share"), "needs leakage, which was not measured"),
        (("accumulate",), "names no source"),
        (("replace", "--set", "replace.real=['robot']"), "no source matches 'robot'"),
        (("stratified", "--set", "stratified.inside=dedup"), "does not just set an order"),
        (("known-patch",), "needs knowledge, which was not measured"),
        (("mix-generators", "--set", "mix-generators.method=random"), "none of round-robin, greedy"),
        (("forget-split", "--set", "forget-split.sources=['x']"), "no source matches 'x'"),
    ],
)
def test_what_cannot_be_done_is_one_error_and_nothing_is_written(
    words: tuple[str, ...], match: str, there: Path, foxing: Run
) -> None:
    answer = foxing("curate", "audit", "-o", "refused", "--curriculum", *words, "--allow-loss", "1")
    assert answer.code == 2 and re.search(match, answer.err), answer.err
    assert answer.err.strip().count("\n") == 0 and not (there / "refused" / "data").exists()


def test_every_curriculum_is_in_the_table() -> None:
    table = [line for line in TEXT.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert {name for line in table for name in re.findall(r"`([a-z-]+)`", line.split("|")[1])} == set(names(CURRICULA))
