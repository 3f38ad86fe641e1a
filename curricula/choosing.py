"""What a request asks for, held against what was measured: signals that curricula need, rules that drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audit.findings_folder import Findings
from audit.layout import Kind
from audit.rules import Action, Rule, applicable, choose, dropping
from curricula.protocols import Curriculum, Editing
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["choose_drops", "has_answers", "need_signals", "need_stage"]

_UNMEASURED = "FX9"


def need_signals(findings: Findings, curricula: Sequence[Curriculum]) -> None:
    """Stop where a curriculum reads a signal that was not scanned, or edits answers where no shard has any.

    Raises:
        ConfigError: names it.
    """
    layouts = sorted({shard.layout for shard in findings.shards})
    scanned = [signal.name for signal in findings.measured]
    for curriculum in curricula:
        for name in curriculum.needs:
            if name not in scanned:
                raise ConfigError(
                    f"curriculum {curriculum.name} needs {name}, which was not measured (there: {', '.join(scanned)}). "
                    f"Run foxing scan with --signals {','.join([*scanned, name])}."
                )
        if isinstance(curriculum, Editing) and not any(has_answers(layout) for layout in layouts):
            raise ConfigError(
                f"curriculum {curriculum.name} replaces answers, and no file was read as having any "
                f"(but as {', '.join(layouts)}). Scan without --text, or name the columns question and answer."
            )


def has_answers(layout: str) -> bool:
    """Whether rows of a recorded layout have an answer that can be replaced: all but those of plain text."""
    return not layout.startswith(f"{Kind.TEXT.value}(")


def need_stage(findings: Findings, stage: str, purpose: str, signal: str) -> None:
    """Stop where something needs what a stage finds over the corpus, and it did not run.

    Raises:
        ConfigError: names the signal that it reads.
    """
    scanned = [record.name for record in findings.measured]
    if stage not in scanned:
        wanted = ",".join(dict.fromkeys((*(name for name in scanned if name != stage), signal)))
        raise ConfigError(
            f"{purpose}, and {stage} were not looked for (there: {', '.join(scanned)}). "
            f"Run foxing scan with --signals {wanted}."
        )


def choose_drops(
    findings: Findings, rules: Sequence[Rule], prefixes: Mapping[str, str], schema: pl.Schema | None
) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Rules that can be judged on these findings, and the ids of those that drop.

    Args:
        findings: of a finished scan.
        rules: all there are.
        prefixes: of the ids of rules that are to drop, and who asks for each.
        schema: of the findings (`curricula.decisions.schema_of`).
    """
    judged = tuple(rule for rule in rules if schema is not None and applicable(rule, schema))
    measured = {rule.id for rule in judged}
    asked: set[str] = set()
    for prefix, asking in prefixes.items():
        chosen = [rule.id for rule in choose(rules, [prefix])]
        if never := [rule for rule in chosen if rule.startswith(_UNMEASURED)]:
            raise ConfigError(
                f"{asking}: {never[0]} marks rows that could not be measured; those are never dropped. Leave it out."
            )
        if not measured.intersection(chosen):
            scanned = ", ".join(signal.name for signal in findings.measured)
            raise ConfigError(
                f"{asking}: not measured in {findings.directory} (there is: {scanned}). "
                "Scan with the signal that it reads."
            )
        asked |= measured.intersection(chosen)
    asked |= {rule.id for rule in judged if rule.action is Action.DROP and not rule.id.startswith(_UNMEASURED)}
    drop = tuple(rule.id for rule in judged if rule.id in asked)
    return dropping(judged, drop), drop
