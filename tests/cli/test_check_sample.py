from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit import sequential_units
from audit.execute import Serial
from audit.rogan_gladen import ErrorRates, Trial
from audit.rulebook import DEFAULTS
from audit.rules import find
from audit.sequential_check import Limits, _Ruled
from tests.corpora import texts

Run = Callable[..., Any]
RESIDUE = "As an AI language model, I cannot smell flowers."


def corpus(path: Path, rows: int, share: float, *, group: int = 200, seed: int = 4) -> Path:
    """A Parquet file in which a share of rows holds assistant residue."""
    rng = random.Random(seed)
    found = [RESIDUE if rng.random() < share else text for text in texts(40, seed) * (rows // 40)]
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"text": found}), path, row_group_size=group)
    return path


@pytest.fixture
def sample(foxing: Run, tmp_path: Path) -> Run:
    settings = 'signals = ["document", "residue"]\nworkers = 1\n[check]\nselect = ["FX102"]\n'
    (tmp_path / "foxing.toml").write_text(settings)

    def run(*arguments: object) -> Any:
        return foxing("check", *arguments, "--sample", "--config", tmp_path / "foxing.toml", settings=True)

    return run


def test_a_share_far_over_the_budget_fails_after_a_part_of_the_rows(sample: Run, tmp_path: Path) -> None:
    answer = sample(corpus(tmp_path / "a.parquet", 40_000, 0.3), "--budget", "FX102=0.05", "--format", "json")
    found = json.loads(answer.out)
    (rule,) = found["rules"]
    assert answer.code == 1 and rule["verdict"] == "over" and rule["interval"][0] >= 0.05
    assert found["sample"]["rows"] < 4_000 and found["sample"]["of_rows"] == 40_000 == found["sample"]["of_units"] * 50
    assert rule["n"] == found["sample"]["rows"] == found["total"]["rows"] and "|sample:" in found["signature"]
    assert rule["worst"][0]["uri"].endswith("a.parquet") and found["sample"]["ended"] == "FX102 is over budget"


def test_a_share_far_below_the_budget_passes_after_a_part_of_the_rows(sample: Run, tmp_path: Path) -> None:
    answer = sample(corpus(tmp_path / "a.parquet", 40_000, 0.01), "--budget", "FX102=0.1")
    assert answer.code == 0 and "Every rule is within budget." in answer.out
    assert "it ended because every rule is decided" in answer.out
    assert "what the detector gets wrong is not in that" in answer.out


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)])
def test_too_few_rows_are_undecided_which_only_strict_fails_on(
    sample: Run, tmp_path: Path, strict: list[str], code: int
) -> None:
    path = corpus(tmp_path / "a.parquet", 40_000, 0.04)
    answer = sample(path, "--budget", "FX102=0.05", "--max-rows", 1000, *strict)
    assert answer.code == code and "undecided: FX102" in answer.out and "more rows would decide" in answer.out
    assert ("foxing: warning: undecided: FX102." in answer.err) == (not strict)


def test_what_can_never_be_decided_is_not_waited_for(sample: Run, tmp_path: Path) -> None:
    path = corpus(tmp_path / "a.parquet", 200_000, 0.0, group=50_000)
    found = json.loads(sample(path, "--budget", "FX102=0.001", "--format", "json").out)
    assert found["rules"][0]["verdict"] == "undecided" and found["sample"]["rows"] < 20_000
    assert "would not be decided within" in found["sample"]["ended"]


def test_a_small_corpus_is_drawn_to_its_end_and_judged_as_a_scan_would(
    sample: Run, foxing: Run, tmp_path: Path
) -> None:
    path = corpus(tmp_path / "a.parquet", 400, 0.05)
    drawn = sample(path, "--budget", "FX102=0.05", "--format", "json")
    whole = foxing(
        "check", path, "--budget", "FX102=0.05", "--format", "json", "--config", tmp_path / "foxing.toml", settings=True
    )
    one, other = (json.loads(answer.out)["rules"][0] for answer in (drawn, whole))
    assert drawn.code == whole.code
    assert all(one[key] == other[key] for key in ("verdict", "n", "hits", "share"))
    assert one["interval"] == [one["share"]] * 2


