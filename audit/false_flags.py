"""What is known of how often the leakage rule flags text that cannot hold a benchmark.

A share of leaked rows says nothing until one knows what share of innocent rows the same rule would flag. The index has
that from clean text (`audit.clean_text`), and a scan records it with the settings of its signal; it holds for the very
condition that it was measured for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.intervals import wilson

if TYPE_CHECKING:
    from audit.findings_folder import Findings
    from audit.rules import Rule

__all__ = ["LEAKAGE_RULE", "KnownFlags", "known_flags"]

LEAKAGE_RULE = "FX303"
_SIGNAL = "leakage"


@dataclass(frozen=True)
class KnownFlags:
    """What a rule's verdict rests on.

    Attributes:
        is_missing: the rule needs a false-flag rate, and none is known.
        reason: the rate with its interval and n, or why none is known; None for other rules.
    """

    is_missing: bool = False
    reason: str | None = None


def known_flags(findings: Findings, rule: Rule) -> KnownFlags:
    """The false-flag rate of the leakage rule, as the index that was scanned with has it; nothing for other rules."""
    config = next((signal.config for signal in findings.signals if signal.name == _SIGNAL), None)
    if rule.id != LEAKAGE_RULE or config is None:
        return KnownFlags()
    n, flagged, when = (config.get(name) for name in ("clean_documents", "clean_flagged", "clean_when"))
    if not n or flagged is None:
        return KnownFlags(True, "no false-flag rate: the index was made without --clean, or for another n")
    if when != rule.when:
        return KnownFlags(True, f"no false-flag rate: the index has one for {when}. Make it again for this condition")
    found = wilson(flagged, n)
    rate, low, high = (f"{100 * share:.4f} %" for share in (flagged / n, found.low, found.high))
    return KnownFlags(False, f"of {n:,} documents of clean text {rate} are flagged (95 % interval {low} to {high})")
