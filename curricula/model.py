"""Models to train: a decoder and an encoder-decoder from scratch, and any causal model of transformers, full or LoRA.

All read packed blocks: tokens of several documents in one row, kept apart by `document`, each with its own positions.
The decoder has the architecture and the weight names of Llama, so what is trained here is loaded by transformers.

    B blocks, T tokens, S source tokens, D width, H heads, K key-value heads, E width of a head
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from curricula.attention_masks import attend, causal_mask, cross_mask, document_blocks, mask_of, takes_blocks
from detectors.errors import ConfigError, InputError, MissingExtraError

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F  # noqa: N812 - as everybody calls it
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import PreTrainedModel

    from curricula.packing import TokenBlock

__all__ = ["Decoder", "EncoderDecoder", "Pretrained", "Shape", "Trainable", "load_scratch", "save_scratch"]

SCRATCH = "foxing_model.json"
_PROBE = 6
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Shape:
    """Size of a model from scratch.

    Attributes:
        vocabulary: number of token ids.
        width: of the residual stream.
        layers: of the decoder.
        heads: of attention; `width` is a multiple of it.
        kv_heads: key-value heads, which groups of heads share.
        hidden: width inside a feed-forward layer.
        context: most tokens of a block.
        encoder_layers: 0 makes a decoder; more, an encoder-decoder.
        rope_base: of rotary positions (Su et al. 2021, arXiv 2104.09864).
        eps: of RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467).
    """

    vocabulary: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 4
    hidden: int = 704
    context: int = 1024
    encoder_layers: int = 0
    rope_base: float = 10_000.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "layers", "heads", "kv_heads", "hidden", "context"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model: {name} is {getattr(self, name)}. Set it to 1 or more.")
        if self.encoder_layers < 0:
            raise ConfigError(f"model: encoder_layers is {self.encoder_layers}. Set it to 0 or more.")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ConfigError(
                f"model: width {self.width} in {self.heads} heads leaves no even width for each. Set width to a "
                f"multiple of {2 * self.heads}."
            )
        if self.heads % self.kv_heads:
            raise ConfigError(f"model: {self.heads} heads cannot share {self.kv_heads}. Set kv_heads to a divisor.")


class Trainable(Protocol):
    """What the trainer wants of a model, which is an `nn.Module` besides."""

    def hidden(self, block: TokenBlock) -> Tensor:
        """[B, T, D]: what the model makes of each position, before its head."""
        ...

    def head(self, hidden: Tensor) -> Tensor:
        """[N, vocabulary]: logits of chosen positions, [N, D]."""
        ...


class RMSNorm(nn.Module):
    """x / rms(x), scaled; the mean square is taken in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]"""
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype)


def rotary(position: Tensor, width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine, [B, 1, T, E] float32, of positions [B, T]."""
    rate = base ** (-torch.arange(0, width, 2, device=position.device, dtype=torch.float32) / width)
    angle = (position[..., None].float() * rate).repeat(1, 1, 2)[:, None]  # [B, 1, T, E]
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn [B, H, T, E] by its positions, halves as pairs (the layout of Llama's weights)."""
    first, second = x.chunk(2, -1)
    return (x * turn[0] + torch.cat([-second, first], -1) * turn[1]).to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention, to its own stream or, given `memory`, to another."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.each = shape.heads, shape.kv_heads, shape.width // shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * self.each, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * self.each, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | BlockMask | None,
        turn: tuple[Tensor, Tensor] | None,
        memory: Tensor | None = None,
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]; no mask means causal. `turn` is None where positions do not count."""
        seen = x if memory is None else memory
        q = self._split(self.q_proj(x), self.heads)  # [B, H, T, E]
        k, v = self._split(self.k_proj(seen), self.kv_heads), self._split(self.v_proj(seen), self.kv_heads)
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        y = attend(q, k, v, mask)
        return cast(Tensor, self.o_proj(y.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor, heads: int) -> Tensor:
        return x.unflatten(-1, (heads, self.each)).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]"""
        return cast(Tensor, self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x)))


