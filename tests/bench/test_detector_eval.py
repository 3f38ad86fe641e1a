"""The detector's evaluation: its statistics against numbers worked out by hand, its tables on rows made in code."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import InputError
from tests.bench import detector, detector_report, detector_tables, report
from tests.bench.detector_attacks import CHANGES, attack_table, sample, with_paragraph
from tests.bench.detector_peers import peer_sample
from tests.bench.detector_plot import PICTURE, picture
from tests.bench.detector_rows import Rows, left_out, scanned
from tests.bench.detector_stats import (
    area_interval,
    auroc,
    clopper_pearson,
    expected_calibration_error,
    holm_rejects,
    length_matched,
    mean_interval,
    true_positive_rate,
    upper_tail,
)
from tests.corpora import document

REPOSITORY = Path(__file__).resolve().parents[2]


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*values: float) -> Any:
    return np.array(values, np.float64)


# Statistics


def test_area_counts_ordered_pairs_and_half_of_ties() -> None:
    # pairs (machine, human): 3>1, 3>2, 2>1, 2=2 -> 3.5 of 4
    assert auroc(ints(0, 0, 1, 1), floats(1, 2, 2, 3)) == pytest.approx(3.5 / 4)
    assert auroc(ints(0, 1), floats(2, 1)) == 0.0
    assert math.isnan(auroc(ints(1, 1), floats(1, 2))) and math.isnan(auroc(ints(), floats()))


def test_area_of_weighted_rows_is_that_of_repeated_ones() -> None:
    label, value = ints(0, 0, 1, 1), floats(1, 3, 2, 3)
    weight = floats(2, 1, 3, 1)
    repeated = np.repeat(np.arange(4), weight.astype(int))
    assert auroc(label, value, weight) == pytest.approx(auroc(label[repeated], value[repeated]))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=30))
def test_area_is_that_of_all_pairs(rows: list[tuple[int, int]]) -> None:
    machine = [value for label, value in rows if label]
    human = [value for label, value in rows if not label]
    pairs = [(one > other) + (one == other) / 2 for one in machine for other in human]
    found = auroc(ints(*(label for label, _ in rows)), floats(*(value for _, value in rows)))
    assert found == pytest.approx(sum(pairs) / len(pairs)) if pairs else math.isnan(found)


def test_areas_and_errors_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random_ = np.random.default_rng(4)
    label = random_.integers(0, 2, 500)
    value = np.round(random_.normal(size=500) + label, 1)
    weight = random_.uniform(0.1, 3.0, 500)
    assert auroc(label, value) == pytest.approx(metrics.roc_auc_score(label, value))
    assert auroc(label, value, weight) == pytest.approx(metrics.roc_auc_score(label, value, sample_weight=weight))
    false, true, _ = metrics.roc_curve(label, value, drop_intermediate=False)
    assert true_positive_rate(label, value, 0.05) == pytest.approx(true[false <= 0.05].max())


def test_exact_intervals_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, n in ((0, 7), (1, 10), (5, 12), (299, 300), (300, 300), (40, 4000)):
        low, high = clopper_pearson(hits, n)
        expected = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
        assert upper_tail(hits, n, 0.03) == pytest.approx(stats.binom.sf(hits - 1, n, 0.03), abs=1e-9)


def test_exact_interval_of_no_hit_is_the_rule_of_three() -> None:
    assert clopper_pearson(0, 299, tail=0.05)[1] == pytest.approx(1 - 0.05 ** (1 / 299), abs=1e-9)
    assert clopper_pearson(0, 299, tail=0.05)[1] < 0.01 < clopper_pearson(0, 298, tail=0.05)[1]
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_upper_tail_by_hand() -> None:
    assert upper_tail(2, 3, 0.5) == pytest.approx(0.5) and upper_tail(3, 3, 0.5) == pytest.approx(0.125)
    assert upper_tail(0, 3, 0.0) == 1.0 and upper_tail(1, 3, 0.0) == 0.0 and upper_tail(3, 3, 1.0) == 1.0


def test_true_positives_are_those_above_the_allowed_false_ones() -> None:
    label = ints(*[0] * 100, *[1] * 4)
    value = floats(*range(100), 98.5, 99, 99.5, 50)
    # one false positive is allowed: 99; what ties with it is not above 98, the first that must not pass
    assert true_positive_rate(label, value, 0.01) == 0.75
    assert math.isnan(true_positive_rate(label, value, 0.001))
    tied = floats(*[5.0] * 100, 6, 5, 5, 5)
    assert true_positive_rate(label, tied, 0.01) == 0.25


def test_interval_of_an_area_by_hand() -> None:
    # Hanley and McNeil: A = 0.5, Q1 = Q2 = 1/3, variance (.25 + 18 * (1/3 - 1/4)) / 100
    low, high = area_interval(0.5, 10, 10)
    half = 1.959964 * math.sqrt((0.25 + 18 * (1 / 3 - 1 / 4)) / 100)
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half))
    assert math.isnan(area_interval(math.nan, 10, 10)[0])


def test_holm_steps_down_and_stops_at_the_first_that_stands() -> None:
    # sorted .01 <= .05/4, .02 > .05/3: nothing after it is rejected, though .024 alone would be at .05/2
    assert holm_rejects(floats(0.024, 0.01, 0.9, 0.02)).tolist() == [False, True, False, False]
    assert holm_rejects(floats(0.01, 0.012, 0.04)).tolist() == [True, True, True]
    assert holm_rejects(floats()).tolist() == []


def test_calibration_error_by_hand() -> None:
    label, score = ints(0, 0, 1, 1), floats(0.1, 0.3, 0.6, 0.8)
    found = expected_calibration_error(label, score, bins=2)
    assert found.error == pytest.approx(0.5 * abs(0.2 - 0.0) + 0.5 * abs(0.7 - 1.0))
    assert found.predicted == pytest.approx((0.2, 0.7)) and found.observed == (0.0, 1.0) and found.documents == (2, 2)
    assert math.isnan(expected_calibration_error(ints(), floats()).error)


def test_a_calibrated_score_has_no_error_whatever_the_weights() -> None:
    random_ = np.random.default_rng(2)
    score = random_.uniform(size=200_000)
    label = (random_.uniform(size=200_000) < score).astype(np.int64)
    assert expected_calibration_error(label, score).error < 0.01
    assert expected_calibration_error(label, score, np.where(score > 0.5, 5.0, 1.0)).error < 0.01


def test_matching_spreads_both_classes_alike_and_drops_what_stands_alone() -> None:
    label = ints(0, 0, 0, 1, 0, 1, 1, 1)
    cell = ints(1, 1, 1, 1, 2, 2, 2, 3)
    weight = length_matched(label, cell)
    assert weight.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 1, 0.5, 0.5, 0])
    for one in (1, 2, 3):
        here = cell == one
        assert weight[here & (label == 1)].sum() == pytest.approx(weight[here & (label == 0)].sum())


def test_a_mean_over_groups_is_bounded_by_drawing_groups() -> None:
    low, high = mean_interval(floats(0.5, 0.7, 0.9))
    assert 0.5 <= low < 0.7 < high <= 0.9 and mean_interval(floats(0.5, 0.7, 0.9)) == (low, high)
    assert math.isnan(mean_interval(floats(0.5))[0])


# Tables


def rows(count: int = 600, *, seed: int = 1, shift: float = 2.0) -> Rows:
    """Two sources of both classes, one of people only, a mirror of it; margins differ by `shift`."""
    random_ = np.random.default_rng(seed)
    records = []
    for at in range(count):
        source = ("news", "essays", "books")[at % 3]
        machine = source != "books" and at % 2 == 1
        records.append(_record(f"r{at}", source, machine, float(random_.normal() + shift * machine)))
    for at in range(0, count, 3):
        if at % 4 == 2:
            continue
        record = _record(f"m{at}", "mirror_2026", True, float(random_.normal() + shift))
        records.append({**record, "pair": f"r{at + 2}", "split": "mirror", "domain": "docs"})
    return Rows(pl.DataFrame(records, schema_overrides={"pair": pl.String}), "source", "seen")


def _record(name: str, source: str, machine: bool, margin: float) -> dict[str, Any]:
    return {
        "id": name,
        "label": int(machine),
        "source": source,
        "family": source,
        "domain": "prose",
        "generator": "model-a" if machine else "human",
        "attack": "none",
        "lang": "en",
        "split": "dev",
        "pair": None,
        "margin": margin,
        "language": "en",
        "length": 700,
        "abstained": False,
        "out_of_support": False,
        "p_human": 0.5 * 10.0**-margin if margin > 0 else 0.5,
        "score": 1 / (1 + math.exp(-2 * margin)),
    }


def test_sources_of_both_classes_and_mirrored_pairs_are_units() -> None:
    found = {one["source"]: one for one in detector_tables.units(rows())}
    assert found.keys() == {"news", "essays", "mirror_2026 and pairs"}
    assert found["news"]["human"] == found["news"]["machine"] == 100 == found["news"]["matched"]
    mirror = found["mirror_2026 and pairs"]
    assert mirror["human"] == mirror["machine"] == mirror["matched"] == 150
    assert all(one["low"] < one["auroc"] < one["high"] and one["auroc"] > 0.8 for one in found.values())


def test_the_mean_takes_only_sources_with_enough_of_both() -> None:
    units = detector_tables.units(rows(1800))
    means = {one["languages"]: one for one in detector_tables.macro(units, least=400)}
    assert means["all"]["sources"] == 1 and means["zh"]["sources"] == 0 and means["zh"]["auroc"] is None
    every = {one["languages"]: one for one in detector_tables.macro(units)}["en"]
    assert every["auroc"] == pytest.approx(np.mean([one["auroc"] for one in units]))
    assert every["low"] <= every["auroc"] <= every["high"]


def test_rates_are_counted_at_the_promised_thresholds() -> None:
    made = rows()
    (news,) = [one for one in detector_tables.units(made) if one["source"] == "news"]
    own = made.frame.filter((pl.col("source") == "news") & (pl.col("label") == 1))
    assert news["tpr_01"]["hits"] == (own["p_human"] <= 0.01).sum() and news["tpr_01"]["n"] == 100
    assert news["tpr_01"]["low"] < news["tpr_01"]["share"] < news["tpr_01"]["high"]


def test_rows_without_a_verdict_count_nowhere_but_among_abstentions() -> None:
    made = rows()
    silent = made.frame.with_columns(p_human=pl.when(pl.col("id") == "r1").then(None).otherwise("p_human"))
    less = Rows(silent, "source", "seen")
    assert less.judged.frame.height == made.frame.height - 1
    assert detector_tables.abstentions(less)["abstained"]["hits"] == 1
    assert sum(one["machine"] for one in detector_tables.by_length(less)) == int(made.label.sum()) - 1


def test_a_group_over_twice_the_promise_is_named_and_a_small_one_is_not_tested() -> None:
    bad = [{**_record(f"b{at}", "bad", False, 0.0), "p_human": 0.001 if at < 20 else 0.5} for at in range(200)]
    good = [{**_record(f"g{at}", "good", False, 0.0), "p_human": 0.001 if at < 2 else 0.5} for at in range(200)]
    tiny = [{**_record(f"t{at}", "tiny", False, 0.0), "p_human": 0.001} for at in range(20)]
    made = Rows(pl.DataFrame([*bad, *good, *tiny], schema_overrides={"pair": pl.String}), "source", "seen")
    found = {one["group"]: one["fpr_01"]["exceeds"] for one in detector_tables.false_positives(made, "source")}
    assert found == {"bad": True, "good": False, "tiny": None}


def test_a_generator_is_held_against_people_of_its_sources_or_its_pairs() -> None:
    (found,) = detector_tables.by_generator(rows())
    assert found["generator"] == "model-a" and found["against"] == "pairs" and found["human"] == 350
    frame = rows().frame.filter(pl.col("source") != "mirror_2026")
    alone = pl.concat([frame, frame.filter(pl.col("label") == 1).with_columns(generator=pl.lit("model-b")).head(40)])
    named = detector_tables.by_generator(Rows(alone, "source", "seen"))
    assert [one["generator"] for one in named] == ["model-a", "1 generators of fewer than 60"]
    assert named[0]["against"] == "own sources" and named[0]["human"] == 200


def test_edited_human_text_stands_apart() -> None:
    frame = rows().frame.with_columns(
        attack=pl.when((pl.col("label") == 1) & (pl.col("source") == "news")).then(pl.lit("polish")).otherwise("attack")
    )
    found = {one["attack"]: one["text"] for one in detector_tables.by_attack(Rows(frame, "source", "seen"))}
    assert found == {"polish": "human, edited by a model", "none": "machine"}


def test_every_table_survives_json() -> None:
    tables = detector.tables_of(rows())
    assert json.loads(json.dumps(report.rounded(tables), allow_nan=False))["macro_100"][0]["sources"] == 3


# Rows


def labelled(count: int = 24) -> pl.DataFrame:
    rng = random.Random(4)
    texts = [document(rng, 14) for _ in range(count)]
    return pl.DataFrame(
        {
            "id": [f"d{at}" for at in range(count)],
            "text": texts,
            "label": [at % 2 for at in range(count)],
            "source": ["a", "b"] * (count // 2),
            "domain": "prose",
            "generator": ["human", "model"] * (count // 2),
            "attack": "none",
            "lang": "en",
            "pair": pl.Series([None] * count, dtype=pl.String),
            "split": "dev",
            "family": ["a", "b"] * (count // 2),
        }
    )


def test_scanned_rows_have_what_reading_findings_gives() -> None:
    found = scanned(labelled(), unseen="row")
    assert {"margin", "p_human", "score", "language", "length"} <= set(found.frame.columns)
    assert "text" not in found.frame.columns and found.judged.frame.height == 24


def test_left_out_margins_take_the_place_of_the_models_and_are_calibrated_anew(tmp_path: Path) -> None:
    whole = scanned(labelled(), unseen="nothing")
    every = range(24)
    labels, values = [at % 2 for at in every], [float(at) for at in every]
    margins = pl.DataFrame({"row": every, "label": labels, "margin": values, "enough": [at != 3 for at in every]})
    margins.write_parquet(tmp_path / "m.parquet")
    found = left_out(whole, tmp_path / "m.parquet", "source")
    assert found.unseen == "source" and found.calibration == "seen"
    assert found.frame["margin"].to_list() == [float(at) if at != 3 else None for at in range(24)]
    p = found.frame["p_human"].to_list()
    assert p[3] is None and p.count(None) == 1 and p[0] > 0.05 > p[23]


def test_left_out_calibration_is_taken_as_given(tmp_path: Path) -> None:
    whole = scanned(labelled(), unseen="nothing")
    margins = pl.DataFrame(
        {"row": [5, 1], "label": [1, 1], "margin": [1.0, 2.0], "p_human": [0.2, 0.1], "score": [0.5, 0.6]}
    )
    margins.write_parquet(tmp_path / "m.parquet")
    found = left_out(whole, tmp_path / "m.parquet", "generator")
    assert found.calibration == "left out" and found.frame["id"].to_list() == ["d5", "d1"]
    assert found.frame["p_human"].to_list() == [0.2, 0.1]


def test_rows_of_several_models_are_compared_within_each(tmp_path: Path) -> None:
    whole = scanned(labelled(80), unseen="nothing")
    human = [at for at in range(80) if at % 2 == 0]
    machine = [at for at in range(80) if at % 2]
    # The first model left every machine text out; the second, on another scale, has people only.
    place = [*machine, *human, *human]
    margins = {
        "row": place,
        "label": [at % 2 for at in place],
        "margin": [*[1.0] * 40, *[0.0] * 40, *[9.0] * 40],
        "group": [*["model"] * 80, *["other"] * 40],
    }
    pl.DataFrame(margins).write_parquet(tmp_path / "m.parquet")
    found = left_out(whole, tmp_path / "m.parquet", "generator")
    tables = detector.tables_of(Rows(found.frame.with_columns(source=pl.lit("a")), "generator", "seen"))
    assert tables.keys() == {"unseen", "calibration", "rows", "judged", "generators"}
    assert [(one["human"], one["machine"], one["auroc"]) for one in tables["generators"]] == [(40, 40, 1.0)]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"row": [0], "margin": [0.0]}, "no column 'label'"),
        ({"row": [0, 0], "label": [0, 0], "margin": [0.0, 0.0]}, "does not number rows"),
        ({"row": [30], "label": [0], "margin": [0.0]}, "does not number rows"),
        ({"row": [0], "label": [1], "margin": [0.0]}, "labels differ"),
    ],
)
def test_margins_of_another_corpus_are_refused(frame: dict[str, Any], words: str, tmp_path: Path) -> None:
    pl.DataFrame(frame).write_parquet(tmp_path / "m.parquet")
    with pytest.raises(InputError, match=words):
        left_out(scanned(labelled(), unseen="nothing"), tmp_path / "m.parquet", "source")


# Altered text and other detectors


def test_every_change_changes_only_the_surface_or_cuts() -> None:
    text = 'He said: "Never go there," and that was the end of it. ' * 20
    for name, change in CHANGES.items():
        made = change(text, random.Random(1))
        assert made == change(text, random.Random(1)), name
        if name.startswith("first"):
            assert text.startswith(made) and len(made) < len(text)
        elif name != "Markdown removed":
            assert made != text, name
    assert CHANGES["Markdown removed"]("# One\n- *two* `three`", random.Random(1)) == "One\ntwo three"
    assert CHANGES["quotes changed"]("“a” isn’t", random.Random(1)) == '"a" isn\'t'
    assert CHANGES["misspellings, one word in twenty"]("abc " * 400, random.Random(1)).count("bac") > 5


def test_a_machine_paragraph_stands_between_sentences() -> None:
    assert with_paragraph("One. Two. Three. Four.", "Some words") == "One. Two.\n\nSome\n\nThree. Four."


def test_the_table_of_changes_counts_both_classes() -> None:
    chosen = sample(labelled(), 6, 17)
    assert chosen.height <= 12 and set(chosen["label"]) == {0, 1}
    table = attack_table(chosen)
    assert [one["change"] for one in table] == [*CHANGES, "a machine paragraph inserted"]
    short = next(one for one in table if one["change"] == "first 200 characters")
    assert short["human"]["abstained"] == short["human"]["after"]["n"] and short["human"]["median_shift"] is None
    same = next(one for one in table if one["change"] == "lower case")
    assert same["machine"]["median_shift"] == pytest.approx(0.0, abs=1e-6)


def test_rows_for_other_detectors_take_turns_among_sources() -> None:
    corpus = labelled(40)
    whole = scanned(corpus, unseen="row")
    found, texts = peer_sample(whole, corpus["text"], english=10, other=4)
    assert len(texts) == found.frame.height == 10 and sorted(found.label.tolist()) == [0] * 5 + [1] * 5
    again, _ = peer_sample(whole, corpus["text"], english=10, other=4)
    assert again.frame.equals(found.frame)


# Reports


def result() -> dict[str, Any]:
    share = {"hits": 1, "n": 10, "share": 0.1, "low": 0.01, "high": 0.4}
    effect = {"before": share, "after": share, "abstained": 0, "out_of_support": 0, "median_shift": 0.5}
    part = {
        "human": 20, "machine": 20, "auroc": 0.8, "low": 0.7, "high": 0.9, "own_tpr_01": None,
        "default_fpr": share, "default_tpr": share,
    }  # fmt: skip
    return {
        "schema": detector_report.SCHEMA,
        "version": 1,
        "date": "2026-11-29",
        "cpu": "a CPU",
        "python": "3.11",
        "versions": {"numba": "0.68"},
        "commit": "abc",
        "signature": "foxing:0",
        "documents": {"human": 10, "machine": 12},
        "tables": {"source": detector.tables_of(rows())},
        "surface": {"unseen": "row", "changes": [{"change": "lower case", "machine": effect, "human": effect}]},
        "peers": {
            "rows": 40,
            "unseen": "source",
            "detectors": [{"detector": "foxing", "note": "", "en": part, "other": part, "docs_s": 1234.5}],
            "failed": [],
        },
        "notes": ["a note"],
    }


def test_a_block_of_a_document_is_made_of_the_json_alone() -> None:
    given_ = json.loads(json.dumps(report.rounded(result())))
    blank = "".join(f"<!-- detector: {name} -->\nold\n<!-- end -->\n" for name in detector_report.BLOCKS)
    made = detector_report.filled(blank, given_)
    assert "old" not in made and detector_report.filled(made, given_) == made
    assert "| news | en | 100 | 100 | 100 |" in made and "10,000" not in made and "`foxing:0`" in made
    assert "run with `--margins generator=FILE`" in made and "1,234" in made
    assert "Unseen by the model: the row's source" in made and "by the calibration: nothing" in made
    shown = detector_report.text(given_)
    assert "lower case" in shown and "a note" in shown


def test_stored_results_are_found_again_whole(tmp_path: Path) -> None:
    path = detector_report.save(result(), tmp_path)
    assert path.name == "detector-2026-11-29.json"
    assert report.newest(detector_report.SCHEMA, tmp_path) == json.loads(json.dumps(report.rounded(result())))


def with_curve() -> dict[str, Any]:
    frame = rows().frame
    sizes = [
        frame.with_columns(
            group=pl.lit(share), families=pl.lit(8.0 * float(share)), documents=pl.lit(100.0 * float(share)),
            margin=pl.col("margin") * float(share),
        )
        for share in ("0.5", "1")
    ]  # fmt: skip
    found = result()
    found["tables"]["curve"] = detector_tables.curve(Rows(pl.concat(sizes), "curve", "seen"))
    return found


def test_a_learning_curve_has_a_point_for_every_number_of_families() -> None:
    found = json.loads(json.dumps(report.rounded(with_curve())))
    points = found["tables"]["curve"]["points"]
    assert [point["families"] for point in points] == [4, 8]
    means = {one["languages"]: one for one in points[1]["macro"]}
    assert means["en"] == {key: found["tables"]["source"]["macro"][0][key] for key in means["en"]}
    made = detector_report.filled("<!-- detector: curve -->\nold\n<!-- end -->\n", found)
    assert "| 4 | 50 |" in made and "| 8 | 100 |" in made and "AUROC, en" in made
    assert "families" in detector_report.text(found)
    drawn = ElementTree.fromstring(picture(found))
    assert sum(one.tag.endswith("polyline") for one in drawn.iter()) == 4


def test_the_picture_is_drawn_from_the_json_alone() -> None:
    made = picture(json.loads(json.dumps(report.rounded(result()))))
    root = ElementTree.fromstring(made)
    assert root.tag.endswith("svg") and len(made) < 150_000
    words = [one.text for one in root.iter() if one.tag.endswith("text")]
    assert "news en" in words and "mirror_2026 and pairs en" in words
    assert sum(one.tag.endswith("circle") for one in root.iter()) == 6 + len(
        result()["tables"]["source"]["reliability"]["predicted"]
    )


def test_documents_and_picture_are_those_of_the_newest_result() -> None:
    measured = report.newest(detector_report.SCHEMA)
    assert measured is not None
    for path in detector_report.DOCUMENTS:
        text = path.read_text("utf-8")
        assert "<!-- detector: " in text and detector_report.filled(text, measured) == text
    assert PICTURE.read_text("utf-8") == picture(measured)


def test_every_field_of_a_result_is_documented() -> None:
    described = (REPOSITORY / "docs" / "detector.md").read_text("utf-8")
    for path in report.RESULTS.glob("detector-*.json"):
        found = json.loads(path.read_text("utf-8"))
        if found["schema"] != detector_report.SCHEMA:
            continue
        names = [*found, *next(iter(found["tables"].values()))]
        assert not [name for name in names if f"`{name}`" not in described], path.name


def test_without_data_the_evaluation_skips_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.detector"],
        cwd=REPOSITORY,
        env={"FOXING_DATA": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "SKIPPED" in done.stderr and "FOXING_DATA" in done.stderr


def test_margins_of_an_unknown_kind_or_file_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for given_, words in (
        ("colour=x.parquet", "none of source, domain, generator, language"),
        ("no.parquet", "no file"),
    ):
        with pytest.raises(SystemExit):
            detector.main(["--margins", given_, "--dry"])
        assert words in capsys.readouterr().err


def test_a_whole_evaluation_of_a_small_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "detection"
    folder.mkdir(parents=True)
    labelled(80).select("id", "text", "label", "source", "domain", "generator", "attack", "lang").write_parquet(
        folder / "dev.parquet"
    )
    monkeypatch.setenv("FOXING_DATA", str(tmp_path / "data"))
    margins = pl.DataFrame({"label": [at % 2 for at in range(80)], "margin": [float(at % 7) for at in range(80)]})
    (tmp_path / "left").mkdir()
    margins.write_parquet(tmp_path / "left" / "source.parquet")
    margins.with_columns(row=pl.int_range(80), group=pl.lit("m")).head(20).write_parquet(
        tmp_path / "left" / "generator.parquet"
    )
    words = ["--margins", str(tmp_path / "left"), "--peer-rows", "0", "--attack-rows", "4"]
    assert detector.main([*words, "--out", str(tmp_path / "out")]) == 0
    stored = report.newest(detector_report.SCHEMA, tmp_path / "out")
    assert stored is not None and stored["tables"].keys() == {"row", "source", "generator"}
    assert stored["documents"]["human"] == 40
    assert stored["signature"].startswith("foxing:") and "|calibration:" in stored["signature"]
