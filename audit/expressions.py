"""Boolean expressions over findings: a small, checked part of Polars SQL, so that a rule can only look at one row.

Subqueries, table functions, aggregates and window functions are refused before Polars parses anything: a rule comes
from a configuration file, and its answer for a row must not depend on the rows around it.

What arithmetic leaves undefined is null, as in mathematics and unlike in Polars, to which not-a-number is greater than
every number: division by zero, a logarithm or root outside its domain. So an undefined value never matches.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Expression", "finite", "nearest", "parse"]

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

_DEFINED = {
    "ln": "CASE WHEN ({0}) > 0 THEN LN({0}) END",
    "log10": "CASE WHEN ({0}) > 0 THEN LOG10({0}) END",
    "sqrt": "CASE WHEN ({0}) >= 0 THEN SQRT({0}) END",
    # The factor makes the base a float: Polars raises on an integer to a negative power.
    "power": "CASE WHEN ({0}) > 0 OR (({0}) < 0 AND ({1}) = FLOOR({1})) OR (({0}) = 0 AND ({1}) >= 0) "
    "THEN POWER(1.0 * ({0}), {1}) END",
}


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
    def looks_for_null(self) -> bool:
        """Whether it asks if something IS NULL."""
        words = [word.lower() for word in _words(self.sql)]
        return ("is", "null") in pairwise(words)

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level columns that it reads, in order of appearance."""
        return tuple(dict.fromkeys(name[0] for name in self.names))

    def polars(self) -> pl.Expr:
        """The expression for Polars, null where it is undefined. Float columns must hold no NaN (see `finite`)."""
        import polars as pl

        return pl.sql_expr(_guarded(_words(self.sql)))

    def look_up(self, schema: pl.Schema, where: str) -> None:
        """Check that a frame has every column and field.

        Raises:
            ConfigError: an unknown one; the nearest is named.
        """
        for name in self.names:
            _look_up(name, schema, where)

    def check(self, schema: pl.Schema, where: str, *, boolean: bool = True) -> None:
        """Check names and type (true or false, or with `boolean=False` a number) against the columns of a frame.

        Raises:
            ConfigError: an unknown column or field (the nearest is named), or an expression of another type.
        """
        import polars as pl

        self.look_up(schema, where)
        try:
            kind = pl.LazyFrame(schema=schema).select(self.polars().alias("value")).collect_schema()["value"]
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"{where}: {self.sql!r} does not fit the findings ({_first_line(error)}).") from error
        if boolean and kind != pl.Boolean:
            raise ConfigError(f"{where}: {self.sql!r} is {kind}, not true or false. Compare it with something.")
        if not boolean and not kind.is_numeric():
            raise ConfigError(f"{where}: {self.sql!r} is {kind}, not a number. Name a number, larger for worse rows.")


def finite(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with null for every float, also in structs, that is not a finite number."""
    import polars as pl

    changed = [_finite(pl.col(name), kind).alias(name) for name, kind in frame.schema.items() if _has_floats(kind)]
    return frame.with_columns(changed) if changed else frame


def _has_floats(kind: pl.DataType | pl.datatypes.DataTypeClass) -> bool:
    import polars as pl

    return (
        any(_has_floats(dtype) for dtype in kind.to_schema().values())
        if isinstance(kind, pl.Struct)
        else (kind.is_float())
    )


def _finite(value: pl.Expr, kind: pl.DataType | pl.datatypes.DataTypeClass) -> pl.Expr:
    import polars as pl

    if not isinstance(kind, pl.Struct):
        return pl.when(value.is_finite()).then(value)
    fields = [
        _finite(value.struct.field(name), dtype).alias(name)
        for name, dtype in kind.to_schema().items()
        if _has_floats(dtype)
    ]
    return pl.when(value.is_not_null()).then(value.struct.with_fields(fields))


def parse(sql: str, where: str) -> Expression:
    """Check an expression by itself; `where` says in messages what it belongs to.

    Raises:
        ConfigError: anything that is not an expression over columns and constants of one row.
    """
    import polars as pl

    names = dict.fromkeys(_names(sql, where))
    if not names:
        raise ConfigError(f"{where}: {sql!r} reads no column. Compare a column of the findings with something.")
    found = Expression(sql, tuple(names))
    try:
        pl.sql_expr(sql)
        found.polars()
    except (pl.exceptions.PolarsError, IndexError) as error:
        raise ConfigError(f"{where}: {sql!r} is not an expression ({_first_line(error)}). Mend it.") from error
    return found


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


def _words(sql: str) -> list[str]:
    """The tokens of an accepted expression, without white space."""
    return [token[0] for token in _TOKEN.finditer(sql) if token.lastgroup != "space"]


def _guarded(words: Sequence[str]) -> str:
    """The expression with null for what division, logarithms, roots and powers leave undefined."""
    pieces: list[str] = []
    at = 0
    while at < len(words):
        template = _DEFINED.get(words[at].lower()) if words[at + 1 : at + 2] == ["("] else None
        if words[at] in ("/", "%"):
            end = _operand_end(words, at + 1)
            pieces += [words[at], f"NULLIF({_guarded(words[at + 1 : end])}, 0)"]
        elif template is not None:
            end = _operand_end(words, at)
            pieces.append(template.format(*map(_guarded, _arguments(words[at + 2 : end - 1]))))
        else:
            end = at + 1
            pieces.append(words[at])
        at = end
    return " ".join(pieces)


def _operand_end(words: Sequence[str], at: int) -> int:
    """Where the operand that starts at `at` ends: signs, then a constant, a name, a call, brackets or CASE ... END."""
    while words[at] in ("+", "-"):
        at += 1
    if words[at].lower() not in ("(", "case") and words[at + 1 : at + 2] == ["("]:
        at += 1
    depth = 0
    for end in range(at, len(words)):
        word = words[end].lower()
        depth += (word in ("(", "case")) - (word in (")", "end"))
        if not depth:
            return end + 1
    return len(words)


def _arguments(words: Sequence[str]) -> list[Sequence[str]]:
    """What stands between the commas of a call."""
    depth, found, begin = 0, [], 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == "," and not depth:
            found.append(words[begin:at])
            begin = at + 1
    return [*found, words[begin:]]


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
