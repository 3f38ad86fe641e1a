"""Writes a file so that its name never stands for half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from detectors.errors import OutputError

__all__ = ["explained", "replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose bytes appear under `path` when the block ends well, and not at all otherwise.

    A link is followed. A device or a pipe cannot be replaced and is written straight through.

    Raises:
        OutputError: the file cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with explained(path), target.open("wb") as stream:
            yield stream
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with explained(path):
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What goes wrong with a disk in the block is an error of writing there.

    Raises:
        OutputError: in place of an OSError, with its reason.
    """
    try:
        yield
    except OSError as error:
        # Arrow and Polars raise OSError without a code; their words hold the reason.
        reason = error.strerror or " ".join(str(error).split()) or "unknown reason"
        raise OutputError(f"{path}: cannot be written ({reason}). Check its rights and the free space.") from error
