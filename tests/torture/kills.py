"""Kills one kind of job at random points until it is done, again and again, and compares what is left with a calm run.

    python -m tests.torture.kills KIND FOLDER RUNS SEED SECONDS

A run starts with an empty output. Its first one to three attempts are ended by SIGKILL: at a moment drawn from the
whole length of a calm run, or just before or after a rename drawn from all of them. The last attempt is left alone;
then every file must hold the bytes that the calm run left. Attempts are real processes that run the command line,
forked from one that has imported what the job needs and started no thread: so they cost no imports, and a thousand
runs are affordable. Prints one JSON line; exit code 1 at the first difference, with the folder left for a look.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.torture.kinds import KINDS, Kind, tree

__all__ = ["Job", "Tally", "difference", "fork_foxing", "run_whole", "torture"]

_AT_RENAME = 0.4
_MOST_KILLS = 3
_POLL_S = 0.001


@dataclass
class Tally:
    """What was done.

    Attributes:
        runs: outputs that were compared, each after one kill or more.
        kills: attempts that died by SIGKILL.
        at_rename: of these, just before or after a rename.
        early: attempts that were done before their moment came.
        calm_s: seconds of a calm run.
        difference: what differed, and where; empty where nothing did.
    """

    runs: int = 0
    kills: int = 0
    at_rename: int = 0
    early: int = 0
    calm_s: float = 0.0
    difference: str = ""


def fork_foxing(words: list[str], log: Path, before: Callable[[], None] = lambda: None) -> int:
    """Start `foxing WORDS` in a child; its process id. What it prints goes to the end of `log`."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(target, 1)
        os.dup2(target, 2)
        sys.argv = ["foxing", *words, "--isolated"]
        before()
        from curricula.cli import main

        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        os._exit(code)


def run_whole(words: list[str], out: Path) -> None:
    """Run a command to its end in a child; AssertionError, with what it printed, where it fails."""
    log = out.with_name(f"{out.name}.log")
    log.unlink(missing_ok=True)
    status = os.waitpid(fork_foxing([*words, "-o", str(out)], log), 0)[1]
    assert status == 0, f"{words[0]} ended with {status}: {log.read_text()}"


def _at_renames(action: Callable[[int, Callable[[], None]], None]) -> None:
    """Call `action(n, rename)` in place of the nth rename of this process."""
    count = 0
    for name in ("replace", "rename"):
        real = getattr(os, name)

        def wrapped(*args: object, real: Callable[..., None] = real, **kwargs: object) -> None:
            nonlocal count
            count += 1
            action(count, lambda: real(*args, **kwargs))

        setattr(os, name, wrapped)


def _die_at(nth: int, *, after: bool) -> Callable[[], None]:
    def action(n: int, rename: Callable[[], None]) -> None:
        if n == nth and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        rename()
        if n == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: _at_renames(action)


def _counting(file: Path) -> Callable[[], None]:
    def action(n: int, rename: Callable[[], None]) -> None:
        rename()
        file.write_text(str(n))

    return lambda: _at_renames(action)


class Job:
    """One kind of job in a folder: what it makes undisturbed, and how long that takes."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.words = kind.make(folder)
        calm, count = folder / "calm", folder / "renames"
        self.begin(calm)
        status = os.waitpid(self.attempt(calm, _counting(count)), 0)[1]
        assert status == 0, f"{self.words[0]} ended with {status}: {self.log.read_text()}"
        self.renames = int(count.read_text()) if count.exists() else 0
        self.expected = tree(calm)
        shutil.rmtree(calm)
        self.begin(calm)
        began = time.monotonic()
        assert os.waitpid(self.attempt(calm), 0)[1] == 0
        self.calm_s = time.monotonic() - began
        assert tree(calm) == self.expected, f"two calm runs differ: {difference(tree(calm), self.expected)}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def begin(self, out: Path) -> None:
        self.kind.begin(self.folder, out)

    def attempt(self, out: Path, before: Callable[[], None] = lambda: None) -> int:
        return fork_foxing([*self.words, "-o", str(out)], self.log, before)

    def kill(self, out: Path, rng: random.Random) -> tuple[bool, bool]:
        """One attempt with a kill to come; whether it died, and whether that was to be at a rename."""
        at_rename = self.renames > 0 and rng.random() < _AT_RENAME
        if at_rename:
            nth = rng.randint(1, self.renames)
            status = os.waitpid(self.attempt(out, _die_at(nth, after=rng.random() < 0.5)), 0)[1]
        else:
            status = _killed_after(self.attempt(out), rng.uniform(0.0, 1.02) * self.calm_s)
        assert status in (0, signal.SIGKILL), f"{self.words[0]} ended with {status}: {self.log.read_text()[-3000:]}"
        return status == signal.SIGKILL, at_rename


def _killed_after(pid: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(_POLL_S)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def difference(found: dict[str, str], expected: dict[str, str]) -> str:
    return ", ".join(sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))[:5])


def torture(kind: Kind, folder: Path, runs: int, *, seed: int, seconds: float) -> Tally:
    """Do it; stops at the first difference, or after `seconds`."""
    kind.load()
    job, rng, tally = Job(kind, folder), random.Random(seed), Tally()
    tally.calm_s = round(job.calm_s, 3)
    began = time.monotonic()
    out = folder / "killed"
    while tally.runs < runs and time.monotonic() - began < seconds:
        shutil.rmtree(out, ignore_errors=True)
        job.log.unlink(missing_ok=True)
        job.begin(out)
        kills, wanted = 0, rng.randint(1, _MOST_KILLS)
        try:
            while kills < wanted:
                died, at_rename = job.kill(out, rng)
                kills, tally.at_rename = kills + died, tally.at_rename + (died and at_rename)
                if not died:
                    tally.early += 1
                    break
            if kills:
                status = os.waitpid(job.attempt(out), 0)[1]
                assert status == 0, f"the last attempt ended with {status}: {job.log.read_text()[-3000:]}"
        except AssertionError as error:
            tally.difference = f"run {tally.runs}: {error}"
            return tally
        tally.kills += kills
        tally.runs += kills > 0
        if differs := difference(tree(out), job.expected):
            tally.difference = f"run {tally.runs}: {differs} in {out}"
            return tally
    return tally


def main() -> int:
    """Torture one kind; the exit code."""
    name, folder, runs, seed, seconds = sys.argv[1:]
    tally = torture(KINDS[name], Path(folder), int(runs), seed=int(seed), seconds=float(seconds))
    sys.stdout.write(json.dumps(asdict(tally)) + "\n")
    return int(bool(tally.difference))


if __name__ == "__main__":
    sys.exit(main())
