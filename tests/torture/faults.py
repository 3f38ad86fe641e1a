"""Faults of machines and of people, one function each: `python -m tests.torture.faults FOLDER [NAME...]`.

Each runs `foxing` in children with one thing broken, and afterwards once more with nothing broken: what is left then
must be what an undisturbed run leaves. Prints a JSON object: of each fault the exit code and the words of the broken
run, and the files that differ in the end.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from detectors.documents import Documents
from detectors.protocols import Device, Measure
from tests.torture.kills import Job, difference, fork_foxing
from tests.torture.kinds import KINDS, several, tree

__all__ = ["FAULTS", "Found", "needs_mount"]

Before = Callable[[], None]


@dataclass(frozen=True)
class Found:
    """What a fault led to.

    Attributes:
        code: exit code of the broken run; below 0 the signal that ended it.
        said: what it printed.
        differs: files that are not as an undisturbed run leaves them, after one more run.
    """

    code: int
    said: str
    differs: str = ""


def _code(status: int) -> int:
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class _Broken:
    """A job, an output folder for one fault, and what to do with both."""

    def __init__(self, job: Job, name: str, out: Path | None = None) -> None:
        self.job = job
        self.out = out or job.folder / f"out-{name}"
        self.log = job.folder / f"log-{name}"
        job.begin(self.out)

    def start(self, before: Before = lambda: None) -> int:
        return fork_foxing([*self.job.words, "-o", str(self.out)], self.log, before)

    def run(self, before: Before = lambda: None) -> Found:
        self.log.unlink(missing_ok=True)
        code = _code(os.waitpid(self.start(before), 0)[1])
        return Found(code, self.log.read_text(errors="replace"))

    def finished(self, found: Found) -> Found:
        """Run once more, whole, and compare."""
        last = self.run()
        differs = difference(tree(self.out), self.job.expected)
        return Found(found.code, found.said, differs if last.code == 0 else f"ended with {last.code}: {last.said}")


def _limited(kind: int, value: int) -> Before:
    return lambda: resource.setrlimit(kind, (value, value))


def file_size_limit(job: Job) -> Found:
    """No file may grow beyond a few kilobytes."""
    broken = _Broken(job, "fsize")
    return broken.finished(broken.run(_limited(resource.RLIMIT_FSIZE, 6_000)))


def no_descriptors(job: Job) -> Found:
    """Hardly a file may be opened."""
    broken = _Broken(job, "nofile")
    lowest = len(list(Path("/proc/self/fd").iterdir())) + 1
    return broken.finished(broken.run(_limited(resource.RLIMIT_NOFILE, lowest)))


def needs_mount() -> str:
    """Why a small disk cannot be mounted; empty where it can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "mounting a small tmpfs needs root"
    return ""


def _mounted(folder: Path, options: str) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def disk_full(job: Job) -> Found:
    """A disk that fills up; then it is made larger."""
    disk = job.folder / "disk"
    _mounted(disk, "size=64k")
    try:
        broken = _Broken(job, "full", disk / "out")
        found = broken.run()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        return broken.finished(found)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def read_only(job: Job) -> Found:
    """A disk that cannot be written to."""
    disk = job.folder / "read-only"
    _mounted(disk, "size=1m,ro")
    try:
        return _Broken(job, "read-only", disk / "out").run()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _on_first_unit(action: Before) -> Before:
    """Do something when the first unit is read."""

    def before() -> None:
        from audit.measure import MeasureUnit

        measure, done = MeasureUnit._measure, []

        def measured(self: MeasureUnit, unit: object, began: float) -> object:
            if not done:
                done.append(1)
                action()
            return measure(self, unit, began)  # type: ignore[arg-type]

        MeasureUnit._measure = measured  # type: ignore[method-assign,assignment]

    return before


def file_deleted(job: Job) -> Found:
    """A file goes away while it is scanned, and comes back."""
    victim = job.folder / "in" / "3.parquet"
    aside = job.folder / "aside"
    shutil.copy2(victim, aside)
    broken = _Broken(job, "deleted")
    found = broken.run(_on_first_unit(victim.unlink))
    shutil.copy2(aside, victim)
    return broken.finished(found)


def file_changed(job: Job) -> Found:
    """A file is written again while it is scanned, and later what it was."""
    victim = job.folder / "in" / "3.parquet"
    aside = job.folder / "aside"
    shutil.copy2(victim, aside)
    broken = _Broken(job, "changed")
    found = broken.run(_on_first_unit(lambda: shutil.copy(job.folder / "in" / "4.parquet", victim)))
    shutil.copy2(aside, victim)
    return broken.finished(found)


def _damaged(job: Job, name: str, damage: Callable[[bytes], bytes]) -> Found:
    victim = job.folder / "in" / "3.parquet"
    aside = job.folder / "aside"
    shutil.copy2(victim, aside)
    victim.write_bytes(damage(victim.read_bytes()))
    broken = _Broken(job, name)
    found = broken.run()
    shutil.copy2(aside, victim)
    return broken.finished(found)


