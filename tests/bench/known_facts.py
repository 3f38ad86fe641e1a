"""`python -m tests.bench.known_facts`: what the curricula by what a model knows do to real questions, before and after.

Questions of several relations of qa.parquet are probed with SmolLM2-135M, curated by each curriculum, verified, and
read back from the files that were written. Nothing of the texts is stored.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from audit.findings_folder import Findings
from audit.rules import applicable, decided, rules_from
from curricula.curate import Request, curate
from curricula.verify import verify
from tests.bench import corpora
from tests.bench.curricula import RESULTS, SEED, share
from tests.bench.knowledge import RELATIONS
from tests.bench.machine import machine

EACH = 80
KNOWN = ("HighlyKnown", "MaybeKnown")
CURRICULA = {
    "original": ("original",),
    "shuffled": ("shuffled",),
    "slick-maybe-first": ("slick-maybe-first",),
    "known-patch": ("known-patch",),
    "slick-drop-unknown": ("slick-drop-unknown", "original"),
    "relabel-unknown": ("relabel-unknown", "original"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe, curate, count, store."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.known_facts", description=__doc__)
    parser.add_argument("--each", type=int, default=EACH, help="questions of each relation")
    parser.add_argument("--out", default=str(RESULTS), help="folder of the result")
    asked = parser.parse_args(arguments)
    file = corpora.data_folder() / "tasks" / "qa.parquet"
    if not file.is_file():
        print(f"SKIPPED: {file} is not there. Set FOXING_DATA.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        result = {**machine(), "model": "SmolLM2-135M", **measured(file, Path(scratch), asked.each)}
    text = json.dumps(result, indent=1)
    print(text)
    (Path(asked.out) / f"known-facts-{result['date']}.json").write_text(text + "\n", "utf-8")
    return 0


def measured(file: Path, folder: Path, each: int) -> dict[str, object]:
    """Each curriculum on so many questions of each relation, probed once."""
    rows = pl.read_parquet(file).filter(pl.col("source") == "entity_questions")
    parts = [rows.filter(pl.col("relation") == name).sample(each, seed=SEED) for name in RELATIONS]
    (folder / "in").mkdir()
    pl.concat(parts).select("question", "answers", "relation").write_parquet(folder / "in" / "qa.parquet")
    words = ["probe", str(folder / "in"), "-o", str(folder / "probed"), "--by", "relation", "-q", "--isolated"]
    subprocess.run([sys.executable, "-c", "from curricula.cli import main; main()", *words], check=True)
    findings = Findings.open(folder / "probed")
    schema = next(iter(decided(findings, ()))).schema
    rules = [rule for rule in rules_from({}) if applicable(rule, schema)]
    frame = pl.concat(list(decided(findings, rules)))
    category = dict(
        zip(
            pl.read_parquet(folder / "in" / "qa.parquet")["question"].to_list(),
            frame["knowledge"].struct.field("category").to_list(),
            strict=True,
        )
    )
    found: dict[str, object] = {}
    for name, curricula in CURRICULA.items():
        out = folder / "out" / name
        made = curate(findings, rules, out, Request(curriculum=curricula, allow_loss=1.0, seed=SEED))
        assert not verify(out).problems, name
        table = pl.read_parquet(sorted((out / "data").rglob("*.parquet")))
        found[name] = {
            "rows": table.height,
            "replaced": made.manifest.totals()["edited"],
            **_by_place([category[question] for question in table["question"].to_list()], _edited(table)),
        }
    counts = frame["knowledge"].struct.field("category").value_counts().sort("category")
    return {"questions": frame.height, "relations": len(parts), "categories": dict(counts.iter_rows()), "orders": found}


def _edited(table: pl.DataFrame) -> npt.NDArray[np.bool_]:
    if "foxing_original" not in table.columns:
        return np.zeros(table.height, np.bool_)
    return table["foxing_original"].is_not_null().to_numpy()


def _by_place(categories: list[str | None], edited: npt.NDArray[np.bool_]) -> dict[str, object]:
    """Of the first half and the last tenth: how many facts the model knows, and how many unknown ones it would fit."""
    known = np.array([name in KNOWN for name in categories])
    fitted = np.array([name == "Unknown" for name in categories]) & ~edited
    half, tenth = len(known) // 2, len(known) // 10
    return {
        "known in first half": share(known[:half]),
        "known in last tenth": share(known[-tenth:]),
        "unknown in first half": share(fitted[:half]),
        "unknown in last tenth": share(fitted[-tenth:]),
        "unknown in all": share(fitted),
    }


if __name__ == "__main__":
    raise SystemExit(main())
