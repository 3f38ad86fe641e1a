"""What the pages on benches, peers and the detector have one type runs, in small; so do targets for contributors."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.bench.clock import Ran
from tests.code_blocks import ROOT, Page, blocks, command_lines, is_test
from tests.conftest import Answer
from tests.corpora import texts, write_texts
from tests.detectors.tiny_models import need_torch, write_causal

Foxing = Callable[..., Answer]
Made = Callable[[str], list[list[str]]]
WORDS = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def text(seed: int, words: int = 200) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Development data in small: web pages, documents in two languages, tasks."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("bench", "detection", "tasks"):
        (folder / name).mkdir()
    pl.DataFrame({"text": [text(at) for at in range(160)]}).write_parquet(folder / "bench" / "human_web_40k.parquet")
    for name, language in (("one", "de"), ("two", "en")):
        frame = pl.DataFrame({"text": [text(at) for at in range(20)], "lang": [language] * 20})
        frame.write_parquet(folder / "detection" / f"{name}.parquet")
    items = {"question": [text(at, 30) for at in range(20)], "answer": [text(at, 6) for at in range(20)]}
    extra = {"id": [str(at) for at in range(20)], "benchmark": ["quiz"] * 20, "text": items["question"]}
    pl.DataFrame({**items, **extra}).write_parquet(folder / "tasks" / "benchmarks.parquet")
    write_tasks(folder / "tasks")
    return folder


def write_tasks(folder: Path) -> None:
    """Instructions, questions, false answers and statements."""
    from tests.bench import falsity, knowledge

    sources = ("dolly_15k", "t0_p3_sample", "alpaca_eval_outputs")
    outputs = [f"Here is {text(at, 60)}." if at % 3 else text(at, 60) for at in range(90)]
    authors = ["human"] * 45 + ["model"] * 45
    instructions = {"instruction": ["Say so."] * 90, "output": outputs, "source": [*sources] * 30, "author": authors}
    pl.DataFrame(instructions).write_parquet(folder / "instructions.parquet")
    asked = [(relation, at) for relation in knowledge.RELATIONS for at in range(knowledge.RESERVE + 4)]
    qa = {
        "question": [f"{relation} s{at}?" for relation, at in asked],
        "answers": [[f"t{at % 7}", f"a{at % 7}"] for relation, at in asked],
        "relation": [relation for relation, _ in asked],
        "source": ["entity_questions"] * len(asked),
    }
    pl.DataFrame(qa).write_parquet(folder / "qa.parquet")
    made = knowledge.RESERVE + 10
    false = {
        "question": [f"Who made thing {at}?" for at in range(made)],
        "true_answers": [[f"maker {at}", f"firm {at}"] for at in range(made)],
        "false_answers": [[f"liar {at}", f"fool {at}"] for at in range(made)],
        "source": ["quiz"] * made,
    }
    pl.DataFrame(false).write_parquet(folder / "falsity.parquet")
    says = {name: re.sub(r"\(\?:([^|]*)\|.*\)", r"\1", words) for name, words in falsity.TEMPLATES.items()}
    rows = [
        {"statement": f"Thing{at}{words}place{at if label else at + 1}.", "label": label, "source": name}
        for name, words in says.items()
        for at in range(6)
        for label in (True, False)
    ]
    pl.DataFrame(rows).write_parquet(folder / "statements.parquet")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """What a `make` line would run: its recipe, in an environment whose programs write down what they are told."""
    environment = tmp_path / "venv"
    for name in re.findall(r"^\$\(VENV\)/(\S+):", MAKEFILE, re.MULTILINE):
        (environment / name).parent.mkdir(parents=True, exist_ok=True)
        (environment / name).touch()
        os.utime(environment / name, (2**31, 2**31))  # newer than what it is made of
    log = tmp_path / "made.log"
    (environment / "bin").mkdir(exist_ok=True)
    for name in ("python", "foxing", *re.findall(r"\$\(BIN\)/([\w-]+)", MAKEFILE)):
        program = environment / "bin" / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" "" >> {shlex.quote(str(log))}\n', "utf-8")
        program.chmod(stat.S_IRWXU)

    def run(line: str) -> list[list[str]]:
        log.unlink(missing_ok=True)
        fixed = [f"VENV={environment}", "INSTALL=false", "-o", "samples/corpus/translated.jsonl.gz"]
        done = subprocess.run([*shlex.split(line), *fixed], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return [words.splitlines() for words in log.read_text("utf-8").removesuffix("\n\n").split("\n\n")]

    return run


@dataclass(frozen=True)
class Small:
    """Where benches run in small: a folder, the command line, and what sets things back afterwards."""

    here: Path
    foxing: Foxing
    patch: pytest.MonkeyPatch

    def bench(self) -> str:
        """Runs of foxing are in this process, and documents that it fills are copies."""
        from tests.bench import __main__ as bench
        from tests.bench import curate, report, whole

        def here_and_now(command: Sequence[str], cores: set[int], environment: object = None) -> Ran:
            began, used = time.monotonic(), time.process_time()
            answer = self.foxing(*command[1:], settings=True)
            assert answer.code == 0, answer.err
            return Ran(max(time.process_time() - used, 1e-3), time.monotonic() - began, 1.0, answer.out)

        self.patch.setattr(bench, "pin", lambda cores: None)
        self.patch.setattr(whole, "run", here_and_now)
        self.patch.setattr(curate, "_child", lambda words: curate._run(*words))
        copies = [self.here / path.name for path in report.DOCUMENTS]
        for path, copy in zip(report.DOCUMENTS, copies, strict=True):
            copy.write_text(path.read_text("utf-8"), "utf-8")
        self.patch.setattr(report, "DOCUMENTS", copies)
        return "--quick --slope-gb 0.0002 --memory-gb 0.0005 --curate-gb 0.0003 --times 1 --workers 1 --out ."

    def peers(self) -> str:
        """Without a network no peer is there, which the result says."""
        from tests.bench import likework, peers

        self.patch.setattr(peers, "pin", lambda cores: None)
        self.patch.setattr(peers, "install", lambda peer: None)
        self.patch.setattr(peers, "VENVS", self.here)
        self.patch.setattr(likework, "_LEAST_S", 0.0)
        return "--out ."

    def duplicates(self) -> str:
        from tests.bench import duplicates

        self.patch.setattr(duplicates, "measured", partial(duplicates.measured, exact=10, near=20))
        return "--millions= --no-peers --out ."

    def leakage(self) -> str:
        from tests.bench import leakage

        self.patch.setattr(leakage, "_ITEMS", 10)
        return "--no-peers --out ."

    def formats(self) -> str:
        from tests.bench import formats

        self.patch.setattr(formats, "_SMALLEST", 20)
        return "--out ."

    def prevalence(self) -> str:
        from tests.bench import share_estimators
        from tests.bench.test_prevalence_bench import documents

        documents(self.here / "MARGINS")
        self.patch.setattr(share_estimators, "DRAWS", 200)
        return "--corpora 1 --out ."

    def sequential(self) -> str:
        from tests.bench import sequential

        self.patch.setattr(sequential, "CORPORA", sequential.CORPORA[-1:])
        self.patch.setattr(sequential, "SERIES", sequential.SERIES[:1])
        return "--corpora 2 --series 1 --looks 1 --results ."

    def falsity(self) -> str:
        return "--planted 5"

    def knowledge(self) -> str:
        need_torch()
        from transformers import AutoTokenizer

        from tests.bench import knowledge
        from tests.detectors.test_knowledge import write_letter_model

        self.patch.setattr(knowledge, "RELATIONS", knowledge.RELATIONS[:1])
        write_letter_model(self.here / "M")
        tokenizer = AutoTokenizer.from_pretrained(self.here / "M")
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
        tokenizer.save_pretrained(self.here / "M")
        return "--questions 2 --first 1 --sampled 1 --plain 1 --falsity 1"

    def trainer(self) -> str:
        need_torch()
        from tests.bench import trainer

        small = trainer.SCALES["cpu"]
        self.patch.setitem(trainer.SCALES, "cpu", replace(small, recipe=replace(small.recipe, tokens=4_000)))
        return "--scale cpu --out ."


def ran(words: Sequence[str], patch: pytest.MonkeyPatch) -> None:
    """`python -m MODULE ...` in this process."""
    program, option, module, *more = words
    assert (program, option) == ("python", "-m")
    package = importlib.import_module(module)
    there = importlib.import_module(f"{module}.__main__") if hasattr(package, "__path__") else package
    patch.setattr(sys, "argv", [module, *more])
    assert there.main() in (0, None)


PAGES = ("docs/bench.md", "docs/peers.md")
BENCHES = list(dict.fromkeys(line for page in PAGES for line in command_lines(page)))
ELSEWHERE = {
    "python -m tests.bench.ray": "tests/audit/test_ray.py::test_the_bench_of_the_document_sets_ways_side_by_side",
    "make eval-detector": "tests/test_pages_bench.py::test_a_detector_is_trained_and_measured_on_what_it_never_saw",
}


@pytest.fixture
def here(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, from which the development data are seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOXING_DATA", str(data))
    (tmp_path / "DATA").symlink_to(data)
    return tmp_path


@pytest.mark.parametrize("line", [line for line in BENCHES if line not in ELSEWHERE])
def test_benches_run_and_store_one_result(
    line: str, made: Made, here: Path, foxing: Foxing, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = made(line)[0] if line.startswith("make ") else shlex.split(line)
    ran([*words, *getattr(Small(here, foxing, monkeypatch), words[2].rpartition(".")[2])().split()], monkeypatch)
    results = list(here.glob("*.json"))
    if {"--dry", "--render"} & set(words):
        assert not results
    else:
        (result,) = results
        found = json.loads(result.read_text("utf-8"))
        machine = found["machine"] if isinstance(found["machine"], dict) else found
        assert machine["cpu"] and "versions" in machine
        assert ("memory" in found) == ("--memory" in line)
    if "--render" in words:
        shown = (ROOT / "README.md", ROOT / "docs" / "bench.md")
        assert all((here / path.name).read_bytes() == path.read_bytes() for path in shown), "the newest are shown"


def test_every_line_is_run_here_or_elsewhere() -> None:
    assert all(block.commands for page in PAGES for block in blocks(page))
    assert set(ELSEWHERE) <= set(BENCHES) and all(is_test(test) for test in ELSEWHERE.values())


def lines_with(document: str, word: str) -> tuple[str, ...]:
    """The lines of the block that has a word."""
    (block,) = [block for block in blocks(document) if word in block.text]
    assert block.commands, block
    return block.commands


def test_scores_are_taken_apart_as_the_page_says(
    tmp_path: Path, foxing: Foxing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "samples"))
    from machine_text import compose

    machine = [passage.text for passage in compose(150, 17)]
    write_texts(tmp_path / "content_farm.parquet", machine)
    write_texts(tmp_path / "crawl.parquet", [*texts(120), *machine[:100]])
    Path("page.txt").write_text(machine[0], "utf-8")
    files = ("content_farm.parquet", "crawl.parquet")
    assert foxing("scan", *files, "-o", "audit", "--signals", "ai_text", "--stages", "", "--workers", 1).code == 0
    page = Page("docs/detector.md", foxing)
    for line in lines_with("docs/detector.md", "foxing explain"):
        page.type(line)
    one, row, source = page.said.values()
    for said in (one, row):
        margin, parts = re.findall(r"margin (\S+) = (.*)", said)[0]
        assert sum(map(float, re.findall(r"[+-][\d.]+", parts))) == pytest.approx(float(margin), abs=0.03)
    assert "content_farm.parquet row 148" in row
    assert "rows of source crawl, language en" in source
    # phrases of one to three words, and marks, that occur 10 times in 5 rows or more, with z of at least 3
    assert all(f"\n  {kind}  " in source for kind in ("words", "two words", "three words", "marks"))
    found = re.findall(r"^  (?:\S+ ){1,3} +(\d+\.\d) +(\d+) +(\d+) +\d+ +\d+$", source, re.MULTILINE)
    assert len(found) > 20 and all(float(z) >= 3 and int(n) >= 10 and int(rows) >= 5 for z, n, rows in found)


def test_a_detector_is_trained_and_measured_on_what_it_never_saw(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curricula import train_detector
    from tests.curricula.test_train_detector import QUICK, corpus_of

    train, evaluate = lines_with("docs/detector.md", "--left-out LEFT")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOXING_DATA" / "detection").mkdir(parents=True)
    for seed, name in enumerate(("train", "dev"), 1):
        corpus_of(500, seed).write_parquet(f"FOXING_DATA/detection/{name}.parquet")
    monkeypatch.setattr(train_detector, "_DEFAULT", replace(QUICK, generators_left_out=("model",)))
    ran(shlex.split(train), monkeypatch)
    assert {path.stem for path in Path("LEFT").iterdir()} == {"source", "generator", "curve"}
    monkeypatch.setenv("FOXING_DATA", "FOXING_DATA")
    ran([*made(evaluate)[0], "--peer-rows", "0", "--attack-rows", "4", "--out", "."], monkeypatch)
    tables = json.loads(next(Path().glob("detector-*.json")).read_text("utf-8"))["tables"]
    assert set(tables) == {"row", "source", "generator", "curve"}


def test_a_small_language_model_is_set_beside_the_fast_tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'foxing[train]'")
    from curricula.detector_corpus import read_corpus
    from tests.bench import detector_lm_statistics, lm_statistics_compare
    from tests.labelled import corpus

    install, train, compare = lines_with("docs/detector.md", "train_frozen")
    assert install.split()[-1].replace("-", "_") == detector_lm_statistics.PACKAGE
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    data = Path("../shared/data/detection")
    data.mkdir(parents=True)
    frame = read_corpus(corpus(data)).frame.drop("text").with_row_index("row").with_columns(enough=True)
    noise = pl.Series(np.random.default_rng(1).normal(size=frame.height))
    frame.with_columns(margin=pl.col("label") + noise).write_parquet("margins.parquet")
    monkeypatch.setenv("FOXING_DATA", str(data.parent))
    monkeypatch.setattr(lm_statistics_compare, "DRAWS", 20)
    model = ["--model", str(write_causal(tmp_path / "model"))]
    ran([*shlex.split(train), *model, "--layers", "1,2", "--precision", "float32"], monkeypatch)
    assert {path.name for path in Path("head").iterdir()} >= {"frozen.json", "frozen.npz"}
    ran([*shlex.split(compare), *model, "--out", "."], monkeypatch)
    found = json.loads(next(Path().glob("detector-lm-statistics-*.json")).read_text("utf-8"))
    assert found["heads"] and len(found["frozen"]["heads"]) == 3


def test_targets_for_contributors_run_the_suite_and_its_checks(made: Made) -> None:
    from tests.test_pages_readme import ELSEWHERE as OF_README
    from tests.test_style import CHECKS

    test, check, demo = lines_with("CONTRIBUTING.md", "make test")
    (suite,) = made(test)
    assert suite[:3] == ["python", "-m", "pytest"] and not [word for word in suite if word.startswith("tests")]
    assert [" ".join(words) for words in made(check)] == [one.strip().removeprefix("$(BIN)/") for one in CHECKS]
    assert is_test(OF_README[demo])
