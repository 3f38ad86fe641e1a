"""Runs every signal once on a few sentences, so that kernels are compiled before a clock or several workers start."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from audit.evaluate import measure_blocks
from audit.execute import Process
from audit.signals import named_model
from detectors.compiling import also_told
from detectors.documents import Documents
from detectors.protocols import Device, Signal
from detectors.sketches import Sketches

__all__ = ["warm", "warm_by_several"]

_SENTENCES = (
    "The ferry to the island leaves at half past nine, when the tide allows it; later ones don't run in winter. ",
    "Am Abend fährt keine Fähre mehr zurück. ",
    "Где найти расписание на завтра? ",
    "明日の時刻表はこちらです。",
)


def warm(signals: Sequence[Signal], device: Device, sketches: Sketches | None = None) -> None:
    """Load signals and run them once, those of raw columns left out: a corpus has those, sentences have not.

    The kernels of sketches are run too, where their settings are given. Workers that start after this find all kernels
    in the cache; otherwise each would compile the same ones.
    """
    chosen = [signal for signal in signals if not any(read.startswith("column:") for read in signal.reads)]
    texts: list[str | bytes | None] = ["".join(_SENTENCES) * 4, "".join(_SENTENCES[:2]) * 20, None]
    documents = Documents.from_texts(texts)
    for _ in measure_blocks(chosen, documents, device):
        pass
    if sketches is not None:
        # Samples so small that they are full after a few rounds, as they are after some megabytes of a corpus.
        state = replace(sketches, by=None, sample_words=1 << 10, sample_documents=1 << 6).start()
        for _ in range(4):
            state.update(documents)
        state.table()


@dataclass(frozen=True)
class _Warm:
    """What one worker compiles: the kernels of one signal, or those of sketches."""

    device: Device

    def __call__(self, item: Signal | Sketches) -> None:
        if isinstance(item, Sketches):
            warm((), self.device, item)
        else:
            warm((item,), self.device)


def warm_by_several(
    executor: Process, signals: Sequence[Signal], device: Device, sketches: Sketches | None = None
) -> None:
    """As `warm`. Where kernels must be compiled, workers begin at the last signal and this process at the first.

    A kernel that several need is compiled by one of them, and the others wait for it (`detectors.kernel_cache`).
    Signals with a model are left to this process: loading one takes longer than its kernels.
    """
    shared: list[Signal | Sketches] = [signal for signal in reversed(signals) if not named_model(signal)]
    with ExitStack() as stack:

        def share(kept: bool) -> None:
            if kept:
                stack.enter_context(executor.beside(_Warm(device), [*([sketches] if sketches else []), *shared]))

        with also_told(share):
            warm(signals, device, sketches)
