"""cap-templates leaves so many rows of each skeleton, the most diverse ones, and names what it drops."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.rules import DEFAULTS, Rule
from audit.scan_run import scan
from curricula.cap_templates import CapTemplates
from curricula.curate import Request, curate, preview
from curricula.protocols import Curriculum, Dropping

NOUNS = "apple bridge candle desert engine forest garden harbour island jacket kettle ladder market needle".split()


def rules(most: int) -> list[Rule]:
    """The default rules with so many rows to a skeleton."""
    capped = Rule(id="FX204", name="beyond the cap", when=f"templates.place >= {most}")
    return [*(rule for rule in DEFAULTS if rule.id != capped.id), capped]


def scanned(folder: Path) -> Findings:
    texts = [f"The {noun} is in the house." for noun in NOUNS]
    texts += ["It was not to be so.", "Where have you been?", "!", "The apple is in the house."]
    pl.DataFrame({"text": [*texts, None]}).write_parquet(folder / "a.parquet")
    config = ScanConfig(signals=("format",), workers=1, sketches=False, stages=("templates",))
    return scan([str(folder / "a.parquet")], folder / "out", Config(scan=config)).findings


def test_so_many_rows_of_a_template_stay_and_all_others(tmp_path: Path) -> None:
    findings = scanned(tmp_path)
    request = Request(curriculum=("cap-templates",), allow_loss=1.0)
    made = curate(findings, rules(5), tmp_path / "made", request)
    kept = pl.read_parquet(tmp_path / "made" / "data")["text"].to_list()
    dropped = pl.read_parquet(tmp_path / "made" / "dropped")
    assert sum(str(text).startswith("The ") for text in kept) == 5
    assert kept[5:] == ["It was not to be so.", "Where have you been?", "!", None]
    assert dropped["text"].to_list()[-1] == "The apple is in the house."
    (reasons,) = [name for name in dropped.columns if name.endswith("rules")]
    assert set(dropped[reasons].explode()) == {"FX204"}
    assert sum(shard.dropped_by.get("FX204", 0) for shard in made.manifest.inputs) == 10


def test_a_cap_that_nothing_reaches_drops_nothing(tmp_path: Path) -> None:
    seen = preview(scanned(tmp_path), rules(100), Request(curriculum=("cap-templates",)))
    assert seen.drop == ("FX204",) and seen.tally.kept == seen.tally.rows and seen.refusal is None


def test_it_is_a_curriculum_that_drops_and_orders_nothing() -> None:
    assert isinstance(CapTemplates(), Curriculum) and isinstance(CapTemplates(), Dropping)
    assert not CapTemplates.orders
    assert CapTemplates().rank(pl.LazyFrame({"index": [0, 1]})).collect()["rank"].to_list() == [0, 0]
