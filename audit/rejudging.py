"""Has a model judge chosen rows of a scanned corpus, in any number of processes, and goes on where a run was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audit.execute import Executor, Serial
from audit.findings_folder import Findings
from audit.parts import temporary_path
from audit.rows import fetch, recorded_layout, scanned_shard
from detectors.ai_text.tiers import HasModel, Judge, load_judge
from detectors.errors import FoxingError, SignalError
from detectors.protocols import Device

__all__ = ["WINDOWS", "Job", "Judging", "judged", "loaded", "starts", "texts"]

I64 = npt.NDArray[np.int64]
JOB_ROWS = 64
WINDOWS = pa.list_(pa.float32())


def starts(findings: Findings) -> I64:
    """int64[shards + 1]: number of the first row of each shard, in corpus order."""
    return np.cumsum([0, *(shard.rows for shard in findings.shards)])


def texts(findings: Findings, rows: I64) -> Iterator[list[str]]:
    """Answering texts of rows as they read (`detectors.ai_text.disguise`), in corpus order; a shard is read once."""
    from detectors.ai_text.disguise import as_read

    edges = starts(findings)
    for record, low, high in zip(findings.shards, edges[:-1], edges[1:], strict=True):
        chosen = rows[(rows >= low) & (rows < high)] - low
        if len(chosen):
            shard = scanned_shard(record)
            for fetched in fetch(shard, recorded_layout(record, shard.uri), rows=chosen):
                yield [text or "" for text in as_read(fetched.documents.response).texts()]


@dataclass(frozen=True)
class Job:
    """Texts to be judged together; the same texts whatever the workers.

    Attributes:
        number: of the job.
        texts: of consecutive chosen rows.
    """

    number: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Judging:
    """Judges a job and leaves the result in a file, whole or not at all.

    Attributes:
        settings: that name the model.
        device: where it runs.
        cache: folder of the results.
    """

    settings: HasModel
    device: Device
    cache: Path

    def __call__(self, job: Job) -> int:
        """Judge one job; returns its rows."""
        judge = loaded(self.settings, self.device)
        margins = judge.margins(job.texts)
        document = margins.document.astype(np.float32)
        columns = {
            "margin": pa.array(document, mask=np.isnan(document)),
            "windows": margins.windows,
            "tier": pa.repeat(judge.name, len(job.texts)),
        }
        path = _job_path(self.cache, job.number)
        temporary = temporary_path(path)
        pq.write_table(pa.table(columns), temporary)
        temporary.replace(path)
        return len(job.texts)


@lru_cache(maxsize=2)
def loaded(settings: HasModel, device: Device) -> Judge:
    """Models are loaded once per worker."""
    return load_judge(settings, device)


def _job_path(cache: Path, number: int) -> Path:
    return cache / f"job-{number:08d}.parquet"


def judged(task: Judging, findings: Findings, row: I64, executor: Executor, advance: Callable[[int], None]) -> pa.Table:
    """Judge rows, those excepted that an earlier run left in the cache.

    Args:
        task: what judges them.
        findings: whose rows they are.
        row: int64[k], numbers in corpus order, ascending.
        executor: that the model runs in.
        advance: is called with rows done.

    Returns:
        Columns margin, windows and tier, one line a row.

    Raises:
        SignalError: the model cannot be loaded, or fails on a text. InputError: a shard that was scanned is gone.
    """
    cache, count = task.cache, -(-len(row) // JOB_ROWS)
    done = [number for number in range(count) if _job_path(cache, number).exists()]
    advance(sum(len(row[number * JOB_ROWS : (number + 1) * JOB_ROWS]) for number in done))
    missing = sorted(set(range(count)) - set(done))
    # Few rows do not pay for the start of processes that load a model each.
    chosen = executor if len(missing) > 1 else Serial()
    chosen.reach(cache, ())
    for outcome in chosen.map(task, _jobs(findings, row, missing)):
        if outcome.error is not None or outcome.value is None:
            if isinstance(outcome.error, FoxingError):
                raise outcome.error
            raise SignalError(f"cascade: {task.settings.model} fails on a text ({outcome.error}). Name another model.")
        advance(outcome.value)
    schema = pa.schema([("margin", pa.float32()), ("windows", WINDOWS), ("tier", pa.string())])
    tables = [pq.read_table(_job_path(cache, number)).cast(schema) for number in range(count)]
    return pa.concat_tables(tables).combine_chunks() if tables else schema.empty_table()


def _jobs(findings: Findings, row: I64, missing: list[int]) -> Iterator[Job]:
    """Jobs of consecutive chosen rows, read as they are asked for."""
    spans = [row[number * JOB_ROWS : (number + 1) * JOB_ROWS] for number in missing]
    wanted = np.concatenate(spans) if spans else np.zeros(0, np.int64)
    waiting: list[str] = []
    numbers = iter(zip(missing, (len(span) for span in spans), strict=True))
    current = next(numbers, None)
    for batch in texts(findings, wanted):
        waiting += batch
        while current is not None and len(waiting) >= current[1]:
            number, size = current
            yield Job(number, tuple(waiting[:size]))
            del waiting[:size]
            current = next(numbers, None)
    if waiting or current is not None:
        raise SignalError("cascade: a shard has fewer rows than when it was scanned. Run foxing scan again.")
