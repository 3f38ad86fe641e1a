"""Experiments: what was declared decides, seeds are kept, and the toy world is what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from detectors.errors import ConfigError
from tests.detectors.tiny_models import need_torch

need_torch()

from curricula.cli import foxing  # noqa: E402
from curricula.experiments import faco, slick  # noqa: E402
from curricula.experiments.declaration import declared, judged  # noqa: E402
from curricula.experiments.running import EXPERIMENTS, Experiment, run_experiment  # noqa: E402
from curricula.experiments.toy import Known, World, categories, pretrained  # noqa: E402

TINY = {"first": 8, "last": 6, "known": 0.5, "rows": 30, "rate": 1e-3}
RECIPES: dict[str, Any] = {
    "slick": slick.Recipe(epochs=6, shares=(0.0, 0.5, 1.0), **TINY),
    "faco": faco.Recipe(epochs=6, shares=(0.0, 0.5, 1.0), **TINY),
}


def tiny(name: str, seeds: tuple[int, ...] = (101, 102)) -> Experiment:
    experiment = Experiment.of(name, "smoke")
    declaration = replace(experiment.declaration, seeds={"smoke": seeds})
    return replace(experiment, declaration=declaration, recipe=RECIPES[name])


@pytest.mark.parametrize("name", RECIPES)
def test_an_experiment_measures_every_signature_and_keeps_its_seeds(name: str, tmp_path: Path) -> None:
    ran = run_experiment(tiny(name), tmp_path)
    record = json.loads((tmp_path / "result.json").read_text())
    assert [found["id"] for found in record["signatures"]] == [each.id for each in declared(name).signatures]
    assert all(found["verdict"] == "-" for found in record["signatures"])
    assert record["declaration_sha256"] == declared(name).digest
    log = (tmp_path / "LOG.md").read_text()
    assert log.count("started") == log.count("done in") == 2
    again = run_experiment(tiny(name), tmp_path)
    assert (tmp_path / "LOG.md").read_text() == log
    assert [found.effect for found in again.findings] == [found.effect for found in ran.findings]


def test_a_failed_seed_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, recipe: object) -> dict[str, np.ndarray]:
        raise RuntimeError("no luck")

    monkeypatch.setattr(slick, "run_seed", fail)
    with pytest.raises(RuntimeError):
        run_experiment(tiny("slick"), tmp_path)
    assert "seed 101 failed: RuntimeError: no luck" in (tmp_path / "LOG.md").read_text()


def test_pictures_are_the_same_for_the_same_result(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'foxing[report]'")
    from curricula.experiments.plot import plot_experiment

    ran = run_experiment(tiny("faco", (101,)), tmp_path)
    files = plot_experiment(ran, tmp_path)
    drawn = [file.read_bytes() for file in files]
    assert all(drawn) and len(drawn) == 4
    assert [file.read_bytes() for file in plot_experiment(ran, tmp_path)] == drawn


def constant(value: float, seeds: int = 8, noise: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(1)
    return [(np.array([value + noise * draw.normal()]), np.zeros(1)) for _ in range(seeds)]


@pytest.mark.parametrize(
    ("value", "noise", "verdict"),
    [(0.5, 0.01, "reproduced"), (-0.5, 0.01, "not reproduced"), (0.05, 0.5, "inconclusive")],
)
def test_the_verdict_follows_from_interval_and_margin(value: float, noise: float, verdict: str) -> None:
    declaration = declared("faco")
    measured = {each.id: constant(value, noise=noise) for each in declaration.signatures}
    found = judged(declaration, measured, with_verdict=True)
    assert {each.verdict for each in found} == {verdict}


def test_an_effect_below_its_margin_is_not_reproduced_though_it_is_above_zero() -> None:
    declaration = declared("slick")
    measured = {each.id: constant(0.01, noise=0.0005) for each in declaration.signatures}
    by = {each.signature.id: each for each in judged(declaration, measured, with_verdict=True)}
    assert by["unknown-hurts"].effect.low > 0
    assert by["unknown-hurts"].verdict == "not reproduced"
    assert by["late"].verdict == "reproduced"


def test_a_seed_that_could_not_be_measured_leaves_a_signature_open() -> None:
    declaration = declared("faco")
    measured = {each.id: constant(0.5, noise=0.01) for each in declaration.signatures}
    measured["recovery"][3] = (np.array([np.nan]), np.zeros(1))
    found = {each.signature.id: each.verdict for each in judged(declaration, measured, with_verdict=True)}
    assert found.pop("recovery") == "inconclusive"
    assert set(found.values()) == {"reproduced"}


def test_declared_seeds_of_a_verdict_are_eight_or_more_and_none_was_explored_with() -> None:
    for name in EXPERIMENTS:
        seeds = declared(name).seeds
        assert len(seeds["cpu"]) >= 8
        assert not set(seeds["cpu"]) & set(seeds["smoke"])


def test_the_world_says_the_same_of_a_fact_behind_every_template() -> None:
    world = World(first=5, last=4, relations=2, objects=7, seed=3)
    facts, truth = np.arange(world.facts), world.truth()
    rows = [world.rows(facts, truth, template) for template in range(world.templates + 1)]
    assert all((each[:, 1:] == rows[0][:, 1:]).all() for each in rows)
    assert max(each.max() for each in rows) < world.vocabulary
    assert len({tuple(row[1:4]) for row in rows[0].tolist()}) == world.facts
    parts = world.parts()
    assert sorted(np.concatenate(parts).tolist()) == facts.tolist()
    subjects = [set((part // world.relations).tolist()) for part in parts]
    assert not subjects[0] & subjects[2]


def test_pretraining_leaves_facts_of_every_kind_and_asks_for_more_hits_find_fewer_weakly_known() -> None:
    world = World(first=10, last=8, seed=2)
    model = pretrained(world, known=0.5)
    strict, corrected = categories(model, world), categories(model, world, least_hits=8)
    assert (strict >= Known.MAYBE).mean() >= 0.5
    assert (strict == Known.UNKNOWN).any() and (strict == Known.HIGHLY).any()
    assert (corrected == Known.WEAKLY).sum() <= (strict == Known.WEAKLY).sum()


def test_the_command_shows_effects_and_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tiny("faco", (101,))
    monkeypatch.setattr(Experiment, "of", classmethod(lambda cls, name, scale, source: small))
    result = CliRunner().invoke(foxing, ["experiment", "faco", "-o", str(tmp_path / "out")])
    assert result.exception is None, result.output
    assert "too few seeds for a verdict" in result.output
    assert "reproduced" not in result.output
    assert "falsity-hurts" in result.output


def test_an_experiment_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="'magic'"):
        Experiment.of("magic", "smoke")
