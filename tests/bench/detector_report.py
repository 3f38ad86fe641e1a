"""The figures of the detector's evaluation as a terminal table and as Markdown, from the JSON alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.detector_plot import best
from tests.bench.report import REPOSITORY, RESULTS, markdown_table, rounded, table

__all__ = ["BLOCKS", "DOCUMENTS", "SCHEMA", "VERSION", "filled", "save", "text"]

SCHEMA = "foxing-detector"
VERSION = 1
DOCUMENTS = (REPOSITORY / "docs" / "detector.md",)
Result = Mapping[str, Any]  # as docs/detector.md describes it
Cells = list[list[str]]

_UNSEEN = {
    "source": "the row's source and those of its family",
    "domain": "the row's domain",
    "generator": "the row's generator",
    "language": "the row's language",
    "row": "the row alone; the model was trained on its source",
    "curve": "the row's source, those of its family, and most other families",
}
_CURVE = "Unseen by each model: the row's source, those of its family, and the families that are not counted."
_LISTED_GENERATORS = 12


def save(result: Result, folder: Path = RESULTS) -> Path:
    """Store a result under its date, one line a table row."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"detector-{result['date']}.json"
    path.write_text(_lines(rounded(result)) + "\n", "utf-8")
    return path


def _lines(value: Any, depth: int = 0) -> str:
    """JSON whose objects within lists stand on a line each."""
    pad = " " * (depth + 1)
    if isinstance(value, Mapping):
        inner = [f"{pad}{json.dumps(key)}: {_lines(one, depth + 1)}" for key, one in value.items()]
        return "{\n" + ",\n".join(inner) + f"\n{' ' * depth}}}" if inner else "{}"
    if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        return "[\n" + ",\n".join(f"{pad}{json.dumps(one, ensure_ascii=False)}" for one in value) + f"\n{' ' * depth}]"
    return json.dumps(value, ensure_ascii=False)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if value < 0.1 else f"{100 * value:.1f} %"


def _share(rate: Mapping[str, Any] | None) -> str:
    return "-" if rate is None else _percent(rate["share"])


def _counted(rate: Mapping[str, Any] | None) -> str:
    return "-" if rate is None else f"{_percent(rate['share'])} ({_percent(rate['low'])} to {_percent(rate['high'])})"


def _area(row: Mapping[str, Any]) -> str:
    if row["auroc"] is None:
        return "-"
    return f"{row['auroc']:.3f}" + (f" ({row['low']:.3f}-{row['high']:.3f})" if row["low"] is not None else "")


def macro_cells(found: Result) -> Cells:
    """Unweighted means over sources."""
    head = [
        "languages",
        "sources",
        "AUROC",
        "AUROC of score",
        "TPR at own 1 %",
        "TPR at own 0.1 %",
        "FPR, p <= .01",
        "TPR, p <= .01",
    ]
    rows = [[*head, "FPR, p <= .001", "TPR, p <= .001"]]
    for name, suffix in (("macro", ""), ("macro_long", ", 800 characters and more")):
        for row in found[name]:
            own = (_percent(row["own_tpr_01"]), f"{_percent(row['own_tpr_001'])} (of {row['own_tpr_001_n']})")
            rates = (_percent(row[key]) for key in ("fpr_01", "tpr_01", "fpr_001", "tpr_001"))
            areas = (_area(row), _number(row["auroc_score"]))
            rows.append([f"{row['languages']}{suffix}", str(row["sources"]), *areas, *own, *rates])
    return rows


def source_cells(found: Result) -> Cells:
    """A line a source and language."""
    rows = [["source", "language", "human", "machine", "matched", "AUROC", "of score", "TPR at own 1 %", "FPR", "TPR"]]
    for row in found["sources"]:
        counts = [f"{row[key]:,}" for key in ("human", "machine", "matched")]
        rates = [_counted(row["fpr_01"]), _share(row["tpr_01"])]
        areas = (_area(row), _number(row["auroc_score"]))
        rows.append([row["source"], row["language"], *counts, *areas, _percent(row["own_tpr_01"]), *rates])
    return rows


def generator_cells(found: Result) -> Cells:
    """Of every data file the generators with most text, and the rare ones together."""
    rows = [["generator", "data", "against", "human", "machine", "AUROC", "TPR, p <= .01"]]
    listed: dict[str, int] = {}
    for row in found["generators"]:
        listed[row["split"]] = listed.get(row["split"], 0) + 1
        if listed[row["split"]] > _LISTED_GENERATORS and row is not found["generators"][-1]:
            continue
        counts = (f"{row['human']:,}", f"{row['machine']:,}")
        rows.append([row["generator"], row["split"], row["against"], *counts, _area(row), _share(row["tpr_01"])])
    return rows


