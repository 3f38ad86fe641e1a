"""What foxing takes for the work that each peer does, on the same documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.evaluate import measure_blocks
from detectors.ai_text import AiText
from detectors.diversity import Diversity
from detectors.document import Document
from detectors.documents import Documents
from detectors.errors import FoxingError
from detectors.lexical import lexical_indices
from detectors.near_dup import NearDup
from detectors.pieces import blocks
from detectors.protocols import Device

if TYPE_CHECKING:
    from detectors.protocols import Signal

_LEAST_S = 1.0


def like_work(path: Path) -> tuple[dict[str, float], list[str]]:
    """ns a byte of text, by kind of work. Documents come in batches of about 1 MB, as in a scan.

    Returns:
        `chain`: Parquet in, segmentation, the signals document, diversity and near_dup (all indices, more than the
        Gopher rules need, and MinHash). `minhash_text`: near_dup from text. `minhash_words`: from words.
        `lexical_text`: TTR, MATTR, MTLD, HD-D, Yule's K and the Zipf slope from text. `lexical_words`: from words and
        their links. `ai_text`: from text. And what could not run.
    """
    batches = list(pq.ParquetFile(path).iter_batches(400, columns=["text"]))
    size = sum(pc.sum(pc.binary_length(batch.column(0))).as_py() for batch in batches)
    document, diversity, near_dup, ai_text = Document(), Diversity(), NearDup(), AiText()

    def fresh(*signals: Signal) -> Callable[[], float]:
        def once() -> float:
            began = time.process_time()
            for batch in batches:
                _measure(Documents(batch), *signals)
            return time.process_time() - began

        return once

    def chain() -> float:
        began = time.process_time()
        for batch in pq.ParquetFile(path).iter_batches(400, columns=["text"]):
            _measure(Documents(batch), document, diversity, near_dup)
        return time.process_time() - began

    def from_views(work: Callable[[Documents], object], *, ready: bool) -> Callable[[], float]:
        def once() -> float:
            total = 0.0
            for block in (block for batch in batches for block in blocks(Documents(batch))):
                if ready:
                    block.documents.words.previous  # noqa: B018 - there before the clock starts
                began = time.process_time()
                work(block.documents)
                total += time.process_time() - began
            return total

        return once

    def lexical(documents: Documents) -> object:
        return lexical_indices(documents.words)

    runs = {
        "chain": chain,
        "minhash_text": fresh(near_dup),
        "minhash_words": from_views(lambda documents: _measure(documents, near_dup), ready=True),
        "lexical_text": from_views(lexical, ready=False),
        "lexical_words": from_views(lexical, ready=True),
        "ai_text": fresh(ai_text),
    }
    figures: dict[str, float] = {}
    failed = []
    for name, once in runs.items():
        try:
            figures[name] = _best(once) / size * 1e9
        except FoxingError as error:
            failed.append(f"foxing {name}: {error}")
    return figures, failed


def _measure(documents: Documents, *signals: Signal) -> None:
    for _ in measure_blocks(signals, documents, Device.CPU):
        pass


def _best(once: Callable[[], float]) -> float:
    """The fastest of several runs, at least two and a second of them."""
    once()
    times: list[float] = []
    while len(times) < 2 or sum(times) < _LEAST_S:
        times.append(once())
    return min(times)
