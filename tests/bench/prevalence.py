"""`python -m tests.bench.prevalence`: how good are estimated shares, on simulated corpora whose share is known?

Corpora of 10,000 documents are drawn from labelled documents with margins by models that never saw their source. Each
corpus draws its human and its machine sources with replacement from a pool, documents in equal parts, at a share of
machine text from 0 to 50 % (a fifth of the corpora have none). Scenarios:

    calibrated named    sources are labelled (other documents of them), and the corpus names its sources
    calibrated blind    the same, without names
    left out            half of the families of sources, and two fifths of the makers of models, are left out of every
                        table; the corpus is made of these alone, as many sources as there are
    left out, k         the same, from k sources of each kind

The input is a Parquet file with a row a document: margin, by a model that never saw its family; label, source, family,
domain, generator, language, length; enough (whether it is long enough to judge); and the columns of
`detectors.ai_text.adjustment.STYLE` where style is to be looked at.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from audit.mixture import UNKNOWN, Reference
from audit.rogan_gladen import ErrorRates, Trial
from detectors.ai_text.adjustment import STYLE, effective, kinds
from detectors.ai_text.calibration import build_reference
from detectors.ai_text.reference import score_terms
from detectors.ai_text.reference_fit import Fitter, Labelled
from detectors.ai_text.spread import BINS, fit_profiles, score_bins
from tests.bench import report
from tests.bench.machine import machine
from tests.bench.share_estimators import (
    NAMED,
    OTHERS,
    SEED,
    SHIPPED,
    Makers,
    Pool,
    World,
)

SCHEMA = "foxing-bench-prevalence"
_LEAST = 25
_FAMILIES_OUT, _MAKERS_OUT = 0.5, 0.4
RATE = 0.01
"""The p-value at which documents are flagged."""
_MAKERS = {
    "openai": "gpt|davinci|o[134](-|$)",
    "anthropic": "claude|opus|sonnet|haiku",
    "meta": "llama|vicuna|tulu|wizard|dolly",
    "google": "gemini|palm|gemma|bard",
    "qwen": "qwen|qwq",
    "mistral": "mi[nx]?i?stral|mixtral|zephyr",
    "deepseek": "deepseek",
    "kimi": "kimi|moonshot",
    "glm": "glm",
    "grok": "grok",
    "assistant": "assistant-2026",
}

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]


class Outcome(NamedTuple):
    """One corpus: its true share and what was said of it."""

    truth: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Documents:
    """Labelled documents, one entry each."""

    score: Floats
    flagged: Rows
    label: Integers
    source: npt.NDArray[np.str_]
    family: npt.NDArray[np.str_]
    generator: npt.NDArray[np.str_]
    maker: npt.NDArray[np.str_]

    def rows(self, keep: Rows) -> Documents:
        """Those where `keep` holds."""
        return Documents(**{one.name: getattr(self, one.name)[keep] for one in fields(self)})


def read(path: Path) -> Documents:
    """Documents that are long enough to judge, each scored by tables that never saw its family."""
    frame = pl.read_parquet(path).filter(pl.col("enough") & pl.col("margin").is_finite())
    data = _labelled(frame)
    makers = {name: _maker(name) for name in np.unique(data.generator)}
    maker = np.array([makers[name] for name in data.generator])
    return Documents(*_judged(data), data.label, data.source, data.family, data.generator, maker)


def _labelled(frame: pl.DataFrame) -> Labelled:
    names = ("source", "family", "domain", "generator", "language")
    text = {name: frame[name].to_numpy().astype(np.str_) for name in names}
    known = all(name in frame.columns for name in STYLE)
    return Labelled(
        margin=frame["margin"].to_numpy().astype(np.float64),
        label=frame["label"].to_numpy().astype(np.int64),
        length=frame["length"].to_numpy().astype(np.int64),
        style=frame.select(STYLE).to_numpy() if known else np.full((frame.height, len(STYLE)), np.nan),
        **text,
    )


def _judged(data: Labelled) -> tuple[Floats, Rows]:
    """Score of each document, and whether it is flagged at `RATE`, by tables without its family."""
    fitter, reference = Fitter(data), build_reference(data)
    adjusted, p = np.zeros(len(data.label)), np.zeros(len(data.label))
    for family in np.unique(data.family):
        own = data.family == family
        fitted = fitter.fit(~own)
        adjusted[own] = fitted.adjusted(data, own)
        p[own] = fitted.tail.p(adjusted[own], reference.deviations)
    terms = score_terms(adjusted, effective(data.length, data.language))
    logit = (reference.coefficients[kinds(data.language)] * terms).sum(axis=1)
    scores: Floats = 1.0 / (1.0 + np.exp(-logit))
    return scores, p <= RATE


def _maker(generator: str) -> str:
    low = generator.lower()
    return next((maker for maker, pattern in _MAKERS.items() if re.search(pattern, low)), "other")


def calibrated(documents: Documents, random: np.random.Generator) -> World:
    """Corpora of one half of each source's documents, tables of the other."""
    half = random.random(len(documents.label)) < 0.5
    return _world(documents.rows(half), documents.rows(~half))


def left_out(documents: Documents, random: np.random.Generator) -> World | None:
    """Corpora of families and makers that no table has seen; None where the draw leaves too few of either."""
    families, makers = np.unique(documents.family), np.unique(documents.maker[documents.label == 1])
    out = np.isin(documents.family, families[random.random(len(families)) < _FAMILIES_OUT])
    made = np.isin(documents.maker, makers[random.random(len(makers)) < _MAKERS_OUT])
    human = documents.label == 0
    world = _world(documents.rows(out & (human | made)), documents.rows(~out & (human | ~made)))
    return world if len(world.machine.names) >= 4 and len(world.reference.machine.sources) >= 8 else None


