"""Duplicates as a stage of a scan: which rows are copies of which kept row, how alike they are, and what links them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.duplicate_search import AI_TEXT, I64, KEEP, SIGNAL, Found, find_duplicates
from audit.findings_folder import Findings, ShardRecord
from audit.signature import config_hash
from audit.stages import Rows
from detectors.errors import ConfigError

__all__ = ["Duplicates"]


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Duplicates:
    """How duplicates are found, `[tool.foxing.stage.duplicates]`, and what is said of each row.

    Attributes:
        threshold: least estimated Jaccard similarity of the word 5-grams of near duplicates, 0 to 1.
        keep: which row of several is kept, by the first of these that tells them apart: `human` (the lower margin of
            `ai_text`, those without one last), `long` (more words), `first` (corpus order, which always comes last).
        reference: folder of another scan: its rows are kept, whatever they are, and never reported. "" is none.
        reference_digest: of the reference. `pinned` fills it in, so that what is recorded says which rows were looked
            at, and not only where they lay.
    """

    threshold: float = 0.8
    keep: tuple[str, ...] = ("human", "long", "first")
    reference: str = field(default="", metadata={"location": True})
    reference_digest: str = ""

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = (SIGNAL,)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field(
                "cluster",
                pa.int64(),
                "Rows that are linked by likeness have one number: the place in the corpus of the first of them, below "
                "0 where a row of the reference is among them (-1 is its last row). Null for a row alone.",
            ),
            _field("size", pa.int64(), "Rows of the cluster, those of the reference too."),
            _field("kept", pa.bool_(), "Whether the row stays when copies go."),
            _field("exact", pa.bool_(), "Whether the row goes, and its text is that of the kept row."),
            _field("similarity", pa.float32(), "Estimated Jaccard similarity with the kept row; null where kept."),
            _field("keeper_shard", pa.string(), "Shard of the kept row; null where this row is kept."),
            _field("keeper_row", pa.int64(), "Position of the kept row in its shard; null where this row is kept."),
            _field("in_reference", pa.bool_(), "Whether the kept row is one of the reference; null where kept."),
            _field(
                "templated",
                pa.bool_(),
                "Whether the cluster has ten rows or more and half its copies are under 0.95 alike: a filled-in form.",
            ),
        ]
    )

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold = {self.threshold!r} is not above 0 and at most 1. Set it to 0.8, say.")
        for name in self.keep:
            if name not in KEEP:
                raise ConfigError(f"keep: {name!r} is none of {', '.join(KEEP)}. Choose from these.")

    def prepare(self, findings: Findings, work: Path, advance: Callable[[int], None]) -> Rows:
        """Find all duplicates; see `audit.duplicate_search`."""
        reference = self._reference
        if reference is not None and reference.directory.resolve() == findings.directory.resolve():
            raise ConfigError(
                f"duplicates: reference = {self.reference!r} is this scan: every row would go as a copy of itself. "
                "Name the scan of another corpus."
            )
        found = find_duplicates(
            findings, reference, threshold=self.threshold, keep=self.keep, work=work, advance=advance
        )
        return _Table(found, findings, reference).rows

    @property
    def _reference(self) -> Findings | None:
        return Findings.open(self.reference) if self.reference else None

    def pinned(self) -> Self:
        """The same settings with the digest of the reference as it is now. To be done before a scan.

        Raises:
            FindingsError: no scan there.
            ConfigError: it is not the one that `reference_digest` says.
        """
        reference = self._reference
        digest = "" if reference is None else config_hash(_depends(reference, {SIGNAL}))
        if self.reference_digest not in ("", digest):
            raise ConfigError(
                f"duplicates: {self.reference} has digest {digest}, not {self.reference_digest}. "
                "Scan with the reference that was meant, or leave reference_digest out."
            )
        return replace(self, reference_digest=digest)

    def fits(self, findings: Findings) -> bool:
        """Whether signatures are whole: minima of which bits were cut off cannot be compared in bands."""
        return not any(signal.config.get("bits") for signal in findings.measured if signal.name == SIGNAL)

    def depends(self, findings: Findings) -> list[object]:
        """What was measured of the corpus, and which."""
        return _depends(findings, {SIGNAL, *([AI_TEXT] if "human" in self.keep else [])})


def _depends(findings: Findings, reads: set[str]) -> list[object]:
    return [*sorted(signal.config_hash for signal in findings.measured if signal.name in reads), findings.corpus]


@dataclass(frozen=True)
class _Table:
    """What was found, as batches of `Duplicates.schema`."""

    found: Found
    findings: Findings
    reference: Findings | None

    def rows(self, start: int, stop: int) -> tuple[pa.RecordBatch, pa.BooleanArray]:
        """Rows `start` to `stop` of the corpus, and whether each had anything to compare."""
        found = self.found
        rows = np.arange(start, stop) + found.first
        keepers = found.keepers[rows].astype(np.int64)
        kept, alone = keepers == rows, found.sizes[rows] == 1
        shards, row_numbers = self._addresses(keepers)
        columns = [
            pa.array(found.clusters[rows].astype(np.int64) - found.first, mask=alone),
            pa.array(found.sizes[rows].astype(np.int64)),
            pa.array(kept),
            pa.array(found.exact[rows] & ~kept),
            pa.array(found.similarity[rows], mask=kept),
            pc.if_else(pa.array(kept), pa.scalar(None, pa.string()), shards),
            pa.array(row_numbers, mask=kept),
            pa.array(keepers < found.first, mask=kept),
            pa.array(found.templated[rows]),
        ]
        return pa.record_batch(columns, schema=Duplicates.schema), pa.array(found.measured[rows])

    def _addresses(self, keepers: I64) -> tuple[pa.StringArray, I64]:
        names, starts = self._starts
        at = np.searchsorted(starts, keepers, side="right") - 1
        return names.take(pa.array(at)), keepers - starts[at]

    @cached_property
    def _starts(self) -> tuple[pa.StringArray, I64]:
        sources = [*([self.reference] if self.reference else []), self.findings]
        shards: list[ShardRecord] = [shard for source in sources for shard in source.shards if shard.rows]
        starts = np.cumsum([0, *(shard.rows for shard in shards)])[:-1]
        return pa.array([shard.key for shard in shards], pa.string()), starts
