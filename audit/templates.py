"""Templates as a stage of a scan: how many rows of its source share a row's skeleton, and which of them are to stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.findings_folder import Findings
from audit.stages import Rows
from audit.template_counts import ENTRY, TOP, Counted, count_templates
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Templates"]

SIGNAL = "format"
DIVERSITY = "diversity"


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Templates:
    """How often the form of a row recurs in its source; `[tool.foxing.stage.templates]`.

    A skeleton is how a text begins with its content masked (`detectors.skeletons`). Copies of one text are one text:
    it takes two different ones to make a template. Counts are exact. Of a row without words all fields are null.

    Attributes:
        min_words: `share` is null in texts of fewer words, of which many are alike without being made from a template.
        min_texts: `share` is 0 where fewer texts have the skeleton: two or three of a small source say nothing.
    """

    min_words: int = 50
    min_texts: int = 10

    name: ClassVar[str] = "templates"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = (SIGNAL,)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("skeleton_rows", pa.int64(), "Rows of the source with this row's skeleton."),
            _field("skeleton_texts", pa.int64(), "Different texts among them."),
            _field("skeleton_rank", pa.int64(), "1, and 1 for each skeleton of the source that more texts have."),
            _field(
                "in_top_100",
                pa.bool_(),
                f"Whether two texts or more have the skeleton and it is one of the {TOP} of its source that most have.",
            ),
            _field(
                "share",
                pa.float32(),
                "Texts with the skeleton / different texts of the source; 0 under min_texts texts, "
                "null under min_words words.",
            ),
            _field(
                "place",
                pa.int64(),
                "Place among the rows with this skeleton, from 0: first copies first, then the higher diversity.mattr "
                "(rows without one last), then the one whose length is farther from the median, then corpus order.",
            ),
        ]
    )

    def __post_init__(self) -> None:
        for setting in ("min_words", "min_texts"):
            if getattr(self, setting) < 0:
                raise ConfigError(f"templates: {setting} is {getattr(self, setting)}. Set it to 0 or more.")

    def depends(self, findings: Findings) -> list[object]:
        """What of these findings the result depends on: forms, diversity where it was measured, and the sources."""
        reads = {SIGNAL, DIVERSITY}
        hashes = sorted(signal.config_hash for signal in findings.measured if signal.name in reads)
        return [*hashes, findings.corpus, findings.by]

    def prepare(self, findings: Findings, work: Path, advance: Callable[[int], None]) -> Rows:
        """Count all skeletons; see `audit.template_counts`."""
        names: dict[str, int] = {}
        # -1 where the form was not measured.
        words = np.memmap(work / "words", np.int32, "w+", shape=(findings.rows,)) if findings.rows else _NO_WORDS
        entries = _entries(findings, names, words, advance)
        counted = count_templates(entries, findings.rows, work)
        return _Table(counted, words, self).rows


_NO_WORDS: npt.NDArray[np.int32] = np.zeros(0, np.int32)


def _entries(
    findings: Findings, names: dict[str, int], words: npt.NDArray[np.int32], advance: Callable[[int], None]
) -> Iterator[npt.NDArray[np.void]]:
    """Rows with a skeleton, some thousands at a time; the words of every row go into `words` (-1: not known)."""
    fields = {SIGNAL: frozenset({"skeleton", "content", "words"})}
    diverse = any(signal.name == DIVERSITY for signal in findings.measured)
    if diverse:
        fields[DIVERSITY] = frozenset({"mattr"})
    start = 0
    for part in findings.parts(fields):
        found = part[SIGNAL].struct
        skeleton = found.field("skeleton")
        words[start : start + part.height] = found.field("words").fill_null(-1).to_numpy()
        row = np.flatnonzero(skeleton.is_not_null().to_numpy())
        entries = np.empty(len(row), ENTRY)
        entries["source"] = _numbers(part["source"], names)[row]
        entries["words"] = words[start : start + part.height][row]
        entries["skeleton"] = skeleton.fill_null(0).to_numpy()[row]
        entries["content"] = found.field("content").fill_null(0).to_numpy()[row]
        entries["row"] = row + start
        entries["diversity"] = np.nan
        if diverse:
            mattr = part[DIVERSITY].struct.field("mattr").cast(float).fill_null(np.nan)
            entries["diversity"] = mattr.to_numpy()[row]
        start += part.height
        advance(part.height)
        yield entries


def _numbers(sources: pl.Series, names: dict[str, int]) -> npt.NDArray[np.int32]:
    """int32[n]: the number of each source, new ones numbered on."""
    known = sources.unique(maintain_order=True).to_list()
    for name in known:
        names.setdefault(name, len(names))
    numbers = sources.replace_strict(known, [names[name] for name in known])
    found: npt.NDArray[np.int32] = numbers.to_numpy().astype(np.int32)
    return found


@dataclass(frozen=True)
class _Table:
    """What was counted, as batches of `Templates.schema`."""

    counted: Counted
    words: npt.NDArray[np.int32]
    settings: Templates

    def rows(self, start: int, stop: int) -> tuple[pa.RecordBatch, pa.BooleanArray]:
        """Rows `start` to `stop` of the corpus, and of which the form was measured."""
        counted, span = self.counted, slice(start, stop)
        source, words = np.asarray(counted.source[span]), np.asarray(self.words[span])
        formless = source < 0
        every = np.append(counted.source_texts, 1)[source]
        texts = np.asarray(counted.texts[span])
        share = np.where(texts < self.settings.min_texts, 0, texts / np.maximum(every, 1)).astype(np.float32)
        columns = [
            pa.array(np.asarray(counted.rows[span]), mask=formless),
            pa.array(texts, mask=formless),
            pa.array(np.asarray(counted.rank[span]), mask=formless),
            pa.array(np.asarray(counted.top[span]), mask=formless),
            pa.array(share, mask=formless | (words < self.settings.min_words)),
            pa.array(np.asarray(counted.place[span]), mask=formless),
        ]
        return pa.record_batch(columns, schema=Templates.schema), pa.array(words >= 0)
