"""Which structures texts have, and how far a source is from a reference: in these, and in the words it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.format_measures import jensen_shannon
from audit.format_sample import Sample, cheap_rows, read_texts, sample_findings
from detectors.errors import InputError

if TYPE_CHECKING:
    from audit.findings_folder import Findings

__all__ = ["STRUCTURES", "Distance", "Reference", "structures_of"]

U64 = npt.NDArray[np.uint64]

_TEXT_ROWS = 600
_MIN_WORDS = 1_000
_FREQUENT = 10
_SEED = 17

STRUCTURES = (
    "list",
    "numbered",
    "headings",
    "table",
    "code",
    "bold lead-ins",
    "labels",
    "questions and answers",
    "one line",
)
"""What of a text is told: two list items or more, two numbered ones, a heading, two table rows, fenced code, a line
that begins in bold face, one with a label such as `Answer:`, two questions that are answered (or one, and labels), no
more than a line."""


@dataclass(frozen=True)
class Distance:
    """Jensen-Shannon distances to a reference, 0 to 1.

    Attributes:
        structure: of how often each mix of `STRUCTURES` occurs.
        tokens: of word frequencies, in samples of equal size, all words together that occur fewer than 10 times in
            the two; None where texts cannot be read.
        floor: the same between two samples of the reference; a distance near it is none.
        words: in each sample.
    """

    structure: float
    tokens: float | None
    floor: float | None
    words: int


@dataclass(frozen=True)
class Reference:
    """What sources are compared with: mixes of structures, and the words of two samples."""

    mixes: U64
    words: tuple[U64, U64] | None

    @classmethod
    def of(cls, findings: Findings) -> Reference:
        """That of a scan; without words where its texts cannot be read."""
        total, _ = sample_findings(findings)
        mixes = _mixes(structures_of(total))
        try:
            texts = read_texts(findings, cheap_rows(total, _TEXT_ROWS).index)
        except InputError:
            return cls(mixes, None)
        return cls(mixes, (_hashes(texts[0::2]), _hashes(texts[1::2])))

    def distance(self, sample: Sample, texts: Sequence[bytes] | None) -> Distance:
        """Distances of a sample, and of texts of the same source (None: not read)."""
        structure = (
            jensen_shannon(_mixes(structures_of(sample)), self.mixes) if len(sample) and len(self.mixes) else 0.0
        )
        if texts is None or self.words is None:
            return Distance(structure, None, None, 0)
        words = _hashes(texts)
        n = min(len(words), *(len(each) for each in self.words))
        if n < _MIN_WORDS:
            return Distance(structure, None, None, n)
        first, second = (_thinned(each, n) for each in self.words)
        return Distance(structure, _token_distance(_thinned(words, n), first), _token_distance(first, second), n)


def _hashes(texts: Sequence[bytes]) -> U64:
    from detectors.documents import Documents

    found: U64 = Documents.from_texts(list(texts)).words.hashes
    return found


def _thinned(words: U64, n: int) -> U64:
    """So many words at random, from all documents."""
    return words[np.random.default_rng(_SEED).permutation(len(words))[:n]]


def _token_distance(first: U64, second: U64) -> float:
    """Of rare words it would measure little but the size of the samples."""
    values, counts = np.unique(np.concatenate([first, second]), return_counts=True)
    rare = values[counts < _FREQUENT]
    return jensen_shannon(*(np.where(np.isin(each, rare), np.uint64(0), each) for each in (first, second)))


def structures_of(sample: Sample) -> dict[str, npt.NDArray[np.bool_]]:
    """bool[n] a structure: which rows have it; in the order of `STRUCTURES`."""
    counts = sample.counts
    answered, labels = counts["answered_questions"], counts["label_lines"]
    found = (
        counts["bullet_lines"] + counts["number_lines"] > 1,
        counts["number_lines"] > 1,
        counts["heading_lines"] > 0,
        counts["table_lines"] > 1,
        counts["code_lines"] > 0,
        counts["bold_lines"] > 0,
        labels > 0,
        (answered > 1) | ((answered > 0) & (labels > 1)),
        counts["lines"] <= 1,
    )
    return dict(zip(STRUCTURES, found, strict=True))


def _mixes(structures: Mapping[str, npt.NDArray[np.bool_]]) -> U64:
    """uint64[n]: which structures each row has, as bits."""
    every = np.stack(list(structures.values())).astype(np.uint64)
    found: U64 = (every << np.arange(len(every), dtype=np.uint64)[:, None]).sum(axis=0).astype(np.uint64)
    return found
