"""Packs rows into blocks of a fixed number of tokens, in their order, with the place in the stream where each ends.

Documents share a block and do not see each other: `document` numbers them, positions count from each one's start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curricula.encoding import Encoded
from detectors.errors import ConfigError, MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IGNORED", "START", "Packed", "Place", "Row", "SourceBlock", "TokenBlock", "alone", "cut", "pack", "stacked"]

I64 = npt.NDArray[np.int64]
IGNORED = -100
_PADDING = -1


@dataclass(frozen=True, order=True)
class Place:
    """Where in a stream: everything before is done.

    Attributes:
        epoch: passes over the rows that are done.
        row: rows of this pass that are done.
        token: tokens of the next row that are done.
    """

    epoch: int = 0
    row: int = 0
    token: int = 0


START = Place()


@dataclass(frozen=True, eq=False)
class Row:
    """An encoded row and its number in the pass; None where a row has nothing to learn."""

    number: int
    encoded: Encoded | None


@dataclass(frozen=True, eq=False)
class Packed:
    """One block, not yet a tensor.

    Attributes:
        ids: int64[T].
        targets: int64[T], the token that follows, `IGNORED` where it is not learnt.
        document: int64[T], -1 in padding.
        position: int64[T], from the start of each document, or of the part of it that is here.
        source: ids, document and position that an encoder reads; None for a decoder.
        after: where the next block begins.
        documents: rows that end in this block.
        is_cut: a budget of tokens ended in it.
    """

    ids: I64
    targets: I64
    document: I64
    position: I64
    source: tuple[I64, I64, I64] | None
    after: Place
    documents: int
    is_cut: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that are no padding; sources are not counted."""
        return int((self.document >= 0).sum())


@dataclass(frozen=True, eq=False)
class SourceBlock:
    """What an encoder reads: int64[B, S] each."""

    ids: Tensor
    document: Tensor
    position: Tensor


@dataclass(frozen=True, eq=False)
class TokenBlock:
    """Blocks as tensors.

    Attributes:
        ids: int64[B, T].
        targets: int64[B, T].
        document: int64[B, T], -1 in padding.
        position: int64[B, T].
        source: of an encoder-decoder.
        is_plain: each block is one document without padding, so that plain causal attention is right.
    """

    ids: Tensor
    targets: Tensor
    document: Tensor
    position: Tensor
    source: SourceBlock | None
    is_plain: bool


@dataclass
class _Filling:
    """A block being filled."""

    room: int
    source_room: int
    parts: list[tuple[I64, I64]] = field(default_factory=list)
    sources: list[I64] = field(default_factory=list)
    used: int = 0
    source_used: int = 0
    ended: int = 0

    def fits(self, tokens: int, source: int) -> bool:
        return self.used + tokens <= self.room and self.source_used + source <= self.source_room

    def add(self, ids: I64, targets: I64, source: I64 | None) -> None:
        self.parts.append((ids, targets))
        self.used += len(ids)
        if source is not None:
            self.sources.append(source)
            self.source_used += len(source)

    def block(self, after: Place, pad: int) -> Packed:
        room = np.full(self.room, pad, np.int64)
        ids, targets = room.copy(), np.full(self.room, IGNORED, np.int64)
        document, position = np.full(self.room, _PADDING, np.int64), np.arange(self.room) - self.used
        at = 0
        for number, (part, wanted) in enumerate(self.parts):
            span = slice(at, at + len(part))
            ids[span], targets[span], document[span], position[span] = part, wanted, number, np.arange(len(part))
            at += len(part)
        return Packed(ids, targets, document, position, self._source(pad), after, self.ended)

    def _source(self, pad: int) -> tuple[I64, I64, I64] | None:
        if not self.sources:
            return None
        ids = np.full(self.source_room, pad, np.int64)
        document, position = np.full(self.source_room, _PADDING, np.int64), np.arange(self.source_room)
        at = 0
        for number, part in enumerate(self.sources):
            span = slice(at, at + len(part))
            ids[span], document[span], position[span] = part, number, np.arange(len(part))
            at += len(part)
        return ids, document, position


