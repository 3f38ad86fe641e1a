"""Findings: what a scan measured, as Parquet parts aligned row by row with the corpus, and their commit record."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from audit.parts import part_path
from audit.replacing import replacing
from audit.signature import corpus_hash, signature
from audit.slices import unfinished
from detectors.errors import FindingsError

if TYPE_CHECKING:
    import polars as pl

    from audit.stages import Stage
    from detectors.protocols import Signal

__all__ = [
    "COLUMN_PREFIX",
    "FORMAT_VERSION",
    "RECORD",
    "FailedShard",
    "Fields",
    "Findings",
    "ShardRecord",
    "SignalRecord",
    "empty_part",
    "is_binary",
    "write_json",
]

FORMAT_VERSION = 1
RECORD = "scan.json"
COLUMN_PREFIX = "column."
_MOST = 2**63
T = TypeVar("T")
Fields = Mapping[str, frozenset[str] | None]
"""Which fields of which signals to read; None stands for all of them."""
_KEY = re.compile(r"(?:(?!\.{1,2}(?:/|$))[\w.=+@~-]+(?:/|$))+", re.ASCII)


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
        domain: column whose values are the domains that reports break down by; None means none.
        time: column of dates that reports break down by; None means none.
        reference: human reference of the user's own by which margins are judged (`audit.calibrate`); None is the
            bundled one alone. No part of the scan: whoever reads findings says so.
    """

    directory: Path
    shards: tuple[ShardRecord, ...]
    failed: tuple[FailedShard, ...]
    signals: tuple[SignalRecord, ...]
    seed: int
    by: str | None
    domain: str | None = None
    time: str | None = None
    reference: Path | None = None

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
                resume = f"{folder}: the scan did not finish. Run the same foxing scan again: it resumes."
                raise FindingsError(unfinished(folder) or resume) from error
            raise FindingsError(f"{folder}: holds no scan. Make one with: foxing scan PATHS -o {folder}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise FindingsError(f"{folder / RECORD}: cannot be read ({error}). Scan again with --fresh.") from error
        if not isinstance(record, dict) or record.get("version") != FORMAT_VERSION:
            version = record.get("version") if isinstance(record, dict) else None
            raise FindingsError(
                f"{folder / RECORD}: findings format {version!r}, this foxing reads {FORMAT_VERSION}. "
                "Scan again with --fresh."
            )
        try:
            return cls._from_record(folder, record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FindingsError(f"{folder / RECORD}: is damaged ({error!r}). Scan again with --fresh.") from error

    @classmethod
    def _from_record(cls, folder: Path, record: dict[str, Any]) -> Findings:
        for shard in record["shards"]:
            if not _KEY.fullmatch(shard["key"]):
                raise KeyError(f"shard key {shard['key']!r}")
        for name in ("by", "domain", "time"):
            if record.get(name) is not None:
                _check(name, record[name], "str")
        _check("seed", record["seed"], "int")
        return cls(
            directory=folder,
            shards=tuple(_checked(ShardRecord, shard) for shard in record["shards"]),
            failed=tuple(_checked(FailedShard, shard) for shard in record["failed"]),
            signals=tuple(_checked(SignalRecord, signal) for signal in record["signals"]),
            seed=record["seed"],
            by=record["by"],
            domain=record.get("domain"),
            time=record.get("time"),
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
            "domain": self.domain,
            "time": self.time,
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
    def corpus(self) -> str:
        """12 hex digits over what each shard holds and which columns of it were read."""
        return corpus_hash(f"{shard.digest} {shard.layout}" for shard in self.shards)

    @property
    def measured(self) -> tuple[SignalRecord, ...]:
        """Signals that measure documents: all but the raw columns."""
        return tuple(signal for signal in self.signals if not signal.name.startswith(COLUMN_PREFIX))

    def signature(self, *, rules: str | None = None, calibration: str | None = None) -> str:
        """The signature of these findings, with those of the rules and the calibration that judged them, if any."""
        used = [(signal.name, signal.version, signal.config_hash) for signal in self.measured]
        return signature(used, self.corpus, self.seed, rules=rules, calibration=calibration)

    def parts(self, fields: Fields | None = None) -> Iterator[pl.DataFrame]:
        """Findings in corpus order, at most 16,384 rows a frame.

        Args:
            fields: of each signal, which fields to read (None: all of them); of a signal that is not named, one alone
                is read, to see where it is null. None reads everything.

        Columns: `shard` str, `row` i64 (position in the shard), `source` str, `domain` and `time` str where the scan
        was given such columns, `unmeasured` u32 (signals without a
        measurement of this row), `errors` list[str] (`signal: what it raised`), and a struct a signal, null where the
        row could not be measured. Binary fields, such as `near_dup.minhash`, stay in the files of the parts: no rule
        can look at them, and they are larger than all else together. Of a signal that has no others the first is read.

        Raises:
            FindingsError: a part is missing or does not match its neighbours.
        """
        for shard in self.shards:
            for first_row in shard.parts:
                yield from self._part(shard, first_row, fields)

    def _part(self, shard: ShardRecord, first_row: int, fields: Fields | None) -> Iterator[pl.DataFrame]:
        import polars as pl

        names = [signal.name for signal in self.measured]
        carried = dict.fromkeys(COLUMN_PREFIX + column for column in (self.by, self.domain, self.time) if column)
        wanted = [*names, *carried]
        files = {name: self._open(part_path(self.directory, name, shard.key, first_row)) for name in wanted}
        try:
            any_file = next(iter(files.values()))
            for group in range(any_file.metadata.num_row_groups):
                tables = {name: self._read(file, group, shard.key, name, fields) for name, file in files.items()}
                rows = next(iter(tables.values())).column("row")
                if any(not table.column("row").equals(rows) for table in tables.values()):
                    raise FindingsError(
                        f"{self.directory}: parts of {shard.key} are not aligned. Scan again with --fresh."
                    )
                frame = pl.DataFrame({"row": pl.from_arrow(rows)})
                source = pl.lit(shard.key) if self.by is None else _strings(tables[COLUMN_PREFIX + self.by], self.by)
                breakdowns = [
                    _strings(tables[COLUMN_PREFIX + column], column).alias(name)
                    for name, column in (("domain", self.domain), ("time", self.time))
                    if column is not None
                ]
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
                    *breakdowns,
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

    def _read(self, file: pq.ParquetFile, group: int, key: str, signal: str, fields: Fields | None) -> pa.Table:
        wanted = None if fields is None or signal.startswith(COLUMN_PREFIX) else fields.get(signal, frozenset())
        try:
            columns = _columns(file.schema_arrow, signal, wanted)
            table = file.read_row_group(group, columns=columns)
            return table.select(["row", signal, "error"])
        except (OSError, pa.ArrowException, IndexError, KeyError, UnicodeDecodeError) as error:
            where = f"{self.directory}: findings of {signal} on {key}"
            raise FindingsError(f"{where} are torn. Run foxing scan again with --fresh.") from error

    @staticmethod
    def _open(path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path, memory_map=False)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise FindingsError(
                f"{path}: is missing or torn. Run foxing scan again: it makes what is missing."
            ) from error


def _checked(kind: type[T], fields: Mapping[str, Any]) -> T:
    """A part of the commit record, each value of the type that `kind` declares: the file may be anyone's."""
    for spec in dataclasses.fields(kind):  # type: ignore[arg-type]
        _check(spec.name, fields[spec.name], str(spec.type).partition("[")[0])
    if fields.get("name") in (".", ".."):
        raise ValueError(f"name is {fields['name']!r}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


def _check(name: str, value: object, declared: str) -> None:
    fits = {"str": str, "int": int, "Mapping": dict, "tuple": list}[declared]
    if not isinstance(value, fits) or isinstance(value, bool):
        raise TypeError(f"{name} is {str(value)[:40]!r}")
    if isinstance(value, str):
        value.encode("utf-8")  # half a character is a ValueError
    for number in value if isinstance(value, list) else [value] if isinstance(value, int) else []:
        if type(number) is not int or not 0 <= number < _MOST:
            raise ValueError(f"{name} has {str(number)[:40]!r}")


def _columns(schema: pa.Schema, signal: str, wanted: frozenset[str] | None) -> list[str]:
    """Leaves of a part to read: the fields that are wanted, else one that is cheap; never binary ones."""
    kinds = {leaf.name: leaf.type for leaf in _readable(schema.field(signal).type)}
    chosen = [name for name in kinds if wanted is None or name in wanted]
    if not chosen:
        chosen = [min(kinds, key=lambda name: _weight(kinds[name]))]
    return ["row", *(f"{signal}.{name}" for name in chosen), "error"]


def _weight(kind: pa.DataType) -> int:
    return int(kind.bit_width) if pa.types.is_primitive(kind) else 1 << 20


def _readable(fields: Iterable[pa.Field]) -> list[pa.Field]:
    """All but binary fields; the first where all are binary, for it says in which rows the signal is null."""
    every = list(fields)
    return [field for field in every if not is_binary(field)] or every[:1]


def is_binary(spec: pa.Field) -> bool:
    """Whether a field stays in the files of the parts: no rule and no export reads it."""
    tests = (pa.types.is_fixed_size_binary, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(spec.type) for test in tests)


def empty_part(signals: Iterable[Signal | Stage]) -> pl.DataFrame:
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
        pl.Series(signal.name, pl.from_arrow(pa.array([], pa.struct(_readable(signal.schema))))) for signal in signals
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
    """Write JSON so that a reader sees all of it or what was there before.

    Raises:
        OutputError: the folder cannot be written.
    """
    with replacing(path) as stream:
        stream.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogateescape"))
