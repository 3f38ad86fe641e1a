"""The lock on an output folder: one holder, who is named, and nothing left of a dead one."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.lock import locked
from detectors.errors import OutputError

HOLDER = """
import sys
from pathlib import Path
from audit.lock import locked
with locked(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(folder), name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("name", ["lock", ".lock"])
def test_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path, name: str) -> None:
    with holder(tmp_path / "out", name) as first:
        with (
            pytest.raises(OutputError, match=rf"out: in use by process {first.pid} on \S+\. Wait"),
            locked(tmp_path / "out", name),
        ):
            raise AssertionError("both hold it")
        assert first.stdin is not None
        first.stdin.close()
        assert first.wait(60) == 0
    with locked(tmp_path / "out", name):
        assert (tmp_path / "out" / name).read_text().startswith(f"process {os.getpid()} on ")


def test_lock_of_a_killed_process_holds_nobody_back(tmp_path: Path) -> None:
    with holder(tmp_path / "out", "lock") as first:
        first.kill()
        first.wait(60)
    with locked(tmp_path / "out"):
        pass


def test_lock_that_its_holder_removed_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, path = fcntl.flock, tmp_path / "lock"
    seen: list[int] = []

    def late(handle: object, how: int) -> None:
        if not seen:  # the holder finishes and removes the file just before we lock what we opened
            path.unlink()
        seen.append(how)
        flock(handle, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
        monkeypatch.undo()
        with pytest.raises(OutputError, match="in use"), locked(tmp_path):
            raise AssertionError("both hold it")


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file" / "out"):
        raise AssertionError("held")


def test_a_full_disk_is_named_by_whoever_cannot_say_that_it_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 - its number is all that is needed
    write = os.write
    monkeypatch.setattr(os, "write", lambda _, words: write(full.fileno(), words))
    with full, pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"), locked(tmp_path):
        raise AssertionError("held")
    monkeypatch.undo()
    with locked(tmp_path):
        pass
