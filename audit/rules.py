"""Decides: rules over findings give every row the rules that it hits and an action."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from audit.calibrate import calibrated
from audit.expressions import nearest, parse
from audit.rulebook import DEFAULTS, Action, Rule
from detectors import registry
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings import Findings

__all__ = [
    "DEFAULTS",
    "Action",
    "Rule",
    "applicable",
    "choose",
    "decide",
    "decided",
    "evaluate",
    "find",
    "rules_from",
    "rules_hash",
    "share",
]

_ID = re.compile(r"[A-Z]{2}\d{3}")
_KEEP = "keep"
_COLUMNS = ("shard", "row", "source", "unmeasured", "errors")


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


def applicable(rule: Rule, schema: pl.Schema) -> bool:
    """Whether a rule over rows can be judged: every signal that it reads was scanned. False for rules over shards.

    Raises:
        ConfigError: it reads a column or field that no signal has.
    """
    if not rule.when:
        return False
    where = _where(rule.id)
    expression = parse(rule.when, where)
    missing = [name for name in expression.columns if name not in schema]
    known = registry.names(registry.SIGNALS)
    for name in missing:
        if name not in known:
            raise ConfigError(f"{where}: no column {name!r} in findings. {nearest(name, [*_COLUMNS, *known])}")
    if missing:
        return False
    expression.check(schema, where)
    return True


def evaluate(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """One Boolean column per applicable rule, named by its id: true hit, false no hit, null undefined for the row.

    Args:
        frame: a calibrated part of findings.
        rules: over rows or shards; those not applicable have no column.

    Raises:
        ConfigError: as `applicable`.
    """
    import polars as pl

    hits = [parse(rule.when, rule.id).polars().alias(rule.id) for rule in rules if applicable(rule, frame.schema)]
    return frame.select(hits) if hits else pl.DataFrame(height=frame.height)


def decide(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """The frame with `rules` (list of every rule hit, in rule order) and `action`.

    `action` is that of the first rule hit, "keep" when none is. Null never matches.
    """
    import polars as pl

    hits = evaluate(frame, rules)
    hit = [(rule, pl.col(rule.id)) for rule in rules if rule.id in hits.columns]
    if not hit:
        return frame.with_columns(rules=pl.lit([], pl.List(pl.String)), action=pl.lit(_KEEP))
    names = pl.concat_list([pl.when(column).then(pl.lit(rule.id)) for rule, column in hit]).list.drop_nulls()
    action = pl.coalesce(*[pl.when(column).then(pl.lit(rule.action.value)) for rule, column in hit], pl.lit(_KEEP))
    return frame.hstack(hits.select(names.alias("rules"), action.alias("action")))


def decided(findings: Findings, rules: Sequence[Rule]) -> Iterator[pl.DataFrame]:
    """The parts of findings in corpus order, calibrated and decided."""
    for part in findings.parts():
        yield decide(calibrated(part), rules)


def rules_hash(rules: Sequence[Rule]) -> str:
    """12 hex digits over what decides a row: id, `when` and action of each rule, in order."""
    facts = [(rule.id, rule.when, rule.action.value) for rule in rules]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _where(rule_id: str) -> str:
    return f"rule {rule_id}"


def _changed(rule_id: str, default: Rule | None, table: Mapping[str, Any]) -> Rule:
    where = _where(rule_id)
    if not _ID.fullmatch(rule_id):
        raise ConfigError(f"{where}: an id is two capital letters and three digits, such as MY101. Rename it.")
    fields = [field.name for field in dataclasses.fields(Rule) if field.name != "id"]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}. {nearest(key, fields)}")
    if default is None and "when" not in table:
        raise ConfigError(f'{where}: a new rule needs `when`. Add, for example, when = "ai_text.p_human <= 0.001".')
    if default is not None and not default.when and "when" in table:
        raise ConfigError(f"{where}: looks at shards, so it has no `when`. Give a new rule an id of its own.")
    base = default or Rule(id=rule_id, name=rule_id, when="")
    rule = Rule(
        id=rule_id,
        name=_text(table, "name", base.name, where),
        when=_text(table, "when", base.when, where),
        action=_action(table.get("action", base.action.value), where),
        budget=share(table.get("budget", base.budget), where),
        worst=_text(table, "worst", base.worst, where),
        explanation=_text(table, "explanation", base.explanation, where),
    )
    for sql in filter(None, (rule.when, rule.worst)):
        parse(sql, where)
    return rule


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
