"""The worst cases of a rule over pairs, side by side: a row and the row kept in its place, or a leaked passage."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np

from audit.calibrate import calibrated, tables_of
from audit.findings_folder import Findings
from audit.rows import fetch, recorded_layout, scanned_shard
from audit.rules import evaluate
from audit.worst import Worst
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from audit.rules import Rule
    from audit.worst import Scalar
    from detectors.documents import Documents

__all__ = ["Pair", "Reviewing", "Run", "Side", "review", "runs_of"]

_DUPLICATES, _LEAKAGE = "duplicates", "leakage"
_OTHER_SIDE = {
    _DUPLICATES: ("duplicates.keeper_shard", "duplicates.keeper_row", "duplicates.in_reference"),
    _LEAKAGE: ("leakage.benchmark", "leakage.item"),
}
_SHINGLE_WORDS = 5
_CONTEXT_BYTES = 300
_MOST_WORDS = 4000
Address = tuple[str, int]


@dataclass(frozen=True)
class Side:
    """One text of a pair.

    Attributes:
        shard: key of its shard.
        row: position in it.
        text: what stands there, or the part of it that is shown.
    """

    shard: str
    row: int
    text: str


@dataclass(frozen=True)
class Run:
    """Words that both texts of a pair have in turn (`same`), or that each has where the other differs."""

    same: bool
    left: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """One case.

    Attributes:
        rule: id of the rule.
        left: the row that was hit.
        right: the row that is kept in its place; None for a passage of a benchmark, whose text no index holds.
        passage: (start, end) in characters of `left.text` of the passage that leaked; None for a pair of rows.
        jaccard: exact similarity of the sets of word 5-grams of both texts, 0 to 1; None where there is one text.
        values: what was measured of the row, by name.
    """

    rule: str
    left: Side
    right: Side | None
    passage: tuple[int, int] | None
    jaccard: float | None
    values: dict[str, Scalar]


def review(
    findings: Findings, rule: Rule, *, top: int = 10, source: str | None = None, corpus: str | None = None
) -> tuple[Pair, ...]:
    """The worst cases of a rule that reads `duplicates` or `leakage`, worst first, with their texts.

    Of rows that go for the same kept row, or hold the same benchmark item, one comes before a second one of any.

    Args:
        findings: of a finished scan, whose corpus can still be read.
        rule: whose hits are shown.
        top: how many.
        source: of this source only; None takes all.
        corpus: folder that the corpus was moved to.

    Raises:
        ConfigError: the rule is about single rows, or its signal was not scanned.
        InputError: a file is gone or changed.
    """
    reviewing = Reviewing(findings, rule, top=top, source=source)
    for part in findings.parts():
        frame = calibrated(part, tables_of(findings))
        reviewing.add(frame, evaluate(frame, [rule])[rule.id])
    return reviewing.pairs(corpus)


class Reviewing:
    """What `review` looks for, part by part: for who reads the same parts for something else besides."""

    def __init__(self, findings: Findings, rule: Rule, *, top: int = 10, source: str | None = None) -> None:
        """Nothing read yet; arguments and errors are those of `review`."""
        about = next((name for name in (_DUPLICATES, _LEAKAGE) if f"{name}." in rule.when), None)
        if about is None:
            raise ConfigError(f"rule {rule.id}: compares no row with another. Review rules over duplicates or leakage.")
        if about not in {signal.name for signal in findings.measured}:
            raise ConfigError(
                f"rule {rule.id}: {about} was not scanned in {findings.directory}. Scan with what it needs."
            )
        self._findings, self._rule, self._about = findings, rule, about
        self._top, self._source = top, source
        self._worst: tuple[Worst, ...] = ()

    def add(self, frame: pl.DataFrame, hit: pl.Series) -> None:
        """Take in the next part of findings, calibrated, with what the rule says of each row."""
        if not self._worst:
            rule = _showing(self._rule, self._about, frame)
            self._worst = tuple(Worst(rule, self._top, apart=apart) for apart in (_OTHER_SIDE[self._about], ()))
        if self._about == _DUPLICATES:  # a row that is kept has nothing beside it
            hit = hit & frame[self._about].struct.field("keeper_row").is_not_null()
        for worst in self._worst:
            worst.add(frame, hit if self._source is None else hit & (frame["source"] == self._source))

    def pairs(self, corpus: str | None = None) -> tuple[Pair, ...]:
        """The worst cases of all parts, with their texts; `corpus` is the folder that the corpus was moved to."""
        about, keys = self._about, {shard.key: shard.key for shard in self._findings.shards}
        every = {(case.uri, case.row or 0): case for worst in self._worst for case in worst.cases(keys)}
        cases = list(every)[: self._top]
        rows = [{name.removeprefix(f"{about}."): value for name, value in every[at].values.items()} for at in cases]
        read = _duplicates if about == _DUPLICATES else _leaks
        return read(self._findings, self._rule, cases, rows, corpus)


def _showing(rule: Rule, about: str, frame: pl.DataFrame) -> Rule:
    """The rule, with all fields of a struct among what a case shows."""
    kind = frame.schema[about]
    fields = [field.name for field in getattr(kind, "fields", ())]
    return dataclasses.replace(rule, shown=tuple(f"{about}.{name}" for name in fields))


def _duplicates(
    findings: Findings,
    rule: Rule,
    cases: Sequence[Address],
    rows: Sequence[dict[str, Scalar]],
    corpus: str | None,
) -> tuple[Pair, ...]:
    keepers = [(str(row["keeper_shard"]), int(str(row["keeper_row"]))) for row in rows]
    inside = [not row["in_reference"] for row in rows]
    texts = _texts(findings, {*cases, *(at for at, own in zip(keepers, inside, strict=True) if own)}, corpus)
    outside = {at for at, own in zip(keepers, inside, strict=True) if not own}
    others = _texts(Findings.open(_reference(findings)), outside, None) if outside else {}
    pairs = []
    for case, keeper, own, row in zip(cases, keepers, inside, rows, strict=True):
        left, right = texts[case], (texts if own else others)[keeper]
        values = {name: row[name] for name in ("similarity", "exact", "cluster", "size", "templated", "in_reference")}
        pairs.append(Pair(rule.id, Side(*case, left), Side(*keeper, right), None, _jaccard(left, right), values))
    return tuple(pairs)


def _leaks(
    findings: Findings,
    rule: Rule,
    cases: Sequence[Address],
    rows: Sequence[dict[str, Scalar]],
    corpus: str | None,
) -> tuple[Pair, ...]:
    texts = _texts(findings, set(cases), corpus)
    pairs = []
    for case, row in zip(cases, rows, strict=True):
        raw = texts[case].encode("utf-8", "surrogateescape")
        start, end = (int(str(row[name])) if row[name] is not None else 0 for name in ("start", "end"))
        before = raw[max(0, start - _CONTEXT_BYTES) : start].decode("utf-8", "ignore")
        passage = raw[start:end].decode("utf-8", "replace")
        after = raw[end : end + _CONTEXT_BYTES].decode("utf-8", "ignore")
        side = Side(*case, before + passage + after)
        pairs.append(Pair(rule.id, side, None, (len(before), len(before) + len(passage)), None, dict(row)))
    return tuple(pairs)


def _reference(findings: Findings) -> str:
    record = next(signal for signal in findings.measured if signal.name == _DUPLICATES)
    return str(record.config["reference"])


def _texts(findings: Findings, wanted: Iterable[Address], corpus: str | None) -> dict[Address, str]:
    by_shard: dict[str, list[int]] = defaultdict(list)
    for shard, row in wanted:
        by_shard[shard].append(row)
    texts: dict[Address, str] = {}
    for record in findings.shards:
        if rows := sorted(set(by_shard.get(record.key, []))):
            shard_file = scanned_shard(record, corpus)
            layout = recorded_layout(record, shard_file.uri)
            for found in fetch(shard_file, layout, rows=np.array(rows, np.int64)):
                values = found.documents.batch.column("text").to_pylist()
                for row, value in zip(found.rows.tolist(), values, strict=True):
                    texts[record.key, row] = (value or b"").decode("utf-8", "surrogateescape")
    return texts


def _jaccard(left: str, right: str) -> float | None:
    """Of the sets of word 5-grams as foxing segments text; None where either has no words."""
    from detectors.minhash import shingle_hashes

    one, other = (set(shingle_hashes(_document(text).words, 0, _SHINGLE_WORDS).tolist()) for text in (left, right))
    return len(one & other) / len(one | other) if one and other else None


def _document(text: str) -> Documents:
    from detectors.documents import Documents

    return Documents.from_texts([text.encode("utf-8", "surrogateescape")])


def runs_of(left: str, right: str) -> tuple[Run, ...]:
    """How the words of two texts, parted by white space, agree and differ; of long texts their first 4,000 words."""
    one, other = left.split()[:_MOST_WORDS], right.split()[:_MOST_WORDS]
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return tuple(Run(kind == "equal", tuple(one[a:b]), tuple(other[c:d])) for kind, a, b, c, d in matcher.get_opcodes())
