"""Writes scattered rows to their files in order; a killed run goes on at the first file that is not finished."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from audit.allocator import Tide
from audit.findings_folder import write_json
from curricula.part_files import FileWriter, Receipt
from curricula.scatter import Bounds, bucket_path, ordered
from curricula.sections import Span

__all__ = ["Scattered", "write_ordered"]

Opened = Callable[[Iterable[Span], Callable[[Receipt], None]], FileWriter]


@dataclass(frozen=True)
class Scattered:
    """Rows that lie in buckets by position.

    Attributes:
        folders: each with a part of every bucket.
        rows: positions in all.
        width: positions of a bucket.
        finer: folder for ranges that are too large for memory.
        bounds: of memory and open files.
    """

    folders: Sequence[Path]
    rows: int
    width: int
    finer: Path
    bounds: Bounds

    def files(self, start: int) -> list[Path]:
        """The files of the bucket that begins with a position."""
        return [bucket_path(folder, start // self.width) for folder in self.folders]

    def tables(self, start: int) -> Iterator[pa.Table]:
        """The rows of a bucket in order."""
        return ordered(self.files(start), start, min(self.rows, start + self.width), self.finer, self.bounds)


def write_ordered(
    scattered: Scattered, spans: Sequence[Span], opened: Opened, done: Path, advance: Callable[[int], None]
) -> list[Receipt]:
    """Write the files that have no record yet, and remove buckets that are no longer needed.

    Args:
        scattered: the rows.
        spans: of all files, in order.
        opened: makes a writer of some of them.
        done: folder of the records.
        advance: called with rows written.

    Returns:
        Receipts of all files, in order.
    """
    done.mkdir(parents=True, exist_ok=True)
    receipts: list[Receipt] = []
    while (record := _record(done, len(receipts))).exists():
        receipts.append(Receipt(**json.loads(record.read_text("utf-8"))))

    def finished(receipt: Receipt) -> None:
        write_json(_record(done, len(receipts)), dataclasses.asdict(receipt))
        receipts.append(receipt)

    writer = opened(spans[len(receipts) :], finished)
    first, kept, tide = writer.done, list[int](), Tide()
    for start in range(0, scattered.rows, scattered.width):
        tide.turn()
        if start + scattered.width > first:
            position = start
            for table in scattered.tables(start):
                for batch in table.to_batches():
                    skip = min(batch.num_rows, max(0, int(first) - position))
                    position += batch.num_rows
                    if skip < batch.num_rows:
                        advance(batch.num_rows - skip)
                        writer.write(batch, skip)
        kept = [begin for begin in [*kept, start] if not _removed(scattered, begin, writer.done)]
    writer.close()
    return receipts


def _removed(scattered: Scattered, start: int, done: float) -> bool:
    """Remove a bucket if all of its rows are in finished files."""
    if min(scattered.rows, start + scattered.width) > done:
        return False
    for file in scattered.files(start):
        file.unlink(missing_ok=True)
    return True


def _record(done: Path, number: int) -> Path:
    return done / f"{number:06d}.json"