def parquet_truncated(job: Job) -> Found:
    """A file ends too early."""
    return _damaged(job, "truncated", lambda content: content[: len(content) // 2])


def row_group_torn(job: Job) -> Found:
    """The pages of one row group are garbage, the footer is whole."""
    return _damaged(
        job, "torn", lambda content: content[:200] + bytes(len(content) // 2) + content[200 + len(content) // 2 :]
    )


def parquet_bits_flipped(job: Job) -> Found:
    """A few bits of the footer are others."""

    def flip(content: bytes) -> bytes:
        data, draw = bytearray(content), random.Random(5)
        for _ in range(40):
            data[draw.randrange(len(data) - 600, len(data) - 8)] ^= 1 << draw.randrange(8)
        return bytes(data)

    return _damaged(job, "flipped", flip)


def signal_raises(job: Job) -> Found:
    """A signal raises on one row: that row is unmeasured, all others are measured."""

    def before() -> None:
        import pyarrow.parquet as pq

        from detectors.document import Document

        unlucky = pq.read_table(job.folder / "in" / "2.parquet")["text"][50].as_py().encode()
        load = Document.load

        def loaded(self: Document, device: Device) -> Measure:
            measure = load(self, device)

            def measured(documents: Documents) -> pa.RecordBatch:
                texts = documents.batch.column("text").cast(pa.binary()).to_pylist()
                if unlucky in texts:
                    raise ValueError("no such luck")
                return measure(documents)

            return measured

        Document.load = loaded  # type: ignore[method-assign]

    return _Broken(job, "raises").run(before)


def clock_jumps(job: Job) -> Found:
    """The clock goes back and forth, and inputs are of next year."""

    def before() -> None:
        draw, now, steady = random.Random(1), time.time, time.monotonic
        time.time = lambda: now() + draw.choice([-1e7, 0, 3600, 1e8])
        offset = [0.0]

        def jumping() -> float:
            offset[0] += draw.choice([0, 0, 0, 86_400])
            return steady() + offset[0]

        time.monotonic = jumping

    files = sorted((job.folder / "in").iterdir())
    for file in files:
        os.utime(file, (time.time() + 3e7, time.time() + 3e7))
    broken = _Broken(job, "clock")
    return broken.finished(broken.run(before))


def _signalled(job: Job, name: str, *signals: int) -> Found:
    broken = _Broken(job, name)

    def pause() -> None:
        # The parent sends the signals while this waits.
        (broken.out.parent / f"ready-{name}").touch()
        time.sleep(20)

    pid = broken.start(_on_first_unit(pause))
    while not (broken.out.parent / f"ready-{name}").exists():
        time.sleep(0.005)
    for number in signals:
        os.kill(pid, number)
        time.sleep(0.01)
    code = _code(os.waitpid(pid, 0)[1])
    return broken.finished(Found(code, broken.log.read_text()))


def ctrl_c(job: Job) -> Found:
    """Ctrl-C once."""
    return _signalled(job, "int", signal.SIGINT)


def ctrl_c_twice(job: Job) -> Found:
    """Ctrl-C, and again at once."""
    return _signalled(job, "int-int", signal.SIGINT, signal.SIGINT)


def terminated(job: Job) -> Found:
    """SIGTERM, as schedulers send it."""
    return _signalled(job, "term", signal.SIGTERM)


def two_writers(job: Job) -> Found:
    """A second process wants the folder that a first is writing."""
    broken = _Broken(job, "two")
    ready = job.folder / "ready-two"
    first = broken.start(_on_first_unit(lambda: (ready.touch(), time.sleep(1.0))[0]))
    while not ready.exists():
        time.sleep(0.005)
    other = job.folder / "log-other"
    code = _code(os.waitpid(fork_foxing([*job.words, "-o", str(broken.out)], other), 0)[1])
    os.waitpid(first, 0)
    said = other.read_text().replace(f"process {first} on ", "process FIRST on ")
    return Found(code, said, difference(tree(broken.out), job.expected))


def no_locks(job: Job) -> Found:
    """The disk knows no file locks."""

    def before() -> None:
        import fcntl

        def refused(*_: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        fcntl.flock = refused  # type: ignore[assignment]

    broken = _Broken(job, "no-locks")
    return broken.finished(broken.run(before))


def rename_answers_twice(job: Job) -> Found:
    """Renames are done and then reported as failed, as NFS does when an answer is lost and the request comes again."""
    found = Found(0, "")
    broken = _Broken(job, "rename")
    every = range(1, job.renames + 1)
    for nth in sorted({1, job.renames // 2, job.renames, *every[:: several(job.renames, 3)]}):
        shutil.rmtree(broken.out, ignore_errors=True)
        job.begin(broken.out)

        def before(nth: int = nth) -> None:
            rename, count = os.replace, [0]

            def replace(source: object, target: object) -> None:
                count[0] += 1
                rename(source, target)  # type: ignore[arg-type]
                if count[0] == nth:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))

            os.replace = replace  # type: ignore[assignment]

        found = broken.finished(broken.run(before))
        if found.differs or found.code not in (0, 2):
            return Found(found.code, f"at rename {nth}: {found.said}", found.differs)
    return found


FAULTS: dict[str, Callable[[Job], Found]] = {
    found.__name__: found
    for found in (
        *(file_size_limit, no_descriptors, disk_full, read_only, file_deleted, file_changed, parquet_truncated),
        *(row_group_torn, parquet_bits_flipped, signal_raises, ctrl_c, ctrl_c_twice, terminated, two_writers),
        *(no_locks, rename_answers_twice, clock_jumps),
    )
}
_NEED_MOUNT = ("disk_full", "read_only")


def main() -> int:
    """Try the faults that were named, all by default; 0 unless something here broke."""
    folder, *names = sys.argv[1:]
    kind = KINDS["scan"]
    kind.load()
    job = Job(kind, Path(folder))
    found = {}
    for name in names or FAULTS:
        if name not in _NEED_MOUNT or not needs_mount():
            found[name] = asdict(FAULTS[name](job))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
