"""The output folder of a curate: whose it is, when it may be written, and that it holds nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.findings import write_json
from audit.signature import config_hash
from curricula.emit import Emitted
from curricula.manifest import NAME, Manifest, inside
from curricula.manifest_reader import read_manifest
from detectors.errors import ConfigError, OutputError

__all__ = ["LOCK", "PLAN", "WORK", "finished", "open_output", "refuse_foreign", "refuse_strangers"]

LOCK = ".lock"

WORK = ".work"
PLAN = "plan.parquet"
_OURS = ("data", "dropped", PLAN, NAME, WORK)  # in the order in which they are cleared: the marks of ownership go last


def refuse_foreign(out: Path, settings: Mapping[str, Any], *, fresh: bool) -> None:
    """Refuse a folder that holds anything but the beginning, or the end, of this very request.

    Raises:
        ConfigError: another request's output, with the difference.
        OutputError: something else, or no folder.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file. Name a folder with -o.")
    there = {entry.name for entry in out.iterdir()} - {LOCK}
    if not there:
        return
    run = out / WORK / "run.json"
    if not there <= {WORK} and not (out / NAME).exists() and not run.exists():
        raise OutputError(f"{out}: is not empty and holds no output of foxing curate. Choose a new folder.")
    if fresh:
        return
    if (out / NAME).exists():
        before = read_manifest(out / NAME).run
        if before != config_hash(settings):
            raise ConfigError(
                f"{out}: holds the output of another request. Choose a new folder, or --fresh to replace it."
            )
    elif run.exists():
        old = json.loads(run.read_text("utf-8"))
        changed = [name for name in settings if old.get(name) != json.loads(json.dumps(settings[name]))]
        if changed:
            what = "; ".join(f"{name}: {old.get(name)!r} before, {settings[name]!r} now" for name in changed[:3])
            raise ConfigError(
                f"{out}: holds the beginning of another request ({what}). Choose a new folder, or --fresh."
            )


def open_output(out: Path, settings: Mapping[str, Any], *, fresh: bool) -> None:
    """Clear what must go and leave the mark by which a later run knows the folder.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        if fresh:
            for name in _OURS:
                _remove(out / name)
        (out / WORK).mkdir(parents=True, exist_ok=True)
        for stale in (*out.glob(f".{NAME}.*.tmp"), *(out / WORK).rglob(".*.tmp")):
            stale.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{out}: cannot be written ({error.strerror}). Check its rights and the free space."
        ) from error
    if not (out / NAME).exists() and not (out / WORK / "run.json").exists():
        write_json(out / WORK / "run.json", settings)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def finished(out: Path) -> Manifest:
    """The manifest of a finished output.

    Raises:
        OutputError: a file of it is missing or has another size.
    """
    manifest = read_manifest(out / NAME)
    for receipt in (*manifest.data, *manifest.dropped):
        file = inside(out, receipt.path)
        if file is None:
            raise OutputError(f"{out / NAME}: names {receipt.path}, outside its folder. Write it again with --fresh.")
        if not file.is_file() or file.stat().st_size != receipt.size_bytes:
            raise OutputError(f"{file}: is missing or changed since it was written. Write it again with --fresh.")
    return manifest


def refuse_strangers(out: Path, emitted: Emitted) -> None:
    """A recursive reader must meet nothing in data/ but what this run wrote.

    Raises:
        OutputError: another file is there.
    """
    written = {receipt.path for receipt in (*emitted.data, *emitted.dropped)}
    for folder in ("data", "dropped"):
        for file in (out / folder).rglob("*"):
            if not file.is_dir() and file.relative_to(out).as_posix() not in written:
                raise OutputError(f"{file}: does not belong to this output. Move it away and run again.")
