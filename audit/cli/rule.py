"""`foxing rule`: list the rules, or explain one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from audit.cli.completing import RULE
from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from audit.rules import Rule


@click.command("rule", context_settings=CONTEXT)
@click.argument("rule_id", metavar="[ID]", required=False, type=RULE)
@common
def command(session: Session, rule_id: str | None) -> None:
    """List the rules in force, or explain the rule ID: what it means, why it matters, what to do."""
    from audit.rules import find, rules_from

    rules = rules_from(session.config.rules)
    if rule_id is None:
        session.result("\n".join(f"{rule.id}  {printable(rule.name)}" for rule in rules))
    else:
        session.result(_explain(find(rules, rule_id.upper())))


def _explain(rule: Rule) -> str:
    lines = [
        f"{rule.id} {rule.name}",
        "",
        f"when:   {rule.when or '(looks at files, not at rows)'}",
        f"action: {rule.action.value}",
        f"budget: {rule.budget:g} of {'rows' if rule.when else 'files'} (change it with --budget {rule.id}=SHARE)",
    ]
    if rule.explanation:
        lines += ["", rule.explanation]
    return printable("\n".join(lines))
