from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.bench import prevalence as bench
from tests.bench import share_estimators as ways


def documents(path: Path) -> bench.Documents:
    """Thirty human and thirty machine sources that a detector tells apart well."""
    random = np.random.default_rng(3)
    label = np.repeat([0, 1], 30 * 60)
    source = np.repeat(np.arange(60), 60)
    margin = 3.0 * label + random.normal(0, 0.4, 60)[source] + random.normal(0, 1, len(label))
    names = np.array([f"s{place}" for place in source])
    makers = np.array(["human", "gpt-4", "claude-3", "llama-3", "qwen2", "mistral-7b"])
    frame = pl.DataFrame(
        {
            "margin": margin, "label": label, "source": names, "family": names, "domain": names,
            "generator": np.where(label == 0, "human", makers[1 + source % 5]), "language": ["en"] * len(label),
            "length": [1000] * len(label), "enough": [True] * len(label),
        }
    )  # fmt: skip
    frame.write_parquet(path)
    return bench.read(path)


@pytest.mark.parametrize("plan", ["calibrated", "left out"])
def test_the_study_measures_the_shipped_estimate(tmp_path: Path, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "DRAWS", 400)
    make = bench.calibrated if plan == "calibrated" else bench.left_out
    worlds = bench._worlds(make, documents(tmp_path / "margins.parquet"))
    makers = {
        **ways.SHIPPED,
        **ways.NAMED,
        **ways.LABELLED,
        "EM": ways.em_alone,
    }
    found = bench.simulate(worlds, makers, corpora=10, per_world=5, sources=None, seed=3)
    for name in (*ways.SHIPPED, *ways.NAMED, *ways.LABELLED):
        result = bench.summary(found[name])
        assert (result["corpora"], result["none_corpora"]) == (10, 2)
        assert result["mean_absolute_error"] < 4 and result["coverage"] >= 0.8
    assert "coverage" in bench._table(plan, {name: bench.summary(outcomes) for name, outcomes in found.items()})


def test_a_world_left_out_shares_no_family_and_no_maker_with_its_reference(tmp_path: Path) -> None:
    known = documents(tmp_path / "margins.parquet")
    world = next(bench._worlds(bench.left_out, known))
    drawn = {*world.human.names, *world.machine.names}
    assert not drawn & {*world.reference.human.sources, *world.reference.machine.sources}
    makers = {name: known.maker[known.source == name][0] for name in np.unique(known.source)}
    assert not {makers[name] for name in world.machine.names} & {
        makers[name] for name in world.reference.machine.sources
    }


def test_makers_are_told_from_the_names_of_models() -> None:
    names = ["gpt-3.5-turbo", "claude-3-opus", "meta-llama-3-8b-instruct", "gemini-pro", "mixtral-8x7b", "o3", "phi-2"]
    makers = ["openai", "anthropic", "meta", "google", "mistral", "openai", "other"]
    assert [bench._maker(name) for name in names] == makers
