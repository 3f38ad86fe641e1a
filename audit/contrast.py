"""Which words, phrases and marks the most machine-like rows of a corpus overuse, against its most human-like rows.

Log-odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008): the prior is the usage of all rows that
are compared, so that rare phrases shrink towards no difference and common ones need none. Both sides are rows of one
language. Memory does not grow with the corpus: either side is a seeded sample of at most `MOST_ROWS` rows, of which the
first `MOST_WORDS` words are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit import calibrate
from audit.calibrate import SIGNAL, calibrated
from audit.corpus import Corpus
from audit.findings_folder import Findings
from audit.layout import find_layout
from audit.phrases import Counted, Texts, count_marks, count_phrases, log_odds
from audit.rows import batches, fetch, recorded_layout, scanned_shard
from detectors.documents import Documents
from detectors.errors import FindingsError, InputError

if TYPE_CHECKING:
    import polars as pl

    from audit.calibrate import Calibration
    from audit.config import Config

__all__ = ["FLAGGED", "MOST_ROWS", "MOST_WORDS", "Contrast", "Phrase", "contrast"]

FLAGGED = 0.01
MOST_ROWS = 2000
MOST_WORDS = 2000
_KEPT = 20_000
_LEAST_FLAGGED, _LEAST_ROWS = 50, 20
_MIN_COUNT, _MIN_DOCUMENTS, _MIN_Z = 10, 5, 3.0
_LENGTHS = (1, 2, 3)

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Phrase:
    """A word, phrase or mark that machine-like rows overuse.

    Attributes:
        text: its words, folded, separated by spaces; or the mark.
        words: how many; 0 for a mark.
        z: log-odds by its standard error, against the human-like rows; the smaller of both with a reference.
        count: occurrences in machine-like rows.
        rows: machine-like rows that have it.
        other_count: occurrences in human-like rows, and
        other_rows: rows of these that have it.
        reference_count: occurrences in the reference, None without one, and
        reference_rows: its rows that have it.
    """

    text: str
    words: int
    z: float
    count: int
    rows: int
    other_count: int
    other_rows: int
    reference_count: int | None = None
    reference_rows: int | None = None


@dataclass(frozen=True)
class Contrast:
    """What sets the machine-like rows of a corpus apart.

    Attributes:
        phrases: strongest first, of each length; marks last.
        language: of all rows compared.
        chosen: how machine-like rows were chosen.
        rows: machine-like rows counted, and
        total_words: their words.
        other_rows: human-like rows counted, and
        other_words: their words.
        reference_rows: of the reference, None without one, and
        reference_words: their words.
        judged: rows of the corpus (and source) that the detector judged.
        source: the source looked at, None for all.
        seed: of the samples.
        signature: of the findings.
    """

    phrases: tuple[Phrase, ...]
    language: str
    chosen: str
    rows: int
    total_words: int
    other_rows: int
    other_words: int
    reference_rows: int | None
    reference_words: int | None
    judged: int
    source: str | None
    seed: int
    signature: str


def contrast(
    findings: Findings,
    config: Config,
    *,
    source: str | None = None,
    language: str | None = None,
    references: Sequence[str] = (),
    corpus: str | None = None,
    tables: Calibration | None = None,
    top: int = 20,
) -> Contrast:
    """Compare the machine-like with the human-like rows of a scan.

    Args:
        findings: of a finished scan with `ai_text`.
        config: says which column of the reference is text.
        source: look at this source only.
        language: of the rows; None takes the one that most machine-like rows have.
        references: files of human text, for a second comparison.
        corpus: folder that the scanned files were moved to.
        tables: calibration to use; None takes the bundled one.
        top: phrases of each length.

    Raises:
        FindingsError: not measured, no such source or language, or too few rows. InputError: a file is gone or changed.
    """
    if SIGNAL not in {signal.name for signal in findings.measured}:
        raise FindingsError(f"{findings.directory}: the scan has no {SIGNAL}. Scan again with --signals {SIGNAL}.")
    kept = _kept(findings, source, tables)
    machine, human, chosen, code = _sides(kept, language, findings)
    texts = _texts(findings, machine, corpus), _texts(findings, human, corpus)
    reference = _reference(references, code, config, findings.seed) if references else None
    sides = [*texts, *([] if reference is None else [reference])]
    phrases = [found for n in _LENGTHS for found in _phrases(n, sides, top)]
    return Contrast(
        phrases=(*phrases, *_marks(sides, top)),
        language=code,
        chosen=chosen,
        rows=texts[0].documents,
        total_words=texts[0].total_words,
        other_rows=texts[1].documents,
        other_words=texts[1].total_words,
        reference_rows=None if reference is None else reference.documents,
        reference_words=None if reference is None else reference.total_words,
        judged=kept.judged,
        source=source,
        seed=findings.seed,
        signature=findings.signature(calibration=(tables or calibrate.reference()).digest),
    )


@dataclass(frozen=True)
class _Kept:
    """Two seeded samples of judged rows, by whether they are flagged: shard, row, p_human, language, priority."""

    flagged: pl.DataFrame
    others: pl.DataFrame
    judged: int


def _kept(findings: Findings, source: str | None, tables: Calibration | None) -> _Kept:
    """One pass over the findings; memory is that of the samples."""
    import polars as pl

    flagged: list[pl.DataFrame] = []
    others: list[pl.DataFrame] = []
    judged = 0
    tiers: set[str] = set()
    sources: set[str] = set()
    for part in findings.parts({SIGNAL: None}):
        if source is not None and len(sources) < 1000:
            sources.update(part["source"].unique().to_list())
        if source is not None:
            part = part.filter(pl.col("source") == source)
        fields = calibrated(part, tables).select("shard", "row", pl.col(SIGNAL).struct.unnest())
        tiers.update(fields.filter(pl.col("margin").is_not_null())["tier"].drop_nulls().unique())
        rows = fields.select("shard", "row", "language", "margin", "p_human").drop_nulls("p_human")
        judged += rows.height
        rows = rows.with_columns(priority=_priorities(rows["shard"], rows["row"].to_numpy(), findings.seed))
        hit = pl.col("p_human") <= FLAGGED
        for pile, found in ((flagged, rows.filter(hit)), (others, rows.filter(~hit))):
            pile.append(found)
            pile[:] = [_drawn(pl.concat(pile), _KEPT)]
    if source is not None and not judged:
        known = ", ".join(sorted(sources)[:12]) or "none"
        raise FindingsError(f"{findings.directory}: no judged row of source {source!r} (sources: {known}).")
    if not judged:
        reason = calibrate.uncalibrated(tiers, tables) or "the detector judged no row. Scan longer texts."
        raise FindingsError(f"{findings.directory}: {reason}")
    return _Kept(flagged[0], others[0], judged)


def _priorities(shards: pl.Series, rows: I64, seed: int) -> pl.Series:
    """A hash of each address, which draws the same rows however they come."""
    import polars as pl

    if not len(rows):
        return pl.Series("priority", [], dtype=pl.UInt64)
    names = shards.unique().to_list()
    base = {name: int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "little") for name in names}
    start: U64 = shards.replace_strict(names, [base[name] for name in names], return_dtype=pl.UInt64).to_numpy()
    mixed: U64 = start ^ rows.astype(np.uint64)
    return pl.Series("priority", _mixed(mixed))


def _drawn(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """The rows with the lowest priorities."""
    return rows.sort("priority", "shard", "row").head(most)


def _mixed(values: U64) -> U64:
    """Steps of SplitMix64."""
    mixed = values * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    result: U64 = mixed ^ (mixed >> np.uint64(31))
    return result


def _sides(kept: _Kept, language: str | None, findings: Findings) -> tuple[pl.DataFrame, pl.DataFrame, str, str]:
    """Machine-like and human-like rows of one language, how the former were chosen, and the language."""
    import polars as pl

    code = language or _common(kept)
    flagged, others = (one.filter(pl.col("language") == code) for one in (kept.flagged, kept.others))
    if flagged.height >= _LEAST_FLAGGED:
        chosen, machine = f"rows with p_human <= {FLAGGED}", flagged
    else:
        both = pl.concat([flagged, others]).sort("p_human", "priority")
        chosen, machine = "the most machine-like tenth of the rows", both.head(both.height // 10)
    rest = others.join(machine.select("shard", "row"), on=["shard", "row"], how="anti")
    human = rest.sort("p_human", "priority", descending=[True, False]).head(-(-rest.height // 2))
    for name, side in (("machine-like", machine), ("human-like", human)):
        if side.height < _LEAST_ROWS:
            raise FindingsError(
                f"{findings.directory}: {side.height} {name} rows in language {code!r}, {_LEAST_ROWS} are needed. "
                "Scan more rows, or name another --language or --source."
            )
    return _drawn(machine, MOST_ROWS), _drawn(human, MOST_ROWS), chosen, code


def _common(kept: _Kept) -> str:
    """The language of most flagged rows; of most rows where few are flagged."""
    import polars as pl

    rows = kept.flagged if kept.flagged.height >= _LEAST_FLAGGED else pl.concat([kept.flagged, kept.others])
    counts = rows.group_by("language").len().sort(["len", "language"], descending=[True, False])
    return str(counts["language"][0])


def _texts(findings: Findings, rows: pl.DataFrame, corpus: str | None) -> Texts:
    import polars as pl

    texts = Texts(MOST_WORDS)
    records = {record.key: record for record in findings.shards}
    for (key,), found in sorted(rows.partition_by("shard", as_dict=True).items()):
        shard = scanned_shard(records[str(key)], corpus)
        layout = recorded_layout(records[str(key)], shard.uri)
        for part in fetch(shard, layout, rows=found.select(pl.col("row").sort()).to_series().to_numpy()):
            texts.add(part.documents.response)
    return texts


def _reference(paths: Sequence[str], language: str, config: Config, seed: int) -> Texts:
    """A seeded sample of the reference's rows in that language."""
    texts = Texts(MOST_WORDS)
    for documents in _lowest(_in_language(paths, language, config), seed):
        texts.add(documents)
    if texts.documents < _LEAST_ROWS:
        raise InputError(
            f"{', '.join(paths)}: {texts.documents} rows of reference text in language {language!r}, {_LEAST_ROWS} are "
            "needed. Name more files, or another --language."
        )
    return texts


