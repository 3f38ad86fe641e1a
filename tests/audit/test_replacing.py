from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from audit.replacing import replacing
from detectors.errors import OutputError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(path) as stream:
        stream.write(b"half")
        raise ValueError("stop")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as stream:
        stream.write(b"new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_through_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with replacing(pipe) as stream:
        stream.write(b"through")
    reader.join()
    assert read == [b"through"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "a.json"
    with pytest.raises(OutputError, match=r"absent/a.json: cannot be written \(No such file"), replacing(absent):
        pytest.fail("nothing to write to")
    with pytest.raises(OutputError, match=r"cannot be written \(the disk is odd\)"), replacing(tmp_path / "b"):
        raise OSError("the disk is odd")
