"""A model that writes: after prompts by a causal model of transformers, or targets of sources by an encoder-decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curricula.encoding import TEMPLATE, Encoder, encoder_of
from curricula.model import SCRATCH, Decoder, EncoderDecoder, load_scratch
from curricula.packing import SourceBlock, TokenBlock
from detectors.errors import ConfigError, InputError, MissingExtraError
from detectors.hub import digest_of, located
from detectors.pretrained import from_pretrained, quiet_transformers, torch_device, torch_dtype, unpacked
from detectors.protocols import Device

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["Sampling", "Writer", "next_tokens", "open_writer", "positions_of"]

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn, and of what rows.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_k: draw from so many of the likeliest tokens; 0 from all.
        top_p: draw from the fewest that have this share of probability (Holtzman et al. 2020, arXiv 1904.09751).
        max_tokens: of what is written.
        prefix: tokens of a plain text that the model goes on from.
        batch: rows that are written together.
        part: rows of an output file; a run that was killed goes on after the last whole one.
        template: of questions with answers.
        seed: of draws; what a row gets depends on its part, not on the run.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int = 128
    prefix: int = 16
    batch: int = 32
    part: int = 1024
    template: str = TEMPLATE
    seed: int = 17

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0:
            raise ConfigError(
                f"sampling: temperature {self.temperature}, top_k {self.top_k}, top_p {self.top_p}. "
                "Set them to 0 or more, and top_p to more than 0 and at most 1."
            )
        for name in ("max_tokens", "prefix", "batch", "part"):
            if getattr(self, name) < 1:
                raise ConfigError(f"sampling: {name} is {getattr(self, name)}. Set it to 1 or more.")


def positions_of(config: PretrainedConfig) -> int | None:
    """How many positions a model has; None where there is no end to them, as with rotary ones."""
    text = config.get_text_config()
    most: int | None = getattr(text, "max_position_embeddings", None)
    return most if most and getattr(text, "rope_parameters", None) is None else None


def next_tokens(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """int64[B]: one token for each row of logits, [B, V]."""
    if not sampling.temperature:
        return logits.argmax(-1)
    logits = logits.float() / sampling.temperature
    if sampling.top_k:
        most = logits.topk(min(sampling.top_k, logits.shape[-1]))
        logits = torch.full_like(logits, -torch.inf).scatter(-1, most.indices, most.values)
    if sampling.top_p < 1:
        ordered, places = logits.sort(descending=True)
        shares = ordered.softmax(-1)
        # A token stays when those likelier than it have less than top_p together: the first always does.
        beyond = shares.cumsum(-1) - shares >= sampling.top_p
        logits = logits.masked_fill(beyond.scatter(-1, places, beyond), -torch.inf)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@dataclass(frozen=True, eq=False)
class Writer:
    """A model that writes.

    Attributes:
        model: decoder of transformers, or an encoder-decoder of ours.
        encoder: its tokenizer.
        name: goes into the column `generator`.
        device: where it is.
        digest: of its files.
    """

    model: PreTrainedModel | EncoderDecoder
    encoder: Encoder
    name: str
    device: torch.device
    digest: str

    def write(self, prompts: Sequence[I64], sampling: Sampling, seed: int) -> list[I64]:
        """What the model writes after each prompt, without its end mark."""
        with torch.inference_mode():
            return self._write(prompts, sampling, seed)

    def _write(self, prompts: Sequence[I64], sampling: Sampling, seed: int) -> list[I64]:
        generator = torch.Generator(self.device).manual_seed(seed)
        found: list[I64] = [np.zeros(0, np.int64)] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
        for start in range(0, len(order), sampling.batch):
            rows = order[start : start + sampling.batch]
            step = self._pairs if isinstance(self.model, EncoderDecoder) else self._continued
            for row, ids in zip(rows, step([prompts[row] for row in rows], sampling, generator), strict=True):
                found[row] = ids
        return found

    def _continued(self, prompts: Sequence[I64], sampling: Sampling, generator: torch.Generator) -> list[I64]:
        """Go on from prompts, padded on the left, with cached keys and values."""
        assert not isinstance(self.model, EncoderDecoder)
        width = max(map(len, prompts))
        self._refuse_beyond(width + sampling.max_tokens)
        ids = torch.full((len(prompts), width), self.encoder.pad, device=self.device)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.from_numpy(prompt)
            mask[row, width - len(prompt) :] = 1
        cache, fed = None, ids
        written: list[Tensor] = []
        done = torch.zeros(len(prompts), dtype=torch.bool, device=self.device)
        for _ in range(sampling.max_tokens):
            position = (mask.cumsum(-1) - 1).clamp(min=0)[:, -fed.shape[1] :]
            out = self.model(
                input_ids=fed, attention_mask=mask, position_ids=position, past_key_values=cache, logits_to_keep=1
            )
            cache = out.past_key_values
            token = next_tokens(out.logits[:, -1], sampling, generator).masked_fill(done, self.encoder.end)
            done |= token == self.encoder.end
            written.append(token)
            if bool(done.all()):
                break
            fed = token[:, None]
            mask = torch.cat([mask, torch.ones_like(fed)], 1)
        return _until(torch.stack(written, 1), self.encoder.end)

    def _refuse_beyond(self, tokens: int) -> None:
        """Raise InputError where a model has no positions for so many tokens; rotary ones have no end."""
        assert not isinstance(self.model, EncoderDecoder)
        most = positions_of(self.model.config)
        if most is not None and tokens > most + 1:  # the last token is written, and not read
            raise InputError(
                f"{self.name}: has {most} positions, and a prompt with what is to be written has {tokens}. Lower "
                "--max-tokens, or leave the longest rows out."
            )

    def _pairs(self, sources: Sequence[I64], sampling: Sampling, generator: torch.Generator) -> list[I64]:
        """Write targets of sources; the decoder reads what it has written anew at each step."""
        model = self.model
        assert isinstance(model, EncoderDecoder)
        width = max(map(len, sources))
        ids = torch.full((len(sources), width), self.encoder.pad, device=self.device)
        document = torch.full_like(ids, -1)
        for row, source in enumerate(sources):
            ids[row, : len(source)] = torch.from_numpy(source)
            document[row, : len(source)] = 0
        read = SourceBlock(ids, document, torch.arange(width, device=self.device).expand_as(ids))
        written = torch.full((len(sources), 1), self.encoder.end, device=self.device)
        memory = model.encode(TokenBlock(written, written, written, written, read, False))
        done = torch.zeros(len(sources), dtype=torch.bool, device=self.device)
        for _ in range(sampling.max_tokens):
            position = torch.arange(written.shape[1], device=self.device).expand_as(written)
            block = TokenBlock(written, written, torch.zeros_like(written), position, read, False)
            logits = model.head(model.decode(block, memory)[:, -1])
            token = next_tokens(logits, sampling, generator).masked_fill(done, self.encoder.end)
            done |= token == self.encoder.end
            written = torch.cat([written, token[:, None]], 1)
            if bool(done.all()):
                break
        return _until(written[:, 1:], self.encoder.end)


def _until(written: Tensor, end: int) -> list[I64]:
    """Each row up to its first end mark."""
    rows = written.cpu().numpy().astype(np.int64)
    return [row[: int(np.argmax(row == end))] if (row == end).any() else row for row in rows]


def open_writer(name: str, device: Device, precision: str = "auto") -> Writer:
    """The model in a folder, a GGUF file or on the hub, with its tokenizer.

    Raises:
        SignalError: no such model or device. InputError: no tokenizer.
    """
    target = torch_device(device, "--device")
    path = located(name, "MODEL")
    folder = unpacked(path, "") if path.suffix == ".gguf" else path
    encoder = encoder_of(folder)
    model: PreTrainedModel | EncoderDecoder | Decoder
    if (folder / SCRATCH).is_file() and not (folder / "config.json").is_file():
        model = load_scratch(folder)
    else:
        load = quiet_transformers().AutoModelForCausalLM.from_pretrained
        model = from_pretrained(load, folder, torch_dtype(precision, target, "--precision"), f"MODEL {name}")
    assert not isinstance(model, Decoder)
    return Writer(model.to(target).eval(), encoder, path.name, target, digest_of(folder))
