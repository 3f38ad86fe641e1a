"""A folder of output in a store that fsspec has a client for: files are sent whole, and fetched to be read."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from audit.remote import explained, filesystem, is_below
from detectors.errors import OutputError

__all__ = ["RemoteFolder"]

# Where a file that is sent is there when all of it is, and not before. Elsewhere it is sent aside and renamed.
_WHOLE = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "hf"))
_ASIDE = ".work/sent"
_PART_BYTES, _MOST_PARTS, _AT_ONCE = 16 << 20, 10_000, 4


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in a store that fsspec has a client for: `s3://`, `gs://`, `abfs://`, `sftp://` and so on.

    Transfers of large files are in parts, and what fails in passing is tried again, as the client does it.
    """

    url: str

    @property
    def local(self) -> Path | None:
        """None."""
        return None

    def __str__(self) -> str:
        return self.url

    @property
    def _store(self) -> Any:
        return filesystem(self.url)

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0]

    def _path(self, name: str) -> str:
        return f"{str(self._store._strip_protocol(self.url)).rstrip('/')}/{name}".rstrip("/")

    def at(self, name: str) -> str:
        """The URL of a file."""
        return f"{self.url}/{name}"

    def holds(self, name: str) -> bool:
        """Whether the name stays below."""
        return bool(name) and is_below(name)

    def names(self) -> set[str]:
        """Files and folders in it, as they are now."""
        with self._told("cannot be listed"):
            self._store.invalidate_cache()
            root = self._path("")
            try:
                found = self._store.ls(root, detail=False)
            except FileNotFoundError:
                return set()
        if [name.rstrip("/") for name in found] == [root] and self._store.isfile(root):
            raise OutputError(f"{self.url}: is a file. Name a folder with -o.")
        return {name.rstrip("/").rsplit("/", 1)[-1] for name in found if name.rstrip("/") != root}

    def sizes(self, below: str = "") -> dict[str, int]:
        """All files, as they are now, in one listing."""
        root = self._path("")
        with self._told("cannot be listed"):
            self._store.invalidate_cache()
            try:
                found = self._store.find(self._path(below), detail=True)
            except FileNotFoundError:
                return {}
        return {
            name[len(root) + 1 :]: int(info.get("size") or 0)
            for name, info in found.items()
            if not name.endswith("/") and info.get("type") != "directory"
        }

    def size(self, name: str) -> int | None:
        """Bytes of a file, as it is now."""
        with self._told("cannot be reached"):
            self._store.invalidate_cache()
            try:
                info = self._store.info(self._path(name))
            except FileNotFoundError:
                return None
        return None if info.get("type") == "directory" else int(info.get("size") or 0)

    def read(self, name: str) -> bytes:
        """All bytes of a file, in one request."""
        with explained(self.at(name)):
            return bytes(self._store.cat_file(self._path(name)))

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file; what is asked for is fetched."""
        with explained(self.at(name)), self._store.open(self._path(name), "rb") as handle:
            yield handle

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """A copy in a temporary folder (TMPDIR), which is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
            file = Path(folder) / PurePosixPath(name).name
            with explained(self.at(name)):
                self._store.get_file(self._path(name), str(file), **_parts(self._scheme, 0))
            yield file

    def put(self, file: Path, name: str) -> None:
        """Send the file, see that all of it is there, and remove it here."""
        target, scheme = self._path(name), self._scheme
        sent = target if scheme in _WHOLE else self._path(f"{_ASIDE}-{uuid.uuid4().hex}")
        store, size = self._store, file.stat().st_size
        with self._told("cannot be written to"):
            if scheme not in _WHOLE:
                for path in (sent, target):
                    store.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            store.put_file(str(file), sent, **_parts(scheme, size))
            if sent != target:
                if store.exists(target):
                    store.rm_file(target)
                store.mv(sent, target)
            store.invalidate_cache(target.rsplit("/", 1)[0])
            if (there := int(store.info(target).get("size") or 0)) != size:
                raise OSError(f"{name}: {there:,} bytes are there and {size:,} were sent")
        file.unlink()

    def remove(self, name: str) -> None:
        """Remove a file, or all files below a folder."""
        with self._told("cannot be cleared"):
            self._store.invalidate_cache()
            path = self._path(name)
            if self._store.exists(path):
                self._store.rm(path, recursive=True)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            with explained(self.url):
                yield
        except NotImplementedError as error:
            raise OutputError(f"{self.url}: {what}: its client in fsspec has no way to. Name another store.") from error
        except OSError as error:
            reason = (error.strerror or str(error)).rstrip(".")
            raise OutputError(
                f"{self.url}: {what} ({reason}). Check the address, your rights and the connection, and run it again."
            ) from error


def _parts(scheme: str, size: int) -> dict[str, int]:
    """How S3's client is to cut a file, so that few parts of it are in memory at once; others move one at a time."""
    if scheme not in ("s3", "s3a"):
        return {}
    return {"chunksize": max(_PART_BYTES, -(-size // _MOST_PARTS)), "max_concurrency": _AT_ONCE}
