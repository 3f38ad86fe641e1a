"""Fits a classification head and its base to labelled text: recipe, training loop, and the look at sources left out."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from curricula.detector_card import Evidence, measure
from curricula.detector_corpus import Corpus, document_weights
from curricula.encoder_data import Batch, Sampler
from detectors.ai_text.encoder import Classifier, torch_run
from detectors.errors import ConfigError, MissingExtraError
from detectors.pretrained import pretrained_tokens, quiet_transformers, torch_device
from detectors.protocols import Device
from detectors.tokens import Batching, Tokens

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["LABELS", "EncoderRecipe", "evidence_of", "fine_tune", "margins_of"]

Say = Callable[[str], None]
LABELS = ("human", "machine")
_GPU_TOKENS = 16_384


@dataclass(frozen=True)
class EncoderRecipe:
    """Everything that decides the weights, besides base and data.

    Attributes:
        max_tokens: of a window, with its marks.
        steps: updates at most.
        batch: windows of an update.
        rate: peak learning rate; 0 is 5e-5, or 5e-4 with LoRA.
        train_embeddings: whether word embeddings are trained too; most weights of a multilingual model are these.
        lora_rank: rank of low-rank updates of all linear layers (Hu et al. 2021, arXiv 2106.09685); 0 trains it all.
        check_every: updates between two looks at the sources left out.
        patience: looks without a better macro AUROC before it stops.
        checked: documents left out that are looked at.
        judged: documents left out that the card's figures are of.
        folds: groups of sources, the first of which is left out.
        mirror_weight: see `curricula.detector_corpus.document_weights`.
        source_power: the same.
        minutes: of training at most; 0 is no limit. What it cuts short depends on the machine.
        seed: of everything.
    """

    max_tokens: int = 256
    steps: int = 2000
    batch: int = 32
    rate: float = 0.0
    train_embeddings: bool = True
    lora_rank: int = 0
    check_every: int = 200
    patience: int = 4
    checked: int = 1500
    judged: int = 4000
    folds: int = 5
    mirror_weight: float = 4.0
    source_power: float = 0.5
    minutes: float = 0.0
    seed: int = 17

    def __post_init__(self) -> None:
        for name in ("max_tokens", "steps", "batch", "check_every", "patience", "checked", "judged"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train-detector: {name} is {getattr(self, name)}. Set it to 1 or more.")
        if self.folds < 2:
            raise ConfigError(f"train-detector: folds is {self.folds}. Set it to 2 or more.")

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        return self.rate or (5e-4 if self.lora_rank else 5e-5)


def fine_tune(
    base: Path, seen: Corpus, stop: Corpus, work: Path, recipe: EncoderRecipe, device: Device, say: Say
) -> int:
    """Train, and write the best weights to `work`; returns the updates that they have seen.

    Args:
        base: folder of the model.
        seen: documents to train on.
        stop: documents of other sources, whose macro AUROC says which weights are best.
        work: folder to write to.
        recipe: how.
        device: where.
        say: is told of each look at `stop`.

    Raises:
        SignalError: no such device, or no tokenizer. MissingExtraError: torch, transformers or peft are not installed.
    """
    import torch

    target = torch_device(device, "--device")
    torch.manual_seed(recipe.seed)
    model = _with_head(base, recipe).to(target)
    tokens = pretrained_tokens(base, "--base")
    model.config.pad_token_id = tokens.pad
    weight = document_weights(seen, mirror_weight=recipe.mirror_weight, source_power=recipe.source_power)
    sampler = Sampler(seen.frame["text"].to_list(), seen.label, weight, tokens, recipe.max_tokens, recipe.seed)
    update = _updates(model, recipe, target)
    best, tries, began = _Best(-1.0, 0, _weights(model)), 0, time.monotonic()
    for step, batch in enumerate(sampler.batches(recipe.batch), 1):
        loss = update(batch)
        is_last = step == recipe.steps or 0 < recipe.minutes * 60 < time.monotonic() - began
        if step % recipe.check_every and not is_last:
            continue
        area = _macro(_running(model.eval(), tokens, recipe, target), stop)
        shown = "-" if area is None else f"{area:.3f}"
        say(f"step {step}: loss {loss:.3f}, macro AUROC on sources left out {shown}")
        tries = 0 if (area or 0.0) > best.area else tries + 1
        if not tries:
            best = _Best(area or 0.0, step, _weights(model))
        if is_last or tries >= recipe.patience:
            break
    model.load_state_dict(best.weights, strict=False)
    _save(model, base, work)
    return best.step


@dataclass(frozen=True, eq=False)
class _Best:
    """The best weights so far, the update after which they were, and their macro AUROC."""

    area: float
    step: int
    weights: dict[str, torch.Tensor]


def _updates(model: PreTrainedModel, recipe: EncoderRecipe, target: torch.device) -> Callable[[Batch], float]:
    """A function that makes one update with a batch (ids, mask, label) and returns its loss."""
    import torch

    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=recipe.peak_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, recipe.steps))

    def update(batch: Batch) -> float:
        ids, mask, label = (torch.from_numpy(part).to(target) for part in batch)
        model.train()
        with torch.autocast(target.type, torch.bfloat16, enabled=target.type == "cuda"):
            logits = model(input_ids=ids, attention_mask=mask).logits
        loss = torch.nn.functional.cross_entropy(logits.float(), label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    return update


def _pace(step: int, steps: int) -> float:
    """Share of the peak rate: up over the first tenth, then down to nothing."""
    warm = max(1, steps // 10)
    return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))


def _with_head(base: Path, recipe: EncoderRecipe) -> PreTrainedModel:
    """The base with a head of two labels, for full fine-tuning or with low-rank updates."""
    transformers = quiet_transformers()
    names = dict(enumerate(LABELS))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        str(base),
        num_labels=len(LABELS),
        id2label=names,
        label2id={name: index for index, name in names.items()},
        ignore_mismatched_sizes=True,
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
        dtype="float32",
    )
    if not recipe.train_embeddings:
        model.get_input_embeddings().weight.requires_grad = False
    if not recipe.lora_rank:
        return model
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "train") from error
    rank = recipe.lora_rank
    settings = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS, r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules="all-linear"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5 by an old name
        return peft.get_peft_model(model, settings)


def _weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """A copy of what is trained."""
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: copy.deepcopy(value.detach().cpu()) for name, value in model.state_dict().items() if name in trained}


def _save(model: PreTrainedModel, base: Path, work: Path) -> None:
    """Weights with low-rank updates merged, configuration and tokenizer, in the layout of transformers."""
    whole = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    whole.to("cpu").save_pretrained(work)
    transformers = quiet_transformers()
    load = transformers.AutoTokenizer.from_pretrained
    load(str(base), trust_remote_code=False, local_files_only=True).save_pretrained(work)


def _running(model: PreTrainedModel, tokens: Tokens, recipe: EncoderRecipe, target: torch.device) -> Classifier:
    """The model as it stands, as a classifier."""
    batching = Batching(_GPU_TOKENS) if target.type == "cuda" else Batching()
    return Classifier(torch_run(model, target), tokens, recipe.max_tokens, (1,), batching, "float32")


def _macro(classifier: Classifier, corpus: Corpus) -> float | None:
    """Mean AUROC over sources left out, by the start of each document; pooled where no source has both classes.

    None where all of them together have too few of one.
    """
    room = 4 * classifier.max_tokens
    starts = corpus.frame.with_columns(pl.col("text").str.slice(0, room))
    found = margins_of(classifier, Corpus(starts)).drop_nulls("margin")
    pooled = found.with_columns(source=pl.lit("all"), lang=pl.lit("all"))
    areas = measure(evidence_of(found)) or measure(evidence_of(pooled))
    return float(np.mean([area.value for area in areas])) if areas else None


def margins_of(classifier: Classifier, corpus: Corpus) -> pl.DataFrame:
    """Margins of documents left out, without their texts: what a calibration of this detector is fitted to."""
    margins = classifier.margins(corpus.frame["text"].to_list())
    columns = ("id", "label", "source", "family", "domain", "generator", "attack", "lang")
    return corpus.frame.select(*columns, pl.col("text").str.len_chars().alias("length")).with_columns(
        pl.Series("margin", margins.document.astype(np.float32)).fill_nan(None),
        pl.Series("windows", pl.from_arrow(margins.windows)),
    )


def evidence_of(found: pl.DataFrame) -> Evidence:
    """Margins, none of them null, with their labels, sources and languages."""
    source, language = (found[name].to_numpy().astype(np.str_) for name in ("source", "lang"))
    margin, label = found["margin"].to_numpy().astype(np.float64), found["label"].to_numpy().astype(np.int64)
    return Evidence(margin, label, source, language)
