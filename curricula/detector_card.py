"""Measures a detector and writes its card: figures per source with n and intervals, in-source and cross-source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from detectors.ai_text.calibration import Reference

__all__ = ["Area", "Evidence", "auroc", "measure", "model_card", "wilson"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

_MIN_CLASS = 30


@dataclass(frozen=True)
class Area:
    """AUROC of one source and language, with a 95 % interval (Hanley and McNeil 1982)."""

    source: str
    language: str
    n_human: int
    n_ai: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """Margins and labels of documents long enough to judge.

    Attributes:
        margin: float64[n].
        label: int64[n], 1 for machine text.
        source: str[n].
        language: str[n], as labelled.
    """

    margin: Floats
    label: Integers
    source: Names
    language: Names


def auroc(label: Integers, margin: Floats) -> float:
    """Probability that a machine text has the larger margin, ties halved; NaN with one class."""
    values, inverse, counts = np.unique(margin, return_inverse=True, return_counts=True)
    if len(values) == 0:
        return float("nan")
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive, n = int(label.sum()), len(label)
    if positive in (0, n):
        return float("nan")
    return float((rank[label == 1].sum() - positive * (positive + 1) / 2) / (positive * (n - positive)))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.959964, hits / n
    centre, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


def _area(source: str, language: str, label: Integers, margin: Floats) -> Area:
    value, n_ai = auroc(label, margin), int(label.sum())
    n_human = len(label) - n_ai
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (n_ai - 1) * (one - value**2) + (n_human - 1) * (two - value**2)
    half = 1.959964 * sqrt(max(spread, 0.0) / (n_ai * n_human))
    return Area(source, language, n_human, n_ai, value, max(0.0, value - half), min(1.0, value + half))


def measure(evidence: Evidence) -> tuple[Area, ...]:
    """AUROC of every source and language with at least 30 documents of each class, sorted by source."""
    areas = []
    for source in np.unique(evidence.source):
        for language in np.unique(evidence.language[evidence.source == source]):
            rows = (evidence.source == source) & (evidence.language == language)
            label = evidence.label[rows]
            if min(label.sum(), len(label) - label.sum()) >= _MIN_CLASS:
                areas.append(_area(str(source), str(language), label, evidence.margin[rows]))
    return tuple(areas)


def _mean(areas: Sequence[Area]) -> str:
    return f"{np.mean([area.value for area in areas]):.3f} ({len(areas)})" if areas else "none"


def _area_table(cross: Sequence[Area], inside: Sequence[Area]) -> list[str]:
    lines = [
        "| source | language | human | machine | AUROC, source left out | 95 % | AUROC, source trained on |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    seen = {(area.source, area.language): area for area in inside}
    for area in cross:
        other = seen.get((area.source, area.language))
        shown = f"{other.value:.3f} (n {other.n_human} / {other.n_ai})" if other else "-"
        lines.append(
            f"| {area.source} | {area.language} | {area.n_human} | {area.n_ai} | {area.value:.3f} "
            f"| {area.low:.3f}-{area.high:.3f} | {shown} |"
        )
    for name, keep in (
        ("en", lambda area: area.language == "en"),
        ("zh", lambda area: area.language == "zh"),
        ("other", lambda area: area.language not in ("en", "zh")),
        ("all", lambda area: True),
    ):
        out, within = _mean([area for area in cross if keep(area)]), _mean([area for area in inside if keep(area)])
        lines.append(f"| **mean** | {name} | | | {out} | | {within} |")
    return lines


def _rate_table(reference: Reference, kind: str) -> list[str]:
    title = "false positives" if kind == "human" else "true positives"
    lines = [f"| source | n | {title} at p <= 0.01 | 95 % | at p <= 0.001 |", "| --- | --- | --- | --- | --- |"]
    fine = {(rate.source, rate.kind): rate for rate in reference.error_rates(0.001)}
    rates = [rate for rate in reference.error_rates(0.01) if rate.kind == kind]
    shares = []
    for rate in rates:
        other = fine[(rate.source, rate.kind)]
        low, high = wilson(rate.hits, rate.n)
        shares.append((rate.hits / rate.n, other.hits / rate.n, rate.n))
        if rate.n >= 100:
            lines.append(
                f"| {rate.source} | {rate.n} | {rate.hits} ({rate.hits / rate.n:.4f}) | {low:.4f}-{high:.4f} "
                f"| {other.hits} ({other.hits / rate.n:.4f}) |"
            )
    large = np.array([share for share in shares if share[2] >= 100])
    small = len(shares) - len(large)
    if len(large):
        lines.append(f"| **mean of {len(large)} sources** | | {large[:, 0].mean():.4f} | | {large[:, 1].mean():.4f} |")
        ninth = np.quantile(large[:, :2], 0.9, axis=0)
        lines.append(f"| **9 in 10 sources below** | | {ninth[0]:.4f} | | {ninth[1]:.4f} |")
    lines.append(f"\n{small} sources of fewer than 100 documents are counted in the calibration and not listed.")
    return lines


_INTENDED = """\
## Use

