"""Parts: the Parquet files of findings, each a fixed run of one shard's rows, measured by one signal."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["ROWS_PER_GROUP", "PartIdentity", "PartWriter", "any_part", "part_path", "read_identity", "temporary_path"]

ROWS_PER_GROUP = 16_384
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
        rows: rows of the part; the most that it may have where a shard can only be read from its start.
    """

    signal: str
    version: int
    config: Mapping[str, object]
    seed: int
    layout: str
    digest: str
    first_row: int
    rows: int

    def differences(self, found: PartIdentity) -> list[str]:
        """What is different in `found`, which may be any part of the same shard: `seed: 17 before, 18 now`."""
        changes = []
        for spec in dataclasses.fields(self):
            now, before = getattr(self, spec.name), getattr(found, spec.name)
            if now == before or spec.name in ("first_row", "rows"):
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


def part_path(directory: Path, signal: str, key: str, first_row: int) -> Path:
    """`findings/<signal>/<shard>/part-<first row>.parquet`."""
    return directory / "findings" / _safe_name(signal) / key / f"part-{first_row:012d}.parquet"


def temporary_path(path: Path) -> Path:
    """A name to write under until a file is whole; no other writer has it, on whatever machine."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def any_part(directory: Path, signal: str, key: str) -> Path | None:
    """Some part of a shard that is there; None when none is."""
    folder = part_path(directory, signal, key, 0).parent
    return min(folder.glob("part-*.parquet"), default=None)


def _safe_name(signal: str) -> str:
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


@dataclass(frozen=True)
class _Pending:
    """Findings of one batch that are not written yet."""

    found: pa.RecordBatch
    measured: pa.BooleanArray
    errors: list[str | None] | None

    def after(self, row: int) -> _Pending:
        """What follows the first `row` rows."""
        return _Pending(self.found.slice(row), self.measured.slice(row), self.errors[row:] if self.errors else None)


def _storage(signal: str, kind: pa.StructType) -> dict[str, Any]:
    """How the columns of a part are stored: hashes do not compress, and only text repeats itself enough for a list."""
    leaves = {f"{signal}.{field.name}": field.type for field in kind} | {"row": pa.int64(), "error": pa.string()}
    random = {name for name, leaf in leaves.items() if pa.types.is_fixed_size_binary(leaf) or leaf == pa.uint64()}
    return {
        "compression": {name: "none" if name in random else "zstd" for name in leaves},
        "use_dictionary": [name for name, leaf in leaves.items() if pa.types.is_string(leaf)],
        "write_statistics": False,
    }


class PartWriter:
    """Writes one part under a temporary name and renames it when it is whole."""

    def __init__(self, path: Path, identity: PartIdentity, schema: pa.Schema) -> None:
        self._path = path
        self._temporary = temporary_path(path)
        kind = pa.struct([pa.field(field.name, field.type) for field in schema])
        text = json.dumps(dataclasses.asdict(identity), sort_keys=True)
        self._schema = pa.schema(
            [("row", pa.int64()), (identity.signal, kind), ("error", pa.string())],
            metadata={_METADATA_KEY: text.encode()},
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._temporary, self._schema, **_storage(identity.signal, kind))
        self._fields = list(kind)
        self._row = identity.first_row
        self._pending: list[_Pending] = []
        self._pending_rows = 0

    def write(self, found: pa.RecordBatch, measured: pa.BooleanArray, errors: list[str | None] | None) -> None:
        """Append the findings of one batch.

        Args:
            found: the signal's fields.
            measured: False where the row could not be measured: its struct becomes null.
            errors: per row, what the signal raised; None when nothing was raised.
        """
        self._pending.append(_Pending(found, measured, errors))
        self._pending_rows += found.num_rows
        if self._pending_rows >= ROWS_PER_GROUP:
            self._flush(ROWS_PER_GROUP)

    def _flush(self, multiple: int) -> None:
        if not self._pending:
            return
        rows = self._pending_rows
        found = pa.Table.from_batches([part.found for part in self._pending]).combine_chunks()
        measured = pa.chunked_array([part.measured for part in self._pending]).combine_chunks()
        columns = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in found.columns]
        unmeasured = None if measured.true_count == rows else pc.invert(measured)
        struct = pa.StructArray.from_arrays(columns, fields=self._fields, mask=unmeasured)
        row = pa.array(np.arange(self._row, self._row + rows))
        error = pa.nulls(rows, pa.string())
        if any(part.errors for part in self._pending):
            lines = [line for part in self._pending for line in (part.errors or [None] * part.found.num_rows)]
            error = pa.array(lines, pa.string())
        table = pa.table([row, struct, error], schema=self._schema)
        whole = rows - rows % multiple
        if whole:
            self._writer.write_table(table.slice(0, whole), row_group_size=ROWS_PER_GROUP)
        self._row += whole
        self._pending_rows = rows - whole
        last = self._pending[-1].found.num_rows - self._pending_rows
        # A batch is smaller than a row group, so what is left over is the end of the last one.
        self._pending = [self._pending[-1].after(last)] if self._pending_rows else []

    def close(self) -> None:
        """Finish the part: after this it exists under its own name, whole."""
        self._flush(1)
        self._writer.close()
        self._temporary.replace(self._path)

    def abandon(self) -> None:
        """Leave nothing behind. Called while an error is on its way: what goes wrong here must not hide it."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
