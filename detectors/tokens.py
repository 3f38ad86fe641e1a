"""Texts as token ids with the marks that a model wants around them, windows of equal size, batches of like length."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detectors.errors import MissingExtraError, SignalError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Batch", "Batching", "Tokens", "equal_spans", "read_tokenizer"]

Ids = npt.NDArray[np.int64]
_PROBE = "a"


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenizer and what belongs around its ids.

    Attributes:
        tokenizer: without truncation and padding.
        prefix: ids that go before every window, such as those of `[CLS]` or of a beginning-of-sequence mark.
        suffix: ids that go after it.
        pad: id that fills up a batch; what it is makes no difference, as it is masked.
    """

    tokenizer: Tokenizer
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, pad: int | None = None) -> Tokens:
        """Find out what a tokenizer puts around a text by its own default, once, and keep to it."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        bare = tokenizer.encode(_PROBE, add_special_tokens=False).ids
        marked = tokenizer.encode(_PROBE, add_special_tokens=True).ids
        at = next((k for k in range(len(marked) + 1) if marked[k : k + len(bare)] == bare), 0)
        return cls(tokenizer, tuple(marked[:at]), tuple(marked[at + len(bare) :]), 0 if pad is None else pad)

    @property
    def marks(self) -> int:
        """How many ids are added to each window."""
        return len(self.prefix) + len(self.suffix)

    def ids(self, text: str) -> Ids:
        """int64[t]: ids of a text, without marks."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def marked(self, ids: Ids) -> Ids:
        """int64[prefix + t + suffix]."""
        return np.concatenate([np.array(self.prefix, np.int64), ids, np.array(self.suffix, np.int64)])


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json.

    Raises:
        MissingExtraError: tokenizers is not installed. SignalError: the file cannot be read.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    if not path.is_file():
        raise SignalError(f"{path}: no such file. A model needs its tokenizer.json beside it.")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower one
        raise SignalError(f"{path}: is no tokenizer ({error}). Write it again with save_pretrained.") from error


def equal_spans(tokens: int, capacity: int) -> list[tuple[int, int]]:
    """Cut `tokens` into as few runs of at most `capacity` as there can be, whose sizes differ by at most one."""
    count = -(-tokens // capacity)
    edges = [tokens * k // count for k in range(count + 1)] if count else [0]
    return list(itertools.pairwise(edges))


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows that go through a model together.

    Attributes:
        rows: int64[b], which windows these are.
        ids: int64[b, t], filled up on the right.
        mask: int64[b, t], 1 where there is a token.
    """

    rows: npt.NDArray[np.int64]
    ids: Ids
    mask: Ids


@dataclass(frozen=True)
class Batching:
    """How windows are put together.

    Attributes:
        tokens: most tokens in a batch, padding included; 0 sends every window alone and without padding, so that its
            numbers depend on nothing but itself, to the last bit. A core gains little from larger batches.
        step: lengths are rounded up to a multiple of this.
    """

    tokens: int = 0
    step: int = 64

    def batches(self, windows: Sequence[Ids], pad: int) -> Iterator[Batch]:
        """Windows in batches of like length, the longest first."""
        if not self.tokens:
            for row, window in enumerate(windows):
                yield Batch(np.array([row]), window[None, :], np.ones((1, len(window)), np.int64))
            return
        order = sorted(range(len(windows)), key=lambda row: -len(windows[row]))
        at = 0
        while at < len(order):
            width = -(-len(windows[order[at]]) // self.step) * self.step
            rows = order[at : at + max(1, self.tokens // width)]
            ids = np.full((len(rows), width), pad, np.int64)
            mask = np.zeros((len(rows), width), np.int64)
            for place, row in enumerate(rows):
                ids[place, : len(windows[row])] = windows[row]
                mask[place, : len(windows[row])] = 1
            yield Batch(np.array(rows), ids, mask)
            at += len(rows)
