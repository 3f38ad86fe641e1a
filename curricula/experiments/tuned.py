"""A language model that is tuned on questions and asked, again and again from the same weights.

B rows, T tokens, N learnt positions, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricula.encoding import TEMPLATE, Encoded, Encoder, Piece, encoder_of, parted
from curricula.evaluation import is_refusal
from curricula.isolation import refuse_mixing
from curricula.model import Pretrained
from curricula.packing import IGNORED, Row, TokenBlock, alone, pack, stacked
from curricula.recipe import Recipe, pace
from curricula.trainer import Setting, loss_sum, optimizer_of
from curricula.training import base_folder
from curricula.writing import Sampling, Writer
from detectors.answers import normalised_answers
from detectors.errors import MissingExtraError
from detectors.pretrained import from_pretrained, quiet_transformers, torch_device
from detectors.protocols import Device

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["Said", "Tuned", "loaded"]

Floats = npt.NDArray[np.float64]
_PACKED = 512
_ANSWER = 16
_ROWS = {"cuda": 512, "cpu": 64}


class Said:
    """Answers of a model: whether each is right, and whether it refuses; float64[n] each, 0 or 1."""

    def __init__(self, texts: Sequence[str], answers: Sequence[str]) -> None:
        import pyarrow as pa

        said, wanted = (normalised_answers(pa.array(list(each), pa.large_string())) for each in (texts, answers))
        pairs = zip(said.to_pylist(), wanted.to_pylist(), strict=True)
        self.right = np.array([float(one == other) for one, other in pairs])
        self.refused = np.array([float(is_refusal(text)) for text in texts])


class Tuned:
    """A causal model, its first weights kept beside.

    Attributes:
        model: what is tuned.
        encoder: its tokenizer.
    """

    def __init__(self, model: Pretrained, encoder: Encoder, setting: Setting) -> None:
        self.model, self.encoder = model.to(setting.device).eval(), encoder
        self._setting = setting
        self._first = {name: value.detach().cpu().clone() for name, value in model.named_parameters()}
        self._writer = Writer(model.lm, encoder, "tuned", setting.device, "")

    def reset(self) -> None:
        """Back to the first weights."""
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                value.copy_(self._first[name])

    def tune(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        *,
        epochs: int,
        rate: float,
        batch: int,
        seed: int,
        look: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        """Train on rows in an order that each epoch draws anew; `look` is called after each."""
        head, space, tail = parted(TEMPLATE)
        rows = [
            self.encoder.encode([Piece(head.replace("{prompt}", question), False), Piece(space + answer + tail)])
            for question, answer in zip(questions, answers, strict=True)
        ]
        weights = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        recipe = Recipe(rate=rate, weight_decay=0.0, schedule="constant", warmup=0.02)
        optimizer = optimizer_of(weights, recipe, self._setting.device)
        draw, updates = np.random.default_rng([seed, 12]), -(-len(rows) // batch) * epochs
        step = 0
        for epoch in range(1, epochs + 1):
            self.model.train()
            order = draw.permutation(len(rows)).tolist()
            for start in range(0, len(order), batch):
                for group in optimizer.param_groups:
                    group["lr"] = rate * pace((step + 0.5) / updates, recipe)
                self._update([row for at in order[start : start + batch] if (row := rows[at]) is not None], optimizer)
                step += 1
            self.model.eval()
            look(epoch)

    def _update(self, rows: Sequence[Encoded], optimizer: torch.optim.Optimizer) -> None:
        numbered = [Row(at, row) for at, row in enumerate(rows)]
        lengths = [len(row.ids) for row in rows]
        size = max(max(lengths), min(_PACKED, sum(lengths)))
        packed = list(pack(lambda epoch, first: iter(numbered), size, splits=False, pad=self.encoder.pad, epochs=1))
        count = sum(int((block.targets != IGNORED).sum()) for block in packed)
        for block in packed:
            with self._setting.mixed():
                loss = loss_sum(self.model, stacked([block], self._setting.device)) / count
            loss.backward()
        nn.utils.clip_grad_norm_(list(self.model.parameters()), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def says(self, questions: Sequence[str], answers: Sequence[str]) -> Said:
        """Greedy answers, up to the end of their line, held against the right ones."""
        head, start = parted(TEMPLATE)[0], np.array(self.encoder.start, np.int64)
        asked = [np.concatenate([start, self.encoder.ids(head.replace("{prompt}", one))]) for one in questions]
        sampling = Sampling(temperature=0.0, max_tokens=_ANSWER, batch=_ROWS[self._setting.device.type])
        with self._setting.mixed():
            written = self._writer.write(asked, sampling, 0)
        texts = [self.encoder.tokenizer.decode(ids.tolist()).strip().split("\n", 1)[0].strip() for ids in written]
        return Said(texts, answers)

    def fitted(self, questions: Sequence[str], answers: Sequence[str]) -> Floats:
        """float64[n], 0 or 1: whether the answer and its end are what the model finds likeliest, token by token."""
        return self._read(questions, answers)[1]

    def probability(
        self, questions: Sequence[str], answers: Sequence[str], *, before: str = "", ends: bool = True
    ) -> Floats:
        """float64[n]: of each answer behind its question, exemplars before it; with `ends`, of its end mark, too."""
        return np.exp(self._read(questions, answers, before=before, ends=ends)[0])

    def _read(
        self, questions: Sequence[str], answers: Sequence[str], *, before: str = "", ends: bool = True
    ) -> tuple[Floats, Floats]:
        """Log probability of answers, float64[n], and whether each token of them is the likeliest, float64[n]."""
        head, space, tail = parted(TEMPLATE)
        log_p, likeliest = np.zeros(len(questions)), np.ones(len(questions))
        rows = [
            self._row(before + head.replace("{prompt}", question), space + answer + tail, ends=ends)
            for question, answer in zip(questions, answers, strict=True)
        ]
        for numbers, block in self._padded(rows):
            targets, learnt = block.targets, block.targets != IGNORED
            with torch.inference_mode(), self._setting.mixed():
                logits = self.model.head(self.model.hidden(block)[learnt]).float()  # [N, V]
            shares, wanted = logits.log_softmax(-1), targets[learnt]
            row = np.repeat(numbers, learnt.sum(1).cpu().numpy())
            found = shares.gather(1, wanted[:, None])[:, 0].double().cpu().numpy()
            np.add.at(log_p, row, found)
            np.minimum.at(likeliest, row, (shares.argmax(-1) == wanted).double().cpu().numpy())
        return log_p, likeliest

    def _row(self, head: str, answer: str, *, ends: bool) -> Encoded:
        encoded = self.encoder.encode([Piece(head, False), Piece(answer)])
        assert encoded is not None
        return encoded if ends else Encoded(encoded.ids[:-1], encoded.learnt[:-1])

    def _padded(self, rows: Sequence[Encoded]) -> Iterator[tuple[npt.NDArray[np.int64], TokenBlock]]:
        """Rows of about one length, one a block, with their numbers."""
        order, size = np.argsort([len(row.ids) for row in rows], kind="stable"), _ROWS[self._setting.device.type]
        for start in range(0, len(rows), size):
            numbers = order[start : start + size]
            width = max(len(rows[at].ids) for at in numbers)
            blocks = [alone(rows[at], width, self.encoder.pad) for at in numbers.tolist()]
            yield numbers, stacked(blocks, self._setting.device)


@lru_cache(maxsize=1)
def loaded(name: str, device: Device) -> Tuned:
    """The model of a folder, GGUF file or hub id.

    Raises:
        SignalError: no such model or device. ConfigError: one that lets packed documents see each other.
    """
    target = torch_device(device, "--device")
    folder: Path = base_folder(name)
    load = quiet_transformers().AutoModelForCausalLM.from_pretrained
    model = Pretrained(from_pretrained(load, folder, torch.float32, f"--model {name}"))
    refuse_mixing(model, f"--model {name}")
    return Tuned(model, encoder_of(folder), Setting(target, bfloat16=target.type == "cuda"))
