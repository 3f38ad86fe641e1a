"""Curates: findings and rules in, training shards and a manifest out; resumable, same request, same bytes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit import __version__
from audit.assess import calibration_digest, judged_signature
from audit.calibrate import tables_of
from audit.corpus import Shard
from audit.destination import local_folder
from audit.findings import Findings, write_json
from audit.layout import Kind
from audit.layout import Layout as TextLayout
from audit.lock import locked
from audit.rows import recorded_layout
from audit.rules import Rule, rules_hash
from audit.signature import config_hash
from curricula.choosing import choose_drops, need_signals
from curricula.decisions import Spool, decided_parts
from curricula.edit import original_name
from curricula.emit import Emission, Emitted, ShardSums, dropped_names, emit
from curricula.inputs import check_digests, find_inputs, refuse_overlap
from curricula.manifest import NAME, InputShard, Manifest, SeriesRecord, encode_schema
from curricula.order import resolve
from curricula.output import LOCK, PLAN, WORK, finished, open_output, refuse_foreign, refuse_strangers
from curricula.part_files import Layout, sha256
from curricula.plan import Plan, build_plan
from curricula.protocols import Curriculum, Dropping, Editing
from curricula.stored import Series, group_series
from curricula.tally import Counts, Tally, refuse_loss
from detectors.errors import OutputError

__all__ = ["Curated", "Preview", "Request", "curate", "preview"]


@dataclass(frozen=True)
class Request:
    """What to make of findings.

    Attributes:
        curriculum: names of curricula; one may order.
        drop: ids or prefixes of rules whose rows go to dropped/. Rules with `action = "drop"` are dropped anyway.
        allow_loss: largest share of rows (0-1) that a source may lose.
        seed: of ties and shuffles.
        corpus: folder that the inputs were moved to.
        layout: sizes of the output.
    """

    curriculum: tuple[str, ...] = ("human-first",)
    drop: tuple[str, ...] = ()
    allow_loss: float = 0.5
    seed: int = 17
    corpus: str | None = None
    layout: Layout = field(default_factory=Layout)


@dataclass(frozen=True)
class Preview:
    """What a request would do.

    Attributes:
        tally: per source and per shard.
        drop: ids of the rules that drop.
        rules: the rules that can be judged, in rule order.
        curricula: as built.
        refusal: why it would be refused; None when it would not.
    """

    tally: Tally
    drop: tuple[str, ...]
    rules: tuple[Rule, ...]
    curricula: tuple[Curriculum, ...]
    refusal: str | None


@dataclass(frozen=True)
class Curated:
    """What was made.

    Attributes:
        manifest: as written.
        path: of the manifest.
        tally: per source and per shard.
        already: True when the folder held the finished output before.
    """

    manifest: Manifest
    path: Path
    tally: Tally
    already: bool


def preview(findings: Findings, rules: Sequence[Rule], request: Request) -> Preview:
    """Decide and count, and write nothing.

    Raises:
        ConfigError: a rule to drop, or a curriculum, that needs what was not measured; or two orders.
        PluginError: a curriculum that does not exist.
    """
    return _foreseen(findings, rules, request)


def _foreseen(findings: Findings, rules: Sequence[Rule], request: Request, spool: Spool | None = None) -> Preview:
    """The preview, with what is decided of each row written to the spool."""
    curricula = resolve(request.curriculum, request.seed)
    need_signals(findings, curricula)
    asked = {prefix: f"--drop {prefix}" for prefix in request.drop}
    for curriculum in curricula:
        if isinstance(curriculum, Dropping):
            asked |= {rule: f"curriculum {curriculum.name} drops {rule}" for rule in curriculum.drops}
    judged, drop = choose_drops(findings, rules, asked)
    needs = [name for curriculum in curricula for name in curriculum.needs]
    if spool is None:
        parts = decided_parts(findings, judged)
    else:
        parts = spool.passing(decided_parts(findings, judged, needs), needs)
    tally = Tally.of(parts, [rule.id for rule in judged], drop)
    try:
        refuse_loss(tally, request.allow_loss)
    except OutputError as error:
        return Preview(tally, drop, judged, curricula, str(error))
    return Preview(tally, drop, judged, curricula, None)


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
        foreseen = _foreseen(findings, rules, request, spool)
        settings = _settings(findings, foreseen, request)
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
                job = _Job(findings, foreseen, spool, request, folder, config_hash(settings), shards, series)
                manifest = job.run(on_progress)
            shutil.rmtree(folder / WORK, ignore_errors=True)
            (folder / LOCK).unlink()
    return Curated(manifest, folder / NAME, foreseen.tally, already)


@dataclass(frozen=True)
class _Job:
    """One output to write into a folder that is held."""

    findings: Findings
    foreseen: Preview
    spool: Spool
    request: Request
    out: Path
    run_hash: str
    shards: Sequence[Shard]
    series: Sequence[Series]

    def run(self, on_progress: Callable[[str, float, float], None]) -> Manifest:
        """Plan, write the rows and, last, the manifest."""
        editing = any(isinstance(curriculum, Editing) for curriculum in self.foreseen.curricula)
        layouts = [_layout(self.findings, one) for one in self.series] if editing else []
        plan = _planned(self.findings, self.foreseen, self.spool, (self.series, layouts), self.out)
        emitted = emit(
            Emission(
                out=self.out,
                work=self.out / WORK,
                shards=self.shards,
                rows=[record.rows for record in self.findings.shards],
                series=self.series,
                layouts=layouts,
                plan=plan,
                layout=self.request.layout,
                advance=_counter("rows", self._steps(plan), on_progress),
            )
        )
        refuse_strangers(self.out, emitted)
        account = _Account(self.findings, self.foreseen, self.run_hash, plan, self.series, emitted)
        manifest = account.manifest(self.request, [shard.schema() for shard in self.shards])
        manifest.write(self.out / NAME)
        return manifest

    def _steps(self, plan: Plan) -> int:
        """Rows to read, and those to write again in order."""
        moved = [one for one, in_order in zip(self.series, plan.sorted, strict=True) if not in_order]
        return self.findings.rows + sum(plan.kept[at] for one in moved for at in one.shards)


def _counter(phase: str, total: float, on_progress: Callable[[str, float, float], None]) -> Callable[[int], None]:
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        on_progress(phase, done, total)

    return advance


def _settings(findings: Findings, foreseen: Preview, request: Request) -> dict[str, Any]:
    """Everything that the bytes of the output depend on."""
    return {
        "foxing": __version__,
        "pyarrow": pa.__version__,
        "shards": config_hash([[record.key, record.uri, record.digest, record.rows] for record in findings.shards]),
        "signals": config_hash([dataclasses.asdict(signal) for signal in findings.signals]),
        "by": findings.by,
        "curriculum": [_curriculum(curriculum) for curriculum in foreseen.curricula],
        "drop": list(foreseen.drop),
        "rules": rules_hash(foreseen.rules),
        "calibration": calibration_digest(findings, tables_of(findings)),
        "seed": request.seed,
        "layout": dataclasses.asdict(request.layout),
    }


def _curriculum(curriculum: Curriculum) -> dict[str, Any]:
    config = dataclasses.asdict(curriculum) if dataclasses.is_dataclass(curriculum) else {"seed": curriculum.seed}
    return {"name": curriculum.name, "config": config}


def _layout(findings: Findings, series: Series) -> TextLayout:
    """How the shards of a series were read: their columns are the same, so their layout is."""
    record = findings.shards[series.shards[0]]
    return recorded_layout(record, record.uri)


def _planned(
    findings: Findings,
    foreseen: Preview,
    spool: Spool,
    laid_out: tuple[Sequence[Series], Sequence[TextLayout]],
    out: Path,
) -> Plan:
    """The plan, or the one that a killed run had finished."""
    series, layouts = laid_out
    record = out / WORK / "plan.json"
    if record.exists() and (out / PLAN).exists():
        facts = json.loads(record.read_text("utf-8"))
        lists = {name: tuple(facts[name]) for name in ("first", "kept", "dropped", "sorted", "edited")}
        return Plan(path=out / PLAN, unranked=facts["unranked"], **lists)
    shutil.rmtree(out / WORK / "decided", ignore_errors=True)
    plan = build_plan(
        spool.parts(),
        [(record.key, record.rows) for record in findings.shards],
        [one.shards for one in series],
        foreseen.curricula,
        path=out / PLAN,
        work=out / WORK / "decided",
        editable=[
            at
            for one, layout in zip(series, layouts, strict=False)
            if layout.kind is not Kind.TEXT
            for at in one.shards
        ],
    )
    write_json(record, {**dataclasses.asdict(plan), "path": PLAN})
    return plan


@dataclass(frozen=True)
class _Account:
    """All that the manifest tells."""

    findings: Findings
    foreseen: Preview
    run: str
    plan: Plan
    series: Sequence[Series]
    emitted: Emitted

    def manifest(self, request: Request, schemas: Sequence[pa.Schema]) -> Manifest:
        """The manifest, not yet written."""
        foreseen, plan, sources = self.foreseen, self.plan, self.foreseen.tally.sources
        return Manifest(
            foxing=__version__,
            signature=judged_signature(self.findings, foreseen.rules, tables_of(self.findings)),
            run=self.run,
            curricula=tuple(_curriculum(curriculum) for curriculum in foreseen.curricula),
            seed=request.seed,
            drop=foreseen.drop,
            rules={rule.id: rule.when for rule in foreseen.rules},
            unranked=plan.unranked,
            plan={"path": PLAN, "rows": plan.first[-1], "sha256": sha256(plan.path)},
            series=tuple(self._series_record(one) for one in self.series),
            inputs=self._inputs(schemas),
            sources={one.name: {"rows": one.rows, "kept": one.kept, "dropped": one.rows - one.kept} for one in sources},
            data=tuple(self.emitted.data),
            dropped=tuple(self.emitted.dropped),
        )

    def _series_record(self, series: Series) -> SeriesRecord:
        edited = any(self.plan.edited[at] for at in series.shards)
        return SeriesRecord(
            name=series.name,
            columns={field.name: str(field.type) for field in series.schema},
            dropped_columns=dropped_names(series.schema),
            changes=series.changes,
            schema=encode_schema(series.schema),
            layout=self.findings.shards[series.shards[0]].layout if edited else "",
            original=original_name(series.schema) if edited else "",
        )

    def _inputs(self, schemas: Sequence[pa.Schema]) -> tuple[InputShard, ...]:
        counts = {counts.name: counts for counts in self.foreseen.tally.shards}
        owner = {at: one for one in self.series for at in one.shards}
        return tuple(
            self._input(at, counts.get(record.key), owner[at], schemas[at])
            for at, record in enumerate(self.findings.shards)
        )

    def _input(self, at: int, found: Counts | None, series: Series, schema: pa.Schema) -> InputShard:
        record, sums, plan = self.findings.shards[at], self.emitted.sums.get(at, ShardSums()), self.plan
        return InputShard(
            key=record.key,
            uri=record.uri,
            format=record.format,
            digest=record.digest,
            size_bytes=record.size_bytes,
            series=series.name,
            rows=record.rows,
            kept=record.rows - plan.dropped[at],
            rows_out=plan.kept[at],
            dropped=plan.dropped[at],
            errored=record.rows - sums.rows,
            unscored=found.unscored if found else 0,
            dropped_by=_nonzero(found, "dropped"),
            hits=_nonzero(found, "hits"),
            content=sums.content,
            once_content=sums.once_content,
            kept_content=sums.kept_content,
            kept_order=sums.kept_order,
            edited=plan.edited[at],
            dropped_content=sums.dropped_content,
            schema="" if schema.equals(series.schema, check_metadata=True) else encode_schema(schema),
        )


def _nonzero(counts: Counts | None, name: str) -> dict[str, int]:
    return {rule: rows for rule, rows in getattr(counts, name).items() if rows} if counts else {}
