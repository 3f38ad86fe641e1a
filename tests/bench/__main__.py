"""`make bench`: every stage and the whole scan, with floors measured in the same run. See docs/bench.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit.findings_folder import Findings
from tests.bench import corpora, report
from tests.bench.clock import floors, peak_rss_mb, pin
from tests.bench.machine import machine
from tests.bench.settings import all_signals
from tests.bench.stages import stages, threads
from tests.bench.whole import Scans

_QUICK_ROWS = 4000


def main() -> int:
    """Run what was asked for, print it, store it."""
    asked = _parser().parse_args()
    if asked.render:
        return _render()
    source = corpora.web()
    if source is None:
        print(f"SKIPPED: there is no {corpora.data_folder() / 'bench'}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    cores = os.sched_getaffinity(0)
    core = asked.core if asked.core is not None else max(cores)
    with tempfile.TemporaryDirectory(prefix="foxing-bench-", dir=asked.scratch) as folder:
        pin({core})
        result = bench(Path(folder), source, asked, core, cores)
    print(report.text(report.rounded(result)))
    if not asked.dry:
        print(f"\nstored in {report.save(result, 'bench', Path(asked.out))}")
    return 0


def bench(scratch: Path, source: Path, asked: argparse.Namespace, core: int, cores: set[int]) -> dict[str, Any]:
    """Everything that is measured, as docs/bench.md describes it."""
    config, settings, notes = all_signals(scratch, [name for name in asked.without.split(",") if name])
    if asked.quick:
        notes.append(f"quick: the first {_QUICK_ROWS:,} rows of each corpus only; too little for rates to mean much")
        source = corpora.head(source, _QUICK_ROWS, scratch / "web.parquet")
    scans = Scans(scratch, core, ("--config", str(settings)))
    result: dict[str, Any] = {"schema": report.SCHEMA, "version": report.VERSION, **machine()}
    _say("start-up")
    result["start_up"] = scans.start_up(source)
    result["corpora"] = {}
    paths = {"web": source, "mixed": corpora.mixed(scratch)}
    if asked.quick and paths["mixed"] is not None:
        paths["mixed"] = corpora.head(paths["mixed"], _QUICK_ROWS, scratch / "mixed-quick.parquet")
    for name, path in paths.items():
        if path is None:
            notes.append(f"{name} corpus: nothing in {corpora.data_folder() / 'detection'} to make it of")
            continue
        _say(f"{name}: floors, stages, whole scan")
        floor = floors(path)
        found, size = stages(path, config)
        result["corpora"][name] = {
            "text_bytes": size,
            "floors_ns_per_byte": floor,
            "stages_ns_per_byte": found,
            "scan": scans.rate(path, asked.times, keep=f"findings-{name}"),
        }
    result["signature"] = Findings.open(scratch / "findings-web").signature()
    result["stages_rss_mb"] = peak_rss_mb()
    for name, measure in _parts(scans, source, asked, cores, config, scratch).items():
        _say(name)
        result[name] = measure()
    return {**result, "notes": notes}


def _parts(
    scans: Scans, source: Path, asked: argparse.Namespace, cores: set[int], config: Any, scratch: Path
) -> dict[str, Callable[[], Any]]:
    """The parts beyond rates, by name."""
    chosen = set(list(cores)[: asked.workers])

    def threaded() -> dict[str, float]:
        pin(chosen)
        try:
            return threads(source, config, len(chosen))
        finally:
            pin({scans.core})

    parts: dict[str, Callable[[], Any]] = {
        "slope": lambda: scans.slope(source, [float(one) for one in asked.slope_gb.split(",") if one])
    }
    if len(chosen) > 1:
        parts["workers"] = lambda: scans.workers(source, len(chosen), chosen)
        parts["threads"] = threaded
    if asked.memory:
        sizes = [int(float(one) * 1e9) for one in asked.memory_gb.split(",")]
        parts["memory"] = lambda: scans.memory(source, sizes)
    if not asked.no_curate and (Path(__file__).parent / "curate.py").exists():
        parts["curate"] = lambda: _curate(scratch, source, asked.curate_gb)
    return parts


def _curate(scratch: Path, source: Path, gigabytes: float) -> Any:
    from tests.bench.curate import measure

    folder = scratch / "curate"
    folder.mkdir()
    return measure(folder, source, scratch / "findings-web", text_bytes=int(gigabytes * 1e9))


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _render() -> int:
    result = report.newest(report.SCHEMA)
    if result is None:
        print(f"no result in {report.RESULTS}. Run: make bench", file=sys.stderr)
        return 2
    for path in report.DOCUMENTS:
        path.write_text(report.filled(path.read_text("utf-8"), result, report.newest(report.PEERS_SCHEMA)), "utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small corpora, to see that everything runs")
    parser.add_argument("--times", type=int, default=2, help="runs of each whole scan, the best counts (2)")
    parser.add_argument("--slope-gb", default="0.1,1", help="GB of text of the slope (0.1,1); the full one is 0.1,1,10")
    parser.add_argument("--workers", type=int, default=2, help="processes, and threads, of the scaling runs (2)")
    parser.add_argument("--memory", action="store_true", help="memory as row groups and documents grow")
    parser.add_argument("--memory-gb", default="0.125,0.25,0.5,1", help="row groups of --memory; documents are a tenth")
    parser.add_argument("--without", default="", help="signals to leave out, comma-separated")
    parser.add_argument("--curate-gb", type=float, default=1.0, help="GB of text that curate rewrites (1)")
    parser.add_argument("--no-curate", action="store_true", help="leave curate out")
    parser.add_argument("--core", type=int, help="the core to stay on (the last one allowed)")
    parser.add_argument("--scratch", help="folder for what is made at run time (the system's)")
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    parser.add_argument("--render", action="store_true", help="put the newest results into README.md and docs/bench.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
