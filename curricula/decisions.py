"""Decides every row once: counts for the tally, and what a plan needs of each row, spooled out of memory."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from audit.calibrate import SIGNAL, calibrated, tables_of
from audit.expressions import parse
from audit.findings import Findings
from audit.rules import Rule, decide

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Spool", "decided_parts"]

_ROWS = 16_384
_IN_MEMORY_BYTES = 1 << 20
# Read by the tally and by calibration.
_READ = {"document": ("words",), SIGNAL: ("margin", "tier", "language", "length", "style")}


def decided_parts(findings: Findings, rules: Sequence[Rule], needs: Iterable[str] = ()) -> Iterator[pl.DataFrame]:
    """Findings in corpus order, calibrated and decided, with the fields that the rules and the tally read.

    Args:
        findings: of a finished scan.
        rules: that can be judged on them.
        needs: signals to read whole.
    """
    fields: dict[str, set[str]] = {name: set(read) for name, read in _READ.items()}
    whole = set(needs)
    for rule in rules:
        for name in parse(rule.when, f"rule {rule.id}").names:
            if len(name) > 1:
                fields.setdefault(name[0], set()).add(name[1])
            else:
                whole.add(name[0])
    if "machine_share" in fields.get(SIGNAL, ()):
        fields[SIGNAL].add("windows")
    chosen = {name: frozenset(read) for name, read in fields.items()} | dict.fromkeys(whole)
    # What orders and describes examples is not read here, and was checked when the rules were chosen.
    bare = [_bare(rule) for rule in rules]
    for part in _gathered(findings.parts(chosen)):
        yield decide(calibrated(part, tables_of(findings)), bare)


def _bare(rule: Rule) -> Rule:
    return Rule(id=rule.id, name=rule.name, when=rule.when, action=rule.action, budget=rule.budget)


def _gathered(parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Small parts put together: an expression costs about as much for ten rows as for ten thousand."""
    import polars as pl

    held: list[pl.DataFrame] = []
    for part in parts:
        if part.height:
            held.append(part)
        if sum(each.height for each in held) >= _ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


class Spool:
    """Decided rows without a name on disk: gone when the process is, and in memory only while they are few."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 closed by `close`
        self._lengths: list[int] = []

    def passing(self, parts: Iterable[pl.DataFrame], needs: Sequence[str]) -> Iterator[pl.DataFrame]:
        """The parts, each written down as it passes: with the signals in `needs`, and anyway the score of `ai_text`."""
        import polars as pl

        for part in parts:
            kept = ["shard", "row", "source", *dict.fromkeys(needs)]
            if SIGNAL in part.columns and SIGNAL not in kept:
                score = pl.struct(pl.col(SIGNAL).struct.field("score")).alias(SIGNAL)
                frame = part.select(*kept, score, "rules", "action")
            else:
                frame = part.select(*kept, "rules", "action")
            stream = io.BytesIO()
            frame.write_ipc(stream, compression="lz4")
            self._lengths.append(self._file.write(stream.getbuffer()))
            yield part

    def parts(self) -> Iterator[pl.DataFrame]:
        """What was written down, in the same order."""
        import polars as pl

        self._file.seek(0)
        for length in self._lengths:
            yield pl.read_ipc(io.BytesIO(self._file.read(length)))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
