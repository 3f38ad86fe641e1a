"""The folder a scan writes to: whose it is, that it lies apart from the input, and what standard input leaves in it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from audit.findings_folder import RECORD
from audit.remote import is_remote, shown
from audit.slices import SLICES
from audit.storage import digest
from detectors.errors import ConfigError, InputError, OutputError

__all__ = [
    "DIGESTS",
    "EXEMPLARS",
    "LOCK",
    "STDIN",
    "clear",
    "local_folder",
    "refuse_foreign",
    "refuse_inside",
    "spool",
    "take_back",
]

DIGESTS = "digests.json"
LOCK = "lock"
STDIN = "stdin.jsonl"
EXEMPLARS = "exemplars.jsonl"
_MAGIC = frozenset("*?[")


def local_folder(directory: Path | str) -> Path:
    """The output folder as a path.

    Raises:
        OutputError: a URL. Findings are many small files that are renamed when whole; stores cannot do that cheaply.
    """
    if re.match(r"\w[\w+.-]+:/", str(directory)) and not str(directory).startswith("file:/"):
        raise OutputError(
            f"{shown(str(directory))}: output must be a local folder, for it is written in place. Write it locally and "
            "copy the folder; only foxing curate writes its output to a URL."
        )
    return Path(str(directory).removeprefix("file://"))


def refuse_foreign(folder: Path) -> None:
    """Leave alone a folder with files that are not foxing's: it is somebody's.

    Raises:
        OutputError: it is a file, or holds no scan and something else.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file. Name a folder with -o.")
    if not folder.is_dir() or (folder / RECORD).exists():
        return
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    ours = {EXEMPLARS, *([DIGESTS, STDIN, LOCK, SLICES, "findings"] if LOCK in there else [])}
    if there - ours:
        raise OutputError(f"{folder}: is not empty and holds no scan. Name a new folder with -o.")


def refuse_inside(folder: Path, paths: Sequence[str], shards: Iterable[str] = ()) -> None:
    """Keep output and input apart, or a later scan would read its own findings.

    Args:
        folder: of the output.
        paths: as the user named them.
        shards: URIs of the files that they named, once those are known.

    Raises:
        OutputError: one lies in the other.
    """
    out = folder.resolve()
    for path in paths:
        if path == "-" or is_remote(path):
            continue
        bare = path.removeprefix("file://")
        recursive = "**" in bare
        here = Path(bare.partition("**")[0] or "." if recursive else bare).resolve()
        if (recursive or here.is_dir()) and out.is_relative_to(here):
            raise OutputError(f"{folder}: output inside the input {path}. Choose an output folder elsewhere.")
        if here.is_relative_to(out) and not _MAGIC & set(bare):
            raise OutputError(f"{folder}: the input {path} is inside the output. Choose another output folder.")
    for uri in shards:
        if not is_remote(uri) and Path(uri).resolve().is_relative_to(out) and Path(uri).name != STDIN:
            raise OutputError(f"{folder}: the input {uri} is inside the output. Choose another output folder.")


def spool(folder: Path, *, fresh: bool) -> Path:
    """Standard input, kept beside the findings: what cannot be read again could not be curated.

    Raises:
        InputError: standard input is a terminal.
        ConfigError: it holds something else than an earlier scan of this folder read.
    """
    if sys.stdin.isatty():
        raise InputError("-: standard input is a terminal. Pipe JSONL into it.")
    target, temporary = folder / STDIN, folder / f".{STDIN}.tmp"
    with temporary.open("wb") as handle:
        shutil.copyfileobj(sys.stdin.buffer, handle, 1 << 20)
    if target.exists() and not fresh and digest(str(target)) != digest(str(temporary)):
        temporary.unlink()
        raise ConfigError(f"-: standard input differs from what {folder} holds. Scan into another folder, or --fresh.")
    temporary.replace(target)
    return target


def clear(folder: Path) -> None:
    """Throw findings away. The commit record goes first: what is left without it is no finished scan."""
    (folder / RECORD).unlink(missing_ok=True)
    for name in ("findings", SLICES):
        shutil.rmtree(folder / name, ignore_errors=True)


def take_back(folder: Path) -> None:
    """Remove a folder that was made for a scan that measured nothing; parts that are whole stay, to be resumed."""
    notes = {LOCK, DIGESTS, STDIN}
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= notes:
        for name in notes:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
