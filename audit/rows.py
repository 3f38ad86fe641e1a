"""The text of chosen rows of a corpus, wherever it lies now; only the row groups that hold such rows are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.corpus import Shard, open_shard
from audit.findings_folder import ShardRecord
from audit.layout import Layout, find_layout
from audit.storage import is_remote, stat
from detectors.documents import Documents
from detectors.errors import InputError

__all__ = ["Fetched", "batches", "fetch", "locate", "recorded_layout", "scanned_shard"]

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fetched:
    """Some rows of a shard.

    Attributes:
        rows: int64[n], ascending positions in the shard.
        documents: of these rows, in that order.
    """

    rows: I64
    documents: Documents


def locate(uri: str, key: str, *, corpus: str | None = None) -> str | None:
    """Where a shard is now, None when it is not there.

    Below `corpus` when given, found by its key or else by the longest end of its old path; otherwise where it was.
    """
    if corpus is None:
        return uri if _exists(uri) else None
    pieces = PurePosixPath(uri.partition("://")[2] or uri).parts
    ends = ["/".join(pieces[start:]) for start in range(1, len(pieces))]
    below = [end for end in (key, *ends) if ".." not in PurePosixPath(end).parts]
    return next((found for end in below if _exists(found := f"{corpus.rstrip('/')}/{end}")), None)


def _exists(uri: str) -> bool:
    if not is_remote(uri):
        return Path(uri.removeprefix("file://")).is_file()
    try:
        stat(uri)
    except OSError:
        return False
    return True


def scanned_shard(record: ShardRecord, corpus: str | None = None) -> Shard:
    """A shard of a scan, where it is now.

    Raises:
        InputError: it is gone, or has another size than when it was scanned.
    """
    where = locate(record.uri, record.key, corpus=corpus)
    if where is None and corpus is None:
        raise InputError(f"{record.uri}: was scanned and is gone. Put it back, or say where it is with --corpus ROOT.")
    if where is None:
        raise InputError(f"{record.key}: is not below {corpus}. Name the folder that holds it with --corpus ROOT.")
    found = stat(where)
    if found is not None and found[0] != record.size_bytes:
        raise InputError(f"{where}: changed since it was scanned (its size differs). Run foxing scan again.")
    return open_shard(where, record.format, key=record.key, size_bytes=record.size_bytes)


def recorded_layout(record: ShardRecord, uri: str) -> Layout:
    """The layout by which a shard was scanned.

    Raises:
        InputError: its columns no longer give that layout.
    """
    names = list(record.columns)
    for text in (None, *names):
        found = find_layout(names, uri, text=text) if text is not None or _by_convention(names, uri) else None
        if found is not None and str(found) == record.layout:
            return found
    raise InputError(f"{uri}: nothing in it is laid out as {record.layout}. Run foxing scan again.")


def _by_convention(names: Sequence[str], uri: str) -> bool:
    try:
        find_layout(names, uri)
    except InputError:
        return False
    return True


def batches(shard: Shard, layout: Layout, *, rows: I64 | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches with `text` (and `response`), each with the position of its first row.

    Args:
        shard: an open file.
        layout: of its columns.
        rows: int64, ascending; row groups without one of these are not read. None reads all.

    Raises:
        ShardError: the file is torn or gone.
    """
    groups = shard.groups()
    if groups is None:
        runs: list[tuple[int, int, int | None]] = [(0, 0, None)]
    else:
        edges = np.cumsum([0, *(group.rows for group in groups)])
        wanted = range(len(groups)) if rows is None else np.unique(np.searchsorted(edges, rows, side="right") - 1)
        runs = [(int(edges[group]), int(group), 1) for group in wanted if group < len(groups)]
    for first, group, count in runs:
        for batch in shard.batches(list(layout.columns), first_group=group, groups=count):
            yield first, layout.documents(batch, shard.uri)
            first += batch.num_rows
            if groups is None and rows is not None and len(rows) and first > rows[-1]:
                return


def fetch(shard: Shard, layout: Layout, *, rows: I64) -> Iterator[Fetched]:
    """The chosen rows of a shard, batch by batch; rows that it does not have are left out.

    Args:
        shard: an open file.
        layout: of its columns.
        rows: int64, ascending, each once.
    """
    if not len(rows):
        return
    for first, batch in batches(shard, layout, rows=rows):
        low, high = np.searchsorted(rows, [first, first + batch.num_rows])
        chosen = rows[low:high]
        if len(chosen):
            columns = [name for name in ("text", "response") if name in batch.schema.names]
            taken = batch.select(columns).take(pa.array(chosen - first))
            yield Fetched(chosen, Documents(taken))
