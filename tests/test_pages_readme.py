"""README.md tells the truth: `make demo` prints the tour that it shows, and every other command runs after that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.code_blocks import ROOT, Page
from tests.detectors.tiny_models import need_torch
from tests.stores import S3Server

Run = Callable[..., Any]
README = (ROOT / "README.md").read_text("utf-8")
SHOWN = (3, 11, 7)
SMALL = ["--tokens", "1000", "--block", "64", "--batch", "2", "--micro", "2"]
ELSEWHERE = {
    "make demo": "tests/test_pages_readme.py::test_make_demo_prints_the_tour_that_is_shown",
    "make test": "tests/test_docs.py::test_continuous_integration_runs_the_test_command_of_the_readme",
    "foxing experiment slick --scale smoke -o out/slick": (
        "tests/test_pages_training.py::test_experiments_hold_what_they_find_against_what_was_declared"
    ),
}
TINY = {
    "train": SMALL,
    "trial": [*SMALL, "--seeds", "1", "--width", "16", "--layers", "1", "--heads", "2", "--vocabulary", "300"],
    "generate": ["--max-tokens", "2"],
    "train-detector": ["--steps", "2", "--batch", "4", "--max-tokens", "48", "--checked", "20", "--judged", "20"],
    "scan": ["--workers", "1"],
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make` needs of a checkout, with the interpreter of this run for the environment that it would make."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "samples", folder / "samples", ignore=shutil.ignore_patterns("corpus", "__pycache__"))
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, words in (("python", ""), ("foxing", " -c 'from curricula.cli import main; main()'")):
        script = folder / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n', "utf-8")
        script.chmod(0o755)
    for made in ("pyvenv.cfg", ".base"):
        (folder / ".venv" / made).touch()
    return folder


@pytest.fixture(scope="module")
def tour(checkout: Path) -> str:
    """What `make demo` prints there; an install would fail."""
    words, there = ["make", "demo", "INSTALL=false"], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=checkout, env=there, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.replace(f"{checkout}/", "")


def test_make_demo_prints_the_tour_that_is_shown(checkout: Path, tour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info[:3] != SHOWN:
        pytest.skip(f"The sample corpus is made of Python's documentation, and README.md shows that of {SHOWN}.")
    monkeypatch.syspath_prepend(str(checkout / "samples"))
    from fill_readme import blocks, fill

    def untimed(text: str) -> list[str]:
        return re.sub(r"in \d+\.\d s$", "in a while", text, flags=re.MULTILINE).splitlines()

    assert untimed(fill(README, blocks(tour))) == untimed(README), "the tour prints something else now: make readme"


@pytest.mark.usefixtures("tour")
def test_every_other_command_runs_after_the_tour(
    checkout: Path, foxing: Run, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_torch()
    monkeypatch.chdir(checkout)
    write_models_and_data()
    s3.send(checkout / "samples" / "corpus", "web")
    changes = "foxing curate out/probed --curriculum relabel-unknown --check --diff"
    sampled = "foxing check 's3://bucket/web/*.parquet' --sample"
    page = Page(
        "README.md",
        foxing,
        instead={"train-detector --base MODEL": "train-detector --base ENCODER"},
        exits={changes: 1, sampled: 1, "foxing check out/audit": 1},
        more=TINY,
        elsewhere=ELSEWHERE,
    )
    page.run()
    assert "84 edited" in page.said[changes] and "a sample: " in page.said[sampled]
    assert json.loads(Path("out/trial/trial.json").read_text("utf-8"))["tokens"] == 1000
    assert pl.read_parquet("out/false25/data/*.parquet")["foxing_false"].mean() == 0.25
    assert sum(1 for _ in Path("out/rebuilt").rglob("*.parquet")) == 7
    assert all(Path("out", name).stat().st_size > 1000 for name in ("report.html", "web.ledger", "own.ref.json"))
    assert "every input row is accounted for" in page.said["foxing verify out/curated"]


def write_models_and_data() -> None:
    """What the reader is to name: a model that reads bytes, with a mark that ends a document, an encoder, and files."""
    from transformers import AutoTokenizer

    from tests.curricula.test_train_encoder import labelled
    from tests.detectors.test_knowledge import write_letter_model
    from tests.detectors.tiny_models import write_base

    write_letter_model(Path("MODEL"))
    tokenizer = AutoTokenizer.from_pretrained("MODEL")
    tokenizer.add_special_tokens({"eos_token": "\u0100"})
    tokenizer.save_pretrained("MODEL")
    write_base(Path("ENCODER"))
    labelled(120, 1).write_parquet("labelled.parquet")
    pl.read_parquet("samples/corpus/handbook.parquet").head(4).write_parquet("held-out.parquet")
