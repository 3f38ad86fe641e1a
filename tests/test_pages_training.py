"""docs/training.md tells the truth: its lines run as they stand there, on data and models that are small."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.code_blocks import ROOT, Page, blocks, command_lines
from tests.conftest import Answer
from tests.corpora import write_texts
from tests.detectors.tiny_models import need_torch, prose, write_causal

need_torch()
for package in ("matplotlib", "peft", "sacrebleu", "sklearn"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'foxing[train,report]'")


from curricula.experiments.declaration import declared  # noqa: E402
from curricula.experiments.flaws_arms import Plan  # noqa: E402
from curricula.experiments.running import Experiment  # noqa: E402
from curricula.model import Decoder  # noqa: E402
from curricula.throughput import peak_flops  # noqa: E402
from tests.curricula import test_experiments, test_experiments_gpu, test_flaws, test_regurgitative  # noqa: E402
from tests.curricula.knowing_model import knowing_model  # noqa: E402
from tests.curricula.test_throughput import SHAPE, counted, packed  # noqa: E402
from tests.curricula.training_data import write_pairs, write_questions  # noqa: E402

DOCUMENT = "docs/training.md"
TEXT = (ROOT / DOCUMENT).read_text("utf-8")
EXPERIMENTS = [line for line in command_lines(DOCUMENT) if line.startswith("foxing experiment ")]
# Words that make a line cheap, by what it begins with: the last one of an option counts.
ON = ("--device", "cpu")
CHEAP = ("--width", "32", "--heads", "2", "--vocabulary", "300", "--block", "32", "--batch", "4", *ON)
FEWER: Mapping[str, Sequence[str]] = {
    "foxing train curated/ -o run ": ("--epochs", "2", "--block", "32", "--batch", "4", *ON),
    "foxing train curated/ -o scratch ": ("--tokens", "2K", "--layers", "1", *CHEAP),
    "foxing train pairs.parquet ": CHEAP,
    "foxing generate ": ("--max-tokens", "4", *ON),
    r"foxing experiment \w+ --scale gpu ": ON,
    "foxing trial ": ("--tokens", "1K", "--seeds", "2", "--layers", "1", *CHEAP),
}
# What an experiment is made of, by name and scale, when it takes seconds.
PLAN = Plan(tokens=2_000, looks=(200,), share=0.1)
OF_PAIRS: Mapping[str, Any] = {
    "steps": 2,
    "generations": 1,
    "rows": 24,
    "test": 4,
    "tuned_tokens": 300,
    "tuned_block": 64,
    "tuned_batch": 1,
    **test_regurgitative.SMALL,
}
OF_INSTRUCTIONS: Mapping[str, Any] = {
    "plan": replace(PLAN, tokens=8_000, after_batch=1),
    "subjects": 8,
    "objects": 3,
    "block": 128,
    "batch": 4,
    "asked": 25,
    "written": 75,
    "max_tokens": 6,
    "texts": 20,
}
TINY: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("slick", "smoke"): lambda recipe: replace(test_experiments.RECIPES["slick"], epochs=2, known=0.2),
    ("slick", "gpu"): lambda recipe: replace(recipe, **test_experiments_gpu.TINY, looks=(1, 4)),
    ("faco", "cpu"): lambda recipe: replace(test_experiments.RECIPES["faco"], epochs=2, known=0.4),
    ("regurgitative", "smoke"): lambda recipe: test_regurgitative.TINY,
    ("regurgitative", "gpu"): lambda recipe: replace(recipe, **OF_PAIRS),
    ("flaws", "smoke"): lambda recipe: replace(test_flaws.TINY, base_tokens=1_000, asked=10, plan=PLAN),
    ("flaws", "cpu"): lambda recipe: replace(test_flaws.TINY, base_tokens=1_000, asked=10, plan=PLAN),
    ("flaws", "gpu"): lambda recipe: replace(recipe, **OF_INSTRUCTIONS),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model and the data that the page begins with."""
    folder = tmp_path_factory.mktemp("training")
    write_causal(folder / "models" / "smollm2", marks=True)
    write_texts(folder / "corpus" / "a.parquet", [prose(80, seed) for seed in range(60)])
    write_texts(folder / "held-out.parquet", [prose(80, seed) for seed in range(60, 70)])
    write_texts(folder / "texts.parquet", [prose(30, seed) for seed in range(20)])
    write_pairs(folder / "pairs.parquet", 40)
    write_questions(folder / "questions.parquet", 12)
    return folder


