"""Who is told when kernels are compiled. Costs nothing to import, so a command can ask before numba is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["also_told", "compiling_told", "tell_compiling"]

_LISTENER: ContextVar[Callable[[bool], None] | None] = ContextVar("foxing_compiling", default=None)


@contextmanager
def compiling_told(tell: Callable[[bool], None]) -> Iterator[None]:
    """Call `tell` once, when a kernel must be compiled for the first time within the block and this thread.

    Args:
        tell: its argument is True where the compiled code is kept for the next run, False where no folder can be
            written to keep it in.
    """
    token = _LISTENER.set(tell)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def also_told(tell: Callable[[bool], None]) -> Iterator[None]:
    """As `compiling_told`, and whoever is told without this block is told too, once."""
    outer = _LISTENER.get()
    told = False

    def both(kept: bool) -> None:
        nonlocal told
        told = True
        if outer is not None:
            outer(kept)
        tell(kept)

    with compiling_told(both):
        yield
    if told and outer is not None:
        _LISTENER.set(None)


def tell_compiling(kept: bool) -> None:
    """A kernel is about to be compiled. Called by `detectors.jit`."""
    tell = _LISTENER.get()
    if tell is not None:
        _LISTENER.set(None)
        tell(kept)
