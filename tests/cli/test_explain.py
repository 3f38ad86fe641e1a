from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.findings_folder import Findings
from tests.audit.judging import Row, Tables, row, write_findings
from tests.corpora import document, texts, write_texts

Run = Callable[..., Any]
PLANTED = "It goes without saying — that the lantern glows."


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.txt"
    path.write_text("We went to the harbour. It was cold, and he said nothing at all. " * 6, "utf-8")
    return path


@pytest.fixture
def scanned(foxing: Run, tmp_path: Path) -> Path:
    write_texts(tmp_path / "c" / "a.parquet", [*texts(5), None, "Too short."], rows_per_group=3)
    answer = foxing("scan", tmp_path / "c", "-o", tmp_path / "audit", "--signals", "document,ai_text", "--workers", 1)
    assert answer.code == 0, answer.err
    return tmp_path / "audit"


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """60 flagged rows with a phrase that 140 others lack, in two shards and two sources; p_human is 10 ** -margin."""
    monkeypatch.setattr("audit.calibrate.reference", Tables)
    rng = random.Random(3)
    shards: dict[str, list[Row]] = {}
    for key, rows, source in (("a", 100, "web"), ("b", 100, "books")):
        flagged = [at % 10 < 3 for at in range(rows)]
        found = [document(rng, 6) + (f" {PLANTED}" if hit else "") for hit in flagged]
        write_texts(tmp_path / "c" / f"{key}.parquet", found, rows_per_group=30)
        shards[key] = [row(3.0 if hit else rng.random(), source=source) for hit in flagged]
    made = write_findings(tmp_path / "audit", shards, by="source")
    files = {key: tmp_path / "c" / f"{key}.parquet" for key in shards}
    moved = tuple(
        dataclasses.replace(one, uri=str(files[one.key]), size_bytes=files[one.key].stat().st_size)
        for one in made.shards
    )
    dataclasses.replace(made, shards=moved).commit("0.1.0")
    return tmp_path / "audit"


def explained(foxing: Run, *arguments: object) -> list[dict[str, Any]]:
    answer = foxing("explain", *arguments, "--format", "json")
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


def test_shares_add_up_to_the_margin(foxing: Run, page: Path) -> None:
    (found,) = explained(foxing, page, "--top", 1000)
    assert found["bias"] + sum(found["kinds"].values()) == pytest.approx(found["margin"], abs=1e-6)
    assert found["bias"] + sum(part["value"] for part in found["parts"]) == pytest.approx(found["margin"], abs=1e-6)
    for part in found["parts"]:
        assert sum(value for _, value in part["words"]) == pytest.approx(part["value"], abs=1e-6)
    assert "".join(part["text"] for part in found["parts"]) == page.read_text("utf-8")
    assert found["language"] == "en" and found["length"] == 390 and 0 < found["p_human"] <= 1


def test_strongest_features_come_first_and_are_counted(foxing: Run, page: Path) -> None:
    (found,) = explained(foxing, page, "--top", 30)
    sizes = [abs(feature["value"]) for feature in found["features"]]
    assert len(sizes) == 30 and sizes == sorted(sizes, reverse=True)
    (every,) = explained(foxing, page, "--top", 1000)
    words = {feature["text"]: feature["count"] for feature in every["features"] if feature["kind"] == "word"}
    assert words["harbour"] == 6 and words["It"] == 6


def test_text_names_the_row_its_score_and_both_sides(foxing: Run, page: Path) -> None:
    answer = foxing("explain", page, "--top", 3)
    assert answer.code == 0 and answer.out.startswith(f"{page} row 0\n")
    assert "p_human 0." in answer.out and "language en, 390 characters" in answer.out and "= bias " in answer.out
    assert "most machine-like features" in answer.out and "most human-like passages" in answer.out


def test_colour_marks_the_fifth_of_the_words_that_moved_the_margin_most(page: Path) -> None:
    from audit.cli.explain import _explanation
    from audit.config import load_config
    from audit.explain import explain_file

    (found,) = explain_file(str(page), config=load_config(None, isolated=True))
    plain = "\n".join(_explanation(found, 100, color=False))
    shown = "\n".join(_explanation(found, 100, color=True))
    assert "\x1b[" not in plain and re.sub(r"\x1b\[\d+m", "", shown) == plain
    words = sum(len(part.words) for part in found.parts)
    assert words // 10 < len(re.findall(r"\x1b\[3[12]m", shown)) <= words // 4


