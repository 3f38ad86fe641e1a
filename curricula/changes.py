"""What a request would change, row by row, as a unified diff; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.corpus import Shard
from audit.findings_folder import Findings
from audit.layout import Kind, Layout
from audit.rows import fetch, recorded_layout
from audit.rules import Rule
from curricula.decisions import Spool
from curricula.edit import Editor
from curricula.foresee import Preview, Request, foresee
from curricula.inputs import check_digests, find_input
from curricula.plan import Settled
from curricula.stored import in_transit, recast
from detectors.errors import InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Changes", "changes"]

I64 = npt.NDArray[np.int64]
_SHOWN = 400
_ELLIPSIS = " ..."


@dataclass(frozen=True)
class Changes:
    """How much a request would change.

    Attributes:
        foreseen: the preview.
        dropped: rows that would go.
        edited: rows whose answer would be replaced.
        copied: kept rows that would be there more than once.
        reordered: whether rows would stand in another order.
    """

    foreseen: Preview
    dropped: int
    edited: int
    copied: int
    reordered: bool

    @property
    def any(self) -> bool:
        """Whether anything would change."""
        return bool(self.dropped or self.edited or self.copied or self.reordered)


@dataclass(frozen=True)
class _Rows:
    """What becomes of the rows of one shard.

    Attributes:
        gone: int64, ascending rows that are dropped.
        reasons: int16, position in `names` of what dropped each.
        names: of reasons.
        hits: list of text, the rules that hit each.
        edited: int64, ascending rows whose answer is replaced by `answers`.
    """

    gone: I64
    reasons: npt.NDArray[np.int16]
    names: Sequence[str]
    hits: pl.Series
    edited: I64
    answers: pa.LargeStringArray


def changes(
    findings: Findings, rules: Sequence[Rule], request: Request, *, diff: bool = False
) -> tuple[Changes, Iterator[str]]:
    """How much would change and, where asked for, the changed rows as lines of a unified diff.

    Each shard with changes begins with `--- a/SHARD` and `+++ b/SHARD`; a hunk is one row, counted from 1 in its place,
    with text as JSON. Of dropped rows the beginning of the text is shown. Copies and order have no hunks.

    Raises:
        ConfigError, PluginError: as `curricula.foresee.preview`.
        InputError: answers are edited, or a diff is asked for, and a shard is gone or changed.
    """
    with closing(Spool()) as spool:
        foreseen, settled = foresee(findings, rules, request, spool)
        ranked = settled.ranked
        editable = _Editable(findings, request)
        kept = ranked.copies > 0
        edits = ranked.edits.only(kept)
        edits = edits.only(editable.rows(edits.index, len(kept))) if len(edits.index) else edits
        ranked.edits = edits
        found = Changes(
            foreseen=foreseen,
            dropped=int((~kept).sum()),
            edited=len(edits.index),
            copied=int((ranked.copies > 1).sum()),
            reordered=not foreseen.in_order,
        )
        told = list(_told(spool, settled, findings)) if diff and (found.dropped or found.edited) else []
    return found, _lines(findings, request, told)


@dataclass(frozen=True)
class _Editable:
    """Which rows have an answer that can be replaced."""

    findings: Findings
    request: Request

    def rows(self, index: I64, rows: int) -> npt.NDArray[np.bool_]:
        """bool[rows]: rows of shards with answers."""
        ends = np.cumsum([record.rows for record in self.findings.shards])
        of = np.zeros(rows, np.bool_)
        for at in np.unique(np.searchsorted(ends, index, side="right")).tolist():
            record = self.findings.shards[at]
            if recorded_layout(record, record.uri).kind is not Kind.TEXT:
                of[ends[at] - record.rows : ends[at]] = True
        return of


def _told(spool: Spool, settled: Settled, findings: Findings) -> Iterator[tuple[int, _Rows]]:
    """Shards with changes, by position in the corpus."""
    import polars as pl

    ranked = settled.ranked
    rules = spool.column("rules")
    start = 0
    for at, record in enumerate(findings.shards):
        stop = start + record.rows
        gone = start + np.flatnonzero(ranked.copies[start:stop] == 0)
        begin, end = np.searchsorted(ranked.edits.index, [start, stop]).tolist()
        if len(gone) or end > begin:
            yield (
                at,
                _Rows(
                    gone=gone - start,
                    reasons=ranked.reason[gone],
                    names=ranked.reasons,
                    hits=rules.gather(pl.Series(gone)),
                    edited=ranked.edits.index[begin:end] - start,
                    answers=ranked.edits.answers.slice(begin, end - begin),
                ),
            )
        start = stop


def _lines(findings: Findings, request: Request, told: list[tuple[int, _Rows]]) -> Iterator[str]:
    for at, rows in told:
        record = findings.shards[at]
        shard = find_input(record, request.corpus)
        check_digests([shard], [record], lambda _: None)
        layout = recorded_layout(record, record.uri)
        yield f"--- a/{record.key}"
        yield f"+++ b/{record.key}"
        hunks = [*_drops(shard, layout, rows), *_edits(shard, layout, rows)]
        for _, lines in sorted(hunks, key=lambda hunk: hunk[0]):
            yield from lines


def _drops(shard: Shard, layout: Layout, rows: _Rows) -> Iterator[tuple[int, list[str]]]:
    at = 0
    for found in fetch(shard, layout, rows=rows.gone):
        for row, text in zip(found.rows.tolist(), found.documents.texts(), strict=True):
            reason = rows.names[rows.reasons[at]]
            hits = [rule for rule in rows.hits[at] if rule != reason]
            also = f"; hit by {', '.join(hits)} too" if hits else ""
            yield row, [f"@@ -{row + 1} +{row},0 @@ dropped by {reason}{also}", f"-{_quoted(text)}"]
            at += 1


def _edits(shard: Shard, layout: Layout, rows: _Rows) -> Iterator[tuple[int, list[str]]]:
    if not len(rows.edited):
        return
    name = layout.columns[-1]
    field = shard.schema().field(name)
    schema = pa.schema([field.with_type(in_transit(field.type))])
    try:
        editor = Editor(schema, Layout(layout.kind, (name,)))
    except InputError as error:
        raise InputError(f"{shard.uri}: {error}") from error
    first = 0
    for batch in shard.batches([name]):
        begin, end = np.searchsorted(rows.edited, [first, first + batch.num_rows]).tolist()
        chosen = rows.edited[begin:end]
        if len(chosen):
            stood = editor.texts(recast(batch, schema).take(pa.array(chosen - first))).to_pylist()
            for row, old, new in zip(chosen.tolist(), stood, rows.answers[begin:end].to_pylist(), strict=True):
                lines = [f"@@ -{row + 1} +{row + 1} @@ answer ({name})"]
                if old is None:
                    lines = [f"@@ -{row + 1} +{row + 1} @@ answer ({name}) stays: it has none that is text"]
                else:
                    lines += [f"-{json.dumps(old, ensure_ascii=False)}", f"+{json.dumps(new, ensure_ascii=False)}"]
                yield row, lines
        first += batch.num_rows


def _quoted(text: str | None) -> str:
    """The beginning of a text as JSON, so that it stands on one line."""
    shown = text if text is None or len(text) <= _SHOWN else f"{text[:_SHOWN]}{_ELLIPSIS}"
    return json.dumps(shown, ensure_ascii=False)
