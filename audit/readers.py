"""Readers: one per file format, each a stream of Arrow batches with one schema per file."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from audit.storage import is_remote, open_binary
from detectors.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Format", "Group", "Reader", "ShardError", "open_reader"]

_LFS = b"version https://git-lfs.github.com/spec/"
_BATCH_BYTES = 8 << 20
_READ_BYTES = 1 << 20  # without it a column chunk is read whole, however large its row group
_MAX_BATCH_ROWS = 4096
_COMPRESSIONS = (".gz", ".zst", ".zstd")


class ShardError(InputError):
    """One file that cannot be read as the corpus needs it; other files go on.

    Attributes:
        code: FX902 (schema), FX903 (LFS pointer) or FX904 (unreadable).
    """

    def __init__(self, uri: str, what: str, remedy: str, *, code: str = "FX904") -> None:
        super().__init__(f"{uri}: {what}. {remedy}")
        self.uri = uri
        self.code = code
        self.args_for_pickle = (uri, what, remedy, code)

    def __reduce__(self) -> tuple[object, ...]:
        uri, what, remedy, code = self.args_for_pickle
        return (_shard_error, (uri, what, remedy, code))


def _shard_error(uri: str, what: str, remedy: str, code: str) -> ShardError:
    return ShardError(uri, what, remedy, code=code)


class Format(Enum):
    """File formats by what follows the name's last dot (compression aside)."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    ARROW = "arrow"
    CSV = "csv"
    TEXT = "text"

    @classmethod
    def of(cls, name: str) -> Format | None:
        """The format a file name promises, None when it promises none."""
        return _SUFFIXES.get(_uncompressed(name).lower().rpartition(".")[2])

    @staticmethod
    def stem(name: str) -> str:
        """The name without what `of` reads."""
        bare = _uncompressed(name)
        return bare.rpartition(".")[0] if Format.of(bare) and not bare.startswith(".") else bare


def _uncompressed(name: str) -> str:
    for ending in _COMPRESSIONS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


_SUFFIXES = {
    "parquet": Format.PARQUET,
    "pq": Format.PARQUET,
    "jsonl": Format.JSONL,
    "ndjson": Format.JSONL,
    "json": Format.JSONL,
    "arrow": Format.ARROW,
    "feather": Format.ARROW,
    "ipc": Format.ARROW,
    "csv": Format.CSV,
    "tsv": Format.CSV,
    "txt": Format.TEXT,
    "md": Format.TEXT,
}


@dataclass(frozen=True)
class Group:
    """A run of rows that can be read on its own: a Parquet row group."""

    rows: int
    size_bytes: int


class Reader(Protocol):
    """Streams one file. `groups` is None where the file can only be read from its start."""

    groups: tuple[Group, ...] | None

    def schema(self) -> pa.Schema:
        """Columns and key-value metadata, as `batches(None)` yields them."""
        ...

    def names(self) -> list[str]:
        """Column names, without reading more than the start of the file."""
        ...

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Batches in file order, of `columns` (all when None) and of the row groups named (all when None)."""
        ...


def open_reader(uri: str, form: Format) -> Reader:
    """Open a file, looking at its first bytes and its footer only.

    Raises:
        ShardError: LFS pointer, empty, torn, or not what its name says.
    """
    with open_binary(uri) as handle:
        start = handle.read(len(_LFS))
    if start == _LFS:
        raise ShardError(uri, "is a Git LFS pointer, not the data", "Run: git lfs pull", code="FX903")
    if not start and form is not Format.TEXT:
        raise ShardError(uri, "is empty (0 bytes)", "Write it again, or leave it out.")
    return _READERS[form](uri)


class ParquetReader:
    """Parquet, by row group, with projection; nothing is buffered ahead."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        with self._file() as file:
            metadata = file.metadata
            self._schema = file.schema_arrow
            self.groups: tuple[Group, ...] | None = tuple(
                Group(metadata.row_group(i).num_rows, metadata.row_group(i).total_byte_size)
                for i in range(metadata.num_row_groups)
            )

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            if is_remote(self.uri):
                with (
                    open_binary(self.uri) as handle,
                    pq.ParquetFile(handle, pre_buffer=False, buffer_size=_READ_BYTES) as file,
                ):
                    yield file
            else:
                path = self.uri.removeprefix("file://")
                with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES) as file:
                    yield file
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, FileNotFoundError | PermissionError):
                raise ShardError(
                    self.uri, f"cannot be read ({error.strerror})", "Check the path and its rights."
                ) from error
            reason = str(error).splitlines()[0].rstrip(".")
            raise ShardError(
                self.uri, f"is not a whole Parquet file ({reason})", "Write it again from its source."
            ) from error

    def schema(self) -> pa.Schema:
        """The Arrow schema that the file carries."""
        return self._schema

    def names(self) -> list[str]:
        """Top-level column names."""
        return list(self._schema.names)

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Decoded batches of at most about 8 MB or 4,096 rows."""
        assert self.groups is not None
        chosen = list(groups if groups is not None else range(len(self.groups)))
        with self._file() as file:
            for group in chosen:
                facts = self.groups[group]
                per_row = facts.size_bytes / max(1, facts.rows)
                rows = int(max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES / max(1.0, per_row))))
                yield from file.iter_batches(batch_size=rows, row_groups=[group], columns=_parquet_columns(columns))


def _parquet_columns(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


class _Sequential:
    """What the formats share that can only be read from their start."""

    groups: tuple[Group, ...] | None = None

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def schema(self) -> pa.Schema:
        raise NotImplementedError

    def names(self) -> list[str]:
        """Column names."""
        return list(self.schema().names)

    @contextmanager
    def _bytes(self) -> Iterator[IO[bytes]]:
        with open_binary(self.uri) as raw:
            try:
                yield _decompressed(raw, self.uri)
            except (EOFError, gzip.BadGzipFile, OSError) as error:
                raise ShardError(self.uri, f"is torn ({error})", "Write it again from its source.") from error


def _decompressed(raw: IO[bytes], uri: str) -> IO[bytes]:
    if uri.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 20)
    if uri.endswith((".zst", ".zstd")):
        return io.BufferedReader(_ZstdFile(raw), 1 << 20)
    return raw


class _ZstdFile(io.RawIOBase):
    """zstd frames as a raw file. A frame that stops short is an EOFError, as gzip has it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: Any = None  # zstandard ships no types for it
        self._pending: bytes | None = None
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Buffer) -> int:
        import zstandard

        view = memoryview(target).cast("B")
        while not self._ready:
            piece = self._pending or self._raw.read(1 << 18)
            self._pending = None
            if not piece:
                if self._frame is not None:
                    raise EOFError("the last zstd frame stops short")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                self._ready = self._frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise EOFError(str(error)) from error
            if self._frame.eof:
                self._pending, self._frame = self._frame.unused_data or None, None
        size = min(len(view), len(self._ready))
        view[:size], self._ready = self._ready[:size], self._ready[size:]
        return size


