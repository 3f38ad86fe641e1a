"""Feeds mutated inputs to everything that reads files of other people: `python -m tests.fuzz --inputs 1000000`.

Inputs are read in forked children, some thousand each, that may not have more than 4 GB of memory: one that dies or
does not come back within a time limit is named by the input that it was at. An input must be read, or refused with a
`FoxingError`, which the command line prints on one line and exits with 2. Anything else is a fault: its input is kept
in `--keep` to be looked at, and once mended belongs to tests/fuzz/crashes. Results go to
tests/bench/results/fuzz-DATE.json.
"""

from __future__ import annotations

import argparse
import json
import mmap
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target, seeds_of

__all__ = ["Tally", "fuzz", "survives"]

_LIMIT_S = 20.0
_LIMIT_BYTES = 4 << 30
_GROWTH_BYTES = 1 << 30
_BATCH = 10_000
_MOST_FAULTS = 20
_STATE = struct.Struct("<QQQQQ")


@dataclass
class Tally:
    """What became of the inputs of one target.

    Attributes:
        inputs: that were read.
        refused: of these, with a FoxingError.
        faults: one line each: what happened and the file that the input is kept in.
        slowest_ms: longest time of one input.
        memory_mb: most that the peak of a process grew while it read a batch.
    """

    inputs: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    memory_mb: int = 0
    wall_s: float = 0.0


def survives(target: Target, data: bytes, folder: Path) -> bool:
    """Read one input in this process: True where it was good, False where it was refused; other exceptions pass."""
    from detectors.errors import FoxingError

    try:
        target.run(data, folder)
    except FoxingError as error:
        assert str(error).strip(), "an error without a message"
        return False
    return True


def fuzz(name: str, inputs: int, *, seed: int, keep: Path) -> Tally:
    """Fuzz one target."""
    target, tally = TARGETS[name], Tally()
    began = time.monotonic()
    # Made in a process of its own: what has run Polars has threads, and must not be forked.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seeds = pool.submit(seeds_of, name).result()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_disk()) as scratch:
        folder = Path(scratch)
        first = 0
        while first < inputs and len(tally.faults) < _MOST_FAULTS:
            last = min(inputs, first + _BATCH)
            make = _maker(target, seeds, name, seed)
            first = _batch(name, make, (first, last), folder, tally, keep, seeds)
    tally.wall_s = round(time.monotonic() - began, 1)
    return tally


def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _maker(target: Target, seeds: list[bytes], name: str, seed: int) -> Callable[[int], bytes]:
    start = zlib.crc32(name.encode()) ^ seed
    return lambda at: mutated(seeds, random.Random((start << 32) + at), target.tokens)


def _batch(
    name: str,
    make: Callable[[int], bytes],
    span: tuple[int, int],
    folder: Path,
    tally: Tally,
    keep: Path,
    seeds: list[bytes],
) -> int:
    """Read a run of inputs in a child; where the next run begins."""
    first, last = span
    state = mmap.mmap(-1, _STATE.size)
    state[:] = _STATE.pack(first, 0, 0, 0, 0)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _child(name, make, span, folder, state, keep, seeds)
    ended = _watched(pid, state)
    at, refused, slowest_us, memory, stopped = _STATE.unpack(state[:])
    tally.refused += refused
    tally.slowest_ms = max(tally.slowest_ms, round(slowest_us / 1000, 1))
    tally.memory_mb = max(tally.memory_mb, memory >> 20)
    tally.inputs += at - first + bool(stopped or ended)
    if stopped or ended:
        what = (keep / f"{name}-{at}.txt").read_text().strip().splitlines()[-1] if stopped else ended
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{name}-{at}.bin").write_bytes(make(at))
        tally.faults.append(f"{name}-{at}.bin: {what}")
        return at + 1
    return last


def _watched(pid: int, state: mmap.mmap) -> str:
    """Wait for a child; what ended it early, empty where it came back."""
    at, since = -1, time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return (
                "" if status == 0 else f"killed by signal {status}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"
            )
        now = _STATE.unpack(state[:])[0]
        if now != at:
            at, since = now, time.monotonic()
        elif time.monotonic() - since > _LIMIT_S:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"took more than {_LIMIT_S:.0f} s"
        time.sleep(0.02)


def _child(
    name: str,
    make: Callable[[int], bytes],
    span: tuple[int, int],
    folder: Path,
    state: mmap.mmap,
    keep: Path,
    seeds: list[bytes],
) -> None:
    code = 1
    at, refused, slowest, grown, stopped = span[0], 0, 0, 0, 0
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_DATA, (_LIMIT_BYTES, _LIMIT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            for valid in seeds:
                TARGETS[name].run(valid, folder)  # imports and kernels, before anything is measured
        except BaseException:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name}-seed.txt").write_text(traceback.format_exc())
            raise
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for at in range(*span):
            state[:] = _STATE.pack(at, refused, slowest, grown, 0)
            began = time.perf_counter()
            try:
                refused += not survives(TARGETS[name], make(at), folder)
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
                if grown > _GROWTH_BYTES:
                    raise MemoryError(f"the process grew by {grown >> 20} MB")
            except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{at}.txt").write_text(traceback.format_exc())
                stopped = 1
                break
            slowest = max(slowest, int(1e6 * (time.perf_counter() - began)))
        code = 0
    finally:
        state[:] = _STATE.pack(at if stopped else span[1], refused, slowest, grown, stopped)
        os._exit(code)


def main() -> int:
    """Fuzz what was asked for; the exit code."""
    from tests.bench.corpora import REPOSITORY
    from tests.bench.machine import machine

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all, over the targets by their shares")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--what", default=",".join(TARGETS), help="targets, comma-separated")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "foxing-fuzz")
    parser.add_argument("--dry", action="store_true", help="store no results")
    options = parser.parse_args()
    shutil.rmtree(options.keep, ignore_errors=True)
    names = options.what.split(",")
    weights = {name: TARGETS[name].share for name in names}
    found: dict[str, dict[str, object]] = {}
    for name, weight in weights.items():
        inputs = -(-options.inputs * weight // sum(weights.values()))
        found[name] = asdict(fuzz(name, inputs, seed=options.seed, keep=options.keep))
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    inputs = sum(int(str(each["inputs"])) for each in found.values())
    faults = sum(len(each["faults"]) for each in found.values())  # type: ignore[arg-type]
    report = {"schema": "foxing-fuzz", "version": 1, **machine(), "seed": options.seed}
    report |= {"inputs": inputs, "faults": faults, "limit_s": _LIMIT_S, "targets": found}
    if not options.dry:
        file = REPOSITORY / "tests" / "bench" / "results" / f"fuzz-{report['date']}.json"
        file.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({"inputs": inputs, "faults": faults, "kept": str(options.keep) if faults else None}))
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
