"""Decides every row once: what curricula, tally and plan need of each row, spooled out of memory."""

from __future__ import annotations

import copy
import io
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.calibrate import SIGNAL, calibrated, tables_of
from audit.expressions import parse
from audit.findings_folder import Fields, Findings
from audit.replacing import explained
from audit.rules import Action, Rule, decide, settle
from curricula.allow import FAMILY, AllowList
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MEASURES", "Spool", "counting", "decided_parts", "schema_of"]

_ROWS = 16_384
_IN_MEMORY_BYTES = 1 << 20
MEASURES = {
    "words": ("document", "words"),
    "bytes": ("document", "bytes"),
    "tokens": ("document", "words"),
    "mtld": ("diversity", "mtld"),
    "distinct_2": ("diversity", "distinct_2"),
    "score": (SIGNAL, "score"),
    "cluster": ("duplicates", "cluster"),
}
"""What is spooled of each row besides what curricula need, by name: signal and field; null where not measured."""
_DROPPED = ("dropped_by", "spared")
_SETTLED = ("action", *_DROPPED)
_DECIDED = ("shard", "row", "source", "rules", "exempt", "action")
# Read by calibration.
_MARGIN = ("margin", "tier", "language", "length", "style")


def schema_of(findings: Findings) -> pl.Schema | None:
    """Columns of calibrated findings; None where they have no row."""
    first = next((part for part in findings.parts() if part.height), None)
    return None if first is None else calibrated(first, tables_of(findings)).schema


def counting(tokens: str, schema: pl.Schema | None) -> dict[str, tuple[str, str]]:
    """`MEASURES` with tokens counted by another field of findings, `SIGNAL.FIELD`.

    Args:
        tokens: the field.
        schema: of the findings (`schema_of`).

    Raises:
        ConfigError: no such field was measured, or it is no whole number.
    """
    import polars as pl

    signal, _, field = tokens.partition(".")
    kind = None if schema is None else schema.get(signal)
    fields = {entry.name: entry.dtype for entry in kind.fields} if isinstance(kind, pl.Struct) else {}
    if schema is not None and not (field in fields and fields[field].is_integer()):
        whole = ", ".join(f"{signal}.{name}" for name, dtype in fields.items() if dtype.is_integer())
        raise ConfigError(
            f"count = {tokens!r} is no whole number in these findings (of {signal} there is: {whole or 'nothing'}). "
            "Name one that was measured, for example document.words."
        )
    return {**MEASURES, "tokens": (signal, field)}


def decided_parts(
    findings: Findings,
    rules: Sequence[Rule],
    needs: Iterable[str] = (),
    allow: AllowList | None = None,
    measures: Mapping[str, tuple[str, str]] = MEASURES,
    read: Iterable[pl.DataFrame] | None = None,
) -> Iterator[pl.DataFrame]:
    """Findings in corpus order, calibrated and decided, with the fields that rules, curricula and the tally read.

    `exempt` (bool) says of each row whether it is on the allow-list, and `spared` (bool) whether it would have been
    dropped otherwise.

    Args:
        findings: of a finished scan.
        rules: that can be judged on them.
        needs: signals to read whole.
        allow: None exempts no row.
        measures: what else to read, as `MEASURES` has it.
        read: all parts of the findings, calibrated, where they are read for something else already; None reads the
            fields that are needed.
    """
    import polars as pl

    chosen = _fields(rules, needs, measures)
    # What orders and describes examples is not read here, and was checked when the rules were chosen.
    bare = [_bare(rule) for rule in rules]
    drop = [rule.id for rule in rules if rule.action is Action.DROP]
    parts: Iterator[pl.DataFrame]
    if read is None:
        parts = (calibrated(part, tables_of(findings)) for part in _gathered(findings.parts(chosen)))
    else:
        parts = _gathered(part.select(name for name in part.columns if _is_read(part, name, chosen)) for part in read)
    for part in parts:
        decided = decide(part, bare)
        exempt = pl.lit(value=False) if allow is None else pl.Series(allow.marks(decided))
        yield _exempted(decided.with_columns(exempt=exempt), drop)


def _fields(
    rules: Sequence[Rule], needs: Iterable[str], measures: Mapping[str, tuple[str, str]]
) -> dict[str, frozenset[str] | None]:
    fields: dict[str, set[str]] = {SIGNAL: set(_MARGIN)}
    for signal, name in measures.values():
        fields.setdefault(signal, set()).add(name)
    whole = set(needs)
    for rule in rules:
        for column in parse(rule.when, f"rule {rule.id}").names:
            if len(column) > 1:
                fields.setdefault(column[0], set()).add(column[1])
            else:
                whole.add(column[0])
    if "machine_share" in fields[SIGNAL]:
        fields[SIGNAL].add("windows")
    return {name: frozenset(read) for name, read in fields.items()} | dict.fromkeys(whole)


def _is_read(part: pl.DataFrame, name: str, chosen: Fields) -> bool:
    import polars as pl

    return name in chosen or not isinstance(part.schema[name], pl.Struct)


def _exempted(decided: pl.DataFrame, drop: Sequence[str]) -> pl.DataFrame:
    """Settled rows with `spared`; those that are `exempt` settled without rules that drop no row on the allow-list."""
    import polars as pl

    if not decided["exempt"].any():
        return decided.with_columns(spared=pl.lit(value=False))
    spared = settle(decided, [rule for rule in drop if not rule.startswith(FAMILY)])
    return decided.with_columns(
        *(
            pl.when("exempt").then(spared[name]).otherwise(pl.col(name)).alias(name)
            for name in ("action", "dropped_by")
        ),
        spared=pl.col("exempt") & pl.col("dropped_by").is_not_null() & spared["dropped_by"].is_null(),
    )


