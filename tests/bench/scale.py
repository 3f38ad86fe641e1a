"""Synthetic findings of millions of documents through clustering, decide and plan: `python -m tests.bench.scale`.

What these three cost need not grow in step with the corpus, so they are run at several sizes up to ten million rows:
signatures with a tenth of near copies in groups of very unequal size, margins, languages and lengths as a scan leaves
them. Clustering is the stage `duplicates` as a scan runs it, decide is every default rule on every row, plan is what
`foxing curate --curriculum dedup,human-first` settles before it writes. Each runs in a process of its own; CPU seconds,
peak of anonymous memory, and bytes on disk go to tests/bench/results/scale-DATE.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa

from audit.findings_folder import Findings, ShardRecord, SignalRecord
from audit.parts import PartIdentity, PartWriter, part_path
from detectors.protocols import Signal
from tests.bench.corpora import REPOSITORY
from tests.bench.machine import machine

SHARD_ROWS = 250_000
BATCH_ROWS = 16_384
COPIES = 0.1
SIGNALS = ("document", "near_dup", "residue", "ai_text")


def _column(field: pa.Field, rows: int, random: np.random.Generator) -> pa.Array:
    """Values of a kind that rules and curricula meet: mostly human text in a few languages, of very unequal length."""
    if field.name == "language":
        return pa.array(np.array(["en", "de", "fr", "zh"])[random.integers(0, 4, rows)])
    if field.name == "tier":
        return pa.array(["fast"] * rows)
    if pa.types.is_boolean(field.type):
        return pa.array(random.random(rows) < 0.02)
    if pa.types.is_floating(field.type):
        return pa.array(random.normal(-2.0, 2.0, rows).astype(np.float32)).cast(field.type)
    if pa.types.is_integer(field.type):
        rare = field.name == "hits"
        values = random.random(rows) < 0.003 if rare else random.lognormal(5.5, 1.0, rows)
        return pa.array(values.astype(np.int64)).cast(field.type)
    return pa.nulls(rows, field.type)


def _signatures(schema: pa.Schema, rows: int, random: np.random.Generator, originals: np.ndarray) -> pa.RecordBatch:
    minima = random.integers(0, 2**32, (rows, originals.shape[1]), np.uint32)
    copied = np.flatnonzero(random.random(rows) < COPIES)
    minima[copied] = originals[(random.pareto(1.0, len(copied)) * 8).astype(np.int64) % len(originals)]
    changed = random.random((len(copied), originals.shape[1])) < 0.05
    minima[copied] = np.where(changed, random.integers(0, 2**32, changed.shape, np.uint32), minima[copied])
    width = pa.binary(4 * originals.shape[1])
    hashes = pa.FixedSizeBinaryArray.from_buffers(width, rows, [None, pa.py_buffer(minima.astype("<u4"))])
    exact = pa.array(random.integers(0, 2**63, rows).astype(np.uint64))
    return pa.record_batch([hashes, pa.array(np.full(rows, 500, np.int32)), exact], schema=schema)


def _signals() -> tuple[Signal, ...]:
    from audit.config import Config, ScanConfig
    from audit.signals import build_signals, pinned

    return pinned(build_signals(Config(scan=ScanConfig(signals=SIGNALS))))


def make_findings(folder: Path, rows: int, seed: int = 17) -> Findings:
    """Findings of made-up documents, committed."""
    from audit.signature import config_hash, signal_config

    signals = _signals()
    random = np.random.default_rng(seed)
    originals = random.integers(0, 2**32, (1 << 16, 128), np.uint32)
    records = []
    for number, first in enumerate(range(0, rows, SHARD_ROWS)):
        count, key = min(SHARD_ROWS, rows - first), f"shard-{number:05d}"
        for signal in signals:
            identity = PartIdentity(signal.name, signal.version, {}, seed, "text(text)", key, 0, count)
            writer = PartWriter(part_path(folder, signal.name, key, 0), identity, signal.schema)
            for start in range(0, count, BATCH_ROWS):
                size = min(BATCH_ROWS, count - start)
                if signal.name == "near_dup":
                    batch = _signatures(signal.schema, size, random, originals)
                else:
                    columns = [_column(field, size, random) for field in signal.schema]
                    batch = pa.record_batch(columns, schema=signal.schema)
                writer.write(batch, pa.array(np.ones(size, np.bool_)), None)
            writer.close()
        records.append(ShardRecord(key, f"/{key}", "parquet", count, 0, key, "text(text)", {"text": "string"}, (0,)))
    told = [
        SignalRecord(signal.name, signal.version, dict(signal_config(signal)), config_hash(signal_config(signal)))
        for signal in signals
    ]
    findings = Findings(folder, tuple(records), (), tuple(told), seed, None)
    findings.commit("scale")
    return findings


def cluster(folder: Path) -> dict[str, float]:
    """The stage of a scan; rows that are copies of a kept one."""
    from audit.duplicates import Duplicates
    from audit.stages import run_stages

    def commit(found: Findings) -> None:
        found.commit("scale")

    findings = run_stages(Findings.open(folder), (Duplicates(),), commit=commit, advance=lambda *_: None)
    commit(findings)
    gone = sum(int((~part["duplicates"].struct.field("kept")).sum()) for part in findings.parts())
    return {"gone": gone}


def decide(folder: Path) -> dict[str, float]:
    """Every default rule on every row."""
    from audit.rules import DEFAULTS, decided

    hit = sum(int((part["action"] != "keep").sum()) for part in decided(Findings.open(folder), DEFAULTS))
    return {"hit": hit}


def plan(folder: Path) -> dict[str, float]:
    """What a curate settles before it writes."""
    from audit.rules import DEFAULTS
    from curricula.foresee import Request, preview

    request = Request(curriculum=("dedup", "human-first"), allow_loss=1.0)
    total = preview(Findings.open(folder), DEFAULTS, request).tally.total
    return {"kept": total.kept, "dropped": total.dropped}


STEPS: dict[str, Callable[[Path], dict[str, float]]] = {"cluster": cluster, "decide": decide, "plan": plan}


def _measure(name: str, folder: Path, connection: Connection) -> None:
    from tests.bench.duplicate_cost import _Peak

    with _Peak("RssAnon") as anonymous:
        began, wall = time.process_time(), time.monotonic()
        found = STEPS[name](folder)
        cpu, took = time.process_time() - began, time.monotonic() - wall
    connection.send({"cpu_s": round(cpu, 2), "wall_s": round(took, 2), "anonymous_mb": round(anonymous.most), **found})


def costs_at(rows: int, scratch: Path) -> dict[str, object]:
    """All steps at one size."""
    context = multiprocessing.get_context("spawn")
    folder = Path(tempfile.mkdtemp(prefix="foxing-scale-", dir=scratch))
    try:
        make_findings(folder, rows)
        found: dict[str, object] = {"rows": rows}
        for name in STEPS:
            receiver, sender = context.Pipe()
            worker = context.Process(target=_measure, args=(name, folder, sender))
            worker.start()
            sender.close()
            result = receiver.recv()
            worker.join()
            result["us_a_row"] = round(1e6 * result["cpu_s"] / rows, 2)
            found[name] = result
        sizes = {each.name: _bytes(each) for each in sorted((folder / "findings").iterdir())}
        found["bytes_a_row"] = {name: round(size / rows, 1) for name, size in sizes.items()}
    finally:
        shutil.rmtree(folder)
    sys.stderr.write(f"{json.dumps(found)}\n")
    return found


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> int:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--millions", default="1,3,10", help="sizes, in millions of rows")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="some 600 bytes a row")
    parser.add_argument("--dry", action="store_true", help="store no results")
    options = parser.parse_args()
    sizes = [costs_at(int(float(size) * 1e6), options.scratch) for size in options.millions.split(",")]
    report = {"schema": "foxing-scale", "version": 1, **machine(), "copies": COPIES, "sizes": sizes}
    if not options.dry:
        file = REPOSITORY / "tests" / "bench" / "results" / f"scale-{report['date']}.json"
        file.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(sizes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
