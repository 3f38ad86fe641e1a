"""What curricula would make of a corpus, each by itself, for a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from audit.config import AllowConfig
from audit.report.content_training import Outcome, Outcomes
from curricula.choosing import choose_drops
from curricula.decisions import Spool, decided_parts, schema_of
from curricula.foresee import Prepared, Preview, Request, allowed_by, carried_out, prepare
from curricula.protocols import CURRICULA
from detectors import registry
from detectors.errors import ConfigError, InputError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings
    from audit.rules import Rule
    from curricula.composing import Settings

__all__ = ["Outlook", "plans"]

_FILTER = "FX101"
_ORIGINAL = "original"


def plans(
    asked: Sequence[Sequence[str]],
    *,
    seed: int,
    tables: Settings | None = None,
    allow: AllowConfig | None = None,
    corpus: str | None = None,
) -> tuple[Request, ...]:
    """A request for each list of names; without any, every registered curriculum alone and the filter by FX101.

    Nothing is refused for losing rows: a report shows the loss.

    Args:
        asked: names of curricula that go together.
        seed: of all of them.
        tables: settings of curricula by name.
        allow: rows that no FX1 rule drops; None allows none.
        corpus: folder that the inputs were moved to.
    """
    settings = tables or {}

    def request(names: Sequence[str], drop: Sequence[str] = ()) -> Request:
        chosen = {name: settings[name] for name in names if name in settings}
        return Request(
            curriculum=tuple(names),
            drop=tuple(drop),
            allow_loss=1.0,
            seed=seed,
            corpus=corpus,
            tables=chosen,
            allow=allow or AllowConfig(),
        )

    if asked:
        return tuple(request(names) for names in asked)
    return (request([_ORIGINAL], [_FILTER]), *(request([name]) for name in sorted(registry.names(CURRICULA))))


class Outlook:
    """Foresees requests from one reading of the findings: what any of them needs of a row is put on disk once."""

    def __init__(self, findings: Findings, rules: Sequence[Rule], requests: Sequence[Request]) -> None:
        """Nothing read yet.

        Args:
            findings: of a finished scan.
            rules: all there are.
            requests: as `plans` makes them: all count the same tokens and have the same allow-list. One that cannot be
                carried out on these findings says why among the outcomes.

        Raises:
            PluginError: a curriculum that does not exist, or does not keep its contract.
        """
        self._findings = findings
        self._requests = requests
        schema = schema_of(findings) if requests else None
        self._prepared: list[Prepared | str] = []
        for request in requests:
            try:
                self._prepared.append(prepare(findings, rules, request, schema))
            except (ConfigError, InputError) as error:
                self._prepared.append(str(error))
        self._judged, self._drop = choose_drops(findings, rules, {}, schema)
        self._spool = Spool()

    def read(self, parts: Iterable[pl.DataFrame]) -> None:
        """Decide all parts of the findings, which come calibrated and in corpus order.

        Raises:
            InputError: a file is gone whose columns the allow-list looks at. ConfigError: it has no such column.
        """
        prepared = [one for one in self._prepared if isinstance(one, Prepared)]
        if not prepared:
            for _ in parts:
                pass
            return
        needs, measures = list(chain.from_iterable(one.needs for one in prepared)), prepared[0].measures
        allow = allowed_by(self._findings, prepared[0].request)
        decided = decided_parts(self._findings, self._judged, needs, allow, measures, parts)
        self._spool.fill(decided, needs, measures)

    def outcomes(self, tell: Callable[[int], None] = lambda done: None) -> Outcomes:
        """What would become of the rows; `tell` is called with the number of requests that are done."""
        count = self._requests[0].count if self._requests else Request().count
        found = []
        for request, prepared in zip(self._requests, self._prepared, strict=True):
            found.append(self._outcome(request, prepared))
            tell(len(found))
        return Outcomes(count, tuple(found))

    def _outcome(self, request: Request, prepared: Prepared | str) -> Outcome:
        name = ", ".join((*request.curriculum, *(f"--drop {rule}" for rule in request.drop)))
        if isinstance(prepared, str):
            return Outcome(name, absent=prepared)
        try:
            rows = self._spool.seen(prepared.needs, None if prepared.drop == self._drop else prepared.drop)
            return _told(name, carried_out(self._findings, prepared, rows)[0])
        except (ConfigError, InputError) as error:
            return Outcome(name, absent=str(error))

    def close(self) -> None:
        """Let go of the rows."""
        self._spool.close()


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
