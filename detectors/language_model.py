"""Loads a causal language model and scores token sequences with it, never holding logits of a whole batch.

    model = load_language_model("path/to/model", Device.CPU)
    for scores in model.score([model.tokens.marked(model.tokens.ids(text)) for text in texts], Batching()):
        print(scores.log_p.mean(), scores.rank, scores.entropy)

The vocabulary pass is half the cost of scoring and all of its memory, so the head runs over a few hundred positions at
a time, and only statistics of each position are kept. That needs the head apart from the body; whether both together
give what the model itself gives is tried once when it is loaded. Where they do not (a model that caps or scales its
logits), logits come from the model, one window at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detectors.hub import located
from detectors.pretrained import (
    context_of,
    from_pretrained,
    pretrained_tokens,
    quiet_transformers,
    torch_device,
    torch_dtype,
    unpacked,
)
from detectors.protocols import Device
from detectors.tokens import Batching, Tokens

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["LanguageModel", "Scores", "load_language_model"]

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_CHUNK_POSITIONS = 128
_PROBE_TOKENS = 6
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model expected at each position of one sequence, about the token that then came: t - 1 of t tokens.

    Natural logarithms. Fields that were not asked for are empty.

    Attributes:
        log_p: float32[t - 1], log probability of the token that came.
        rank: int64[t - 1], 1 where no token is likelier.
        mean: float32[t - 1], mean of log p when the token is drawn from the sampling model, which is this model (then
            it is minus the entropy) or another.
        variance: float32[t - 1], its variance.
    """

    log_p: Floats
    rank: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    mean: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    variance: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def entropy(self) -> Floats:
        """float32[t - 1], of what the model expected; the cross-entropy where another model was the sampler."""
        return -self.mean


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal model ready to score.

    Attributes:
        name: of the folder or file.
        model: in inference mode, on `device`.
        tokens: its tokenizer.
        context: most tokens of a sequence.
        vocabulary: number of logits.
        device: where it is.
        precision: of its weights.
        has_head: whether head and body work apart.
    """

    name: str
    model: PreTrainedModel
    tokens: Tokens
    context: int
    vocabulary: int
    device: torch.device
    precision: str
    has_head: bool

    def score(
        self,
        sequences: Sequence[Ids],
        batching: Batching,
        *,
        sampler: LanguageModel | None = None,
        ranks: bool = True,
        moments: bool = True,
    ) -> list[Scores]:
        """Score token sequences, each at most `context` long, with its marks.

        Args:
            sequences: int64[t] each.
            batching: how they go through the model; alone, a sequence has the same numbers to the last bit in whatever
                company it comes, and in batches up to float noise.
            sampler: whose expectations `mean` and `variance` are taken under; None is this model. It must read the
                same tokens.
            ranks: whether ranks are wanted.
            moments: whether means and variances are wanted.
        """
        import torch

        found: list[Scores | None] = [None] * len(sequences)
        with torch.inference_mode():
            for batch in batching.batches(sequences, self.tokens.pad):
                ids, mask = (torch.from_numpy(part).to(self.device) for part in (batch.ids, batch.mask))
                streams = [self._logits(ids, mask)]
                if sampler is not None and moments:
                    streams.append(sampler._logits(ids.to(sampler.device), mask.to(sampler.device)))
                chunks: dict[int, list[_Chunk]] = {place: [] for place in range(len(batch.rows))}
                for (place, start, logits), *others in zip(*streams, strict=True):
                    targets = ids[place, start + 1 : start + 1 + len(logits)]
                    other = others[0][2].to(logits.device) if others else None
                    chunks[place].append(_statistics(logits, targets, other, ranks=ranks, moments=moments))
                for place, row in enumerate(batch.rows.tolist()):
                    found[row] = _joined(chunks[place], len(sequences[row]) - 1)
        return [scores for scores in found if scores is not None]

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor) -> Iterator[tuple[int, int, torch.Tensor]]:
        """(row, first position, float32[positions, vocabulary]), a few positions of one row at a time."""
        hidden = (
            self.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)[0] if self.has_head else None
        )
        head = self.model.get_output_embeddings()
        for row in range(len(ids)):
            if hidden is None:
                whole = self.model(input_ids=ids[row : row + 1], attention_mask=mask[row : row + 1], use_cache=False)
                part = whole.logits[0]
            else:
                part = hidden[row]
            for start in range(0, ids.shape[1] - 1, _CHUNK_POSITIONS):
                chunk = part[start : min(start + _CHUNK_POSITIONS, ids.shape[1] - 1)]
                yield row, start, (head(chunk) if hidden is not None else chunk).float()


@dataclass(frozen=True, eq=False)
class _Chunk:
    log_p: Floats
    rank: Ids
    mean: Floats
    variance: Floats


def _statistics(
    logits: torch.Tensor, targets: torch.Tensor, sampler: torch.Tensor | None, *, ranks: bool, moments: bool
) -> _Chunk:
    """Statistics of `logits`, float32[n, vocabulary], and the tokens that came, int64[n]."""
    import torch

    chosen = logits.gather(1, targets[:, None])
    none = logits.new_zeros(0)
    rank = 1 + (logits > chosen).sum(1) if ranks else none.long()
    normal = torch.logsumexp(logits, 1, keepdim=True)
    mean = variance = none
    if moments:
        log_p = logits - normal
        weight = log_p.exp() if sampler is None else torch.softmax(sampler, 1)
        mean = (weight * log_p).sum(1)
        variance = (weight * (log_p - mean[:, None]).square()).sum(1)
    parts = (part.cpu().numpy() for part in ((chosen - normal)[:, 0], rank, mean, variance))
    return _Chunk(*parts)


def _joined(chunks: Sequence[_Chunk], length: int) -> Scores:
    """Chunks of one sequence, without what was padding."""
    if not chunks or length < 1:
        return Scores(np.zeros(0, np.float32))
    columns = ([getattr(chunk, name) for chunk in chunks] for name in ("log_p", "rank", "mean", "variance"))
    return Scores(*(np.concatenate(column)[:length] for column in columns))


def load_language_model(
    name: str, device: Device, *, precision: str = "auto", setting: str = "model", digest: str = ""
) -> LanguageModel:
    """Load a causal model from a folder, a GGUF file or the hub; see `detectors.hub` for when that needs the network.

    A GGUF file is unpacked once into the user's cache folder (`$XDG_CACHE_HOME/foxing`), as float32. Its weights are
    those of the quantised file, not of the model that it was made of.

    Args:
        name: folder, file or hub id.
        device: `AUTO` takes a GPU where there is one.
        precision: `float32`, `bfloat16`, `float16`, or `auto`: float32 on a CPU and bfloat16 on a GPU.
        setting: what `name` was given as, for messages.
        digest: of a GGUF file, if it is known.

    Raises:
        SignalError: no such model, a model of another kind, no such device or precision.
        MissingExtraError: torch or transformers are not installed.
    """
    target = torch_device(device, setting)
    wanted = torch_dtype(precision, target, setting)
    transformers = quiet_transformers()
    path = located(name, setting)
    folder = unpacked(path, digest) if path.suffix == ".gguf" else path
    model = from_pretrained(transformers.AutoModelForCausalLM.from_pretrained, folder, wanted, f"{setting} = {name!r}")
    model = model.to(target).eval()
    tokens = pretrained_tokens(folder, f"{setting} = {name!r}")
    vocabulary = int(model.get_output_embeddings().weight.shape[0])
    has_head = _head_works(model, target, vocabulary)
    context = context_of(model.config.get_text_config(), None)
    return LanguageModel(path.name, model, tokens, context, vocabulary, target, str(wanted)[6:], has_head)


def _head_works(model: PreTrainedModel, device: torch.device, vocabulary: int) -> bool:
    """Whether the output embeddings over what the body gives are the model's logits."""
    import torch

    ids = (torch.arange(_PROBE_TOKENS, device=device) * 7 % vocabulary)[None, :]
    with torch.inference_mode():
        whole = model(input_ids=ids, use_cache=False).logits.float()
        hidden = model.base_model(input_ids=ids, use_cache=False)[0]
        head = model.get_output_embeddings()
        if head is None or hidden.shape[-1] != head.weight.shape[-1]:
            return False
        apart = head(hidden).float()
    return bool(torch.allclose(apart, whole, rtol=_TOLERANCE, atol=_TOLERANCE))
