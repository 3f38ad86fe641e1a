from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.assess import Assessment
from audit.findings_folder import Findings, ShardRecord, SignalRecord
from audit.formats import View, render
from audit.parts import PartIdentity, part_path, read_identity
from audit.profile import (
    MAX_SOURCES,
    OTHER_SOURCES,
    QUANTILES,
    corpus_profile,
    distinct_at,
    fit_heaps,
)
from audit.sketch_parts import SketchWriter, read_sketches
from detectors.documents import Documents
from detectors.errors import FindingsError
from detectors.growth import Point
from detectors.sketches import SCHEMA, Sketches
from tests.audit.judging import row, write_findings
from tests.audit.test_formats import DOCS, EVIL, assessment

Rows = Sequence[tuple[str | None, str]]


def prose(documents: int, seed: int, vocabulary: int = 3000) -> list[str]:
    draw = random.Random(seed)
    weights = [1 / (rank + 3) for rank in range(vocabulary)]
    return [" ".join(f"w{w}" for w in draw.choices(range(vocabulary), weights, k=80)) for _ in range(documents)]


def write_sketches(
    folder: Path, shards: Mapping[str, Sequence[Rows]], *, by: str | None = None, **config: Any
) -> Findings:
    """Sketches as a scan writes them: of each shard a list of parts, of each part rows of text and source."""
    sketches = Sketches(by=by, **config)
    records = []
    for key, parts in shards.items():
        starts = tuple(int(at) for at in np.cumsum([0, *map(len, parts)])[:-1])
        for first_row, rows in zip(starts, parts, strict=True):
            path = part_path(folder, sketches.name, key, first_row)
            settings = dataclasses.asdict(sketches)
            identity = PartIdentity(
                sketches.name, sketches.version, settings, 17, "text(text)", f"sha256:{key}", first_row, len(rows)
            )
            writer = SketchWriter(path, identity, sketches)
            texts = pa.array([text for text, _ in rows], pa.string())
            batch = pa.record_batch({"text": texts, f"column:{by}": pa.array([source for _, source in rows])})
            writer.update(Documents(batch))
            assert not path.exists()
            writer.close()
            assert read_identity(path) == identity
        n = sum(map(len, parts))
        records.append(
            ShardRecord(key, f"/data/{key}", "parquet", n, 1, f"sha256:{key}", "text(text)", {"text": "string"}, starts)
        )
    signals = (SignalRecord("document", 1, {}, "abcd"),)
    return Findings(folder, tuple(records), (), signals, 17, by)


def sourced(texts: Sequence[str], source: str) -> list[tuple[str | None, str]]:
    return [(text, source) for text in texts]


def test_parts_and_shards_merge_into_one_profile(tmp_path: Path) -> None:
    texts = prose(90, seed=1)
    one = corpus_profile(write_sketches(tmp_path / "one", {"a": [sourced(texts, "web")]}, by="site"))
    cut = [sourced(texts[at : at + 15], "web") for at in range(0, 90, 15)]
    many = corpus_profile(write_sketches(tmp_path / "many", {"a": cut[:2], "b": cut[2:]}, by="site"))
    assert one is not None and many is not None
    before, after = one.total, many.total
    assert (after.documents, after.words, after.size_bytes) == (90, 7200, sum(map(len, texts)))
    assert (after.points, after.distinct, after.heaps) == (before.points, before.distinct, before.heaps)
    assert after.quantiles == before.quantiles and one.sources["web"] == one.total
    for name, phrases in after.phrases.items():
        exact = {item.text: item.documents for item in before.phrases[name].items}
        for item in phrases.items:
            assert 0 <= exact.get(item.text, item.documents) - item.documents <= phrases.shortfall


def test_a_shard_is_a_source_where_there_is_no_source_column(tmp_path: Path) -> None:
    shards = {"b": [sourced(prose(4, seed=2), "x")], "a": [sourced(prose(9, seed=3), "y")]}
    profile = corpus_profile(write_sketches(tmp_path, shards))
    assert profile is not None and list(profile.sources) == ["a", "b"]
    assert [found.documents for found in profile.sources.values()] == [9, 4]
    assert re.fullmatch(r"sketches:1:[0-9a-f]{4}", profile.signature)


