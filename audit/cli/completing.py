"""Parameters that shells complete by names: ids of rules, and what is registered by entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
from click.shell_completion import CompletionItem

__all__ = ["CURRICULA", "RULE", "RULES", "SIGNALS", "SIGNAL_OR_STAGE", "STAGES"]

Names = Callable[[click.Context], Iterator[tuple[str, str | None]]]
"""From the command line so far to names, each with what it stands for."""


class Named(click.types.StringParamType):
    """Text, which shells complete by the names there are; in a list, its last name."""

    def __init__(self, names: Names, *, several: bool = False) -> None:
        self._names = names
        self._several = several

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin with what was typed, in either case, with what they stand for."""
        head, comma, last = incomplete.rpartition(",") if self._several else ("", "", incomplete)
        return [
            CompletionItem(f"{head}{comma}{name}", help=text)
            for name, text in self._names(ctx)
            if name.lower().startswith(last.lower())
        ]


def _rules(ctx: click.Context) -> Iterator[tuple[str, str | None]]:
    """Ids of the rules in force; of the default rules where the settings cannot be read."""
    from audit.cli.options import Session, printable
    from audit.rules import rules_from
    from detectors.errors import FoxingError

    session = Session(config_path=ctx.params.get("config_path"), isolated=bool(ctx.params.get("isolated")))
    try:
        rules = rules_from(session.config.rules)
    except FoxingError:
        rules = rules_from({})
    for rule in rules:
        yield rule.id, " ".join(printable(rule.name).split())


def _registered(*groups: str) -> Names:
    """Names of entry points; none of them is imported."""

    def found(_: click.Context) -> Iterator[tuple[str, str | None]]:
        from detectors.registry import names

        for group in groups:
            for name in names(group):
                yield name, None

    return found


RULE, RULES = Named(_rules), Named(_rules, several=True)
SIGNAL_OR_STAGE = Named(_registered("foxing.signals", "foxing.stages"))
SIGNALS, STAGES, CURRICULA = (
    Named(_registered(f"foxing.{kind}"), several=True) for kind in ("signals", "stages", "curricula")
)