def _in_language(paths: Sequence[str], language: str, config: Config) -> Iterator[tuple[str, int, Documents]]:
    """Each row of that language: shard, position, a batch of one."""
    from detectors.ai_text.fast import languages

    for shard in Corpus.open(list(paths)).shards:
        layout = find_layout(shard.reader.names(), shard.uri, text=config.scan.text)
        for first, batch in batches(shard, layout):
            documents = Documents(batch).response
            found = np.flatnonzero(np.asarray(languages(documents)) == language)
            for at in found:
                yield shard.key, first + int(at), documents.slice(int(at), 1)


def _lowest(rows: Iterable[tuple[str, int, Documents]], seed: int) -> list[Documents]:
    """The `MOST_ROWS` rows whose addresses hash lowest, in order of their hashes, copied out of their batches."""
    import heapq

    import pyarrow as pa

    heap: list[tuple[int, bytes]] = []
    for key, row, documents in rows:
        base = int.from_bytes(hashlib.sha256(f"{seed} {key} {row}".encode()).digest()[:8], "little")
        if len(heap) == MOST_ROWS and -base <= heap[0][0]:
            continue
        text = documents.data[int(documents.offsets[0]) : int(documents.offsets[1])].tobytes()
        (heapq.heappush if len(heap) < MOST_ROWS else heapq.heapreplace)(heap, (-base, text))
    texts = [text for _, text in sorted(heap, reverse=True)]
    return [Documents(pa.record_batch({"text": pa.array([text], pa.large_binary())})) for text in texts]