@pytest.fixture
def page(home: Path, foxing: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> Page:
    """The page in that folder, once the corpus is curated in two orders."""
    monkeypatch.chdir(home)
    if not Path("curated").exists():
        assert foxing("scan", "corpus", "-o", "audit", "--signals", "ai_text", "--stages", "", "--workers", 1).code == 0
        for name, order in (("curated-original", "original"), ("curated", "human-first")):
            assert foxing("curate", "audit", "-o", name, "--curriculum", order).code == 0
    return Page(DOCUMENT, foxing, instead={"owner/name": "models/smollm2"})


def lines_of(heading: str) -> list[str]:
    """The command lines below a heading."""
    (block,) = [block for block in blocks(DOCUMENT) if _heading(block.line) == heading and block.commands]
    return list(block.commands)


def _heading(line: int) -> str:
    return next(text for text in reversed(TEXT.splitlines()[:line]) if text.startswith("#"))


def typed(page: Page, line: str) -> str:
    """What a line prints, with the words that make it cheap."""
    page.more = {line.split()[1]: words for begin, words in FEWER.items() if re.match(begin, line)}
    page.type(line)
    return page.said[line]


def record(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return found


def test_models_are_trained_and_write(page: Page) -> None:
    from transformers import AutoModelForCausalLM

    for line in lines_of("## foxing train"):
        typed(page, line)
    assert {"best", "last", "metrics.jsonl", "run.json"} <= {path.name for path in Path("run").iterdir()}
    assert record("run/run.json")["job"]["recipe"]["rate"] == 1e-5
    assert record("scratch/run.json")["progress"]["tokens"] == 2_000, "met to the token"
    assert AutoModelForCausalLM.from_pretrained("scratch/last").config.model_type == "llama"
    pairs = record("mt/run.json")
    assert pairs["progress"]["tokens"] == 10 * pairs["tokens_of_a_pass"], "of pairs the targets count, in ten passes"
    for line in lines_of("## foxing generate"):
        typed(page, line)
    answered, asked = pl.read_parquet("synthetic/data/*.parquet"), pl.read_parquet("questions.parquet")
    assert answered.columns == ["question", "answer", "generator"]
    assert answered["question"].equals(asked["question"]) and set(answered["generator"]) == {"best"}
    assert not (answered["answer"] == asked["answer"]).any()
    continued = pl.read_parquet("continued/data/*.parquet")
    assert len(continued) == 60 and set(continued["generator"]) == {"smollm2"}


def test_arms_of_a_trial_are_compared_on_equal_tokens(page: Page) -> None:
    (line,) = lines_of("## foxing trial")
    said = typed(page, line)
    assert "control as-is; 2 seeds; 1,000 tokens each" in said
    assert re.search(r"^human-first - as-is on held-out +loss +[+-]0\.\d+", said, re.MULTILINE)
    assert {"trial.json", "curves.svg", "contrasts.svg"} <= {path.name for path in Path("trial").iterdir()}


@pytest.mark.parametrize("line", EXPERIMENTS, ids=lambda line: str(line).split()[-1])
def test_experiments_hold_what_they_find_against_what_was_declared(
    line: str, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with one seed, which is kept from line to line, and small."""
    name, scale = re.findall(r"^foxing experiment (\w+) --scale (\w+)", line)[0]
    if (name, scale) == ("slick", "gpu"):  # a model that knows something, and questions about it
        (tmp_path / "models").mkdir()
        knowing = knowing_model(tmp_path / "models" / "smollm2")
        knowing.data.rename(tmp_path / "qa.parquet")
        monkeypatch.chdir(tmp_path)
    whole = Experiment.of

    def small(name: str, scale: str, source: Any) -> Experiment:
        made = whole(name, scale, source)
        seeds = made.seeds[:1] if scale == "gpu" else (101,)
        one = replace(made.declaration, seeds={**made.declaration.seeds, scale: seeds})
        return replace(made, declaration=one, recipe=TINY[name, scale](made.recipe))

    monkeypatch.setattr(Experiment, "of", small)
    said = typed(page, line)
    found = record(f"{line.split()[-1]}/result.json")
    declaration = declared(f"{name}-gpu" if scale == "gpu" else name)
    assert (found["scale"], found["declaration_sha256"]) == (scale, declaration.digest)
    assert {one["id"] for one in found["signatures"]} == {one.id for one in declaration.signatures}
    verdicts = {one["verdict"] for one in found["signatures"]}
    assert (verdicts == {"-"}) == (scale == "smoke") == ("too few seeds for a verdict" in said)
    assert "curves.svg" in said


def test_the_formula_counts_as_torch_does_and_the_page_counts_by_it() -> None:
    (block,) = [block for block in blocks(DOCUMENT) if _heading(block.line) == "### Speed"]
    formula = compile(block.text.strip(), DOCUMENT, "eval")

    def flops(**of: float) -> float:
        return float(eval(formula, {}, of))

    model = Decoder(SHAPE)
    weights = sum(value.numel() for value in model.parameters() if value.dim() > 1)  # the embedding is the head, too
    ours = flops(weights=weights, layers=SHAPE.layers, width=SHAPE.width, document=40)
    assert 80 * ours == pytest.approx(counted(model, packed([40, 40], 40)), rel=0.01)
    text = " ".join(TEXT.split())
    each = flops(weights=134.5e6, layers=30, width=576, document=1024)
    apart = [
        flops(weights=134.5e6, layers=0, width=0, document=0),
        flops(weights=0, layers=30, width=576, document=1024),
    ]
    assert f"= {apart[0] / 1e9:.2f} + {apart[1] / 1e9:.2f} = {each / 1e9:.2f} GFLOPs a token" in text
    peak = peak_flops("NVIDIA H200")
    assert peak is not None and f"would be {round(0.4 * peak / each, -3):,.0f} tokens a second" in text


def test_every_block_of_the_page_is_run() -> None:
    of_headings = [
        line for heading in ("## foxing train", "## foxing generate", "## foxing trial") for line in lines_of(heading)
    ]
    assert [*of_headings, *EXPERIMENTS] == command_lines(DOCUMENT)
    assert {re.findall(r"^foxing experiment (\w+) --scale (\w+)", line)[0] for line in EXPERIMENTS} == set(TINY)
