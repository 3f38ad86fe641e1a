"""`python -m tests.bench.curricula_report`: the figures of the curricula benches as the tables of docs/curricula.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.report import RESULTS, markdown_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "curricula.md"
Result = Mapping[str, Any]  # as tests.bench.curricula makes it


def newest(bench: str = "curricula") -> Result | None:
    """The newest result of a bench, `curricula` or `known-facts`; None where there is none."""
    found = sorted(RESULTS.glob(f"{bench}-*.json"))
    return json.loads(found[-1].read_text("utf-8")) if found else None


def tables(result: Result) -> dict[str, str]:
    """Each table of the document, by the name of its place, with a line that says what it is of."""
    return {
        "curricula-detection": _detection(result["detection"]),
        "curricula-importance": _importance(result["detection"]),
        "curricula-translation": _translation(result["translation"]),
        "curricula-diversity": _diversity(result["mixing"]),
        **({} if (known := newest("known-facts")) is None else {"curricula-knowledge": _knowledge(known)}),
    }


def filled(text: str, result: Result) -> str:
    """The document with its tables."""
    for name, table in tables(result).items():
        place = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert place.search(text), name
        text = place.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)  # type: ignore[misc]
    return text


def _share(found: Result) -> str:
    low, high = found["interval"]
    return f"{found['share']:.1%} ({low:.1%} to {high:.1%})"


def _detection(found: Result) -> str:
    head = ["order", "first tenth", "first half", "second half", "mix of sources in the first half, off by"]
    rows = [
        [name, *(_share(one[part]) for part in head[1:4]), f"{one['mix of sources off by']:.1%}"]
        for name, one in found["orders"].items()
    ]
    said = (
        f"{found['rows']:,} rows of development data, of sources that the bundled detector was trained on, though not\n"
        "on these rows: text of sources that it never saw is told apart less well. With 95 % intervals.\n\n"
    )
    return said + markdown_table([head, *rows])


def _importance(found: Result) -> str:
    head = ["`importance`", "machine-written before", "after", "rows left out", "most copies", "effective sample size"]
    rows = [
        [
            name,
            f"{one['machine share before']:.1%}",
            f"{one['machine share after']:.1%}",
            f"{one['left_out'] / one['rows']:.1%}",
            f"{one['most_copies']:.0f}",
            f"{one['effective share of rows']:.1%} of rows",
        ]
        for name, one in found["importance"].items()
    ]
    return "The same rows; shares after are means of five seeds.\n\n" + markdown_table([head, *rows])


def _translation(found: Result) -> str:
    kinds = list(next(iter(found["orders"].values()))["faults in last quarter"])
    head = ["order", "better one first", *kinds, "sound rows"]
    rows = [
        [
            name if name == "shuffled" else f"`{name}`",
            _share(one["better one first"]),
            *(f"{share:.0%}" for share in one["faults in last quarter"].values()),
            f"{one['sound rows in last quarter']:.0%}",
        ]
        for name, one in found["orders"].items()
    ]
    said = (
        f"{found['pairs']:,} translations (German to English, WMT 2022 and 2023) of {found['sources']} sources, and "
        f"{found['faults of each kind']} with each of {len(kinds)} faults\n"
        "put in. Of two translations of one source that differ by over a point of chrF, how often the better is\n"
        "first; of faulty and of sound rows, how many are in the last quarter.\n\n"
    )
    return said + markdown_table([head, *rows])


def _diversity(found: Result) -> str:
    parts = list(next(iter(found.values()))["distinct-3"]["greedy"])
    head = ["order", *(f"{name}, {part}" for name in found for part in parts)]
    orders = list(next(iter(found.values()))["distinct-3"])
    rows = [
        [order, *(f"{one['distinct-3'][order][part]:.3f}" for one in found.values() for part in parts)]
        for order in orders
    ]
    sizes = "; ".join(f"{name}: {one['rows']:,} rows of {one['sources']} sources" for name, one in found.items())
    said = f"Different word 3-grams for each 3-gram, exactly counted, in the first part of all 3-grams.\n{sizes}.\n\n"
    return said + markdown_table([head, *rows])


def _knowledge(found: Result) -> str:
    places = ["known in first half", "known in last tenth", "unknown in first half", "unknown in last tenth"]
    head = ["order", "rows", "answers replaced", *places, "unknown in all"]
    rows = [
        [
            name,
            f"{one['rows']:,}",
            f"{one['replaced']:,}",
            *(_share(one[place]) for place in (*places, "unknown in all")),
        ]
        for name, one in found["orders"].items()
    ]
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(found["categories"].items()))
    said = (
        f"{found['questions']:,} questions of {found['relations']} relations, probed with {found['model']}: {counts}.\n"
        "Known are HighlyKnown and MaybeKnown facts; unknown ones count where their own answer would be learnt. The\n"
        "first row is the corpus as it was. Read from the files that were written, with 95 % intervals.\n\n"
    )
    return said + markdown_table([head, *rows])


def main() -> int:
    """Fill the document in."""
    result = newest()
    assert result is not None, "no result: run python -m tests.bench.curricula"
    DOCUMENT.write_text(filled(DOCUMENT.read_text("utf-8"), result), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