def language_cells(found: Result) -> Cells:
    """A line a language."""
    rows = [["language", "human", "machine", "units", "mean AUROC", "AUROC across sources", "FPR", "TPR", "ECE"]]
    for row in found["languages"]:
        counts = (f"{row['human']:,}", f"{row['machine']:,}", str(row["units"]))
        areas = (_number(row["auroc"]), _number(row["across_margin"]))
        rows.append(
            [row["language"], *counts, *areas, _share(row["fpr_01"]), _share(row["tpr_01"]), _number(row["ece"])]
        )
    return rows


def curve_cells(found: Result) -> Cells:
    """A line a number of families of sources that models were trained on."""
    names = [one["languages"] for one in found["points"][-1]["macro"]]
    rows = [["families", "documents", *(f"AUROC, {name}" for name in names)]]
    for point in found["points"]:
        areas = [_area(one) for one in point["macro"]]
        rows.append([f"{point['families']:.0f}", f"{point['documents']:,.0f}", *areas])
    return rows


def length_cells(found: Result) -> Cells:
    """A line a length bucket."""
    rows = [["characters", "human", "machine", "AUROC", "FPR", "TPR", "ECE"]]
    for row in found["lengths"]:
        counts = (f"{row['human']:,}", f"{row['machine']:,}")
        rates = (_share(row["fpr_01"]), _share(row["tpr_01"]))
        rows.append([row["characters"], *counts, _area(row), *rates, _number(row["ece"])])
    return rows


def attack_cells(found: Result) -> Cells:
    """A line an `attack` group."""
    rows = [["group", "text", "n", "AUROC", "TPR, p <= .01"]]
    for row in found["attacks"]:
        rows.append([row["attack"], row["text"], f"{row['machine']:,}", _area(row), _share(row["tpr_01"])])
    return rows


def false_positive_cells(found: Result) -> Cells:
    """By grouping and promised rate: how many groups were tested, which exceed twice the promise."""
    rows = [["groups by", "promised", "tested", "too small", "all", "mean", "largest", "over twice the promise"]]
    for name, groups in found["false_positives"].items():
        for key, promised in (("fpr_01", "1 %"), ("fpr_001", "0.1 %")):
            tested = [one for one in groups if one[key]["exceeds"] is not None]
            if not tested:
                continue
            worst = max(tested, key=lambda one: one[key]["share"])
            over = [one["group"] for one in tested if one[key]["exceeds"]]
            hits, n = sum(one[key]["hits"] for one in groups), sum(one[key]["n"] for one in groups)
            mean = sum(one[key]["share"] for one in tested) / len(tested)
            largest = f"{worst['group']} {_percent(worst[key]['share'])} (to {_percent(worst[key]['high'])})"
            counts = [str(len(tested)), str(len(groups) - len(tested)), f"{_percent(hits / n)} of {n:,}"]
            rows.append([name, promised, *counts, _percent(mean), largest, ", ".join(over) or "none"])
    return rows


def group_cells(found: Result) -> Cells:
    """Every tested group with its one-sided 95 % bounds."""
    rows = [["groups by", "group", "n", "FPR, p <= .01", "from", "to", "FPR, p <= .001", "to", "over twice"]]
    for name, groups in found["false_positives"].items():
        for one in groups:
            first, second = one["fpr_01"], one["fpr_001"]
            if first["exceeds"] is None:
                continue
            rates = [_percent(first[key]) for key in ("share", "low", "high")]
            over = [promised for promised, rate in (("1 %", first), ("0.1 %", second)) if rate["exceeds"]]
            rates += [_percent(second["share"]), _percent(second["high"]), ", ".join(over) or "-"]
            rows.append([name, one["group"], f"{first['n']:,}", *rates])
    return rows


def _untested(result: Result) -> str:
    lines = []
    for name, groups in best(result)["false_positives"].items():
        small = [f"{one['group']} ({one['fpr_01']['n']})" for one in groups if one["fpr_01"]["exceeds"] is None]
        if small:
            lines.append(f"{name}: {', '.join(small)}")
    return f"Too few documents to test (fewer than 100). {'; '.join(lines)}.\n" if lines else "All were tested.\n"


def surface_cells(result: Result) -> Cells:
    """A line a change of the surface."""
    head = [
        "change",
        "hits in machine text",
        "after",
        "shift",
        "hits in human text",
        "after",
        "shift",
        "abstained",
        "unsupported",
    ]
    rows = [head]
    for row in result["surface"]["changes"]:
        cells, silent, outside = [], 0, 0
        for name in ("machine", "human"):
            one = row[name]
            if one is None:
                cells += ["-", "-", "-"]
                continue
            silent, outside = silent + one["abstained"], outside + one["out_of_support"]
            cells += [_share(one["before"]), _share(one["after"]), _number(one["median_shift"], 2)]
        rows.append([row["change"], *cells, f"{silent:,}", f"{outside:,}"])
    return rows


def peer_cells(result: Result) -> Cells:
    """A line a detector."""
    rows = [
        [
            "detector",
            "AUROC, English",
            "TPR at own 1 %",
            "FPR at its default",
            "TPR there",
            "AUROC, other",
            "documents a CPU second",
        ]
    ]
    for one in result["peers"]["detectors"] if "peers" in result else []:
        en, other = one["en"], one["other"]
        rates = (_percent(en["own_tpr_01"]), _counted(en["default_fpr"]), _share(en["default_tpr"]))
        rows.append([one["detector"], _area(en), *rates, _area(other), f"{one['docs_s']:,.0f}"])
    return rows


