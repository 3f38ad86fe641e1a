"""How the scores of labelled sources are spread: one histogram for each source, author kind and generator.

One threshold has two error rates; a share of machine text is better told from the whole distribution of scores. Scores
are counted in bins of equal width in log odds, the same for every detector whose `score` is a probability, so a
histogram of a corpus and those of labelled sources can be compared bin by bin. The scores must come from models and
tables that never saw the source, or the spread between sources is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "BIN_ODDS", "HUMAN", "Profiles", "fit_profiles", "score_bins"]

_EDGES = np.arange(-4.0, 6.01, 0.5)
BINS = len(_EDGES) + 1
"""Bins of log odds: half a unit each from -4 to 6, and one beyond each end."""
BIN_ODDS = np.concatenate([[_EDGES[0] - 0.5], (_EDGES[:-1] + _EDGES[1:]) / 2, [_EDGES[-1] + 0.5]])
"""Log odds in the middle of each bin."""
_LEAST = 25
_REST = "(others)"
HUMAN = "human"

Names = Sequence[str] | npt.NDArray[np.str_]


@dataclass(frozen=True)
class Profiles:
    """Histograms of `score` over labelled documents.

    Attributes:
        sources: name of the source of each row; a source has a row for each kind of author that it holds.
        generators: "human", or the model that wrote the documents of the row.
        counts: int64[rows, BINS], documents.
    """

    sources: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, BINS), np.int64))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The table as named arrays, for the calibration file."""
        return {
            "profile_sources": np.array(self.sources, np.str_),
            "profile_generators": np.array(self.generators, np.str_),
            "profile_counts": self.counts.astype(np.uint32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Profiles:
        """The table from a calibration file; empty where that has none."""
        if "profile_counts" not in arrays:
            return cls()
        return cls(
            tuple(map(str, arrays["profile_sources"])),
            tuple(map(str, arrays["profile_generators"])),
            arrays["profile_counts"].astype(np.int64),
        )


def score_bins(score: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """int64[n]: the bin of each probability, 0 to BINS - 1; NaN is not allowed."""
    inside = np.clip(np.asarray(score, np.float64), 1e-9, 1.0 - 1e-9)
    return np.searchsorted(_EDGES, np.log(inside / (1.0 - inside)), side="right").astype(np.int64)


def fit_profiles(score: npt.ArrayLike, label: npt.ArrayLike, source: Names, generator: Names) -> Profiles:
    """Count out-of-source scores by source and generator.

    Args:
        score: float[n], probabilities; documents without one (NaN) are left out.
        label: int[n], 1 for machine text.
        source: str[n].
        generator: str[n]; ignored for human text. Generators of fewer than 25 documents in a source share a row, and
            a source of fewer than 25 documents of one kind of author says too little to be listed.
    """
    values, labels = np.asarray(score, np.float64), np.asarray(label, np.int64)
    known = ~np.isnan(values)
    names, labels = np.asarray(source, np.str_)[known], labels[known]
    authors = np.where(labels == 1, np.asarray(generator, np.str_)[known], HUMAN)
    bins = score_bins(values[known])
    rows: list[tuple[str, str, npt.NDArray[np.int64]]] = []
    for name in np.unique(names):
        for kind in (0, 1):
            chosen = (names == name) & (labels == kind)
            if chosen.sum() >= _LEAST:
                rows += [(str(name), author, counts) for author, counts in _by_author(authors[chosen], bins[chosen])]
    return Profiles(
        tuple(name for name, _, _ in rows),
        tuple(author for _, author, _ in rows),
        np.array([counts for _, _, counts in rows], np.int64).reshape(len(rows), BINS),
    )


def _by_author(authors: npt.NDArray[np.str_], bins: npt.NDArray[np.int64]) -> list[tuple[str, npt.NDArray[np.int64]]]:
    found, rest = [], np.zeros(BINS, np.int64)
    for author in np.unique(authors):
        counts = np.bincount(bins[authors == author], minlength=BINS)
        if counts.sum() >= _LEAST:
            found.append((str(author), counts))
        else:
            rest += counts
    return [*found, (_REST, rest)] if rest.any() else found
