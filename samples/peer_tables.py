"""Writes the tables of docs/peers.md from files of results.

python samples/peer_tables.py [FILE]        FILE is docs/peers.md unless named
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "peers.md"
RESULTS = ROOT / "tests" / "bench" / "results"


def filled(text: str) -> str:
    """The document with its tables anew."""
    tables = {"speed": _speed(_result("peers")), "found": _found()}
    pattern = re.compile(r"(<!-- peers: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: found[1] + tables[found[2]] + found[3], text)


def _result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}-2026-11-29.json").read_text("utf-8"))


def _speed(peers: Any) -> str:
    rows = ((one["work"], one["peer_mb_s"], one["foxing_mb_s"], one["ratio"]) for one in peers["comparisons"])
    return "".join(
        f"| {work} | {peer:.3g} | {ours:.4g} | {ratio:,.{1 if ratio < 10 else 0}f} |\n"
        for work, peer, ours, ratio in rows
    )


def _found() -> str:
    copies, leakage = _result("duplicates"), _result("leakage")
    sketch, dedup = copies["datasketch"], copies["text-dedup"]
    pairs = sketch["candidate pairs"]
    clusters = dedup["clusters"]
    ours, decon = leakage["searches"]["n=13"]["recall"], leakage["decon"]["recall"]
    lines = [
        "| task | foxing | peer |",
        "| --- | ---: | ---: |",
        f"| candidate pairs of near copies, datasketch {sketch['version']} | {pairs['foxing']:,} | "
        f"{pairs['datasketch']:,}, of them {pairs['both']:,} the same |",
        f"| pairs of rows put together, text-dedup {dedup['version']} | {clusters['pairs of foxing']:,} | "
        f"{clusters['pairs of theirs']:,}, of them {clusters['pairs of both']:,} the same |",
    ]
    for kind in ours:
        share, theirs = ours[kind]["flagged"]["share"], decon[kind]["flagged"]["share"]
        what = f"benchmark items found, {kind}, decon {leakage['decon']['version']}"
        lines.append(f"| {what} | {100 * share:.1f} % | {100 * theirs:.1f} % |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(filled(target.read_text("utf-8")), "utf-8")
