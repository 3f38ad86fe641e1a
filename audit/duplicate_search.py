"""Searches a corpus for duplicates: signatures in mapped files, bands sorted on disk, then row by row who is kept.

Rows of equal text are told by hash and signature. Of the others, those that share a band of their signatures are
compared, bucket by bucket. A row goes when a row that is kept, and comes first in the order of keeping, agrees with it
in at least the threshold's share of all minima. So every row that goes names a kept row that it was compared with:
likeness is never passed on along a chain.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audit.findings import Findings
from audit.parts import part_path
from detectors.errors import FindingsError

__all__ = ["AI_TEXT", "KEEP", "SIGNAL", "Found", "find_duplicates"]

SIGNAL = "near_dup"
AI_TEXT = "ai_text"
KEEP = ("human", "long", "first")
_BUCKET_BYTES = 64 << 20
_MOST_FILES = 256
_LARGE, _CLOSE = 10, 0.95
_ENTRY = [("key", np.uint64), ("row", np.int64)]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
T = TypeVar("T", bound=np.generic)
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """What was found, row by row in corpus order, rows of the reference in front.

    Attributes:
        first: rows of the reference.
        keepers: int64[n], the row that is kept in place of each; a row that is kept is its own.
        clusters: int64[n], least row of the cluster.
        sizes: int64[n], rows of the cluster.
        exact: bool[n], text equal to the keeper's.
        similarity: float32[n], with the keeper.
        templated: bool[n], see `audit.duplicates.Duplicates`.
        measured: bool[n]; other rows stand alone.
    """

    first: int
    keepers: I64
    clusters: I64
    sizes: I64
    exact: Bools
    similarity: F32
    templated: Bools
    measured: Bools


@dataclass(frozen=True)
class _Rows:
    """Signatures and what orders them, in files that are mapped: the system may drop and read again what it likes."""

    minima: U32
    exact: U64
    shingles: I32
    margin: F32
    measured: Bools
    signed: Bools

    @property
    def count(self) -> int:
        return len(self.exact)


def find_duplicates(
    findings: Findings,
    reference: Findings | None,
    *,
    threshold: float,
    keep: Sequence[str],
    work: Path,
    advance: Callable[[int], None] = lambda rows: None,
) -> Found:
    """Find the duplicates of a corpus.

    On disk it takes about as much as the signatures, and 16 bytes a row and band; in memory some 80 bytes a row, and 48
    for each band that a row shares with another.

    Args:
        findings: of a scan that measured `near_dup` with whole signatures (`bits = 0`).
        reference: of a scan of rows that are all kept; None where there is none.
        threshold: least estimated similarity, 0 to 1.
        keep: order of keeping, see `audit.duplicates.Duplicates`.
        work: folder on a disk with that room; what is put there is removed.
        advance: called with rows read, for progress.

    Raises:
        FindingsError: the signal was not scanned, or the reference was scanned with other settings of it.
    """
    from detectors.banding import optimal_bands

    config = _config(findings)
    if reference is not None and _config(reference) != config:
        raise FindingsError(
            f"{reference.directory}: near_dup was scanned with {_config(reference)}, here with {config}. "
            "Scan both alike."
        )
    permutations = int(str(config["permutations"]))
    folder = Path(tempfile.mkdtemp(prefix=".duplicates-", dir=work))
    try:
        sources = [each for each in (reference, findings) if each is not None]
        spill = _Spill(folder, sum(source.rows for source in sources), optimal_bands(threshold, permutations))
        rows = _read(sources, permutations, spill, folder, advance)
        first = reference.rows if reference else 0
        order = _order(rows, keep, first)
        rank = np.empty(rows.count, np.int64)
        rank[order] = np.arange(rows.count)
        copies = _copies(rows, rank)
        least = int(np.ceil(threshold * permutations - 1e-9))
        shared = _shared(spill.paths, copies, rank)
        return _resolved(rows, copies, shared, least, first)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _config(findings: Findings) -> dict[str, object]:
    for signal in findings.measured:
        if signal.name == SIGNAL:
            if signal.config.get("bits"):
                raise FindingsError(
                    f"{findings.directory}: near_dup kept {signal.config['bits']} bits of its minima. "
                    "Duplicates need whole ones: scan with bits = 0."
                )
            return dict(signal.config)
    raise FindingsError(f"{findings.directory}: near_dup was not scanned. Scan with --signals near_dup.")


def _read(
    sources: list[Findings], permutations: int, spill: _Spill, folder: Path, advance: Callable[[int], None]
) -> _Rows:
    from detectors.near_dup import signatures

    n = sum(source.rows for source in sources)

    def room(name: str, kind: type[T]) -> npt.NDArray[T]:
        if not n:
            return np.zeros(n, kind)
        return np.memmap(folder / name, kind, "w+", shape=(n,))

    exact, shingles = room("exact", np.uint64), room("shingles", np.int32)
    margin, measured, signed = room("margin", np.float32), room("measured", np.bool_), room("signed", np.bool_)
    at = 0
    # Minima are written, not mapped: pages of a map that were touched count as resident, and all of these are.
    with (folder / "minima").open("wb") as stream:
        for source in sources:
            for struct in _parts(source, SIGNAL, ("minhash", "exact", "shingles")):
                span = slice(at, at + len(struct))
                minhash = struct.field("minhash")
                measured[span] = np.asarray(struct.is_valid())
                signed[span] = np.asarray(minhash.is_valid()) & measured[span]
                minima = signatures(minhash)
                stream.write(minima.tobytes())
                spill.add(minima, at + np.flatnonzero(signed[span]), at)
                exact[span] = np.asarray(struct.field("exact").fill_null(0))
                shingles[span] = np.asarray(struct.field("shingles").fill_null(0))
                at += len(struct)
                advance(len(struct))
    spill.close()
    shape = (n, permutations)
    mapped = np.memmap(folder / "minima", np.uint32, "r", shape=shape) if n else np.zeros(shape, np.uint32)
    rows = _Rows(mapped, exact, shingles, margin, measured, signed)
    rows.margin[:] = np.inf
    at = 0
    for source in sources:
        if any(signal.name == AI_TEXT for signal in source.measured):
            start = at
            for struct in _parts(source, AI_TEXT, ("margin",)):
                margin = np.asarray(struct.field("margin").cast(pa.float32()).fill_null(np.inf))
                rows.margin[start : start + len(struct)] = np.where(np.asarray(struct.is_valid()), margin, np.inf)
                start += len(struct)
        at += source.rows
    return rows


def _parts(findings: Findings, signal: str, fields: tuple[str, ...]) -> Iterator[pa.StructArray]:
    """The struct of one signal with some of its fields, row group by row group in corpus order."""
    for shard in findings.shards:
        for first_row in shard.parts:
            path = part_path(findings.directory, signal, shard.key, first_row)
            try:
                with pq.ParquetFile(path, memory_map=False) as file:
                    for group in range(file.metadata.num_row_groups):
                        table = file.read_row_group(group, columns=[f"{signal}.{field}" for field in fields])
                        yield table.column(signal).combine_chunks()
            except (OSError, pa.ArrowException) as error:
                raise FindingsError(
                    f"{path}: is missing or torn. Run foxing scan again: it makes what is missing."
                ) from error


def _order(rows: _Rows, keep: Sequence[str], first: int) -> I64:
    """int64[n]: rows in the order of keeping."""
    keys: dict[str, npt.NDArray[np.generic]] = {"human": rows.margin, "long": -rows.shingles}
    outside = np.arange(rows.count) >= first
    chosen = [keys[name] for name in keep[: keep.index("first") if "first" in keep else None]]
    # The last key decides first.
    order: I64 = np.lexsort([np.arange(rows.count), *reversed(chosen), outside])
    return order


def _copies(rows: _Rows, rank: I64) -> I64:
    """int64[n]: the first row, in the order of keeping, of equal text; a row without a copy before it is its own."""
    from detectors.banding import similarity

    first = np.arange(rows.count)
    order = np.lexsort((rank, rows.exact))
    order = order[np.asarray(rows.measured)[order]]
    hashes = np.asarray(rows.exact)[order]
    begins = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]]) if len(order) else np.zeros(0, np.int64)
    leaders = np.repeat(order[begins], np.diff(np.r_[begins, len(order)]))
    # Two texts may have one 64-bit hash; that they have one signature and length too is out of the question.
    others = leaders != order
    leaders, order = leaders[others], order[others]
    same = (similarity(rows.minima, leaders, order) == 1) & (rows.shingles[leaders] == rows.shingles[order])
    first[order[same]] = leaders[same]
    return first


@dataclass(frozen=True)
class _Shared:
    """Buckets of two rows or more: `rows` in the order of keeping, and the buckets of each."""

    rows: I64
    indptr: I64
    buckets: I64
    count: int


def _shared(paths: Sequence[Path], copies: I64, rank: I64) -> _Shared:
    members, numbers, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for path in paths:
        entries = np.fromfile(path, _ENTRY)
        path.unlink()
        # A copy of a text shares all its bands.
        entries = entries[copies[entries["row"]] == entries["row"]]
        # Not stable, which is faster: rows are put in order of keeping afterwards.
        entries = entries[np.argsort(np.ascontiguousarray(entries["key"]))]
        if not len(entries):
            continue
        edges = np.flatnonzero(np.r_[True, entries["key"][1:] != entries["key"][:-1], True])
        sizes = np.diff(edges)
        members.append(entries["row"][np.repeat(sizes > 1, sizes)])
        numbers.append(count + np.repeat(np.arange((sizes > 1).sum()), sizes[sizes > 1]))
        count += int((sizes > 1).sum())
    row, bucket = np.concatenate(members), np.concatenate(numbers)
    order = np.lexsort((bucket, rank[row]))
    row, bucket = row[order], bucket[order]
    begins = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.zeros(0, np.int64)
    return _Shared(row[begins], np.r_[begins, len(row)].astype(np.int64), bucket, count)


class _Spill:
    """Writes (key, row) of every band of every row, dealt out over files by key."""

    def __init__(self, folder: Path, rows: int, scheme: tuple[int, int]) -> None:
        self._bands, self._band_rows = scheme
        count = int(np.clip(-(-rows * self._bands * 16 // _BUCKET_BYTES), 1, _MOST_FILES))
        self.paths = [folder / f"bucket-{number}" for number in range(count)]
        self._streams = [path.open("wb") for path in self.paths]

    def add(self, minima: U32, rows: I64, first: int) -> None:
        """Add some rows, whose minima stand at their number less `first`."""
        from detectors.banding import band_keys

        keys = band_keys(minima[rows - first], bands=self._bands, rows=self._band_rows)
        entries = np.empty(keys.size, _ENTRY)
        entries["key"], entries["row"] = keys.ravel(), np.repeat(rows, self._bands)
        count = len(self._streams)
        if count == 1:
            self._streams[0].write(entries.tobytes())
            return
        place = (entries["key"] >> np.uint64(40)) % np.uint64(count)
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(count + 1))
        for number, stream in enumerate(self._streams):
            stream.write(entries[order[ends[number] : ends[number + 1]]].tobytes())

    def close(self) -> None:
        """Close the files; they can be read now."""
        for stream in self._streams:
            stream.close()


def _resolved(rows: _Rows, copies: I64, shared: _Shared, least: int, first: int) -> Found:
    from detectors.banding import flatten, keep_in_order, similarity

    n = rows.count
    keepers, parents = np.arange(n), np.arange(n)
    heads, entries = np.full(shared.count, -1, np.int64), np.empty((len(shared.buckets), 2), np.int64)
    keep_in_order(
        rows.minima, shared.rows, shared.indptr, shared.buckets, least, first, keepers, parents, heads, entries
    )
    copied = np.flatnonzero(copies != np.arange(n))
    copied = copied[copied >= first]
    exact = np.zeros(n, np.bool_)
    exact[copied] = keepers[copies[copied]] == copies[copied]
    keepers[copied] = keepers[copies[copied]]
    flatten(parents, np.stack([np.arange(n), copies], axis=1))
    sizes = np.bincount(parents, minlength=n)[parents]
    gone = np.flatnonzero(keepers != np.arange(n))
    alike = np.ones(n, np.float32)
    alike[gone] = similarity(rows.minima, keepers[gone], gone)
    alike[exact] = 1
    return Found(
        first=first,
        keepers=keepers,
        clusters=parents,
        sizes=sizes,
        exact=exact,
        similarity=alike,
        templated=_templated(parents, sizes, keepers != np.arange(n), alike),
        measured=np.asarray(rows.measured),
    )


def _templated(parents: I64, sizes: I64, gone: Bools, similarity: F32) -> Bools:
    """bool[n]: rows of large clusters of which half the copies or more differ from their kept row in some part."""
    n = len(parents)
    copies = np.bincount(parents, gone, minlength=n)
    loose = np.bincount(parents, gone & (similarity < _CLOSE), minlength=n)
    result: Bools = (sizes >= _LARGE) & (2 * loose >= np.maximum(copies, 1))[parents]
    return result
