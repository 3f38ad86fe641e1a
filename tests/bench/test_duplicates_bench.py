"""The bench of duplicates: copies are as alike as is said, chances are right, and other tools are compared fairly."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit.findings_folder import Findings
from tests.bench import duplicates, leakage_peers
from tests.bench.duplicate_cost import costs
from tests.bench.duplicate_peers import agreement, by_datasketch
from tests.bench.duplicate_truth import chance, found_rows, measured, minima_of
from tests.bench.peer_venv import interpreter, told
from tests.bench.planted_copies import jaccard, plant, shingles

WORDS = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [" ".join(random.Random(seed).choices(WORDS, k=200)) for seed in range(160)]


def test_copies_are_as_alike_as_was_wanted_and_each_is_of_another_text(texts: list[str]) -> None:
    planted = plant(texts, exact=20, near=40, seed=3)
    assert planted["text"].to_list()[: len(texts)] == texts and planted.height == len(texts) + 60
    copies = planted.drop_nulls("kind")
    assert copies["origin"].is_unique().all()
    for row in copies.iter_rows(named=True):
        assert jaccard(shingles(texts[row["origin"]]), shingles(row["text"])) == row["jaccard"]
        assert abs(row["jaccard"] - row["wanted"]) < 0.02
        assert (row["text"] == texts[row["origin"]]) == (row["kind"] == "exact")
    edited = copies.filter(pl.col("kind") != "exact")["wanted"].to_list()
    assert (edited[0], edited[-1]) == (0.5, pytest.approx(0.95))
    assert planted.equals(plant(texts, exact=20, near=40, seed=3))


def test_chance_is_what_draws_come_to() -> None:
    drawn = np.random.default_rng(1).random((20_000, 24)) < 0.8
    shares = drawn[:, :20].reshape(-1, 5, 4).all(axis=2).any(axis=1)
    for least in (0, 18, 24):
        seen = (shares & (drawn.sum(axis=1) >= least)).mean()
        assert chance(np.array([0.8]), 5, 4, 24, least)[0] == pytest.approx(seen, abs=0.015)


def test_recall_is_counted_by_similarity_and_datasketch_agrees(texts: list[str], tmp_path: Path) -> None:
    found = measured(texts, tmp_path, exact=20, near=60)
    assert found["exact copies gone"]["share"] == 1.0
    edited = found["edited copies"]
    assert sum(line["pairs"] for line in edited["by similarity"].values()) == edited["all"]["pairs"] == 60
    assert abs(edited["all"]["points off"]) < 4 and abs(edited["all"]["points off expected"]) < 4
    assert edited["by similarity"]["0.90 to 0.95"]["share a band"] > 0.9
    gone = found["rows gone"]
    assert gone["the corpus's own"]["rows"] == 0 and gone["planted ones"]["least"] > 0.6
    rows = found_rows(Findings.open(tmp_path / "audit"))
    planted = pl.read_parquet(tmp_path / "planted.parquet")["text"].to_list()
    peer = by_datasketch(minima_of(planted), rows, (found["bands"], found["rows of a band"]), found["threshold"])
    pairs = peer["candidate pairs"]
    assert pairs["datasketch"] == pairs["foxing"] == pairs["both"] > 20
    assert peer["rows with another keeper"] == 0 and peer["rows gone"] == gone["all"]["rows"]


def test_clusterings_are_compared_by_the_pairs_they_put_together() -> None:
    found = agreement(np.array([0, 0, 0, 1, 2]), np.array([5, 5, 6, 7, 7]))
    assert found["pairs of theirs"] == 3 and found["pairs of foxing"] == 2 and found["pairs of both"] == 1
    assert agreement(np.arange(3), np.arange(3))["share of theirs"] is None


def test_what_cannot_be_installed_or_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.peer_venv.VENVS", tmp_path)
    with pytest.raises(OSError, match=r"no Python 9\.9 is here"):
        interpreter("nothing", ["nothing"], least=(9, 9))
    assert "No such file" in told(tmp_path / "python", "peer_decon.py", [], timeout_s=5)["failed"]


def test_reports_of_decon_are_counted_by_kind(texts: list[str]) -> None:
    planted = pl.DataFrame({"kind": ["whole", "whole", "cut"], "benchmark": ["m"] * 3, "item": ["1", "2", "1"]})
    found = [
        {"training_file": "planted.jsonl", "training_line": 0, "eval_instance_index": 1},
        {"training_file": "planted.jsonl", "training_line": 0, "eval_instance_index": 0},
        {"training_file": "planted.jsonl", "training_line": 1, "eval_instance_index": 0},
        {"training_file": "human.jsonl", "training_line": 7, "eval_instance_index": 0},
    ]
    counted = leakage_peers.counted(found, planted, 100, [("m", "1"), ("m", "2")])
    assert counted["recall"]["whole"]["flagged"]["hits"] == 2 and counted["recall"]["whole"]["right item"]["hits"] == 1
    assert counted["recall"]["cut"]["flagged"]["share"] == 0 and counted["human text flagged"]["hits"] == 1


def test_cost_is_measured_with_the_rows_that_were_found() -> None:
    (found,) = costs([0.004])
    assert found["rows"] == 4000 and 0.5 < int(str(found["gone"])) / int(str(found["planted"])) <= 1
    assert float(str(found["cpu_s"])) > 0 and float(str(found["anonymous_mb"])) > 0


def test_results_are_stored_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> None:
    monkeypatch.setenv("FOXING_DATA", str(tmp_path))
    (tmp_path / "bench").mkdir()
    pl.DataFrame({"text": texts}).write_parquet(tmp_path / "bench" / "human_web_40k.parquet")
    monkeypatch.setattr(duplicates, "measured", lambda texts, folder: {"rows": len(texts)})
    assert duplicates.main(["--millions", "", "--no-peers", "--out", str(tmp_path / "out")]) == 0
    (path,) = (tmp_path / "out").glob("duplicates-*.json")
    stored = json.loads(path.read_text())
    assert stored["schema"] == "foxing-bench-duplicates" and stored["truth"] == {"rows": 160}
