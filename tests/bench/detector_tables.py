"""The tables of the detector's evaluation: areas, rates at promised false-positive rates, calibration, abstention.

Every table is a list of rows of plain values with the same keys, ready for JSON; figures that are undefined are null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from tests.bench.detector_rows import LENGTHS, Rows, length_bucket
from tests.bench.detector_stats import (
    Rate,
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

__all__ = [
    "EDITED",
    "PROMISES",
    "abstentions",
    "by_attack",
    "by_generator",
    "by_language",
    "by_length",
    "curve",
    "false_positives",
    "macro",
    "reliability",
    "units",
]

Row = dict[str, Any]
PROMISES = (0.01, 0.001)
"""False-positive rates that are promised: `p_human` at or below."""
EDITED = ("polish", "rewrite", "expand", "continue")
"""`attack` groups that are human text edited or carried on by a model; the others are machine text."""
MIRROR = "mirror_2026"
_MACRO, _LEAST, _MATCHED, _TESTED = 200, 30, 25, 100
_GROUPS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("en", lambda code: code == "en"),
    ("zh", lambda code: code == "zh"),
    ("other", lambda code: code not in ("en", "zh")),
    ("all", lambda code: True),
)


def units(rows: Rows) -> list[Row]:
    """AUROC and rates of every source and language with 30 documents of each class.

    Human and machine text of one source are compared within domain, language and length bin: either class is weighted
    so that both are spread alike over these. Mirrored texts are compared with the human texts that they mirror, which
    are about as long.
    """
    found = []
    for source, language, part in _sources(rows.judged):
        label = part.label
        if min(label.sum(), len(label) - label.sum()) >= _LEAST:
            area = _area(part, matched=not source.startswith(MIRROR))
            found.append({"source": source, "language": language, **area, **_rates(part)})
    return found


def _sources(rows: Rows) -> Iterator[tuple[str, str, Rows]]:
    frame = rows.frame
    for source, language in sorted(frame.select("source", "lang").unique().iter_rows()):
        if source != MIRROR:
            yield source, language, rows.where((pl.col("source") == source) & (pl.col("lang") == language))
    pairs = frame.filter(pl.col("source") == MIRROR)["pair"]
    mirrored = rows.where((pl.col("source") == MIRROR) | pl.col("id").is_in(pairs.implode()))
    # The pair, not the source, is what both classes share here.
    mirrored = Rows(
        mirrored.frame.with_columns(source=pl.lit(MIRROR), domain=pl.lit("")), rows.unseen, rows.calibration
    )
    for language in sorted(mirrored.frame["lang"].unique()):
        yield f"{MIRROR} and pairs", language, mirrored.where(pl.col("lang") == language)


def _area(rows: Rows, *, matched: bool = True) -> Row:
    """AUROC of the margin with its interval, that of the score, and how many documents of each class were matched."""
    label, margin = rows.label, rows.floats("margin")
    weight = length_matched(label, rows.cells) if matched else np.ones(len(label))
    n, n_human = float(weight[label == 1].sum()), float(weight[label == 0].sum())
    area, by_score = math.nan, math.nan
    if min(n, n_human) >= _MATCHED:
        area, by_score = auroc(label, margin, weight), auroc(label, rows.floats("score"), weight)
    # The interval takes as many documents as could be matched, not all that were drawn on.
    low, high = area_interval(area, n_human, n)
    return {
        "human": int((label == 0).sum()),
        "machine": int((label == 1).sum()),
        "matched": round(n),
        "auroc": _known(area),
        "low": _known(low),
        "high": _known(high),
        "auroc_score": _known(by_score),
        **{f"own_tpr_{_short(one)}": _known(true_positive_rate(label, margin, one)) for one in PROMISES},
    }


def _rates(rows: Rows) -> Row:
    """Share of either class at or below each promised rate."""
    label, p = rows.label, rows.floats("p_human")
    found: Row = {}
    for promised in PROMISES:
        for name, kind in (("fpr", 0), ("tpr", 1)):
            hit = p[label == kind] <= promised
            found[f"{name}_{_short(promised)}"] = _rate(int(hit.sum()), len(hit))
    return found


def _rate(hits: int, n: int) -> Row | None:
    rate = Rate.of(hits, n)
    return {"hits": hits, "n": n, "share": rate.share, "low": rate.low, "high": rate.high} if n else None


def _short(promised: float) -> str:
    return f"{promised:g}".removeprefix("0.")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def macro(found: Sequence[Row], *, least: int = _MACRO) -> list[Row]:
    """Unweighted means over sources that have at least `least` documents of each class, by group of languages.

    `low` and `high` bound the mean over other sources like these: sources are drawn with replacement.
    """
    rows = []
    for name, belongs in _GROUPS:
        chosen = [one for one in found if belongs(one["language"]) and min(one["human"], one["machine"]) >= least]
        row: Row = {"languages": name, "sources": len(chosen)}
        for key in ("auroc", "auroc_score", "own_tpr_01", "own_tpr_001"):
            values = np.array([one[key] for one in chosen if one[key] is not None], np.float64)
            low, high = mean_interval(values)
            row |= {key: _mean(values), f"{key}_n": len(values)}
            if key == "auroc":
                row |= {"low": _known(low), "high": _known(high)}
        for key in ("fpr_01", "tpr_01", "fpr_001", "tpr_001"):
            row[key] = _mean(np.array([one[key]["share"] for one in chosen if one[key]], np.float64))
        rows.append(row)
    return rows


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def by_generator(rows: Rows, *, least: int = 60) -> list[Row]:
    """Machine text of one generator against human text of the sources that it is in.

    Where those have none, against dated human web text of the same language: `against` says which. Generators of fewer
    than `least` documents are put together.
    """
    judged = rows.judged
    machine = judged.frame.filter(pl.col("label") == 1)
    counts = machine.group_by("generator").len().sort(["len", "generator"], descending=[True, False])
    rare = counts.filter(pl.col("len") < least)["generator"]
    renamed = f"{len(rare)} generators of fewer than {least}"
    frame = judged.frame.with_columns(
        generator=pl.when((pl.col("label") == 1) & pl.col("generator").is_in(rare.implode()))
        .then(pl.lit(renamed))
        .otherwise("generator")
    )
    judged = Rows(frame, rows.unseen, rows.calibration)
    names = [*counts.filter(pl.col("len") >= least)["generator"], *([renamed] if len(rare) else [])]
    return [{"generator": name, **_generator(judged, name)} for name in names]


def _generator(judged: Rows, name: str) -> Row:
    of = judged.where((pl.col("generator") == name) & (pl.col("label") == 1))
    sources, languages = of.frame["source"].unique(), of.frame["lang"].unique()
    own = (pl.col("label") == 0) & pl.col("source").is_in(sources.implode()) & pl.col("lang").is_in(languages.implode())
    pairs = pl.col("id").is_in(of.frame["pair"].drop_nulls().implode())
    against, condition = "own sources", own | pairs
    if "group" in judged.frame.columns:  # margins of several models: those of this generator's alone compare
        judged = judged.where(pl.col("group").is_in(of.frame["group"].unique().implode()))
    if judged.where(condition).frame.height < _LEAST:
        web = (pl.col("split") == "dated_web") & pl.col("lang").is_in(languages.implode())
        against, condition = "dated web", web
    part = judged.where(condition | ((pl.col("generator") == name) & (pl.col("label") == 1)))
    area = _area(part, matched=against == "own sources" and MIRROR not in sources)
    if MIRROR in sources:
        against = "pairs"
    hits = of.floats("p_human")
    rates = {f"tpr_{_short(promised)}": _rate(int((hits <= promised).sum()), len(hits)) for promised in PROMISES}
    split = str(of.frame["split"].mode().sort()[0])
    return {
        "split": split,
        "against": against,
        **area,
        **rates,
        "median_margin": _known(float(np.median(of.floats("margin")))),
    }


def by_language(rows: Rows) -> list[Row]:
    """Text of a language: the unweighted mean of `units`, and all sources thrown together.

    `across_margin` and `across_p` are areas of margin and `p_human` over documents of whatever source, domain and
    length: what a single threshold would see.
    """
    judged, found = rows.judged, units(rows)
    counts = judged.frame.group_by("lang").len().sort(["len", "lang"], descending=[True, False])
    result = []
    for (language,) in counts.select("lang").iter_rows():
        part = judged.where(pl.col("lang") == language)
        label = part.label
        if part.frame.height < 2 * _LEAST:
            continue
        areas = [one["auroc"] for one in found if one["language"] == language and one["auroc"] is not None]
        row: Row = {
            "language": language,
            "human": int((label == 0).sum()),
            "machine": int((label == 1).sum()),
            "units": len(areas),
            "auroc": _mean(areas),
            "across_margin": _known(auroc(label, part.floats("margin"))),
            "across_p": _known(auroc(label, -part.floats("p_human"))),
        }
        result.append({**row, **_rates(part), "ece": _ece(part)})
    return result


def by_length(rows: Rows) -> list[Row]:
    """Text of a length: areas matched within source, domain, language and length, and rates."""
    judged = Rows(rows.judged.frame.with_columns(bucket=length_bucket()), rows.unseen, rows.calibration)
    parts = [(name, judged.where(pl.col("bucket") == name)) for name in LENGTHS]
    found = [{"characters": name, **_area(part), **_rates(part), "ece": _ece(part)} for name, part in parts]
    return [row for row in found if row["human"] and row["machine"]]


def by_attack(rows: Rows) -> list[Row]:
    """Machine text of an `attack` group, and human text edited by a model, against human text of the same sources."""
    judged = rows.judged
    names = judged.frame.filter(pl.col("label") == 1)["attack"].unique().sort()
    found = []
    for name in names:
        of = (pl.col("label") == 1) & (pl.col("attack") == name)
        part = judged.where(of)
        human = (pl.col("label") == 0) & pl.col("source").is_in(part.frame["source"].unique().implode())
        both = judged.where(of | human)
        rates = {key: value for key, value in _rates(both).items() if key.startswith("tpr")}
        origin = "human, edited by a model" if name in EDITED else "machine"
        found.append({"attack": name, "text": origin, **_area(both), **rates})
    return sorted(found, key=lambda row: (row["text"], -row["machine"]))


def curve(rows: Rows) -> Row:
    """Means over sources left out, by how many families of sources the models were trained on."""
    sizes = rows.frame.group_by("group").agg(pl.col("families").first(), pl.col("documents").first())
    points = []
    for group, families, documents in sizes.sort("documents", "group").iter_rows():
        found = units(rows.where(pl.col("group") == group))
        means = [{key: one[key] for key in ("languages", "sources", "auroc", "low", "high")} for one in macro(found)]
        points.append({"share": float(group), "families": families, "documents": documents, "macro": means})
    return {"unseen": "curve", "calibration": rows.calibration, "rows": rows.frame.height, "points": points}


def false_positives(rows: Rows, column: str) -> list[Row]:
    """Realised false-positive rate of human text by `column`, at each promised rate.

    A group of 100 documents or more is tested: does the rate exceed twice the promised one? `exceeds` is Holm's verdict
    over all groups tested at that rate, at 5 % for the family; null where the group is too small to test.
    """
    human = rows.judged.where(pl.col("label") == 0).frame.with_columns(pl.col(column).cast(pl.String))
    hits = [(pl.col("p_human") <= promised).sum().alias(_short(promised)) for promised in PROMISES]
    counts = human.group_by(column).agg(pl.len().alias("n"), *hits).sort(["n", column], descending=[True, False])
    found: list[Row] = [
        {"group": name, **{f"fpr_{_short(one)}": _bounded(row[_short(one)], row["n"], one) for one in PROMISES}}
        for name, row in ((row[column], row) for row in counts.iter_rows(named=True))
    ]
    for promised in PROMISES:
        key = f"fpr_{_short(promised)}"
        tested = [row[key] for row in found if row[key]["n"] >= _TESTED]
        verdicts = holm_rejects(np.array([one["p_value"] for one in tested], np.float64))
        for one, verdict in zip(tested, verdicts, strict=True):
            one["exceeds"] = bool(verdict)
    return found


def _bounded(hits: int, n: int, promised: float) -> Row:
    low, high = clopper_pearson(hits, n, tail=0.05)
    p_value = upper_tail(hits, n, 2 * promised)
    return {"hits": hits, "n": n, "share": hits / n, "low": low, "high": high, "p_value": p_value, "exceeds": None}


def _balanced(rows: Rows) -> Any:
    """Weights under which both classes weigh the same, as scores at a prior of 1/2 presume."""
    label = rows.label
    counts = np.bincount(label, minlength=2)
    return 1.0 / np.maximum(counts[label], 1)


def _ece(rows: Rows) -> float | None:
    label = rows.label
    if min(label.sum(), len(label) - label.sum()) < 2 * _TESTED:
        return None
    return _known(expected_calibration_error(label, rows.floats("score"), _balanced(rows)).error)


def reliability(rows: Rows) -> Row:
    """Scores against observed shares, both classes weighing the same."""
    judged = rows.judged
    found = expected_calibration_error(judged.label, judged.floats("score"), _balanced(judged))
    return {
        "ece": _known(found.error),
        "predicted": list(found.predicted),
        "observed": list(found.observed),
        "documents": list(found.documents),
    }


def abstentions(rows: Rows, *, characters: int = 400) -> Row:
    """Texts of `characters` or more without a verdict, and those marked as unlike the reference."""
    long = rows.frame.filter(pl.col("length") >= characters)
    silent = int(long["p_human"].is_null().sum())
    return {
        "characters": characters,
        "abstained": _rate(silent, long.height),
        "out_of_support": _rate(int(long["out_of_support"].fill_null(False).sum()), long.height),
        "short": int(rows.frame.height - long.height),
    }