class ArrowReader(_Sequential):
    """Arrow IPC, file or stream format."""

    @contextmanager
    def _reader(self) -> Iterator[pa.RecordBatchReader]:
        with self._bytes() as raw:
            try:
                magic = raw.read(6)
                raw.seek(0)
                if magic == b"ARROW1":
                    file = pa.ipc.open_file(pa.PythonFile(raw, mode="r"))
                    yield pa.RecordBatchReader.from_batches(
                        file.schema, (file.get_batch(i) for i in range(file.num_record_batches))
                    )
                else:
                    yield pa.ipc.open_stream(raw)
            except pa.ArrowException as error:
                reason = str(error).splitlines()[0].rstrip(".")
                raise ShardError(
                    self.uri, f"is not whole Arrow IPC ({reason})", "Write it again from its source."
                ) from error

    def schema(self) -> pa.Schema:
        """The schema in the file's head."""
        with self._reader() as reader:
            return reader.schema

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """The record batches as stored, sliced to at most 4,096 rows."""
        with self._reader() as reader:
            for batch in reader:
                chosen = batch if columns is None else batch.select(list(columns))
                for start in range(0, chosen.num_rows, _MAX_BATCH_ROWS):
                    yield chosen.slice(start, _MAX_BATCH_ROWS)


class CsvReader(_Sequential):
    """CSV and TSV with a header. Every column is text, so no number is ever rewritten."""

    @contextmanager
    def _reader(self) -> Iterator[pa.RecordBatchReader]:
        tab = any(piece == "tsv" for piece in self.uri.lower().split(".")[-2:])
        parse = pyarrow.csv.ParseOptions(delimiter="\t" if tab else ",", newlines_in_values=True)
        with self._bytes() as raw:
            try:
                head = pyarrow.csv.open_csv(
                    _head(raw), parse_options=parse, read_options=pyarrow.csv.ReadOptions(use_threads=False)
                ).schema.names
                convert = pyarrow.csv.ConvertOptions(
                    check_utf8=False, column_types=dict.fromkeys(head, pa.large_string()), strings_can_be_null=False
                )
                read = pyarrow.csv.ReadOptions(use_threads=False, block_size=_BATCH_BYTES)
                yield pyarrow.csv.open_csv(raw, parse_options=parse, convert_options=convert, read_options=read)
            except pa.ArrowException as error:
                reason = str(error).splitlines()[0].rstrip(".")
                raise ShardError(
                    self.uri, f"is not readable CSV ({reason})", "Quote fields that hold newlines."
                ) from error

    def schema(self) -> pa.Schema:
        """The header, every column large_string."""
        with self._reader() as reader:
            return reader.schema

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Batches of one 8 MB block, sliced to at most 4,096 rows."""
        with self._reader() as reader:
            for batch in reader:
                chosen = batch if columns is None else batch.select(list(columns))
                for start in range(0, chosen.num_rows, _MAX_BATCH_ROWS):
                    yield chosen.slice(start, _MAX_BATCH_ROWS)


def _head(raw: IO[bytes]) -> io.BytesIO:
    """The first line of a seekable-or-not stream, put back by the caller's own seek."""
    line = raw.readline()
    raw.seek(0)
    return io.BytesIO(line if line.endswith(b"\n") else line + b"\n")


