"""Curricula that leave rows out: what goes is counted, kept aside and accounted for."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.rules import rules_from
from audit.scan_run import scan
from curricula.curate import Request, curate, preview
from curricula.drop import Decontaminate, Dedup
from curricula.protocols import Curriculum, Dropping
from curricula.verify import verify
from detectors.errors import ConfigError

RULES = rules_from({})


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    texts = [" ".join(f"t{row % 6}w{word}" for word in range(60)) for row in range(8)]
    pl.DataFrame({"text": texts, "n": range(8)}).write_parquet(tmp_path / "a.parquet")
    config = Config(scan=ScanConfig(signals=("near_dup",), workers=1, sketches=False))
    return scan([str(tmp_path / "a.parquet")], tmp_path / "audit", config).findings


def test_copies_go_and_everything_else_stays_in_corpus_order(findings: Findings, tmp_path: Path) -> None:
    made = curate(findings, RULES, tmp_path / "out", Request(curriculum=("dedup",)))
    assert pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")["n"].to_list() == [0, 1, 2, 3, 4, 5]
    gone = pl.read_parquet(tmp_path / "out" / "dropped" / "*.parquet")
    assert gone["n"].to_list() == [6, 7] and gone["foxing_rules"].to_list() == [["FX301"], ["FX301"]]
    assert made.manifest.drop == ("FX301", "FX302")
    assert verify(tmp_path / "out").return_code == 0


def test_it_goes_with_a_curriculum_that_orders(findings: Findings, tmp_path: Path) -> None:
    curate(findings, RULES, tmp_path / "out", Request(curriculum=("dedup", "shuffled"), seed=3))
    kept = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")["n"].to_list()
    assert sorted(kept) == [0, 1, 2, 3, 4, 5] and kept != sorted(kept)


def test_what_was_not_measured_cannot_be_dropped(findings: Findings, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["some words"]}).write_parquet(tmp_path / "b.parquet")
    config = Config(scan=ScanConfig(signals=("diversity",), workers=1, sketches=False))
    other = scan([str(tmp_path / "b.parquet")], tmp_path / "other", config).findings
    with pytest.raises(ConfigError, match="curriculum dedup drops FX301: not measured"):
        preview(other, RULES, Request(curriculum=("dedup",)))


@pytest.mark.parametrize("kind", [Dedup, Decontaminate])
def test_they_keep_the_contract(kind: type[Dedup] | type[Decontaminate]) -> None:
    curriculum = kind(seed=4)
    assert isinstance(curriculum, Curriculum) and isinstance(curriculum, Dropping) and not curriculum.orders
