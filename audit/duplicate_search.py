"""Searches a corpus for duplicates: signatures in files, bands sorted on disk, then row by row who is kept.

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

import numpy as np
import numpy.typing as npt

from audit.allocator import give_back
from audit.findings_folder import Findings
from audit.signature_rows import AI_TEXT, ENTRY, SIGNAL, SignedRows, read_minima, read_signatures
from detectors.errors import FindingsError

__all__ = ["AI_TEXT", "KEEP", "SIGNAL", "Found", "find_duplicates"]

KEEP = ("human", "long", "first")
_LARGE, _CLOSE = 10, 0.95
_COMPARED_ROWS = 65_536
_SORTED_ROWS = 1 << 18

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32] | npt.NDArray[np.int64]
"""Numbers of rows, int32 where that is wide enough: there is one for each row of the corpus, several times."""
U32 = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """What was found, row by row in corpus order, rows of the reference in front.

    Attributes:
        first: rows of the reference.
        keepers: int32[n] or int64[n], the row that is kept in place of each; a row that is kept is its own.
        clusters: int32[n] or int64[n], least row of the cluster.
        sizes: int32[n] or int64[n], rows of the cluster.
        exact: bool[n], text equal to the keeper's.
        similarity: float32[n], with the keeper.
        templated: bool[n], see `audit.duplicates.Duplicates`.
        measured: bool[n]; other rows stand alone.
    """

    first: int
    keepers: Numbers
    clusters: Numbers
    sizes: Numbers
    exact: Bools
    similarity: F32
    templated: Bools
    measured: Bools


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

    On disk it takes about as much as the signatures, and 16 bytes a row and band; in memory some 50 bytes a row, 48
    for each band that a row shares with another, and the signatures of 65,536 rows, or of those that hang together.

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
        rows, paths = read_signatures(sources, optimal_bands(threshold, permutations), folder, advance)
        first = reference.rows if reference else 0
        rank = _rank(rows, keep, first)
        copies = _copies(rows, rank)
        minima, measured = rows.minima, np.array(rows.measured)
        del rows  # and with it the maps
        give_back()
        shared = _shared(paths, copies, rank)
        del rank
        give_back()
        least = int(np.ceil(threshold * permutations - 1e-9))

        def read(chosen: I64) -> U32:
            return read_minima(minima, chosen, permutations)

        return _resolved(copies, measured, shared, read, least, first)
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


def _numbered(n: int) -> Numbers:
    """Numbers of n rows, each its own."""
    return np.arange(n, dtype=np.int32) if n <= np.iinfo(np.int32).max else np.arange(n, dtype=np.int64)


def _rank(rows: SignedRows, keep: Sequence[str], first: int) -> Numbers:
    """int[n]: place of each row in the order of keeping."""
    keys: dict[str, npt.NDArray[np.generic]] = {"human": rows.margin, "long": -rows.shingles}
    outside = np.ones(rows.count, np.bool_)
    outside[:first] = False
    chosen = [keys[name] for name in keep[: keep.index("first") if "first" in keep else None]]
    # The last key decides first, and rows that all keys find equal stay in order.
    order = np.lexsort([*reversed(chosen), outside])
    numbers = _numbered(rows.count)
    rank = np.empty_like(numbers)
    rank[order] = numbers
    return rank


def _copies(rows: SignedRows, rank: Numbers) -> Numbers:
    """int[n]: the first row, in the order of keeping, of equal text; a row without a copy before it is its own."""
    first = _numbered(rows.count)
    # Some rows at a time, and all of one text among them, for a sort takes several times the memory of what is sorted.
    parts = int(np.clip(rows.count // _SORTED_ROWS, 1, 256))
    place = ((rows.exact >> np.uint64(48)) % np.uint64(parts)).astype(np.uint8)
    for part in range(parts):
        order = np.flatnonzero((place == part) & rows.measured)
        order = order[np.lexsort((rank[order], rows.exact[order]))]
        begins = _begins(rows.exact[order])
        leaders = np.repeat(order[begins], np.diff(np.r_[begins, len(order)]))
        # Two texts may have one 64-bit hash; that they have one signature and length too is out of the question.
        same = (rows.signature[leaders] == rows.signature[order]) & (rows.shingles[leaders] == rows.shingles[order])
        first[order[same]] = leaders[same]
    return first


def _begins(values: npt.NDArray[np.generic]) -> I64:
    """int64[runs]: where each run of equal values begins."""
    return np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Shared:
    """Buckets of two rows or more: `rows` in the order of keeping, and the buckets of each."""

    rows: I64
    indptr: I64
    buckets: I64
    count: int


def _shared(paths: Sequence[Path], copies: Numbers, rank: Numbers) -> _Shared:
    members, numbers, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for path in paths:
        entries = np.fromfile(path, ENTRY)
        path.unlink()
        # A copy of a text shares all its bands.
        entries = entries[copies[entries["row"]] == entries["row"]]
        keys = np.ascontiguousarray(entries["key"])
        # Not stable, which is faster: rows are put in order of keeping afterwards.
        order = np.argsort(keys)
        keys = keys[order]
        edges = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1], True]) if len(keys) else np.zeros(1, np.int64)
        sizes = np.diff(edges)
        several = sizes > 1
        members.append(entries["row"][order[np.repeat(several, sizes)]])
        numbers.append(count + np.repeat(np.arange(several.sum()), sizes[several]))
        count += int(several.sum())
    row, bucket = np.concatenate(members), np.concatenate(numbers)
    order = np.lexsort((bucket, rank[row]))
    row, bucket = row[order], bucket[order]
    begins = _begins(row)
    return _Shared(row[begins], np.r_[begins, len(row)].astype(np.int64), bucket, count)


def _batches(shared: _Shared) -> Iterator[_Shared]:
    """Rows that have no bucket in common with any other batch, some ten thousand at once, each in the order of keeping.

    What shares buckets, directly or through others, hangs together, and stays together however much it is.
    """
    from detectors.banding import joined

    groups = joined(shared.indptr, shared.buckets, shared.count)
    order = np.argsort(groups, kind="stable")
    ends = np.r_[_begins(groups[order])[1:], len(order)]
    spans = np.diff(shared.indptr)
    at = 0
    while at < len(order):
        last = np.searchsorted(ends, at + _COMPARED_ROWS, side="right") - 1
        stop = int(ends[max(last, np.searchsorted(ends, at, side="right"))])
        chosen = order[at:stop]
        sizes = spans[chosen]
        indptr = np.r_[0, np.cumsum(sizes)]
        places = np.repeat(shared.indptr[chosen] - indptr[:-1], sizes) + np.arange(indptr[-1])
        yield _Shared(shared.rows[chosen], indptr, shared.buckets[places], shared.count)
        at = stop


def _resolved(
    copies: Numbers, measured: Bools, shared: _Shared, minima: Callable[[I64], U32], least: int, first: int
) -> Found:
    from detectors.banding import flatten, keep_in_order

    n = len(copies)
    keepers, parents, alike = _numbered(n), _numbered(n), np.ones(n, np.float32)
    heads = np.full(shared.count, -1, np.int64)
    for batch in _batches(shared):
        entries = np.empty((len(batch.buckets), 2), np.int64)
        span = batch.rows, batch.indptr, batch.buckets
        keep_in_order(minima(batch.rows), span, (least, first), (keepers, parents, alike), (heads, entries))
    copied = np.flatnonzero(copies != _numbered(n))
    flatten(parents, np.stack([copied, copies[copied]], axis=1))
    copied = copied[copied >= first]
    originals = copies[copied]
    exact = np.zeros(n, np.bool_)
    exact[copied] = keepers[originals] == originals
    keepers[copied], alike[copied] = keepers[originals], alike[originals]
    sizes = _numbered(n)
    np.take(np.bincount(parents, minlength=n).astype(sizes.dtype), parents, out=sizes)
    return Found(
        first=first,
        keepers=keepers,
        clusters=parents,
        sizes=sizes,
        exact=exact,
        similarity=alike,
        templated=_templated(parents, sizes, keepers != _numbered(n), alike),
        measured=measured,
    )


def _templated(parents: Numbers, sizes: Numbers, gone: Bools, similarity: F32) -> Bools:
    """bool[n]: rows of large clusters of which half the copies or more differ from their kept row in some part."""
    n = len(parents)
    copies = np.bincount(parents[gone], minlength=n)
    loose = np.bincount(parents[gone & (similarity < _CLOSE)], minlength=n)
    loose *= 2
    result: Bools = (sizes >= _LARGE) & ((loose >= copies) & (copies > 0))[parents]
    return result
