"""Parameters that shells complete by names: ids of rules, and what is registered by entry points."""

from __future__ import annotations

from collections.abc import Iterator

import click
from click.shell_completion import CompletionItem

__all__ = ["CURRICULA", "RULE", "RULES", "SIGNALS", "SIGNAL_OR_STAGE", "STAGES"]


class Named(click.types.StringParamType):
    """Text, which shells complete by the names there are; in a list, its last name."""

    def __init__(self, *, several: bool = False) -> None:
        self._several = several

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin with what was typed, in either case, with what they stand for."""
        head, comma, last = incomplete.rpartition(",") if self._several else ("", "", incomplete)
        return [
            CompletionItem(f"{head}{comma}{name}", help=text)
            for name, text in self._names(ctx)
            if name.lower().startswith(last.lower())
        ]

    def _names(self, ctx: click.Context) -> Iterator[tuple[str, str | None]]:
        raise NotImplementedError


class Rules(Named):
    """Ids of the rules in force; of the default rules where the settings cannot be read."""

    def _names(self, ctx: click.Context) -> Iterator[tuple[str, str | None]]:
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


class Registered(Named):
    """Names of entry points; none of them is imported."""

    def __init__(self, *groups: str, several: bool = False) -> None:
        super().__init__(several=several)
        self._groups = groups

    def _names(self, ctx: click.Context) -> Iterator[tuple[str, str | None]]:
        from detectors.registry import names

        for group in self._groups:
            for name in names(group):
                yield name, None


RULE, RULES = Rules(), Rules(several=True)
SIGNAL_OR_STAGE = Registered("foxing.signals", "foxing.stages")
SIGNALS, STAGES, CURRICULA = (Registered(f"foxing.{kind}", several=True) for kind in ("signals", "stages", "curricula"))
