"""Which positions of packed blocks see which, in the form that a model's attention takes.

B blocks, T tokens, S source tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

__all__ = ["causal_mask", "cross_mask", "mask_of"]


def causal_mask(document: Tensor) -> Tensor:
    """bool[B, 1, T, T]: a position sees itself and what came before it in its own document."""
    same = document[:, :, None] == document[:, None, :]
    return (same & torch.ones_like(same[0]).tril())[:, None]


def cross_mask(document: Tensor, source: Tensor) -> Tensor:
    """bool[B, 1, T, S]: a target position sees the source of its own document; padding sees padding."""
    return (document[:, :, None] == source[:, None, :])[:, None]


def mask_of(config: PretrainedConfig, document: Tensor, position: Tensor) -> Tensor | dict[str, Tensor]:
    """The causal mask of packed documents as a model of transformers wants it.

    Attention of torch takes booleans; any other adds the mask to its scores, to which True would be a one. Layers with
    a sliding window see no further back than that.

    Args:
        config: of the model.
        document: int64[B, T].
        position: int64[B, T].
    """
    text = config.get_text_config()
    whole = causal_mask(document)
    kinds = set(getattr(text, "layer_types", None) or ())
    window = getattr(text, "sliding_window", None)
    if not window or document.shape[1] <= window or kinds == {"full_attention"}:
        return _taken(text, whole)
    near = whole & (position[:, :, None] - position[:, None, :] < window)[:, None]
    if kinds == {"full_attention", "sliding_attention"}:
        return {"full_attention": _taken(text, whole), "sliding_attention": _taken(text, near)}
    return _taken(text, near)


def _taken(config: PretrainedConfig, mask: Tensor) -> Tensor:
    if config._attn_implementation == "sdpa":
        return mask
    return torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, torch.finfo(torch.float32).min)
