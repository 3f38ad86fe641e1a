"""The output of a curate: whose it is, when it may be written, and that it holds nothing else.

A folder on disk holds its own unfinished work. That of a folder in a store lies on disk as well, in the user's cache or
where `--work` says, and finished files are sent one by one; in the store a mark says whose the folder is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.findings_folder import write_json
from audit.folders import Folder, open_folder
from audit.remote_folder import RemoteFolder
from audit.signature import config_hash
from curricula.emit import Emitted
from curricula.manifest import NAME, Manifest
from curricula.manifest_reader import read_manifest
from detectors.errors import ConfigError, OutputError

__all__ = ["LOCK", "PLAN", "Output"]

LOCK = ".lock"

_WORK = ".work"
PLAN = "plan.parquet"
_MARK = f"{_WORK}/run.json"
_OURS = (NAME, "data", "dropped", "mask", PLAN, _WORK)
"""In the order in which they are cleared: first what says that the output is finished, last whose the folder is."""


@dataclass(frozen=True)
class Output:
    """Where an output goes.

    Attributes:
        folder: on disk or in a store.
        spool: folder on disk for what is unfinished, and for the plan while rows are written: the folder itself where
            that is on disk.
    """

    folder: Folder
    spool: Path

    @classmethod
    def of(cls, out: Path | str, work: Path | None = None) -> Output:
        """The output that a path or URL names.

        Args:
            out: as the user named it.
            work: folder for what is unfinished, where `out` is a URL; None takes one in the user's cache.

        Raises:
            ConfigError: a folder of work for an output on disk, which holds its own.
            OutputError: a URL that nothing can be written to.
        """
        folder = open_folder(out)
        if folder.local is not None:
            if work is not None:
                raise ConfigError(f"--work {work}: goes with -o URL. An output on disk keeps its own work in it.")
            return cls(folder, folder.local)
        if work is None:
            work = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foxing" / "curate"
        return cls(folder, work / hashlib.sha256(str(folder).encode()).hexdigest()[:16])

    @property
    def work(self) -> Path:
        """Folder for what is unfinished."""
        return self.spool / _WORK

    @property
    def plan(self) -> Path:
        """The plan while rows are written."""
        return self.spool / PLAN

    def refuse_foreign(self, settings: Mapping[str, Any], *, fresh: bool) -> None:
        """Refuse a folder that holds anything but the beginning, or the end, of this very request.

        Raises:
            ConfigError: another request's output, with the difference.
            OutputError: something else, or no folder.
        """
        there = self.folder.names() - {LOCK}
        if not there:
            return
        mark = self._mark()
        if not there <= {_WORK} and NAME not in there and mark is None:
            raise OutputError(f"{self.folder}: is not empty and holds no output of foxing curate. Choose a new folder.")
        if fresh:
            return
        if NAME in there:
            if self._run() != config_hash(settings):
                raise ConfigError(
                    f"{self.folder}: holds the output of another request. Choose a new folder, or --fresh to replace "
                    "it."
                )
        elif mark is not None and (changed := _changed(mark, settings)):
            what = "; ".join(f"{name}: {mark.get(name)!r} before, {settings[name]!r} now" for name in changed[:3])
            raise ConfigError(
                f"{self.folder}: holds the beginning of another request ({what}). Choose a new folder, or --fresh."
            )

    def _mark(self) -> dict[str, Any] | None:
        """The settings of the request that the folder was begun for."""
        try:
            mark = json.loads(self.folder.read(_MARK))
        except (FileNotFoundError, ValueError):  # none, or one that foxing did not write
            return None
        return mark if isinstance(mark, dict) else None

    def _run(self) -> str:
        return read_manifest(self.folder.at(NAME)).run

    def open(self, settings: Mapping[str, Any], *, fresh: bool) -> None:
        """Clear what must go and leave the mark by which a later run knows the folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        try:
            if fresh:
                if self.finished:
                    self._leave_mark({})  # of no request: what is left if this run is killed has to be cleared
                for name in _OURS:
                    self.folder.remove(name)
            self._tidy(settings)
        except OSError as error:
            raise OutputError(
                f"{self.spool}: cannot be written ({error.strerror}). Check its rights and the free space."
            ) from error
        if not self.finished and self._mark() is None:
            self._leave_mark(settings)

    def _leave_mark(self, settings: Mapping[str, Any]) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        write_json(self.work / "mark.json", settings)
        self.folder.put(self.work / "mark.json", _MARK)

    def _tidy(self, settings: Mapping[str, Any]) -> None:
        """Make the folder of work; what a killed run left half written goes, and work that is not for this folder."""
        if self.folder.local is None and (self._mark() is None or _changed(_read(self.work / "run.json"), settings)):
            shutil.rmtree(self.work, ignore_errors=True)
            self.plan.unlink(missing_ok=True)
            self.work.mkdir(parents=True)
            write_json(self.work / "run.json", settings)
        self.work.mkdir(parents=True, exist_ok=True)
        for stale in (*self.spool.glob(f".{NAME}.*.tmp"), *self.work.rglob(".*.tmp")):
            stale.unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        """Whether there is a manifest, which is written last."""
        return self.folder.size(NAME) is not None

    def manifest(self) -> Manifest:
        """That of a finished output.

        Raises:
            OutputError: a file of it is missing or has another size.
        """
        manifest = read_manifest(self.folder.at(NAME))
        sizes = self._sizes()
        for receipt in (*manifest.data, *manifest.dropped, *manifest.masks):
            if not self.folder.holds(receipt.path):
                raise OutputError(
                    f"{self.folder.at(NAME)}: names {receipt.path}, outside its folder. Write it again with --fresh."
                )
            if sizes.get(receipt.path) != receipt.size_bytes:
                raise OutputError(f"{self.folder.at(receipt.path)}: {_CHANGED}")
        return manifest

    def commit(self, manifest: Manifest, settings: Mapping[str, Any]) -> None:
        """Write the plan and, last, the manifest: with it the output is finished.

        Raises:
            OutputError: another run has taken the folder meanwhile, or one has cleared it.
        """
        folder = self.held(settings)
        folder.put(self.plan, PLAN)
        manifest.write(self.work / NAME)
        folder.put(self.work / NAME, NAME)

    def held(self, settings: Mapping[str, Any]) -> Folder:
        """The folder for a request's files: one in a store, where no lock keeps others away, takes them while it is
        that request's."""
        return self.folder if self.folder.local is not None else _Held(str(self.folder), self, dict(settings))

    def refuse_taken(self, settings: Mapping[str, Any]) -> None:
        """Refuse to write where another request has begun since; one that was the same may have ended.

        Raises:
            OutputError: another run has taken the folder, or one has cleared it.
        """
        mark = self._mark()
        if (mark is None or _changed(mark, settings)) and not (self.finished and self._run() == config_hash(settings)):
            raise OutputError(f"{self.folder}: was taken by another run. Choose another folder, or --fresh.")

    def close(self) -> None:
        """Remove what only unfinished outputs need; to be called while the spool is locked."""
        self.folder.remove(_WORK)
        if self.folder.local is None:
            shutil.rmtree(self.work, ignore_errors=True)
            self.plan.unlink(missing_ok=True)
        (self.spool / LOCK).unlink()  # from here on another run may begin in it
        if self.folder.local is None:
            with contextlib.suppress(OSError):
                self.spool.rmdir()

    def refuse_strangers(self, emitted: Emitted) -> None:
        """All that was written must be there, and a recursive reader must meet nothing else in data/.

        Raises:
            OutputError: another file is there, or one is not.
        """
        written = {receipt.path: receipt.size_bytes for receipt in (*emitted.data, *emitted.dropped, *emitted.masks)}
        sizes = self._sizes()
        if strangers := sorted(sizes.keys() - written.keys()):
            raise OutputError(
                f"{self.folder.at(strangers[0])}: does not belong to this output. Move it away and run again."
            )
        if gone := [name for name, size in written.items() if sizes.get(name) != size]:
            raise OutputError(f"{self.folder.at(gone[0])}: {_CHANGED}")

    def _sizes(self) -> dict[str, int]:
        return {
            name: size for folder in ("data", "dropped", "mask") for name, size in self.folder.sizes(folder).items()
        }


@dataclass(frozen=True)
class _Held(RemoteFolder):
    """A folder in a store, held for a request by its mark. What a run that lost it sends would harm another's output.

    Attributes:
        output: that it is of.
        settings: of the request.
    """

    output: Output
    settings: dict[str, Any]

    def put(self, file: Path, name: str) -> None:
        """Send the file, unless the folder is another request's by now."""
        self.output.refuse_taken(self.settings)
        super().put(file, name)


_CHANGED = "is missing or changed since it was written. Write it again with --fresh."


def _changed(mark: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Settings that are not those of a mark."""
    return [name for name in settings if mark.get(name) != json.loads(json.dumps(settings[name]))]


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found
