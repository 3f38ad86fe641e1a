"""Templates over a corpus: exact counts by source, whatever the number of files, and an order in which rows stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import stages, template_counts
from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.rules import Rule, evaluate
from audit.scan_run import scan
from audit.template_counts import ENTRY, TOP, Counted, count_templates
from audit.templates import Templates
from detectors.errors import ConfigError

NOUNS = "apple bridge candle desert engine forest garden harbour island jacket kettle ladder market needle".split()


def filled(template: str, number: int) -> str:
    """A template with other content for each number."""
    return template.replace("X", f"{NOUNS[number % len(NOUNS)]} {number}")


def scanned(folder: Path, rows: Sequence[tuple[str | None, str]], **chosen: object) -> Findings:
    frame = pl.DataFrame({"text": [text for text, _ in rows], "site": [site for _, site in rows]})
    folder.mkdir(exist_ok=True)
    frame.write_parquet(folder / "a.parquet", row_group_size=5)
    config = Config(
        scan=ScanConfig(signals=("format", "diversity"), workers=1, sketches=False, by="site", stages=("templates",)),
        stages={"templates": chosen},
    )
    return scan([str(folder / "a.parquet")], folder / "out", config).findings


def rows_of(findings: Findings) -> pl.DataFrame:
    return pl.concat(part.select("row", "source", "templates") for part in findings.parts()).unnest("templates")


def entries(rows: Sequence[tuple[int, int, int, int, float]]) -> np.ndarray:
    """Of (source, skeleton, content, words, diversity)."""
    found = np.zeros(len(rows), ENTRY)
    for at, (source, skeleton, content, words, diversity) in enumerate(rows):
        found[at] = (source, words, skeleton, content, at, diversity)
    return found


def counted(rows: Sequence[tuple[int, int, int, int, float]], folder: Path, parts: int = 1) -> Counted:
    every = entries(rows)
    return count_templates(iter(np.array_split(every, parts)), len(every), folder)


def test_rows_texts_and_ranks_are_counted_within_the_source(tmp_path: Path) -> None:
    site_a = [(filled("The X is in the house.", i), "a") for i in range(6)]
    site_a += [(filled("Where is the X?", i), "a") for i in range(3)]
    site_b = [(filled("The X is in the house.", i), "b") for i in range(2)]
    found = rows_of(scanned(tmp_path, [*site_a, *site_b, ("It was not to be so.", "b"), (None, "b"), ("!", "b")]))
    assert found["skeleton_rows"].to_list() == [6] * 6 + [3] * 3 + [2, 2, 1, None, None]
    assert found["skeleton_texts"].to_list() == [6] * 6 + [3] * 3 + [2, 2, 1, None, None]
    assert found["skeleton_rank"].to_list() == [1] * 6 + [2] * 3 + [1, 1, 2, None, None]
    assert found["in_top_100"].to_list() == [True] * 11 + [False, None, None]


def test_rows_without_words_are_measured_all_the_same(tmp_path: Path) -> None:
    findings = scanned(tmp_path, [("The cat is here.", "a"), ("!", "a"), ("", "a"), (None, "a")])
    found = pl.concat(part.select("templates", "unmeasured") for part in findings.parts())
    assert found["templates"].is_null().to_list() == [False, False, False, True]
    assert found["unmeasured"].to_list() == [0, 0, 0, 4]


def test_copies_of_one_text_are_no_template(tmp_path: Path) -> None:
    same = [("The cat is in the house.", "a")] * 5
    found = rows_of(scanned(tmp_path, [*same, ("It was not to be so.", "a")]))
    assert found["skeleton_rows"].to_list() == [5] * 5 + [1]
    assert found["skeleton_texts"].to_list() == [1] * 6
    assert found["in_top_100"].to_list() == [False] * 6


def test_share_is_null_in_short_texts_and_zero_of_few_texts(tmp_path: Path) -> None:
    long = "The X is in the house. " + "It is what it is, and so it goes. " * 6
    rows = [(filled(long, i), "a") for i in range(4)] + [("Short is this.", "a")]
    found = rows_of(scanned(tmp_path / "few", rows, min_texts=4))
    assert found["share"].to_list() == pytest.approx([0.8] * 4 + [None])
    assert rows_of(scanned(tmp_path / "more", rows, min_texts=5))["share"].to_list() == [0] * 4 + [None]
    assert rows_of(scanned(tmp_path / "all", rows, min_texts=1, min_words=1))["share"].null_count() == 0


def test_a_rule_over_share_leaves_short_and_varied_rows_alone(tmp_path: Path) -> None:
    long = "It is what it is, and so it goes. " * 6
    rows = [(filled("The X is in the house. ", i) + long, "a") for i in range(12)]
    rows += [(f"{'so ' * i}we were there. {long}", "a") for i in range(8)] + [("Short is this.", "a")] * 20
    rule = Rule(id="XX203", name="uniform", when="templates.share >= 0.1")
    verdicts = pl.concat(evaluate(part, [rule]) for part in scanned(tmp_path, rows).parts())["XX203"]
    assert verdicts.to_list() == [True] * 12 + [False] * 8 + [None] * 20


def test_place_puts_first_copies_then_diversity_then_odd_lengths_first(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [
        (0, 7, 1, 60, 0.5),
        (0, 7, 2, 60, 0.9),
        (0, 7, 2, 60, 0.9),  # a copy of the row before
        (0, 7, 3, 10, nan),
        (0, 7, 4, 90, nan),
        (0, 7, 5, 60, 0.7),
        (1, 7, 1, 60, 0.1),  # another source
    ]
    assert counted(rows, tmp_path).place.tolist() == [2, 0, 5, 3, 4, 1, 0]


def test_no_more_than_a_hundred_skeletons_are_on_top(tmp_path: Path) -> None:
    rows = [(0, 1000 + skeleton, text, 5, 0.0) for skeleton in range(150) for text in range(3 if skeleton < 90 else 2)]
    found = counted(rows, tmp_path)
    assert len({row[1] for row, top in zip(rows, found.top, strict=True) if top}) == TOP
    assert all(top for row, top in zip(rows, found.top, strict=True) if row[1] < 1090)
    assert set(found.rank.tolist()) == {1, 91}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 6), st.integers(1, 99), st.just(0.5))),
    st.integers(1, 4),
    st.booleans(),
)
def test_counts_are_those_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, int, float]], parts: int, many: bool
) -> None:
    # A text has one skeleton.
    rows = [
        (source, skeleton, 10 * skeleton + content, words, value) for source, skeleton, content, words, value in rows
    ]
    with pytest.MonkeyPatch.context() as patch:
        if many:
            patch.setattr(template_counts, "_BUCKET_BYTES", 64)
        found = counted(rows, tmp_path_factory.mktemp("work"), parts)
    groups = Counter(row[:2] for row in rows)
    texts = Counter(pair[:2] for pair in {row[:3] for row in rows})
    assert found.rows.tolist() == [groups[row[:2]] for row in rows]
    assert found.texts.tolist() == [texts[row[:2]] for row in rows]
    more = [sum(key[0] == row[0] and count > texts[row[:2]] for key, count in texts.items()) for row in rows]
    assert found.rank.tolist() == [1 + number for number in more]
    assert found.top.tolist() == [texts[row[:2]] > 1 for row in rows]
    places: dict[tuple[int, int], set[int]] = {}
    for row, place in zip(rows, found.place.tolist(), strict=True):
        places.setdefault(row[:2], set()).add(place)
    assert all(found == set(range(groups[key])) for key, found in places.items())


def test_the_stage_runs_again_only_when_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(filled("The X is in the house.", i), "a") for i in range(4)]
    scanned(tmp_path, rows)
    written: list[str] = []
    write = stages._write

    def noted(findings: Findings, stage: stages.Stage, digest: str, advance: Callable[[int], None]) -> None:
        written.append(stage.name)
        write(findings, stage, digest, advance)

    monkeypatch.setattr(stages, "_write", noted)
    scanned(tmp_path, rows)
    assert written == []
    scanned(tmp_path, rows, min_texts=2)
    assert written == ["templates"]


def test_settings_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_texts"):
        Templates(min_texts=-1)
