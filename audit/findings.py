"""Findings: what a scan measured, as Parquet parts aligned row by row with the corpus, and their commit record."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit.signature import corpus_hash, signature
from detectors.errors import FindingsError, OutputError

if TYPE_CHECKING:
    import polars as pl

    from detectors.protocols import Signal

__all__ = [
    "FORMAT_VERSION",
    "FailedShard",
    "Findings",
    "PartIdentity",
    "PartWriter",
    "ShardRecord",
    "SignalRecord",
    "empty_part",
    "part_path",
    "read_identity",
    "write_json",
]

FORMAT_VERSION = 1
RECORD = "scan.json"
ROWS_PER_GROUP = 65_536
COLUMN_PREFIX = "column."
_METADATA_KEY = b"foxing"


@dataclass(frozen=True)
class PartIdentity:
    """What a part's numbers depend on. Resuming is gated on this alone.

    Attributes:
        signal: name of the signal.
        version: of the signal.
        config: settings of the signal, JSON-ready.
        seed: of the scan.
        layout: the columns that were read as text.
        digest: of the shard.
        first_row: position of the part's first row in the shard.
    """

    signal: str
    version: int
    config: Mapping[str, object]
    seed: int
    layout: str
    digest: str
    first_row: int

    def differences(self, found: PartIdentity) -> list[str]:
        """What is different in `found`, in words: `seed: 17 before, 18 now`."""
        changes = []
        for spec in dataclasses.fields(self):
            now, before = getattr(self, spec.name), getattr(found, spec.name)
            if now == before:
                continue
            if spec.name == "config":
                keys = sorted(set(now) | set(before))
                changes += [
                    f"{self.signal}.{key}: {before.get(key)!r} before, {now.get(key)!r} now"
                    for key in keys
                    if now.get(key) != before.get(key)
                ]
            else:
                changes.append(f"{spec.name}: {_short(before)} before, {_short(now)} now")
        return changes


def _short(value: object) -> str:
    text = str(value)
    return text[:19] + "…" if text.startswith("sha256:") else repr(value)


@dataclass(frozen=True)
class SignalRecord:
    """A signal as it was run."""

    name: str
    version: int
    config: Mapping[str, Any]
    config_hash: str


@dataclass(frozen=True)
class ShardRecord:
    """A shard as it was scanned.

    Attributes:
        key: its name in findings.
        uri: where it was.
        format: parquet, jsonl, arrow, csv or text.
        rows: number of rows.
        size_bytes: of the file.
        digest: `sha256:HEX` of the file.
        layout: columns read as text.
        columns: name to Arrow type of every column.
        parts: first row of each part.
    """

    key: str
    uri: str
    format: str
    rows: int
    size_bytes: int
    digest: str
    layout: str
    columns: Mapping[str, str]
    parts: tuple[int, ...]


@dataclass(frozen=True)
class FailedShard:
    """A shard that could not be scanned: the others were, and the run said so."""

    uri: str
    code: str
    message: str


def part_path(directory: Path, signal: str, key: str, first_row: int) -> Path:
    """`findings/<signal>/<shard>/part-<first row>.parquet`."""
    return directory / "findings" / safe_name(signal) / key / f"part-{first_row:012d}.parquet"


def safe_name(signal: str) -> str:
    """A signal's folder; column names come from data, so what is unsafe in a path is written as hex."""
    return re.sub(r"[^\w.-]", lambda found: f"%{ord(found.group()):x}", signal)


