"""Local paths and fsspec URLs behind one small set of calls."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from audit.remote import explained, filesystem, is_remote
from detectors.errors import InputError

__all__ = ["Entry", "digest", "expand", "is_remote", "open_binary", "stat"]

_CHUNK_BYTES = 1 << 20
_MAGIC = frozenset("*?[")
_WEB = ("http://", "https://")
# What the stores that fsspec knows call a tag or a time: S3, HTTP, GCS, Azure, SFTP, memory.
_STAMPS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Entry:
    """One file: where it is, the root it was found under, its size, and whether it is a link to what is not there."""

    uri: str
    root: str
    size_bytes: int
    is_gone: bool = False

    @property
    def relative(self) -> str:
        """Path below the root that was named, `/`-separated; the bare name when the file itself was named."""
        return self.uri[len(self.root) :].lstrip("/") or self.uri.rsplit("/", 1)[-1]


def _local(path: str) -> str:
    return path.removeprefix("file://")


def expand(path: str) -> list[Entry]:
    """Files named by a path, directory (recursively) or glob, sorted by path.

    Names that start with `.` or `_` below the named root are passed over, as Spark and Hive do. Links to folders are
    followed, each folder once; of links to one file, and that file, one is taken: the file where it is among them.

    Raises:
        InputError: nothing there.
    """
    entries = _expand_remote(path) if is_remote(path) else _expand_local(_local(path))
    if not entries and (is_remote(path) or not Path(_local(path)).is_dir()):
        raise InputError(f"{path}: no such file or directory. Check the spelling, or quote the pattern.")
    return sorted(entries, key=lambda entry: entry.uri)


def _expand_local(path: str) -> list[Entry]:
    if Path(path).exists():
        return _walk_local(path)
    if not _MAGIC & set(path):
        return []
    fixed = os.path.abspath(_before_magic(path))
    return _once(
        replace(entry, root=fixed)
        for name in sorted(glob.glob(path, recursive=True))
        if not _hidden(os.path.relpath(os.path.abspath(name), fixed))
        for entry in _walk_local(name)
    )


def _walk_local(path: str) -> list[Entry]:
    full = os.path.abspath(path)
    if not os.path.isdir(full):
        return _entries(full, os.path.dirname(full))
    found = []
    visited: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(full, onerror=_refuse_unlisted, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:  # a link to a folder that was walked, perhaps its own parent
            folders[:] = []
            continue
        visited.add((status.st_dev, status.st_ino))
        # Links last: a folder that is both here and linked to is walked under its own name.
        folders[:] = sorted((name for name in folders if not _hidden(name)), key=lambda name: _link_order(folder, name))
        for name in files:
            if not _hidden(name):
                found += _entries(os.path.join(folder, name), full)
    return _once(found)


def _refuse_unlisted(error: OSError) -> None:
    """A folder that cannot be listed would otherwise be passed over, and its files be missing from the corpus."""
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror}). Check its rights.") from error


def _entries(uri: str, root: str) -> list[Entry]:
    """The file, or none: sockets and pipes are passed over."""
    if os.path.isfile(uri):
        return [Entry(uri, root, os.path.getsize(uri))]
    return [Entry(uri, root, 0, is_gone=True)] if os.path.islink(uri) and not os.path.exists(uri) else []


def _once(entries: Iterable[Entry]) -> list[Entry]:
    """Each file once, however many links lead to it."""
    kept: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: (os.path.islink(entry.uri), entry.uri)):
        kept.setdefault(entry.uri if entry.is_gone else os.path.realpath(entry.uri), entry)
    return list(kept.values())


def _link_order(folder: str, name: str) -> tuple[bool, str]:
    return os.path.islink(os.path.join(folder, name)), name


def _expand_remote(path: str) -> list[Entry]:
    """What is listed stays known to the file system, so that asking for the size of each file costs no request."""
    store = filesystem(path)
    bare = store._strip_protocol(path)
    # In the address of a page `?` begins a query.
    magic = _MAGIC & set(bare.partition("?")[0] if path.startswith(_WEB) else bare)
    fixed = _before_magic(bare) if magic else bare
    try:
        with explained(path):
            found = _found(store, path, bare, magic=bool(magic))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(
            f"{path}: cannot be listed ({error.strerror or error}). Check the address, your rights and the connection."
        ) from error
    return [
        Entry(store.unstrip_protocol(name), _remote_root(store, fixed, name), int(info.get("size") or 0))
        for name, info in found.items()
        if info.get("type") == "file" and not name.endswith("/") and not _hidden(os.path.relpath(name, fixed))
    ]


def _found(store: Any, path: str, bare: str, *, magic: bool) -> dict[str, dict[str, Any]]:
    """Name to facts. A page of the web is a file unless it is named as a folder, with a slash at its end."""
    if not magic and path.startswith(_WEB) and not path.endswith("/"):
        return {bare: store.info(bare)}
    found: dict[str, dict[str, Any]] = store.glob(path, detail=True) if magic else store.find(path, detail=True)
    if path.startswith(_WEB):  # a page that lists files does not tell their sizes
        found = {name: store.info(name) if info.get("type") == "file" else info for name, info in found.items()}
    return found


def _remote_root(store: Any, fixed: str, name: str) -> str:
    return str(store.unstrip_protocol(fixed if name != fixed else fixed.rsplit("/", 1)[0]))


def _before_magic(path: str) -> str:
    kept = []
    for piece in path.split("/"):
        if _MAGIC & set(piece):
            break
        kept.append(piece)
    return "/".join(kept) or ("/" if path.startswith("/") else ".")


def _hidden(relative: str) -> bool:
    return any(piece[:1] in ("_", ".") and piece not in (".", "..") for piece in relative.split("/"))


@contextmanager
def open_binary(uri: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, local or remote.

    Raises:
        InputError: the file is not there or may not be read.
    """
    try:
        with explained(uri):
            handle = filesystem(uri).open(uri, "rb") if is_remote(uri) else open(_local(uri), "rb")
    except OSError as error:
        raise InputError(
            f"{uri}: cannot be read ({error.strerror or error}). Check that it exists and its rights."
        ) from error
    with handle, explained(uri):
        yield handle


def stat(uri: str) -> tuple[int, int] | None:
    """What changes when a file does: its size in bytes, and its modification time in ns or a hash of its tag.

    None where the store tells neither a tag nor a time, so that no change could be seen.

    Raises:
        OSError: the file is not there.
    """
    if is_remote(uri):
        with explained(uri):
            info = filesystem(uri).info(uri)
        tag = next((str(info[name]) for name in _STAMPS if info.get(name)), None)
        if tag is None:
            return None
        return int(info.get("size") or 0), int.from_bytes(hashlib.sha256(tag.encode()).digest()[:6], "big")
    status = os.stat(_local(uri))
    return status.st_size, status.st_mtime_ns


def digest(uri: str) -> str:
    """`sha256:HEX` of the file's bytes, read in 1 MiB pieces."""
    total = hashlib.sha256()
    with open_binary(uri) as handle:
        while piece := handle.read(_CHUNK_BYTES):
            total.update(piece)
    return f"sha256:{total.hexdigest()}"
