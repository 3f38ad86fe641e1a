"""The inputs of a curate: where they are now, and whether they are what was scanned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from audit.corpus import Shard, open_shard
from audit.findings_folder import Findings, ShardRecord
from audit.folders import Folder
from audit.rows import locate
from audit.storage import is_remote
from detectors.errors import FindingsError, InputError, OutputError

__all__ = ["check_digests", "find_input", "find_inputs", "refuse_overlap"]


def find_inputs(findings: Findings, corpus: str | None) -> tuple[Shard, ...]:
    """The scanned shards, in corpus order, where they are now.

    Raises:
        FindingsError: some shards were not scanned, so their rows would be missing.
        InputError: a shard is gone.
    """
    if findings.failed:
        names = ", ".join(f"{shard.uri} ({shard.code})" for shard in findings.failed[:3])
        raise FindingsError(
            f"{len(findings.failed)} shards could not be scanned, and their rows would be missing: {names}. "
            "Mend them and scan again, or scan the others into a folder of their own."
        )
    return tuple(find_input(record, corpus) for record in findings.shards)


def find_input(record: ShardRecord, corpus: str | None) -> Shard:
    """A scanned shard where it is now.

    Raises:
        InputError: it is gone.
    """
    where = locate(record.uri, record.key, corpus=corpus)
    if where is None and corpus is None:
        raise InputError(f"{record.uri}: was scanned and is gone. Put it back, or say where it is with --corpus ROOT.")
    if where is None:
        raise InputError(f"{record.key}: is not below {corpus}. Name the folder that holds it with --corpus ROOT.")
    return open_shard(where, record.format, key=record.key, size_bytes=record.size_bytes)


def check_digests(shards: Sequence[Shard], records: Sequence[ShardRecord], advance: Callable[[int], None]) -> None:
    """Compare each shard's SHA-256 with the one that was scanned.

    Raises:
        InputError: a shard changed.
    """
    for shard, record in zip(shards, records, strict=True):
        if shard.digest() != record.digest:
            raise InputError(f"{shard.uri}: changed since it was scanned (SHA-256 differs). Run foxing scan again.")
        advance(record.size_bytes)


def refuse_overlap(out: Folder, spool: Path, findings: Findings, shards: Sequence[Shard]) -> None:
    """Keep output apart from inputs and findings, and of one in a store also what is unfinished, which is on disk.

    A folder that only single files were scanned from may hold the output: then the findings may be there too, because a
    scan refuses findings inside a folder that it reads.

    Raises:
        OutputError: one is inside the other.
    """
    _refuse_on_disk(spool, findings, shards)
    if out.local is not None:
        return
    for shard in shards:
        *folders, _ = shard.uri.split("/")
        root = "/".join(folders[: len(folders) + 1 - len(PurePosixPath(shard.key).parts)])
        if f"{out}/".startswith(f"{root}/") or shard.uri.startswith(f"{out}/"):
            raise OutputError(f"{out}: output and input {root} are one inside the other. Choose another -o.")


def _refuse_on_disk(out: Path, findings: Findings, shards: Sequence[Shard]) -> None:
    here, audit = out.resolve(), findings.directory.resolve()
    if here.is_relative_to(audit) or audit.is_relative_to(here):
        raise OutputError(
            f"{out}: output and findings {findings.directory} are one inside the other. Choose another -o."
        )
    for shard in shards:
        if is_remote(shard.uri):
            continue
        file = Path(shard.uri.removeprefix("file://")).resolve()
        if file.is_relative_to(here):
            raise OutputError(f"{out}: the input {shard.uri} is inside the output. Choose another -o.")
        depth = len(PurePosixPath(shard.key).parts)
        root = file.parents[min(depth, len(file.parents)) - 1]
        if here.is_relative_to(root) and not audit.is_relative_to(root):
            raise OutputError(f"{out}: output inside the input {root}. Choose an output folder elsewhere.")