def test_workers_and_order_of_files_change_nothing(foxing: Run, tmp_path: Path) -> None:
    files = [corpus(tmp_path / "c" / f"{name}.parquet", 4_000, 0.2, seed=at) for at, name in enumerate("ab")]
    answers = []
    for workers, paths in ((1, files), (2, files[::-1])):
        (tmp_path / "foxing.toml").write_text(f'signals = ["document", "residue"]\nworkers = {workers}\n')
        options = "--select", "FX102", "--format", "json", "--sample", "--config", tmp_path / "foxing.toml"
        answers.append(foxing("check", *paths, *options, settings=True).out)
    assert answers[0] == answers[1] and json.loads(answers[0])["shards"] == 2


def test_jsonl_is_sampled_and_an_unreadable_file_is_an_exit_2(sample: Run, tmp_path: Path) -> None:
    path = corpus(tmp_path / "a.parquet", 4_000, 0.3)
    rows = pq.read_table(path).to_pylist()
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "b.jsonl").read_bytes()))
    plain, packed = (
        json.loads(sample(file, "--budget", "FX102=0.2", "--format", "json").out)
        for file in (tmp_path / "b.jsonl", tmp_path / "z" / "b.jsonl.gz")
    )
    assert plain["sample"] == packed["sample"] and plain["sample"]["of_rows"] == 4_000 > plain["sample"]["rows"]
    assert plain["total"] == packed["total"] and plain["rules"][0]["hits"] == packed["rules"][0]["hits"]
    (tmp_path / "d.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    answer = sample(tmp_path / "b.jsonl", tmp_path / "d.parquet", "--exit-zero")
    assert answer.code == 2 and "d.parquet: is a Git LFS pointer" in answer.out


@pytest.mark.parametrize(("share", "code", "verdict"), [(0.12, 1, "over"), (0.03, 0, "known")])
def test_against_a_baseline_a_sample_is_drawn_until_it_tells_what_is_worse(
    sample: Run, foxing: Run, tmp_path: Path, share: float, code: int, verdict: str
) -> None:
    options = "--budget", "FX102=0.05", "--format", "json"
    old, settings = corpus(tmp_path / "old.parquet", 20_000, 0.06), ("--config", tmp_path / "foxing.toml")
    foxing("check", old, *options, *settings, "--output-file", tmp_path / "old.json", settings=True)
    answer = sample(corpus(tmp_path / "new.parquet", 40_000, share), *options, "--baseline", tmp_path / "old.json")
    (rule,) = json.loads(answer.out)["rules"]
    (before,) = json.loads((tmp_path / "old.json").read_text())["rules"]
    assert (answer.code, rule["verdict"]) == (code, verdict) and before["verdict"] == "over"
    text = sample(tmp_path / "new.parquet", *options[:2], "--baseline", tmp_path / "old.json").out
    assert text.startswith("Over budget: " if code else "Over budget in the baseline, and not above what it was then: ")
    ends = rule["interval"][0], before["interval"][1], rule["interval"][1]
    assert ends[0] >= ends[1] if code else ends[2] <= ends[1]


def test_a_sample_that_has_just_crossed_a_share_known_exactly_is_worse(sample: Run, tmp_path: Path) -> None:
    """The baseline was drawn to its end, and a sample ends where its interval begins at that very share."""
    options = "--budget", "FX102=0.06", "--format", "json", "--config", tmp_path / "foxing.toml"
    sample(corpus(tmp_path / "a.parquet", 400, 0.06), *options, "--output-file", tmp_path / "old.json")
    (before,) = json.loads((tmp_path / "old.json").read_text())["rules"]
    assert before["verdict"] == "over" and before["interval"] == [before["share"]] * 2
    answer = sample(corpus(tmp_path / "a.parquet", 40_000, 0.12), *options, "--baseline", tmp_path / "old.json")
    (rule,) = json.loads(answer.out)["rules"]
    assert rule["interval"][0] == before["share"] and "higher than in the baseline" in rule["reason"]
    assert (answer.code, rule["verdict"]) == (1, "over")


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "within"), (0.08, "known")])
def test_what_the_baseline_had_over_budget_and_a_sample_shows_within_it_is_within(share: float, verdict: str) -> None:
    """FX101: its budget stands for a share of rows flagged, and so does what the baseline had."""
    rates = ErrorRates((Trial("h1", 1000, 5), Trial("h2", 1000, 10)), (Trial("m1", 1000, 900), Trial("m2", 1000, 800)))
    rule = _Ruled(replace(find(DEFAULTS, "FX101"), budget=0.05), 20_000, 0.01, Limits(), rates, 17, 0.3)
    assert 0 < rule.clean < rule.target < 1
    for _ in range(300):
        rule.sequence.update(50, 50, round(50 * share))
    assert rule.verdict.value == verdict


