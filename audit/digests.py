"""Digests of shards, computed once: a file whose size and date are those of an earlier scan is not read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from audit.corpus import Shard
from audit.execute import Executor, executor_for
from audit.findings_folder import write_json
from audit.storage import stat
from detectors.errors import InputError

__all__ = ["digests_of"]


def digests_of(
    shards: Sequence[Shard],
    kept: Path,
    executor: Executor,
    *,
    others: Iterable[Path] = (),
    fail: Callable[[str, Exception], None],
    on_progress: Callable[[int, int], None],
) -> dict[str, str]:
    """`sha256:HEX` of every shard that can be opened and read, by URI.

    Args:
        shards: to digest.
        kept: file that keeps what was computed.
        executor: runs the reading where there is enough of it.
        others: files that other scans of the same corpus keep.
        fail: told the URI of a shard that cannot be read, and why.
        on_progress: told bytes done and bytes in all.
    """
    own = _read_digests(kept)
    cache = {uri: entry for path in others for uri, entry in _read_digests(path).items()} | own
    digests: dict[str, str] = {}
    fresh: list[Shard] = []
    stamps: dict[str, list[int] | None] = {}
    for shard in shards:
        try:
            stamp = stat(shard.uri)
            stamps[shard.uri] = None if stamp is None else list(stamp)
            shard.reader  # noqa: B018 - opening it looks at first bytes and footer
        except (InputError, OSError) as error:
            fail(shard.uri, error)
            continue
        entry = cache.get(shard.uri)
        if entry is not None and stamps[shard.uri] is not None and entry[0] == stamps[shard.uri]:
            digests[shard.uri] = entry[1]
        else:
            fresh.append(shard)
    total, done = sum(shard.size_bytes for shard in fresh), 0
    for outcome in _small(executor, fresh).map(Shard.digest, fresh):
        shard = outcome.item
        if outcome.value is None:
            fail(shard.uri, outcome.error or InputError(f"{shard.uri}: cannot be read."))
            continue
        digests[shard.uri] = outcome.value
        done += shard.size_bytes
        on_progress(done, total)
    if fresh or not digests.keys() <= own.keys():
        known = (shard.uri for shard in shards if shard.uri in digests)
        write_json(kept, {uri: [stamps[uri], digests[uri]] for uri in known})
    return digests


def _small(executor: Executor, items: Sequence[Shard]) -> Executor:
    """Start processes only where there is enough to hash for them to pay."""
    return executor if sum(shard.size_bytes for shard in items) > 4 << 30 else executor_for(1)


def _read_digests(kept: Path) -> dict[str, tuple[list[int], str]]:
    """Digests that an earlier scan computed, with the stamp of each file then; empty where there are none to trust."""
    try:
        found = json.loads(kept.read_text("utf-8"))
        return {uri: (list(entry[0]), str(entry[1])) for uri, entry in found.items()}
    except (OSError, ValueError, AttributeError, IndexError, TypeError):
        return {}
