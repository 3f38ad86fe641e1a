"""Fine-tunes a pretrained encoder or decoder as a detector: full or LoRA, stopped early on sources left out.

Windows are drawn with the group-balanced weights that the bundled detector is trained with, and from a random place of
a document, so that neither a large source nor how texts begin or end is what is learned. One fold of sources is never
trained on: its macro AUROC decides when to stop, so the figure at the best step is a little flattered, and a part of
the fold that takes no part in stopping gives the figures of the card.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curricula.detector_card import Area, measure
from curricula.detector_corpus import Corpus, source_folds
from curricula.encoder_card import encoder_card
from curricula.encoder_export import GRAPHS, Parity, export_int8, export_onnx, measured_parity
from curricula.encoder_fit import LABELS, EncoderRecipe, evidence_of, fine_tune, margins_of
from detectors.ai_text.detector_folder import DetectorRecord, write_detector
from detectors.ai_text.encoder import Wanted, load_classifier, load_graph
from detectors.errors import InputError, OutputError
from detectors.hub import located
from detectors.protocols import Device

__all__ = ["EncoderRecipe", "TrainedEncoder", "train_encoder"]

Say = Callable[[str], None]
_PARITY_TEXTS = 256
_MIN_CHARACTERS = 250


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class TrainedEncoder:
    """What came of it.

    Attributes:
        folder: with the model, graphs whose parity holds, tokenizer, card and record.
        areas: AUROC of sources that took no part in training or stopping.
        parities: of the graphs.
        steps: updates that the kept weights have seen.
        card: text of MODEL_CARD.md.
    """

    folder: Path
    areas: tuple[Area, ...]
    parities: tuple[Parity, ...]
    steps: int
    card: str


def train_encoder(
    base: str, corpus: Corpus, out: Path, recipe: EncoderRecipe, *, device: Device = Device.AUTO, say: Say = _silent
) -> TrainedEncoder:
    """Fine-tune `base`, measure it, export it, and write a folder that the `encoder` tier reads.

    Args:
        base: folder or hub id of any model that transformers can put a classification head on.
        corpus: labelled documents, see `curricula.encoder_data.read_labelled`.
        out: folder to write; must not exist, or be empty.
        recipe: how.
        device: where.
        say: is told how it goes, a line at a time.

    Raises:
        InputError: too few sources to leave some out. OutputError: `out` holds something.
        SignalError: no such base. MissingExtraError: torch, transformers, peft or onnx are not installed.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out}: is not empty. Name a new folder with -o.")
    path = located(base, "--base")
    seen, stop, unseen = _split(corpus, recipe)
    work = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        steps = fine_tune(path, seen, stop, work, recipe, device, say)
        say("measuring on sources left out")
        trained = load_classifier(work, Wanted(device, max_tokens=recipe.max_tokens, machine_label=LABELS[1]))
        found = margins_of(trained, unseen)
        areas = measure(evidence_of(found.drop_nulls("margin")))
        parities = _export(work, unseen, recipe, say)
        kept = {parity.precision: GRAPHS[parity.precision] for parity in parities if parity.holds}
        card = encoder_card(
            base=base, recipe=recipe, steps=steps, seen=seen, found=found, areas=areas, parities=parities
        )
        (work / "MODEL_CARD.md").write_text(card, "utf-8")
        found.write_parquet(work / "margins.parquet")
        limit, pad = trained.max_tokens, trained.tokens.pad
        write_detector(work, DetectorRecord(path.name, LABELS, (1,), limit, pad, kept))
        if out.exists():
            out.rmdir()
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return TrainedEncoder(out, areas, parities, steps, card)


def _split(corpus: Corpus, recipe: EncoderRecipe) -> tuple[Corpus, Corpus, Corpus]:
    """Documents to train on, to stop by, and to judge by; the latter two are other documents of the same sources."""
    left_out = source_folds(corpus, recipe.folds) == 0
    if left_out.all() or len(np.unique(corpus.label[left_out])) < 2 or len(np.unique(corpus.label[~left_out])) < 2:
        families = corpus.frame["family"].n_unique()
        raise InputError(
            f"--data: {families} sources, which cannot be split so that both parts have text of both classes. "
            "Give more sources, or name them in a column source."
        )
    rows = np.random.default_rng(recipe.seed).permutation(np.flatnonzero(left_out))
    long = corpus.frame["text"].str.len_chars().to_numpy()[rows] >= _MIN_CHARACTERS
    rows = rows[long] if long.any() else rows
    checked = min(recipe.checked, len(rows) // 2)
    picked = (rows[:checked], rows[checked : checked + recipe.judged])
    stop, unseen = (Corpus(corpus.frame[np.sort(part).tolist()]) for part in picked)
    return corpus.rows(~left_out), stop, unseen


def _export(work: Path, corpus: Corpus, recipe: EncoderRecipe, say: Say) -> tuple[Parity, ...]:
    """Write graphs and keep those whose parity holds."""
    say("exporting to ONNX")
    part = corpus.frame.sample(min(_PARITY_TEXTS, corpus.frame.height), seed=recipe.seed)
    label, texts = part["label"].to_numpy().astype(np.int64), [text[:4000] for text in part["text"].to_list()]
    wanted = Wanted(Device.CPU, max_tokens=recipe.max_tokens, machine_label=LABELS[1])
    model = load_classifier(work, wanted)
    found = []
    for precision, name in GRAPHS.items():
        if precision == "float32":
            export_onnx(work, work / name)
        else:
            export_int8(work / GRAPHS["float32"], work / name)
        parity = measured_parity(precision, model, load_graph(work / name, model), texts, label)
        say(str(parity))
        found.append(parity)
    for parity in found:
        if not parity.holds:
            for path in work.glob(f"{GRAPHS[parity.precision]}*"):
                path.unlink()
    return tuple(found)
