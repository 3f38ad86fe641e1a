"""What is killed: a small job of each kind, where it begins, and which files of it must come out the same."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KINDS", "Kind", "several", "tree"]

_PASSING = {"lock", ".lock", "digests.json"}
_CLOCKED = re.compile(rb',?\s*"(?:tokens_per_s|mfu|peak_memory_mb)": (?:null|[-+0-9.e]+)')
_SIGNALS = "document,diversity,near_dup,residue"


def several(few: int, many: int) -> int:
    """How often a test tries: few times, or many where FOXING_TORTURE is set, as `make torture` does."""
    return many if os.environ.get("FOXING_TORTURE") else few


def _nothing(data: Path, out: Path) -> None:
    """The output begins empty."""


@dataclass(frozen=True)
class Kind:
    """A job that is killed.

    Attributes:
        runs: how many of a thousand runs.
        make: writes the data into a folder, and gives the words of the command without `-o`.
        begin: brings an output folder to where the job begins.
        load: imports what the job needs and runs its kernels once; it may start no thread.
        needs_torch: the job runs a model.
    """

    runs: int
    make: Callable[[Path], list[str]]
    load: Callable[[], None]
    begin: Callable[[Path, Path], None] = _nothing
    needs_torch: bool = False


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, but of those that say who wrote and when an input changed: locks and kept digests.

    The folder's own name, and seconds of training, stand for themselves in both runs.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _PASSING:
            content = path.read_bytes().replace(str(folder).encode(), b"OUT")
            if path.name in ("metrics.jsonl", "run.json"):
                content = _CLOCKED.sub(b"", content)
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def _texts(folder: Path, *, files: int, rows: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.corpora import texts

    folder.mkdir(parents=True)
    for number in range(files):
        found = texts(rows, number)
        found[::7] = texts(rows, 0)[::7]  # copies of the first file's, for clusters
        table = pa.table({"text": found, "source": [f"s{row % 3}" for row in range(rows)]})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=rows // 3)
    return folder


def _load_scan() -> None:
    import curricula.cli  # noqa: F401
    from audit.config import Config, ScanConfig
    from audit.signals import build_signals
    from audit.warm import warm
    from detectors.protocols import Device
    from detectors.sketches import Sketches

    warm(build_signals(Config(scan=ScanConfig(signals=tuple(_SIGNALS.split(","))))), Device.CPU, Sketches())


def _make_scan(folder: Path) -> list[str]:
    data = _texts(folder / "in", files=6, rows=90)
    return ["scan", str(data), "--signals", _SIGNALS, "--stages", "", "--workers", "1", "--by", "source"]


def _make_scan_of_two(folder: Path) -> list[str]:
    return [*_make_scan(folder)[:-4], "--workers", "2"]


def _scanned(folder: Path, out: Path, *, stages: str) -> None:
    from tests.torture.kills import run_whole

    data = folder / "in"
    if not data.exists():
        _texts(data, files=6, rows=300)
    run_whole(["scan", str(data), "--signals", _SIGNALS, "--stages", stages, "--workers", "1"], out)


def _make_cluster(folder: Path) -> list[str]:
    _scanned(folder, folder / "measured", stages="")
    return ["scan", str(folder / "in"), "--signals", _SIGNALS, "--stages", "duplicates", "--workers", "1"]


def _begin_cluster(folder: Path, out: Path) -> None:
    shutil.copytree(folder / "measured", out)


def _make_curate(folder: Path) -> list[str]:
    _scanned(folder, folder / "audit", stages="duplicates")
    words = ["curate", str(folder / "audit"), "--curriculum", "dedup,shuffled", "--allow-loss", "1"]
    return [*words, "--split", "0.2", "--shard-rows", "200", "--row-group-rows", "50"]


def _load_curate() -> None:
    import curricula.cli.curate
    import curricula.curate
    import curricula.verify  # noqa: F401


def _make_probe(folder: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.detectors.test_knowledge import write_letter_model

    write_letter_model(folder / "model")
    (folder / "in").mkdir(parents=True)
    letters = string.ascii_lowercase[:10]
    for number in range(4):
        columns = {
            "question": [f"capital of {letter}?" for letter in letters],
            "answers": [[f"t{letter}"] for letter in letters],
            "relation": ["capital"] * len(letters),
        }
        pq.write_table(pa.table(columns), folder / "in" / f"{number}.parquet")
    return ["probe", str(folder / "in"), "--model", str(folder / "model"), "--device", "cpu"]


def _load_torch() -> None:
    import torch
    import transformers  # noqa: F401

    import detectors.knowledge
    import detectors.pretrained  # noqa: F401

    torch.set_num_threads(1)


def _make_train(folder: Path) -> list[str]:
    from tests.curricula.training_data import write_texts

    folder.mkdir(parents=True, exist_ok=True)
    data, dev = write_texts(folder / "t.parquet", 120), write_texts(folder / "dev.parquet", 20, seed=9)
    words = "--width 16 --layers 1 --heads 2 --vocabulary 300 --block 32 --batch 4 --micro 2 --tokens 4K --keep-every 4"
    return ["train", str(data), "--dev", str(dev), *words.split(), "--check-every", "10", "--ema", "0.9", "-q"]


KINDS = {
    "scan": Kind(300, _make_scan, _load_scan),
    "scan-2-workers": Kind(30, _make_scan_of_two, _load_scan),
    "cluster": Kind(250, _make_cluster, _load_scan, _begin_cluster),
    "curate": Kind(250, _make_curate, _load_curate),
    "probe": Kind(85, _make_probe, _load_torch, needs_torch=True),
    "train": Kind(85, _make_train, _load_torch, needs_torch=True),
}
