"""Findings and decisions as a table for other tools: one line a corpus row, in corpus order, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from audit.expressions import nearest
from audit.replacing import replacing
from audit.rules import Rule, decided
from detectors import registry
from detectors.errors import ConfigError, FindingsError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings

__all__ = ["DEFAULT_COLUMNS", "FORMATS", "export", "export_file", "selected"]

FORMATS = ("parquet", "jsonl", "csv")
DEFAULT_COLUMNS = ("shard", "row", "source", "rules", "action")
_BETWEEN_RULES = ";"
_FORMULA = r"^[=+\-@\t\r]"


def export_file(
    findings: Findings, rules: Sequence[Rule], path: Path, *, form: str, columns: Sequence[str] = DEFAULT_COLUMNS
) -> None:
    """`export` to a file, which appears under its name when it is whole.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as stream:
        export(findings, rules, stream, form=form, columns=columns)


def export(
    findings: Findings,
    rules: Sequence[Rule],
    stream: IO[bytes],
    *,
    form: str,
    columns: Sequence[str] = DEFAULT_COLUMNS,
) -> None:
    """Write every row of the findings, in memory for one part.

    Args:
        findings: of a finished scan.
        rules: what decides `rules` and `action`.
        stream: written in binary.
        form: `parquet`, `jsonl` (undefined and not-a-number are null) or `csv` (undefined is empty; text that a
            spreadsheet would run as a formula gets an apostrophe in front).
        columns: columns of decided findings, each once; a field of a signal is `signal.field`, also in the output.

    Raises:
        ConfigError: a column that the findings do not have. FindingsError: no rows.
    """
    parts = (selected(part, columns) for part in decided(findings, rules))
    first = next(parts, None)
    if first is None:
        raise FindingsError(f"{findings.directory}: holds no rows.")
    write = {"parquet": _parquet, "jsonl": _jsonl, "csv": _csv}[form]
    write(first, parts, stream)


def selected(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of decided findings, each once; a field of a signal is `signal.field`. Not-a-number becomes null.

    Raises:
        ConfigError: a column that the frame does not have.
    """
    import polars as pl

    columns = list(dict.fromkeys(columns))
    flat = {name: pl.col(name) for name, kind in frame.schema.items() if not isinstance(kind, pl.Struct)}
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Struct):
            flat |= {f"{name}.{field.name}": pl.col(name).struct.field(field.name) for field in kind.fields}
    for name in columns:
        if name not in flat:
            raise ConfigError(f"--columns: no column {name!r} in the findings. {_remedy(name, flat)}")
    selected = frame.select(flat[name].alias(name) for name in columns)
    return selected.with_columns(pl.selectors.float().fill_nan(None))


def _remedy(name: str, flat: Mapping[str, object]) -> str:
    """What to do about a column that is not there, or not for the asking."""
    signal, _, leaf = name.partition(".")
    if leaf and signal in registry.names(registry.SIGNALS):
        kind = registry.load(registry.SIGNALS, signal)
        if isinstance(kind, type) and leaf in kind().schema.names:
            return f"Binary fields are read from the files themselves: findings/{signal}/*/part-*.parquet."
    return nearest(name, flat)


def _parquet(first: pl.DataFrame, rest: Iterator[pl.DataFrame], stream: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    schema = first.to_arrow().schema
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        writer.write_table(first.to_arrow())
        for part in rest:
            writer.write_table(part.to_arrow().cast(schema))


def _jsonl(first: pl.DataFrame, rest: Iterator[pl.DataFrame], stream: IO[bytes]) -> None:
    for part in _chain(first, rest):
        part.write_ndjson(stream)


def _csv(first: pl.DataFrame, rest: Iterator[pl.DataFrame], stream: IO[bytes]) -> None:
    for index, part in enumerate(_chain(first, rest)):
        _safe_cells(part).write_csv(stream, include_header=index == 0)


def _chain(first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest


def _safe_cells(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    lists = pl.selectors.list().cast(pl.List(pl.String)).list.join(_BETWEEN_RULES, ignore_nulls=True)
    joined = frame.with_columns(lists)
    text = pl.selectors.string()
    return joined.with_columns(text.str.replace(f"({_FORMULA})", "'$1"))