def test_rows_of_a_file_are_named_behind_a_colon(foxing: Run, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.parquet", texts(8), rows_per_group=3)
    found = explained(foxing, f"{path}:7", f"{path}:2")
    assert [one["name"] for one in found] == [f"{path} row 7", f"{path} row 2"]
    assert ["".join(part["text"] for part in one["parts"]) for one in found] == [texts(8)[7], texts(8)[2]]


def test_a_file_of_many_rows_asks_for_one(foxing: Run, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.parquet", texts(3))
    answer = foxing("explain", path)
    assert answer.code == 2 and "more than one row" in answer.err and f"{path}:0" in answer.err
    assert "no row 3" in foxing("explain", f"{path}:3").err


def test_a_text_too_long_to_explain_is_named(foxing: Run, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.ai_text.explain.MAX_BYTES", 50)
    answer = foxing("explain", page)
    assert answer.code == 2 and f"{page} row 0: 390 bytes of text, at most 50" in answer.err


def test_the_answer_of_a_conversation_is_what_is_explained(foxing: Run, tmp_path: Path) -> None:
    table = pa.table({"question": ["Why is that?"], "answer": [texts(1)[0]]})
    pq.write_table(table, tmp_path / "qa.parquet")
    (found,) = explained(foxing, tmp_path / "qa.parquet")
    assert "".join(part["text"] for part in found["parts"]) == texts(1)[0]


def test_a_row_of_a_scan_has_the_margin_that_was_stored(foxing: Run, scanned: Path) -> None:
    (part,) = Findings.open(scanned).parts({"ai_text": frozenset({"margin"})})
    stored = part["ai_text"].struct.field("margin").to_list()[4]
    (found,) = explained(foxing, scanned, "--row", "a:4")
    assert found["stored"] == pytest.approx(stored) and found["margin"] == pytest.approx(stored, abs=1e-4)


def test_a_short_text_is_explained_without_a_verdict(foxing: Run, scanned: Path) -> None:
    answer = foxing("explain", scanned, "--row", "a:6")
    assert answer.code == 0 and "no verdict: too little text" in answer.out and "bias" in answer.out


@pytest.mark.parametrize(
    ("address", "words"),
    [("a:5", "has no text"), ("a:99", "no row 99, it has 7"), ("z:0", "no such shard"), ("a", "write SHARD:ROW")],
)
def test_a_row_that_cannot_be_explained_is_named(foxing: Run, scanned: Path, address: str, words: str) -> None:
    answer = foxing("explain", scanned, "--row", address)
    assert answer.code == 2 and words in answer.err and not answer.out


def test_another_text_than_was_scanned_is_refused(foxing: Run, scanned: Path) -> None:
    record = Findings.open(scanned).shards[0]
    write_texts(Path(record.uri), texts(7, seed=9), rows_per_group=3)
    answer = foxing("explain", scanned, "--row", "a:1")
    assert answer.code == 2 and ("changed since" in answer.err or "the text or the model is another" in answer.err)


def test_a_corpus_that_moved_is_found(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    (tmp_path / "c").rename(tmp_path / "d")
    assert "is gone" in foxing("explain", scanned, "--row", "a:1").err
    assert explained(foxing, scanned, "--row", "a:1", "--corpus", tmp_path / "d")


def test_a_planted_phrase_is_found_with_its_counts(foxing: Run, mixed: Path) -> None:
    (found,) = explained(foxing, mixed, "--top", 5)
    best = [phrase for phrase in found["phrases"] if phrase["words"] == 3]
    assert all(phrase["text"] in "it goes without saying that the lantern glows" for phrase in best)
    counts = [[phrase[key] for key in ("count", "rows", "other_count", "other_rows")] for phrase in best]
    assert counts == [[60, 60, 0, 0]] * 5
    (dash,) = [phrase for phrase in found["phrases"] if phrase["words"] == 0]
    assert (dash["text"], dash["count"], dash["rows"], dash["other_count"]) == ("—", 60, 60, 0)
    assert found["rows"] == 60 and found["other_rows"] == 70 and found["judged"] == 200
    assert found["chosen"] == "rows with p_human <= 0.01" and found["language"] == "en"
    assert not any(phrase["text"] in ("river", "stone") for phrase in found["phrases"])


def test_few_flags_give_the_most_machine_like_tenth_of_one_source(foxing: Run, mixed: Path, tmp_path: Path) -> None:
    answer = foxing("explain", mixed, "--source", "books", "--reference", tmp_path / "c" / "a.parquet")
    assert answer.code == 2 and "10 machine-like rows" in answer.err
    assert "no judged row of source 'x' (sources: books, web)" in foxing("explain", mixed, "--source", "x").err


def test_a_reference_that_has_the_phrase_too_takes_it_away(foxing: Run, mixed: Path, tmp_path: Path) -> None:
    rng = random.Random(8)
    path = write_texts(tmp_path / "r.parquet", [f"{document(rng, 6)} {PLANTED}" for _ in range(40)])
    (found,) = explained(foxing, mixed, "--reference", path)
    assert found["reference_rows"] == 40 and not found["phrases"]
    assert "nothing is overused" in foxing("explain", mixed, "--reference", path).out


def test_the_same_rows_are_drawn_each_time(foxing: Run, mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.contrast.MOST_ROWS", 25)
    (one,), (two,) = explained(foxing, mixed), explained(foxing, mixed)
    assert one == two and one["rows"] == one["other_rows"] == 25


def test_text_of_a_contrast_states_samples_and_warns(foxing: Run, mixed: Path) -> None:
    out = foxing("explain", mixed).out
    assert "60 counted" in out and "seed 17" in out and "as leads, not as proof" in out and "signature foxing:" in out
    assert "goes without saying" in out and "marks" in out


def test_options_of_a_scan_are_refused_for_files(foxing: Run, page: Path, scanned: Path) -> None:
    assert foxing("explain", page, "--row", "a:1").code == 2
    assert foxing("explain", page, "--source", "a").code == 2
    assert foxing("explain", scanned, "--row", "a:1", "--source", "a").code == 2
    assert foxing("explain", scanned.parent).code == 2


def test_a_reference_of_the_users_own_judges_a_file_too(foxing: Run, page: Path, tmp_path: Path) -> None:
    human, settings = tmp_path / "human.parquet", tmp_path / "own.toml"
    write_texts(human, texts(300))
    assert foxing("calibrate", human, "-o", tmp_path / "r.json", "--fpr", "0.05").code == 0
    settings.write_text('[calibration]\nreference = "r.json"\n', "utf-8")
    (bundled,) = explained(foxing, page)
    answer = foxing("explain", page, "--format", "json", "--config", settings, settings=True)
    own = json.loads(answer.out)
    assert own["margin"] == bundled["margin"] and own["p_human"] != bundled["p_human"]
