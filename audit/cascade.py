"""The cascade as a stage of a scan: a costlier tier of the detector on the rows where it matters, within a budget.

The fast tier has judged every row by then. `detectors.ai_text.cascade` chooses rows by its p-values, this stage reads
their texts and has a costlier model judge them. The fast margins stay as they are; those of the costlier model, which
are on another scale and have a calibration of their own, go into a struct of their own with the name of the model.

A budget in minutes becomes one in rows before the first row is judged: a few of the rows are timed. What came of that
is written to `cascade.json` in the folder of the scan, and holds for as long as findings and settings stay the same.
Rows that were judged are kept in `.cascade` until all are, so a run that is killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from audit.calibrate import SIGNAL, calibrated, reference
from audit.config import EXECUTORS, Config
from audit.execute import Executor, executor_for
from audit.findings_folder import Findings, write_json
from audit.rejudging import WINDOWS, Judging, judged, loaded, starts, texts
from audit.signature import config_hash, corpus_hash, signal_config
from audit.stages import Rows
from detectors.ai_text.cascade import BAND, SAMPLE, Budget, Choice, Chooser, random_keys
from detectors.ai_text.tiers import pinned_digest
from detectors.errors import ConfigError
from detectors.hub import located
from detectors.pretrained import may_use_gpu
from detectors.protocols import Device

__all__ = ["CASCADE_FILE", "Cascade", "with_tier"]

CASCADE_FILE = "cascade.json"
_CACHE = ".cascade"
_TIMED_ROWS = 16
_OF_MODEL = ("model", "observer", "method", "machine_label", "max_tokens", "precision", "model_digest")


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Cascade:
    """Which model judges again, `[tool.foxing.stage.cascade]`, and how many rows.

    Attributes:
        model: folder, file or hub id, as for the tiers `encoder` and `custom`.
        observer: the second model of zero-shot methods of two.
        method: `classifier` or a zero-shot method.
        machine_label: label of a classifier that means machine-written; empty guesses.
        max_tokens: of a window; 0 takes what the model takes, 512 at most.
        precision: `auto`, `float32`, `bfloat16`, `float16` or `int8`.
        rows: budget, in rows.
        minutes: budget in time of all workers together, which is turned into rows; `rows` is the most all the same. 0
            is none.
        band_share: share of the budget for the rows nearest to the decision; the rest is a random sample.
        rate: p-value that FX101 decides by.
        device: auto, cpu or cuda.
        workers: processes; 0 means one per core, and on a GPU it is one. No number depends on it.
        executor: local or ray, with `ray_address`, as for a scan. With ray, workers are actors, each with a GPU where
            the device may be one.
        ray_address: of a Ray cluster.
        model_digest: of the model, when it must be a certain one.
    """

    model: str = field(default="", metadata={"location": True})
    observer: str = field(default="", metadata={"location": True})
    method: str = "classifier"
    machine_label: str = ""
    max_tokens: int = 0
    precision: str = "auto"
    rows: int = 10_000
    minutes: float = 0.0
    band_share: float = 0.5
    rate: float = 0.01
    device: str = "auto"
    workers: int = field(default=1, metadata={"location": True})
    executor: str = field(default="local", metadata={"location": True})
    ray_address: str | None = field(default=None, metadata={"location": True})
    model_digest: str = ""

    name: ClassVar[str] = "cascade"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = (SIGNAL,)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("margin", pa.float32(), "Margin by the costlier model; null in rows that it did not judge."),
            _field("tier", pa.string(), "The model, as the tier column of ai_text names models; null as the margin."),
            _field("chosen", pa.string(), "Why it was judged: band (near the decision) or sample; null where not."),
            _field("chance", pa.float32(), "Chance that the row had to be chosen, 1 in the band; null where not."),
            _field("windows", WINDOWS, "Margin of every window of a document with more than one."),
        ]
    )

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigError(f"cascade: rows is {self.rows}. Set it to 1 or more.")
        for key, low, high in (("band_share", 0.0, 1.0), ("rate", 1e-6, 1.0)):
            if not low <= getattr(self, key) <= high:
                raise ConfigError(f"cascade: {key} is {getattr(self, key)}. Set it to a number from {low} to {high}.")
        if self.executor not in EXECUTORS:
            raise ConfigError(f"cascade: executor is {self.executor!r}. Set it to {' or '.join(EXECUTORS)}.")
        if self.minutes < 0 or self.device not in [device.value for device in Device]:
            raise ConfigError(f"cascade: minutes is {self.minutes}, device {self.device!r}. Change one of them.")

    @property
    def tier(self) -> str:
        """The tier of the model: `encoder` where foxing wrote it, else `custom`."""
        from detectors.ai_text.detector_folder import is_detector
        from detectors.ai_text.frozen import is_head

        path = located(self.model, "model") if self.model else None
        ours = self.method == "classifier" and (path is None or is_detector(path) or is_head(path))
        return "encoder" if ours else "custom"

    def pinned(self) -> Cascade:
        """The same settings with the digest of the model as it is now. To be done before a scan.

        Raises:
            SignalError: no model is named, it cannot be found, or it is not the one that `model_digest` says.
        """
        return replace(self, model_digest=pinned_digest(self))

    def depends(self, findings: Findings) -> list[object]:
        """The model, the corpus as it was measured, and the calibration that rows are chosen by."""
        measured = [signal.config_hash for signal in findings.signals if signal.name == SIGNAL]
        corpus = corpus_hash(f"{shard.key} {shard.digest} {shard.layout}" for shard in findings.shards)
        return [pinned_digest(self), measured, corpus, findings.seed, reference().digest]

    def prepare(self, findings: Findings, work: Path, advance: Callable[[int], None]) -> Rows:
        """Choose rows, have the model judge them, and remember what it said.

        Raises:
            SignalError: the model cannot be loaded or fails. InputError: a shard that was scanned is gone.
        """
        settings = replace(self, model_digest=pinned_digest(self))
        digest = config_hash([signal_config(settings, located=False), self.depends(findings)])
        record = _recorded(findings.directory, digest)
        if record is None:
            record = _Plan(digest, *_budget(settings, findings))
            write_json(findings.directory / CASCADE_FILE, asdict(record))
        choice = _chosen(settings, findings, record.rows)
        cache = findings.directory / _CACHE / digest
        cache.mkdir(parents=True, exist_ok=True)
        task = Judging(settings, Device(settings.device), cache)
        found = _Found(choice, judged(task, findings, choice.row, settings._executor(), advance))
        shutil.rmtree(cache.parent, ignore_errors=True)
        write_json(findings.directory / CASCADE_FILE, {**asdict(record), **found.summary()})
        return found.rows

    def _executor(self) -> Executor:
        device = Device(self.device)
        if self.executor == "ray":
            gpu = {Device.CPU: False, Device.CUDA: True, Device.AUTO: None}[device]
            return executor_for(self.workers, self.executor, ray_address=self.ray_address, gpu=gpu)
        # One process keeps a GPU busy, and each would hold a model of its own.
        return executor_for(1 if may_use_gpu(device) else self.workers)


def with_tier(
    config: Config,
    *,
    tier: str | None = None,
    model: str | None = None,
    rows: int | None = None,
    minutes: float | None = None,
) -> Config:
    """Settings with a tier of the detector, and what goes with it, in place of those of the file.

    `cascade` becomes the tier `fast` and this stage, with the model that was named for the tier.

    Args:
        config: as it was read.
        tier: `fast`, `encoder`, `custom` or `cascade`; None leaves what the file says.
        model: folder, file or hub id for the tiers other than `fast`.
        rows: budget of the cascade.
        minutes: the same in time.

    Raises:
        ConfigError: a budget without a cascade, or a model for the fast tier.
    """
    signal = dict(config.signals.get(SIGNAL, {}))
    signal |= {key: value for key, value in (("tier", tier), ("model", model)) if value is not None}
    chosen = signal.get("tier", "fast")
    budget = {key: value for key, value in (("rows", rows), ("minutes", minutes)) if value is not None}
    if chosen != Cascade.name:
        if budget:
            raise ConfigError(f"--ai-{next(iter(budget))} is the budget of a cascade. Add --ai-tier cascade.")
        if model is not None and chosen == "fast":
            raise ConfigError(f"--ai-model {model}: the fast tier has a model of its own. Add --ai-tier.")
        return replace(config, signals={**config.signals, SIGNAL: signal} if signal else config.signals)
    moved = {key: signal.pop(key) for key in _OF_MODEL if key in signal}
    address = {"ray_address": config.scan.ray_address} if config.scan.ray_address else {}
    placed = {"executor": "ray", **address} if config.scan.executor == "ray" else {}
    usual = {"workers": config.scan.workers, "device": config.scan.device, **placed}
    stage = {**usual, **moved, **config.stages.get(Cascade.name, {}), **budget}
    if model is not None:
        stage["model"] = model
    stages = dict.fromkeys((*config.scan.stages, Cascade.name))
    return replace(
        config,
        scan=replace(config.scan, stages=tuple(stages)),
        signals={**config.signals, SIGNAL: {**signal, "tier": "fast"}},
        stages={**config.stages, Cascade.name: stage},
    )


@dataclass(frozen=True)
class _Plan:
    """The budget that was settled on.

    Attributes:
        digest: of the settings and of what they were applied to.
        rows: budget.
        seconds_a_row: that were timed; None where the budget was in rows.
        timed: rows that were timed.
    """

    digest: str
    rows: int
    seconds_a_row: float | None
    timed: int


def _recorded(folder: Path, digest: str) -> _Plan | None:
    """The budget that a run of the same settings over the same findings settled on."""
    try:
        record = json.loads((folder / CASCADE_FILE).read_text("utf-8"))
        plan = _Plan(*(record[name] for name in ("digest", "rows", "seconds_a_row", "timed")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return plan if plan.digest == digest else None


def _budget(settings: Cascade, findings: Findings) -> tuple[int, float | None, int]:
    """Rows to judge, and what a row took where that decided."""
    if not settings.minutes:
        return settings.rows, None, 0
    few = _chosen(settings, findings, _TIMED_ROWS)
    judge = loaded(settings, Device(settings.device))
    timed = [text for batch in texts(findings, few.row) for text in batch]
    judge.margins(timed[:1])
    began = time.monotonic()
    judge.margins(timed)
    seconds = (time.monotonic() - began) / max(1, len(timed))
    affordable = int(settings.minutes * 60 / max(seconds, 1e-9)) if timed else settings.rows
    return max(1, min(settings.rows, affordable)), seconds, len(timed)


def _chosen(settings: Cascade, findings: Findings, rows: int) -> Choice:
    chooser = Chooser(Budget(rows, settings.band_share, settings.rate))
    numbers = {shard.key: int.from_bytes(hashlib.sha256(shard.key.encode()).digest()[:8]) for shard in findings.shards}
    first = dict(zip((shard.key for shard in findings.shards), starts(findings)[:-1].tolist(), strict=True))
    for part in findings.parts({SIGNAL: None}):
        fields = calibrated(part)[SIGNAL].struct
        p = fields.field("p_human").cast(float).fill_null(float("nan")).to_numpy().astype(np.float64)
        row, key = part["row"].to_numpy().astype(np.int64), str(part["shard"][0])
        chooser.add(row + first[key], p, random_keys(row, numbers[key], findings.seed))
    return chooser.choice()


@dataclass(frozen=True, eq=False)
class _Found:
    """What the model said of the chosen rows.

    Attributes:
        choice: the rows.
        table: margin, windows and tier of each.
    """

    choice: Choice
    table: pa.Table

    def summary(self) -> dict[str, object]:
        """What `cascade.json` says of the run; null where no row was chosen."""
        low, high = (None if math.isnan(edge) else edge for edge in self.choice.band)
        return {
            "tier": self.table["tier"][0].as_py() if len(self.table) else None,
            "chosen": len(self.choice.row),
            "in_band": int(self.choice.in_band.sum()),
            "band": [low, high],
        }

    def rows(self, start: int, stop: int) -> tuple[pa.RecordBatch, pa.BooleanArray]:
        """`Cascade.schema` for rows of the corpus."""
        row = self.choice.row
        low, high = np.searchsorted(row, [start, stop])
        at = np.full(stop - start, -1)
        at[row[low:high] - start] = np.arange(low, high)
        take = pa.array(at, mask=at < 0)
        reason = pa.array(np.where(self.choice.in_band, BAND, SAMPLE), pa.string())
        columns = {
            "margin": _column(self.table, "margin"),
            "tier": _column(self.table, "tier"),
            "chosen": reason,
            "chance": pa.array(self.choice.chance),
            "windows": _column(self.table, "windows"),
        }
        batch = pa.record_batch([columns[name].take(take) for name in Cascade.schema.names], schema=Cascade.schema)
        return batch, pa.array(np.ones(stop - start, np.bool_))


def _column(table: pa.Table, name: str) -> pa.Array:
    found = table[name].combine_chunks()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
