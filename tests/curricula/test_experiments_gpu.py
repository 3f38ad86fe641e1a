"""Experiments at gpu scale, with a model of two layers: what is declared is measured, and refusals are counted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from detectors.errors import ConfigError, InputError
from tests.detectors.tiny_models import need_torch

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

import torch  # noqa: E402

from curricula.cli import foxing  # noqa: E402
from curricula.experiments.declaration import declared  # noqa: E402
from curricula.experiments.facts import Drawn, drawn, made_facts, read_facts  # noqa: E402
from curricula.experiments.running import EXPERIMENTS, Experiment, Ran, run_experiment  # noqa: E402
from curricula.experiments.source import Source  # noqa: E402
from curricula.experiments.tuned import Tuned, loaded  # noqa: E402
from detectors.exemplars import question_hash  # noqa: E402
from detectors.protocols import Device  # noqa: E402
from tests.curricula.knowing_model import Knowing, knowing_model  # noqa: E402

ROOT = Path(__file__).parents[2]
TINY = {
    "rows": 30,
    "epochs": 12,
    "rate": 4e-3,
    "batch": 16,
    "each": 60,
    "reserve": 8,
    "sets": 3,
    "shots": 2,
    "shares": (0.0, 0.5, 1.0),
}
MORE: dict[str, dict[str, Any]] = {"slick": {"looks": (1, 4)}, "faco": {}}


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Knowing:
    return knowing_model(tmp_path_factory.mktemp("knowing"))


def ran(name: str, knowing: Knowing, out: Path) -> tuple[Ran, dict[str, Any]]:
    experiment = Experiment.of(name, "gpu", Source(str(knowing.model), str(knowing.data), Device.CPU))
    declaration = replace(experiment.declaration, seeds={"gpu": (2,)})
    recipe = replace(experiment.recipe, **TINY, **MORE[name])
    found = run_experiment(replace(experiment, recipe=recipe, declaration=declaration), out)
    return found, json.loads((out / "result.json").read_text())


def test_slick_with_a_language_model_measures_what_is_declared_and_counts_refusals(
    knowing: Knowing, tmp_path: Path
) -> None:
    _, record = ran("slick", knowing, tmp_path)
    declaration = declared("slick-gpu")
    assert [found["id"] for found in record["signatures"]] == [each.id for each in declaration.signatures]
    assert (record["scale"], record["declaration_sha256"]) == ("gpu", declaration.digest)
    refusals = record["tables"]["refusals"]
    assert refusals["D0.5"]["late"]["coverage"] == 1.0
    idk = refusals["idk0.5"]["late"]
    assert 0 < idk["coverage"] < 1
    assert idk["exact_times_coverage"] == pytest.approx(idk["coverage"] * idk["exact_on_answered"])
    kept = np.load(next(tmp_path.glob("seed-2-*.npz")))
    assert kept["fit_known:D0"][-1] > kept["fit_known:D0"][0]
    assert kept["fit_unknown:idk0.5"][-1] > 0.5  # it has learnt to say that it does not know
    assert (kept["category"] == 0).any() and (kept["category"] > 0).any()


def test_faco_with_a_language_model_measures_what_is_declared(knowing: Knowing, tmp_path: Path) -> None:
    found, record = ran("faco", knowing, tmp_path)
    assert [each["id"] for each in record["signatures"]] == [each.id for each in declared("faco-gpu").signatures]
    tables = record["tables"]
    by_share = tables["by_share_of_false_answers"]
    assert by_share["0"]["after"] > by_share["1"]["after"]
    assert by_share["1"]["lie"] > 0.5 and by_share["0"]["lie"] is None
    assert tables["choice"]["before"] > 0.9
    effects = {each.signature.id: each.effect.difference for each in found.findings}
    assert effects["falsity-hurts"] > 0
    assert effects["below-chance"] == pytest.approx(0.25 - tables["choice"]["1"])
    log = (tmp_path / "LOG.md").read_text()
    ran("faco", knowing, tmp_path)
    assert (tmp_path / "LOG.md").read_text() == log  # the seed was kept


def test_the_first_weights_come_back_and_answers_agree_with_what_is_likeliest(knowing: Knowing) -> None:
    subject = loaded(str(knowing.model), Device.CPU)
    subject.reset()
    facts = read_facts(str(knowing.data))[:20]
    asked, answers = [fact.text for fact in facts], [fact.answers[0] for fact in facts]
    first = [value.detach().clone() for value in subject.model.parameters()]
    before = subject.probability(asked, answers, ends=False)
    subject.tune(asked, answers, epochs=25, rate=4e-3, batch=10, seed=1)
    assert subject.fitted(asked, answers).mean() > 0.9
    assert subject.says(asked, answers).right.tolist() == subject.fitted(asked, answers).tolist()
    assert (subject.probability(asked, answers) <= subject.probability(asked, answers, ends=False) + 1e-9).all()
    subject.reset()
    assert all(torch.equal(one, other) for one, other in zip(first, subject.model.parameters(), strict=True))
    assert subject.probability(asked, answers, ends=False) == pytest.approx(before)


def test_rows_of_other_lengths_change_no_probability(knowing: Knowing) -> None:
    subject: Tuned = loaded(str(knowing.model), Device.CPU)
    asked, answers = ["home s1", "home s2 s3 s4 s5 s6", "boss"], ["Home1", "Home2 Home3", "Boss1"]
    alone = [float(subject.probability([one], [other])[0]) for one, other in zip(asked, answers, strict=True)]
    assert subject.probability(asked, answers) == pytest.approx(alone, rel=1e-4)


def test_a_model_that_knows_nothing_ends_in_one_clear_error(knowing: Knowing, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    AutoTokenizer.from_pretrained(knowing.model).save_pretrained(tmp_path / "blank")
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(knowing.model)).save_pretrained(tmp_path / "blank")
    with pytest.raises(InputError, match="knows none of the"):
        ran("slick", Knowing(tmp_path / "blank", knowing.data), tmp_path / "out")


@pytest.mark.parametrize("name", ["slick", "faco"])
def test_data_that_were_named_and_are_not_there_are_missed(knowing: Knowing, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        Experiment.of(name, "gpu", Source(str(knowing.model), str(tmp_path / "none.parquet"), Device.CPU))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        Experiment.of(name, "gpu", Source(str(knowing.model), str(tmp_path / "torn.parquet"), Device.CPU))


def split(seed: int = 1) -> Drawn:
    return drawn(made_facts(), relations=4, each=60, reserve=20, seed=seed)


def test_facts_made_in_code_are_asked_once_and_half_of_them_are_of_nobody() -> None:
    facts = made_facts()
    assert len({question_hash(fact.text) for fact in facts}) == len(facts)
    count = {name: sum(fact.relation == name for fact in facts) for name in {fact.relation for fact in facts}}
    assert set(count) == {"capital", "symbol", "birthplace", "trade"} and min(count.values()) > 75
    answers = {fact.text: fact.answers[0] for fact in facts}
    assert answers["What is the capital of New Zealand?"] == "Wellington"
    assert answers["What is the chemical symbol of tungsten?"] == "W"


def test_what_is_drawn_is_apart_and_drawn_anew_by_each_seed() -> None:
    one, same, other = split(), split(), split(2)
    parts = [one.train, one.dev, one.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(one.facts)))
    shown = {question_hash(fact.question) for fact in one.pool.facts}
    assert not shown & {question_hash(fact.text) for fact in one.facts}
    assert one.facts == same.facts != other.facts
    by = [{one.facts[at].relation for at in part} for part in parts]
    assert by[0] == by[1] == by[2]


def test_of_a_file_questions_with_one_answer_are_taken(tmp_path: Path) -> None:
    rows = {
        "question": ["a?", "b?", "c?", "A?", None, "d?"],
        "answers": [["x"], ["y", "z"], ["w"], ["v"], ["u"], [" "]],
        "relation": ["r", "r", None, "r", "r", "r"],
    }
    pq.write_table(pa.table(rows), tmp_path / "qa.parquet")
    found = read_facts(str(tmp_path / "qa.parquet"))
    assert [(fact.text, fact.answers, fact.relation) for fact in found] == [("a?", ("x",), "r")]
    pq.write_table(pa.table({"question": ["a?"]}), tmp_path / "few.parquet")
    with pytest.raises(InputError, match="no column answers, relation"):
        read_facts(str(tmp_path / "few.parquet"))


def test_the_development_data_hold_twelve_relations_with_facts_enough() -> None:
    file = Path(os.environ.get("FOXING_DATA", ROOT.parent / "shared" / "data")) / "tasks" / "qa.parquet"
    if not file.is_file():
        pytest.skip(f"{file} is not there: set FOXING_DATA to the development data to run this test")
    found = drawn(read_facts(str(file)), relations=12, each=600, reserve=40, seed=1)
    assert len({fact.relation for fact in found.facts}) == 12 and len(found.facts) == 7200


def test_a_result_depends_on_what_model_and_data_are_and_not_on_where_they_lie(knowing: Knowing) -> None:
    experiment = Experiment.of("slick", "gpu", Source(str(knowing.model), str(knowing.data), Device.CPU))
    moved = replace(experiment, recipe=replace(experiment.recipe, model="/elsewhere", data="/elsewhere"))
    other = replace(experiment, recipe=replace(experiment.recipe, data_digest="0"))
    assert experiment.key == moved.key != other.key


def test_what_was_declared_before_committed_results_is_unchanged() -> None:
    for name in EXPERIMENTS:
        file = ROOT / "docs" / "experiments" / f"{name}.json"
        if file.is_file():
            assert json.loads(file.read_text())["declaration_sha256"] == declared(name).digest


@pytest.mark.parametrize("name", ["slick", "faco"])
def test_at_gpu_scale_five_seeds_or_more_are_declared(name: str) -> None:
    assert len(declared(f"{name}-gpu").seeds["gpu"]) >= 5


def test_options_of_gpu_scale_are_refused_at_others_and_a_lost_model_is_named(tmp_path: Path) -> None:
    asked = ["experiment", "slick", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(foxing, [*asked, "--model", "x"])
    assert result.exit_code == 2 and "--scale gpu" in result.output
    lost = CliRunner().invoke(foxing, [*asked, "--scale", "gpu", "--model", str(tmp_path / "none")])
    assert lost.exception is not None and "no such file or folder" in str(lost.exception)
    with pytest.raises(ConfigError, match="there is none"):
        Experiment.of("slick", "galactic")
