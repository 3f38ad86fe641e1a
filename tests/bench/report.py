"""The figures of a bench as a terminal table and as the Markdown of the README, from the JSON alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
REPOSITORY = Path(__file__).parent.parent.parent
DOCUMENTS = (REPOSITORY / "README.md", REPOSITORY / "docs" / "bench.md")
SCHEMA = "foxing-bench"
PEERS_SCHEMA = "foxing-bench-peers"
VERSION = 1
USD = 0.05
"""Price of a core hour."""

Result = Mapping[str, Any]  # as docs/bench.md describes it


def newest(schema: str, folder: Path = RESULTS) -> Result | None:
    """The newest result of a kind; None where there is none."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    return max((one for one in found if one.get("schema") == schema), key=lambda one: one["date"], default=None)


def save(result: Result, name: str, folder: Path = RESULTS) -> Path:
    """Store a result under its kind and date."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{result['date']}.json"
    path.write_text(json.dumps(rounded(result), indent=1, sort_keys=False) + "\n", "utf-8")
    return path


def rounded(value: Any) -> Any:
    """Numbers to four significant digits, which is more than a shared machine can promise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text in columns, the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The same in Markdown, the first row as its head."""
    head, *rest = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rest))


def stage_rows(result: Result) -> list[list[str]]:
    """Stage, and ns a byte in each corpus."""
    corpora = result["corpora"]
    names = list(dict.fromkeys(stage for one in corpora.values() for stage in one["stages_ns_per_byte"]))
    rows = [["stage, ns a byte", *corpora]]
    rows += [[name, *(_cell(one["stages_ns_per_byte"].get(name)) for one in corpora.values())] for name in names]
    rows.append(["sum", *(f"{sum(one['stages_ns_per_byte'].values()):.2f}" for one in corpora.values())])
    rows.append(["floor: Parquet decode", *(_cell(one["floors_ns_per_byte"]["decode"]) for one in corpora.values())])
    rows.append(["floor: Python regex TTR", *(_cell(one["floors_ns_per_byte"]["regex"]) for one in corpora.values())])
    return rows


def scan_rows(result: Result) -> list[list[str]]:
    """Whole scans of one worker on one core."""
    corpora = result["corpora"]
    scans = [one["scan"] for one in corpora.values()]
    regex = [1e3 / one["floors_ns_per_byte"]["regex"] for one in corpora.values()]
    ratios = [f"{scan['net_mb_s'] / floor:.2f}" for scan, floor in zip(scans, regex, strict=True)]
    return [
        ["whole scan, one core", *corpora],
        ["MB of text a CPU second, net of start-up", *(f"{scan['net_mb_s']:.1f}" for scan in scans)],
        ["the same, gross", *(f"{scan['gross_mb_s']:.1f}" for scan in scans)],
        ["times the Python regex floor", *ratios],
        ["resident memory, MB", *(f"{scan['rss_mb']:.0f}" for scan in scans)],
    ]


def peer_rows(peers: Result) -> list[list[str]]:
    """What peers take for like work."""
    rows = [["like work", "peer, MB/s", "foxing, MB/s", "ratio"]]
    for one in peers["comparisons"]:
        rows.append(
            [one["work"], _cell(one["peer_mb_s"]), f"{one['foxing_mb_s']:.1f}", f"{times(one['ratio'])}x"]
            if one.get("ratio") is not None
            else [one["work"], "-", "-", one.get("missing", "not measured")]
        )
    return rows


def terabyte(net_mb_s: float, usd_per_core_hour: float) -> str:
    """The cost of 10^12 bytes of text at this rate, in a sentence."""
    hours = 1e12 / (net_mb_s * 1e6) / 3600
    return (
        f"1 TB of text: {hours:.1f} core hours at {net_mb_s:.1f} MB/s a core, "
        f"{hours / 16 * 60:.0f} minutes on 16 cores, {hours * usd_per_core_hour:.2f} USD "
        f"at {usd_per_core_hour:.2f} USD a core hour"
    )


def summary(result: Result, peers: Result | None = None, *, usd_per_core_hour: float = USD) -> str:
    """The README's part: rates, peers, the cost of a terabyte; with date, machine, commit and signature."""
    first = next(iter(result["corpora"].values()))
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if name != "foxing")
    parts = [
        f"{result['date']}, one core of {result['cpu']}, commit {result['commit']}, Python {result['python']}, "
        f"{versions}.",
        markdown_table(scan_rows(result)),
    ]
    if peers is not None:
        versions = ", ".join(f"{name} {version}" for name, version in peers["versions"].items())
        parts += [
            markdown_table(peer_rows(peers)),
            f"Peers, {peers['date']}, commit {peers['commit']}, in one run on the same documents: {versions}.",
        ]
    parts += [terabyte(first["scan"]["net_mb_s"], usd_per_core_hour) + ".", f"`{result['signature']}`"]
    return "\n\n".join(parts) + "\n"


def stages(result: Result) -> str:
    """The part of docs/bench.md: where the time goes."""
    return f"{result['date']}, commit {result['commit']}.\n\n{markdown_table(stage_rows(result))}\n"


def filled(document: str, result: Result, peers: Result | None) -> str:
    """A document with its `<!-- bench: summary -->` and `<!-- bench: stages -->` blocks made anew."""
    for name, made in (("summary", summary(result, peers)), ("stages", stages(result))):
        pattern = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        document = pattern.sub(lambda found, made=made: found[1] + made + found[2], document)
    return document


def text(result: Result) -> str:
    """Everything, for a terminal."""
    parts = [table(scan_rows(result)), table(stage_rows(result)), _start_up(result)]
    for name in ("slope", "memory", "workers", "threads", "curate"):
        if result.get(name):
            parts.append(f"{name}\n{_indented(result[name])}")
    first = next(iter(result["corpora"].values()))
    return "\n\n".join([*parts, terabyte(first["scan"]["net_mb_s"], 0.05), *result["notes"]])


def _start_up(result: Result) -> str:
    found = result["start_up"]
    return f"start-up: --help {found['help_cpu_s']:.2f} CPU s, a scan of 20 rows {found['small_scan_cpu_s']:.2f} CPU s"


def _indented(value: Any, depth: int = 1) -> str:
    pad = "  " * depth
    if isinstance(value, Mapping):
        short = ", ".join(f"{key} {_cell(one)}" for key, one in value.items() if not isinstance(one, Mapping | list))
        long = [f"{pad}{key}\n{_indented(one, depth + 1)}" for key, one in value.items() if isinstance(one, list)]
        return "\n".join([*([pad + short] if short else []), *long])
    return "\n".join(_indented(one, depth) for one in value)


def times(ratio: float) -> str:
    """A ratio with a decimal where one more or less would be a tenth."""
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