Rates over corpora: which share of many documents is machine-written, from which sources, with an interval that
carries the error rates below. Ordering documents for review.

**Not for judging a person or one document.** A single hit is weak evidence, and errors are not spread evenly: they
gather in plain, formal or non-native writing, in genres that the reference lacks, and in languages with little data.
It must not be used to accuse, grade, hire, dismiss or moderate anyone, and a score below a threshold does not show
that a person wrote a text.

## Limits

- Texts under 250 characters abstain (Chinese and Japanese characters count threefold, Korean twofold).
- Languages other than English are weak; those without a reference of their own are marked `out_of_support` and take
  the most cautious p-value of all languages. So are texts that are mostly code, tables, digits or symbols.
- Text that a model edited (polish, rewrite) counts as machine text in the training data, and is found less often.
- New models write differently, and a generator unlike all of the training data can be ranked little better than
  chance (see the lines "left out of training"). The figures for sources left out are the honest guide.
- Documents over 4 KiB are cut into windows of equal size, up to 4 KiB each, and have the mean margin of their windows.
  Over 1 MiB, a scan measures pieces of up to 128 KiB and weighs their margins by characters.
- Case, quotes, dashes, Markdown marks and line breaks are folded away. Wide and mathematical letters, letters of other
  scripts that look like Latin ones and invisible characters are undone before a text is judged; look-alikes beyond a
  closed list are not. Words that are misspelt are unknown, and unknown words count for nothing.
"""


def model_card(
    *,
    recipe: str,
    counts: Sequence[str],
    licences: str,
    cross: Sequence[Area],
    inside: Sequence[Area],
    notes: Sequence[str],
    reference: Reference,
) -> str:
    """MODEL_CARD.md: what the model is, was trained on, reaches, and is not for.

    Args:
        recipe: the training settings.
        counts: lines that describe the training data.
        licences: what the sources state.
        cross: AUROC per source with that source left out of training.
        inside: AUROC per source on held-back rows of sources that were trained on.
        notes: further measured figures, one a line.
        reference: the calibration, for error rates.
    """
    parts = [
        "# ai_text, fast tier",
        "Written by `python -m curricula.train_detector`; every figure below was measured in that run.",
        "A linear model over words, word pairs, marks and triples of kinds of words, each counted once in a window "
        "(hashed; 2^18 int8 weights, each with a check of 8 bits). Summed weights are divided by the root of the "
        "number of features that the table holds; others count for nothing.",
        _INTENDED,
        "## Training data",
        "\n".join(f"- {line}" for line in counts),
        licences,
        "## Ranking (AUROC)",
        "Left out: the model of that fold saw no row of the source or of its family. Rows long enough to judge only.",
        "\n".join(_area_table(cross, inside)),
        "\n".join(f"- {line}" for line in notes),
        "## Error rates of `p_human`, model and reference both without the source",
        "\n".join(_rate_table(reference, "human")),
        "\n".join(_rate_table(reference, "ai")),
        "## Settings",
        f"`{recipe}`",
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
