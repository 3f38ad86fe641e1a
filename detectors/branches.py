"""What follows one prompt, read as a tree: tokens that several continuations have in common go through the model once.

A node of the tree is one token, and sees the prompt and the nodes above it; all nodes that are new go through the model
together, in one row whose attention mask is the tree. Questions of one relation begin alike, answers begin alike, and
samples repeat themselves, so this is less than half of the work of reading each for itself, and nothing is padded.

Sums over a tree are made in another order than sums over its parts, so numbers agree up to float noise only (1e-6 in
float32). Where that is not good enough (bfloat16), and for models that do not take such a mask, `Rows` reads each
continuation for itself in batches of fixed shape.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from detectors.language_model import LanguageModel

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

__all__ = ["Branches", "Prefix", "Rows", "Tree", "reads_trees", "tree_agrees"]

Ids = npt.NDArray[np.int64]
_STEP = 4
_ROWS = 16
_NEW_NODES = 512
_TOLERANCE = 1e-3
_WINDOWS = ("sliding_window", "attention_chunk_size")
"""What configurations call the tokens that some layers look back on."""
_MASK_AXES = 4


@dataclass(frozen=True, eq=False)
class Prefix:
    """A prompt that the model has read.

    Attributes:
        tokens: how many.
        cache: keys and values, batch of one; never changed.
    """

    tokens: int
    cache: DynamicCache


class Branches(Protocol):
    """Continuations of one prompt.

    Attributes:
        in_steps: whether a continuation that was read can be read on at no more than what is new.
    """

    in_steps: bool

    def read(self, paths: Sequence[Ids], starts: Sequence[int]) -> list[list[int]]:
        """Read continuations, int64[t] each; of each, the places of its tokens from `starts` on.

        A place stands for what the model expects after that token.
        """
        ...

    def logits(self, places: Sequence[int]) -> torch.Tensor:
        """float32[n, vocabulary] of places; at most a few hundred at a time."""
        ...

    def fork(self) -> Branches:
        """Branches that begin as these are and grow apart from them."""
        ...


class _Hidden:
    """Rows of hidden states, or of logits where the model has no head of its own, and their logits."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._parts: list[torch.Tensor] = []

    def add(self, hidden: torch.Tensor) -> None:
        self._parts.append(hidden)

    def logits(self, places: Sequence[int]) -> torch.Tensor:
        import torch

        if len(self._parts) > 1:
            self._parts = [torch.cat(self._parts)]
        rows = self._parts[0][torch.tensor(places, device=self._parts[0].device)]
        if not self._model.has_head:
            return rows.float()
        found: torch.Tensor = self._model.model.get_output_embeddings()(rows).float()
        return found


class Tree:
    """Branches of which each token is read once. Tokens are added, never taken away."""

    in_steps = True

    def __init__(self, model: LanguageModel, prefix: Prefix) -> None:
        from transformers import DynamicCache

        self._model, self._before = model, prefix.tokens
        self._cache = DynamicCache(ddp_cache_data=[(layer.keys, layer.values) for layer in prefix.cache.layers])
        self._nodes: dict[tuple[int, int], int] = {}
        self._depths: list[int] = []
        self._above = np.zeros((0, 0), np.bool_)
        self._hidden = _Hidden(model)

    def fork(self) -> Tree:
        """See `Branches`."""
        other = copy.copy(self)
        other._cache = copy.copy(self._cache)
        other._cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        other._nodes, other._depths = dict(self._nodes), list(self._depths)
        other._hidden = _Hidden(self._model)
        other._hidden._parts = list(self._hidden._parts)
        return other

    def read(self, paths: Sequence[Ids], starts: Sequence[int]) -> list[list[int]]:
        """See `Branches`."""
        found, tokens, parents = [], [], []
        for path, start in zip(paths, starts, strict=True):
            node, places = -1, []
            for token in path.tolist():
                key = (node, token)
                if key not in self._nodes:
                    self._nodes[key] = len(self._depths)
                    self._depths.append(self._depths[node] + 1 if node >= 0 else 0)
                    tokens.append(token)
                    parents.append(node)
                node = self._nodes[key]
                places.append(node)
            found.append(places[start:])
        for at in range(0, len(tokens), _NEW_NODES):
            self._grow(tokens[at : at + _NEW_NODES], parents[at : at + _NEW_NODES])
        return found

    def logits(self, places: Sequence[int]) -> torch.Tensor:
        """See `Branches`."""
        return self._hidden.logits(places)

    def _grow(self, tokens: list[int], parents: list[int]) -> None:
        """Read new nodes, each after the one above it."""
        import torch

        old, size = len(self._above), len(self._above) + len(tokens)
        above = np.zeros((size, size), np.bool_)
        above[:old, :old] = self._above
        for node, parent in enumerate(parents, old):
            if parent >= 0:
                above[node] = above[parent]
            above[node, node] = True
        self._above = above
        model, device = self._model.model, self._model.device
        seen = np.concatenate([np.ones((len(tokens), self._before), np.bool_), above[old:]], axis=1)
        mask = torch.zeros(seen.shape, dtype=model.dtype)
        mask.masked_fill_(torch.from_numpy(~seen), torch.finfo(model.dtype).min)
        positions = self._before + np.array(self._depths[old:size], np.int64)
        hidden = _body(self._model)(
            input_ids=torch.tensor([tokens], device=device),
            attention_mask=mask[None, None].to(device),
            position_ids=torch.from_numpy(positions)[None].to(device),
            past_key_values=self._cache,
            use_cache=True,
        )[0]
        self._hidden.add(hidden[0])


