"""Foresees what a request would do: decides, ranks and limits every row, counts, and says why it would be refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit import __version__
from audit.assess import calibration_digest
from audit.calibrate import tables_of
from audit.config import AllowConfig
from audit.corpus import Shard
from audit.findings_folder import Findings
from audit.rules import Rule, rules_hash
from audit.signature import config_hash
from curricula.allow import AllowList
from curricula.budgets import Budget, limit
from curricula.choosing import choose_drops, has_answers, need_signals, need_stage
from curricula.composing import Settings, resolve
from curricula.decisions import Spool, counting, decided_parts, schema_of
from curricula.guards import Limits, refusal
from curricula.inputs import find_input
from curricula.part_files import Layout
from curricula.plan import Settled
from curricula.protocols import Curriculum, Dropping, Editing
from curricula.ranking import Ranked, rank_rows
from curricula.sections import TEST, VALIDATION, Division, Shape
from curricula.splitting import held_out
from curricula.tally import Tally
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Prepared",
    "Preview",
    "Request",
    "allowed_by",
    "asked_of",
    "carried_out",
    "described",
    "foresee",
    "prepare",
    "preview",
    "settings_of",
]

DUPLICATES = "duplicates"


@dataclass(frozen=True)
class Request:
    """What to make of findings.

    Attributes:
        curriculum: names of curricula; one may order.
        drop: ids or prefixes of rules whose rows go to dropped/. Rules with `action = "drop"` are dropped anyway.
        allow_loss, min_rows, min_tokens, allow_loss_of: see `curricula.guards.Limits`.
        seed: of ties, shuffles, splits, and of curricula whose settings have none.
        corpus: folder that the inputs were moved to.
        layout: sizes of the output.
        tables: settings of curricula by name.
        budget: how much is kept, in which mix.
        shape: how the output is divided.
        allow: rows that no FX1 rule drops.
        count: field of findings by which tokens are counted, `SIGNAL.FIELD`.
    """

    curriculum: tuple[str, ...] = ("human-first",)
    drop: tuple[str, ...] = ()
    allow_loss: float = 0.5
    min_rows: int = 0
    min_tokens: int = 0
    allow_loss_of: Mapping[str, float] = field(default_factory=dict)
    seed: int = 17
    corpus: str | None = None
    layout: Layout = field(default_factory=Layout)
    tables: Settings = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    shape: Shape = field(default_factory=Shape)
    allow: AllowConfig = field(default_factory=AllowConfig)
    count: str = "document.words"


@dataclass(frozen=True)
class Preview:
    """What a request would do.

    Attributes:
        tally: per source and per shard.
        drop: ids of the rules that drop.
        rules: the rules that can be judged, in rule order.
        curricula: as built, in the order in which they are applied.
        count: what tokens are.
        reports: what curricula say that they came to, by name.
        held_out: rows of the output that are held out, copies counted; None where there is no split.
        parts: rows of each part of the output, copies counted, where a curriculum or a split divides it.
        in_order: whether the rows of the output stand in the order of the corpus.
        without_answers: kept rows of plain text, where a curriculum replaces answers and can replace none in them; None
            where no curriculum does.
        refusal: why it would be refused; None when it would not.
    """

    tally: Tally
    drop: tuple[str, ...]
    rules: tuple[Rule, ...]
    curricula: tuple[Curriculum, ...]
    count: str
    reports: Mapping[str, Mapping[str, float]]
    held_out: int | None
    parts: Mapping[str, int]
    in_order: bool
    without_answers: int | None
    refusal: str | None


def preview(findings: Findings, rules: Sequence[Rule], request: Request) -> Preview:
    """Decide and count, and write nothing.

    Raises:
        ConfigError: a rule to drop, or a curriculum, that needs what was not measured; two orders; or a setting, a
            source or a column that is not there.
        PluginError: a curriculum that does not exist, or does not keep its contract.
    """
    with closing(Spool()) as spool:
        return foresee(findings, rules, request, spool)[0]


def foresee(findings: Findings, rules: Sequence[Rule], request: Request, spool: Spool) -> tuple[Preview, Settled]:
    """The preview, and what is to become of each row; decided rows are written to the spool."""
    prepared = prepare(findings, rules, request, schema_of(findings))
    allowed = allowed_by(findings, request)
    spool.fill(
        decided_parts(findings, prepared.judged, prepared.needs, allowed, prepared.measures),
        prepared.needs,
        prepared.measures,
    )
    return carried_out(findings, prepared, spool)


@dataclass(frozen=True)
class Prepared:
    """A request, held against findings.

    Attributes:
        request: as it was made.
        curricula: as built, in the order in which they are applied.
        judged: the rules that can be judged, in rule order, those that drop with that action.
        drop: ids of the rules that drop.
        needs: signals that curricula read.
        measures: what else is read of each row, as `curricula.decisions.MEASURES` has it.
    """

    request: Request
    curricula: tuple[Curriculum, ...]
    judged: tuple[Rule, ...]
    drop: tuple[str, ...]
    needs: tuple[str, ...]
    measures: Mapping[str, tuple[str, str]]


def prepare(findings: Findings, rules: Sequence[Rule], request: Request, schema: pl.Schema | None) -> Prepared:
    """Hold a request against findings, before any row is read; errors are those of `preview`.

    Args:
        findings: of a finished scan.
        rules: all there are.
        request: what to make of them.
        schema: of the findings (`curricula.decisions.schema_of`).
    """
    curricula = resolve(request.curriculum, request.seed, request.tables)
    need_signals(findings, curricula)
    if request.shape.split is not None:
        need_stage(findings, DUPLICATES, "--split holds out whole clusters of near duplicates", "near_dup")
    asked = {prefix: f"--drop {prefix}" for prefix in request.drop}
    for curriculum in curricula:
        if isinstance(curriculum, Dropping):
            asked |= {rule: f"curriculum {curriculum.name} drops {rule}" for rule in curriculum.drops}
    judged, drop = choose_drops(findings, rules, asked, schema)
    needs = tuple(name for curriculum in curricula for name in curriculum.needs)
    return Prepared(request, curricula, judged, drop, needs, counting(request.count, schema))


def carried_out(findings: Findings, prepared: Prepared, spool: Spool) -> tuple[Preview, Settled]:
    """The preview of a request whose rows were decided, and what is to become of each row."""
    request, curricula, judged, drop = prepared.request, prepared.curricula, prepared.judged, prepared.drop
    settled = _settled(spool, drop, curricula, request)
    ranked, order, division = settled.ranked, settled.order, settled.division
    tally = Tally.of(spool, ranked, [rule.id for rule in judged])
    parts = division.rows(order, ranked.copies) if len(division.names) > 1 else {}
    refused = refusal(tally, ranked, spool, _limits(request))
    return Preview(
        tally=tally,
        drop=drop,
        rules=judged,
        curricula=curricula,
        count=request.count,
        reports=ranked.reports,
        held_out=_held_out(parts) if request.shape.split is not None else None,
        parts=parts,
        in_order=_in_order(division.written(order)) and request.shape.block < 2,
        without_answers=_without_answers(findings, ranked, curricula),
        refusal=refused or _one_sided(tally, parts, request),
    ), settled


def _limits(request: Request) -> Limits:
    return Limits(request.allow_loss, request.min_rows, request.min_tokens, request.allow_loss_of)


def allowed_by(findings: Findings, request: Request) -> AllowList | None:
    """The allow-list of a request; None where it names nothing."""
    if not request.allow.source and not request.allow.column:
        return None
    records = {record.key: record for record in findings.shards}

    def find(key: str) -> Shard:
        return find_input(records[key], request.corpus)

    return AllowList(request.allow, find)


def _settled(spool: Spool, drop: Sequence[str], curricula: Sequence[Curriculum], request: Request) -> Settled:
    ranked = rank_rows(spool, drop, curricula)
    order = ranked.order()
    if request.budget.limits:
        order = limit(ranked, spool, order, request.budget)
    split, division = request.shape.split, ranked.division or Division.whole(len(ranked.copies))
    if request.shape.stages and ranked.division is not None:
        raise ConfigError("staged: the output is divided by a curriculum already. Leave one of the two out.")
    if split is not None and len(order):
        division = division.split(held_out(spool, split, request.seed))
    return Settled(ranked, order, division)


def _in_order(written: npt.NDArray[np.int64]) -> bool:
    """Whether rows are written in the order of the corpus: parts of the output follow each other."""
    return bool((written[1:] > written[:-1]).all())


def _held_out(parts: Mapping[str, int]) -> int:
    return sum(rows for name, rows in parts.items() if name == VALIDATION or name.startswith(f"{TEST}/"))


def _without_answers(findings: Findings, ranked: Ranked, curricula: Sequence[Curriculum]) -> int | None:
    if not any(isinstance(curriculum, Editing) for curriculum in curricula):
        return None
    ends = itertools.accumulate(record.rows for record in findings.shards)
    plain = (
        ranked.copies[end - record.rows : end]
        for record, end in zip(findings.shards, ends, strict=True)
        if not has_answers(record.layout)
    )
    return sum(int(np.count_nonzero(copies)) for copies in plain)


def _one_sided(tally: Tally, parts: Mapping[str, int], request: Request) -> str | None:
    empty = [name for name, rows in parts.items() if not rows]
    if request.shape.split is None or not empty:
        return None
    return (
        f"--split {request.shape.split}: {empty[0]} would have none of the {tally.total.after.rows:,} rows. "
        "Hold out another share, or take another seed."
    )


def settings_of(findings: Findings, foreseen: Preview, request: Request) -> dict[str, Any]:
    """Everything that the bytes of the output depend on."""
    return {
        "foxing": __version__,
        "pyarrow": pa.__version__,
        "shards": config_hash([[record.key, record.uri, record.digest, record.rows] for record in findings.shards]),
        "signals": config_hash([dataclasses.asdict(signal) for signal in findings.signals]),
        "by": findings.by,
        "curriculum": [described(curriculum) for curriculum in foreseen.curricula],
        "drop": list(foreseen.drop),
        "rules": rules_hash(foreseen.rules),
        "calibration": calibration_digest(findings, tables_of(findings)),
        "seed": request.seed,
        "count": request.count,
        **asked_of(request),
        "layout": dataclasses.asdict(request.layout),
    }


def asked_of(request: Request) -> dict[str, Any]:
    """The budget, the shape and the allow-list of a request, as a manifest has them."""
    return {
        "budget": _plain(dataclasses.asdict(request.budget)),
        "shape": _plain(dataclasses.asdict(request.shape)),
        "allow": _plain(dataclasses.asdict(request.allow)),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    read: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return read


def described(curriculum: Curriculum) -> Mapping[str, Any]:
    """Name and settings of a curriculum."""
    names = [field.name for field in dataclasses.fields(curriculum)]  # type: ignore[arg-type] # `resolve` sees to it
    return {"name": curriculum.name, "config": _plain({name: getattr(curriculum, name) for name in names})}
