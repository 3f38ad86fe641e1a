"""The rows by which the form of a corpus is profiled: a seeded sample a source, of findings and of texts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.rows import fetch, recorded_layout, scanned_shard
from detectors.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from audit.findings_folder import Findings

__all__ = ["FIELDS", "MOST_ROWS", "SIGNAL", "Sample", "Sampling", "cheap_rows", "read_texts", "sample_findings"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

SIGNAL = "format"
MOST_ROWS = 20_000
"""Rows of a source that are looked at; all rows of a smaller one."""
FIELDS = (
    "words",
    "lines",
    "bullet_lines",
    "number_lines",
    "heading_lines",
    "table_lines",
    "code_lines",
    "bold_lines",
    "label_lines",
    "answered_questions",
)
_HASHES = ("skeleton", "opening", "closing")
_TEXT_PARTS = 8
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Sample:
    """Rows of one source in random order; of those that have words, at most 20,000.

    Attributes:
        rows: of the source that have words.
        index: int64[n], position of each row in the corpus.
        part: int64[n], number of the part of findings that it is in.
        hashes: uint64[n] by name: `skeleton`, `opening`, `closing`.
        counts: int64[n] by name, of `FIELDS`.
    """

    rows: int
    index: I64
    part: I64
    hashes: Mapping[str, U64]
    counts: Mapping[str, I64]

    def first(self, n: int, least_words: int = 0) -> Sample:
        """The first n rows of those that have so many words: a random sample."""
        chosen = np.flatnonzero(self.counts["words"] >= least_words)[:n]
        return self.at(chosen)

    def at(self, chosen: I64) -> Sample:
        """These rows alone."""
        return Sample(
            rows=self.rows,
            index=self.index[chosen],
            part=self.part[chosen],
            hashes={name: values[chosen] for name, values in self.hashes.items()},
            counts={name: values[chosen] for name, values in self.counts.items()},
        )

    def __len__(self) -> int:
        """Rows in the sample."""
        return len(self.index)


def sample_findings(findings: Findings, most: int = MOST_ROWS) -> tuple[Sample, dict[str, Sample]]:
    """The sample of all rows, and that of each source, most rows first; memory some 260 bytes for each row sampled.

    A row is chosen by a hash of its place in the corpus and the scan's seed: the same ones each time.
    """
    sampling = Sampling(findings.seed, most)
    for part in findings.parts({SIGNAL: frozenset((*_HASHES, *FIELDS))}):
        sampling.add(part)
    return sampling.samples()


class Sampling:
    """What `sample_findings` draws, part by part: for who reads the same parts for something else besides."""

    def __init__(self, seed: int, most: int = MOST_ROWS) -> None:
        self._seed, self._most = seed, most
        self._total = _Held(most)
        self._sources: dict[str, _Held] = {}
        self._start = self._number = 0

    def add(self, part: pl.DataFrame) -> None:
        """Take in the next part of findings, which has `format`."""
        found = part[SIGNAL].struct
        some = found.field("skeleton").is_not_null().to_numpy()
        rows = np.flatnonzero(some)
        columns: dict[str, npt.NDArray[np.generic]] = {
            "index": rows + self._start,
            "key": _keys(rows + self._start, self._seed),
            "part": np.full(len(rows), self._number),
            **{name: found.field(name).fill_null(0).to_numpy()[rows] for name in (*_HASHES, *FIELDS)},
        }
        self._total.add(columns)
        for name, chosen in _by_source(part["source"], some):
            held = self._sources.setdefault(name, _Held(self._most))
            held.add({key: values[chosen] for key, values in columns.items()})
        self._start, self._number = self._start + part.height, self._number + 1

    def samples(self) -> tuple[Sample, dict[str, Sample]]:
        """The sample of all rows, and that of each source, most rows first."""
        samples = {name: each.sample() for name, each in self._sources.items()}
        ordered = dict(sorted(samples.items(), key=lambda item: (-item[1].rows, item[0])))
        return self._total.sample(), ordered


def _keys(index: I64, seed: int) -> U64:
    """uint64[n]: SplitMix64 (Steele, Lea and Flood 2014) of places, scattered anew by the seed."""
    mixed = index.astype(np.uint64) + np.uint64(seed * _GOLDEN % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: U64 = mixed ^ (mixed >> np.uint64(31))
    return found


def _by_source(sources: pl.Series, some: npt.NDArray[np.bool_]) -> list[tuple[str, I64]]:
    """Each source with the positions of its rows among those that are some."""
    names = sources.unique(maintain_order=True).to_list()
    if len(names) == 1:
        return [(names[0], np.arange(int(some.sum())))]
    numbers = sources.replace_strict(names, list(range(len(names)))).to_numpy()[some]
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(len(names) + 1))
    return [(name, order[ends[at] : ends[at + 1]]) for at, name in enumerate(names)]


class _Held:
    """The rows of one source with the lowest keys so far."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows = 0
        self._waiting = 0
        self._columns: list[dict[str, npt.NDArray[np.generic]]] = []

    def add(self, columns: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take in the rows of one part."""
        self._rows += len(columns["index"])
        self._waiting += len(columns["index"])
        self._columns.append(columns)
        if self._waiting > 2 * self._most:
            self._columns = [self._lowest()]
            self._waiting = len(self._columns[0]["index"])

    def _lowest(self) -> dict[str, npt.NDArray[np.generic]]:
        if not self._columns:
            names = ("index", "key", "part", *_HASHES, *FIELDS)
            return {name: np.zeros(0, np.uint64) for name in names}
        joined = {name: np.concatenate([each[name] for each in self._columns]) for name in self._columns[0]}
        order = np.argsort(joined["key"])[: self._most]
        return {name: values[order] for name, values in joined.items()}

    def sample(self) -> Sample:
        """What was kept, in the order of the keys."""
        kept = self._lowest()
        return Sample(
            rows=self._rows,
            index=kept["index"].astype(np.int64),
            part=kept["part"].astype(np.int64),
            hashes={name: kept[name].astype(np.uint64) for name in _HASHES},
            counts={name: kept[name].astype(np.int64) for name in FIELDS},
        )


def cheap_rows(sample: Sample, most: int) -> Sample:
    """Rows of a sample that are cheap to read: of at most 8 parts, chosen by the order of the sample."""
    parts = list(dict.fromkeys(sample.part.tolist()))[:_TEXT_PARTS]
    return sample.at(np.flatnonzero(np.isin(sample.part, parts))[:most])


def read_texts(findings: Findings, index: I64, corpus: str | None = None) -> list[bytes]:
    """The answers (in plain text: the texts) of rows, in the order in which they are named; empty for null.

    Args:
        findings: of the scan.
        index: positions in the corpus.
        corpus: folder that the files were moved to.

    Raises:
        InputError: a file is gone, changed or cannot be read.
    """
    if len(index) and index.max() >= findings.rows:
        raise InputError(f"{findings.directory}: has {findings.rows:,} rows, not {index.max() + 1:,}. Scan again.")
    starts = np.cumsum([0, *(shard.rows for shard in findings.shards)])
    order = np.argsort(index, kind="stable")
    owner = np.searchsorted(starts, index[order], side="right") - 1
    texts: dict[int, bytes] = {}
    for number in np.unique(owner).tolist():
        record = findings.shards[number]
        shard = scanned_shard(record, corpus)
        rows = np.unique(index[order][owner == number] - starts[number])
        for found in fetch(shard, recorded_layout(record, shard.uri), rows=rows):
            texts |= zip((found.rows + starts[number]).tolist(), _bytes(found.documents), strict=True)
    if missing := set(index.tolist()) - set(texts):
        raise InputError(f"{findings.directory}: row {min(missing)} of the corpus is gone. Run foxing scan again.")
    return [texts[at] for at in index.tolist()]


def _bytes(documents: object) -> Sequence[bytes]:
    from detectors.documents import Documents

    assert isinstance(documents, Documents)
    answers = documents.response
    data, offsets = answers.data, answers.offsets.tolist()
    return [data[start:end].tobytes() for start, end in itertools.pairwise(offsets)]
