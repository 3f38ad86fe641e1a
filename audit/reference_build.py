"""Makes a reference of a user's own human text from a scan of it, and says which rate each group can vouch for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.calibrate import SIGNAL, check_version, current_model, reference_margins
from audit.prevalence import Interval
from audit.reference_file import EVERYTHING, OwnReference, group_table
from detectors.errors import ConfigError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from audit.findings_folder import Findings

    Floats = npt.NDArray[np.float64]

__all__ = ["Achieved", "Made", "group_column", "make_reference", "rounded_up", "too_small"]

_SHOWN = 20


@dataclass(frozen=True)
class Achieved:
    """What a group reaches at the rate that was asked for.

    Attributes:
        group: its name.
        n: human documents with a margin.
        threshold: documents strictly above this margin are flagged; None where n cannot vouch for the rate.
        hits: human documents of the group that are.
        interval: exact 95 % interval of the rate, hits / n; None where there is no threshold.
        least: the smallest rate that n can vouch for.
    """

    group: str
    n: int
    threshold: float | None
    hits: int
    interval: Interval | None
    least: float


@dataclass(frozen=True)
class Made:
    """A reference and what it promises.

    Attributes:
        reference: of the groups that can vouch for the rate.
        groups: every group, largest first.
        needed: documents that a group needs for the rate.
        left_out: rows without a margin: unmeasured, or too short to judge.
    """

    reference: OwnReference
    groups: tuple[Achieved, ...]
    needed: int
    left_out: int

    @property
    def small(self) -> tuple[Achieved, ...]:
        """Groups that cannot vouch for the rate."""
        return tuple(group for group in self.groups if group.threshold is None)


def group_column(findings: Findings, by: str | None) -> str | None:
    """`source` or `domain`: where findings hold the values of a column; None without one.

    Raises:
        ConfigError: the scan carried no such column.
    """
    carried = {findings.by: "source", findings.domain: "domain"}
    if by is None:
        return None
    if by not in carried:
        names = ", ".join(str(name) for name in carried if name) or "none"
        raise ConfigError(
            f"--by {by}: the scan in {findings.directory} did not carry that column (it carried: {names}). "
            f"Scan again with --by {by}."
        )
    return carried[by]


def make_reference(findings: Findings, fpr: float, by: str | None) -> Made:
    """Make a reference of all that was scanned, which must be human text.

    Args:
        findings: of a scan with `ai_text`.
        fpr: false-positive rate, above 0 and below 1.
        by: column whose values are the groups, carried by the scan; None makes one group.

    Raises:
        ConfigError: `ai_text` or the column was not scanned.
        InputError: no row has a margin, or several models gave them.
        FindingsError: another version of the detector gave them.
    """
    from detectors.binomial import documents_needed

    tier, version, margins, left_out = _collected(findings, group_column(findings, by))
    tables = {name: group_table(values) for name, values in margins.items()}
    achieved = [_achieved(name, values, fpr) for name, values in margins.items()]
    reached = {group.group for group in achieved if group.threshold is not None}
    own = OwnReference(
        model=current_model(tier, version),
        by=by,
        groups={name: table for name, table in tables.items() if name in reached},
        corpus=findings.corpus,
    )
    groups = tuple(sorted(achieved, key=lambda group: (-group.n, group.group)))
    return Made(own, groups, documents_needed(fpr), left_out)


def _collected(findings: Findings, column: str | None) -> tuple[str, int, Mapping[str, Floats], int]:
    """Tier, version of the signal, margins of every group, rows without one."""
    import numpy as np

    signal = next((one for one in findings.measured if one.name == SIGNAL), None)
    if signal is None:
        raise ConfigError(f"{findings.directory}: {SIGNAL} was not scanned. Scan with --signals {SIGNAL}.")
    check_version(findings)
    parts: dict[str, list[Floats]] = {}
    tiers: set[str] = set()
    found = 0
    for frame in findings.parts():
        rows = reference_margins(frame, column)
        tiers.update(rows["tier"].unique().to_list())
        found += rows.height
        for (name,), group in rows.drop_nulls("group").group_by("group"):
            parts.setdefault(str(name), []).append(group["margin"].to_numpy())
    if len(tiers) != 1:
        several = f"margins of several models ({', '.join(sorted(tiers))})" if tiers else "no row long enough to judge"
        raise InputError(f"{findings.directory}: {several}. A reference needs those of one model.")
    margins = {name: np.concatenate(values) for name, values in sorted(parts.items())}
    return tiers.pop(), signal.version, margins, findings.rows - found


def _achieved(name: str, margins: Floats, fpr: float) -> Achieved:
    from detectors.binomial import least_rate, lower_bound, upper_bound

    table = group_table(margins)
    n, least = table.n, least_rate(table.n)
    reached = [above for above, p in zip(table.above, table.p_human, strict=True) if p <= fpr]
    if not reached:
        return Achieved(name, n, None, 0, None, least)
    hits = int((margins > reached[0]).sum())
    interval = Interval(float(lower_bound(hits, n, 0.975)), float(upper_bound(hits, n, 0.975)))
    return Achieved(name, n, reached[0], hits, interval, least)


def too_small(made: Made, fpr: float) -> str:
    """Which groups are too small for the rate, and what each can reach, in words."""
    small = made.small
    names = [f"{_named(group)} (n {group.n:,}: {rounded_up(group.least)} at least)" for group in small[:_SHOWN]]
    more = f", and {len(small) - _SHOWN} more" if len(small) > _SHOWN else ""
    largest = max(group.least for group in small)
    skip = ", or leave these groups out with --skip-small" if len(small) < len(made.groups) else ""
    return (
        f"a false-positive rate of {fpr:g} needs {made.needed:,} human documents in each group. Too small: "
        f"{', '.join(names)}{more}. Give more text or --fpr {rounded_up(largest)}{skip}."
    )


def _named(group: Achieved) -> str:
    return "all rows" if group.group == EVERYTHING else group.group


def rounded_up(rate: float) -> str:
    """Three digits, never below the rate."""
    shown = f"{rate:.3g}"
    return shown if float(shown) >= rate else f"{rate + 0.5 * 10 ** (_exponent(rate) - 2):.3g}"


def _exponent(rate: float) -> int:
    from math import floor, log10

    return floor(log10(rate))
