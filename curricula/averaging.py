"""A moving average of weights, put in place of the trained ones for a while."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Swapped", "put"]


class Swapped:
    """Inside the context the averaged weights are in place of the trained ones."""

    def __init__(self, weights: dict[str, Tensor], average: dict[str, Tensor]) -> None:
        self._weights, self._average = weights, average
        self._kept: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        self._kept = {name: self._weights[name].detach().clone() for name in self._average}
        put(self._average, self._weights)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        put(self._kept, self._weights)


def put(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    """Copy tensors by name, in place."""
    import torch

    with torch.no_grad():
        for name, value in source.items():
            target[name].copy_(value)
