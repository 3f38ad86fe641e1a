"""The worst cases of a report, with their texts: duplicates side by side, leaked passages, machine-like rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audit.assessment import Result, Verdict
from audit.report.content_text import Document, Excerpt, PairText, Shown
from audit.review import Pair, Reviewing, Run, Side, runs_of
from audit.rows import fetch, recorded_layout, scanned_shard
from detectors.errors import FoxingError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings
    from audit.rules import Rule

__all__ = ["EXCERPTED", "PAIRED", "Examples"]

PAIRED = ("FX301", "FX302", "FX303")
EXCERPTED = ("FX101", "FX102")
_MOST_CHARACTERS = 900
_LONGEST_SAME = 30
_MOST_FACTS = 400
Pieces = list[tuple[str, bool]]


class Examples:
    """The worst cases of rules about pairs of rows and about machine-written text, found part by part."""

    def __init__(self, findings: Findings, rules: Sequence[Rule], *, top: int, with_text: bool) -> None:
        """Nothing read yet.

        Args:
            findings: of a finished scan.
            rules: all that are judged.
            top: cases a rule.
            with_text: False reads no text and says so.
        """
        self._findings = findings
        self._top = top if with_text else 0
        self._reviews: dict[str, Reviewing] = {}
        self._refused: dict[str, str] = {}
        for rule in rules:
            if rule.id in PAIRED and self._top:
                try:
                    self._reviews[rule.id] = Reviewing(findings, rule, top=top)
                except FoxingError as error:
                    self._refused[rule.id] = str(error)

    def add(self, frame: pl.DataFrame, verdicts: pl.DataFrame) -> None:
        """Take in the next part of findings, calibrated, with its verdicts (`audit.rules.evaluate`)."""
        for rule, review in self._reviews.items():
            if rule in verdicts.columns:
                review.add(frame, verdicts[rule])

    def shown(self, results: Sequence[Result], corpus: str | None) -> tuple[Shown, ...]:
        """The cases with their texts, in rule order.

        Args:
            results: judged rules; those that are not judged are said to be missing.
            corpus: folder that the corpus was moved to.
        """
        by_id = {result.rule.id: result for result in results}
        return tuple(self._shown(by_id[rule], corpus) for rule in (*PAIRED, *EXCERPTED) if rule in by_id)

    def _shown(self, result: Result, corpus: str | None) -> Shown:
        rule = result.rule
        if result.verdict is Verdict.NOT_APPLICABLE:
            return Shown(rule.id, rule.name, reason=f"Not judged: {result.reason}.")
        if not result.hits:
            return Shown(rule.id, rule.name, reason=f"No row is hit, of {result.n:,}.")
        if not self._top:
            return Shown(rule.id, rule.name, reason="Texts were left out of this report, as asked.")
        if rule.id in self._refused:
            return Shown(rule.id, rule.name, reason=f"The texts cannot be read: {self._refused[rule.id]}")
        try:
            if rule.id in PAIRED:
                return Shown(rule.id, rule.name, pairs=tuple(map(_pair, self._reviews[rule.id].pairs(corpus))))
            return Shown(rule.id, rule.name, excerpts=tuple(_excerpts(self._findings, result, self._top, corpus)))
        except FoxingError as error:
            return Shown(rule.id, rule.name, reason=f"The texts cannot be read: {error}")


def _pair(pair: Pair) -> PairText:
    facts = _facts({"jaccard": pair.jaccard, **pair.values})
    if pair.right is None:
        start, end = pair.passage or (0, 0)
        text = pair.left.text
        pieces: Pieces = [(text[:start], False), (text[start:end], True), (text[end:], False)]
        return PairText(pair.rule, facts, _document(pair.left, "holds a benchmark item", pieces), None)
    left, right = _differing(runs_of(pair.left.text, pair.right.text))
    stays = "of the reference, stays" if pair.values.get("in_reference") else "stays"
    return PairText(pair.rule, facts, _document(pair.left, "goes", left), _document(pair.right, stays, right))


def _facts(values: dict[str, object] | dict[str, float | int | str | bool | None]) -> str:
    shown = [
        f"{name.replace('_', ' ')} {value:.3f}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in values.items()
        if value is not None and value is not False and name not in ("start", "end", "in_reference")
    ]
    return ", ".join(shown)[:_MOST_FACTS]


def _differing(runs: Sequence[Run]) -> tuple[Pieces, Pieces]:
    """Both texts as pieces, those that differ marked; long stretches that do not are cut short."""
    left: Pieces = []
    right: Pieces = []
    for run in runs:
        for into, words in ((left, run.left), (right, run.right)):
            if words:
                into.append((_cut(words) if run.same else " ".join(words), not run.same))
    return left, right


def _cut(words: Sequence[str]) -> str:
    if len(words) <= _LONGEST_SAME:
        return " ".join(words)
    keep = _LONGEST_SAME // 2
    return " ".join([*words[:keep], f"[… {len(words) - 2 * keep:,} words alike …]", *words[-keep:]])


def _document(side: Side, role: str, pieces: Pieces) -> Document:
    kept: list[tuple[str, bool]] = []
    left = _MOST_CHARACTERS
    for text, marked in pieces:
        if text and left > 0:
            kept.append((text if len(text) <= left else text[:left] + " […]", marked))
            left -= len(text)
    return Document(side.shard, side.row, role, tuple(kept))


def _excerpts(findings: Findings, result: Result, top: int, corpus: str | None) -> Iterator[Excerpt]:
    """The beginnings of the worst rows."""
    cases = [case for case in result.worst[:top] if case.row is not None]
    by_uri: dict[str, list[int]] = defaultdict(list)
    for case in cases:
        by_uri[case.uri].append(case.row or 0)
    texts: dict[tuple[str, int], bytes] = {}
    keys: dict[str, str] = {}
    for record in findings.shards:
        if record.uri in by_uri:
            shard = scanned_shard(record, corpus)
            keys[record.uri] = record.key
            layout = recorded_layout(record, shard.uri)
            for found in fetch(shard, layout, rows=np.unique(np.array(by_uri[record.uri], np.int64))):
                values = found.documents.batch.column("text").to_pylist()
                texts.update(
                    ((record.uri, row), value or b"") for row, value in zip(found.rows.tolist(), values, strict=True)
                )
    for case in cases:
        text = texts[case.uri, case.row or 0].decode("utf-8", "surrogateescape")
        short = text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " […]"
        named = {name.partition(".")[2] or name: value for name, value in case.values.items()}
        yield Excerpt(result.rule.id, keys[case.uri], case.row or 0, _facts(dict(named)), short)