class Rows:
    """Branches of which each is read for itself, in batches whose shape depends on its length alone."""

    in_steps = False

    def __init__(self, model: LanguageModel, prefix: Prefix) -> None:
        self._model, self._prefix = model, prefix
        self._hidden = _Hidden(model)
        self._size = 0

    def read(self, paths: Sequence[Ids], starts: Sequence[int]) -> list[list[int]]:
        """See `Branches`."""
        found: list[list[int]] = [[]] * len(paths)
        room = self._model.context - self._prefix.tokens
        for rows, width in _batches([len(path) for path in paths], room):
            ids = np.zeros((_ROWS, width), np.int64)
            for place, row in enumerate(rows):
                ids[place, : len(paths[row])] = paths[row]
            hidden = self._read(ids)
            for place, row in enumerate(rows):
                kept = hidden[place, starts[row] : len(paths[row])]
                self._hidden.add(kept)
                found[row] = list(range(self._size, self._size + len(kept)))
                self._size += len(kept)
        return found

    def logits(self, places: Sequence[int]) -> torch.Tensor:
        """See `Branches`."""
        return self._hidden.logits(places)

    def fork(self) -> Rows:
        """See `Branches`."""
        return Rows(self._model, self._prefix)

    def _read(self, ids: Ids) -> torch.Tensor:
        """float[batch, width, hidden or vocabulary]. What fills up a row comes last, so it disturbs nothing before."""
        import torch

        cache, device = copy.deepcopy(self._prefix.cache), self._model.device
        cache.batch_repeat_interleave(len(ids))
        positions = torch.arange(self._prefix.tokens, self._prefix.tokens + ids.shape[1], device=device)
        found: torch.Tensor = _body(self._model)(
            input_ids=torch.from_numpy(ids).to(device),
            past_key_values=cache,
            position_ids=positions[None, :].expand(len(ids), -1),
            use_cache=True,
        )[0]
        return found


def _body(model: LanguageModel) -> torch.nn.Module:
    return model.model.base_model if model.has_head else model.model


def _batches(lengths: Sequence[int], room: int) -> list[tuple[list[int], int]]:
    """Rows of like length, with the width of their batch: a multiple of 4, by length alone; no more than `room`, where
    a row fits into that, as some models have no place beyond their context."""
    order = sorted(range(len(lengths)), key=lambda row: (-(-lengths[row] // _STEP), row))
    found: list[tuple[list[int], int]] = []
    for row in order:
        width = max(lengths[row], min(-(-lengths[row] // _STEP) * _STEP, room))
        if not found or found[-1][1] != width or len(found[-1][0]) == _ROWS:
            found.append(([], width))
        found[-1][0].append(row)
    return found


def reads_trees(model: LanguageModel, prefix: Prefix, longest: int) -> bool:
    """Whether a model may read continuations of up to `longest` tokens after a prompt as a tree.

    Not in half precision, where noise moves answers; not where layers keep anything else than keys and values of all
    that came before, look back less far than that, or have a mask of their own over places in a row (GPT-Neo).
    """
    import torch

    if model.model.dtype != torch.float32:
        return False
    config = model.model.config.get_text_config()
    windows = [getattr(config, name, None) for name in _WINDOWS]
    if any(isinstance(window, int) and prefix.tokens + longest > window for window in windows):
        return False
    if any(buffer.dim() == _MASK_AXES and buffer.shape[-1] == buffer.shape[-2] > 1 for buffer in model.model.buffers()):
        return False
    layers = getattr(prefix.cache, "layers", [])
    return all(
        isinstance(getattr(layer, "keys", None), torch.Tensor) and layer.keys.shape[-2] == prefix.tokens
        for layer in layers
    )


def tree_agrees(model: LanguageModel, prefix: Prefix) -> bool:
    """Whether a tree gives what rows give, tried on three continuations that begin alike."""
    import torch

    ids = (np.arange(9, dtype=np.int64) * 11 + 3) % model.vocabulary
    paths = [ids[:6], np.concatenate([ids[:3], ids[6:]]), ids[3:]]
    if not reads_trees(model, prefix, 6):
        return False
    with torch.inference_mode():
        found = []
        for branches in (Tree, Rows):
            try:
                one = branches(model, prefix)
                places = [place for path in one.read(paths, [0] * 3) for place in path]
                found.append(one.logits(places))
            except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
                if branches is Rows:
                    raise
                return False
    return bool(torch.allclose(*found, rtol=_TOLERANCE, atol=_TOLERANCE))
