"""What a report says of curricula and trials is what they say themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from audit.calibrate import calibrated, tables_of
from audit.config import AllowConfig
from audit.findings_folder import Findings
from audit.report.content_training import Outcomes
from audit.rules import DEFAULTS, Rule, rules_from
from curricula.foresee import Request, preview
from curricula.outcomes import Outlook, plans
from curricula.protocols import CURRICULA
from curricula.trial_reading import read_trial
from detectors import registry
from detectors.errors import ConfigError, InputError, PluginError
from tests.audit.judging import row, write_findings


def outcomes(findings: Findings, rules: Sequence[Rule], requests: Sequence[Request]) -> Outcomes:
    with closing(Outlook(findings, rules, requests)) as outlook:
        outlook.read(calibrated(part, tables_of(findings)) for part in findings.parts())
        return outlook.outcomes()


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    rows = [row(margin=4.0 if at < 3 else -2.0, words=10 + at) for at in range(20)]
    return write_findings(tmp_path / "audit", {"a": rows})


def test_an_outcome_is_what_the_preview_of_curate_says(findings: Findings) -> None:
    (found,) = outcomes(findings, DEFAULTS, plans([["human-first"]], seed=17)).outcomes
    total = preview(findings, DEFAULTS, Request(curriculum=("human-first",), allow_loss=1.0)).tally.total
    assert (found.rows, found.kept, found.out) == (20, total.kept, total.after.rows)
    assert (found.words, found.words_out) == (total.before.tokens, total.after.tokens)
    assert found.name == "human-first" and not found.in_order and found.absent is None


def test_every_registered_curriculum_is_foreseen_or_says_what_it_needs(findings: Findings) -> None:
    found = {one.name: one for one in outcomes(findings, DEFAULTS, plans([], seed=17)).outcomes}
    assert set(found) == {"original, --drop FX101", *registry.names(CURRICULA)}
    assert found["dedup"].absent is not None and "FX301" in found["dedup"].absent
    dropped = found["original, --drop FX101"]
    assert dropped.dropped == {"FX101": dropped.rows - dropped.kept} and dropped.flagged_out == 0.0
    assert found["original"].kept == 20


@pytest.mark.parametrize("allow", [None, AllowConfig(source=("plain",)), AllowConfig(column={"dom": ("*onerror*",)})])
def test_one_reading_foresees_what_a_preview_of_each_curriculum_says(
    hostile_scan: Findings, allow: AllowConfig | None
) -> None:
    rules = rules_from({"FX203": {"action": "drop"}, "FX101": {"when": "row % 3 = 1"}})
    requests = plans([], seed=17, tables={"shuffled": {"seed": 3}}, allow=allow)
    found = outcomes(hostile_scan, rules, requests).outcomes
    foreseen = 0
    for request, outcome in zip(requests, found, strict=True):
        try:
            alone = preview(hostile_scan, rules, request)
        except (ConfigError, InputError) as error:
            assert outcome.absent == str(error)
            continue
        total, foreseen = alone.tally.total, foreseen + 1
        assert outcome.absent is None and (outcome.rows, outcome.kept) == (total.before.rows, total.kept)
        assert (outcome.out, outcome.words_out) == (total.after.rows, total.after.tokens)
        assert (outcome.flagged_out, outcome.mtld, outcome.mtld_out) == (
            total.after.flagged_share, total.before.mtld, total.after.mtld
        )  # fmt: skip
        assert outcome.dropped == {reason: rows for reason, rows in total.dropped.items() if rows}
        assert (outcome.in_order, outcome.refusal) == (alone.in_order, alone.refusal)
    drops = {reason for outcome in found for reason in outcome.dropped or ()}
    assert foreseen >= 8 and {"FX101", "FX203", "FX301", "FX303"} <= drops
    hits = preview(hostile_scan, rules, requests[0]).tally.total.hits["FX101"]
    dropped = (found[0].dropped or {})["FX101"]
    assert 0 < dropped < hits if allow else dropped == hits


def test_a_curriculum_that_does_not_exist_stops(findings: Findings) -> None:
    with pytest.raises(PluginError, match="nonesuch"):
        outcomes(findings, DEFAULTS, plans([["nonesuch"]], seed=17))


def write_trial(folder: Path, *, steps: int = 400) -> Path:
    """A trial folder as `foxing trial` leaves it, with two arms and two seeds."""
    row_ = {"arm": "a", "test": "t", "metric": "loss", "mean": 2.0, "low": None, "high": None}
    contrast = {
        "name": "b - a on t", "metric": "loss", "difference": -0.5, "low": -0.7, "high": -0.3, "p": 0.01, "seeds": 2,
        "items": 9, "p_corrected": 0.02,
    }  # fmt: skip
    runs = [{"arm": arm, "seed": seed, "tokens": 1, "passes": None, "means": {}} for arm in "ab" for seed in (1, 2)]
    document = {
        "format": "foxing-trial", "version": 1, "digest": "d1", "trial": {}, "tokens": steps, "arms": [row_],
        "contrasts": [contrast], "runs": runs, "notes": [],
    }  # fmt: skip
    folder.mkdir()
    (folder / "trial.json").write_text(json.dumps(document))
    for arm in "ab":
        for seed in (1, 2):
            run = folder / arm / f"seed-{seed}"
            run.mkdir(parents=True)
            lines = [{"tokens": step, "loss": 5 - step / steps + seed, "step": step} for step in range(1, steps + 1)]
            (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, [*lines, {"dev_loss": 1.0}])))
    return folder


def test_curves_keep_their_ends_their_range_over_seeds_and_few_points(tmp_path: Path) -> None:
    found = read_trial(write_trial(tmp_path / "trial"))
    assert (found.digest, found.tokens, found.seeds) == ("d1", 400, 2) and len(found.curves) == 2
    curve = found.curves[0]
    assert 2 < len(curve.tokens) <= 120 and curve.tokens[-1] == 400
    assert all(high - low == pytest.approx(1) for low, high in zip(curve.low, curve.high, strict=True))
    assert found.changes[0].p_corrected == 0.02 and found.arms[0].low is None


def test_a_folder_without_losses_has_results_and_no_curves(tmp_path: Path) -> None:
    folder = write_trial(tmp_path / "trial")
    for file in folder.glob("*/*/metrics.jsonl"):
        file.unlink()
    assert read_trial(folder).curves == () and read_trial(folder).changes


@pytest.mark.parametrize(("text", "said"), [("x", "cannot be read"), ("{}", "not foxing-trial 1"), (None, "finished")])
def test_what_is_no_finished_trial_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "trial.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_trial(tmp_path)


def test_a_damaged_trial_is_named(tmp_path: Path) -> None:
    (tmp_path / "trial.json").write_text('{"format": "foxing-trial", "version": 1, "runs": 3}')
    with pytest.raises(InputError, match="is damaged"):
        read_trial(tmp_path)
