"""How fast a model trains, how much memory that takes, and what share of its device's peak it is.

FLOPs of training on a token, after Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, appendix B):

    6 for each weight that it is multiplied with      2 forward, 4 backward; 4 in all where the weight is frozen
    12 * layers * width * length                      attention: 4 forward, 8 backward, a token that it may look at

`length` is that of its own document, since documents of a block do not see each other; that a token sees only what came
before it is not taken off, as there. An embedding is looked up and costs nothing; the head counts where something is
learnt. What is computed twice to save memory is not counted. The model FLOPs utilisation (MFU) is FLOPs a second over
the peak of all devices.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curricula.model import Decoder, EncoderDecoder, Pretrained, Shape, Trainable
from curricula.packing import IGNORED

if TYPE_CHECKING:
    import torch
    from torch import nn

    from curricula.packing import Packed

__all__ = ["Meter", "Work", "peak_flops", "speed_of", "work_of"]

I64 = npt.NDArray[np.int64]
_PEAKS = (
    (r"\bB200\b", 2250e12),
    (r"\bH[12]00 NVL\b", 835e12),
    (r"\bH100 PCIe\b", 756e12),
    (r"\bG?H200\b|\bH100\b", 989e12),
    (r"\bA100\b", 312e12),
    (r"\bL40S\b", 362e12),
    (r"\bA10\b", 125e12),
    (r"\bL4\b", 121e12),
)
"""Dense bfloat16 multiplications and additions a second, by the name of the device (NVIDIA's data sheets)."""
_WARMING = 3
_ONCE, _FROZEN = 6.0, 4.0
_ATTENTION = 12.0


def peak_flops(name: str) -> float | None:
    """FLOPs a second of a device in bfloat16, by its name; None where it is not known."""
    return next((peak for pattern, peak in _PEAKS if re.search(pattern, name)), None)


@dataclass(frozen=True)
class Work:
    """FLOPs of training.

    Attributes:
        target: of weights but the head, a token.
        head: of the head, a learnt token: logits of others are not made.
        attention: a token, and a token of its document.
        source: of weights, a token that an encoder reads.
        encoder: of the encoder's attention, a token and a token of its source.
        cross: of attention to the source, a token and a token of its source.
    """

    target: float
    head: float
    attention: float
    source: float = 0.0
    encoder: float = 0.0
    cross: float = 0.0

    def of(self, blocks: Sequence[Packed]) -> float:
        """FLOPs of one update with blocks; padding is not counted."""
        total = 0.0
        for block in blocks:
            read = _lengths(block.document)
            total += self.target * read.sum() + self.attention * (read * read).sum()
            total += self.head * (block.targets != IGNORED).sum()
            if block.source is not None:
                asked = _lengths(block.source[1])
                both = min(len(read), len(asked))
                total += self.source * asked.sum() + self.encoder * (asked * asked).sum()
                total += self.cross * (read[:both] * asked[:both]).sum()
        return float(total)


def _lengths(document: I64) -> I64:
    """int64[documents]: tokens of each document of a block."""
    return np.bincount(document[document >= 0]).astype(np.int64)


def work_of(model: Trainable) -> Work | None:
    """What a model costs; None where not every weight meets every token, as in a mixture of experts."""
    if isinstance(model, Decoder):
        shape = model.shape
        body = [(name, value) for name, value in model.named_parameters() if not _is_embedding(name)]
        return Work(_of_weights(body), _of_head(shape), _ATTENTION * shape.layers * shape.width)
    if isinstance(model, EncoderDecoder):
        shape = model.shape
        named = [(name, value) for name, value in model.named_parameters() if not _is_embedding(name)]
        read = [(name, value) for name, value in named if _is_of_source(name)]
        written = [(name, value) for name, value in named if not _is_of_source(name)]
        each = _ATTENTION * shape.width
        source = _of_weights(read), each * shape.encoder_layers, each * shape.layers
        return Work(_of_weights(written), _of_head(shape), each * shape.layers, *source)
    return _of_pretrained(model) if isinstance(model, Pretrained) else None


def _is_embedding(name: str) -> bool:
    """Whether a weight of a model from scratch is its embedding, which is its head, too."""
    return name.endswith("embed_tokens.weight")


def _of_head(shape: Shape) -> float:
    return _ONCE * shape.vocabulary * shape.width


def _is_of_source(name: str) -> bool:
    """Whether a weight meets the tokens of the source."""
    return name.startswith("encoder.layers") or name.endswith(("cross_attn.k_proj.weight", "cross_attn.v_proj.weight"))


def _of_weights(named: Iterable[tuple[str, nn.Parameter]]) -> float:
    matrices = [value for _, value in named if value.dim() > 1]
    return float(sum(value.numel() * (_ONCE if value.requires_grad else _FROZEN) for value in matrices))


def _of_pretrained(model: Pretrained) -> Work | None:
    from torch import nn

    config = model.plain.config.get_text_config()
    if any(getattr(config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        return None
    layers, heads = getattr(config, "num_hidden_layers", None), getattr(config, "num_attention_heads", None)
    if not layers or not heads:
        return None
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    head = model.plain.get_output_embeddings()
    looked_up = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    apart = {id(weight) for weight in (*looked_up, *(() if head is None else (head.weight,)))}
    named = [(name, value) for name, value in model.named_parameters() if id(value) not in apart]
    last = 0.0 if head is None else _of_weights([("", head.weight)])
    body, learnt = (_of_weights(named), last) if model.has_head else (_of_weights(named) + last, 0.0)
    return Work(body, learnt, _ATTENTION * layers * width)


class Meter:
    """Times updates. The reading of rows counts, looks at development rows and the writing of states do not."""

    def __init__(self, model: Trainable, device: torch.device, *, bfloat16: bool, world: int) -> None:
        self._device = device
        self._work = work_of(model)
        self._peak = _peak_of(device) if bfloat16 else None
        self._world = world
        self._began = time.perf_counter()
        if device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(device)

    def start(self) -> None:
        """What comes from now on counts."""
        self._began = time.perf_counter()

    def stop(self, blocks: Sequence[Packed]) -> dict[str, float | None]:
        """What an update with blocks took, since the last start or stop.

        `tokens_per_s`, padding not counted; `mfu`, 0 to 1, None on a device without a known peak, in float32 or where
        the model's FLOPs are not known; `peak_memory_mb` (10^6 bytes): of tensors on a GPU, of the process else.
        """
        now = time.perf_counter()
        took, self._began = max(now - self._began, 1e-9), now
        speed = sum(block.tokens for block in blocks) / took
        mfu = None
        if self._work is not None and self._peak is not None:
            mfu = round(self._work.of(blocks) / took / (self._peak * self._world), 4)
        return {"tokens_per_s": round(speed, 1), "mfu": mfu, "peak_memory_mb": self._memory()}

    def _memory(self) -> float | None:
        if self._device.type == "cuda":
            import torch

            return round(float(torch.cuda.max_memory_allocated(self._device)) / 1e6, 1)
        return _resident_mb()


def _peak_of(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    import torch

    return peak_flops(torch.cuda.get_device_name(device))


def _resident_mb() -> float | None:
    """Peak resident memory of this process, where /proc says it. (getrusage has that of the parent at a fork.)"""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
    return round(int(found[1]) * 1024 / 1e6, 1) if found else None


def speed_of(metrics: Path) -> dict[str, float | None]:
    """Of a run's updates, the first three left out where there are more: median speed and MFU, and the most memory."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    updates = [line for line in lines if "loss" in line]
    kept = updates[_WARMING:] or updates

    def known(name: str) -> list[float]:
        return [line[name] for line in kept if line.get(name) is not None]

    speeds, shares, memory = (known(name) for name in ("tokens_per_s", "mfu", "peak_memory_mb"))
    return {
        "tokens_per_s": round(median(speeds), 1) if speeds else None,
        "mfu": round(median(shares), 4) if shares else None,
        "peak_memory_mb": max(memory) if memory else None,
    }