def read_identity(path: Path) -> PartIdentity | None:
    """The identity in a part's footer; None where there is no whole part."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        fields = json.loads(metadata[_METADATA_KEY])
        return PartIdentity(**{spec.name: fields[spec.name] for spec in dataclasses.fields(PartIdentity)})
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return None


class PartWriter:
    """Writes one part under a temporary name and renames it when it is whole."""

    def __init__(self, path: Path, identity: PartIdentity, schema: pa.Schema) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        kind = pa.struct([pa.field(field.name, field.type) for field in schema])
        text = json.dumps(dataclasses.asdict(identity), sort_keys=True)
        self._schema = pa.schema(
            [("row", pa.int64()), (identity.signal, kind), ("error", pa.string())],
            metadata={_METADATA_KEY: text.encode()},
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._temporary, self._schema, compression="zstd")
        self._row = identity.first_row
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0

    def write(self, found: pa.RecordBatch, measured: pa.BooleanArray, errors: list[str | None] | None) -> None:
        """Append the findings of one batch.

        Args:
            found: the signal's fields.
            measured: False where the row could not be measured: its struct becomes null.
            errors: per row, what the signal raised; None when nothing was raised.
        """
        rows = found.num_rows
        struct = pa.StructArray.from_arrays(
            found.columns, fields=list(self._schema.field(1).type), mask=pa.compute.invert(measured)
        )
        row = pa.array(range(self._row, self._row + rows), pa.int64())
        error = pa.array(errors, pa.string()) if errors else pa.nulls(rows, pa.string())
        self._pending.append(pa.record_batch([row, struct, error], schema=self._schema))
        self._row += rows
        self._pending_rows += rows
        if self._pending_rows >= ROWS_PER_GROUP:
            self._flush(ROWS_PER_GROUP)

    def _flush(self, multiple: int) -> None:
        table = pa.Table.from_batches(self._pending, schema=self._schema).combine_chunks()
        whole = table.num_rows - table.num_rows % multiple
        if whole:
            self._writer.write_table(table.slice(0, whole), row_group_size=ROWS_PER_GROUP)
        self._pending = table.slice(whole).to_batches()
        self._pending_rows = table.num_rows - whole

    def close(self) -> None:
        """Finish the part: after this it exists under its own name, whole."""
        self._flush(1)
        self._writer.close()
        self._temporary.replace(self._path)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._writer.close()
        self._temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Findings:
    """A finished scan, opened for reading.

    Attributes:
        directory: the folder of the scan.
        shards: in corpus order.
        failed: shards that could not be scanned.
        signals: as they were run, `column.NAME` among them.
        seed: of the scan.
        by: column whose values are the sources; None means each shard is one.
    """

    directory: Path
    shards: tuple[ShardRecord, ...]
    failed: tuple[FailedShard, ...]
    signals: tuple[SignalRecord, ...]
    seed: int
    by: str | None

    @classmethod
    def open(cls, directory: Path | str) -> Findings:
        """Read the commit record of a scan.

        Raises:
            FindingsError: no scan there, one that never finished, or one of another format version.
        """
        folder = Path(directory)
        try:
            record = json.loads((folder / RECORD).read_text("utf-8"))
        except FileNotFoundError as error:
            if (folder / "findings").is_dir():
                raise FindingsError(
                    f"{folder}: the scan did not finish. Run the same foxing scan again: it resumes."
                ) from error
            raise FindingsError(f"{folder}: holds no scan. Make one with: foxing scan PATHS -o {folder}") from error
        except (OSError, ValueError) as error:
            raise FindingsError(f"{folder / RECORD}: cannot be read ({error}). Scan again with --fresh.") from error
        if not isinstance(record, dict) or record.get("version") != FORMAT_VERSION:
            version = record.get("version") if isinstance(record, dict) else None
            raise FindingsError(
                f"{folder / RECORD}: findings format {version!r}, this foxing reads {FORMAT_VERSION}. "
                "Scan again with --fresh."
            )
        try:
            return cls._from_record(folder, record)
        except (KeyError, TypeError) as error:
            raise FindingsError(f"{folder / RECORD}: is damaged ({error!r}). Scan again with --fresh.") from error

    @classmethod
    def _from_record(cls, folder: Path, record: dict[str, Any]) -> Findings:
        return cls(
            directory=folder,
            shards=tuple(ShardRecord(**{**shard, "parts": tuple(shard["parts"])}) for shard in record["shards"]),
            failed=tuple(FailedShard(**shard) for shard in record["failed"]),
            signals=tuple(SignalRecord(**signal) for signal in record["signals"]),
            seed=record["seed"],
            by=record["by"],
        )

    def commit(self, foxing_version: str) -> None:
        """Write the commit record, atomically. Called last, when every part is in place."""
        record = {
            "format": "foxing-scan",
            "version": FORMAT_VERSION,
            "foxing": foxing_version,
            "signature": self.signature(),
            "seed": self.seed,
            "by": self.by,
            "signals": [dataclasses.asdict(signal) for signal in self.signals],
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
            "failed": [dataclasses.asdict(shard) for shard in self.failed],
        }
        write_json(self.directory / RECORD, record)

    @property
    def rows(self) -> int:
        """Rows over all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def measured(self) -> tuple[SignalRecord, ...]:
        """Signals that measure documents: all but the raw columns."""
        return tuple(signal for signal in self.signals if not signal.name.startswith(COLUMN_PREFIX))

    def signature(self, *, rules: str | None = None, calibration: str | None = None) -> str:
        """The signature of these findings, with those of the rules and the calibration that judged them, if any."""
        used = [(signal.name, signal.version, signal.config_hash) for signal in self.measured]
        corpus = corpus_hash(shard.digest for shard in self.shards)
        return signature(used, corpus, self.seed, rules=rules, calibration=calibration)

    def parts(self) -> Iterator[pl.DataFrame]:
        """Findings in corpus order, at most 65,536 rows a frame.

        Columns: `shard` str, `row` i64 (position in the shard), `source` str, `unmeasured` u32 (signals without a
        measurement of this row), `errors` list[str] (`signal: what it raised`), and a struct a signal, null where the
        row could not be measured.

        Raises:
            FindingsError: a part is missing or does not match its neighbours.
        """
        for shard in self.shards:
            for first_row in shard.parts:
                yield from self._part(shard, first_row)

    def _part(self, shard: ShardRecord, first_row: int) -> Iterator[pl.DataFrame]:
        import polars as pl

        names = [signal.name for signal in self.measured]
        wanted = [*names, *([COLUMN_PREFIX + self.by] if self.by else [])]
        files = {name: self._open(part_path(self.directory, name, shard.key, first_row)) for name in wanted}
        try:
            any_file = next(iter(files.values()))
            for group in range(any_file.metadata.num_row_groups):
                tables = {name: file.read_row_group(group) for name, file in files.items()}
                rows = next(iter(tables.values())).column("row")
                if any(not table.column("row").equals(rows) for table in tables.values()):
                    raise FindingsError(
                        f"{self.directory}: parts of {shard.key} are not aligned. Scan again with --fresh."
                    )
                frame = pl.DataFrame({"row": pl.from_arrow(rows)})
                source = pl.lit(shard.key) if self.by is None else _strings(tables[COLUMN_PREFIX + self.by], self.by)
                structs = {name: pl.from_arrow(tables[name].column(name)) for name in names}
                faults = [
                    pl.concat_str(pl.lit(f"{name}: "), pl.lit(pl.Series(pl.from_arrow(tables[name].column("error")))))
                    for name in names
                    if tables[name].column("error").null_count < len(rows)
                ]
                frame = frame.select(
                    pl.lit(shard.key).alias("shard"),
                    "row",
                    source.alias("source"),
                    _count_nulls(structs).alias("unmeasured"),
                    (pl.concat_list(faults).list.drop_nulls() if faults else pl.lit([], pl.List(pl.String))).alias(
                        "errors"
                    ),
                    *(pl.Series(name, values) for name, values in structs.items()),
                )
                yield frame
        finally:
            for file in files.values():
                file.close()

    @staticmethod
    def _open(path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path, memory_map=False)
        except (OSError, pa.ArrowException) as error:
            raise FindingsError(
                f"{path}: is missing or torn. Run foxing scan again: it makes what is missing."
            ) from error


