"""What the arms of an experiment on uniform formats do to a model: learn, forget, be tuned, be asked.

All of it is what `foxing train`, `foxing trial` and `curricula.unlearn` do; rows lie in files as theirs do.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricula.encoding import Encoder, parted, save_tokenizer
from curricula.evaluation import Items, evaluate_items
from curricula.instructions import Check
from curricula.model import Decoder, Pretrained, Shape, save_scratch
from curricula.packing import IGNORED, pack, stacked
from curricula.recipe import Recipe
from curricula.trainer import Setting, evaluate, train
from curricula.training_rows import TrainingRows, open_rows
from curricula.unlearn import Forgetting, Forgot, unlearn
from curricula.writing import Sampling, Writer, open_writer
from detectors.errors import MissingExtraError
from detectors.protocols import Device

try:
    import torch
    from torch.nn import functional as F  # noqa: N812 - as everybody calls it
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["Asked", "Lab", "Model", "fresh", "on_cpu", "setting_on"]

Floats = npt.NDArray[np.float64]
Model = Decoder | Pretrained
_NEVER = 1 << 40
_TOGETHER = 256


@dataclass(frozen=True)
class Asked:
    """Prompts, the check of each one's answer, and what is asked of it.

    Attributes:
        prompts: n of them.
        checks: of answers.
        kinds: of formats.
    """

    prompts: tuple[str, ...]
    checks: tuple[Check, ...]
    kinds: tuple[str, ...]


@dataclass
class Lab:
    """Where models of one seed are changed and looked at.

    Attributes:
        folder: of files that nobody needs afterwards.
        encoder: of all models.
        setting: of all models.
        template: of questions with answers.
        block: tokens a block.
        batch: blocks of an update.
        micro: blocks that go through together.
        max_tokens: of an answer.
        seed: of dropout, where a model has it.
    """

    folder: Path
    encoder: Encoder
    setting: Setting
    template: str
    block: int
    batch: int
    micro: int
    max_tokens: int
    seed: int
    _made: int = field(default=0, init=False)

    def texts(self, texts: Sequence[str], *, form: bool = False) -> TrainingRows:
        """Rows of plain text, all of whose tokens are learnt; with `form`, those of their format alone."""
        return replace(self._rows(pa.table({"text": pa.array(list(texts), pa.string())})), form=form)

    def pairs(self, questions: Sequence[str], answers: Sequence[str]) -> TrainingRows:
        """Rows of questions with answers, whose answers are learnt."""
        return self._rows(pa.table({"question": list(questions), "answer": list(answers)}))

    def _rows(self, table: pa.Table) -> TrainingRows:
        file = self._next("rows").with_suffix(".parquet")
        pq.write_table(table, file)
        return open_rows([str(file)], self.encoder, template=self.template)

    def _next(self, name: str) -> Path:
        self._made += 1
        return self.folder / f"{name}-{self._made}"

    def _recipe(self, tokens: int, rate: float, batch: int) -> Recipe:
        return Recipe(
            block=self.block,
            batch=batch,
            micro=min(batch, self.micro),
            tokens=tokens,
            rate=rate,
            weight_decay=0.0,
            check_every=_NEVER,
            keep_every=_NEVER,
            whole_rows=True,
            seed=self.seed,
        )

    def taught(self, model: Model, rows: TrainingRows, tokens: int, rate: float, *, batch: int = 0) -> Model:
        """A copy that was trained on so many tokens of rows, in their order."""
        pupil, run = copy.deepcopy(model), self._next("run")
        train(pupil, rows, None, run, self._recipe(tokens, rate, batch or self.batch), self.setting)
        shutil.rmtree(run)
        pupil.eval()
        return pupil

    def unlearnt(
        self,
        model: Model,
        rows: tuple[TrainingRows, TrainingRows, TrainingRows],
        tokens: int,
        rate: float,
        batch: int,
        forgetting: Forgetting,
    ) -> tuple[Model, Forgot]:
        """A copy that was made to forget; rows to forget, to keep, and that the guard watches."""
        pupil = copy.deepcopy(model)
        return pupil, unlearn(pupil, model, *rows, self._recipe(tokens, rate, batch), forgetting, self.setting)

    def divergence(self, model: Model, base: Model, rows: TrainingRows) -> Floats:
        """float64[blocks]: mean KL(base || model) over the learnt positions of each block of rows, in nats."""
        found = []
        for block in pack(rows.read, self.block, splits=False, pad=self.encoder.pad, epochs=1):
            read = stacked([block], self.setting.device)
            learnt = read.targets != IGNORED
            with torch.inference_mode(), self.setting.mixed():
                now, before = (each.head(each.hidden(read)[learnt]).float().log_softmax(-1) for each in (model, base))
                found.append(float(F.kl_div(now, before, reduction="batchmean", log_target=True)))
        return np.array(found)

    def loss(self, model: Model, rows: TrainingRows) -> float:
        """Mean over learnt tokens of rows, in nats."""
        return evaluate(model, rows, self._recipe(0, 1.0, self.batch), self.setting)

    def kept(self, model: Model, *asked: Asked) -> list[Floats]:
        """For each set of prompts float64[n], 0 or 1: whether the model's greedy answers pass their checks."""
        writer, found = self.writer(model), []
        sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens, batch=_TOGETHER, template=self.template)
        for each in asked:
            nothing = ("",) * len(each.prompts)
            answers = tuple((one,) for one in nothing)
            items = Items("instruction", each.prompts, answers, None, nothing, each.checks)
            with self.setting.mixed():
                found.append(evaluate_items(model, writer, items, sampling, block=self.block)["followed"])
        return found

    def says(self, model: Model, prompts: Sequence[str], sampling: Sampling) -> list[str]:
        """What a model answers to prompts."""
        head, start = parted(self.template)[0], np.array(self.encoder.start, np.int64)
        asked = [np.concatenate([start, self.encoder.ids(head.replace("{prompt}", prompt))]) for prompt in prompts]
        sampling = replace(sampling, max_tokens=self.max_tokens, batch=_TOGETHER, template=self.template)
        with self.setting.mixed():
            written = self.writer(model).write(asked, sampling, sampling.seed)
        return [self.encoder.tokenizer.decode(ids.tolist()).strip() for ids in written]

    def writer(self, model: Model) -> Writer:
        """The model as one that writes."""
        if isinstance(model, Pretrained):
            return Writer(model.lm, self.encoder, "model", self.setting.device, "")
        folder = self.folder / "written"
        save_scratch(model, folder)
        save_tokenizer(self.encoder, folder)
        return open_writer(str(folder), Device.CPU)


def on_cpu() -> Setting:
    """The setting of models that are too small for a GPU."""
    return Setting(torch.device("cpu"))


def setting_on(model: Pretrained) -> Setting:
    """The setting of a model where it lies: on a GPU matrices are multiplied in bfloat16."""
    device = next(model.parameters()).device
    return Setting(device, bfloat16=device.type == "cuda")


def fresh(encoder: Encoder, *, width: int, layers: int, context: int, seed: int) -> Decoder:
    """A decoder that has learnt nothing."""
    torch.manual_seed(seed)
    heads = {"heads": 2, "kv_heads": 2}
    vocabulary = -(-encoder.vocabulary // 64) * 64
    return Decoder(Shape(vocabulary, width=width, layers=layers, hidden=4 * width, context=context, **heads))
