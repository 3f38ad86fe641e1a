"""Verifies a manifest: recounts and re-digests every file, and proves that each input row is in the output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.corpus import Shard, open_shard
from audit.folders import Folder
from audit.rows import locate
from audit.storage import is_remote
from curricula.edits_check import Edits
from curricula.form_files import MASK
from curricula.manifest import (
    Manifest,
    SeriesRecord,
    accounting,
    decode_schema,
    modular_sum,
    same_schema,
)
from curricula.manifest_reader import curated_at, read_manifest
from curricula.part_files import Receipt, sha256
from curricula.row_hash import hash_rows, place, total
from curricula.stored import compacted, recast
from detectors.errors import FoxingError

__all__ = ["Verification", "verify"]

_Origins = dict[str, tuple[int, int]]  # of a file of dropped rows: shard to rows and the sum of their hashes


@dataclass
class Verification:
    """What was checked and what did not match.

    Attributes:
        manifest: as read.
        problems: mismatches, each naming the file, what was expected and what was found.
        files: output files that were read.
        rows: rows read from them.
        inputs: inputs that were read.
        absent: inputs that are no longer where they were: their rows were checked against recorded sums only.
        remote: inputs at URLs, which were not asked for: the same holds.
    """

    manifest: Manifest
    problems: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    inputs: int = 0
    absent: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)

    @property
    def return_code(self) -> int:
        """0 when all matches, else 1."""
        return 1 if self.problems else 0


def verify(
    path: Path | str,
    *,
    corpus: str | None = None,
    remote: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Check the output of a curate against its manifest, and the inputs where they still are.

    Args:
        path: path or URL of the manifest, or of the folder that it is in. From a store each file is fetched once, to
            a temporary one.
        corpus: folder that the inputs were moved to.
        remote: read inputs at URLs that the manifest names, which may be anyone's; they are left alone otherwise.
        advance: called with bytes of files done.

    Raises:
        InputError: the manifest cannot be read.
    """
    found = Verification(read_manifest(path))
    out, _ = curated_at(path)
    found.problems += [f"manifest: {problem}" for problem in accounting(found.manifest)]
    _check_strangers(found, out)
    with _plan_of(found, out) as plan:
        edited = [_edits_of(found, plan, series) for series in found.manifest.series]
    for series, edits in zip(found.manifest.series, edited, strict=True):
        schema = series.arrow_schema()
        for receipt in found.manifest.data:
            if receipt.series == series.name:
                _check_file(found, out, receipt, schema, len(schema), edits)
                advance(receipt.size_bytes)
        if edits is not None:
            found.problems += edits.missing(
                sum(shard.unedited for shard in found.manifest.inputs if shard.series == series.name)
            )
        _check_dropped(found, out, series, advance)
    for receipt in found.manifest.masks:
        _check_mask(found, out, receipt)
    for at in range(len(found.manifest.inputs)):
        _check_input(found, at, corpus, remote=remote)
        advance(found.manifest.inputs[at].size_bytes)
    return found


def _check_strangers(found: Verification, out: Folder) -> None:
    """A file beside ours would be read as training data; a name that leads out of the folder is never followed."""
    manifest = found.manifest
    known = {receipt.path for receipt in (*manifest.data, *manifest.dropped, *manifest.masks)}
    for folder in ("data", "dropped", "mask"):
        found.problems += [f"{name}: is not in the manifest" for name in sorted(out.sizes(folder)) if name not in known]


@contextmanager
def _plan_of(found: Verification, out: Folder) -> Iterator[Path | None]:
    """The plan, once its digest was checked; None where there is none to be read."""
    path = str(found.manifest.plan["path"])
    if not out.holds(path):
        found.problems.append(f"{path}: leads out of {out} or is no name, and was not read")
    elif out.size(path) is None:
        found.problems.append(f"{path}: is missing")
    else:
        with ExitStack() as stack:
            yield _checked(found, out, path, str(found.manifest.plan["sha256"]), stack)
        return
    yield None


