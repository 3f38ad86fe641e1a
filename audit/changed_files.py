"""Forgets what was measured of files that have changed since, so that a scan measures these anew and no others."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from audit import __version__
from audit.corpus import Shard
from audit.destination import DIGESTS, local_folder, refuse_foreign
from audit.digests import digests_of
from audit.execute import executor_for
from audit.findings_folder import RECORD, Findings
from audit.lock import locked
from audit.parts import any_part, read_identity
from audit.scan_run import known_findings, scanned_corpus
from detectors.registry import STAGES, names

__all__ = ["forget_changed"]


def forget_changed(paths: Sequence[str], directory: Path | str) -> tuple[str, ...]:
    """Remove the findings of files whose bytes are others than those that were measured.

    The commit record goes without these files first, so that a run that is killed on the way leaves no record that
    promises what is gone.

    Args:
        paths: that will be scanned; files of earlier scans are looked at too.
        directory: of the findings; nothing happens where there are none yet.

    Returns:
        URIs of the files, in corpus order.

    Raises:
        InputError: a path that does not exist. OutputError: the folder is not foxing's, or is in use.
    """
    folder = local_folder(directory)
    if not (folder / "findings").is_dir() or "-" in paths:
        return ()
    refuse_foreign(folder)
    with locked(folder):
        known = known_findings(folder)
        corpus, _ = scanned_corpus(paths, folder, known)
        digests = digests_of(
            corpus.shards,
            folder / DIGESTS,
            executor_for(1),
            fail=lambda uri, error: None,
            on_progress=lambda done, total: None,
        )
        changed = [shard for shard in corpus.shards if shard.uri in digests and _is_stale(folder, shard, digests)]
        if changed:
            _commit_without(folder, known, changed)
            for measured in (folder / "findings").iterdir():
                for shard in changed:
                    shutil.rmtree(measured / shard.key, ignore_errors=True)
    return tuple(shard.uri for shard in changed)


def _is_stale(folder: Path, shard: Shard, digests: dict[str, str]) -> bool:
    """Whether any part on disk was made of other bytes; a killed run may have left some without a record."""
    for measured in (folder / "findings").iterdir():
        path = any_part(folder, measured.name, shard.key)
        found = read_identity(path) if path is not None else None
        if found is not None and found.digest != digests[shard.uri]:
            return True
    return False


def _commit_without(folder: Path, known: Findings | None, changed: Sequence[Shard]) -> None:
    if known is None:
        return
    gone = {shard.uri for shard in changed}
    kept = tuple(shard for shard in known.shards if shard.uri not in gone)
    if not kept:
        (folder / RECORD).unlink()
        return
    # What stages found holds for the corpus as it was; they run again.
    signals = tuple(signal for signal in known.signals if signal.name not in names(STAGES))
    dataclasses.replace(known, shards=kept, signals=signals).commit(__version__)
