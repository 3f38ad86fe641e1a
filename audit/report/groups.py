"""The share of machine-written text by source, domain, language and month, with what a table's small charts show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from audit.calibrate import SIGNAL
from audit.report.content import Group
from audit.score_cells import GROUPINGS, month

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings
    from audit.prevalence import Prevalence, Shares
    from audit.score_cells import Cell, ScoreCells

__all__ = ["Trends", "grouped", "missing"]

_MOST_TRENDS = 200_000
_DATED = r"^\d{4}"


class Trends:
    """Scored and flagged documents by group and month."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._counts: dict[tuple[str, str], dict[str, list[int]]] = {}
        self._size = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take in one calibrated part that has `ai_text`; without a column `time` there is nothing to count."""
        import polars as pl

        if "time" not in frame.columns or self._size > _MOST_TRENDS:
            return
        fields = frame[SIGNAL].struct
        rows = frame.select(
            *(name for name in ("source", "domain") if name in frame.columns),
            fields.field("language").fill_null("und").alias("language"),
            month(pl.col("time")).alias("month"),
            (fields.field("p_human") <= self._rate).alias("flagged"),
        ).filter(pl.col("flagged").is_not_null() & pl.col("month").str.contains(_DATED))
        for kind in (name for name in GROUPINGS if name in rows.columns):
            counted = rows.group_by(kind, "month").agg(pl.len().alias("n"), pl.col("flagged").sum())
            for name, when, n, flagged in counted.iter_rows():
                months = self._counts.setdefault((kind, str(name)), {})
                self._size += when not in months
                entry = months.setdefault(str(when), [0, 0])
                entry[0] += int(n)
                entry[1] += int(flagged)

    def of(self, kind: str, name: str) -> Mapping[str, float]:
        """Month to share of flagged documents, in order of time."""
        found = self._counts.get((kind, name), {})
        return {when: found[when][1] / found[when][0] for when in sorted(found)}


def grouped(cells: ScoreCells, shares: Shares | None, trends: Trends, reason: str) -> dict[str, tuple[Group, ...]]:
    """Groups by grouping: those with most documents first, months in their order.

    Args:
        cells: of the corpus.
        shares: estimates by group; None where there are none, for `reason`.
        trends: of the same findings.
        reason: why there are none.
    """
    found: dict[str, tuple[Group, ...]] = {}
    for kind in GROUPINGS:
        by_name = shares.groups.get(kind, {}) if shares is not None else {}
        groups = [
            _group(name, cell, by_name.get(name), trends.of(kind, name), reason)
            for name, cell in cells.groups(kind).items()
        ]
        if kind == "time":
            found[kind] = tuple(groups)
        else:
            found[kind] = tuple(sorted(groups, key=lambda group: (-group.n, group.name)))
    return {kind: groups for kind, groups in found.items() if groups}


def _group(name: str, cell: Cell, share: Prevalence | None, trend: Mapping[str, float], reason: str) -> Group:
    return Group(
        name=name,
        n=cell.n,
        words=round(float(cell.words.sum()) + cell.outside_words),
        share=None if share is None else share.share,
        interval=None if share is None else share.interval,
        flagged=cell.flagged,
        scores=tuple(cell.documents.tolist()),
        trend=trend,
        reason=reason if share is None else "; ".join(share.reasons),
    )


def missing(findings: Findings, found: Mapping[str, tuple[Group, ...]]) -> dict[str, str]:
    """Why a grouping has no groups."""
    if SIGNAL not in {signal.name for signal in findings.measured}:
        return dict.fromkeys(GROUPINGS, f"{SIGNAL} was not scanned, so there is no share by anything.")
    said = {
        "domain": "The scan was given no column of domains. Scan with --domain-column COL to see shares by domain.",
        "time": "The scan was given no column of dates. Scan with --time-column COL to see shares by month.",
    }
    return {kind: said.get(kind, "No document was judged.") for kind in GROUPINGS if kind not in found}
