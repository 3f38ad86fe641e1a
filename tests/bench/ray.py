"""What Ray costs: the same scan in one process, in several, and by actors of a Ray cluster. See docs/bench.md."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.config import Config, ScanConfig
from audit.execute import Executor, Process, Serial
from audit.scan_run import Progress, scan
from audit.signals import build_signals
from audit.warm import warm
from detectors.protocols import Device
from detectors.sketches import Sketches
from tests.bench import corpora, report
from tests.bench.machine import PACKAGES, machine

SCHEMA = "foxing-bench-ray"
WAYS: Mapping[str, tuple[str, int]] = {
    "serial": ("local", 1),
    "ray_one": ("ray", 1),
    "processes": ("local", 2),
    "ray": ("ray", 2),
}
"""Way to executor and workers."""
_ITEMS = 3000


def main() -> int:
    """Run what was asked for, print it, store it."""
    asked = _parser().parse_args()
    if asked.run:
        print(json.dumps(_scan(asked.run, asked.source, Path(asked.out))))
        return 0
    source = corpora.web()
    if source is None:
        print(f"SKIPPED: there is no {corpora.data_folder() / 'bench'}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="foxing-bench-", dir=asked.scratch) as folder:
        result = bench(source, asked.files, asked.rounds, Path(folder), asked.ways.split(","))
    print(report.table(rows(result)))
    if not asked.dry:
        print(f"\nstored in {report.save(result, 'ray', Path(asked.out))}")
    return 0


def bench(source: Path, files: int, rounds: int, folder: Path, ways: Sequence[str]) -> dict[str, Any]:
    """Some ways in turn, `rounds` times over: a shared machine drifts, so each round is a comparison of its own."""
    corpus = corpora.repeated(source, files, folder / "corpus")
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way in ways:
            print(f"round {number} of {rounds}: {way} ...", file=sys.stderr, flush=True)
            ran = _separate(way, corpus, folder / f"{way}-{number}")
            if number:  # the first round compiles kernels and fills the disk cache
                found[way].append(ran)
    return {
        "schema": SCHEMA,
        "version": 1,
        **machine((*PACKAGES, "ray")),
        "rounds": rounds,
        "text_bytes": round(found["serial"][0]["text_bytes"]),
        "units": round(found["serial"][0]["units"]),
        "ways": {
            way: {"workers": WAYS[way][1], **{name: statistics.median(run[name] for run in runs) for name in _NAMES}}
            for way, runs in found.items()
        },
        "task_cpu_ratio": {way: _ratio(found, way, "task_cpu_s") for way in ways if way != "serial"},
        "all_cpu_ratio": {way: _ratio(found, way, "all_cpu_s") for way in ways if way != "serial"},
        "wall_efficiency": {
            way: statistics.median(
                one["measure_wall_s"] / run["measure_wall_s"] / WAYS[way][1]
                for one, run in zip(found["serial"], found[way], strict=True)
            )
            for way in ways
            if way != "serial"
        },
        "driver": _driver(),
    }


_NAMES = ("task_cpu_s", "all_cpu_s", "wall_s", "measure_wall_s")


def _ratio(found: Mapping[str, list[dict[str, float]]], way: str, name: str) -> float:
    return statistics.median(run[name] / one[name] for one, run in zip(found["serial"], found[way], strict=True))


def _separate(way: str, corpus: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.ray", "--run", way, "--source", str(corpus), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=corpora.REPOSITORY, check=False)
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-800:]}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _scan(way: str, source: str, out: Path) -> dict[str, float]:
    """One scan in this process, and what all its processes used by the time that the last unit was measured."""
    executor, workers = WAYS[way]
    marks: dict[str, float] = {}

    def mark(progress: Progress) -> None:
        if progress.phase == "measure":
            marks.setdefault("first", time.monotonic())
            marks["last"], marks["cpu"] = time.monotonic(), _tree_cpu_s()

    config = Config(scan=ScanConfig(executor=executor, workers=workers))
    if way == "serial":  # as others do before their first unit
        warm(build_signals(config), Device.AUTO, Sketches())
    result = scan([source], out, config, on_progress=mark)
    units = sum(len(shard.parts) for shard in result.findings.shards)
    return {
        "units": units,
        "text_bytes": result.text_bytes,
        "task_cpu_s": result.cpu_s,
        "all_cpu_s": marks["cpu"],
        "wall_s": result.wall_s,
        # From the first outcome on, so without the start of workers; as many units are left as outcomes follow.
        "measure_wall_s": (marks["last"] - marks["first"]) / (units - workers) * units,
    }


def _tree_cpu_s() -> float:
    """CPU seconds of this process and all below it that live, with those that they waited for."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / ticks
    below, total = {os.getpid()}, 0.0
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in parents.items() if parent in below} - below
        below |= more
        grown = bool(more)
    for pid in below:
        total += parents.get(pid, (0, 0.0))[1]
    return total


def _nothing(item: int) -> int:
    return item


def _driver() -> dict[str, float]:
    """What giving out an item and taking its outcome costs the driver: items that do nothing."""
    from audit.execute_ray import Ray

    executor = _warm(Ray(workers=2))
    used, began = time.process_time(), time.monotonic()
    for _ in executor.map(_nothing, range(_ITEMS)):
        pass
    return {
        "cpu_ms_per_item": (time.process_time() - used) / _ITEMS * 1e3,
        "items_per_s": _ITEMS / (time.monotonic() - began),
    }


def _warm(executor: Executor) -> Executor:
    assert not isinstance(executor, Serial | Process)
    for _ in executor.map(_nothing, range(4)):
        pass
    return executor


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The figures as a table."""
    head = ["", "workers", "CPU s in tasks", "CPU s in all", "wall s", "tasks / serial", "wall efficiency"]
    lines = [head]
    for way, found in result["ways"].items():
        ratio, wall = result["task_cpu_ratio"].get(way), result["wall_efficiency"].get(way)
        lines.append(
            [
                way,
                str(found["workers"]),
                *(f"{found[name]:.1f}" for name in ("task_cpu_s", "all_cpu_s", "measure_wall_s")),
                *("" if value is None else f"{value:.3f}" for value in (ratio, wall)),
            ]
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ray", description=__doc__)
    parser.add_argument("--files", type=int, default=4, help="how often the web corpus is there (4)")
    parser.add_argument("--rounds", type=int, default=3, help="comparisons; one more runs before them (3)")
    parser.add_argument("--ways", default=",".join(WAYS), help="which, serial among them (all)")
    parser.add_argument("--scratch", help="folder for what is made at run time (the system's)")
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    parser.add_argument("--run", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--source", default="", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
