"""Signatures of a corpus in files, row by row, and the keys of their bands, dealt out over files by key.

Minima are read back with reads, not through a map: the system maps files in pieces of up to megabytes, so that touching
a few rows here and there makes all of a file count as resident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audit.findings_folder import Findings
from audit.parts import part_path
from detectors.errors import FindingsError

__all__ = ["AI_TEXT", "ENTRY", "SIGNAL", "SignedRows", "read_minima", "read_signatures"]

SIGNAL = "near_dup"
AI_TEXT = "ai_text"
ENTRY = np.dtype([("key", np.uint64), ("row", np.int64)])
"""The key of one band of a row."""
_BUCKET_BYTES = 16 << 20
_MOST_FILES = 256

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class SignedRows:
    """What equal texts are told by and what orders rows, in files that are mapped; minima in a file that is not.

    Attributes:
        minima: file of the minima, row after row; see `read_minima`.
        exact: uint64[n], hash of the text.
        signature: uint64[n], hash of the minima that stand in bands.
        shingles: int32[n], n-grams.
        margin: float32[n], of the detector; infinite where there is none.
        measured: bool[n].
    """

    minima: Path
    exact: U64
    signature: U64
    shingles: I32
    margin: F32
    measured: Bools

    @property
    def count(self) -> int:
        """Rows, those of all sources."""
        return len(self.exact)


class _Spill:
    """Writes (key, row) of every band of every row, dealt out over files by key.

    Args:
        folder: where the files go.
        entries: about how many there will be.
    """

    def __init__(self, folder: Path, entries: int) -> None:
        count = int(np.clip(-(-entries * ENTRY.itemsize // _BUCKET_BYTES), 1, _MOST_FILES))
        self.paths = [folder / f"bucket-{number}" for number in range(count)]
        self._streams = [path.open("wb") for path in self.paths]

    def add(self, keys: U64, rows: I64) -> None:
        """Add uint64[n, bands] keys of int64[n] rows."""
        flat, bands = keys.ravel(), keys.shape[1]
        # One byte, which a sort that keeps the order goes through at once.
        place = ((flat >> np.uint64(40)) % np.uint64(len(self._streams))).astype(np.uint8)
        order = np.argsort(place, kind="stable")
        entries = np.empty(len(flat), ENTRY)
        entries["key"], entries["row"] = flat[order], rows[order // bands]
        ends = np.cumsum(np.bincount(place, minlength=len(self._streams)))
        for stream, first, end in zip(self._streams, [0, *ends[:-1]], ends, strict=True):
            stream.write(entries[first:end].data)

    def close(self) -> None:
        """Close the files; they can be read now."""
        for stream in self._streams:
            stream.close()


def read_signatures(
    sources: Sequence[Findings], scheme: tuple[int, int], folder: Path, advance: Callable[[int], None]
) -> tuple[SignedRows, list[Path]]:
    """Read the signatures of all sources, one after the other, into files.

    Args:
        sources: that measured `near_dup` with whole signatures.
        scheme: bands, and rows of a band.
        folder: for the files.
        advance: called with rows read.

    Returns:
        The rows, and the files of `ENTRY`, all of one key in one of them, of every row that has a signature.

    Raises:
        FindingsError: findings are missing.
    """
    from detectors.banding import band_keys
    from detectors.near_dup import signatures

    n = sum(source.rows for source in sources)
    bands, band_rows = scheme
    spill = _Spill(folder, n * bands)

    def room(name: str, kind: type[T]) -> npt.NDArray[T]:
        if not n:
            return np.zeros(n, kind)
        return np.memmap(folder / name, kind, "w+", shape=(n,))

    rows = SignedRows(
        minima=folder / "minima",
        exact=room("exact", np.uint64),
        signature=room("signature", np.uint64),
        shingles=room("shingles", np.int32),
        margin=room("margin", np.float32),
        measured=room("measured", np.bool_),
    )
    at = 0
    with rows.minima.open("wb") as stream:
        for source in sources:
            for struct in _parts(source, SIGNAL, ("minhash", "exact", "shingles")):
                span = slice(at, at + len(struct))
                minhash = struct.field("minhash")
                minima = signatures(minhash)
                stream.write(minima.data)
                keys = band_keys(minima, bands=bands, rows=band_rows)
                measured = np.asarray(struct.is_valid())
                signed = np.flatnonzero(np.asarray(minhash.is_valid()) & measured)
                spill.add(keys[signed], at + signed)
                rows.measured[span] = measured
                rows.signature[span] = keys.sum(axis=1)
                rows.exact[span] = np.asarray(struct.field("exact").fill_null(0))
                rows.shingles[span] = np.asarray(struct.field("shingles").fill_null(0))
                at += len(struct)
                advance(len(struct))
    spill.close()
    _read_margins(sources, rows.margin)
    return rows, spill.paths


def _read_margins(sources: Sequence[Findings], margins: F32) -> None:
    margins[:] = np.inf
    at = 0
    for source in sources:
        if any(signal.name == AI_TEXT for signal in source.measured):
            start = at
            for struct in _parts(source, AI_TEXT, ("margin",)):
                margin = np.asarray(struct.field("margin").cast(pa.float32()).fill_null(np.inf))
                margins[start : start + len(struct)] = np.where(np.asarray(struct.is_valid()), margin, np.inf)
                start += len(struct)
        at += source.rows


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


def read_minima(path: Path, rows: I64, permutations: int) -> U32:
    """uint32[len(rows), permutations]: the minima of these rows, in this order.

    Raises:
        OSError: the file is shorter than it was.
    """
    found = np.empty((len(rows), permutations), np.uint32)
    if not len(rows):
        return found
    order = np.argsort(rows)
    room, width = found.data.cast("B"), found.strides[0]
    with path.open("rb", buffering=0) as stream:
        for at, row in zip(order.tolist(), rows[order].tolist(), strict=True):
            stream.seek(row * width)
            if stream.readinto(room[at * width : (at + 1) * width]) != width:
                raise OSError(f"{path}: ends before row {row}.")
    return found
