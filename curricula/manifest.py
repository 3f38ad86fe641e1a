"""The manifest: what went in, what came out, and the sums that prove that no row was lost or changed."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from audit.findings import write_json
from curricula.part_files import Receipt
from detectors.errors import FoxingError, InputError

__all__ = [
    "FORMAT_VERSION",
    "NAME",
    "AccountingError",
    "InputShard",
    "Manifest",
    "SeriesRecord",
    "accounting",
    "inside",
    "modular_sum",
    "read_manifest",
]

NAME = "manifest.json"
FORMAT = "foxing-manifest"
FORMAT_VERSION = 2
_MOST = 2**53  # rows and bytes: what every JSON reader keeps exact
_SUMS = ("content", "once_content", "kept_content", "kept_order", "dropped_content", "order")


class AccountingError(FoxingError):
    """The output does not account for every input row: a fault of foxing or of the machine. Nothing was committed."""


@dataclass(frozen=True)
class InputShard:
    """One input, and what became of its rows: rows = kept + dropped + errored.

    Attributes:
        key: its name in findings.
        uri: where it was when it was scanned.
        format: parquet, jsonl, arrow, csv or text.
        digest: `sha256:HEX` of the file.
        size_bytes: of the file.
        series: name of the series that its rows went to.
        rows: rows in.
        kept: rows with at least one copy in data/.
        rows_out: sum of copies.
        dropped: rows in dropped/.
        errored: rows that could not be read.
        unscored: kept rows without an AI score.
        dropped_by: rule to rows dropped, each row at its first dropping rule.
        hits: rule to rows hit.
        content: sum of row hashes, modulo 2^64 as all sums (see `curricula.row_hash`).
        once_content: the same over kept rows, each once: with `dropped_content` it makes `content`.
        kept_content: over kept rows, times copies.
        kept_order: the same, each hash bound to its output position.
        dropped_content: over dropped rows.
        edited: kept rows whose answer was replaced; all sums are over rows as they were read.
        schema: base64 of the Arrow schema where it is not that of the series (pandas row counts, types that Parquet has
            not); empty otherwise.
    """

    key: str
    uri: str
    format: str
    digest: str
    size_bytes: int
    series: str
    rows: int
    kept: int
    rows_out: int
    dropped: int
    errored: int
    unscored: int
    dropped_by: Mapping[str, int]
    hits: Mapping[str, int]
    content: int
    once_content: int
    kept_content: int
    kept_order: int
    dropped_content: int
    edited: int
    schema: str


@dataclass(frozen=True)
class SeriesRecord:
    """Shards of one schema and their output.

    Attributes:
        name: folder below data/ and dropped/; empty when there is one series.
        columns: name to Arrow type.
        dropped_columns: columns added in dropped/, in order shard, row, rules, score.
        changes: columns whose type Parquet cannot hold, in words.
        schema: base64 of the Arrow schema of the input, with key-value metadata.
        layout: `kind(columns)` of the rows where answers were replaced, else empty.
        original: column of data/, behind all others, with what stood there; null in rows that were not edited.
    """

    name: str
    columns: Mapping[str, str]
    dropped_columns: tuple[str, ...]
    changes: tuple[str, ...]
    schema: str
    layout: str
    original: str

    def arrow_schema(self) -> pa.Schema:
        """The schema of the series' files in data/."""
        return decode_schema(self.schema)


