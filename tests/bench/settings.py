"""The setting that is measured: every signal of foxing on the CPU, leakage against all benchmarks there are."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import pyarrow.parquet as pq

from audit.config import Config, load_config
from detectors.registry import SIGNALS
from tests.bench.corpora import data_folder

_OF_ANSWERS = {"falsity", "format", "knowledge", "pair_quality"}
_ASK_FOR_MORE = {"cloze", "novelty", "given", "token_count"}  # a model, a column, a tokenizer
_FOR_CURRICULA = {"gram_sample"}


def our_signals() -> list[str]:
    """Names of the signals that foxing itself brings and that measure plain text by themselves, for an audit."""
    ours = {
        point.name for point in entry_points(group=SIGNALS) if point.dist is not None and point.dist.name == "foxing"
    }
    return sorted(ours - _OF_ANSWERS - _ASK_FOR_MORE - _FOR_CURRICULA)


def all_signals(scratch: Path, without: Sequence[str] = ()) -> tuple[Config, Path, list[str]]:
    """Write a settings file that turns every signal on, but for those named.

    Returns:
        The settings, their file, and what was left out, with the reason.
    """
    names = [name for name in our_signals() if name not in without]
    left_out = [f"{name}: left out on demand" for name in without]
    tables = []
    if "leakage" in names:
        index = benchmark_index(scratch)
        if index is None:
            names.remove("leakage")
            left_out.append(f"leakage: no {data_folder() / 'tasks' / 'benchmarks.parquet'} to index")
        else:
            tables.append(f'[signal.leakage]\nindex = "{index}"\nindex_digest = "{digest_of(index)}"\nn = 13\n')
    path = scratch / "foxing.toml"
    signals = ", ".join(f'"{name}"' for name in names)
    path.write_text("\n".join([f"signals = [{signals}]\n", *tables]), "utf-8")
    return load_config(path, isolated=False), path, left_out


def benchmark_index(scratch: Path) -> Path | None:
    """An index of every benchmark item of the development data; None where there are none."""
    source = data_folder() / "tasks" / "benchmarks.parquet"
    if not source.is_file():
        return None
    from detectors.benchmark_index import BenchmarkIndex
    from detectors.documents import Documents

    table = pq.read_table(source, columns=["id", "benchmark", "text"]).combine_chunks()
    (batch,) = table.to_batches(max_chunksize=len(table))
    found = BenchmarkIndex.from_documents(
        Documents(batch.select(["text"])), batch.column("benchmark").to_pylist(), batch.column("id").to_pylist()
    )
    path = scratch / "benchmarks.index"
    path.write_bytes(found.to_bytes())
    return path


def digest_of(index: Path) -> str:
    """Of an index, as the signal pins it."""
    from detectors.leakage import Leakage

    return Leakage(index=str(index)).pinned().index_digest