def _bare(rule: Rule) -> Rule:
    return Rule(id=rule.id, name=rule.name, when=rule.when, action=rule.action, budget=rule.budget)


def _gathered(parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Small parts put together: an expression costs about as much for ten rows as for ten thousand."""
    import polars as pl

    held: list[pl.DataFrame] = []
    for part in parts:
        if part.height:
            held.append(part)
        if sum(each.height for each in held) >= _ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


class Spool:
    """Decided rows without a name on disk: gone when the process is, and in memory only while they are few.

    Columns: shard, row, source, rules, exempt, action, a struct for each signal that is needed, `dropped_by`, `spared`,
    and `MEASURES` under their names with an underscore before them.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 closed by `close`
        self._lock = threading.Lock()
        self._starts = [0]
        self._heights: list[int] = []
        self._schema: dict[str, pl.DataType] = {}
        self._needs: tuple[str, ...] = ()
        self._drop: tuple[str, ...] | None = None

    @property
    def rows(self) -> int:
        """Rows written down."""
        return sum(self._heights)

    def fill(
        self,
        parts: Iterable[pl.DataFrame],
        needs: Sequence[str],
        measures: Mapping[str, tuple[str, str]] = MEASURES,
    ) -> None:
        """Write down decided parts, with the signals in `needs` whole.

        Raises:
            OutputError: the folder for temporary files is full.
        """
        self._needs = tuple(dict.fromkeys(needs))
        for part in parts:
            frame = part.select(*_DECIDED, *self._needs, *_DROPPED, *_measured(part, measures))
            self._schema = dict(frame.schema)
            stream = io.BytesIO()
            frame.write_ipc(stream, compression="lz4")
            with explained(Path(tempfile.gettempdir())):
                self._starts.append(self._starts[-1] + self._file.write(stream.getbuffer()))
            self._heights.append(frame.height)

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """What was written down, in the same order."""
        import polars as pl

        wanted = None if columns is None else list(columns)
        settles = self._drop is not None and (wanted is None or not set(_SETTLED).isdisjoint(wanted))
        read = wanted if wanted is None or not settles else list(dict.fromkeys((*wanted, "rules", "exempt", *_SETTLED)))
        for start, stop in zip(self._starts, self._starts[1:], strict=False):
            with self._lock:  # a query may read it in several threads
                self._file.seek(start)
                stored = self._file.read(stop - start)
            frame = pl.read_ipc(io.BytesIO(stored), columns=read)
            if settles:
                drop = self._drop or ()
                frame = _exempted(settle(frame, drop), drop).select(wanted or frame.columns)
            yield frame

    def seen(self, needs: Sequence[str], drop: Sequence[str] | None) -> Spool:
        """The same rows for another request: with some of the signals, and settled by other rules that drop.

        It reads from the same file, which is the first one's to close.

        Args:
            needs: signals, among those that were written down.
            drop: ids of rules; None for those by which the rows were decided.
        """
        other = copy.copy(self)
        other._needs, other._drop = tuple(dict.fromkeys(needs)), None if drop is None else tuple(drop)
        return other

    def column(self, name: str) -> pl.Series:
        """One column over all rows."""
        import polars as pl

        return pl.concat([frame[name] for frame in self.frames([name])])

    def scan(self, dropped: Callable[[int, int], npt.NDArray[np.bool_]]) -> pl.LazyFrame:
        """What a curriculum sees: `index`, the decided columns and the signals that are needed.

        Args:
            dropped: of rows from one position up to another, which a curriculum has dropped.
        """
        import polars as pl
        from polars.io.plugins import register_io_source

        schema = {"index": pl.Int64(), **{name: self._schema[name] for name in (*_DECIDED, *self._needs)}}

        def source(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            for frame in self._indexed(list(schema) if columns is None else columns, dropped):
                head = frame if rows is None else frame.head(rows)
                yield head if predicate is None else head.filter(predicate)
                if rows is not None:
                    rows -= head.height
                    if not rows:
                        return

        return register_io_source(source, schema=schema)

    def _indexed(
        self, columns: list[str], dropped: Callable[[int, int], npt.NDArray[np.bool_]]
    ) -> Iterator[pl.DataFrame]:
        import polars as pl

        start = 0
        for frame in self.frames([name for name in columns if name != "index"] or ["row"]):
            stop = start + frame.height
            if "action" in columns and (gone := dropped(start, stop)).any():
                action = pl.when(pl.Series(gone)).then(pl.lit(Action.DROP.value)).otherwise(pl.col("action"))
                frame = frame.with_columns(action=action)
            yield frame.with_columns(index=pl.int_range(start, stop, dtype=pl.Int64)).select(columns)
            start = stop

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _measured(part: pl.DataFrame, measures: Mapping[str, tuple[str, str]]) -> list[pl.Expr]:
    import polars as pl

    kinds = {"words": pl.Int32, "bytes": pl.Int64, "tokens": pl.Int64, "cluster": pl.Int64}
    found = []
    for name, (signal, field) in measures.items():
        kind = kinds.get(name, pl.Float32)
        there = signal in part.columns and field in {entry.name for entry in part.schema[signal].fields}  # type: ignore[attr-defined]
        value = pl.col(signal).struct.field(field).cast(kind) if there else pl.lit(None, kind)
        found.append((value.fill_nan(None) if kind == pl.Float32 else value).alias(f"_{name}"))
    return found