def _world(drawn: Documents, known: Documents) -> World:
    reference = Reference.of(fit_profiles(known.score, known.label, known.source, known.generator))
    people, models = (known.rows(known.label == label) for label in (0, 1))
    rates = ErrorRates(_trials(people), _trials(models))
    return World(_pool(drawn.rows(drawn.label == 0)), _pool(drawn.rows(drawn.label == 1)), reference, rates)


def _trials(documents: Documents) -> tuple[Trial, ...]:
    names, place, n = np.unique(documents.source, return_inverse=True, return_counts=True)
    hits = np.bincount(place, documents.flagged, len(names))
    return tuple(Trial(str(name), int(one), int(hit)) for name, one, hit in zip(names, n, hits, strict=True))


def _pool(documents: Documents) -> Pool:
    names, place = np.unique(documents.source, return_inverse=True)
    counts = np.zeros((len(names), 2, BINS))
    np.add.at(counts, (place, documents.flagged.astype(np.int64), score_bins(documents.score)), 1.0)
    size = counts.sum(axis=(1, 2), keepdims=True)
    keep = size[:, 0, 0] >= _LEAST
    return Pool(names[keep].tolist(), counts[keep] / size[keep])


def simulate(
    worlds: Iterator[World], makers: Makers, *, corpora: int, per_world: int, sources: int | None, seed: int
) -> dict[str, list[Outcome]]:
    """Draw corpora from worlds and estimate each by every estimator."""
    random = np.random.default_rng(seed)
    found: dict[str, list[Outcome]] = {name: [] for name in makers}
    for _ in range(-(-corpora // per_world)):
        world = next(worlds)
        estimators = {name: make(world) for name, make in makers.items()}
        for place in range(per_world):
            corpus = world.draw(0.0 if place % 5 == 0 else random.uniform(0, 0.5), sources, random)
            for name, estimator in estimators.items():
                found[name].append(Outcome(corpus.share, *estimator(corpus)))
    return found


def summary(outcomes: list[Outcome]) -> dict[str, float]:
    """Errors in points (0-100), shares (0-1) of corpora."""
    truth, share, low, high = np.array(outcomes).T
    held, none = (low <= truth + 1e-9) & (truth <= high + 1e-9), truth == 0
    return {
        "corpora": len(truth),
        "mean_absolute_error": 100 * float(np.abs(share - truth).mean()),
        "bias": 100 * float((share - truth).mean()),
        "coverage": float(held.mean()),
        "coverage_error": float(np.sqrt(held.mean() * (1 - held.mean()) / len(held))),
        "median_width": 100 * float(np.median(high - low)),
        "none_corpora": int(none.sum()),
        "none_low_is_0": float((low[none] <= 0).mean()),
        "none_median_width": 100 * float(np.median((high - low)[none])),
    }


def _worlds(make: Callable[[Documents, np.random.Generator], World | None], documents: Documents) -> Iterator[World]:
    random = np.random.default_rng(SEED)
    while True:
        world = make(documents, random)
        if world is not None:
            yield world


def study(documents: Documents, corpora: int) -> dict[str, Any]:
    """All scenarios."""
    plans: dict[str, tuple[Callable[[Documents, np.random.Generator], World | None], Makers, int, int | None]] = {
        "calibrated": (calibrated, {**NAMED, **SHIPPED, **OTHERS}, 50, None),
        "left out": (left_out, {**SHIPPED, **OTHERS}, 5, None),
        **{f"left out, {k} sources": (left_out, SHIPPED, 5, k) for k in (3, 6, 40)},
    }
    result: dict[str, Any] = {}
    for name, (make, makers, per_world, sources) in plans.items():
        started = time.perf_counter()
        found = simulate(
            _worlds(make, documents), makers, corpora=corpora, per_world=per_world, sources=sources, seed=SEED
        )
        result[name] = {method: summary(outcomes) for method, outcomes in found.items()}
        print(_table(name, result[name]) + f"\n({time.perf_counter() - started:.0f} s)\n", flush=True)
    return result


def _table(name: str, found: Mapping[str, Mapping[str, float]]) -> str:
    rows = [(name, "corpora", "MAE", "bias", "coverage", "width", "at 0 %: low = 0", "width")]
    for method, one in found.items():
        rows.append(
            (
                method,
                f"{one['corpora']}",
                f"{one['mean_absolute_error']:.2f}",
                f"{one['bias']:+.2f}",
                f"{100 * one['coverage']:.1f} %",
                f"{one['median_width']:.1f}",
                f"{100 * one['none_low_is_0']:.0f} % of {one['none_corpora']}",
                f"{one['none_median_width']:.1f}",
            )
        )
    return report.table(rows)


def main() -> int:
    """Read, simulate, print, store."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prevalence", description="see the module's head")
    parser.add_argument("margins", type=Path, help="Parquet file of labelled documents with out-of-source margins")
    parser.add_argument("--corpora", type=int, default=200, help="for each scenario")
    parser.add_argument("--out", type=Path, default=report.RESULTS)
    parser.add_argument("--dry", action="store_true", help="print only")
    asked = parser.parse_args()
    if not asked.margins.exists():
        print(f"SKIPPED: there is no {asked.margins}.", file=sys.stderr)
        return 0
    documents = read(asked.margins)
    result = {
        "schema": SCHEMA,
        "version": 1,
        **machine(),
        "documents": len(documents.label),
        "sources": {
            kind: len(np.unique(documents.source[documents.label == number]))
            for number, kind in enumerate(("human", "machine"))
        },
        "levels": list(UNKNOWN),
        "scenarios": study(documents, asked.corpora),
    }
    if not asked.dry:
        print(f"stored in {report.save(result, 'prevalence', asked.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
