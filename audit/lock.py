"""One writer at a time: a lock file in an output folder that names who holds it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from detectors.errors import OutputError

__all__ = ["locked"]


@contextmanager
def locked(folder: Path, name: str = "lock", *, shared: bool = False) -> Iterator[None]:
    """Hold a folder, made when absent. The lock dies with its process, however that ends.

    The file stays behind; its holder may remove it, as the last thing done in the folder.

    Args:
        folder: to hold.
        name: of the lock file in it.
        shared: hold it together with others who share it, against one who would have it alone.

    Raises:
        OutputError: another process holds it, named in the message; or the folder cannot be written.
    """
    with _held(folder, name, shared) as handle:
        try:
            os.ftruncate(handle.fileno(), 0)
            os.write(handle.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield


def _held(folder: Path, name: str, shared: bool) -> TextIO:
    import fcntl

    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = (folder / name).open("a+", encoding="utf-8")
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with handle:
                handle.seek(0)
                owner = handle.read(200).strip() or "another process"
            raise OutputError(f"{folder}: in use by {owner}. Wait for it or stop it.") from error
        except OSError as error:
            handle.close()
            raise OutputError(
                f"{folder}: cannot be locked ({error.strerror}), so two runs could write there at once. "
                "Choose a folder on a disk that has file locks."
            ) from error
        if _is_there(handle, folder / name):
            return handle
        handle.close()


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{folder}: cannot be written ({error.strerror}). Choose another -o, or mend its rights or space."
    )


def _is_there(handle: TextIO, path: Path) -> bool:
    """False when the last holder removed the file between our opening and our locking it: then it locks nothing."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