def _checked(found: Verification, out: Folder, path: str, digest: str, stack: ExitStack) -> Path | None:
    """A file whose digest was looked at, there until the stack is closed; None where it cannot be read."""
    try:
        file = stack.enter_context(out.fetched(path))
        if sha256(file) != digest:
            found.problems.append(f"{path}: its SHA-256 is not the recorded one")
    except OSError as error:
        found.problems.append(f"{path}: cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})")
        return None
    return file


def _edits_of(found: Verification, plan: Path | None, series: SeriesRecord) -> Edits | None:
    """What was to be edited in a series, as the plan has it; None where nothing was."""
    if not series.original or plan is None:
        return None
    shards = [shard.key for shard in found.manifest.inputs if shard.series == series.name]
    try:
        return Edits.of(plan, shards, series)
    except (FoxingError, pa.ArrowException) as error:
        found.problems.append(f"edits of {series.name or 'data/'}: {str(error).splitlines()[0]}")
        return None


def _check_file(
    found: Verification, out: Folder, receipt: Receipt, schema: pa.Schema, hashed: int, edits: Edits | None = None
) -> _Origins | None:
    """Digest, rows, schema, content and order of one file; in dropped/, also its shard column and row hashes."""
    if not out.holds(receipt.path):
        found.problems.append(
            f"{receipt.path}: leads out of {out} or is no name, and was not read ({receipt.rows:,} rows)"
        )
        return None
    if out.size(receipt.path) is None:
        found.problems.append(f"{receipt.path}: is missing ({receipt.rows:,} rows)")
        return None
    found.files += 1
    try:
        with out.fetched(receipt.path) as file, _digested(found, receipt, file) as opened:
            stored = pa.schema(list(opened.schema_arrow)[:hashed], metadata=opened.schema_arrow.metadata)
            if not same_schema(stored, schema):
                found.problems.append(f"{receipt.path}: its schema or metadata is not that of the inputs")
                return None
            if edits is not None and opened.schema_arrow.names[hashed:] != [edits.name]:
                found.problems.append(f"{receipt.path}: has no column {edits.name!r}, or others besides")
                return None
            return _check_rows(found, receipt, opened.iter_batches(batch_size=4096), hashed, edits)
    except (FoxingError, pa.ArrowException, OSError, ValueError) as error:  # a name or value may be no UTF-8
        found.problems.append(f"{receipt.path}: cannot be read ({(str(error).splitlines() or ['damaged'])[0]})")
        return None


def _digested(found: Verification, receipt: Receipt, file: Path) -> pq.ParquetFile:
    if sha256(file) != receipt.sha256:
        found.problems.append(f"{receipt.path}: its SHA-256 is not the recorded one")
    return pq.ParquetFile(file, pre_buffer=False)


def _check_rows(
    found: Verification, receipt: Receipt, batches: Iterable[pa.RecordBatch], hashed: int, edits: Edits | None
) -> _Origins:
    content, order, rows = 0, 0, 0
    origins: list[pa.RecordBatch] = []
    for batch in batches:
        stood = batch
        if edits is not None:
            found.problems += edits.check(batch, receipt.first + rows, receipt.path)
            stood = edits.restored(batch)
        hashes = hash_rows(compacted(stood.select(list(range(hashed)))))
        positions = np.arange(receipt.first + rows, receipt.first + rows + batch.num_rows, dtype=np.int64)
        content, order = content + total(hashes), order + total(place(hashes, positions))
        rows += batch.num_rows
        if batch.num_columns > hashed and edits is None:
            shards = batch.column(hashed).cast(pa.string())
            origins.append(pa.record_batch([shards, pa.array(hashes)], names=["shard", "hash"]))
    found.rows += rows
    if rows != receipt.rows:
        found.problems.append(f"{receipt.path}: {rows:,} rows, {receipt.rows:,} recorded")
    if content % 2**64 != receipt.content:
        found.problems.append(f"{receipt.path}: its rows are not the recorded ones")
    elif order % 2**64 != receipt.order:
        found.problems.append(f"{receipt.path}: its rows are in another order")
    return _per_shard(origins)