def _phrases(n: int, sides: Sequence[Texts], top: int) -> list[Phrase]:
    """The most overused phrases of n words."""
    counted = count_phrases(sides, n)
    return [_phrase(sides[0].phrase(int(counted.places[at]), n), n, counted, at, z) for at, z in _best(counted, top)]


def _marks(sides: Sequence[Texts], top: int) -> list[Phrase]:
    """The most overused marks."""
    names, counted = count_marks(sides)
    return [_phrase(names[at], 0, counted, at, z) for at, z in _best(counted, top)]


def _best(counted: Counted, top: int) -> list[tuple[int, float]]:
    """Positions and z of the most overused, strongest first; against every other side."""
    if not len(counted.hashes):
        return []
    scores = np.min([log_odds(counted, against=side) for side in range(1, counted.counts.shape[1])], axis=0)
    enough = (counted.counts[:, 0] >= _MIN_COUNT) & (counted.documents[:, 0] >= _MIN_DOCUMENTS) & (scores >= _MIN_Z)
    order = np.lexsort((counted.hashes, -scores))
    return [(int(at), float(scores[at])) for at in order[enough[order]][:top]]


def _phrase(text: str, words: int, counted: Counted, at: int, score: float) -> Phrase:
    counts, rows = counted.counts[at].tolist(), counted.documents[at].tolist()
    third = (counts[2], rows[2]) if len(counts) > 2 else (None, None)
    return Phrase(text, words, score, counts[0], rows[0], counts[1], rows[1], *third)