def pack(
    read: Callable[[int, int], Iterator[Row]],
    size: int,
    *,
    splits: bool,
    pad: int,
    start: Place = Place(),
    epochs: int = 0,
) -> Iterator[Packed]:
    """Blocks of `size` tokens.

    Args:
        read: rows of a pass, given its number and the first row.
        size: tokens a block; of an encoder-decoder, as many of source beside.
        splits: True cuts a row where a block ends and goes on in the next as a document of its own, so that no room
            is left. False keeps rows whole, starts a block where one does not fit, and cuts off
            what is longer than a block; a row is left out where nothing to learn would be left of it.
        pad: id of padding.
        start: where to begin.
        epochs: passes in all; 0 has no end.

    Raises:
        ConfigError: a pass without anything to learn.
    """
    at = start
    while not epochs or at.epoch < epochs:
        found = False
        for block in _one_pass(read, size, splits, pad, at):
            found = True
            yield block
        if not found and at.row == 0 and at.token == 0:
            raise ConfigError("no row of the training data has anything to learn. Look at its columns and --text.")
        at = Place(at.epoch + 1)


def _one_pass(
    read: Callable[[int, int], Iterator[Row]], size: int, splits: bool, pad: int, start: Place
) -> Iterator[Packed]:
    filling = _Filling(size, size)
    skip, epoch = start.token, start.epoch
    full: Packed | None = None  # held back until it is known whether the pass ends with it
    for row in read(epoch, start.row):
        if row.encoded is None:
            continue
        ids, targets = row.encoded.ids, _targets(row.encoded)
        source = row.encoded.source
        if not splits:
            if len(ids) > size and (targets[:size] == IGNORED).all():
                continue
            ids, targets = ids[:size], targets[:size]
            source = None if source is None else source[:size]
            if filling.used and not filling.fits(len(ids), 0 if source is None else len(source)):
                yield filling.block(Place(epoch, row.number), pad)
                filling = _Filling(size, size)
            filling.add(ids, targets, source)
            filling.ended += 1
            continue
        while skip < len(ids):
            take = min(len(ids) - skip, filling.room - filling.used)
            filling.add(ids[skip : skip + take], targets[skip : skip + take], None)
            skip += take
            filling.ended += skip == len(ids)
            if full is not None:
                yield full
                full = None
            if filling.used == filling.room:
                whole = skip == len(ids)
                full = filling.block(Place(epoch, row.number + whole, 0 if whole else skip), pad)
                filling = _Filling(size, size)
        skip = 0
    if full is not None:
        yield full if filling.used else replace(full, after=Place(epoch + 1))
    if filling.used:
        yield filling.block(Place(epoch + 1), pad)


def _targets(row: Encoded) -> I64:
    """int64[t]: the token after each one where that is learnt; nothing follows the last."""
    following = np.append(row.ids[1:], IGNORED)
    learnt = np.append(row.learnt[1:], False)
    return np.where(learnt, following, IGNORED)


def alone(row: Encoded, size: int, pad: int) -> Packed:
    """A row in a block of its own, cut where it is longer."""
    return next(pack(lambda epoch, first: iter([Row(0, row)]), size, splits=False, pad=pad))


def cut(block: Packed, tokens: int) -> Packed:
    """The block with what is beyond its first `tokens` tokens made padding: how a budget is met to the token."""
    beyond = np.arange(len(block.ids)) >= tokens
    # The token before the cut would have to guess the first one beyond it: that token was not read.
    return replace(
        block,
        document=np.where(beyond, _PADDING, block.document),
        targets=np.where(beyond | np.append(beyond[1:], True), IGNORED, block.targets),
        documents=max(0, int(block.document[: max(1, tokens)].max())),
        is_cut=True,
    )


def stacked(blocks: Sequence[Packed], device: torch.device) -> TokenBlock:
    """Blocks as one tensor each, on a device."""

    def together(arrays: list[I64]) -> Tensor:
        tensor = torch.from_numpy(np.stack(arrays))
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    sources = [block.source for block in blocks if block.source is not None]
    source = SourceBlock(*(together([part[at] for part in sources]) for at in range(3))) if sources else None
    return TokenBlock(
        together([block.ids for block in blocks]),
        together([block.targets for block in blocks]),
        together([block.document for block in blocks]),
        together([block.position for block in blocks]),
        source,
        all((block.document == 0).all() for block in blocks),
    )
