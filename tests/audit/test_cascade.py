"""The cascade over a scanned corpus: what is judged, that a budget holds, and that nothing hangs on how it is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from audit import cascade, rejudging
from audit.cascade import CASCADE_FILE, Cascade, with_tier
from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.scan_run import scan
from audit.stages import run_stages
from detectors.ai_text.encoder import Wanted, load_classifier
from detectors.errors import ConfigError, SignalError
from tests.detectors.tiny_models import need_torch, prose, write_encoder

need_torch()
ROWS = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


def texts() -> list[str | None]:
    return [None if i % 50 == 7 else "short" if i % 10 == 3 else prose(60 + i % 90, i) for i in range(ROWS)]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("corpus")
    every = texts()
    pl.DataFrame({"text": every[:200]}).write_parquet(folder / "a.parquet", row_group_size=64)
    pl.DataFrame({"text": every[200:]}).write_ndjson(folder / "b.jsonl")
    config = Config(scan=ScanConfig(signals=("ai_text",), stages=(), workers=1, sketches=False))
    return scan([str(folder)], folder.parent / f"{folder.name}-audit", config).findings


def run(stage: Cascade, findings: Findings) -> pl.DataFrame:
    found = run_stages(findings, [stage], commit=lambda _: None, advance=lambda *_: None)
    frame = pl.concat(list(found.parts({"ai_text": None, "cascade": None})))
    return frame.select("row", "ai_text", pl.col("cascade").struct.unnest())


@pytest.fixture
def fresh(scanned: Findings) -> Callable[[Cascade], pl.DataFrame]:
    """Run the stage with nothing left of an earlier one."""

    def again(stage: Cascade) -> pl.DataFrame:
        (scanned.directory / CASCADE_FILE).unlink(missing_ok=True)
        for part in (scanned.directory / "findings" / "cascade").rglob("*.parquet"):
            part.unlink()
        return run(stage, scanned)

    return again


def test_the_budget_holds_and_chosen_rows_have_the_models_margins(
    fresh: Callable[[Cascade], pl.DataFrame], model: Path
) -> None:
    found = fresh(Cascade(model=str(model), rows=80))
    chosen = found.with_row_index("at").filter(pl.col("chosen").is_not_null())
    assert chosen.height == 80
    assert chosen["chosen"].value_counts().sort("chosen").rows() == [("band", 40), ("sample", 40)]
    classifier, every = load_classifier(model, Wanted()), texts()
    expected = classifier.margins([every[at] or "" for at in chosen["at"].to_list()])
    assert chosen["margin"].to_list() == pytest.approx(expected.document.tolist(), abs=1e-6)
    assert chosen["windows"].to_list() == expected.windows.to_pylist()
    assert chosen["tier"].unique().to_list()[0].startswith("custom:classifier:")
    assert (chosen["chance"] > 0).all() and (chosen.filter(pl.col("chosen") == "band")["chance"] == 1).all()


def test_rows_that_were_not_chosen_keep_their_fast_margin_and_have_no_other(
    fresh: Callable[[Cascade], pl.DataFrame], model: Path
) -> None:
    found = fresh(Cascade(model=str(model), rows=20))
    others = found.filter(pl.col("chosen").is_null())
    assert others.select(pl.col("margin", "tier", "chance", "windows").is_null().all()).row(0) == (True,) * 4
    assert found["ai_text"].struct.field("tier").drop_nulls().unique().to_list() == ["fast"]
    abstained = found.filter(pl.col("ai_text").struct.field("abstained").fill_null(True))
    assert abstained.height and abstained["chosen"].is_null().all()


def test_workers_and_the_size_of_jobs_change_nothing(
    fresh: Callable[[Cascade], pl.DataFrame], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fresh(Cascade(model=str(model), rows=90))
    monkeypatch.setattr(rejudging, "JOB_ROWS", 7)
    assert fresh(Cascade(model=str(model), rows=90)).equals(one)
    monkeypatch.setattr(rejudging, "JOB_ROWS", 40)
    assert fresh(Cascade(model=str(model), rows=90, workers=2)).equals(one)


def test_a_time_budget_becomes_rows_before_the_start_and_is_recorded(
    fresh: Callable[[Cascade], pl.DataFrame], scanned: Findings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 10_000, 8))
    monkeypatch.setattr(cascade.time, "monotonic", lambda: float(next(ticks)))
    stage = Cascade(model=str(model), minutes=0.5)
    found = fresh(stage)
    record = json.loads((scanned.directory / CASCADE_FILE).read_text())
    assert (record["timed"], record["seconds_a_row"]) == (16, 0.5)
    assert record["rows"] == record["chosen"] == 60 == found["chosen"].drop_nulls().len()
    assert record["tier"].startswith("custom:classifier:") and record["in_band"] == 30
    for part in (scanned.directory / "findings" / "cascade").rglob("*.parquet"):
        part.unlink()
    monkeypatch.setattr(cascade.time, "monotonic", lambda: pytest.fail("timed again"))
    assert run(stage, scanned).equals(found)


def test_a_killed_run_goes_on_where_it_was(
    fresh: Callable[[Cascade], pl.DataFrame], scanned: Findings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejudging, "JOB_ROWS", 10)
    stage, judged = Cascade(model=str(model), rows=50), rejudging.Judging.__call__
    whole = fresh(stage)
    calls: list[int] = []

    def dying(self: rejudging.Judging, job: rejudging.Job) -> int:
        calls.append(job.number)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return judged(self, job)

    monkeypatch.setattr(rejudging.Judging, "__call__", dying)
    with pytest.raises(KeyboardInterrupt):
        fresh(stage)
    assert run(stage, scanned).equals(whole)
    assert calls == [0, 1, 2, 3, 3, 4]
    assert not (scanned.directory / ".cascade").exists()


def test_a_stage_that_is_done_is_not_done_again(
    scanned: Findings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(Cascade(model=str(model), rows=30), scanned)
    monkeypatch.setattr(Cascade, "prepare", lambda *_: pytest.fail("judged again"))
    assert run(Cascade(model=str(model), rows=30, workers=3), scanned).equals(first)


def test_a_model_that_is_not_named_or_not_there_is_an_error(scanned: Findings, model: Path, tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="needs a model, and none is bundled"):
        run(Cascade(), scanned)
    with pytest.raises(SignalError, match="no such file or folder"):
        run(Cascade(model=str(tmp_path / "gone")), scanned)
    stage = Cascade(model=str(model))
    assert stage.pinned().pinned() == stage.pinned() != stage
    with pytest.raises(SignalError, match="has digest"):
        run(Cascade(model=str(model), model_digest="0" * 64), scanned)


@pytest.mark.parametrize(
    "change", [{"rows": 0}, {"band_share": 1.5}, {"rate": 0.0}, {"minutes": -1.0}, {"device": "x"}]
)
def test_senseless_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="cascade"):
        Cascade(**change)  # type: ignore[arg-type]


def test_the_cascade_tier_becomes_the_fast_tier_and_a_stage() -> None:
    before = Config(
        scan=ScanConfig(workers=3, device="cpu"),
        signals={"ai_text": {"tier": "cascade", "model": "DIR", "min_characters": 300}, "near_dup": {"bits": 1}},
        stages={"cascade": {"band_share": 0.2}},
    )
    after = with_tier(before, minutes=5.0)
    assert after.signals == {"ai_text": {"tier": "fast", "min_characters": 300}, "near_dup": {"bits": 1}}
    wanted = {"model": "DIR", "band_share": 0.2, "minutes": 5.0, "workers": 3, "device": "cpu"}
    assert after.stages == {"cascade": wanted}
    assert after.scan.stages == (*before.scan.stages, "cascade")
    assert with_tier(after, tier="cascade", model="OTHER", rows=9).stages["cascade"]["model"] == "OTHER"
    assert Cascade(**after.stages["cascade"]).minutes == 5.0


def test_other_tiers_take_their_model_and_no_budget() -> None:
    assert with_tier(Config(), tier="encoder", model="DIR").signals == {"ai_text": {"tier": "encoder", "model": "DIR"}}
    assert with_tier(Config()) == Config()
    with pytest.raises(ConfigError, match="--ai-rows is the budget of a cascade"):
        with_tier(Config(), tier="encoder", rows=5)
    with pytest.raises(ConfigError, match="the fast tier has a model of its own"):
        with_tier(Config(), model="DIR")
