"""Curates: findings and rules in, training shards and a manifest out; resumable, same request, same bytes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from audit.corpus import Shard
from audit.destination import local_folder
from audit.findings import Findings, write_json
from audit.layout import Kind
from audit.layout import Layout as TextLayout
from audit.lock import locked
from audit.rows import recorded_layout
from audit.rules import Rule
from audit.signature import config_hash
from curricula.account import Account
from curricula.decisions import Spool
from curricula.emit import Emission, emit
from curricula.foresee import Preview, Request, foresee, preview, settings_of
from curricula.inputs import check_digests, find_inputs, refuse_overlap
from curricula.manifest import NAME, Manifest
from curricula.output import LOCK, PLAN, WORK, finished, open_output, refuse_foreign, refuse_strangers
from curricula.plan import Places, Plan, Settled, build_plan
from curricula.protocols import Editing
from curricula.stored import Series, group_series
from detectors.errors import OutputError

__all__ = ["Curated", "Preview", "Request", "curate", "preview"]


@dataclass(frozen=True)
class Curated:
    """What was made.

    Attributes:
        manifest: as written.
        path: of the manifest.
        foreseen: what was to be made, per source and per shard.
        already: True when the folder held the finished output before.
    """

    manifest: Manifest
    path: Path
    foreseen: Preview
    already: bool


def curate(
    findings: Findings,
    rules: Sequence[Rule],
    out: Path | str,
    request: Request,
    *,
    fresh: bool = False,
    on_progress: Callable[[str, float, float], None] = lambda phase, done, total: None,
) -> Curated:
    """Write OUT/data, OUT/dropped, OUT/plan.parquet and, last, OUT/manifest.json.

    Args:
        findings: of a finished scan.
        rules: all rules that judge.
        out: a new or empty folder, or one that the same request was writing: then the work goes on where it was.
        request: what to make.
        fresh: clear what an earlier curate left in `out`.
        on_progress: called with the phase ("decide", "digest", "rows"), what is done and what there is to do.

    Raises:
        ConfigError: as `preview`; or `out` holds another request's output.
        FindingsError: findings that are incomplete.
        InputError: an input that is gone or changed.
        OutputError: too much would be lost, or `out` must not be written, or another process is writing it.
    """
    folder = local_folder(out)
    shards = find_inputs(findings, request.corpus)
    refuse_overlap(folder, findings, shards)
    on_progress("decide", 0, 1)
    with closing(Spool()) as spool:
        foreseen, settled = foresee(findings, rules, request, spool)
        settings = settings_of(findings, foreseen, request)
        if foreseen.refusal is not None:
            raise OutputError(foreseen.refusal)
        refuse_foreign(folder, settings, fresh=fresh)
        sizes = sum(record.size_bytes for record in findings.shards)
        check_digests(shards, findings.shards, _counter("digest", sizes, on_progress))
        series = group_series(shards)
        with locked(folder, LOCK):
            refuse_foreign(folder, settings, fresh=fresh)  # another run may have been here since
            open_output(folder, settings, fresh=fresh)
            already = (folder / NAME).exists()
            if already:
                manifest = finished(folder)
            else:
                job = _Job(findings, foreseen, request, folder, shards, series)
                plan = job.planned(spool, settled)
                del settled  # some 15 bytes a row, which the writing of rows does not need
                manifest = job.run(plan, config_hash(settings), on_progress)
            shutil.rmtree(folder / WORK, ignore_errors=True)
            (folder / LOCK).unlink()
    return Curated(manifest, folder / NAME, foreseen, already)


@dataclass(frozen=True)
class _Job:
    """One output to write into a folder that is held."""

    findings: Findings
    foreseen: Preview
    request: Request
    out: Path
    shards: Sequence[Shard]
    series: Sequence[Series]

    @property
    def layouts(self) -> list[TextLayout]:
        """How the shards of each series were read, where answers are edited: their columns are the same, so this is."""
        if not any(isinstance(curriculum, Editing) for curriculum in self.foreseen.curricula):
            return []
        records = [self.findings.shards[one.shards[0]] for one in self.series]
        return [recorded_layout(record, record.uri) for record in records]

    def planned(self, spool: Spool, settled: Settled) -> Plan:
        """The plan, or the one that a killed run had finished."""
        record = self.out / WORK / "plan.json"
        if record.exists() and (self.out / PLAN).exists():
            return Plan.from_record(self.out / PLAN, json.loads(record.read_text("utf-8")))
        pairs = zip(self.series, self.layouts, strict=False)
        places = Places(
            shards=[(record.key, record.rows) for record in self.findings.shards],
            series=[one.shards for one in self.series],
            editable=[at for one, layout in pairs if layout.kind is not Kind.TEXT for at in one.shards],
            shape=self.request.shape,
            layout=self.request.layout,
            seed=self.request.seed,
        )
        plan = build_plan(spool, settled, places, self.out / PLAN, self.out / WORK)
        write_json(record, {**dataclasses.asdict(plan), "path": PLAN})
        return plan

    def run(self, plan: Plan, run_hash: str, on_progress: Callable[[str, float, float], None]) -> Manifest:
        """Write the rows and, last, the manifest."""
        emitted = emit(
            Emission(
                out=self.out,
                work=self.out / WORK,
                shards=self.shards,
                rows=[record.rows for record in self.findings.shards],
                series=self.series,
                layouts=self.layouts,
                plan=plan,
                layout=self.request.layout,
                advance=_counter("rows", self._steps(plan), on_progress),
            )
        )
        refuse_strangers(self.out, emitted)
        account = Account(self.findings, self.foreseen, run_hash, plan, self.series, emitted)
        manifest = account.manifest(self.request, [shard.schema() for shard in self.shards])
        manifest.write(self.out / NAME)
        return manifest

    def _steps(self, plan: Plan) -> int:
        """Rows to read, and those to write again in order."""
        moved = [sections.rows for sections, in_order in zip(plan.sections, plan.sorted, strict=True) if not in_order]
        return self.findings.rows + sum(moved)


def _counter(phase: str, total: float, on_progress: Callable[[str, float, float], None]) -> Callable[[int], None]:
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        on_progress(phase, done, total)

    return advance
