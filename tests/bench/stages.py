"""What each stage of a scan costs: the same blocks of documents, the same views, one clock around each step."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from audit.config import Config
from audit.corpus import Corpus
from audit.evaluate import measure_blocks
from audit.layout import find_layout
from audit.parts import PartIdentity, PartWriter
from audit.signals import build_signals
from audit.warm import warm
from detectors.documents import Documents
from detectors.pieces import blocks
from detectors.protocols import Device, Signal
from detectors.sketches import Sketches, SketchState


class Stages:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Add what the block costs."""
        began = time.process_time()
        try:
            yield
        finally:
            self.seconds[stage] += time.process_time() - began


def stages(path: Path, config: Config) -> tuple[dict[str, float], int]:
    """ns a byte of every stage of a scan of one file in this process, in the order of work, and the bytes of text.

    Views of words are asked for in turn (words, ids and links) and what else signals share is charged
    to the first of them that asks. `findings` is the writing of parts.
    """
    signals = build_signals(config)
    device = Device(config.scan.device)
    warm(signals, device, Sketches())
    (shard,) = Corpus.open([str(path)]).shards
    layout = find_layout(shard.reader.names(), shard.uri, text=config.scan.text)
    found = Stages()
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        writers = {signal: _writer(signal, Path(folder)) for signal in signals}
        sketches = Sketches().start()
        batches = shard.batches(sorted(layout.columns))
        while True:
            with found.clock("decode"):
                batch = next(batches, None)
                documents = None if batch is None else Documents(layout.documents(batch, shard.uri))
            if documents is None:
                break
            size += int(documents.offsets[-1] - documents.offsets[0])
            _measure(documents, signals, device, writers, sketches, found)
        with found.clock("findings"):
            sketches.table()
        for writer in writers.values():
            with found.clock("findings"):
                writer.close()
    return {name: seconds / size * 1e9 for name, seconds in found.seconds.items()}, size


def _measure(
    documents: Documents,
    signals: Sequence[Signal],
    device: Device,
    writers: dict[Signal, PartWriter],
    sketches: SketchState,
    found: Stages,
) -> None:
    with found.clock("blocks"):
        cut = list(blocks(documents))
    for block in cut:
        if not block.is_long:
            words = None
            with found.clock("words"):
                words = block.documents.words
            with found.clock("links"):
                words.previous  # noqa: B018 - computed when first asked for
        with found.clock("sketches"):
            sketches.update(block.documents)
        for signal in signals:
            with found.clock(signal.name):
                measured = list(measure_blocks([signal], block.documents, device))
            with found.clock("findings"):
                for one in measured:
                    writers[signal].write(one.found, pa.array(one.valid), one.errors)


def _writer(signal: Signal, folder: Path) -> PartWriter:
    identity = PartIdentity(signal.name, signal.version, {}, 0, "", "", 0, 0)
    return PartWriter(folder / f"{signal.name}.parquet", identity, signal.schema)


def threads(path: Path, config: Config, count: int) -> dict[str, float]:
    """How well `count` threads of one process share the work: kernels let go of the interpreter's lock.

    Returns:
        `wall_s_one`, `wall_s_all`: seconds for the same batches with one thread and with all; `speed_up`: their
        ratio; `cpu_ratio`: CPU seconds of all over those of one.
    """
    signals = build_signals(config)
    device = Device(config.scan.device)
    warm(signals, device)
    (shard,) = Corpus.open([str(path)]).shards
    layout = find_layout(shard.reader.names(), shard.uri, text=config.scan.text)
    batches = [layout.documents(batch, shard.uri) for batch in shard.batches(sorted(layout.columns))][: 4 * count]

    def work(chosen: Sequence[pa.RecordBatch]) -> None:
        for batch in chosen:
            for _ in measure_blocks(signals, Documents(batch), device):
                pass

    def timed(parts: int) -> tuple[float, float]:
        wall, cpu = time.monotonic(), time.process_time()
        running = [threading.Thread(target=work, args=(batches[part::parts],)) for part in range(parts)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return time.monotonic() - wall, time.process_time() - cpu

    (wall_one, cpu_one), (wall_all, cpu_all) = timed(1), timed(count)
    return {
        "threads": count,
        "wall_s_one": wall_one,
        "wall_s_all": wall_all,
        "speed_up": wall_one / wall_all,
        "cpu_ratio": cpu_all / cpu_one,
    }