def test_sources_of_different_size_are_compared_at_the_same_size(tmp_path: Path) -> None:
    rows = [*sourced(prose(2000, seed=4), "large"), *sourced(prose(250, seed=5), "small"), *sourced(["a b"], "tiny")]
    profile = corpus_profile(write_sketches(tmp_path, {"a": [rows]}, by="site"))
    assert profile is not None and profile.equal_words == 250 * 80
    large, small = (profile.sources[name].distinct[1] for name in ("large", "small"))
    assert large.share is not None and small.share is not None and large.share < 0.8 * small.share
    assert large.equal == pytest.approx(small.equal, rel=0.08) and small.equal == pytest.approx(small.share, rel=1e-6)
    assert profile.sources["tiny"].distinct[1].equal is None


def test_only_the_largest_sources_are_kept_apart(tmp_path: Path) -> None:
    rows = [(f"a b c {'d ' * (i % 5)}", f"s{i:03}") for i in range(MAX_SOURCES + 20)]
    profile = corpus_profile(write_sketches(tmp_path, {"a": [rows[:100], rows[100:]]}, by="site"))
    assert profile is not None and profile.apart == MAX_SOURCES and list(profile.sources)[-1] == OTHER_SOURCES
    assert profile.total.documents == len(rows) == sum(found.documents for found in profile.sources.values())


def test_sources_that_a_part_did_not_keep_apart_are_counted(tmp_path: Path) -> None:
    rows = [("a b c", f"s{i}") for i in range(5)]
    profile = corpus_profile(write_sketches(tmp_path, {"a": [rows]}, by="site", max_sources=2))
    assert profile is not None
    assert {name: found.documents for name, found in profile.sources.items()} == {"s0": 1, "s1": 1, OTHER_SOURCES: 3}


def test_a_scan_without_sketches_has_no_profile(tmp_path: Path) -> None:
    findings = write_findings(tmp_path, {"a": [row()]})
    assert corpus_profile(findings) is None


def test_missing_torn_and_foreign_parts_are_refused(tmp_path: Path) -> None:
    shards = {"a": [sourced(["a b c"], "x"), sourced(["d e f"], "x")]}
    findings = write_sketches(tmp_path, shards)
    second = part_path(tmp_path, "sketches", "a", 1)
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FindingsError, match="from row 1 are missing or torn"):
        corpus_profile(findings)
    second.unlink()
    with pytest.raises(FindingsError, match="from row 1 are missing or torn"):
        corpus_profile(findings)
    part_path(tmp_path, "sketches", "a", 0).unlink()
    write_sketches(tmp_path, {"a": shards["a"][:1]}, top=99)
    second.write_bytes(whole)
    with pytest.raises(FindingsError, match="made otherwise"):
        corpus_profile(findings)


