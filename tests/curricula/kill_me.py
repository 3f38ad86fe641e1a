"""Curates in forked children and kills them: python -m tests.curricula.kill_me AUDIT CALM KILLED KILLS SEED.

First at random moments, until KILLS of them died, then at chosen renames, those of the manifest among them. Prints both
numbers. A run costs few imports: children are forked from a process that has all but Polars, which starts threads.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import audit.calibrate
from audit.findings_folder import Findings
from curricula.budgets import Budget
from curricula.curate import Request, curate
from curricula.sections import Shape
from tests.curricula.fake_findings import RULES, Tables
from tests.curricula.test_emit import SMALL


def child(directory: Path, out: Path, before: Callable[[], None] = lambda: None) -> int:
    """Start a curate; the process id."""
    pid = os.fork()
    if pid == 0:
        before()
        layout = dataclasses.replace(SMALL, file_rows=40)
        request = Request(
            drop=("FX101",), allow_loss=1.0, layout=layout, budget=Budget(rows=400), shape=Shape(0.3, 3, 16)
        )
        curate(Findings.open(directory), RULES, out, request)
        os._exit(0)
    return pid


def die_at_rename(nth: int, *, after: bool) -> None:
    """Kill this process at its nth rename, with the new name in place or not yet."""
    rename, left = Path.replace, nth

    def replace(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = rename(self, target)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    Path.replace = replace  # type: ignore[method-assign,assignment]


def kill_at_random(directory: Path, out: Path, kills: int, took_s: float, rng: random.Random) -> int:
    """Kill runs into one folder until `kills` died; a finished output is cleared."""
    done = 0
    while done < kills:
        pid = child(directory, out)
        time.sleep(rng.uniform(0.02, 1.0) * took_s)
        os.kill(pid, signal.SIGKILL)
        if os.waitpid(pid, 0)[1] == signal.SIGKILL:
            done += 1
        else:
            shutil.rmtree(out)
    assert os.waitpid(child(directory, out), 0)[1] == 0
    return done


def kill_at_renames(directory: Path, out: Path, renames: int, rng: random.Random) -> int:
    """Kill runs at the last renames, the manifest's the very last, and at a few before; then finish."""
    chosen = [renames, renames - 1, *rng.sample(range(1, renames - 1), 2)]
    done = 0
    for nth in chosen:
        for after in (False, True):
            shutil.rmtree(out, ignore_errors=True)
            pid = child(directory, out, lambda nth=nth, after=after: die_at_rename(nth, after=after))  # type: ignore[misc]
            assert os.waitpid(pid, 0)[1] == signal.SIGKILL
            assert (out / "manifest.json").exists() == (nth == renames and after)
            done += 1
            assert os.waitpid(child(directory, out), 0)[1] == 0
    return done


def count_renames(directory: Path, out: Path) -> int:
    """Renames of an undisturbed run."""
    file = out.with_name("renames")

    def count() -> None:
        rename = Path.replace

        def replace(self: Path, target: Path) -> Path:
            with file.open("a") as handle:
                handle.write(".")
            return rename(self, target)

        Path.replace = replace  # type: ignore[method-assign,assignment]

    assert os.waitpid(child(directory, out, count), 0)[1] == 0
    return file.stat().st_size


def main(directory: Path, calm: Path, killed: Path, kills: int, seed: int) -> None:
    """Do all of it."""
    audit.calibrate.reference = Tables  # type: ignore[assignment]
    rng, renames = random.Random(seed), count_renames(directory, calm)
    began = time.monotonic()
    shutil.rmtree(calm)
    assert os.waitpid(child(directory, calm), 0)[1] == 0
    took_s = time.monotonic() - began
    print(
        kill_at_random(directory, killed, kills, took_s, rng),
        kill_at_renames(directory, killed.with_name(f"{killed.name}-renames"), renames, rng),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
