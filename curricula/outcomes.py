"""What curricula would make of a corpus, each by itself, for a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit.report.content_training import Outcome, Outcomes
from curricula.foresee import Preview, Request, preview
from curricula.protocols import CURRICULA
from detectors import registry
from detectors.errors import ConfigError, InputError

if TYPE_CHECKING:
    from audit.findings_folder import Findings
    from audit.rules import Rule
    from curricula.composing import Settings

__all__ = ["outcomes", "plans"]

_FILTER = "FX101"
_ORIGINAL = "original"


def plans(asked: Sequence[Sequence[str]], *, seed: int, tables: Settings | None = None) -> tuple[Request, ...]:
    """A request for each list of names; without any, every registered curriculum alone and the filter by FX101.

    Nothing is refused for losing rows: a report shows the loss.

    Args:
        asked: names of curricula that go together.
        seed: of all of them.
        tables: settings of curricula by name.
    """
    settings = tables or {}

    def request(names: Sequence[str], drop: Sequence[str] = ()) -> Request:
        chosen = {name: settings[name] for name in names if name in settings}
        return Request(curriculum=tuple(names), drop=tuple(drop), allow_loss=1.0, seed=seed, tables=chosen)

    if asked:
        return tuple(request(names) for names in asked)
    return (request([_ORIGINAL], [_FILTER]), *(request([name]) for name in sorted(registry.names(CURRICULA))))


def outcomes(findings: Findings, rules: Sequence[Rule], requests: Sequence[Request]) -> Outcomes:
    """Foresee each request; one that cannot be carried out on these findings says why.

    Raises:
        PluginError: a curriculum that does not exist, or does not keep its contract.
    """
    count = requests[0].count if requests else Request().count
    return Outcomes(count, tuple(_outcome(findings, rules, request) for request in requests))


def _outcome(findings: Findings, rules: Sequence[Rule], request: Request) -> Outcome:
    name = ", ".join((*request.curriculum, *(f"--drop {rule}" for rule in request.drop)))
    try:
        return _told(name, preview(findings, rules, request))
    except (ConfigError, InputError) as error:
        return Outcome(name, absent=str(error))


def _told(name: str, foreseen: Preview) -> Outcome:
    total = foreseen.tally.total
    before, after = total.before, total.after
    return Outcome(
        name=name,
        rows=before.rows,
        kept=total.kept,
        out=after.rows,
        words=before.tokens,
        words_out=after.tokens,
        flagged=before.flagged_share,
        flagged_out=after.flagged_share,
        mtld=before.mtld,
        mtld_out=after.mtld,
        dropped={reason: rows for reason, rows in total.dropped.items() if rows},
        in_order=foreseen.in_order,
        refusal=foreseen.refusal,
    )
