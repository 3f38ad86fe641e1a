"""`foxing curate` as a user types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Answer
from tests.corpora import texts, write_parquet
from tests.curricula import test_edited_output as edited
from tests.curricula.fake_findings import make_findings, patch_calibration

Run = Callable[..., Answer]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    patch_calibration(monkeypatch)
    paths = [
        write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(n), "key": range(n)})) for n in (60, 80)
    ]
    found: dict[str, list[float | None]] = {
        "60.parquet": [*[8.0] * 20, *[0.0] * 40],
        "80.parquet": [*[None] * 30, *[-1.0] * 50],
    }
    make_findings(tmp_path / "audit", paths, found)
    return tmp_path / "audit"


def test_writes_shards_and_says_where(foxing: Run, tmp_path: Path, audit: Path) -> None:
    done = foxing("curate", audit, "-o", tmp_path / "out", "--drop", "FX101")
    assert done.code == 0 and "warning" not in done.err and "error" not in done.err
    for said in ("140 rows in = 120 kept + 20 dropped + 0 errored", "dropped by FX101: 20 rows", "foxing verify"):
        assert said in done.out
    assert pq.read_table(tmp_path / "out" / "data").num_rows == 120
    assert "nothing to do" in foxing("curate", audit, "-o", tmp_path / "out", "--drop", "FX101").out


def test_dry_run_shows_each_source_before_and_after_and_writes_nothing(
    foxing: Run, tmp_path: Path, audit: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = foxing("curate", audit, "-o", tmp_path / "out", "--drop", "FX101", "--dry-run")
    assert done.code == 0
    lines = done.out.splitlines()
    assert re.split(r"  +", lines[0]) == [
        "source", "rows", "tokens", "MB of text", "AI score", "AI flagged", "lost", "FX101",
    ]  # fmt: skip
    (first,) = (line.split() for line in lines if line.startswith("60 "))
    assert first[:4] == ["60", "60", "->", "40"]
    assert first[-5:] == ["33.9%", "->", "0.0%", "33.3%", "20"]
    (total,) = (line.split() for line in lines if line.startswith("total"))
    assert total[:4] == ["total", "140", "->", "120"]
    rows = [line for line in lines if "->" in line and not line.startswith("before")]
    assert len({tuple(match.start() for match in re.finditer("->", line)) for line in rows}) == 1, "arrows are aligned"
    assert lines[-1] == "nothing was written"
    assert sorted(tmp_path.rglob("*")) == before


def test_dry_run_as_json_has_the_same_numbers(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit, "--drop", "FX101", "--dry-run", "--format", "json", "--rows", "100")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["format"], found["version"], found["refusal"]) == ("foxing-preview", 1, None)
    assert found["total"]["dropped"] == {"FX101": 20, "budget": 20}
    assert found["total"]["before"]["rows"] == 140
    assert found["total"]["after"]["rows"] == found["total"]["kept"] == 100
    assert found["sources"]["60"]["before"]["flagged_share"] == pytest.approx(20 / 59)
    assert found["total"]["after"]["flagged_share"] == 0


def test_check_exits_1_with_the_changes_and_0_without(foxing: Run, tmp_path: Path, audit: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    same = foxing("curate", audit, "--curriculum", "original", "--check", "--diff")
    assert (same.code, same.out) == (0, "")
    assert "0 rows would be dropped" in same.err
    other = foxing("curate", audit, "--curriculum", "original", "--drop", "FX101", "--check", "--diff")
    assert other.code == 1
    assert other.out.splitlines()[:3] == ["--- a/60", "+++ b/60", "@@ -1 +0,0 @@ dropped by FX101"]
    assert other.out.count("@@ dropped by FX101") == 20
    quiet = foxing("curate", audit, "--drop", "FX101", "--check")
    assert (quiet.code, quiet.out) == (1, "")
    refused = foxing("curate", audit, "--drop", "FX101", "--allow-loss", "0.1", "--check")
    assert refused.code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_rows_without_an_answer_to_replace_are_told_by_each_way_of_asking(foxing: Run, tmp_path: Path) -> None:
    write_parquet(tmp_path / "in" / "t.parquet", pa.table({"text": texts(30)}))
    edited.scanned(tmp_path, edited.qa(20))
    asked = ["curate", tmp_path / "audit", "--curriculum", "original,correct-false"]
    said = "correct-false: 30 kept rows of plain text left as they were read"
    assert said in foxing(*asked, "--dry-run").out
    assert json.loads(foxing(*asked, "--dry-run", "--format", "json").out)["without_answers"] == 30
    assert said in foxing(*asked, "--check").err
    for _ in ("made", "there already"):
        assert said in foxing(*asked, "-o", tmp_path / "out").out
    assert "plain text" not in foxing("curate", tmp_path / "audit", "--curriculum", "original", "--dry-run").out


def test_sources_may_lose_what_flags_say_of_them_before_what_settings_say(
    foxing: Run, tmp_path: Path, audit: Path
) -> None:
    asked = ["curate", audit, "--drop", "FX101", "--dry-run"]
    refused = foxing(*asked, "--allow-loss", "0.5", "--allow-loss", "60=0.1")
    assert refused.code == 2 and "60 33.3%" in refused.err and "--allow-loss 60=0.34" in refused.err
    assert foxing(*asked, "--allow-loss", "0.1,60=0.34").code == 0
    assert "no source matches 'web'" in foxing(*asked, "--allow-loss", "web=0.1").err
    assert foxing(*asked, "--allow-loss", "1.5").code == 2
    (tmp_path / "foxing.toml").write_text('[curate]\nallow_loss = 0.1\nallow_loss_of = { "6*" = 0.5 }\n')
    given = [*asked, "--config", tmp_path / "foxing.toml"]
    assert foxing(*given, settings=True).code == 0
    assert foxing(*given, "--allow-loss", "60=0.2", settings=True).code == 2


def test_rows_whose_answer_cannot_be_replaced_are_told(foxing: Run, tmp_path: Path) -> None:
    table = edited.chats(40).to_pylist()
    table[21]["messages"].append({"role": "assistant", "content": None})
    edited.scanned(tmp_path, pa.Table.from_pylist(table))
    asked = ["curate", tmp_path / "audit", "--curriculum", "original,correct-false"]
    done = foxing(*asked, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "warning: 1 answers were to be replaced and stay as they were read: none is text (a 1)" in done.err
    assert "answers that could not be replaced: 1 rows, left as they were read" in done.out
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["totals"]["unedited"] == 1
    assert foxing("verify", tmp_path / "out").code == 0
    assert "stays: it has none that is text" in foxing(*asked, "--check", "--diff").out


def test_dry_run_foresees_what_writing_would_cost(foxing: Run, tmp_path: Path, audit: Path) -> None:
    said = foxing("curate", audit, "--dry-run").out
    assert re.search(
        r"^cost: \d+\.\d MB stored, about \d+\.\d MB written to data/ and 0\.0 MB to dropped/; about \d+ s", said, re.M
    )
    found = json.loads(foxing("curate", audit, "--dry-run", "--format", "json").out)
    assert found["cost"]["dropped_bytes"] == 0 < found["cost"]["data_bytes"] and found["cost"]["tried_rows"] == 140
    (tmp_path / "in").rename(tmp_path / "moved")
    assert "cost: not predicted" in foxing("curate", audit, "--dry-run").out


def test_budget_mix_and_shape_are_told_and_kept_in_the_manifest(foxing: Run, tmp_path: Path, audit: Path) -> None:
    asked = ["--mix", "60=0.25,80=0.75", "--rows", "80", "--staged", "4", "--shuffle-within", "10", "--shard-rows", "9"]
    done = foxing("curate", audit, "-o", tmp_path / "out", *asked)
    assert done.code == 0, done.err
    assert "dropped by mix: 60 rows" in done.out
    assert "stage-00: 20 rows, stage-01: 20 rows, stage-02: 20 rows, stage-03: 20 rows" in done.out
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert record["version"] == 4
    assert record["request"]["budget"] == {"rows": 80, "tokens": None, "mix": {"60": 0.25, "80": 0.75}}
    assert record["sections"] == {f"stage-{at:02d}": 20 for at in range(4)}
    assert {name: one["rows_out"] for name, one in record["sources"].items()} == {"60": 20, "80": 60}
    assert sorted(file["rows"] for file in record["data"]) == [6] * 4 + [7] * 8, "three even files a stage"
    assert foxing("verify", tmp_path / "out").code == 0


def test_settings_file_sets_what_flags_override(foxing: Run, tmp_path: Path, audit: Path) -> None:
    settings = tmp_path / "foxing.toml"
    settings.write_text(
        '[curate]\nrows = 50\nstaged = 5\nshard_mb = 0.5\ncurriculum = ["shuffled"]\n'
        '[curriculum.shuffled]\nseed = 4\n[allow]\nsource = ["6?"]\n'
    )
    done = foxing(
        "curate", audit, "-o", tmp_path / "out", "--config", settings, "--rows", "40", "--drop", "FX101", settings=True
    )
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert record["totals"]["rows_out"] == 40
    assert record["curricula"] == [{"name": "shuffled", "config": {"seed": 4}}]
    assert len(record["sections"]) == 5
    assert record["request"]["allow"] == {"source": ["6?"], "column": {}}
    assert record["totals"]["exempt"] == 60 and record["totals"]["spared"] == 20
    assert "on the allow-list: 60 rows, of which 20 were spared" in done.out
    asked = ["-o", tmp_path / "other", "--config", settings, "--set", "shuffled.seed=5"]
    assert foxing("curate", audit, *asked, settings=True).code == 0
    other = json.loads((tmp_path / "other" / "manifest.json").read_text())
    assert other["curricula"][0]["config"] == {"seed": 5}
    assert other["data"][0]["order"] != record["data"][0]["order"]
    settings.write_text("[curriculum.shuffled]\nsede = 4\n")
    for command in (["curate", audit, "--dry-run", "--curriculum", "shuffled"], ["config", "--check"]):
        wrong = foxing(*command, "--config", settings, settings=True)
        assert wrong.code == 2
        assert "Did you mean 'seed'?" in wrong.err


def test_dry_run_of_a_refused_request_shows_the_table_and_exits_2(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit, "--drop", "FX101", "--allow-loss", "0.1", "--dry-run")
    assert done.code == 2
    assert "total" in done.out
    assert "--allow-loss 60=0.34" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--drop", "FX101", "--allow-loss", "0.1"], "60 33.3% (20 of 60 rows)"),
        (["--curriculum", "human-frist"], "Did you mean 'human-first'?"),
        (["--curriculum", "human-first,shuffled"], "both set an order"),
        (["--drop", "FX201"], "not measured"),
        (["--corpus", "/nowhere"], "/nowhere"),
        (["--rows", "lots"], "'lots' is not an amount"),
        (["--mix", "60=0.5"], "add up to 1, not to 0.5"),
        (["--mix", "60=0.5,x=0.5"], "'x' has no rows left"),
        (["--split", "0.1"], "were not looked for"),
        (["--staged", "1"], "is not from 2"),
        (["--shard-rows", "5", "--shard-mb", "1"], "Give one of them"),
        (["--min-rows", "1K"], "fewer than the 1,000 of --min-rows"),
        (["--min-tokens", "1B"], "fewer than the 1,000,000,000 of --min-tokens"),
        (["--count", "document.wrods"], "is no whole number"),
        (["--set", "human-first.sede=1"], "Did you mean 'seed'?"),
        (["--set", "seed=1"], "is not NAME.key=value"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    foxing: Run, tmp_path: Path, audit: Path, arguments: list[str], said: str
) -> None:
    done = foxing("curate", audit, "-o", tmp_path / "out", *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_seed_and_curriculum_choose_the_order(foxing: Run, tmp_path: Path, audit: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        assert foxing("curate", audit, "-o", tmp_path / name, "--curriculum", "shuffled", "--seed", seed).code == 0
    one, again, two = (
        pq.read_table(tmp_path / name / "data").column("key").to_pylist() for name in ("one", "again", "two")
    )
    assert one == again != two


def test_output_to_where_nothing_can_be_written_is_refused_and_makes_no_folder(
    foxing: Run, tmp_path: Path, audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = foxing("curate", audit, "-o", "https://example.org/out")
    assert done.code == 2
    assert "https://example.org/out: cannot be written to" in done.err
    done = foxing("curate", audit, "-o", tmp_path / "out", "--work", tmp_path / "work")
    assert done.code == 2 and "--work" in done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_names_from_data_reach_the_terminal_without_control_characters(
    foxing: Run, tmp_path: Path, audit: Path
) -> None:
    table = pa.table({"text": texts(20), "\x1b[31mred": pa.array(range(20), pa.timestamp("s"))})
    path = tmp_path / "odd" / "a.arrow"
    path.parent.mkdir()
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    make_findings(tmp_path / "odd-audit", [path])
    done = foxing("curate", tmp_path / "odd-audit", "-o", tmp_path / "odd-out")
    assert done.code == 0
    assert "red" in done.err
    assert "\x1b" not in done.err + done.out


@pytest.mark.parametrize("flags", [["--diff"], ["--check", "--dry-run"], ["--format", "json"]])
def test_flags_that_do_not_go_together_are_refused(foxing: Run, tmp_path: Path, audit: Path, flags: list[str]) -> None:
    done = foxing("curate", audit, "-o", tmp_path / "out", *flags)
    assert done.code == 2
    assert not (tmp_path / "out").exists()


def test_output_is_required(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit)
    assert done.code == 2
    assert "--output" in done.err


def test_a_null_among_dictionary_values_is_kept_as_a_null(foxing: Callable[..., Answer], tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 2], pa.int8()), pa.array(["a", None, "c"]))
    table = pa.table({"text": ["one two"] * 5, "kind": column})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert foxing("scan", tmp_path / "a.arrow", "-o", tmp_path / "audit", "--signals", "document").code == 0
    made = foxing("curate", tmp_path / "audit", "-o", tmp_path / "out", "--curriculum", "original")
    assert made.code == 0, made.err
    assert foxing("verify", tmp_path / "out" / "manifest.json").code == 0
    found = pq.read_table(tmp_path / "out" / "data").column("kind")
    assert found.to_pylist() == ["a", None, "c", None, "c"] and found.type == column.type


def test_split_keeps_near_duplicates_together(foxing: Run, tmp_path: Path) -> None:
    """Each of 60 texts stands there three times, twice with a word more, in files and places far from each other."""
    originals = [" ".join(texts(600, 5)[10 * at : 10 * at + 10]) for at in range(60)]
    rows = [
        {"text": f"{text} {' '.join(['more'] * version)}", "original": at}
        for version in range(3)
        for at, text in enumerate(originals)
    ]
    for number in range(3):
        write_parquet(tmp_path / "in" / f"{number}.parquet", pa.Table.from_pylist(rows[number::3]))
    scanned = foxing("scan", tmp_path / "in", "-o", tmp_path / "audit", "--signals", "document,near_dup")
    assert scanned.code == 0, scanned.err
    asked = ["-o", tmp_path / "out", "--curriculum", "shuffled", "--split", "0.2"]
    done = foxing("curate", tmp_path / "audit", *asked)
    assert done.code == 0, done.err
    sides = {
        side: pq.read_table(tmp_path / "out" / "data" / side).column("original").to_pylist()
        for side in ("train", "validation")
    }
    assert not set(sides["train"]) & set(sides["validation"])
    assert 0 < len(sides["validation"]) < 90
    assert f"train: {len(sides['train'])} rows, validation: {len(sides['validation'])} rows" in done.out
    twice = foxing("curate", tmp_path / "audit", "--split", "0.2", "--curriculum", "shuffled", "--dry-run")
    assert f"validation: {len(sides['validation'])} rows; held out" in twice.out
