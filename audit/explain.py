"""Why the detector gave a document its score: the margin taken apart into features, words and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.calibrate import SIGNAL, calibrated
from audit.corpus import Corpus, Shard
from audit.findings_folder import Findings
from audit.layout import Layout, find_layout
from audit.rows import fetch, recorded_layout, scanned_shard
from detectors.errors import FindingsError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from audit.calibrate import Calibration
    from audit.config import Config
    from detectors.ai_text.explain import Attribution
    from detectors.documents import Documents

__all__ = ["Explanation", "Moved", "Part", "explain", "explain_file", "explain_row"]

_MAX_PART_BYTES = 400
_TOLERANCE = 1e-3
_ROWS = 2**62
"""No file has as many rows; a greater number does not fit its type."""


@dataclass(frozen=True)
class Moved:
    """A feature, however often it stands in the document.

    Attributes:
        kind: word, pair, mark or characters.
        text: as it stands where it stands first.
        count: how often.
        value: its share of the margin, positive for machine-like.
    """

    kind: str
    text: str
    count: int
    value: float


@dataclass(frozen=True)
class Part:
    """A span of the text: a sentence, or a piece of a long one.

    Attributes:
        start: first byte in the judged text, and
        end: the byte after its last.
        value: its share of the margin.
        words: text and share of each word with what follows it; together the span.
    """

    start: int
    end: int
    value: float
    words: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """The span as it stands."""
        return "".join(word for word, _ in self.words)


@dataclass(frozen=True)
class Explanation:
    """Why a document has its score. `bias` and the values of all `kinds`, or of all `parts`, add up to `margin`.

    Attributes:
        name: of the document, for people.
        margin: raw margin of the fast tier.
        p_human: None where the detector abstains, and
        score: likewise.
        language: of the text, and
        length: its characters.
        abstained: too short to judge; the features are shown all the same.
        out_of_support: unlike the calibration's texts.
        bias: margin of a text without features.
        windows: margins of the windows of a long text, in order.
        kinds: share of each kind of feature.
        features: every feature, the strongest first, whichever its sign.
        parts: every span, in text order.
        stored: margin in the findings, None where the row is of no scan or another tier judged it.
    """

    name: str
    margin: float
    p_human: float | None
    score: float | None
    language: str
    length: int
    abstained: bool
    out_of_support: bool
    bias: float
    windows: tuple[float, ...]
    kinds: dict[str, float]
    features: tuple[Moved, ...]
    parts: tuple[Part, ...]
    stored: float | None = None


def explain(documents: Documents, name: str, *, tables: Calibration | None = None) -> Explanation:
    """Explain the one document of a batch, as the fast tier judges it.

    Args:
        documents: a batch of one row whose text is not null.
        name: what to call it.
        tables: calibration to use; None takes the bundled one.

    Raises:
        InputError: the text is longer than can be explained.
    """
    import polars as pl
    import pyarrow as pa

    from detectors.ai_text import AiText
    from detectors.ai_text.explain import MAX_BYTES, attribute
    from detectors.ai_text.model import load_model
    from detectors.protocols import Device

    size = int(documents.response.offsets[-1] - documents.response.offsets[0])
    if size > MAX_BYTES:
        raise InputError(
            f"{name}: {size:,} bytes of text, at most {MAX_BYTES:,} can be explained. Cut out a part of it."
        )
    found = pa.Table.from_batches([AiText().load(Device.CPU)(documents)]).to_struct_array()
    frame = pl.DataFrame({SIGNAL: pl.Series(pl.from_arrow(found))})
    judged = calibrated(frame, tables).unnest(SIGNAL).row(0, named=True)
    attribution = attribute(documents.response, load_model())
    return Explanation(
        name=name,
        margin=attribution.margin,
        p_human=judged["p_human"],
        score=judged["score"],
        language=judged["language"],
        length=judged["length"],
        abstained=judged["abstained"],
        out_of_support=judged["out_of_support"],
        bias=attribution.bias,
        windows=attribution.windows if len(attribution.windows) > 1 else (),
        kinds=attribution.kind_sums(),
        features=_features(attribution),
        parts=_parts(attribution),
    )


def _features(found: Attribution) -> tuple[Moved, ...]:
    """Occurrences of a feature added up, the strongest first; equally strong ones in text order."""
    import numpy as np

    from detectors.ai_text.explain import KINDS

    if not len(found.values):
        return ()
    keys = np.stack([found.kinds.astype(np.int64), found.buckets], axis=1)
    _, first, inverse, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse.ravel(), found.values)
    order = np.lexsort((first, -np.abs(sums)))
    return tuple(
        Moved(
            kind=KINDS[int(found.kinds[first[at]])],
            text=found.text[int(found.starts[first[at]]) : int(found.ends[first[at]])].decode("utf-8", "replace"),
            count=int(counts[at]),
            value=float(sums[at]),
        )
        for at in order
    )


def _parts(found: Attribution) -> tuple[Part, ...]:
    import numpy as np

    values, edges = found.by_segment, found.edges
    # A segment that begins at or after a sentence's first byte belongs to it.
    starts = np.unique(np.concatenate([[0], np.searchsorted(edges[:-1], found.sentences)]))
    parts = []
    for first, last in zip(starts, [*starts[1:], len(values)], strict=True):
        parts += [_part(found.text, edges, values, run) for run in _runs(edges, int(first), int(last))]
    return tuple(parts)


def _runs(edges: npt.NDArray[np.int64], first: int, last: int) -> list[tuple[int, int]]:
    """A sentence in runs of segments of at most `_MAX_PART_BYTES`, or of one segment that is longer."""
    runs, begin = [], first
    for segment in range(first, last):
        if segment > begin and edges[segment + 1] - edges[begin] > _MAX_PART_BYTES:
            runs.append((begin, segment))
            begin = segment
    return [*runs, (begin, last)] if last > begin else runs


def _part(text: bytes, edges: npt.NDArray[np.int64], values: npt.NDArray[np.float64], run: tuple[int, int]) -> Part:
    words = tuple(
        (text[int(edges[at]) : int(edges[at + 1])].decode("utf-8", "replace"), float(values[at])) for at in range(*run)
    )
    return Part(int(edges[run[0]]), int(edges[run[1]]), float(values[run[0] : run[1]].sum()), words)


def explain_file(
    path: str, rows: Sequence[int] = (), *, config: Config, tables: Calibration | None = None
) -> list[Explanation]:
    """Explain rows of a file; without rows its only one.

    Args:
        path: of the file.
        rows: positions in it.
        config: says which column is text.
        tables: calibration to use; None takes the bundled one.

    Raises:
        InputError: no such file or row, a row without text, or several rows and none named.
    """
    shards = Corpus.open([path]).shards
    if len(shards) != 1:
        raise InputError(f"{path}: holds {len(shards)} files. Name one of them, and rows as FILE:ROW.")
    (shard,) = shards
    layout = find_layout(shard.reader.names(), shard.uri, text=config.scan.text)
    chosen = rows or _only_row(shard, layout, path)
    found = _documents(shard, layout, chosen, path)
    return [explain(documents, f"{path} row {row}", tables=tables) for row, documents in found]


def _only_row(shard: Shard, layout: Layout, path: str) -> Sequence[int]:
    from audit.rows import batches

    count = 0
    for _, batch in batches(shard, layout):
        count += batch.num_rows
        if count > 1:
            raise InputError(f"{path}: has more than one row. Name rows, such as {path}:0.")
    return (0,)


def explain_row(
    findings: Findings, key: str, *, row: int, corpus: str | None = None, tables: Calibration | None = None
) -> Explanation:
    """Explain a row of a scan.

    Args:
        findings: of a finished scan.
        key: of the shard, or how its path ends.
        row: position in it.
        corpus: folder that the scanned files were moved to.
        tables: calibration to use; None takes the bundled one.

    Raises:
        FindingsError: no such shard or row. InputError: the file is gone or changed.
    """
    matching = [record for record in findings.shards if record.key == key] or [
        record for record in findings.shards if record.uri.endswith(f"/{key}")
    ]
    if len(matching) != 1:
        known = ", ".join(record.key for record in findings.shards[:8]) + (", ..." if len(findings.shards) > 8 else "")
        what = "several shards end so" if matching else "no such shard in the findings"
        raise FindingsError(f"{key}: {what} (has: {known}). Write --row SHARD:ROW with one of those.")
    (record,) = matching
    if not 0 <= row < record.rows:
        raise FindingsError(f"{key}: no row {row}, it has {record.rows:,}, numbered from 0. Name one of those.")
    shard = scanned_shard(record, corpus)
    layout = recorded_layout(record, shard.uri)
    ((_, documents),) = _documents(shard, layout, (row,), record.uri)
    return _beside(explain(documents, f"{record.uri} row {row}", tables=tables), findings, record.key, row, tables)


def _beside(found: Explanation, findings: Findings, key: str, row: int, tables: Calibration | None) -> Explanation:
    """The explanation beside what was stored, which it must agree with."""
    import dataclasses

    import polars as pl

    if SIGNAL not in {signal.name for signal in findings.measured}:
        return found
    for part in findings.parts({SIGNAL: None}):
        at = part.filter((pl.col("shard") == key) & (pl.col("row") == row))
        if not at.height:
            continue
        stored = calibrated(at, tables)[SIGNAL].struct.unnest().row(0, named=True)
        if stored["margin"] is None:
            return found
        if stored.get("tier") != "fast":
            return dataclasses.replace(
                found, name=f"{found.name}, as the fast tier judges it, not {stored.get('tier')}"
            )
        if abs(stored["margin"] - found.margin) > _TOLERANCE:
            raise FindingsError(
                f"{found.name}: margin {found.margin:.3f} now, {stored['margin']:.3f} when it was scanned: the text or "
                "the model is another. Run foxing scan again with --fresh."
            )
        # Of the findings: a reference of the user's own goes by the groups that these hold.
        judged = {name: stored[name] for name in ("p_human", "score", "abstained")}
        return dataclasses.replace(found, stored=float(stored["margin"]), **judged)
    return found


def _documents(shard: Shard, layout: Layout, rows: Sequence[int], name: str) -> list[tuple[int, Documents]]:
    """Each row as a batch of one.

    Raises:
        InputError: a row that is not there or has no text.
    """
    import numpy as np

    wanted = np.unique(np.array([row for row in rows if row < _ROWS], np.int64))
    found = {
        int(row): part.documents.slice(at, 1)
        for part in fetch(shard, layout, rows=wanted)
        for at, row in enumerate(part.rows)
    }
    for row in rows:
        if row not in found:
            raise InputError(f"{name}: no row {row}. Rows are numbered from 0.")
        if not found[row].response.valid[0]:
            raise InputError(f"{name} row {row}: has no text. Name another row.")
    return [(row, found[row]) for row in rows]