def test_a_part_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import audit.sketch_parts as parts

    def fail(*arguments: object, **settings: object) -> None:
        Path(str(arguments[1])).write_bytes(b"PAR1")
        raise OSError("disk full")

    monkeypatch.setattr(parts.pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_sketches(tmp_path, {"a": [sourced(["a b c"], "x")]})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_part_holds_the_documented_table(tmp_path: Path) -> None:
    write_sketches(tmp_path, {"a": [sourced(["a b c"], "x")]})
    table = read_sketches(part_path(tmp_path, "sketches", "a", 0))
    assert table.schema.equals(SCHEMA) and table["source"].to_pylist() == [None]


def test_pieces_of_a_long_document_count_as_one(tmp_path: Path) -> None:
    sketches = Sketches(by="site")
    path = part_path(tmp_path, sketches.name, "a", 0)
    writer = SketchWriter(path, PartIdentity(sketches.name, 1, {}, 17, "", "", 0, 1), sketches)
    whole = Documents(pa.record_batch({"text": ["one two three. four five"], "column:site": ["web"]}))
    for texts, is_last in ((["one two ", "three. "], False), (["four five"], True)):
        writer.update_pieces(Documents.from_texts([*texts]), whole, is_last=is_last)
    writer.close()
    (found,) = read_sketches(path, ["source", "documents", "words", "bytes"]).to_pylist()
    assert found == {"source": "web", "documents": 1, "words": 5, "bytes": 24}


def point(words: float, distinct: float) -> Point:
    size = round(words)
    return Point(size // 10, size, (distinct, distinct, distinct), (size, size, size))


def test_heaps_law_is_found_where_it_holds() -> None:
    found = fit_heaps([point(1000 * 2**k, 12 * (1000 * 2**k) ** 0.6) for k in range(8)])
    assert found is not None and (found.k, found.beta) == (pytest.approx(12, rel=1e-6), pytest.approx(0.6))
    assert found.residual < 1e-9
    assert fit_heaps([point(1000 * 2**k, 5) for k in range(3)]) is None


def test_equal_shares_are_read_off_the_curve_and_not_beyond() -> None:
    points = [point(100 * 4**k, (100 * 4**k) ** 0.5) for k in range(4)]
    assert distinct_at(points, 1, 200) == pytest.approx(200**-0.5)
    assert distinct_at(points, 1, 100) == pytest.approx(0.1) and distinct_at(points, 2, 6400) == pytest.approx(1 / 80)
    assert distinct_at(points, 1, 99) is None and distinct_at(points, 1, 6401) is None and distinct_at([], 1, 5) is None


def shown(tmp_path: Path, source: str = "web", phrase: str = "In this study") -> Assessment:
    rows = [*sourced([f"{phrase} {text}" for text in prose(200, seed=6)], source), *sourced(["a b c", ""], "books")]
    profile = corpus_profile(write_sketches(tmp_path, {"a": [rows]}, by="site"))
    return dataclasses.replace(assessment(), profile=profile)


def test_text_shows_the_profile_with_statistics_alone(tmp_path: Path) -> None:
    found = shown(tmp_path)
    text = render("text", found, View(statistics=True))
    assert "lexical profile" not in render("text", found)
    assert "distinct-2 at 16,600 words" in text and "standard error 1.6 % of it; sketches.site:1:" in text
    assert re.search(r"- web +200 +16,600 .*“in this study” 100 %", text)
    assert re.search(r"- books +2 +3 +- +- +- +-\n", text)
    assert "  - openings: “in this study” 99.5" in text and "ngrams" not in text


def test_json_holds_the_profile_and_documents_every_key(tmp_path: Path) -> None:
    found = json.loads(render("json", shown(tmp_path)))["profile"]
    assert found["version"] == 1 and found["quantiles"] == list(QUANTILES) and found["apart"] == 2
    web = found["sources"]["web"]
    assert web["documents"] == 200 and web["phrases"]["openings"]["items"][0]["text"] == "in this study"
    assert [each["n"] for each in web["distinct"]] == [1, 2, 3] and len(web["lengths"]["words"]) == len(QUANTILES)
    nested = [*web["distinct"], web["heaps"], web["growth"][0], web["phrases"]["openings"]]
    keys = {*found, *web, *web["lengths"], *web["phrases"], *web["phrases"]["openings"]["items"][0]}
    keys |= {key for each in nested for key in each}
    assert keys <= set(re.findall(r"`(\w+)`", DOCS.read_text("utf-8")))
    assert json.loads(render("json", assessment()))["profile"] is None


def test_names_and_phrases_from_data_start_no_command(tmp_path: Path) -> None:
    text = render("text", shown(tmp_path, source=EVIL, phrase="::set-env name ##[x"), View(statistics=True))
    assert "##[" not in text and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_check_prints_the_profile_with_statistics(foxing: Callable[..., Any], tmp_path: Path) -> None:
    write_findings(tmp_path, {"a": [row()] * 3}, signals=("document",))
    write_sketches(tmp_path, {"a": [sourced(["This is it."] * 3, "x")]})
    assert "lexical profile by source" in foxing("check", tmp_path, "--statistics").out
    assert "lexical profile" not in foxing("check", tmp_path).out
    found = json.loads(foxing("check", tmp_path, "--statistics", "--format", "json").out)
    assert found["profile"]["total"]["documents"] == 3
    part_path(tmp_path, "sketches", "a", 0).write_bytes(b"PAR1")
    assert foxing("check", tmp_path, "--statistics").code == 2