def empty_part(signals: Iterable[Signal]) -> pl.DataFrame:
    """A part without rows, with the columns that findings of these signals would have: to check rules against."""
    import polars as pl

    frame = pl.DataFrame(
        {
            "shard": pl.Series([], dtype=pl.String),
            "row": pl.Series([], dtype=pl.Int64),
            "source": pl.Series([], dtype=pl.String),
            "unmeasured": pl.Series([], dtype=pl.UInt32),
            "errors": pl.Series([], dtype=pl.List(pl.String)),
        }
    )
    structs = [
        pl.Series(signal.name, pl.from_arrow(pa.array([], pa.struct(list(signal.schema))))) for signal in signals
    ]
    return frame.with_columns(*structs)


def _strings(table: pa.Table, name: str) -> Any:
    import polars as pl

    values = pl.Series(pl.from_arrow(table.column(COLUMN_PREFIX + name))).struct.field("value")
    return pl.lit(values.fill_null("(null)"))


def _count_nulls(structs: Mapping[str, Any]) -> Any:
    import polars as pl

    nulls = [pl.lit(pl.Series(values).is_null()).cast(pl.UInt32) for values in structs.values()]
    return pl.sum_horizontal(nulls) if nulls else pl.lit(0, pl.UInt32)


def write_json(path: Path, value: object) -> None:
    """Write JSON under a temporary name and rename it, so that a reader sees all of it or the old one.

    Raises:
        OutputError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            json.dump(value, handle, ensure_ascii=False, indent=1)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}). Check its rights and the free space."
        ) from error