@dataclass(frozen=True)
class Manifest:
    """The record of one curate, written last.

    Attributes:
        foxing: version that wrote it.
        signature: of the findings and the rules that decided.
        run: digest of everything that the output depends on.
        curricula: name and settings of each.
        seed: of ties and shuffles.
        drop: rules whose rows were dropped.
        rules: rule id to its `when`, for all that judged.
        unranked: kept rows that the curriculum gave no rank: they follow the others in corpus order.
        plan: path, rows and sha256 of the plan.
        series: one a schema.
        inputs: in corpus order.
        sources: source to rows, kept and dropped.
        data: files of data/, in output order.
        dropped: files of dropped/, in corpus order.
    """

    foxing: str
    signature: str
    run: str
    curricula: tuple[Mapping[str, Any], ...]
    seed: int
    drop: tuple[str, ...]
    rules: Mapping[str, str]
    unranked: int
    plan: Mapping[str, Any]
    series: tuple[SeriesRecord, ...]
    inputs: tuple[InputShard, ...]
    sources: Mapping[str, Mapping[str, int]]
    data: tuple[Receipt, ...]
    dropped: tuple[Receipt, ...]

    def totals(self) -> dict[str, int]:
        """Rows over all inputs: rows, kept, rows_out, dropped, errored, unscored."""
        names = ("rows", "kept", "rows_out", "dropped", "errored", "unscored", "edited")
        return {name: sum(getattr(shard, name) for shard in self.inputs) for name in names}

    def write(self, path: Path) -> None:
        """Write it, atomically, after asserting that every row is accounted for.

        Raises:
            AccountingError: it is not.
        """
        if problems := accounting(self):
            raise AccountingError(f"{path}: not written, rows do not add up ({'; '.join(problems[:3])}). Report this.")
        fields = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        body = {name: _plain(value) for name, value in fields.items()}
        rules = {
            rule: {
                "when": when,
                "hits": sum(shard.hits.get(rule, 0) for shard in self.inputs),
                "dropped": sum(shard.dropped_by.get(rule, 0) for shard in self.inputs),
            }
            for rule, when in self.rules.items()
        }
        head = {"format": FORMAT, "version": FORMAT_VERSION, "row_hash": 1}
        write_json(path, {**head, **body, "rules": rules, "totals": self.totals()})


def accounting(manifest: Manifest) -> list[str]:
    """What does not add up, in words: rows per shard and rule, rows and sums per series and folder."""
    problems = []
    for shard in manifest.inputs:
        if shard.rows != shard.kept + shard.dropped + shard.errored:
            problems.append(
                f"{shard.key}: {shard.rows} rows in, "
                f"{shard.kept} kept + {shard.dropped} dropped + {shard.errored} errored"
            )
        if sum(shard.dropped_by.values()) != shard.dropped:
            problems.append(f"{shard.key}: {shard.dropped} rows dropped, {sum(shard.dropped_by.values())} by rules")
        if _wrap(shard.once_content + shard.dropped_content) != shard.content:
            problems.append(f"{shard.key}: kept and dropped rows are not the rows read")
        if shard.rows_out == shard.kept and shard.kept_content != shard.once_content:
            problems.append(f"{shard.key}: rows of data/ are not the kept rows, though none has copies")
    for series in manifest.series:
        shards = [shard for shard in manifest.inputs if shard.series == series.name]
        data = [receipt for receipt in manifest.data if receipt.series == series.name]
        dropped = [receipt for receipt in manifest.dropped if receipt.series == series.name]
        pairs = (
            ("rows in data/", sum(s.rows_out for s in shards), sum(r.rows for r in data)),
            ("rows in dropped/", sum(s.dropped for s in shards), sum(r.rows for r in dropped)),
            ("content of data/", modular_sum(s.kept_content for s in shards), modular_sum(r.content for r in data)),
            ("order of data/", modular_sum(s.kept_order for s in shards), modular_sum(r.order for r in data)),
            (
                "content of dropped/",
                modular_sum(s.dropped_content for s in shards),
                modular_sum(r.content for r in dropped),
            ),
        )
        name = f"{series.name}: " if series.name else ""
        problems += [
            f"{name}{what}: {want} by the inputs, {got} by the files" for what, want, got in pairs if want != got
        ]
    return problems


def modular_sum(values: Any) -> int:
    """Sum modulo 2^64 of integers."""
    return _wrap(sum(values))


def _wrap(value: int) -> int:
    return value % 2**64


def inside(out: Path, path: str) -> Path | None:
    """The file below `out` that a manifest names, None when the name leads out of it: a manifest may be anyone's."""
    pieces = PurePosixPath(path)
    if pieces.is_absolute() or ".." in pieces.parts or "\0" in path:
        return None
    file = out / path
    return file if file.resolve().is_relative_to(out.resolve()) else None


