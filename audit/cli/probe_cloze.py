"""`foxing probe --cloze`: the share of facts in plain text that a model does not know."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from audit.cli.options import Session, printable
from detectors.packaged_models import DEFAULT

if TYPE_CHECKING:
    from audit.config import Config
    from audit.findings_folder import Findings
    from audit.unknown_share import Share, UnknownShares

__all__ = ["FORMAT_VERSION", "cloze_config", "described"]

FORMAT_VERSION = 1
_ABOUT_QUESTIONS = ("pool", "question", "answers", "relation", "estimator", "generate")
_LISTED = 40
_ADVICE = (
    "Advisory: it compares texts of one kind under one model. What no reader could know counts as unknown, too; see "
    "foxing signals cloze."
)


def cloze_config(session: Session, items: int, model: str | None, chosen: Mapping[str, str | None]) -> Config:
    """Settings of a scan that measures `cloze`.

    Args:
        session: whose settings are added to.
        items: of a document, at most.
        model: to ask; None takes that of the settings, else the packaged one.
        chosen: options of `foxing probe` by name: `by` and `device` are heeded, those about questions refused.

    Raises:
        click.UsageError: an option about questions is given.
    """
    config = session.config
    for name in _ABOUT_QUESTIONS:
        if chosen.get(name) is not None:
            raise click.UsageError(f"--{name} is about questions, and --cloze about plain text. Leave one of them out.")
    settings: dict[str, object] = {**config.signals.get("cloze", {}), "most": items}
    if model is not None:
        settings["model"] = model
    if not settings.get("model"):
        settings["model"] = DEFAULT
    scan = dataclasses.replace(
        config.scan,
        signals=("document", "cloze"),
        stages=(),
        sketches=False,
        by=chosen.get("by") or config.scan.by,
        device=chosen.get("device") or config.scan.device,
    )
    return dataclasses.replace(config, scan=scan, signals={**config.signals, "cloze": settings})


def described(findings: Findings, form: str) -> str:
    """Shares of unknown items, as a table (`text`) or as `json`."""
    from audit.unknown_share import unknown_shares

    total, *sources = unknown_shares(findings)
    return _json(findings, total, sources) if form == "json" else _text(findings, total, sources)


def _json(findings: Findings, total: UnknownShares, sources: Sequence[UnknownShares]) -> str:
    record = {
        "format": "foxing-unknown-share",
        "version": FORMAT_VERSION,
        "signature": findings.signature(),
        "total": _shares(total),
        "sources": {one.source: _shares(one) for one in sources},
    }
    return json.dumps(record, indent=1, ensure_ascii=False)


def _shares(one: UnknownShares) -> dict[str, object]:
    kinds = {kind: _measures(measures) for kind, measures in one.kinds.items()}
    return {"rows": one.rows, "chosen": one.chosen, **_measures(one.measures), "kinds": kinds}


def _measures(measures: Mapping[str, Share]) -> dict[str, object]:
    sizes = next(iter(measures.values()))
    shares = {
        name: {"share": found.share, "interval": [found.interval.low, found.interval.high]}
        for name, found in measures.items()
    }
    return {"documents": sizes.documents, "items": sizes.items, **shares}


def _text(findings: Findings, total: UnknownShares, sources: Sequence[UnknownShares]) -> str:
    most = sorted(sources, key=lambda one: -one.measures["unknown"].items)
    whole = total.measures["unknown"]
    lines = [
        f"{total.rows:,} rows, {total.chosen:,} of them chosen, {whole.documents:,} with items, {whole.items:,} asked",
        "",
        *_table([("source", _NAMED), *((one.source, one.measures) for one in most[:_LISTED]), ("all", total.measures)]),
    ]
    if len(most) > _LISTED:
        lines.append(f"  and {len(most) - _LISTED:,} more sources (--format json lists all)")
    lines += ["", *_table([("kind", _NAMED), *total.kinds.items()]), "", _ADVICE]
    lines += ["", f"signature {findings.signature()}", f"findings in {findings.directory}"]
    return "\n".join(printable(line) for line in lines)


_NAMED: Mapping[str, Share] = {}
"""Stands for the line that names the columns."""


def _table(rows: Sequence[tuple[str, Mapping[str, Share]]]) -> list[str]:
    cells = [_cells(name, measures) for name, measures in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    aligned = (
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return [line.rstrip() for line in aligned]


def _cells(name: str, measures: Mapping[str, Share]) -> tuple[str, ...]:
    if not measures:
        return name, "documents", "items", "unknown", "95 % interval", "corrected", "95 % interval"
    shares = [cell for found in measures.values() for cell in (_percent(found.share), _interval(found))]
    sizes = next(iter(measures.values()))
    return name, f"{sizes.documents:,}", f"{sizes.items:,}", *shares


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _interval(found: Share) -> str:
    if found.share is None:
        return "-"
    return f"{100 * found.interval.low:.1f} to {100 * found.interval.high:.1f} %"
