"""Kills scans, clustering, curates, probes and trainings until they are done: `python -m tests.torture --runs 1000`.

Each kind of job gets its share of the runs and a process of its own (`tests.torture.kills`). Afterwards every file must
be what an undisturbed run leaves, byte for byte. Results go to tests/bench/results/torture-DATE.json; exit code 1 where
anything differed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.corpora import REPOSITORY
from tests.bench.machine import PACKAGES, machine
from tests.torture.kinds import KINDS

RESULTS = REPOSITORY / "tests" / "bench" / "results"


def shares(runs: int, names: list[str]) -> dict[str, int]:
    """Runs of each kind: in proportion to `Kind.runs`, one at least, `runs` in all."""
    weights = {name: KINDS[name].runs for name in names}
    found = {name: max(1, runs * weight // sum(weights.values())) for name, weight in weights.items()}
    found[names[0]] += max(0, runs - sum(found.values()))
    return found


def run_kind(name: str, folder: Path, runs: int, *, seed: int, seconds: float) -> dict[str, object]:
    """Torture one kind in a process of its own, whose last line says how it went."""
    words = [sys.executable, "-m", "tests.torture.kills", name, str(folder), str(runs), str(seed), str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {"runs": 0, "kills": 0, "difference": f"ended with {done.returncode}: {done.stderr[-2000:]}"}
    found: dict[str, object] = json.loads(lines[-1])
    return found


def main() -> int:
    """Run all kinds that were asked for; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="outputs that are killed, finished and compared")
    parser.add_argument("--seconds", type=float, default=7200.0, help="most of each kind")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--what", default=",".join(KINDS), help="kinds, comma-separated")
    parser.add_argument("--dry", action="store_true", help="store no results")
    options = parser.parse_args()
    names = options.what.split(",")
    kinds: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
        for name, runs in shares(options.runs, names).items():
            began = time.monotonic()
            kinds[name] = run_kind(name, Path(scratch) / name, runs, seed=options.seed, seconds=options.seconds)
            kinds[name]["wall_s"] = round(time.monotonic() - began, 1)
            print(f"{name}: {json.dumps(kinds[name])}", file=sys.stderr, flush=True)
    totals = {key: sum(int(str(kind[key])) for kind in kinds.values()) for key in ("runs", "kills")}
    differences = sum(bool(kind["difference"]) for kind in kinds.values())
    report = {"schema": "foxing-torture", "version": 1, **machine((*PACKAGES, "torch", "transformers"))}
    report |= {"seed": options.seed, **totals, "differences": differences, "kinds": kinds}
    if not options.dry:
        (RESULTS / f"torture-{report['date']}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({**totals, "differences": differences}))
    return int(differences > 0 or totals["runs"] == 0)


if __name__ == "__main__":
    sys.exit(main())
