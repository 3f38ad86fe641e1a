"""Whether audits have drifted from their baseline, with allowance for looking at it again and again.

A job that tests every week at 5 % finds a drift that is none within months. Here the `k`-th look since the baseline
may be wrong with a chance of error / (k (k + 1)), which sums up to `error` however many looks there will be (alpha
spending, Lan and DeMets 1983, Biometrika 70:659, by a rule that needs no last look; the sum bounds the chance whatever
the looks have in common, as corpora that grow do), and rules share it evenly.

Counted shares are compared, by the interval of a difference (MOVER, Zou and Donner 2008, Stat. Med. 27:1693) from exact
bounds (Clopper and Pearson 1934). Documents of one source resemble each other, so counts are divided by their design
effect: how much more the shares of sources vary than those of as many independent documents would (Rao and Scott 1992,
Biometrics 48:577), widened for few sources as Student's t is. Where both audits have sources in common, it is changes
of sources that are held against each other, for what a source always has more of than others is no change; a source of
one audit alone has changed by all that it has. Sources of unequal size count as fewer: by their effective number, that
of as many documents that are so unequal in weight (Kish 1965, Survey Sampling, 11.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin, sqrt, tan
from statistics import NormalDist

from audit.intervals import Interval
from audit.ledger import Audit, Rate
from detectors.errors import ConfigError

__all__ = ["Change", "Look", "Series", "change_effect", "design_effect", "series_of", "spent"]

_MANY, _STEPS = 60, 60
_ROUNDING = 1e-9
_NOTHING = (0, 0)


@dataclass(frozen=True)
class Change:
    """One rule in one look.

    Attributes:
        rule, name: of the rule.
        before, after: counted shares in the baseline and now.
        change: after minus before.
        interval: of the change, at the level of this look.
        design_effect: by which counts were divided; 1 where documents are as good as independent.
        drifted: the interval lies beyond `min_change` on either side of 0.
    """

    rule: str
    name: str
    before: float
    after: float
    change: float
    interval: Interval
    design_effect: float
    drifted: bool


@dataclass(frozen=True)
class Look:
    """One audit held against the baseline.

    Attributes:
        audit: the audit.
        number: of the look since the baseline, from 1; that of the look before where nothing had changed since.
        error: chance that this look is wrong about any rule.
        changes: one a rule that both judged.
        apart: rules that only one of both judged, of which nothing can be said.
    """

    audit: Audit
    number: int
    error: float
    changes: tuple[Change, ...]
    apart: tuple[str, ...]

    @property
    def drifted(self) -> tuple[Change, ...]:
        """Rules that drifted."""
        return tuple(change for change in self.changes if change.drifted)


@dataclass(frozen=True)
class Series:
    """The audits of one corpus that can be compared with the newest.

    Attributes:
        audits: measured and judged alike, in order.
        left_out: audits of that corpus that were measured or judged otherwise.
        baseline: the first of them, or the last that was accepted.
        looks: audits since then, in order.
        error: chance that any of all looks, of all rules, ever calls a drift that is none.
    """

    audits: tuple[Audit, ...]
    left_out: int
    baseline: Audit
    looks: tuple[Look, ...]
    error: float

    @property
    def drifted(self) -> tuple[Change, ...]:
        """What has drifted by the newest audit."""
        return self.looks[-1].drifted if self.looks else ()


def spent(error: float, look: int) -> float:
    """The part of `error` that a look may use."""
    return error / (look * (look + 1))


def series_of(
    audits: Sequence[Audit], *, rules: Sequence[str] = (), error: float = 0.05, min_change: float = 0.0
) -> Series:
    """Hold the newest audits of a corpus against their baseline.

    Args:
        audits: of one corpus, in order; at least one.
        rules: beginnings of the ids to look at; empty looks at all.
        error: chance of a false alarm, over all looks and rules.
        min_change: largest change of a share that is no drift, whatever its interval.

    Raises:
        ConfigError: `error` or `min_change` is no such chance or share, as what is not a number.
    """
    if not (0 < error < 1 and 0 <= min_change <= 1):
        raise ConfigError(
            f"error rate {error:g}, least change {min_change:g}: no drift could be found by them. "
            "Give an error rate between 0 and 1, and a change from 0 to 1."
        )
    alike = tuple(audit for audit in audits if audit.measured == audits[-1].measured)
    start = max(range(len(alike)), key=lambda place: (alike[place].accepted, -place))
    baseline, looks = alike[start], list[Look]()
    for audit in alike[start + 1 :]:
        last = looks[-1].audit if looks else baseline
        number = looks[-1].number if looks else 0
        if not audit.same_numbers(last) or not looks:
            number += 1
        looks.append(_look(baseline, audit, number, rules, error=error, min_change=min_change))
    return Series(alike, len(audits) - len(alike), baseline, tuple(looks), error)


def _look(baseline: Audit, audit: Audit, number: int, rules: Sequence[str], *, error: float, min_change: float) -> Look:
    chosen = [rule for rule in {**audit.rates, **baseline.rates} if rule.startswith(tuple(rules) or "")]
    shared = [rule for rule in chosen if rule in audit.rates and rule in baseline.rates]
    allowed = spent(error, number)
    changes = [
        _change(baseline.rates[rule], audit.rates[rule], error=allowed / len(shared), min_change=min_change)
        for rule in shared
    ]
    return Look(audit, number, allowed, tuple(changes), tuple(rule for rule in chosen if rule not in shared))


def _change(before: Rate, after: Rate, *, error: float, min_change: float) -> Change:
    effect = _effect(before, after, error)
    p, q = before.hits / before.n, after.hits / after.n
    i, j = _bounds((before, after), effect, error)
    low = q - p - sqrt((q - j.low) ** 2 + (i.high - p) ** 2)
    high = q - p + sqrt((j.high - q) ** 2 + (p - i.low) ** 2)
    interval = Interval(max(-1.0, low), min(1.0, high))
    drifted = interval.low > min_change or interval.high < -min_change
    return Change(after.rule, after.name, p, q, q - p, interval, effect, drifted)


def _bounds(rates: Sequence[Rate], effect: float, error: float) -> list[Interval]:
    """Exact bounds of each share; all at once, for each call of the quantile is dear."""
    from detectors.binomial import upper_bound

    n = [rate.n / effect for rate in rates]
    hits = [rate.hits / effect for rate in rates]
    misses = [size - hit for size, hit in zip(n, hits, strict=True)]
    found = upper_bound([*hits, *misses], [*n, *n], 1 - error / 2).tolist()
    return [Interval(1 - low, high) for high, low in zip(found[: len(n)], found[len(n) :], strict=True)]


def _effect(before: Rate, after: Rate, error: float) -> float:
    """Of a change: from how sources differ or, where several are in both audits, from how their changes differ."""
    first, second = (dict(zip(rate.names, rate.sources, strict=True)) if rate.names else {} for rate in (before, after))
    if len(first.keys() & second.keys()) > 1:
        pairs = [(first.get(name, _NOTHING), second.get(name, _NOTHING)) for name in {**first, **second}]
        return change_effect(pairs, error=error)
    return design_effect((before.sources, after.sources), error=error)


def change_effect(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]], *, error: float) -> float:
    """How many documents tell as much of a change as one independent document does, by sources that are told apart.

    What a source always has more of than others cancels out of a change; what is left is how differently they changed.

    Args:
        pairs: documents and hits of each source, before and after, 0 where it was not there; two sources at least.
        error: of the interval that it is for, for Student's t.
    """
    n, hits = sum(x for (x, _), _ in pairs), sum(i for (_, i), _ in pairs)
    m, later = sum(y for _, (y, _) in pairs), sum(j for _, (_, j) in pairs)
    p, q = hits / n, later / m
    expected = p * (1 - p) / n + q * (1 - q) / m
    if not expected:
        return 1.0
    spread = sum(((j - q * y) / m - (i - p * x) / n) ** 2 for (x, i), (y, j) in pairs)
    size = min(_effective([x for (x, _), _ in pairs]), _effective([y for _, (y, _) in pairs]))
    return max(1.0, spread * size / (size - 1) / expected * _student(error, _whole(size - 1)) ** 2)


def _effective(sizes: Sequence[int]) -> float:
    """How many sources of equal size tell as much as these; not below 2, of which a spread is known at all."""
    return max(2.0, sum(sizes) ** 2 / sum(size * size for size in sizes))


def _whole(freedom: float) -> int:
    return max(1, int(freedom + _ROUNDING))


def design_effect(audits: Sequence[Sequence[tuple[int, int]]], *, error: float) -> float:
    """How many documents of these sources tell as much as one independent document does; at least 1.

    Args:
        audits: of each audit, documents and hits of its sources; sources are held against the share of their audit.
        error: of the interval that it is for, for Student's t.
    """
    spread = expected = freedom = number = 0.0
    for sources in audits:
        n, hits = sum(n for n, _ in sources), sum(hits for _, hits in sources)
        if len(sources) < 2 or not 0 < hits < n:
            continue
        share = hits / n
        spread += sum((y - share * x) ** 2 for x, y in sources)
        expected += n * share * (1 - share)
        size = _effective([n for n, _ in sources])
        freedom, number = freedom + size - 1, number + size
    if not expected:
        return 1.0
    return max(1.0, spread * number / freedom / expected * _student(error, _whole(freedom)) ** 2)


def _student(error: float, freedom: int) -> float:
    """Student's two-sided quantile over the normal one: exact by bisection, for many degrees by an expansion.

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4 (the finite series of whole degrees), 26.7.5 (Cornish-Fisher).
    """
    z = -NormalDist().inv_cdf(error / 2)
    if freedom > _MANY:
        first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return (z + first / freedom + second / freedom**2) / z
    low, high = 0.0, pi / 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - _within(middle, freedom) > error else (low, middle)
    return sqrt(freedom) * tan(low) / z


def _within(angle: float, freedom: int) -> float:
    """Chance that Student's t lies between -t and t, where `angle` is the arc tangent of t over the root of freedom."""
    odd = freedom % 2
    term = total = cos(angle) if odd and freedom > 1 else float(freedom > 1)
    for at in range(3 if odd else 2, freedom - 1, 2):
        term *= (at - 1) / at * cos(angle) ** 2
        total += term
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
