"""The card of a fine-tuned detector: what it is, was trained on, reaches on sources left out, and is not for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from curricula.detector_card import Area, auroc, wilson

if TYPE_CHECKING:
    import polars as pl

    from curricula.detector_corpus import Corpus
    from curricula.encoder_export import Parity
    from curricula.encoder_fit import EncoderRecipe

__all__ = ["encoder_card"]

_RATES = (0.01, 0.001)
_USE = """\
Rates over corpora: which share of many documents is machine-written, with an interval that carries the error rates of
its calibration. **Not for judging a person or one document.** It must not be used to accuse, grade, hire, dismiss or
moderate anyone. Its margins mean nothing without a calibration of their own (`foxing calibrate`): those of another
model are on another scale."""


def encoder_card(
    *,
    base: str,
    recipe: EncoderRecipe,
    steps: int,
    seen: Corpus,
    found: pl.DataFrame,
    areas: Sequence[Area],
    parities: Sequence[Parity],
) -> str:
    """MODEL_CARD.md of the folder that `foxing train-detector` writes.

    Args:
        base: what was fine-tuned, as it was named.
        recipe: how.
        steps: updates that the kept weights have seen.
        seen: what it was trained on.
        found: margins of documents left out, with label, source and lang.
        areas: AUROC per source and language left out.
        parities: of the ONNX graphs.
    """
    human, sources = int((seen.label == 0).sum()), seen.frame["source"].n_unique()
    lines = [
        "# A machine-text detector",
        f"Fine-tuned from `{base}` by `foxing train-detector`; every figure below was measured in that run.",
        "## Use",
        _USE,
        "## Training",
        f"- {human} human and {len(seen.label) - human} machine documents of {sources} sources, "
        f"{seen.frame['lang'].n_unique()} languages; {steps} updates of {recipe.batch} windows of up to "
        f"{recipe.max_tokens} tokens.\n- Weights and licence of the base come with the base; see its own card.",
        f"`{recipe}`",
        "## Ranking (AUROC) on sources that were neither trained on nor used for stopping",
        "\n".join(_table(areas)),
        "## Pooled over these sources",
        "\n".join(_pooled(found)),
        "## Graphs",
        "\n".join(f"- {parity}" for parity in parities),
    ]
    return "\n\n".join(lines) + "\n"


def _table(areas: Sequence[Area]) -> list[str]:
    lines = ["| source | language | human | machine | AUROC | 95 % |", "| --- | --- | --- | --- | --- | --- |"]
    for area in areas:
        lines.append(
            f"| {area.source} | {area.language} | {area.n_human} | {area.n_ai} | {area.value:.3f} "
            f"| {area.low:.3f}-{area.high:.3f} |"
        )
    mean = (
        f"{np.mean([area.value for area in areas]):.3f} ({len(areas)})" if areas else "no source has 30 of each class"
    )
    return [*lines, f"| **mean** | | | | {mean} | |"]


def _pooled(found: pl.DataFrame) -> list[str]:
    """True-positive rates at thresholds that flag a stated share of the human texts at hand."""
    found = found.drop_nulls("margin")
    margin, label = found["margin"].to_numpy(), found["label"].to_numpy().astype(np.int64)
    human = np.sort(margin[label == 0])
    lines = [f"- AUROC {auroc(label, margin):.3f} (n {len(human)} human / {int(label.sum())} machine)"]
    for rate in _RATES:
        allowed = int(rate * len(human))
        if allowed < 1:
            lines.append(f"- true positives at {rate:.1%} false positives: {len(human)} human texts are too few")
            continue
        machine = margin[label == 1]
        hits = int((machine > human[-allowed - 1]).sum())
        low, high = wilson(hits, len(machine))
        lines.append(
            f"- true positives at {rate:.1%} false positives, threshold set on these very texts: "
            f"{hits / len(machine):.3f} ({low:.3f}-{high:.3f}, n {len(machine)})"
        )
    return lines
