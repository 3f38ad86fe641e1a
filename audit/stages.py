"""Stages: what is known of a row only once the whole corpus is measured, written beside the findings as they are.

A stage reads findings and gives every row a struct of its own, so rules, exports and curricula see it as they see a
signal. It runs at the end of a scan, again whenever what it depends on has changed, and never twice for the same.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from audit.allocator import give_back
from audit.findings_folder import Findings, SignalRecord
from audit.parts import ROWS_PER_GROUP, PartIdentity, PartWriter, part_path, read_identity
from audit.signature import config_hash, signal_config

__all__ = ["Fitting", "Rows", "Stage", "run_stages"]

Rows = Callable[[int, int], tuple[pa.RecordBatch, pa.BooleanArray]]
"""`Stage.schema` for the rows from one number up to another, in corpus order, and which of them could be judged."""


@runtime_checkable
class Stage(Protocol):
    """One thing that is known of a document in relation to all others.

    An instance is its settings: a frozen dataclass, registered in the entry-point group `foxing.stages`. Raise
    `version` whenever the same settings would give other results.

    Attributes:
        name: of its folder and its struct column.
        version: of the method.
        needs: signals whose findings it reads; without one of them the stage does not run.
        schema: fields of the struct.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[str, ...]]
    schema: ClassVar[pa.Schema]

    def depends(self, findings: Findings) -> list[object]:
        """What of these findings the result depends on, JSON-ready."""
        ...

    def prepare(self, findings: Findings, work: Path, advance: Callable[[int], None]) -> Rows:
        """Look at the whole corpus.

        Args:
            findings: of signals, and of the stages before this one.
            work: folder with room for temporary files.
            advance: to be called with rows done, for progress.
        """
        ...


@runtime_checkable
class Fitting(Protocol):
    """A stage that cannot use every measurement of the signals that it needs; optional."""

    def fits(self, findings: Findings) -> bool:
        """Whether it can run on these; where it cannot, it is as if a signal had not been scanned."""
        ...


def run_stages(
    findings: Findings,
    stages: Sequence[Stage],
    *,
    commit: Callable[[Findings], None],
    advance: Callable[[str, int], None],
) -> Findings:
    """Run the stages whose signals were scanned, and say of which they have findings.

    Args:
        findings: of signals alone, whole on disk.
        stages: in order.
        commit: called before the first file of a stage is replaced, with findings that do not name that stage: a run
            that is killed meanwhile leaves no record that promises what is half there.
        advance: called with the name of a stage and rows done.

    Returns:
        The findings with a record of every stage that ran, not committed yet.
    """
    for leftover in findings.directory.glob(".stage-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for stage in stages:
        if not set(stage.needs) <= {signal.name for signal in findings.measured}:
            continue
        if isinstance(stage, Fitting) and not stage.fits(findings):
            continue
        config = signal_config(stage)
        settings = [stage.version, signal_config(stage, located=False)]
        digest = config_hash([*settings, stage.depends(findings)])
        if not _whole(findings, stage, digest):
            commit(findings)
            shutil.rmtree(findings.directory / "findings" / stage.name, ignore_errors=True)
            # A stage takes memory of its own, and what came before it needs none of its any more.
            give_back()
            _write(findings, stage, digest, partial(advance, stage.name))
        record = SignalRecord(stage.name, stage.version, config, config_hash(settings))
        findings = dataclasses.replace(findings, signals=(*findings.signals, record))
    return findings


def _whole(findings: Findings, stage: Stage, digest: str) -> bool:
    for shard in findings.shards:
        for first_row in shard.parts:
            identity = read_identity(part_path(findings.directory, stage.name, shard.key, first_row))
            if identity is None or identity.config != {"digest": digest}:
                return False
    return True


def _write(findings: Findings, stage: Stage, digest: str, advance: Callable[[int], None]) -> None:
    work = findings.directory / f".stage-{stage.name}"
    work.mkdir(exist_ok=True)
    try:
        rows = stage.prepare(findings, work, advance)
        start = 0
        for shard in findings.shards:
            ends = (*shard.parts[1:], shard.rows)[: len(shard.parts)]  # a shard without rows has no parts
            for first_row, end in zip(shard.parts, ends, strict=True):
                path = part_path(findings.directory, stage.name, shard.key, first_row)
                identity = PartIdentity(
                    signal=stage.name,
                    version=stage.version,
                    config={"digest": digest},
                    seed=findings.seed,
                    layout=shard.layout,
                    digest=shard.digest,
                    first_row=first_row,
                    rows=end - first_row,
                )
                writer = PartWriter(path, identity, stage.schema)
                try:
                    for at in range(first_row, end, ROWS_PER_GROUP):
                        batch, measured = rows(start + at, start + min(end, at + ROWS_PER_GROUP))
                        writer.write(batch, measured, None)
                    writer.close()
                except BaseException:
                    writer.abandon()
                    raise
            start += shard.rows
    finally:
        shutil.rmtree(work, ignore_errors=True)
