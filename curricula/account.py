"""Makes the manifest of an output: what the plan, the tally and the sums of the rows come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audit import __version__
from audit.assess import judged_signature
from audit.calibrate import tables_of
from audit.findings_folder import Findings
from curricula.edit import original_name
from curricula.emit import Emitted, ShardSums, dropped_names
from curricula.foresee import Preview, Request, asked_of, described
from curricula.manifest import InputShard, Manifest, SectionRecord, SeriesRecord, encode_schema
from curricula.output import PLAN
from curricula.part_files import sha256
from curricula.plan import Plan
from curricula.protocols import Curriculum
from curricula.stored import Series
from curricula.tally import Counts

__all__ = ["Account"]


@dataclass(frozen=True)
class Account:
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
            curricula=tuple(self._curriculum(curriculum) for curriculum in foreseen.curricula),
            seed=request.seed,
            request={**asked_of(request), "count": request.count},
            drop=foreseen.drop,
            rules={rule.id: rule.when for rule in foreseen.rules},
            unranked=plan.unranked,
            plan={"path": PLAN, "rows": plan.first[-1], "sha256": sha256(plan.path)},
            series=tuple(self._series_record(number) for number in range(len(self.series))),
            inputs=self._inputs(schemas),
            sources={one.name: _source(one) for one in sources},
            data=tuple(self.emitted.data),
            dropped=tuple(self.emitted.dropped),
            masks=tuple(self.emitted.masks),
        )

    def _curriculum(self, curriculum: Curriculum) -> Mapping[str, Any]:
        report = self.foreseen.reports.get(curriculum.name)
        return {**described(curriculum), **({"report": report} if report else {})}

    def _series_record(self, number: int) -> SeriesRecord:
        series, sections = self.series[number], self.plan.sections[number]
        edited = any(self.plan.edited[at] for at in series.shards)
        return SeriesRecord(
            name=series.name,
            columns={field.name: str(field.type) for field in series.schema},
            dropped_columns=dropped_names(series.schema),
            changes=series.changes,
            schema=encode_schema(series.schema),
            layout=self.findings.shards[series.shards[0]].layout if edited else "",
            original=original_name(series.schema) if edited else "",
            sections=tuple(SectionRecord(one.name, one.stop - one.start) for one in sections.members),
            block=sections.block,
            seed=sections.seed,
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
            exempt=found.exempt if found else 0,
            spared=found.spared if found else 0,
            dropped_by=_nonzero(found, "dropped"),
            hits=_nonzero(found, "hits"),
            content=sums.content,
            once_content=sums.once_content,
            kept_content=sums.kept_content,
            kept_order=sums.kept_order,
            edited=plan.edited[at] - sums.unedited,
            unedited=sums.unedited,
            dropped_content=sums.dropped_content,
            schema="" if schema.equals(series.schema, check_metadata=True) else encode_schema(schema),
        )


def _nonzero(counts: Counts | None, name: str) -> dict[str, int]:
    return {rule: rows for rule, rows in getattr(counts, name).items() if rows} if counts else {}


def _source(counts: Counts) -> dict[str, int]:
    return {
        "rows": counts.rows,
        "kept": counts.kept,
        "dropped": counts.rows - counts.kept,
        "rows_out": counts.after.rows,
        "exempt": counts.exempt,
        "spared": counts.spared,
    }
