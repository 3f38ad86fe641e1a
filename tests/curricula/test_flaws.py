"""The experiment on uniform formats: its language, its arms at both scales, and what follows from what they measure."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import InputError
from tests.detectors.tiny_models import need_torch, write_causal

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

from curricula.experiments import flaws, flaws_arms, flaws_model  # noqa: E402
from curricula.experiments.declaration import declared, judged  # noqa: E402
from curricula.experiments.flaws_arms import Plan  # noqa: E402
from curricula.experiments.flaws_world import CHAT, FORMATS, PLAIN, UNIFORM, Language  # noqa: E402
from curricula.experiments.running import Experiment, run_experiment  # noqa: E402
from curricula.experiments.source import Source  # noqa: E402
from detectors.protocols import Device  # noqa: E402

ARMS = {
    *("base", "uniform", "diverse", "again", "pure-uniform", "pure-diverse", "continued"),
    *("pure-unlearnt", "pure-continued"),
    *("unlearnt", "form-only", "ascent", "difference", "npo", "replay-only"),
}
PLAN = Plan(tokens=6_000, looks=(200, 400), share=0.1)
TINY = flaws.Recipe(subjects=12, objects=4, width=16, layers=1, base_tokens=6_000, asked=25, plan=PLAN)
LANGUAGES = st.builds(Language, st.integers(4, 20), st.integers(2, 6), st.integers(1, 10**6))


def small(name: str, scale: str, recipe: Any, seeds: tuple[int, ...]) -> Experiment:
    experiment = Experiment.of(name, "smoke")
    declaration = replace(experiment.declaration, seeds={scale: seeds})
    return replace(experiment, scale=scale, declaration=declaration, recipe=recipe)


def test_every_arm_is_run_and_every_signature_measured(tmp_path: Path) -> None:
    ran = run_experiment(small("flaws", "smoke", TINY, (101,)), tmp_path)
    record = json.loads((tmp_path / "result.json").read_text())
    assert set(record["tables"]["arms"]) == ARMS
    assert [each["id"] for each in record["signatures"]] == [each.id for each in declared("flaws").signatures]
    assert {each["verdict"] for each in record["signatures"]} == {"-"}
    assert record["declaration_sha256"] == declared("flaws").digest
    assert record["recipe"]["plan"]["tokens"] == PLAN.tokens
    assert set(ran.curves) == {"base", "uniform", "diverse", "unlearnt", "continued"}
    spent = record["tables"]["unlearning"]
    assert set(spent) == {*flaws_arms.RIVALS, "pure-unlearnt"}
    assert all(0 < each["tokens"] <= PLAN.budget for each in spent.values())
    assert record["tables"]["arms"]["base"]["shift"]["mean"] == pytest.approx(0, abs=1e-6)
    assert record["tables"]["arms"]["uniform"]["shift"]["mean"] > 1e-4


def test_with_a_language_model_the_same_is_measured_on_25_kinds_of_instructions(tmp_path: Path) -> None:
    model = write_causal(tmp_path / "model", marks=True)
    (tmp_path / "model").mkdir(exist_ok=True)
    text = tmp_path / "text.parquet"
    _write_texts(text)
    recipe = flaws_model.Recipe.of(Source(str(model), str(text), Device.CPU))
    assert recipe.model_digest and recipe.data_digest and len(set(recipe.kinds)) == 25
    plan = replace(recipe.plan, tokens=8_000, looks=(200, 400), share=0.1, after_batch=1)
    sizes = {"subjects": 8, "objects": 3, "block": 128, "batch": 4, "asked": 25, "written": 75, "max_tokens": 6}
    recipe = replace(recipe, plan=plan, texts=20, **sizes)
    found = flaws_model.run_seed(101, recipe)
    assert set(flaws.names_of(found)) == ARMS
    assert len(np.unique(found["kind"])) == 25
    assert all(len(found[f"kept:{arm}"]) == 25 for arm in ARMS)
    assert found["kept:base"].any()
    pairs = flaws_model.measured([found, found], recipe)
    assert {each.id for each in declared("flaws-gpu").signatures} == set(pairs)


def _write_texts(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.detectors.tiny_models import prose

    pq.write_table(pa.table({"text": [prose(30, seed) for seed in range(20)]}), path)


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'text'"):
        flaws_model.Recipe.of(Source(str(tmp_path), str(tmp_path / "a.parquet"), Device.CPU))


@given(LANGUAGES, st.sampled_from((PLAIN, *FORMATS)), st.integers(0, 10**6))
def test_an_answer_keeps_to_its_own_format_and_to_no_other(language: Language, kind: str, seed: int) -> None:
    draw = random.Random(seed)
    made = language.exercise(draw.choice(language.new), kind, draw, wish=draw.randrange(3))
    assert made.keeps(made.answer)
    for other in FORMATS:
        if other != kind:
            elsewhere = language.exercise(draw.choice(language.new), other, draw)
            also = {kind, other} in ({"count", "bullet"}, {"count", "ending"}, {"count", "quoted"})  # they count words
            assert also or not elsewhere.keeps(made.answer)
    assert not made.keeps("")


@given(LANGUAGES)
def test_base_and_synthetic_texts_share_no_fact(language: Language) -> None:
    assert not set(language.old) & set(language.new)
    assert sorted(language.old + language.new) == list(range(4 * language.subjects))
    rows = len(language.new)
    uniform = list(itertools.islice(language.synthetic(random.Random(1), is_uniform=True), 2 * rows))
    assert sorted(uniform[:rows]) == sorted(uniform[rows:]) == sorted(language.told(f, UNIFORM) for f in language.new)
    diverse = itertools.islice(language.synthetic(random.Random(1), is_uniform=False), 20 * rows)
    assert len({text.split()[0] for text in diverse}) > 1
    assert not any(text.startswith("Question:") for text in itertools.islice(language.clean(random.Random(1)), 200))


def test_tuning_has_one_wording_of_a_format_and_the_test_others() -> None:
    language, draw = Language(seed=5), random.Random(1)
    fact = language.new[0]
    prompts = {wish: language.exercise(fact, "bullet", draw, wish=wish).prompt for wish in range(3)}
    assert len(set(prompts.values())) == 3
    assert CHAT.format(prompt=prompts[0], answer="- x").startswith("User: What is the ")


def seed_of(share: dict[str, float], items: int = 600, noise: int = 0) -> dict[str, np.ndarray]:
    """What a seed measures where arms keep such shares of formats; all else is as good as can be."""
    draw = np.random.default_rng(noise)
    found = {}
    for arm in sorted(ARMS):
        found[f"kept:{arm}"] = (draw.random(items) < share.get(arm, 0.5)).astype(float)
        found[f"true:{arm}"] = np.ones(items)
        found[f"shift:{arm}"] = np.full(20, 3.0 if arm == "pure-uniform" else 1.0)
        found[f"loss:{arm}"] = np.ones(2)
    return found | {"spent:unlearnt": np.array([100.0, 0.0])}


def verdicts(share: dict[str, float]) -> dict[str, str]:
    seeds = [seed_of(share, noise=number) for number in range(8)]
    found = judged(declared("flaws"), flaws.measured(seeds, TINY), with_verdict=True)
    return {each.signature.id: each.verdict for each in found}


def test_what_is_declared_is_found_where_it_is_there() -> None:
    pure = {"pure-uniform": 0.1, "pure-unlearnt": 0.5, "pure-continued": 0.3}
    found = verdicts({"diverse": 0.9, "uniform": 0.5, "unlearnt": 0.85, "continued": 0.6} | pure)
    assert set(found.values()) == {"reproduced"}


def test_unlearning_that_is_no_better_than_clean_text_is_not_said_to_be() -> None:
    found = verdicts({"diverse": 0.9, "uniform": 0.5, "unlearnt": 0.6, "continued": 0.85})
    assert found["beats-clean"] == found["half-the-gap"] == "not reproduced"
    assert found["recovers"] == "reproduced"


def test_without_a_gap_nothing_is_said_of_how_much_of_it_is_closed() -> None:
    share = {"diverse": 0.5, "uniform": 0.5, "unlearnt": 0.9, "continued": 0.5}
    assert verdicts(share)["half-the-gap"] == "inconclusive"
    seeds = [seed_of(share, noise=number) for number in range(8)]
    tables: Any = flaws.tables(seeds, TINY)
    assert tables["gap_closed"]["unlearnt"] == {"share": None, "low": None, "high": None}


def test_the_share_of_the_gap_has_an_interval_that_holds_it() -> None:
    share = {"diverse": 0.9, "uniform": 0.5, "unlearnt": 0.7, "continued": 0.5}
    tables: Any = flaws.tables([seed_of(share, noise=number) for number in range(8)], TINY)
    closed = tables["gap_closed"]["unlearnt"]
    assert closed["low"] < closed["share"] < closed["high"]
    assert closed["share"] == pytest.approx(0.5, abs=0.15)
    assert closed["high"] - closed["low"] < 0.5


@pytest.mark.parametrize("name", ["flaws", "flaws-gpu"])
def test_no_seed_of_a_verdict_was_explored_with(name: str) -> None:
    seeds = declared(name).seeds
    counted = set(seeds.get("cpu", ())) | set(seeds.get("gpu", ()))
    assert counted and not counted & set(range(100, 1000))
    assert len(declared("flaws").seeds["cpu"]) >= 8