def encode_schema(schema: pa.Schema) -> str:
    """Base64 of the Arrow IPC form of a schema."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")


def decode_schema(text: str) -> pa.Schema:
    """The schema that `encode_schema` encoded."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def same_schema(schema: pa.Schema, recorded: pa.Schema) -> bool:
    """Whether a schema is the recorded one, metadata included; names inside maps aside, which IPC does not carry."""
    return bool(decode_schema(encode_schema(schema)).equals(recorded, check_metadata=True))


def _plain(value: Any) -> Any:
    """JSON values; 64-bit sums as 16 hex digits, because JSON numbers lose bits in some readers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {spec.name: getattr(value, spec.name) for spec in dataclasses.fields(value)}
        return {name: f"{item:016x}" if name in _SUMS else _plain(item) for name, item in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _unhexed(record: Mapping[str, Any], kind: type[InputShard | Receipt]) -> dict[str, Any]:
    """The fields of a record with its sums as integers, each of the type that `kind` declares."""
    fields: dict[str, Any] = {name: int(value, 16) if name in _SUMS else value for name, value in record.items()}
    for spec in dataclasses.fields(kind):
        value, declared = fields[spec.name], str(spec.type)
        if declared == "str" and not isinstance(value, str):
            raise TypeError(f"{spec.name} is {_short(value)}")
        if declared == "int":
            _count(spec.name, value, 2**64 if spec.name in _SUMS else _MOST)
        if declared.startswith("Mapping"):
            for rule, rows in value.items():
                _count(rule, rows, _MOST)
    return fields


def _count(name: str, value: object, limit: int) -> None:
    if type(value) is not int or not 0 <= value < limit:
        raise TypeError(f"{name} is {_short(value)}")


def _short(value: object) -> str:
    said = ascii(value)
    return said if len(said) <= 40 else f"{said[:40]}..."


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; a folder means the manifest in it.

    Raises:
        InputError: not there, not a manifest, of another version, or damaged.
    """
    file = path / NAME if path.is_dir() else path
    try:
        record = json.loads(file.read_text("utf-8"), parse_constant=_no_number)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file. Name the manifest.json that foxing curate wrote.") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{file}: cannot be read as a manifest ({error}). Curate again with --fresh.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{file}: is not a foxing manifest. Name the manifest.json that foxing curate wrote.")
    if record.get("version") != FORMAT_VERSION:
        raise InputError(
            f"{file}: manifest version {_short(record.get('version'))}, this foxing reads {FORMAT_VERSION}. "
            f"It was written by foxing {_short(record.get('foxing'))}: use that."
        )
    try:
        return _from_record(record)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise InputError(
            f"{file}: is damaged ({type(error).__name__}: {_short(str(error))}). Curate again with --fresh."
        ) from error


def _from_record(record: Mapping[str, Any]) -> Manifest:
    fields: dict[str, Any] = {spec.name: record[spec.name] for spec in dataclasses.fields(Manifest)}
    fields["rules"] = {rule: facts["when"] for rule, facts in record["rules"].items()}
    fields["inputs"] = tuple(InputShard(**_unhexed(shard, InputShard)) for shard in record["inputs"])
    fields["series"] = tuple(_series(series) for series in record["series"])
    for folder in ("data", "dropped"):
        fields[folder] = tuple(Receipt(**_unhexed(receipt, Receipt)) for receipt in record[folder])
    fields["curricula"], fields["drop"] = tuple(record["curricula"]), tuple(record["drop"])
    manifest = Manifest(**fields)
    names = {series.name for series in manifest.series}
    for used in (
        *(shard.series for shard in manifest.inputs),
        *(file.series for file in manifest.data + manifest.dropped),
    ):
        if used not in names:
            raise ValueError(f"no series {used!r}")
    for shard in manifest.inputs:
        if shard.schema:
            decode_schema(shard.schema)
    _count("unranked", manifest.unranked, _MOST)
    if not isinstance(manifest.plan["path"], str) or not isinstance(manifest.plan["sha256"], str):
        raise TypeError("plan names no file")
    return manifest


def _series(record: Mapping[str, Any]) -> SeriesRecord:
    lists: Sequence[str] = ("dropped_columns", "changes")
    series = SeriesRecord(**{**record, **{name: tuple(record[name]) for name in lists}})
    series.arrow_schema()
    return series