def torn(path: Path, rows: int = 4_000) -> Path:
    """A Parquet file whose footer is whole and whose pages are not."""
    content = bytearray(corpus(path, rows, 0.3, group=rows).read_bytes())
    content[100 : len(content) // 2] = b"\xff" * (len(content) // 2 - 100)
    path.write_bytes(content)
    return path


def test_a_file_of_which_nothing_can_be_read_is_named_and_no_rule_is_blamed(sample: Run, tmp_path: Path) -> None:
    answer = sample(torn(tmp_path / "torn.parquet"))
    assert answer.code == 2 and "torn.parquet: is not a whole Parquet file" in answer.err and "FX102" not in answer.err


@pytest.mark.parametrize("is_hasty", [False, True])
def test_a_torn_file_counts_when_its_turn_comes_whichever_worker_is_quicker(
    sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_hasty: bool
) -> None:
    class Turned(Serial):
        """Gives what was drawn first at the end, as workers may."""

        def map(self, task: Any, items: Any) -> Any:
            found = list(itertools.islice(super().map(task, items), 12))
            return iter(found[::-1] if is_hasty else found)

    monkeypatch.setattr("audit.sequential_run.executor_for", lambda workers: Turned())
    corpus(tmp_path / "c" / "a.parquet", 40_000, 1.0)
    torn(tmp_path / "c" / "torn.parquet", 8_000)
    answer = sample(tmp_path / "c", "--select", "FX102", "--budget", "FX102=0", "--format", "json", "-q")
    # The first unit that was drawn lies in the whole file, others of the twelve in the torn one.
    assert answer.code == 1 and json.loads(answer.out)["sample"]["units"] == 1


def test_units_of_one_row_group_are_read_in_one_pass(
    sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    monkeypatch.setattr(
        "audit.sequential_units._read_groups",
        lambda units, columns, read=sequential_units._read_groups: passes.append(len(units)) or read(units, columns),
    )
    found = json.loads(
        sample(
            corpus(tmp_path / "a.parquet", 40_000, 0.05, group=40_000), "--format", "json", "--budget", "FX102=0.05"
        ).out
    )
    assert found["sample"]["units"] > 64 and len(passes) <= 8 and sum(passes) >= found["sample"]["units"]


def test_machine_written_text_is_judged_by_flags_and_says_so(foxing: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts(640)}), path)
    answer = foxing("check", path, "--sample", "--select", "FX101", "--format", "json")
    (rule,) = json.loads(answer.out)["rules"]
    assert rule["corrected"] and "judged by flags: over budget where more than" in rule["reason"]
    assert (rule["verdict"] == "over") == (rule["interval"][0] > rule["budget"])


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)])
def test_text_that_the_detector_cannot_judge_is_said_and_strict_fails_on_it_as_in_a_scan(
    foxing: Run, tmp_path: Path, strict: list[str], code: int
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["Короткий текст."] * 300}), path)
    answer = foxing("check", path, "--sample", "--select", "FX101", *strict)
    assert answer.code == code and "no document that was drawn could be measured for it" in answer.out
    whole = foxing("check", path, "--select", "FX101", *strict)
    assert whole.code == code and "no document could be measured for it" in whole.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--statistics"], "--statistics: needs every row"),
        (["--error-rate", "nan"], "error rate nan: nothing could be decided"),
        (["--select", "FX301"], "rule FX301: needs the whole corpus: duplicates"),
        (["--select", "FX401"], "rule FX401: not scanned: knowledge"),
        (["--select", "FX3"], "no rule could be judged: FX301 (needs the whole corpus: duplicates)"),
    ],
)
def test_what_a_sample_cannot_give_is_refused(foxing: Run, tmp_path: Path, options: list[str], says: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts(20)}), path)
    answer = foxing("check", path, "--sample", *options)
    assert answer.code == 2 and says in answer.err and not answer.out


def test_a_scan_and_standard_input_are_not_sampled(foxing: Run, tmp_path: Path) -> None:
    (tmp_path / "audit" / "findings").mkdir(parents=True)
    assert "is a scan, whose every row is measured already" in foxing("check", tmp_path / "audit", "--sample").err
    assert "standard input cannot be sampled" in foxing("check", "-", "--sample").err
