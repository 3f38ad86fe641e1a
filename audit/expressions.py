"""Boolean expressions over findings: a small, checked part of Polars SQL, so that a rule can only look at one row.

Subqueries, table functions, aggregates and window functions are refused before Polars parses anything: a rule comes
from a configuration file, and its answer for a row must not depend on the rows around it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Expression", "nearest", "parse"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<string>'(?:[^']|'')*')
    |(?P<name>(?:[A-Za-z_]\w*|"[^"]+")(?:\.(?:[A-Za-z_]\w*|"[^"]+"))*)
    |(?P<operator><=|>=|<>|!=|==|\|\||[-+*/%()=<>,])""",
    re.VERBOSE,
)
_KEYWORDS = re.compile(
    "and|or|not|is|null|in|between|like|ilike|case|when|then|else|end|true|false",
    re.IGNORECASE,
)
_FUNCTIONS = re.compile(
    "abs|array_contains|array_length|ceil|coalesce|ends_with|exp|floor|greatest|least|length|ln|log10|lower|nullif|"
    "octet_length|power|round|sqrt|starts_with|upper",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    "select|from|where|exists|any|all|some|over|partition|order|group|having|union|join|with|as|cast|distinct|values|"
    "interval|array|into|table",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        sql: as written.
        names: columns and `struct.field`s that it reads, in order of appearance, each once.
    """

    sql: str
    names: tuple[tuple[str, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level columns that it reads, in order of appearance."""
        return tuple(dict.fromkeys(name[0] for name in self.names))

    def polars(self) -> pl.Expr:
        """The expression for Polars."""
        import polars as pl

        return pl.sql_expr(self.sql)

    def check(self, schema: pl.Schema, where: str, *, boolean: bool = True) -> None:
        """Check names and type against the columns of a frame.

        Raises:
            ConfigError: an unknown column or field (the nearest is named), or an expression of another type.
        """
        import polars as pl

        for name in self.names:
            _look_up(name, schema, where)
        try:
            kind = pl.LazyFrame(schema=schema).select(self.polars().alias("value")).collect_schema()["value"]
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"{where}: {self.sql!r} does not fit the findings ({_first_line(error)}).") from error
        if boolean and kind != pl.Boolean:
            raise ConfigError(f"{where}: {self.sql!r} is {kind}, not true or false. Compare it with something.")


def parse(sql: str, where: str) -> Expression:
    """Check an expression by itself; `where` says in messages what it belongs to.

    Raises:
        ConfigError: anything that is not an expression over columns and constants of one row.
    """
    import polars as pl

    names = dict.fromkeys(_names(sql, where))
    if not names:
        raise ConfigError(f"{where}: {sql!r} reads no column. Compare a column of the findings with something.")
    try:
        pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: {sql!r} is not an expression ({_first_line(error)}). Mend it.") from error
    return Expression(sql, tuple(names))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for messages: the nearest known name, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"There is: {', '.join(known)}."


def _names(sql: str, where: str) -> Iterator[tuple[str, ...]]:
    at = 0
    while at < len(sql):
        token = _TOKEN.match(sql, at)
        if token is None or sql.startswith(("--", "/*"), at):
            raise ConfigError(f"{where}: {sql!r} has {sql[at : at + 10]!r}, which a rule may not use. Mend it.")
        at = token.end()
        if token.lastgroup != "name" or _KEYWORDS.fullmatch(token[0]):
            continue
        if _REFUSED.fullmatch(token[0]):
            raise ConfigError(f"{where}: a rule may not use {token[0]}: it looks at one row. Mend {sql!r}.")
        if not sql[at:].lstrip().startswith("("):
            yield tuple(piece.strip('"') for piece in re.findall(r'"[^"]+"|\w+', token[0]))
        elif not _FUNCTIONS.fullmatch(token[0]):
            allowed = _FUNCTIONS.pattern.replace("|", ", ")
            raise ConfigError(f"{where}: a rule may not call {token[0]}(). It may call: {allowed}.")


def _look_up(name: tuple[str, ...], schema: pl.Schema, where: str) -> None:
    import polars as pl

    if name[0] not in schema:
        raise ConfigError(f"{where}: no column {name[0]!r} in the findings. {nearest(name[0], schema.names())}")
    fields: dict[str, object] = dict(schema)
    for depth, field in enumerate(name):
        if field not in fields:
            owner = ".".join(name[:depth])
            hint = nearest(field, fields) if fields else f"{owner!r} has no fields."
            raise ConfigError(f"{where}: no field {field!r} in {owner!r}. {hint}")
        kind = fields[field]
        fields = dict(kind.to_schema()) if isinstance(kind, pl.Struct) else {}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
