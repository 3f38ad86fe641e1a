"""Decides: rules over findings give every row the rules that it hits and an action.

A rule is defined on a row when every signal that it reads was measured there and its expression is not null; elsewhere
it neither hits nor counts. `rules` lists every hit in rule order. The first of them whose rule asks for more than a
report sets `action`: a rule that only reports never shields a row from one that drops. What is undefined is no ground
for dropping, so a rule that looks for it (FX9.., `unmeasured`, `errors`, `abstained`, IS NULL) may report only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from audit.calibrate import calibrated, tables_of
from audit.expressions import Expression, finite, nearest, parse
from audit.rulebook import DEFAULTS, Action, Rule
from detectors import registry
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings

__all__ = [
    "DEFAULTS",
    "Action",
    "Rule",
    "applicable",
    "choose",
    "decide",
    "decided",
    "dropping",
    "evaluate",
    "find",
    "rules_from",
    "rules_hash",
    "settle",
    "share",
]

_ID = re.compile(r"[A-Z]{2}\d{3}")
_KEEP = "keep"
_COLUMNS = ("shard", "row", "source", "unmeasured", "errors")
_OURS = "FX"
_DATA_FAMILY = "FX9"
_FAULTS = ("unmeasured", "errors", "abstained")


def rules_from(changes: Mapping[str, Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The default rules with a configuration's changes and additions, in order: defaults, then new rules as written.

    Args:
        changes: `[tool.foxing.rule.ID]` tables, whose keys are the fields of `Rule`.

    Raises:
        ConfigError: a malformed id, an unknown key, a value of the wrong type, or a `when` that is not an expression.
    """
    rules = {rule.id: rule for rule in DEFAULTS}
    for rule_id, table in changes.items():
        rules[rule_id] = _changed(rule_id, rules.get(rule_id), table)
    return tuple(rules.values())


def find(rules: Sequence[Rule], rule_id: str) -> Rule:
    """The rule with this id.

    Raises:
        ConfigError: there is none; the nearest is named.
    """
    for rule in rules:
        if rule.id == rule_id:
            return rule
    raise ConfigError(f"no rule {rule_id!r}. {nearest(rule_id, [rule.id for rule in rules])}")


