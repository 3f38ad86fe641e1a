"""What a ledger says of its newest audit: in words with a small trend a rule, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from audit.formats import aligned, count
from audit.ledger import Audit
from audit.ledger_drift import Change, Series

__all__ = ["FORMAT", "FORMAT_VERSION", "described", "document"]

FORMAT, FORMAT_VERSION = "foxing-ledger", 1
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_AUDITS = 12


def described(series: Series) -> list[str]:
    """Lines of text, the verdict first."""
    newest, looks = series.audits[-1], series.looks
    audits = count(len(series.audits), "audit")
    lines = [f"{newest.corpus}: {audits}, the newest number {newest.number} of {_when(newest)}"]
    if series.left_out:
        lines.append(f"left out: {count(series.left_out, 'audit')}, measured or judged otherwise")
    if newest.failed:
        lines.append(f"not in it: {count(newest.failed, 'file')} that could not be read")
    if not looks:
        return [*lines, f"audit {newest.number} is the baseline: there is nothing to compare yet", *_rates(series)]
    look = looks[-1]
    if series.drifted:
        names = ", ".join(f"{change.rule} {change.name}" for change in series.drifted)
        lines.append(f"Drift since audit {series.baseline.number} of {_when(series.baseline)}: {names}.")
    else:
        lines.append(f"No drift since audit {series.baseline.number} of {_when(series.baseline)}.")
    lines += ["", *_table(series, look.changes), ""]
    lines += [
        f"{change.rule}: what was flagged, before any correction"
        for change in look.changes
        if newest.rates[change.rule].is_corrected
    ]
    if look.apart:
        lines.append(f"judged in one of both audits only, so not compared: {', '.join(look.apart)}")
    level = _level(look.error / max(1, len(look.changes)))
    lines.append(
        f"look {look.number} since the baseline; intervals at {level} %, so that "
        f"all looks and rules together raise a false alarm with a chance of at most {100 * series.error:.3g} %"
    )
    earlier = [str(one.audit.number) for one in looks[:-1] if one.drifted]
    if earlier:
        lines.append(f"audits that had drifted before: {', '.join(earlier[-_SHOWN_AUDITS:])}")
    if series.drifted:
        lines.append(f"if this is meant, compare with it from now on: --accept {newest.number}")
    return [*lines, f"signature {newest.signature}"]


def _level(error: float) -> str:
    """A level in percent with as many digits as tell it from 100."""
    return f"{100 * (1 - error):.{max(1, 1 - floor(log10(100 * error)))}f}"


def _table(series: Series, changes: Sequence[Change]) -> list[str]:
    rows = [("rule", "", "baseline", "now", "change", "interval of the change", "", "over time")]
    for one in changes:
        interval = f"{100 * one.interval.low:+.2f} to {100 * one.interval.high:+.2f}"
        shares = f"{100 * one.before:.2f} %", f"{100 * one.after:.2f} %", f"{100 * one.change:+.2f}"
        drift = ("higher" if one.change > 0 else "lower") if one.drifted else ""
        rows.append((one.rule, one.name, *shares, interval, drift, _sparkline(series, one.rule)))
    return aligned(rows)


def _rates(series: Series) -> list[str]:
    rows = [("rule", "", "share", "hits of n")]
    for rate in series.audits[-1].rates.values():
        rows.append((rate.rule, rate.name, f"{100 * rate.hits / rate.n:.2f} %", f"{rate.hits:,} of {rate.n:,}"))
    return ["", *aligned(rows), "", f"signature {series.audits[-1].signature}"]


def _sparkline(series: Series, rule: str) -> str:
    rates = [audit.rates[rule] for audit in series.audits if rule in audit.rates][-_SHOWN_AUDITS:]
    shares = [rate.hits / rate.n for rate in rates]
    highest = max(shares)
    return "".join(_BARS[round((len(_BARS) - 1) * share / highest)] if highest else _BARS[0] for share in shares)


def _when(audit: Audit) -> str:
    return audit.at.strftime("%Y-%m-%d %H:%M")


def document(series: Series) -> dict[str, object]:
    """The series, JSON-ready; docs/ledger.md describes it."""
    look = series.looks[-1] if series.looks else None
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "corpus": series.audits[-1].corpus,
        "drift": bool(series.drifted),
        "error": series.error,
        "look": None if look is None else {"number": look.number, "error": look.error},
        "baseline": _audit(series.baseline),
        "newest": _audit(series.audits[-1]),
        "left_out": series.left_out,
        "changes": [] if look is None else [_change(change) for change in look.changes],
        "not_compared": [] if look is None else list(look.apart),
        "audits": [
            {
                **_audit(audit),
                "rates": {rule: {"n": rate.n, "hits": rate.hits} for rule, rate in audit.rates.items()},
                "drifted": [change.rule for one in series.looks if one.audit is audit for change in one.drifted],
            }
            for audit in series.audits
        ],
    }


def _audit(audit: Audit) -> dict[str, object]:
    return {
        "number": audit.number,
        "at": audit.at.isoformat(),
        "signature": audit.signature,
        "rows": audit.rows,
        "shards": audit.shards,
        "failed": audit.failed,
    }


def _change(change: Change) -> dict[str, object]:
    return {
        "rule": change.rule,
        "name": change.name,
        "before": change.before,
        "after": change.after,
        "change": change.change,
        "interval": [change.interval.low, change.interval.high],
        "design_effect": change.design_effect,
        "drifted": change.drifted,
    }