class Layer(nn.Module):
    """Attention and feed-forward, each behind a norm and added to the stream; between them, where asked, a look at the
    source."""

    def __init__(self, shape: Shape, *, crosses: bool = False) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width, shape.eps)
        self.self_attn = Attention(shape)
        if crosses:
            self.cross_layernorm = RMSNorm(shape.width, shape.eps)
            self.cross_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.eps)
        self.mlp = FeedForward(shape)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | BlockMask | None,
        turn: tuple[Tensor, Tensor],
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]"""
        x = x + self.self_attn(self.input_layernorm(x), mask, turn)
        if memory is not None:
            x = x + self.cross_attn(self.cross_layernorm(x), memory_mask, None, memory)
        return cast(Tensor, x + self.mlp(self.post_attention_layernorm(x)))


class Stack(nn.Module):
    """Embedding, layers and the last norm."""

    def __init__(self, shape: Shape, layers: int, *, crosses: bool = False, embeds: bool = True) -> None:
        super().__init__()
        self.shape = shape
        if embeds:
            self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, crosses=crosses) for _ in range(layers))
        self.norm = RMSNorm(shape.width, shape.eps)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        mask: Tensor | BlockMask | None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """Embedded tokens [B, T, D] -> [B, T, D]"""
        turn = rotary(position, self.shape.width // self.shape.heads, self.shape.rope_base)
        for layer in self.layers:
            x = layer(x, mask, turn, memory, memory_mask)
        return cast(Tensor, self.norm(x))


def _start(module: nn.Module, layers: int) -> None:
    """Normal weights of deviation .02, those that write to the stream smaller by sqrt(2 layers) (GPT-2)."""
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if writes else 0.02)


class Decoder(nn.Module):
    """A causal decoder; input and output embeddings are one.

    Attributes:
        shape: of it.
        by_blocks: whether packed documents are attended to by blocks on a GPU (`curricula.attention_masks`).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.by_blocks = True
        self.model = Stack(shape, shape.layers)
        _start(self, shape.layers)

    def hidden(self, block: TokenBlock) -> Tensor:
        """[B, T, D]"""
        mask = None if block.is_plain else self._mask(block.document)
        return cast(Tensor, self.model(self.model.embed_tokens(block.ids), block.position, mask))

    def _mask(self, document: Tensor) -> Tensor | BlockMask:
        by_blocks = self.by_blocks and takes_blocks(document, self.shape.width // self.shape.heads)
        return document_blocks(document) if by_blocks else causal_mask(document)

    def head(self, hidden: Tensor) -> Tensor:
        """[N, D] -> [N, vocabulary]"""
        return F.linear(hidden, self.model.embed_tokens.weight)


class EncoderDecoder(nn.Module):
    """An encoder of the source, a decoder of the target that looks at it, one embedding for all (Vaswani et al. 2017,
    arXiv 1706.03762, with norms in front and rotary positions)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Stack(shape, shape.encoder_layers)
        self.decoder = Stack(shape, shape.layers, crosses=True, embeds=False)
        _start(self, max(shape.layers, shape.encoder_layers))

    def encode(self, block: TokenBlock) -> Tensor:
        """[B, S, D]"""
        source = block.source
        if source is None:
            raise InputError("the model reads pairs of source and target. Give data with src and tgt columns.")
        same = (source.document[:, :, None] == source.document[:, None, :])[:, None]
        return cast(Tensor, self.encoder(self.encoder.embed_tokens(source.ids), source.position, same))

    def decode(self, block: TokenBlock, memory: Tensor) -> Tensor:
        """[B, T, D], given what `encode` made of the source."""
        assert block.source is not None
        seen = cross_mask(block.document, block.source.document)
        tokens = self.encoder.embed_tokens(block.ids)
        return cast(Tensor, self.decoder(tokens, block.position, causal_mask(block.document), memory, seen))

    def hidden(self, block: TokenBlock) -> Tensor:
        """[B, T, D]"""
        return self.decode(block, self.encode(block))

    def head(self, hidden: Tensor) -> Tensor:
        """[N, D] -> [N, vocabulary]"""
        return F.linear(hidden, self.encoder.embed_tokens.weight)


class Pretrained(nn.Module):
    """A causal model of transformers; with LoRA, low-rank updates are all that is trained."""

    def __init__(self, lm: PreTrainedModel, *, lora_rank: int = 0) -> None:
        super().__init__()
        if lora_rank:
            lm = _with_lora(lm, lora_rank)
        self.lm = lm
        plain = self.plain
        self._body, self._out = plain.base_model, plain.get_output_embeddings()
        self.has_head = self._out is not None and self._comes_apart()

    @property
    def plain(self) -> PreTrainedModel:
        """The model itself; updates of low rank sit in its layers."""
        return self.lm.get_base_model() if hasattr(self.lm, "get_base_model") else self.lm

    def _comes_apart(self) -> bool:
        """Whether body and head, one after the other, give the logits of the model (some cap or scale them)."""
        device = next(self.lm.parameters()).device
        ids = torch.arange(1, 1 + _PROBE, device=device)[None] % self.plain.config.get_text_config().vocab_size
        with torch.no_grad():
            whole = self.plain(input_ids=ids, use_cache=False).logits
            apart = self._out(self._body(input_ids=ids, use_cache=False)[0])
        return bool((whole.float() - apart.float()).abs().max() <= _TOLERANCE)

    def hidden(self, block: TokenBlock) -> Tensor:
        """[B, T, D]; logits [B, T, vocabulary] where the model does not come apart."""
        settings: dict[str, object] = {"position_ids": block.position, "use_cache": False}
        if not block.is_plain:
            settings["attention_mask"] = mask_of(self.plain.config, block.document, block.position)
        if self.has_head:
            return cast(Tensor, self._body(input_ids=block.ids, **settings)[0])
        return cast(Tensor, self.plain(input_ids=block.ids, **settings).logits)

    def head(self, hidden: Tensor) -> Tensor:
        """[N, D] -> [N, vocabulary]"""
        return cast(Tensor, self._out(hidden)) if self.has_head else hidden

    def merged(self) -> PreTrainedModel:
        """The model with its low-rank updates added in; this one is spent then."""
        return cast("PreTrainedModel", self.lm.merge_and_unload()) if hasattr(self.lm, "merge_and_unload") else self.lm


def _with_lora(lm: PreTrainedModel, rank: int) -> PreTrainedModel:
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "train") from error
    settings = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM, r=rank, lora_alpha=2 * rank, target_modules="all-linear"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5 by an old name
        return cast("PreTrainedModel", peft.get_peft_model(lm, settings))


def _llama(shape: Shape) -> dict[str, object]:
    """The configuration by which transformers loads a decoder from scratch."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.hidden,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_base,
        "rms_norm_eps": shape.eps,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }


def save_scratch(model: Decoder | EncoderDecoder, folder: Path) -> None:
    """Write model.safetensors and its shape; a decoder's folder is one of transformers, too."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / SCRATCH).write_text(json.dumps(asdict(model.shape), indent=1) + "\n")
    if isinstance(model, Decoder):
        (folder / "config.json").write_text(json.dumps(_llama(model.shape), indent=1) + "\n")


def load_scratch(folder: Path) -> Decoder | EncoderDecoder:
    """Read what `save_scratch` wrote.

    Raises:
        InputError: no such model there.
    """
    from safetensors.torch import load_file

    try:
        shape = Shape(**json.loads((folder / SCRATCH).read_text()))
        model = EncoderDecoder(shape) if shape.encoder_layers else Decoder(shape)
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise InputError(f"{folder}: holds no model that foxing trained from scratch ({line}).") from error
    return model
