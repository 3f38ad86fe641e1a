"""How well duplicates are found, and at what cost.

    python -m tests.bench.duplicates [--millions 1,3,10] [--no-truth] [--no-peers] [--dry] [--out FOLDER]

Copies of known likeness are planted in human text and looked for by foxing, datasketch and text-dedup
(`tests.bench.duplicate_truth`, `tests.bench.duplicate_peers`); the search alone is measured on made-up signatures
(`tests.bench.duplicate_cost`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from audit.findings_folder import Findings
from detectors.banding import optimal_bands
from tests.bench import corpora, report
from tests.bench.duplicate_cost import costs
from tests.bench.duplicate_peers import by_datasketch, by_text_dedup
from tests.bench.duplicate_truth import PERMUTATIONS, THRESHOLD, found_rows, measured, minima_of
from tests.bench.machine import PACKAGES, machine

SCHEMA = "foxing-bench-duplicates"


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, search, compare, measure, store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--millions", default="1,3,10", help="signatures to search, comma-separated; '' is none")
    parser.add_argument("--no-truth", action="store_true", help="plant no copies")
    parser.add_argument("--no-peers", action="store_true", help="leave datasketch and text-dedup out")
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    asked = parser.parse_args(arguments)
    result: dict[str, Any] = {"schema": SCHEMA, "version": 1, **machine((*PACKAGES, "datasketch"))}
    human = corpora.web()
    if human is None and not asked.no_truth:
        print(f"SKIPPED: no human text in {corpora.data_folder()}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    if human is not None and not asked.no_truth:
        with tempfile.TemporaryDirectory(prefix="foxing-bench-") as folder:
            result |= truth(pl.read_parquet(human)["text"].to_list(), Path(folder), peers=not asked.no_peers)
    sizes = [float(size) for size in asked.millions.split(",") if size]
    if sizes:
        costs([0.01])  # compiles the kernels
        result["sizes"] = costs(sizes)
    print(json.dumps(report.rounded(result), indent=1))
    if not asked.dry:
        print(f"stored in {report.save(result, 'duplicates', Path(asked.out))}", file=sys.stderr)
    return 0


def truth(texts: list[str], scratch: Path, *, peers: bool) -> dict[str, Any]:
    """Planted copies, and what other tools find in the same rows."""
    result: dict[str, Any] = {"truth": measured(texts, scratch)}
    if peers:
        rows = scratch / "planted.parquet"
        found, planted = found_rows(Findings.open(scratch / "audit")), pl.read_parquet(rows)["text"].to_list()
        bands = optimal_bands(THRESHOLD, PERMUTATIONS)
        result["datasketch"] = by_datasketch(minima_of(planted), found, bands, THRESHOLD)
        result["text-dedup"] = by_text_dedup(rows, found, THRESHOLD, scratch)
    return result


if __name__ == "__main__":
    raise SystemExit(main())
