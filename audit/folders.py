"""A folder of output, on disk or in a store: whole files go in under their names, and come out as files on disk."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from audit.remote import filesystem, is_below, shown
from audit.remote_folder import RemoteFolder
from detectors.errors import OutputError

__all__ = ["Folder", "LocalFolder", "open_folder", "sync"]

_MAGIC = frozenset("*?[")
_READ_ONLY = ("http", "https", "github", "zip", "tar", "data", "reference")


class Folder(Protocol):
    """Where output goes. Names of files are relative and `/`-separated."""

    @property
    def local(self) -> Path | None:
        """The folder itself where it is on disk."""
        ...

    def at(self, name: str) -> str:
        """The address of a file, for messages."""
        ...

    def holds(self, name: str) -> bool:
        """False for a name that leads out of the folder, or that no file can have. A manifest may be anyone's."""
        ...

    def names(self) -> set[str]:
        """Files and folders in it, not below.

        Raises:
            OutputError: it is a file, or cannot be listed.
        """
        ...

    def sizes(self, below: str = "") -> dict[str, int]:
        """All files of one of its folders and below, by name, with their bytes."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where there is none."""
        ...

    def read(self, name: str) -> bytes:
        """All bytes of a small file, as it is now.

        Raises:
            OSError: not there, or not to be read.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading.

        Raises:
            OSError: not there, or not to be read.
        """
        ...

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """A file as one on disk, for as long as it takes.

        Raises:
            OSError: not there, or not to be read.
        """
        ...

    def put(self, file: Path, name: str) -> None:
        """Move a file from disk into the folder: whole under its name, or not there at all.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file, or a folder and all below it; nothing where it is not there."""
        ...


def open_folder(out: Path | str) -> Folder:
    """The folder that a path or URL names; nothing is made yet.

    Raises:
        InputError: a URL with credentials in it, or of a scheme that fsspec does not know.
        MissingExtraError: the client of its scheme is not installed.
        OutputError: a URL that nothing can be written to.
    """
    found = re.fullmatch(r"(\w[\w+.-]+):(?:/+(.*))?", str(out), re.DOTALL)
    if found is None or found[1] == "file":
        return LocalFolder(Path(str(out).removeprefix("file://")))
    rest = (found[2] or "").rstrip("/")
    url = f"{found[1]}://{rest}"  # a Path has lost a slash
    if found[1] in _READ_ONLY or _MAGIC & set(rest) or not rest:
        raise OutputError(
            f"{shown(url)}: cannot be written to. Name a folder on disk or in a store: s3://BUCKET/FOLDER."
        )
    filesystem(url)
    return RemoteFolder(url)


@dataclass(frozen=True)
class LocalFolder:
    """A folder on disk."""

    path: Path

    @property
    def local(self) -> Path | None:
        """The folder itself."""
        return self.path

    def __str__(self) -> str:
        return str(self.path)

    def at(self, name: str) -> str:
        """The path of a file."""
        return str(self.path / name)

    def holds(self, name: str) -> bool:
        """Links are followed: what one leads to must be inside too."""
        if not is_below(name):
            return False
        file = self.path / name
        try:
            file.is_file()
        except OSError:  # a name that no file can have
            return False
        return file.resolve().is_relative_to(self.path.resolve())

    def names(self) -> set[str]:
        """Files and folders in it."""
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path}: is a file. Name a folder with -o.")
        return {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()

    def sizes(self, below: str = "") -> dict[str, int]:
        """All files; what is neither file nor folder counts as an empty one."""
        found = (file for file in (self.path / below).rglob("*") if not file.is_dir())
        return {file.relative_to(self.path).as_posix(): file.stat().st_size if file.exists() else 0 for file in found}

    def size(self, name: str) -> int | None:
        """Bytes of a file."""
        file = self.path / name
        return file.stat().st_size if file.is_file() else None

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return (self.path / name).read_bytes()

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading."""
        return (self.path / name).open("rb")

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """The file where it is."""
        yield self.path / name

    def put(self, file: Path, name: str) -> None:
        """Rename the file, once it is on the disk."""
        target = self.path / name
        if target != file:
            target.parent.mkdir(parents=True, exist_ok=True)
            sync(file)
            file.replace(target)

    def remove(self, name: str) -> None:
        """Remove a file or a folder; of a link, the link."""
        path = self.path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """See to it that a file is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