def _per_shard(origins: list[pa.RecordBatch]) -> _Origins:
    schema = pa.schema([("shard", pa.string()), ("hash", pa.uint64())])
    table = pa.Table.from_batches(origins, schema=schema).group_by("shard")
    summed = table.aggregate([("hash", "sum"), ("hash", "count")]).to_pylist()
    return {row["shard"]: (row["hash_count"], row["hash_sum"]) for row in summed}


def _check_dropped(found: Verification, out: Folder, series: SeriesRecord, advance: Callable[[int], None]) -> None:
    schema = series.arrow_schema()
    sums: dict[str, tuple[int, int]] = {}
    whole = True
    for receipt in found.manifest.dropped:
        if receipt.series != series.name:
            continue
        origins = _check_file(found, out, receipt, schema, len(schema))
        advance(receipt.size_bytes)
        whole = whole and origins is not None
        for shard, (more, added) in (origins or {}).items():
            rows, content = sums.get(shard, (0, 0))
            sums[shard] = rows + more, modular_sum((content, added))
    if not whole:
        return
    for record in found.manifest.inputs:
        if record.series == series.name and sums.get(record.key, (0, 0)) != (record.dropped, record.dropped_content):
            found.problems.append(f"dropped/: rows of {record.key} are not the {record.dropped:,} recorded ones")


def _check_mask(found: Verification, out: Folder, receipt: Receipt) -> None:
    """A file of forms must be the one that was written, with a row for each of the file that it is of."""
    beside = [data.rows for data in found.manifest.data if data.path == f"data{receipt.path.removeprefix(MASK)}"]
    if beside != [receipt.rows]:
        found.problems.append(f"{receipt.path}: is beside no file of data/ with {receipt.rows:,} rows")
    elif not out.holds(receipt.path) or out.size(receipt.path) is None:
        found.problems.append(f"{receipt.path}: is missing ({receipt.rows:,} rows)")
    else:
        found.files += 1
        with ExitStack() as stack:
            _checked(found, out, receipt.path, receipt.sha256, stack)


def _check_input(found: Verification, at: int, corpus: str | None, *, remote: bool) -> None:
    """An input that is still there must be the one that was read, and its rows those that the manifest sums."""
    record = found.manifest.inputs[at]
    if corpus is None and not remote and is_remote(record.uri):
        found.remote.append(record.key)
        return
    try:
        where = locate(record.uri, record.key, corpus=corpus)
    except (OSError, ValueError):  # a name that no file can have
        where = None
    if where is None:
        found.absent.append(record.key)
        return
    try:
        shard = open_shard(where, record.format, key=record.key, size_bytes=record.size_bytes)
        found.inputs += 1
        if shard.digest() != record.digest:
            found.problems.append(f"{where}: changed since it was curated (SHA-256 differs)")
            return
        series = next(series for series in found.manifest.series if series.name == record.series)
        rows, content = _sum_input(shard, series)
    except (FoxingError, pa.ArrowException, ValueError) as error:
        found.problems.append(f"{where}: cannot be read ({str(error).splitlines()[0]})")
        return
    if rows != record.rows or content != record.content:
        found.problems.append(f"{where}: its {rows:,} rows are not the {record.rows:,} that the output accounts for")
    if record.schema and not same_schema(shard.schema(), decode_schema(record.schema)):
        found.problems.append(f"{where}: its schema is not the recorded one")


def _sum_input(shard: Shard, series: SeriesRecord) -> tuple[int, int]:
    rows, content = 0, 0
    for batch in shard.batches(None):
        rows += batch.num_rows
        content += total(hash_rows(compacted(recast(batch, series.arrow_schema()))))
    return rows, content % 2**64
