from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.reference_file import EVERYTHING, read_reference
from tests.audit.judging import row, write_findings

Run = Callable[..., Any]
WORDS = np.array("the a old grey sea tide boat went came over under then we saw little light by morning".split())


def texts(n: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 80)) + "." for _ in range(n)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("human") / "human.parquet"
    table = {"text": [*texts(310, 1), *texts(305, 2), "short"], "domain": ["sea"] * 310 + ["land"] * 305 + ["sea"]}
    pq.write_table(pa.table(table), path)
    return path


def scan_of(folder: Path, sizes: dict[str, int], tier: str = "fast") -> Path:
    """Findings with so many human rows of each source."""
    random = np.random.default_rng(1)
    rows = [row(float(random.normal()), source=name) for name, n in sizes.items() for _ in range(n)]
    for one in rows:
        one["ai_text"]["tier"] = tier
    write_findings(folder, {"a": [*rows, row(None, source="news")]}, by="kind")
    return folder


def test_each_group_has_its_rate_and_the_settings_that_use_the_file(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "sea.ref.json"
    answer = foxing("calibrate", corpus, "--fpr", "0.01", "--by", "domain", "-o", file)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    sea, land = lines[1].split(), lines[2].split()
    assert sea[:4] == ["sea", "310", "0", "0.00000"] and land[:2] == ["land", "305"]
    assert "1 row without a margin" in answer.out
    settings = tomllib.loads("\n".join(lines[lines.index("") + 1 :]))
    assert settings == {
        "calibration": {"reference": str(file)},
        "rule": {"FX101": {"when": "ai_text.p_human <= 0.01"}},
    }
    found = read_reference(file)
    assert {name: table.n for name, table in found.groups.items()} == {"sea": 310, "land": 305}
    assert found.by == "domain" and found.model.tier == "fast" and found.model.weights and found.model.adjustment


def test_too_little_text_exits_2_names_the_smallest_rate_and_writes_nothing(foxing: Run, tmp_path: Path) -> None:
    scan, file = scan_of(tmp_path / "scan", {"news": 400, "blog": 100}), tmp_path / "a.json"
    answer = foxing("calibrate", scan, "--fpr", "0.01", "--by", "kind", "-o", file)
    assert answer.code == 2 and not file.exists() and not answer.out
    assert "needs 299 human documents" in answer.err
    assert "blog (n 100: 0.0296 at least)" in answer.err and "news" not in answer.err
    assert "--fpr 0.0296" in answer.err
    assert foxing("calibrate", scan, "--fpr", "0.0296", "--by", "kind", "-o", file).code == 0 and file.exists()


def test_small_groups_are_left_to_the_bundled_reference_when_asked(foxing: Run, tmp_path: Path) -> None:
    scan, file = scan_of(tmp_path / "scan", {"news": 400, "blog": 100}), tmp_path / "a.json"
    answer = foxing("calibrate", scan, "--by", "kind", "-o", file, "--skip-small")
    assert answer.code == 0 and "left out, for want of text: blog" in answer.err
    assert set(read_reference(file).groups) == {"news"}
    answer = foxing("calibrate", scan, "--fpr", "0.001", "--by", "kind", "-o", file, "--skip-small", "--fresh")
    assert answer.code == 2 and "needs 2,995" in answer.err


def test_a_file_that_is_there_is_replaced_only_when_asked(foxing: Run, tmp_path: Path) -> None:
    scan, file = scan_of(tmp_path / "scan", {"news": 400, "blog": 310}), tmp_path / "a.json"
    assert foxing("calibrate", scan, "-o", file).code == 0
    before = file.read_bytes()
    answer = foxing("calibrate", scan, "--by", "kind", "-o", file)
    assert answer.code == 2 and not answer.out and "is there already" in answer.err and "--fresh" in answer.err
    assert file.read_bytes() == before
    assert foxing("calibrate", scan, "--by", "kind", "-o", file, "--fresh").code == 0
    assert set(read_reference(file).groups) == {"news", "blog"}


def test_a_file_of_another_kind_is_never_replaced_and_a_missing_folder_named(
    foxing: Run, corpus: Path, tmp_path: Path
) -> None:
    before = corpus.read_bytes()
    answer = foxing("calibrate", corpus, "-o", corpus, "--fresh")
    assert answer.code == 2 and "is no reference file" in answer.err and corpus.read_bytes() == before
    answer = foxing("calibrate", corpus, "-o", tmp_path / "absent" / "a.json")
    assert answer.code == 2 and "there is no folder" in answer.err


def test_without_a_column_all_text_is_one_group(foxing: Run, tmp_path: Path) -> None:
    scan, file = scan_of(tmp_path / "scan", {"news": 200, "blog": 110}, "encoder:1a2b"), tmp_path / "a.json"
    answer = foxing("calibrate", scan, "-o", file)
    assert answer.code == 0 and answer.out.splitlines()[1].split()[:2] == ["all", "310"]
    found = read_reference(file)
    assert found.groups[EVERYTHING].n == 310 and found.by is None
    assert (found.model.tier, found.model.weights, found.model.adjustment) == ("encoder:1a2b", "", "")


def test_thresholds_flag_no_more_than_the_rate_says(foxing: Run, tmp_path: Path) -> None:
    scan, file = scan_of(tmp_path / "scan", {"news": 2000}, "custom:x"), tmp_path / "a.json"
    answer = foxing("calibrate", scan, "--fpr", "0.02", "-o", file)
    _, n, hits, rate, interval, threshold = answer.out.splitlines()[1].replace(",", "").split()
    low, high = map(float, interval.split("-"))
    assert 0 < int(hits) < 0.02 * int(n) and low < float(rate) < high
    margins = np.random.default_rng(1).normal(size=2000)
    assert (margins > float(threshold) + 5e-4).sum() <= int(hits) <= (margins > float(threshold) - 5e-4).sum()
    p = read_reference(file).p_human(margins, np.full(2000, "news"))
    assert (p <= 0.02).sum() == int(hits)


def test_a_column_that_the_scan_did_not_carry_is_an_error(foxing: Run, tmp_path: Path) -> None:
    answer = foxing("calibrate", scan_of(tmp_path / "scan", {"news": 300}), "--by", "domain")
    assert answer.code == 2 and "did not carry that column (it carried: kind)" in answer.err


def test_a_scan_without_the_detector_is_an_error(foxing: Run, tmp_path: Path) -> None:
    write_findings(tmp_path / "scan", {"a": [row()]}, signals=("document",))
    answer = foxing("calibrate", tmp_path / "scan")
    assert answer.code == 2 and "ai_text was not scanned" in answer.err


def test_a_rate_outside_0_to_1_is_a_usage_error(foxing: Run, tmp_path: Path) -> None:
    for rate in ("0", "1", "x"):
        assert foxing("calibrate", tmp_path, "--fpr", rate).code == 2


def test_no_text_of_the_corpus_is_in_the_file(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    foxing("calibrate", corpus, "-o", file)
    record = json.loads(file.read_text())
    assert set(record) == {"format", "version", "model", "by", "corpus", "groups"}
    assert not any(word in file.read_text() for word in ("morning", "tide"))


def test_margins_of_another_version_are_neither_judged_nor_made_a_reference_of(foxing: Run, tmp_path: Path) -> None:
    scan = scan_of(tmp_path / "scan", {"news": 310})
    record = json.loads((scan / "scan.json").read_text("utf-8"))
    for signal in record["signals"]:
        signal["version"] = signal["version"] - 1 if signal["name"] == "ai_text" else signal["version"]
    (scan / "scan.json").write_text(json.dumps(record), "utf-8")
    for command in (["check"], ["findings"], ["calibrate", "-o", tmp_path / "r.json"]):
        answer = foxing(command[0], scan, *command[1:])
        assert answer.code == 2 and "margins mean nothing in version" in answer.err, command
    assert not (tmp_path / "r.json").exists()


def test_small_groups_are_told_a_rate_that_they_reach(foxing: Run, tmp_path: Path) -> None:
    scan = scan_of(tmp_path / "scan", {"news": 40})
    file = tmp_path / "r.json"
    answer = foxing("calibrate", scan, "-o", file, "--skip-small")
    assert answer.code == 2 and "all rows (n 40" in answer.err and "--skip-small" not in answer.err
    rate = re.search(r"--fpr ([\d.]+\d)", answer.err)
    assert rate is not None and foxing("calibrate", scan, "-o", file, "--fpr", rate[1]).code == 0


def test_a_reference_by_a_column_that_the_scan_lacks_is_said_to_judge_nothing(foxing: Run, tmp_path: Path) -> None:
    scan, settings = scan_of(tmp_path / "scan", {"news": 310}), tmp_path / "own.toml"
    assert foxing("calibrate", scan, "--by", "kind", "-o", tmp_path / "r.json").code == 0
    settings.write_text('[calibration]\nreference = "r.json"\n', "utf-8")
    write_findings(tmp_path / "other", {"b": [row(0.0), row(1.0)]})
    told = foxing("check", tmp_path / "other", "--config", settings, settings=True)
    assert "judged no row" in told.err and "--by kind" in told.err
    assert "judged no row" not in foxing("check", scan, "--config", settings, settings=True).err
