"""Undoes a curate: rebuilds the rows that went in, in their order and file by file, from what came out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audit.destination import local_folder
from audit.findings_folder import write_json
from audit.folders import Folder, LocalFolder, sync
from audit.lock import locked
from curricula.edits_check import kept_answers
from curricula.manifest import InputShard, Manifest, SeriesRecord, accounting, decode_schema
from curricula.manifest_reader import curated_at, read_manifest
from curricula.part_files import Layout, Receipt, sha256
from curricula.plan import PlanCursor
from curricula.row_hash import hash_rows, total
from curricula.scatter import Buckets, bucket_path, ordered
from curricula.stored import as_array, as_numbers, compacted, in_transit, logical_bytes, recast, storable
from detectors.errors import InputError, OutputError

__all__ = ["Undone", "undo"]

I64 = npt.NDArray[np.int64]
LOCK, WORK = ".lock", ".work"
_PARQUET = ".parquet"
_ROWS = 4096
_REMEDY = "Without it rows are missing. Run foxing verify."


@dataclass(frozen=True)
class Undone:
    """What was rebuilt: files in corpus order, and their rows."""

    files: tuple[Path, ...]
    rows: int


def undo(path: Path | str, out: Path | str, *, advance: Callable[[int], None] = lambda _: None) -> Undone:
    """Rebuild every input as a Parquet file: its rows in their order, its columns, and the answers that stood there.

    Rows are those of data/ (of copies the first) and dropped/, put in order by the plan. Each file is held against the
    rows and the content that the manifest recorded; only when all of them agree does any get its name.

    Args:
        path: path or URL of the manifest, or of the folder that it is in.
        out: a new or empty folder on disk, or one that a killed undo of the same manifest left.
        advance: called with rows read.

    Raises:
        InputError: a manifest that cannot be read, or output that is missing or not what was recorded.
        OutputError: `out` holds something else, or another process is writing it.
    """
    manifest = read_manifest(path)
    curated, _ = curated_at(path)
    folder = local_folder(out)
    _check(manifest, curated)
    names = _names(manifest, folder)
    _refuse(folder, curated, manifest)
    with locked(folder, LOCK):
        _refuse(folder, curated, manifest)  # another undo may have been here since
        work = folder / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        write_json(work / "run.json", {"run": manifest.run})
        for series in manifest.series:
            _Series(manifest, series, curated, work, advance).rebuild()
        for number, name in enumerate(names):
            name.parent.mkdir(parents=True, exist_ok=True)
            _file(work, number).replace(name)
        shutil.rmtree(work)
        (folder / LOCK).unlink()
    return Undone(tuple(names), manifest.totals()["rows"])


def _check(manifest: Manifest, curated: Folder) -> None:
    """Nothing is made room for on the word of a manifest alone: the files must have the rows, and the inputs no more.

    Raises:
        InputError: rows that do not add up, or a file without them.
    """
    if problems := accounting(manifest):
        raise InputError(f"manifest: rows do not add up ({'; '.join(problems[:3])}). Nothing can be undone.")
    if gone := [shard for shard in manifest.inputs if shard.errored or shard.kept > shard.rows_out]:
        raise InputError(f"manifest: not every row of {gone[0].key} was written. Nothing can be undone.")
    for receipt in (*manifest.data, *manifest.dropped):
        rows = -1
        try:
            if inside := curated.holds(receipt.path):
                with curated.open(receipt.path) as handle:
                    rows = pq.read_metadata(handle).num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{receipt.path}: {str(error).splitlines()[0]}. {_REMEDY}") from error
        if rows != receipt.rows:
            there = f"holds {rows:,} rows, {receipt.rows:,} were written" if inside else "leads out of its folder"
            raise InputError(f"{receipt.path}: {there}. {_REMEDY}")


def _names(manifest: Manifest, folder: Path) -> list[Path]:
    """A file of its own for each input, by its key."""
    names: dict[Path, str] = {}
    folders = {folder / parent for shard in manifest.inputs for parent in PurePosixPath(shard.key).parents}
    for shard in manifest.inputs:
        key = shard.key if shard.format == "parquet" and shard.key.endswith(_PARQUET) else f"{shard.key}{_PARQUET}"
        while folder / key in names or folder / key in folders:
            key += _PARQUET
        if not LocalFolder(folder).holds(key) or PurePosixPath(key).parts[:1] in ((), (WORK,), (LOCK,)):
            raise InputError(f"{shard.key}: leads out of {folder}. The manifest was not written by foxing curate.")
        names[folder / key] = shard.key
    return list(names)


def _refuse(folder: Path, curated: Folder, manifest: Manifest) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file. Name a folder with -o.")
    if curated.local is not None:
        here, there = folder.resolve(), curated.local.resolve()
        if here.is_relative_to(there) or there.is_relative_to(here):
            raise OutputError(f"{folder}: and {curated} are one inside the other. Choose another -o.")
    record = folder / WORK / "run.json"
    ours = record.is_file() and json.loads(record.read_text("utf-8")).get("run") == manifest.run
    if folder.is_dir() and not ours and any(entry.name != LOCK for entry in folder.iterdir()):
        raise OutputError(f"{folder}: is not empty. Choose a new folder.")


def _batches(file: Path, receipt: Receipt, schema: pa.Schema) -> Iterator[tuple[int, pa.RecordBatch]]:
    if sha256(file) != receipt.sha256:
        raise OSError("is not the file that was written (SHA-256 differs)")
    first = receipt.first
    with pq.ParquetFile(file, pre_buffer=False) as opened:
        if [entry.type for entry in opened.schema_arrow][: len(schema)] != [one.type for one in schema]:
            raise OSError("has another schema")
        for batch in opened.iter_batches(batch_size=_ROWS):
            yield first, batch
            first += batch.num_rows


def _file(work: Path, number: int) -> Path:
    return work / f"{number:06d}{_PARQUET}"


@dataclass(frozen=True)
class _Series:
    """The inputs of one schema."""

    manifest: Manifest
    record: SeriesRecord
    curated: Folder
    work: Path
    advance: Callable[[int], None]
    layout: Layout = field(default_factory=Layout)

    @property
    def members(self) -> list[tuple[int, InputShard]]:
        """Inputs and their places in the corpus."""
        return [(at, shard) for at, shard in enumerate(self.manifest.inputs) if shard.series == self.record.name]

    @property
    def starts(self) -> I64:
        """Position of each input's first row among those of the series, and the number of rows."""
        return np.cumsum([0, *(shard.rows for _, shard in self.members)], dtype=np.int64)

    @property
    def transit(self) -> pa.Schema:
        """The schema of the rows on their way."""
        return pa.schema([entry.with_type(in_transit(entry.type)) for entry in self.record.arrow_schema()])

    def rebuild(self) -> None:
        """Write the files of the series to the work folder."""
        rows = int(self.starts[-1])
        width = max(1, int(self.layout.bounds.bucket_bytes / self._row_bytes()))
        width *= max(1, -(-rows // (width * self.layout.bounds.fanout)))
        scattered = self.work / "rows"
        buckets = Buckets(scattered, 0, width, self.layout.bounds.chunk_bytes)
        for batch, positions in (*self._kept(), *self._dropped()) if rows else ():
            self.advance(batch.num_rows)
            buckets.add(batch, positions)
        buckets.close()
        self._write(self._ordered(scattered, width, rows))
        shutil.rmtree(scattered)

    def _ordered(self, folder: Path, width: int, rows: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, width):
            stop = min(rows, start + width)
            for table in ordered(
                [bucket_path(folder, start // width)], start, stop, self.work / "finer", self.layout.bounds
            ):
                yield from table.to_batches()

    def _row_bytes(self) -> float:
        for _, batch in self._read(self.manifest.data):
            return float(max(1.0, logical_bytes(batch) / batch.num_rows))
        return 1.0

    def _read(self, receipts: Sequence[Receipt]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of files of the series, each with the position of its first row; read columns are checked."""
        schema = self.record.arrow_schema()
        for receipt in receipts:
            if receipt.series != self.record.name:
                continue
            try:
                if not self.curated.holds(receipt.path):
                    raise OSError("leads out of its folder")
                with self.curated.fetched(receipt.path) as file:
                    yield from _batches(file, receipt, schema)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise InputError(f"{receipt.path}: {str(error).splitlines()[0]}. {_REMEDY}") from error

    def _kept(self) -> Iterator[tuple[pa.RecordBatch, I64]]:
        """The first copy of every kept row, as it was read, with its position among the rows of the series."""
        origin = self._origins()
        kept = kept_answers(self.record) if self.record.original else None
        for first, batch in self._read(self.manifest.data):
            came = origin[first : first + batch.num_rows]
            if len(came) < batch.num_rows:
                raise InputError(f"{self.curated}: data/ holds more rows than were recorded. Run foxing verify.")
            chosen = np.flatnonzero(came >= 0)
            if kept is not None:
                batch = kept.restored(recast(batch, kept.widened(kept.editor.schema)))
            yield self._narrow(batch, chosen), came[chosen]

    def _origins(self) -> I64:
        """int64[rows out]: where the row at each output position came from; -1 for further copies."""
        origin = np.full(self.record.places.rows, -1, np.int64)
        name = str(self.manifest.plan["path"])
        if not self.curated.holds(name) or self.curated.size(name) is None:
            raise InputError(f"{self.curated}: the plan is missing, and with it the order. Nothing can be undone.")
        with self.curated.fetched(name) as plan:
            if sha256(plan) != self.manifest.plan["sha256"]:
                where = self.curated.at(name)
                raise InputError(f"{where}: is not the file that was written (SHA-256 differs). Run foxing verify.")
            self._read_origins(plan, origin)
        return origin

    def _read_origins(self, plan: Path, origin: I64) -> None:
        places = self.record.places
        edges = np.cumsum([0, *(shard.rows for shard in self.manifest.inputs)]).tolist()
        for (at, shard), start in zip(self.members, self.starts.tolist(), strict=False):
            cursor = PlanCursor(plan, edges[at], ["rank", "copies"])
            table = cursor.read(shard.rows)
            cursor.close()
            there = np.flatnonzero(as_numbers(table.column("copies")))
            rank = as_numbers(table.column("rank"))[there]
            if len(rank) and not 0 <= rank.min() <= rank.max() < len(origin):
                raise InputError(f"{plan.name}: places rows beyond the output. Run foxing verify.")
            origin[places.final(rank)] = start + there

    def _dropped(self) -> Iterator[tuple[pa.RecordBatch, I64]]:
        """Dropped rows, with their position among the rows of the series."""
        starts = {shard.key: start for (_, shard), start in zip(self.members, self.starts.tolist(), strict=False)}
        shard_name, row_name, *_ = self.record.dropped_columns
        for _, batch in self._read(self.manifest.dropped):
            said = [batch.column(name) for name in (shard_name, row_name) if name in batch.schema.names]
            if [str(one.type) for one in said] != ["string", "int64"] or any(one.null_count for one in said):
                raise InputError(f"{self.curated}: dropped/ does not say where its rows came from. Run foxing verify.")
            names, of = np.unique(np.asarray(batch.column(shard_name).cast(pa.string())), return_inverse=True)
            if strange := set(names.tolist()) - set(starts):
                raise InputError(f"{self.curated}: dropped/ names shards that are no inputs ({strange.pop()}).")
            first = np.array([starts[name] for name in names.tolist()], np.int64)
            position = first[of] + as_numbers(batch.column(row_name))
            if len(position) and (position.min() < 0 or position.max() >= self.starts[-1]):
                raise InputError(f"{self.curated}: dropped/ has rows that no input had. Run foxing verify.")
            yield self._narrow(batch, np.arange(batch.num_rows)), position

    def _narrow(self, batch: pa.RecordBatch, rows: I64) -> pa.RecordBatch:
        whole = batch.select(list(range(len(self.transit))))
        return compacted(recast(whole, self.transit)).take(as_array(rows))

    def _write(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Cut the rows into files, each as long as its input was."""
        held = next(batches, None)
        for at, shard in self.members:
            own = decode_schema(shard.schema) if shard.schema else self.record.arrow_schema()
            schema, compliant = storable(own)
            content, left = 0, shard.rows
            file = _file(self.work, at)
            with pq.ParquetWriter(
                file, schema, compression="zstd", compression_level=1, use_compliant_nested_type=compliant
            ) as writer:
                while left and held is not None:
                    piece = held.slice(0, left)
                    content += total(hash_rows(compacted(piece)))
                    writer.write_batch(recast(compacted(piece), schema))
                    left -= piece.num_rows
                    rest = held.slice(piece.num_rows)
                    held = rest if rest.num_rows else next(batches, None)
            sync(file)
            if left or content % 2**64 != shard.content:
                raise InputError(
                    f"{shard.key}: what was rebuilt is not what was recorded, so none is written. Run foxing verify."
                )
