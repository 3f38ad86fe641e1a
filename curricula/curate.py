"""Curates: findings and rules in, training shards and a manifest out; resumable, same request, same bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.corpus import Shard
from audit.execute import Executor, Serial
from audit.findings_folder import Findings, write_json
from audit.folders import Folder
from audit.layout import Kind
from audit.layout import Layout as TextLayout
from audit.lock import locked
from audit.rows import recorded_layout
from audit.rules import Rule
from audit.signature import config_hash
from curricula.account import Account
from curricula.decisions import Spool
from curricula.emit import Emission, Emitted, emit
from curricula.foresee import Preview, Request, foresee, preview, settings_of
from curricula.form_files import is_masked, write_forms
from curricula.inputs import check_digests, find_inputs, refuse_overlap
from curricula.manifest import NAME, Manifest
from curricula.output import LOCK, PLAN, Output
from curricula.part_files import Receipt
from curricula.plan import Places, Plan, Settled, build_plan
from curricula.protocols import Dividing, Editing
from curricula.stored import Series, group_series
from detectors.errors import OutputError

__all__ = ["Curated", "Preview", "Request", "curate", "preview"]


@dataclass(frozen=True)
class Curated:
    """What was made.

    Attributes:
        manifest: as written.
        path: or URL of the manifest.
        foreseen: what was to be made, per source and per shard.
        already: True when the folder held the finished output before.
    """

    manifest: Manifest
    path: str
    foreseen: Preview
    already: bool


def curate(
    findings: Findings,
    rules: Sequence[Rule],
    out: Path | str,
    request: Request,
    *,
    fresh: bool = False,
    work: Path | None = None,
    on_progress: Callable[[str, float, float], None] = lambda phase, done, total: None,
    executor: Executor | None = None,
) -> Curated:
    """Write OUT/data, OUT/dropped, OUT/plan.parquet and, last, OUT/manifest.json.

    Args:
        findings: of a finished scan.
        rules: all rules that judge.
        out: a new or empty folder, on disk or a URL, or one that the same request was writing: then the work goes on
            where it was, or from the start where the work is not on this machine.
        request: what to make.
        fresh: clear what an earlier curate left in `out`.
        work: folder for what is unfinished, where `out` is a URL; None takes one in the user's cache.
        on_progress: called with the phase ("decide", "digest", "rows"), what is done and what there is to do.
        executor: whose workers read and write rows; None does it in this process. No byte depends on it.

    Raises:
        ConfigError: as `preview`; or `out` holds another request's output.
        FindingsError: findings that are incomplete.
        InputError: an input that is gone or changed.
        OutputError: too much would be lost, or `out` must not be written, or another process is writing it.
    """
    output = Output.of(out, work)
    shards = find_inputs(findings, request.corpus)
    refuse_overlap(output.folder, output.spool, findings, shards)
    on_progress("decide", 0, 1)
    with closing(Spool()) as spool:
        foreseen, settled = foresee(findings, rules, request, spool)
        settings = settings_of(findings, foreseen, request)
        if foreseen.refusal is not None:
            raise OutputError(foreseen.refusal)
        output.refuse_foreign(settings, fresh=fresh)
        sizes = sum(record.size_bytes for record in findings.shards)
        check_digests(shards, findings.shards, _counter("digest", sizes, on_progress))
        series = group_series(shards)
        with locked(output.spool, LOCK):
            output.refuse_foreign(settings, fresh=fresh)  # another run may have been here since
            output.open(settings, fresh=fresh)
            already = output.finished
            if already:
                manifest = output.manifest()
            else:
                job = _Job(findings, foreseen, request, output, shards, series, executor or Serial())
                plan = job.planned(spool, settled)
                del settled  # some 15 bytes a row, which the writing of rows does not need
                manifest = job.run(plan, settings, on_progress)
            output.close()
    return Curated(manifest, output.folder.at(NAME), foreseen, already)


@dataclass(frozen=True)
class _Job:
    """One output to write, whose spool is held."""

    findings: Findings
    foreseen: Preview
    request: Request
    output: Output
    shards: Sequence[Shard]
    series: Sequence[Series]
    executor: Executor

    @property
    def layouts(self) -> list[TextLayout]:
        """How the shards of each series were read, where answers are edited: their columns are the same, so this is."""
        if not any(isinstance(curriculum, Editing) for curriculum in self.foreseen.curricula):
            return []
        records = [self.findings.shards[one.shards[0]] for one in self.series]
        return [recorded_layout(record, record.uri) for record in records]

    def planned(self, spool: Spool, settled: Settled) -> Plan:
        """The plan, or the one that a killed run had finished."""
        record, path = self.output.work / "plan.json", self.output.plan
        if record.exists() and path.exists():
            return Plan.from_record(path, json.loads(record.read_text("utf-8")))
        pairs = zip(self.series, self.layouts, strict=False)
        places = Places(
            shards=[(record.key, record.rows) for record in self.findings.shards],
            series=[one.shards for one in self.series],
            editable=[at for one, layout in pairs if layout.kind is not Kind.TEXT for at in one.shards],
            shape=self.request.shape,
            layout=self.request.layout,
            seed=self.request.seed,
        )
        plan = build_plan(spool, settled, places, path, self.output.work)
        write_json(record, {**dataclasses.asdict(plan), "path": PLAN})
        return plan

    def run(
        self, plan: Plan, settings: Mapping[str, Any], on_progress: Callable[[str, float, float], None]
    ) -> Manifest:
        """Write the rows and, last, the manifest."""
        folder = self.output.held(settings)
        emitted = emit(
            Emission(
                out=folder,
                work=self.output.work,
                shards=self.shards,
                rows=[record.rows for record in self.findings.shards],
                series=self.series,
                layouts=self.layouts,
                plan=plan,
                layout=self.request.layout,
                advance=_counter("rows", self._steps(plan), on_progress),
                executor=self.executor,
            )
        )
        emitted.masks = self._masks(folder, emitted)
        self.output.refuse_strangers(emitted)
        account = Account(self.findings, self.foreseen, config_hash(settings), plan, self.series, emitted)
        manifest = account.manifest(self.request, [shard.schema() for shard in self.shards])
        self.output.commit(manifest, settings)
        return manifest

    def _masks(self, folder: Folder, emitted: Emitted) -> list[Receipt]:
        """Write what is form of the parts of which a curriculum says so."""
        masked = [part for one in self.foreseen.curricula if isinstance(one, Dividing) for part in one.masked]
        chosen = [receipt for receipt in emitted.data if masked and is_masked(receipt.path, receipt.series, masked)]
        records = {one.name: self.findings.shards[one.shards[0]] for one in self.series}
        layouts = {name: recorded_layout(record, record.uri) for name, record in records.items()}
        return list(write_forms(folder, self.output.work, chosen, layouts))

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
