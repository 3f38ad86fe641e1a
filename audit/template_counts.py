"""Counts how many rows and texts share a skeleton within a source: dealt out over files by skeleton, one in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["ENTRY", "TOP", "Counted", "count_templates"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
T = TypeVar("T", bound=np.generic)
Bools = npt.NDArray[np.bool_]
Entries = npt.NDArray[np.void]

TOP = 100
"""Skeletons of a source that are its most frequent ones."""
ENTRY = np.dtype(
    [
        ("source", np.int32),
        ("words", np.int32),
        ("skeleton", np.uint64),
        ("content", np.uint64),
        ("row", np.int64),
        ("diversity", np.float32),
    ]
)
"""One row: number of its source, words, hashes of skeleton and text, position in the corpus, diversity or NaN."""
_BUCKET_BYTES = 4 << 20
_MOST_FILES = 256
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Counted:
    """What was counted, row by row in corpus order, in files that are mapped; 0 where a row has no skeleton.

    Attributes:
        source: int32[n], number of its source; -1 for a row without a skeleton.
        rows: int64[n], rows of the source with the row's skeleton.
        texts: int64[n], different texts among them.
        rank: int64[n], 1 and one for each skeleton of the source that more texts have.
        top: bool[n], whether two texts at least have the skeleton and it is one of the 100 that most have.
        place: int64[n], place among the rows of source and skeleton, from 0, see `audit.templates`.
        source_texts: int64[sources], different texts of each source.
    """

    source: I32
    rows: I64
    texts: I64
    rank: I64
    top: Bools
    place: I64
    source_texts: I64


def count_templates(entries: Iterable[Entries], n: int, work: Path) -> Counted:
    """Count.

    Memory: some copies of one file's entries (36 bytes a row; 64 MB, or 1/256 of all, or the rows of the most frequent
    skeleton), and 50 bytes for each skeleton of a source that two texts share. Disk: 73 bytes a row.

    Args:
        entries: arrays of `ENTRY`, of rows that have a skeleton.
        n: rows of the corpus.
        work: folder for files.
    """

    def room(name: str, kind: type[T], filled: int = 0) -> npt.NDArray[T]:
        if not n:
            return np.zeros(0, kind)
        array = np.memmap(work / name, kind, "w+", shape=(n,))
        if filled:
            array[:] = filled
        return array

    paths, sources = _dealt(entries, n, work)
    found = Counted(
        source=room("source", np.int32, -1),
        rows=room("rows", np.int64),
        texts=room("texts", np.int64),
        rank=room("rank", np.int64),
        top=room("top", np.bool_),
        place=room("place", np.int64),
        source_texts=np.zeros(sources, np.int64),
    )
    groups = [_counted(np.fromfile(path, ENTRY), found) for path in paths]
    ranked = _ranked(np.concatenate(groups))
    for path in paths:
        _put_ranks(np.fromfile(path, ENTRY), ranked, found)
        path.unlink()
    return found


_GROUP = np.dtype([("source", np.int32), ("texts", np.int64), ("skeleton", np.uint64)])


@dataclass(frozen=True)
class _Ranked:
    """Skeletons that two texts or more share, in the order of their keys: their ranks, and whether they are on top."""

    keys: U64
    rank: I64
    top: Bools
    shared: I64
    """int64[sources]: skeletons of each source that two texts share; every other skeleton has the rank after them."""


def _dealt(entries: Iterable[Entries], n: int, work: Path) -> tuple[list[Path], int]:
    """Write the entries to files, all of a source and skeleton to the same one; the files, and how many sources."""
    count = int(np.clip(-(-n * ENTRY.itemsize // _BUCKET_BYTES), 1, _MOST_FILES))
    paths = [work / f"templates-{number}" for number in range(count)]
    streams, sources = [path.open("wb") for path in paths], 0
    try:
        for part in entries:
            sources = max(sources, int(part["source"].max(initial=-1)) + 1)
            place = ((part["skeleton"] * _SPREAD) >> np.uint64(40)) % np.uint64(count)
            order = np.argsort(place, kind="stable")
            ends = np.searchsorted(place[order], np.arange(count + 1))
            for number, stream in enumerate(streams):
                stream.write(part[order[ends[number] : ends[number + 1]]].tobytes())
    finally:
        for stream in streams:
            stream.close()
    return paths, sources


def _counted(entries: Entries, found: Counted) -> Entries:
    """Put the counts of one bucket into place; the groups that two texts or more share."""
    order = np.lexsort((entries["row"], entries["content"], entries["skeleton"], entries["source"]))
    entries = entries[order]
    new_group = _changes(entries["source"]) | _changes(entries["skeleton"])
    new_text = new_group | _changes(entries["content"])
    starts, group = np.flatnonzero(new_group), np.cumsum(new_group) - 1
    sizes = np.diff(np.r_[starts, len(entries)])
    texts = np.add.reduceat(new_text.astype(np.int64), starts) if len(starts) else np.zeros(0, np.int64)
    row = entries["row"]
    found.source[row] = entries["source"]
    found.rows[row], found.texts[row] = sizes[group], texts[group]
    found.place[row] = _places(entries, group, starts, new_text)
    np.add.at(found.source_texts, entries["source"][starts], texts)
    shared = texts > 1
    groups = np.empty(int(shared.sum()), _GROUP)
    groups["source"], groups["texts"] = entries["source"][starts][shared], texts[shared]
    groups["skeleton"] = entries["skeleton"][starts][shared]
    return groups


def _changes(values: npt.NDArray[np.generic]) -> Bools:
    """bool[n]: whether a value differs from the one before; true for the first."""
    found: Bools = np.r_[np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]]
    return found


def _places(entries: Entries, group: I64, starts: I64, new_text: Bools) -> I64:
    """int64[m]: place of each entry among those of its group, in the order of keeping."""
    at = np.arange(len(entries))
    copy = at - np.maximum.accumulate(np.where(new_text, at, 0))
    by_length = np.lexsort((entries["words"], group))
    sizes = np.diff(np.r_[starts, len(entries)])
    middles = entries["words"][by_length][starts + (sizes - 1) // 2]
    distance = np.abs(entries["words"].astype(np.int64) - middles[group])
    # NaN comes last, and then the length decides.
    order = np.lexsort((entries["row"], -distance, -entries["diversity"], copy, group))
    places = np.empty(len(entries), np.int64)
    places[order] = at - starts[group[order]] if len(starts) else at
    return places


def _ranked(groups: Entries) -> _Ranked:
    order = np.lexsort((groups["skeleton"], -groups["texts"], groups["source"]))
    groups = groups[order]
    at = np.arange(len(groups))
    new_source = _changes(groups["source"])
    first = np.maximum.accumulate(np.where(new_source, at, 0)) if len(groups) else at
    tied = np.maximum.accumulate(np.where(new_source | _changes(groups["texts"]), at, 0)) if len(groups) else at
    rank, top = tied - first + 1, at - first < TOP
    keys = _keys(groups)
    order = np.argsort(keys)
    shared = np.bincount(groups["source"], minlength=1).astype(np.int64)
    return _Ranked(keys[order], rank[order], top[order], shared)


def _keys(entries: Entries) -> U64:
    """uint64[m]: source and skeleton in one number; two of these meet as seldom as two skeletons do."""
    found: U64 = entries["skeleton"] ^ (entries["source"].astype(np.uint64) + np.uint64(1)) * _SPREAD
    return found


def _put_ranks(entries: Entries, ranked: _Ranked, found: Counted) -> None:
    """Ranks of one bucket: looked up among the shared skeletons; all others have the rank after the last of these."""
    row, source, keys = entries["row"], entries["source"], _keys(entries)
    alone = np.zeros(len(entries), np.int64)
    inside = source < len(ranked.shared)
    alone[inside] = ranked.shared[source[inside]]
    found.rank[row] = alone + 1
    if len(ranked.keys):
        at = np.minimum(np.searchsorted(ranked.keys, keys), len(ranked.keys) - 1)
        known = ranked.keys[at] == keys
        found.rank[row[known]], found.top[row[known]] = ranked.rank[at[known]], ranked.top[at[known]]