def choose(rules: Sequence[Rule], select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Rules whose id begins with any of `select` (all when empty) and with none of `ignore`, in rule order.

    Raises:
        ConfigError: a prefix that no rule has.
    """
    for prefix in (*select, *ignore):
        if not prefix or not any(rule.id.startswith(prefix) for rule in rules):
            raise ConfigError(f"no rule begins with {prefix!r}. {nearest(prefix, [rule.id for rule in rules])}")
    return tuple(
        rule for rule in rules if rule.id.startswith(tuple(select) or "") and not rule.id.startswith(tuple(ignore))
    )


def dropping(rules: Sequence[Rule], ids: Sequence[str]) -> tuple[Rule, ...]:
    """The rules, those with these ids asking for a drop: what `--drop` makes of them for one run.

    Raises:
        ConfigError: an id that no rule has, or of a rule that may report only.
    """
    for rule_id in ids:
        _refuse_drop(find(rules, rule_id))
    return tuple(dataclasses.replace(rule, action=Action.DROP) if rule.id in ids else rule for rule in rules)


def applicable(rule: Rule, schema: pl.Schema) -> bool:
    """Whether a rule over rows can be judged: every signal that it reads was scanned. False for rules over shards.

    Raises:
        ConfigError: it, or its order of worst rows, reads a column or field that no signal has or is of the wrong type;
            or it drops rows for what is undefined.
    """
    if not rule.when:
        return False
    where = _where(rule.id)
    expression = parse(rule.when, where)
    _check_examples(rule, schema, where)
    if not _scanned(expression, schema, where):
        return False
    expression.check(schema, where)
    if rule.action is Action.DROP:
        _refuse_drop(rule)
        _refuse_undefined(expression, schema, where)
    return True


def evaluate(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """One Boolean column per applicable rule, named by its id: true hit, false no hit, null undefined for the row.

    Floats that are not finite count as null. A rule is null where a signal that it reads was not measured.

    Args:
        frame: a calibrated part of findings.
        rules: over rows or shards; those not applicable have no column.

    Raises:
        ConfigError: as `applicable`.
    """
    import polars as pl

    hits = _compiled(tuple(rules), tuple(frame.schema.items()))
    known = finite(frame)
    try:
        return known.select(hits) if hits else pl.DataFrame(height=frame.height)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(_misfit(known, rules, error)) from error


def _misfit(frame: pl.DataFrame, rules: Sequence[Rule], error: Exception) -> str:
    """Which rule Polars could not work out, which it says only when it comes to the values."""
    import polars as pl

    for rule in rules:
        try:
            frame.select(_compiled((rule,), tuple(frame.schema.items())))
        except pl.exceptions.PolarsError as found:
            return (
                f"{_where(rule.id)}: {rule.when!r} does not fit the findings ({str(found).splitlines()[0]}). Mend it."
            )
    return f"rules: cannot be worked out ({str(error).splitlines()[0]}). Mend them."


@lru_cache(maxsize=16)
def _compiled(rules: tuple[Rule, ...], columns: tuple[tuple[str, pl.DataType], ...]) -> list[pl.Expr]:
    """The applicable rules as expressions over frames of these columns: parsed and checked once, not in every part."""
    import polars as pl

    schema = pl.Schema(columns)
    hits = []
    for rule in rules:
        if applicable(rule, schema):
            expression = parse(rule.when, _where(rule.id))
            signals = [name for name in expression.columns if isinstance(schema[name], pl.Struct)]
            hit = expression.polars()
            if signals:
                hit = pl.when(pl.all_horizontal(pl.col(name).is_not_null() for name in signals)).then(hit)
            hits.append(hit.alias(rule.id))
    return hits


def decide(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """The frame with `rules` (list[str], every rule hit, in rule order), `action` and `dropped_by` (see `settle`).

    Args:
        frame: a calibrated part of findings.
        rules: as configured, or as `dropping` made them for this run.

    Raises:
        ConfigError: as `applicable`.
    """
    import numpy as np
    import polars as pl
    import pyarrow as pa

    hits = evaluate(frame, rules)
    none = np.zeros(0, np.int64)
    # Lists from all hits at once: put together rule by rule they cost more than everything else.
    row, rule = np.nonzero(hits.fill_null(value=False).to_numpy()) if hits.width else (none, none)
    ends = np.searchsorted(row, np.arange(frame.height + 1)).astype(np.int64)
    names = pl.Series(hits.columns, dtype=pl.String).gather(rule).to_arrow()
    lists = pa.LargeListArray.from_arrays(pa.array(ends), names)
    listed = frame.with_columns(pl.Series("rules", pl.from_arrow(lists), pl.List(pl.String)))
    return settle(listed, [rule.id for rule in rules if rule.action is Action.DROP])


def settle(frame: pl.DataFrame, drop: Sequence[str]) -> pl.DataFrame:
    """The frame with `action` and `dropped_by`, from the rules that each row hits; both are replaced when there.

    `action` (str) is "drop" when any rule hit is one of `drop`, else "report" when any rule is hit, else "keep".
    `dropped_by` (str) is the first rule hit, in rule order, that is one of `drop`; null where the row is kept.

    Args:
        frame: with `rules`, list[str].
        drop: ids of the rules that ask for a drop.
    """
    import polars as pl

    first = pl.col("rules").list.eval(pl.element().filter(pl.element().is_in(list(drop)))).list.first()
    action = (
        pl.when(pl.col("dropped_by").is_not_null())
        .then(pl.lit(Action.DROP.value))
        .when(pl.col("rules").list.len() > 0)
        .then(pl.lit(Action.REPORT.value))
        .otherwise(pl.lit(_KEEP))
    )
    settled = frame.with_columns(dropped_by=first if drop else pl.lit(None, pl.String)).with_columns(action=action)
    return settled.select(pl.exclude("action", "dropped_by"), "action", "dropped_by")


def decided(findings: Findings, rules: Sequence[Rule]) -> Iterator[pl.DataFrame]:
    """The parts of findings in corpus order, calibrated and decided."""
    for part in findings.parts():
        yield decide(calibrated(part, tables_of(findings)), rules)


def rules_hash(rules: Sequence[Rule]) -> str:
    """12 hex digits over what decides a row: id, `when` and action of each rule, in order."""
    facts = [(rule.id, rule.when, rule.action.value) for rule in rules]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _where(rule_id: str) -> str:
    return f"rule {rule_id}"


def _scanned(expression: Expression, schema: pl.Schema, where: str) -> bool:
    """Whether all columns are there; those that are not must be signals that exist."""
    missing = [name for name in expression.columns if name not in schema]
    known = [*registry.names(registry.SIGNALS), *registry.names(registry.STAGES)] if missing else []
    for name in missing:
        if name not in known:
            raise ConfigError(f"{where}: no column {name!r} in findings. {nearest(name, [*_COLUMNS, *known])}")
    return not missing


def _check_examples(rule: Rule, schema: pl.Schema, where: str) -> None:
    """Check what orders and describes the worst rows, as far as it was scanned."""
    if rule.worst:
        worst = parse(rule.worst, f"{where}: worst")
        if _scanned(worst, schema, f"{where}: worst"):
            worst.check(schema, f"{where}: worst", boolean=False)
    for name in rule.shown:
        shown = Expression(name, (tuple(name.split(".")),))
        if _scanned(shown, schema, f"{where}: shown"):
            shown.look_up(schema, f"{where}: shown")


def _refuse_drop(rule: Rule) -> None:
    """Stop a rule that looks at faults, not at text, from dropping rows."""
    where, remedy = _where(rule.id), 'Give it action = "report".'
    if rule.id.startswith(_DATA_FAMILY) or not rule.when:
        raise ConfigError(f"{where}: judges what could not be measured, and such rows are never dropped. {remedy}")
    expression = parse(rule.when, where)
    for name in expression.names:
        if name[-1] in _FAULTS:
            read = ".".join(name)
            raise ConfigError(f"{where}: reads {read!r}, and rows without a measurement are never dropped. {remedy}")
    if expression.looks_for_null:
        raise ConfigError(f"{where}: drops rows for what IS NULL; undefined is no ground for it. {remedy}")


def _refuse_undefined(expression: Expression, schema: pl.Schema, where: str) -> None:
    """Stop an expression that is true of a row of which nothing is known, as `COALESCE(ai_text.p_human, 0) < 1` is."""
    import polars as pl

    unknown = [
        pl.Series(name, [{} if isinstance(kind, pl.Struct) else None], dtype=kind) for name, kind in schema.items()
    ]
    if pl.DataFrame(unknown).select(expression.polars().alias("hit"))["hit"][0]:
        raise ConfigError(
            f"{where}: {expression.sql!r} is true of a row without any measurement, and such rows are never dropped. "
            'Give it action = "report".'
        )


def _changed(rule_id: str, default: Rule | None, table: Mapping[str, Any]) -> Rule:
    where = _where(rule_id)
    if not _ID.fullmatch(rule_id):
        raise ConfigError(f"{where}: an id is two capital letters and three digits, such as MY101. Rename it.")
    if default is None and rule_id.startswith(_OURS):
        raise ConfigError(f"{where}: ids that begin with {_OURS} are those of foxing. Name it MY{rule_id[2:]}.")
    fields = [field.name for field in dataclasses.fields(Rule) if field.name != "id"]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}. {nearest(key, fields)}")
    if default is None and "when" not in table:
        raise ConfigError(f'{where}: a new rule needs `when`. Add, for example, when = "ai_text.p_human <= 0.001".')
    for key in ("when", "worst"):
        if default is not None and not default.when and key in table:
            raise ConfigError(f"{where}: looks at shards, so it has no `{key}`. Give a new rule an id of its own.")
    base = default or Rule(id=rule_id, name=rule_id, when="")
    rule = Rule(
        id=rule_id,
        name=_text(table, "name", base.name, where),
        when=_text(table, "when", base.when, where),
        action=_action(table.get("action", base.action.value), where),
        budget=share(table.get("budget", base.budget), where),
        worst=_text(table, "worst", base.worst, where),
        shown=_names(table.get("shown", base.shown), where),
        explanation=_text(table, "explanation", base.explanation, where),
    )
    for sql in filter(None, (rule.when, rule.worst)):
        parse(sql, where)
    if rule.action is Action.DROP:
        _refuse_drop(rule)
    return rule


def _names(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ConfigError(f"{where}: shown = {value!r} is not a list of columns. Write, for example, shown = ['source'].")


def _text(table: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key} = {value!r} is not a string. Put it in quotes.")
    if key == "when" and key in table and not value.strip():
        raise ConfigError(f"{where}: `when` is empty. To leave the rule out use ignore = [...].")
    return value


def _action(value: object, where: str) -> Action:
    actions = {action.value: action for action in Action}
    if value not in actions:
        raise ConfigError(f"{where}: no action {value!r}. {nearest(str(value), actions)}")
    return actions[str(value)]


def share(value: object, where: str) -> float:
    """A budget as a number from 0 to 1.

    Raises:
        ConfigError: anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ConfigError(f"{where}: budget {value!r} is not a share. Give a number from 0 to 1.")
