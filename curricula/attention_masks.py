"""Which positions of packed blocks see which, in the form that a model's attention takes; and attention by blocks.

On a GPU the positions that see each other are kept as a `BlockMask`: its kernel (FlexAttention, Dong et al. 2024, arXiv
2412.05496) passes over tiles in which no position sees any, where a mask of booleans has all of them computed.

B blocks, T tokens, S source tokens, H heads, E width of a head
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from detectors.errors import MissingExtraError

try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F  # noqa: N812 - as everybody calls it
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["attend", "causal_mask", "cross_mask", "document_blocks", "mask_of", "takes_blocks", "with_blocks"]

_TILE = 128
_LEAST_WIDTH = 16
FLEX = "flex_attention"


def causal_mask(document: Tensor) -> Tensor:
    """bool[B, 1, T, T]: a position sees itself and what came before it in its own document."""
    same = document[:, :, None] == document[:, None, :]
    return (same & torch.ones_like(same[0]).tril())[:, None]


def cross_mask(document: Tensor, source: Tensor) -> Tensor:
    """bool[B, 1, T, S]: a target position sees the source of its own document; padding sees padding."""
    return (document[:, :, None] == source[:, None, :])[:, None]


def takes_blocks(document: Tensor, width: int) -> bool:
    """Whether attention by blocks can be used: on a GPU, in whole tiles, with heads that are wide enough."""
    return document.is_cuda and document.shape[1] % _TILE == 0 and width >= _LEAST_WIDTH


def document_blocks(document: Tensor, *, window: int = 0) -> BlockMask:
    """What `causal_mask` says, by tiles; with a window, no further back than that."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(block: Tensor, head: Tensor, at: Tensor, other: Tensor) -> Tensor:
        found = (at >= other) & (document[block, at] == document[block, other])
        return found & (at - other < window) if window else found

    blocks, tokens = document.shape
    return create_block_mask(sees, blocks, None, tokens, tokens, device=str(document.device))


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    found: Callable[..., Tensor] = torch.compile(flex_attention)
    return found


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | BlockMask | None) -> Tensor:
    """Attention, [B, H, T, E]; keys and values may have fewer heads, which groups share. No mask means causal."""
    shared = q.shape[1] != k.shape[1]
    if mask is None or isinstance(mask, Tensor):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=shared)
    from torch.nn.attention.flex_attention import flex_attention

    group = q.shape[1] // k.shape[1]
    if group & (group - 1):  # its kernel wants a power of two
        k, v, shared = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), False
    alone = q.is_cuda and not torch.compiler.is_compiling()
    found: Tensor = (_compiled() if alone else flex_attention)(q, k, v, block_mask=mask, enable_gqa=shared)
    return found


def with_blocks(lm: PreTrainedModel) -> None:
    """Let a model of transformers attend by blocks, where it can: without dropout and special scores."""
    text = lm.config.get_text_config()
    plain = getattr(text, "attention_dropout", None) == 0 and not getattr(text, "attn_logit_softcapping", None)
    if plain and getattr(lm, "_supports_flex_attn", False):
        lm.set_attn_implementation(FLEX)


def mask_of(
    config: PretrainedConfig, document: Tensor, position: Tensor
) -> Tensor | BlockMask | dict[str, Tensor | BlockMask]:
    """The causal mask of packed documents as a model of transformers wants it.

    Attention of torch takes booleans, that by blocks a `BlockMask`; any other adds the mask to its scores, to which
    True would be a one. Layers with a sliding window see no further back than that.

    Args:
        config: of the model.
        document: int64[B, T].
        position: int64[B, T].
    """
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    window = getattr(text, "sliding_window", None)
    if not window or document.shape[1] <= window or kinds == {"full_attention"}:
        return _taken(text, document, position, 0)
    if kinds == {"full_attention", "sliding_attention"}:
        return {
            "full_attention": _taken(text, document, position, 0),
            "sliding_attention": _taken(text, document, position, window),
        }
    return _taken(text, document, position, window)


def _taken(config: PretrainedConfig, document: Tensor, position: Tensor, window: int) -> Tensor | BlockMask:
    if config._attn_implementation == FLEX:
        return document_blocks(document, window=window)
    mask = causal_mask(document)
    if window:
        mask = mask & (position[:, :, None] - position[:, None, :] < window)[:, None]
    if config._attn_implementation == "sdpa":
        return mask
    return torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, torch.finfo(torch.float32).min)
