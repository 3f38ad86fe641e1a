"""Measures curate beside a plain rewrite of the same file: MB of text per CPU-second of one core, and peak memory.

The corpus is repeated with an id column until its text is long enough for start-up not to count, and its findings with
it, margins moved on at each repetition so that copies of a text do not end up side by side. Every figure comes from a
process of its own, pinned to a core where taskset is there. Alone: python -m tests.bench.curate WORK CORPUS [FINDINGS].
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.corpus import Corpus
from audit.findings_folder import Findings
from audit.parts import PartIdentity, PartWriter, part_path

__all__ = ["measure", "repeat"]

_TEXT_BYTES = 1_000_000_000
_ROUNDS = 2
_STAGES = {
    "curate: plain rewrite (floor)": ["rewrite"],
    "curate: filter in original order": ["curate", "original", "FX101"],
    "curate: reorder by score": ["curate", "human-first", "FX101"],
}


def measure(
    workdir: Path, corpus: Path, findings_dir: Path | None, *, text_bytes: int = _TEXT_BYTES
) -> list[dict[str, Any]]:
    """Measure the floor, a filter and a reorder in turn, and take the best of each: what else runs only slows a core.

    Args:
        workdir: for files of about twice the stored size of the repeated corpus; what is made there is removed.
        corpus: one Parquet file with a `text` column.
        findings_dir: of a scan of `corpus` alone; None makes one.
        text_bytes: UTF-8 bytes of text to repeat the corpus to, at least.

    Returns:
        For each stage: stage, text_mb, cpu_s, mb_per_cpu_s, ratio_to_floor, peak_rss_mb.
    """
    folder = workdir / "curate"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if findings_dir is None:
        findings_dir = folder / "scan"
        scan = "from curricula.cli import main; main()"
        command = [sys.executable, "-c", scan, "scan", str(corpus), "-o", str(findings_dir), "--workers", "1"]
        subprocess.run(command, check=True, capture_output=True)
    size = _text_bytes(corpus)
    times = -(-text_bytes // size)
    source, findings = repeat(corpus, Findings.open(findings_dir), times, folder)
    megabytes = times * size / 1e6
    runs = [
        (stage, _child([*arguments, str(source), str(findings), str(folder / "out")]))
        for _ in range(_ROUNDS)
        for stage, arguments in _STAGES.items()
    ]
    best = {stage: min((run for name, run in runs if name == stage), key=lambda run: run["cpu_s"]) for stage in _STAGES}
    floor = next(iter(best.values()))["cpu_s"]
    shutil.rmtree(folder)
    return [
        {
            "stage": stage,
            "text_mb": round(megabytes, 1),
            "cpu_s": round(run["cpu_s"], 2),
            "mb_per_cpu_s": round(megabytes / run["cpu_s"], 1),
            "ratio_to_floor": round(floor / run["cpu_s"], 3),
            "peak_rss_mb": run["peak_rss_mb"],
        }
        for stage, run in best.items()
    ]


def _text_bytes(corpus: Path) -> int:
    with pq.ParquetFile(corpus, pre_buffer=False) as file:
        batches = file.iter_batches(batch_size=4096, columns=["text"])
        return sum(pc.sum(pc.binary_length(batch.column(0))).as_py() or 0 for batch in batches)


def repeat(corpus: Path, findings: Findings, times: int, folder: Path) -> tuple[Path, Path]:
    """Write the corpus `times` over, with an id column, and the findings that a scan of it would have given.

    Returns:
        The Parquet file and the folder of findings.
    """
    path, directory = folder / "corpus.parquet", folder / "findings"
    (record,) = findings.shards
    with pq.ParquetFile(corpus, pre_buffer=False) as source:
        schema = source.schema_arrow.append(pa.field("foxing_bench_id", pa.string()))
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for time_ in range(times):
                for batch in source.iter_batches(batch_size=5_000):
                    ids = pa.array([f"{time_}-{row}" for row in range(batch.num_rows)], pa.string())
                    writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, ids], schema=schema))
    (shard,) = Corpus.open([str(path)]).shards
    digest, rows = shard.digest(), record.rows
    starts = tuple(time_ * rows + first for time_ in range(times) for first in record.parts)
    for signal in findings.signals:
        held = [pq.read_table(part_path(findings.directory, signal.name, record.key, at)) for at in record.parts]
        for number, first in enumerate(starts):
            table = held[number % len(held)].combine_chunks()
            struct = table.column(1).combine_chunks()
            kind = pa.schema(list(struct.type))
            identity = PartIdentity(
                signal.name,
                signal.version,
                dict(signal.config),
                findings.seed,
                record.layout,
                digest,
                first,
                len(table),
            )
            writer_ = PartWriter(part_path(directory, signal.name, shard.key, first), identity, kind)
            columns = [_moved(struct.field(at), kind.field(at).name, number) for at in range(len(kind))]
            writer_.write(pa.RecordBatch.from_arrays(columns, schema=kind), struct.is_valid(), None)
            writer_.close()
    made = dataclasses.replace(
        record,
        key=shard.key,
        uri=shard.uri,
        rows=times * rows,
        size_bytes=shard.size_bytes,
        digest=digest,
        parts=starts,
    )
    dataclasses.replace(findings, directory=directory, shards=(made,), failed=()).commit("0")
    return path, directory


def _moved(column: pa.Array, name: str, number: int) -> pa.Array:
    """Margins, each at another row than in the part before; other fields as they are."""
    if name != "margin" or not len(column):
        return column
    return column.take(pa.array(np.roll(np.arange(len(column)), 1_009 * number)))


def _child(arguments: list[str]) -> dict[str, Any]:
    pinned = [taskset, "-c", str(min(os.sched_getaffinity(0)))] if (taskset := shutil.which("taskset")) else []
    command = [
        *pinned,
        sys.executable,
        "-m",
        __spec__.name if __spec__ else "tests.bench.curate",
        "--child",
        *arguments,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _rewrite(source: Path, target: Path) -> None:
    """What any copy must do: decode, and encode with the compression that curate has."""
    with (
        pq.ParquetFile(source, pre_buffer=False) as file,
        pq.ParquetWriter(target, file.schema_arrow, compression="zstd", compression_level=1) as writer,
    ):
        for batch in file.iter_batches(batch_size=8_192):
            writer.write_batch(batch)


def _run(what: str, *arguments: str) -> dict[str, Any]:
    source, findings, out = (Path(argument) for argument in arguments[-3:])
    shutil.rmtree(out, ignore_errors=True)
    if what == "rewrite":
        out.mkdir()
        _rewrite(source, out / "copy.parquet")
    else:
        from audit.rules import rules_from
        from curricula.curate import Request, curate

        curriculum, drop = arguments[:2]
        request = Request(curriculum=(curriculum,), drop=(drop,), allow_loss=1.0)
        curate(Findings.open(findings), rules_from({}), out, request)
    shutil.rmtree(out, ignore_errors=True)
    return {"cpu_s": time.process_time(), "peak_rss_mb": _peak_mb()}


def _peak_mb() -> int:
    try:
        # Not ru_maxrss: a child inherits that of the process that started it.
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        sys.stdout.write(json.dumps(_run(*sys.argv[2:])) + "\n")
    else:
        given = [Path(argument) for argument in sys.argv[1:]]
        for line in measure(given[0], given[1], given[2] if len(given) > 2 else None):
            sys.stdout.write(json.dumps(line) + "\n")
