"""A model that was taught some facts and no others: the probe tells which, and both estimators tell the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from detectors.exemplars import Fact
from detectors.knowledge import Knowledge
from detectors.probing import Question
from detectors.prompting import Exemplars
from detectors.protocols import Device
from tests.detectors.planted import Planted, planted
from tests.detectors.tiny_models import need_torch

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    need_torch()
    return planted(tmp_path_factory.mktemp("planted"))


def probed(taught: Planted, facts: Sequence[Fact], **settings: Any) -> pl.DataFrame:
    signal = Knowledge(model=str(taught.model), pool=str(taught.pool), **settings)
    probe = signal._probe(Exemplars(signal._pool(), signal.sets, signal.shots, signal.seed), Device.CPU)
    found = probe.measure([Question(fact.question, (fact.answer,), fact.relation) for fact in facts])
    return pl.DataFrame(pl.from_arrow(found))


@pytest.fixture(scope="module")
def exact(taught: Planted) -> pl.DataFrame:
    return probed(taught, [*taught.known, *taught.unknown])


@pytest.mark.slow
def test_facts_that_were_not_taught_are_unknown_and_no_others(taught: Planted, exact: pl.DataFrame) -> None:
    unknown = (exact["corrected"] == "Unknown").to_numpy()
    truth = np.repeat([False, True], [len(taught.known), len(taught.unknown)])
    assert unknown[truth].mean() >= 0.95, "recall"
    assert truth[unknown].mean() >= 0.95, "precision"


@pytest.mark.slow
def test_drawn_answers_come_as_often_as_the_exact_estimator_expects(taught: Planted, exact: pl.DataFrame) -> None:
    facts = [*taught.known[:40], *taught.unknown[:80]]
    rows = [*range(40), *range(len(taught.known), len(taught.known) + 80)]
    drawn, expected = probed(taught, facts, estimator="sampled"), exact[rows]
    assert drawn["p_greedy"].to_list() == pytest.approx(expected["p_greedy"].to_list())
    assert drawn["own_answer"].to_list() == expected["own_answer"].to_list()
    p, share = (frame["p_sampled"].cast(pl.Float64).to_numpy() for frame in (expected, drawn))
    spread = np.sqrt((160 * p * (1 - p)).sum())
    assert abs(160 * (share - p).sum()) <= 4 * spread
    assert (drawn["category"] == expected["category"]).mean() >= 0.9


@pytest.mark.slow
def test_the_own_answer_is_measured_as_if_it_were_the_right_one(taught: Planted, exact: pl.DataFrame) -> None:
    facts = [*taught.known, *taught.unknown]
    rows = [*range(5), *range(len(facts) - 40, len(facts))]
    own = [Fact(facts[row].relation, facts[row].question, exact["own_answer"][row]) for row in rows]
    again, first = probed(taught, own), exact[rows]
    assert again["p_greedy"].to_list() == pytest.approx(first["own_greedy"].to_list())
    assert again["log_p"].to_list() == pytest.approx(first["own_log_p"].to_list(), abs=2e-3)
    assert set(again["own_differs"]) == {0.0} and first["own_differs"][5:].max() == 1.0


@pytest.mark.slow
def test_draws_of_a_question_need_no_company(taught: Planted) -> None:
    facts = [*taught.known[:3], *taught.unknown[:9]]
    together = probed(taught, facts, estimator="sampled", sets=3)
    apart = pl.concat([probed(taught, [fact], estimator="sampled", sets=3) for fact in facts])
    assert together.equals(apart)
    assert not together.equals(probed(taught, facts, estimator="sampled", sets=3, seed=18))


@pytest.mark.slow
def test_a_wrong_answer_to_a_fact_that_the_model_knows_is_hit_with_the_model_s_own_as_evidence(
    foxing: Run, taught: Planted, tmp_path: Path
) -> None:
    rows = [*taught.known[:20], *taught.unknown[:20]]
    wrong = [fact.answer if at % 2 else f"T{(int(fact.answer[1:]) + 1) % 80}" for at, fact in enumerate(rows)]
    columns = {"question": [fact.question for fact in rows], "answer": wrong, "relation": ["home"] * len(rows)}
    pl.DataFrame(columns).write_parquet(tmp_path / "qa.parquet")
    found = foxing(
        "probe", tmp_path / "qa.parquet", "-o", tmp_path / "out", "--model", taught.model, "--pool", taught.pool
    )
    assert found.code == 0, found.err
    lines = foxing("findings", tmp_path / "out", "--columns", "row,rules,knowledge.own_answer").out.splitlines()
    hits = {line["row"]: line for line in map(json.loads, lines) if "FX403" in line["rules"]}
    known = {row for row in hits if row < 20}
    assert len(known) >= 9 and known <= set(range(0, 20, 2))
    assert all(hits[row]["knowledge.own_answer"] == rows[row].answer for row in known)
    assert "own_answer" in foxing("check", tmp_path / "out", "--select", "FX403").out
