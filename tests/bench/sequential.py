"""`python -m tests.bench.sequential`: how often do sampled verdicts and drift alarms err, and how soon do they come?

Sampled verdicts: finite corpora of units of unequal size are drawn, their shares at, above and below the budget, rows
of a unit independent, alike (beta-binomial, by intra-class correlation) or hit all together; each is judged as
`foxing check --sample` judges one rule. At the budget itself every decision is an error.

Drift: series of audits of sources from one process, no drift among them, compared as `foxing ledger` does; then the
same with a step half-way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from audit.ledger import Audit, Rate
from audit.ledger_drift import series_of
from audit.sequential import ShareSequence
from tests.bench import report
from tests.bench.machine import machine

SCHEMA = "foxing-bench-sequential"
SEED = 20261130


@dataclass(frozen=True)
class Corpus:
    """What a corpus of the first study is like: share, budget, correlation within a unit, units, most units drawn."""

    share: float
    budget: float
    alike: float
    units: int = 4_000
    most: int = 800


@dataclass(frozen=True)
class Audits:
    """A series of the second study: share, correlation within a source, sources, a step half-way, growing corpora."""

    share: float
    alike: float
    sources: int
    step: float = 0.0
    growing: bool = False


CORPORA = (
    *(Corpus(0.05, 0.05, alike) for alike in (0.0, 0.05, 0.5, 1.0)),
    Corpus(0.01, 0.01, 0.05),
    Corpus(0.0, 0.05, 0.0),
    Corpus(0.02, 0.05, 0.05),
    Corpus(0.04, 0.05, 0.05),
    Corpus(0.06, 0.05, 0.05),
    Corpus(0.1, 0.05, 0.05),
    Corpus(0.3, 0.05, 0.5),
    Corpus(0.05, 0.05, 1.0, units=60, most=60),
)
SERIES = (
    Audits(0.05, 0.0, 30),
    Audits(0.05, 0.02, 30),
    Audits(0.05, 0.1, 12),
    Audits(0.05, 0.1, 5),
    Audits(0.002, 0.01, 30),
    Audits(0.05, 0.02, 30, growing=True),
    Audits(0.05, 0.02, 30, step=0.03),
    Audits(0.05, 0.1, 30, step=0.1),
)


def shares(random: np.random.Generator, share: float, alike: float, size: int) -> np.ndarray:
    """float64[size]: a share for each cluster, with that mean and intra-class correlation."""
    if alike >= 1:
        return (random.random(size) < share).astype(np.float64)
    if not alike or not 0 < share < 1:
        return np.full(size, share)
    weight = (1 - alike) / alike
    return random.beta(share * weight, (1 - share) * weight, size)


def judged(corpus: Corpus, random: np.random.Generator, error: float) -> tuple[str, int, bool]:
    """One corpus: its verdict, the units drawn for it, and whether the verdict is wrong."""
    rows = random.integers(1, 65, corpus.units)
    hits = random.binomial(rows, shares(random, corpus.share, corpus.alike, corpus.units))
    truth = hits.sum() / rows.sum()
    sequence = ShareSequence(int(rows.sum()), budget=corpus.budget, error=error / 2)
    order = np.argsort(random.exponential(size=corpus.units) / rows)[: corpus.most]
    for drawn, at in enumerate(order.tolist(), 1):
        sequence.update(int(rows[at]), int(rows[at]), int(hits[at]))
        if sequence.is_above or sequence.is_within:
            return ("over" if sequence.is_above else "within"), drawn, sequence.is_above != bool(truth > corpus.budget)
    return "undecided", len(order), False


def study_samples(repeats: int, error: float) -> Iterator[Mapping[str, object]]:
    """Every kind of corpus: how often it was judged wrongly, and how many units that took."""
    for corpus in CORPORA:
        random = np.random.default_rng(SEED)
        found = [judged(corpus, random, error) for _ in range(repeats)]
        units = np.array([drawn for _, drawn, _ in found])
        yield {
            **asdict(corpus),
            "corpora": repeats,
            "promised": error,
            "wrong": sum(wrong for *_, wrong in found) / repeats,
            **{name: sum(one == name for one, *_ in found) / repeats for name in ("over", "within", "undecided")},
            "mean_units": float(units.mean()),
            "median_units": float(np.median(units)),
        }


def audited(series: Audits, random: np.random.Generator, number: int, share: float, before: Audit | None) -> Audit:
    """One audit of new sources, with those of the audit before where the corpus grows."""
    size = max(1, series.sources // 5) if series.growing and before else series.sources
    rows = random.integers(50, 2_000, size)
    hits = random.binomial(rows, shares(random, share, series.alike, size))
    counts = tuple(zip(rows.tolist(), hits.tolist(), strict=True))
    if series.growing and before:
        counts = (*before.rates["FX101"].sources, *counts)
    n, y = (sum(column) for column in zip(*counts, strict=True))
    rate = Rate("FX101", "machine-written", 0.05, "within", n, y, y / n, None, counts)
    return Audit(number, datetime.now(UTC), "c", "m", str(number), n, size, 0, {"FX101": rate}, False)


def first_alarm(series: Audits, random: np.random.Generator, looks: int, error: float) -> int | None:
    """The first look at which a series is said to have drifted."""
    audits = [audited(series, random, 1, series.share, None)]
    for number in range(2, looks + 2):
        share = series.share + series.step * (number > 1 + looks // 2)
        audits.append(audited(series, random, number, share, audits[-1]))
    found = series_of(audits, error=error)
    return next((look.number for look in found.looks if look.drifted), None)


def study_drift(repeats: int, looks: int, error: float) -> Iterator[Mapping[str, object]]:
    """Every kind of series: how often it raised an alarm, and when."""
    for series in SERIES:
        random = np.random.default_rng(SEED)
        found = [first_alarm(series, random, looks, error) for _ in range(repeats)]
        alarms = [look for look in found if look is not None]
        early = [look for look in alarms if not series.step or look <= looks // 2]
        yield {
            **asdict(series),
            "series": repeats,
            "looks": looks,
            "promised": error,
            "alarms": len(alarms) / repeats,
            "false_alarms": len(early) / repeats,
            "median_look": float(np.median(alarms)) if alarms else None,
        }


def main(arguments: list[str] | None = None) -> None:
    """Run both studies, print a line each, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=int, default=200, help="corpora of each kind")
    parser.add_argument("--series", type=int, default=100, help="series of each kind")
    parser.add_argument("--looks", type=int, default=12, help="audits after the baseline")
    parser.add_argument("--error", type=float, default=0.2, help="chance of an error that is promised")
    parser.add_argument("--results", type=Path, default=report.RESULTS)
    asked = parser.parse_args(arguments)
    found: dict[str, list[Mapping[str, object]]] = {"samples": [], "drift": []}
    for name, study in (
        ("samples", study_samples(asked.corpora, asked.error)),
        ("drift", study_drift(asked.series, asked.looks, asked.error)),
    ):
        for row in study:
            found[name].append(row)
            print(name, row, flush=True)
    result = {"schema": SCHEMA, "version": 1, **machine(("foxing", "numpy")), "seed": SEED, **found}
    print(report.save(result, "sequential", asked.results))


if __name__ == "__main__":
    main()
