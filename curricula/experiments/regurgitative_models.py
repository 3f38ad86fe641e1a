"""Translation models of one seed: all start from one base, see as many tokens, and are scored on the same sentences."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricula.encoding import Encoded, Encoder, trained_tokenizer
from curricula.experiments.regurgitative_grammar import Pairs
from curricula.model import EncoderDecoder, Shape
from curricula.packing import IGNORED, Packed, Row, pack, stacked
from curricula.recipe import Recipe
from curricula.trainer import Setting, train
from curricula.training_rows import open_rows
from curricula.writing import Sampling, Writer
from detectors.errors import ConfigError, MissingExtraError
from detectors.pretrained import torch_device, torch_dtype
from detectors.protocols import Device

try:
    import torch
    from torch.nn import functional as F  # noqa: N812 - as everybody calls it
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["Models", "Training", "scores", "write_pairs"]

Floats = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_NEVER = 10**9


@dataclass(frozen=True)
class Training:
    """Size of the models and how they are trained.

    Attributes:
        tokens: target tokens that each model is trained on, whatever it is trained with.
        base_tokens: of the base, which learns to copy sentences of both languages; 0 leaves it as it was drawn.
        rate: peak learning rate.
        block: tokens of a block, of source and of target.
        batch: blocks of an update.
        width: of the residual stream.
        layers: of encoder and decoder each.
        heads: of attention.
        vocabulary: ids of the tokenizer.
        max_tokens: of a translation.
        device: cpu, cuda or auto.
    """

    tokens: int = 60_000
    base_tokens: int = 100_000
    rate: float = 2e-3
    block: int = 128
    batch: int = 1
    width: int = 64
    layers: int = 2
    heads: int = 2
    vocabulary: int = 900
    max_tokens: int = 40
    device: str = "cpu"


class Models:
    """Makes the models of a seed.

    Args:
        training: how.
        seed: of weights and of the order of rows.
        real: translations that the tokenizer, and the base, learn from.
        folder: for files of rows.
    """

    def __init__(self, training: Training, seed: int, real: Pairs, folder: Path) -> None:
        self.training, self.seed, self.folder = training, seed, folder
        self.encoder: Encoder = trained_tokenizer([*real.sources, *real.targets], training.vocabulary)
        device = torch_device(Device(training.device), "experiment")
        bfloat16 = str(torch_dtype("auto", device, "experiment")) == "torch.bfloat16"
        self.setting = Setting(device, bfloat16=bfloat16)
        torch.manual_seed(seed)
        base = EncoderDecoder(
            Shape(
                vocabulary=-(-self.encoder.vocabulary // 64) * 64,
                width=training.width,
                layers=training.layers,
                heads=training.heads,
                kv_heads=training.heads,
                hidden=-(-training.width * 8 // 3 // 32) * 32,
                context=training.block,
                encoder_layers=training.layers,
            )
        )
        both = (*real.sources, *real.targets)
        self.base = self._fit(base, "base", Pairs(both, both), training.base_tokens) if training.base_tokens else base

    def trained(self, name: str, pairs: Pairs) -> Writer:
        """The base, trained on pairs until it has seen the declared number of tokens."""
        model = self._fit(copy.deepcopy(self.base), name, pairs, self.training.tokens)
        return Writer(model.eval(), self.encoder, name, self.setting.device, "")

    def _fit(self, model: EncoderDecoder, name: str, pairs: Pairs, tokens: int) -> EncoderDecoder:
        data = write_pairs(self.folder / f"{name}.parquet", pairs)
        rows = open_rows([str(data)], self.encoder, pairs=True, shuffle=self.seed)
        recipe = Recipe(
            block=self.training.block,
            batch=self.training.batch,
            micro=self.training.batch,
            tokens=tokens,
            rate=self.training.rate,
            warmup=0.05,
            weight_decay=0.01,
            keep_every=_NEVER,
            seed=self.seed,
        )
        outcome = train(model, rows, None, self.folder / name, recipe, self.setting)
        if outcome.progress.tokens != tokens:
            raise ConfigError(
                f"{name}: trained on {outcome.progress.tokens:,} of {tokens:,} tokens. Arms are compared on equal ones."
            )
        shutil.rmtree(self.folder / name)
        return model

    def translate(self, writer: Writer, sources: tuple[str, ...], temperature: float = 0.0) -> tuple[str, ...]:
        """What a model makes of sources; greedy unless there is a temperature."""
        sampling = Sampling(temperature=temperature, max_tokens=self.training.max_tokens, batch=256, seed=self.seed)
        prompts = [np.append(self.encoder.ids(source), self.encoder.end) for source in sources]
        written = writer.write(prompts, sampling, self.seed)
        return tuple(self.encoder.tokenizer.decode(ids.tolist()).strip() for ids in written)

    def sizes(self, pairs: Pairs) -> I64:
        """int64[n]: target tokens of each pair, its end mark counted."""
        return np.array([len(self.encoder.ids(target)) + 1 for target in pairs.targets], np.int64)

    def likelihood(self, writer: Writer, pairs: Pairs) -> Floats:
        """float64[n]: mean log-probability of the tokens of each target behind its source; NaN where one is empty."""
        found = np.full(len(pairs), np.nan)
        rows = {
            at: row
            for at, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True))
            if (row := self.encoder.pair(source, target)) is not None
        }
        order = sorted(rows, key=lambda at: len(rows[at].ids))
        with torch.inference_mode():
            for start in range(0, len(order), 64):
                part = order[start : start + 64]
                block = stacked(_alone([rows[at] for at in part], self.encoder.pad), self.setting.device)
                logits = writer.model.head(writer.model.hidden(block)).float()
                loss = F.cross_entropy(logits.transpose(1, 2), block.targets, reduction="none", ignore_index=IGNORED)
                found[part] = -(loss.sum(1) / (block.targets >= 0).sum(1)).cpu().numpy()
        return found


def _alone(rows: Sequence[Encoded], pad: int) -> list[Packed]:
    """Each row in a block of its own, all of the length of the longest."""
    size = max(max(len(row.ids), 0 if row.source is None else len(row.source)) for row in rows)

    def packed(row: Encoded) -> Packed:
        return next(pack(lambda epoch, first: iter([Row(0, row)]), size, splits=False, pad=pad))

    return [packed(row) for row in rows]


def write_pairs(file: Path, pairs: Pairs) -> Path:
    """Write pairs as columns src and tgt; where a model wrote nothing, a space is learnt, so that the row counts."""
    targets = [target or " " for target in pairs.targets]
    pq.write_table(pa.table({"src": list(pairs.sources), "tgt": targets}), file)
    return file


def scores(written: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[Floats, float, float]:
    """chrF of each sentence, float64[n], and BLEU and chrF of all, 0-100 (sacreBLEU's defaults)."""
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise MissingExtraError("sacrebleu", "train") from error
    chrf, bleu = CHRF(), BLEU()
    each = np.array([chrf.sentence_score(text, [right]).score for text, right in zip(written, wanted, strict=True)])
    whole = [list(wanted)]
    return (
        each,
        float(bleu.corpus_score(list(written), whole).score),
        float(chrf.corpus_score(list(written), whole).score),
    )