def _of(cells: Callable[[Result], Cells], kind: str | None = None) -> Callable[[Result], str]:
    def made(result: Result) -> str:
        if kind is not None and kind not in result["tables"]:
            return f"Not measured: run with `--margins {kind}=FILE`.\n"
        found = best(result) if kind is None else result["tables"][kind]
        if kind == "curve":
            return f"{markdown_table(cells(found))}\n\n{_CURVE}\n"
        judged = f"{found['judged']:,} of {found['rows']:,} rows judged"
        calibration = "the same" if found["calibration"] == "left out" else "nothing, it is the shipped one"
        unseen = f"Unseen by the model: {_UNSEEN[found['unseen']]}; by the calibration: {calibration}"
        return f"{markdown_table(cells(found))}\n\n{unseen}. {judged}.\n"

    return made


def _context(result: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if name != "foxing")
    size = f"{result['documents']['human']:,} human and {result['documents']['machine']:,} machine documents"
    return (
        f"{result['date']}, {result['cpu']}, commit {result['commit']}, Python {result['python']}, {versions}; "
        f"{size}.\n\n`{result['signature']}`\n"
    )


def _abstentions(result: Result) -> str:
    found = best(result)["abstentions"]
    return (
        f"Of texts of {found['characters']} characters and more it abstains on {_counted(found['abstained'])} "
        f"and marks {_counted(found['out_of_support'])} as outside its support (n {found['abstained']['n']:,}).\n"
    )


def _surface(result: Result) -> str:
    first = result["surface"]["changes"][0]
    n = f"{first['machine']['before']['n']:,} machine and {first['human']['before']['n']:,} human texts"
    return f"{markdown_table(surface_cells(result))}\n\n{n}, held back from training; hits at p <= .01.\n"


def _peers(result: Result) -> str:
    if "peers" not in result:
        return "Not measured in this run.\n"
    found = result["peers"]
    first = found["detectors"][0]
    n = f"{first['en']['human']} human and {first['en']['machine']} machine English rows, "
    n += f"{first['other']['human']} and {first['other']['machine']} in other languages"
    notes = "; ".join(f"{one['detector']}: {one['note']}" for one in found["detectors"] if one["note"])
    return f"{markdown_table(peer_cells(result))}\n\n{n}; unseen by foxing: {found['unseen']}. {notes}.\n"


BLOCKS: Mapping[str, Callable[[Result], str]] = {
    "context": _context,
    "headline": _of(macro_cells),
    "sources": _of(source_cells),
    "generators": _of(generator_cells),
    "generators-left-out": _of(generator_cells, "generator"),
    "curve": _of(curve_cells, "curve"),
    "languages": _of(language_cells),
    "languages-left-out": _of(language_cells, "language"),
    "lengths": _of(length_cells),
    "edits": _of(attack_cells),
    "false-positives": _of(false_positive_cells),
    "untested": _untested,
    "abstentions": _abstentions,
    "seen-sources": _of(macro_cells, "row"),
    "surface": _surface,
    "peers": _peers,
}
"""What can stand between `<!-- detector: NAME -->` and `<!-- end -->`."""


def filled(document: str, result: Result) -> str:
    """A document with its blocks made anew."""
    for name, make in BLOCKS.items():
        pattern = re.compile(rf"(<!-- detector: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if pattern.search(document):
            document = pattern.sub(rf"\g<1>{_literal(make(result))}\g<2>", document)
    return document


def _literal(made: str) -> str:
    """As a replacement, in which a backslash would be an escape."""
    return made.replace("\\", r"\\")


_CELLS: Mapping[str, Sequence[Callable[[Result], Cells]]] = {
    "generator": (generator_cells,),
    "language": (source_cells, language_cells),
    "curve": (curve_cells,),
}
"""What is printed of rows that are not all of the corpus."""


def text(result: Result) -> str:
    """Everything, for a terminal."""
    shown = rounded(result)
    parts = []
    for kind, found in shown["tables"].items():
        parts.append(f"unseen by the model: {_UNSEEN[kind]}; by the calibration: {found['calibration']}")
        chosen: Sequence[Callable[[Result], Cells]] = (
            macro_cells,
            source_cells,
            generator_cells,
            language_cells,
            length_cells,
            attack_cells,
            false_positive_cells,
            group_cells,
        )
        if kind in _CELLS:
            chosen = _CELLS[kind]
        parts += [table(cells(found)) for cells in chosen]
        if "reliability" in found:
            parts.append(f"ECE {_number(found['reliability']['ece'])}")
    parts += [_abstentions(shown), table(surface_cells(shown))]
    if "peers" in shown:
        parts.append(table(peer_cells(shown)))
    return "\n\n".join([*parts, *shown["notes"], shown["signature"]])