class TextReader(_Sequential):
    """A plain text file: one document, with the file's path beside it."""

    def schema(self) -> pa.Schema:
        """`path` and `text`; text is binary so that bytes are kept whatever they are."""
        return pa.schema([("path", pa.string()), ("text", pa.large_binary())])

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """One batch of one row."""
        with self._bytes() as raw:
            batch = pa.record_batch([[self.uri], [raw.read()]], schema=self.schema())
        yield batch if columns is None else batch.select(list(columns))


class JsonLinesReader(_Sequential):
    """JSONL, one object a line.

    Columns are the union of all keys. A key whose values disagree in type is kept as JSON text.
    """

    def _rows(self) -> Iterator[list[dict[str, object]]]:
        with self._bytes() as raw:
            rows: list[dict[str, object]] = []
            size = 0
            for number, line in enumerate(raw, 1):
                if not line.strip():
                    continue
                rows.append(_parse(line, number, self.uri))
                size += len(line)
                if size >= _BATCH_BYTES or len(rows) >= _MAX_BATCH_ROWS:
                    yield rows
                    rows, size = [], 0
            if rows:
                yield rows

    def names(self) -> list[str]:
        """Keys of the first batch of rows, in order of appearance."""
        for rows in self._rows():
            return list(dict.fromkeys(key for row in rows for key in row))
        return []

    def schema(self) -> pa.Schema:
        """The union of all rows' keys and types (one pass over the file, remembered)."""
        return _jsonl_schema(self.uri)

    def _infer(self) -> pa.Schema:
        fields: dict[str, pa.DataType] = {}
        for rows in self._rows():
            for key in dict.fromkeys(key for row in rows for key in row):
                seen = _infer_type([row.get(key) for row in rows])
                fields[key] = seen if key not in fields else _unify(fields[key], seen)
        return pa.schema([_field(key, kind) for key, kind in fields.items()])

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Batches of at most 8 MB of lines. With `columns`, text is read leniently: what is no string becomes null."""
        schema = self.schema() if columns is None else None
        for rows in self._rows():
            if schema is not None:
                arrays = [_typed([row.get(field.name) for row in rows], field) for field in schema]
                yield pa.record_batch(arrays, schema=schema)
            else:
                wanted = list(columns or ())
                yield pa.record_batch([_lenient([row.get(name) for row in rows]) for name in wanted], names=wanted)


_JSON_TEXT = {b"foxing": b"json"}


@lru_cache(maxsize=64)
def _jsonl_schema(uri: str) -> pa.Schema:
    return JsonLinesReader(uri)._infer()


def _parse(line: bytes, number: int, uri: str) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise ShardError(uri, f"line {number} is not JSON ({error})", "Mend or remove that line.") from error
    if not isinstance(row, dict):
        raise ShardError(
            uri, f"line {number} is a JSON {type(row).__name__}, not an object", "Write one object a line."
        )
    return row


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b"".join(_encode_one(character) for character in text)


def _encode_one(character: str) -> bytes:
    escaped = 0xDC80 <= ord(character) <= 0xDCFF
    return character.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


def _infer_type(values: list[object]) -> pa.DataType:
    if all(value is None or isinstance(value, str) for value in values):
        if all(value is None for value in values):
            return pa.null()
        return pa.large_string() if all(_encodable(value) for value in values) else pa.large_binary()
    try:
        return pa.array(values).type
    except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError):
        return pa.json_(pa.large_string())


def _encodable(value: object) -> bool:
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unify(one: pa.DataType, two: pa.DataType) -> pa.DataType:
    texts = {pa.large_string(), pa.large_binary()}
    if one != two and {one, two} <= texts:
        return pa.large_binary()
    try:
        merged = pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", two)])], promote_options="default")
    except pa.ArrowException:
        return pa.json_(pa.large_string())
    return merged.field(0).type


def _field(key: str, kind: pa.DataType) -> pa.Field:
    if kind == pa.json_(pa.large_string()):
        return pa.field(key, pa.large_string(), metadata=_JSON_TEXT)
    return pa.field(key, kind)


def _typed(values: list[object], field: pa.Field) -> pa.Array:
    if field.metadata and field.metadata.get(b"foxing") == b"json":
        return pa.array([None if v is None else json.dumps(v, ensure_ascii=True) for v in values], field.type)
    if pa.types.is_large_binary(field.type):
        return _lenient(values)
    return pa.array(values, field.type)


def _lenient(values: list[object]) -> pa.Array:
    if any(isinstance(value, list | dict) for value in values):
        return pa.array(values)
    return pa.array([_encode(value) if isinstance(value, str) else None for value in values], pa.large_binary())


_READERS: dict[Format, Callable[[str], Reader]] = {
    Format.PARQUET: ParquetReader,
    Format.JSONL: JsonLinesReader,
    Format.ARROW: ArrowReader,
    Format.CSV: CsvReader,
    Format.TEXT: TextReader,
}
