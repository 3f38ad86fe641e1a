"""Several processes that train one model, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from detectors.protocols import Device

if TYPE_CHECKING:
    import torch

__all__ = ["agreed", "distributed", "first_alone", "is_first", "sum_gradients"]


@contextmanager
def distributed(device: Device) -> Iterator[int]:
    """Join the processes that torchrun started; gives the number of this one, 0 when it is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield 0
        return
    import torch
    from torch import distributed as dist

    uses_gpu = device is not Device.CPU and torch.cuda.is_available()
    if uses_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if uses_gpu else "gloo")
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def agreed(value: float, device: torch.device) -> float:
    """The value of the first process, in all of them: what decides when to stop must not differ by rounding."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return value
    import torch
    from torch import distributed as dist

    shared = torch.tensor(value, dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def sum_gradients(parameters: Sequence[torch.Tensor]) -> None:
    """Add up the gradients of all processes, in one message; a process without blocks adds nothing."""
    import torch
    from torch import distributed as dist

    flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).reshape(-1) for each in parameters])
    dist.all_reduce(flat)
    for each, part in zip(parameters, flat.split([each.numel() for each in parameters]), strict=True):
        each.grad = part.view_as(each)


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process runs the block before all others do."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    from torch import distributed as dist

    if not is_first():
        dist.barrier()
    yield
    if is_first():
        dist.barrier()
