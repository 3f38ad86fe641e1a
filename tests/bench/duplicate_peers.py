"""The same rows by other tools: what datasketch's LSH pairs up and keeps, and which clusters text-dedup makes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.banding import band_keys, flatten
from tests.bench.peer_venv import interpreter, last_words, told

__all__ = ["agreement", "by_datasketch", "by_text_dedup"]

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]


def by_datasketch(minima: U32, found: pl.DataFrame, scheme: tuple[int, int], threshold: float) -> dict[str, Any]:
    """The search of a scan repeated with `datasketch.MinHashLSH` at the same bands.

    Args:
        minima: uint32[n, permutations], signatures of rows that all have words.
        found: of the scan, see `tests.bench.duplicate_truth.found_rows`; the order of keeping was that of the rows.
        scheme: bands, and rows of a band.
        threshold: least estimated similarity.
    """
    import datasketch

    made = [datasketch.MinHash(seed=1, hashvalues=row, scheme="affine32") for row in minima]
    every = datasketch.MinHashLSH(num_perm=minima.shape[1], params=scheme)
    kept = datasketch.MinHashLSH(num_perm=minima.shape[1], params=scheme)
    pairs: set[tuple[int, int]] = set()
    keepers = np.arange(len(minima))
    for row, signature in enumerate(made):
        pairs |= {(other, row) for other in every.query(signature)}
        every.insert(row, signature)
        alike = [(-made[other].jaccard(signature), other) for other in kept.query(signature)]
        likest = min(alike, default=(0.0, row))
        if -likest[0] >= threshold:
            keepers[row] = likest[1]
        else:
            kept.insert(row, signature)
    own = _pairs(minima, scheme)
    verified = [(one, other) for one, other in pairs if made[one].jaccard(made[other]) >= threshold]
    clusters = np.arange(len(minima))
    flatten(clusters, np.array(verified, np.int64).reshape(-1, 2))
    return {
        "version": datasketch.__version__,
        "candidate pairs": {"datasketch": len(pairs), "foxing": len(own), "both": len(pairs & own)},
        "rows gone": int((keepers != np.arange(len(minima))).sum()),
        "rows with another keeper": int((keepers != found["keeper"].to_numpy()).sum()),
        "clusters of its verified pairs": agreement(clusters, found["cluster"].to_numpy()),
    }


def _pairs(minima: U32, scheme: tuple[int, int]) -> set[tuple[int, int]]:
    """All pairs of rows, the lower one first, that share a band."""
    keys = band_keys(minima, bands=scheme[0], rows=scheme[1])
    pairs: set[tuple[int, int]] = set()
    for band in keys.T:
        groups = pl.DataFrame({"key": band, "row": np.arange(len(band))}).group_by("key").agg("row")
        for members in groups.filter(pl.col("row").list.len() > 1)["row"].to_list():
            ordered = sorted(members)
            pairs |= {(one, other) for at, one in enumerate(ordered) for other in ordered[at + 1 :]}
    return pairs


def agreement(one: I64, other: I64) -> dict[str, Any]:
    """Two clusterings of the same rows, a number each: pairs of rows that each puts together, and how many both do."""
    both = _together(zip(one.tolist(), other.tolist(), strict=True))
    first, second = _together(one.tolist()), _together(other.tolist())
    return {
        "pairs of theirs": first,
        "pairs of foxing": second,
        "pairs of both": both,
        "share of theirs": both / first if first else None,
        "share of foxing's": both / second if second else None,
    }


def _together(labels: Iterable[object]) -> int:
    counts: dict[object, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    return sum(count * (count - 1) // 2 for count in counts.values())


def by_text_dedup(rows: Path, found: pl.DataFrame, threshold: float, scratch: Path) -> dict[str, Any]:
    """text-dedup's MinHash with verification over the same rows, in an environment of its own.

    It cuts words elsewhere, has other permutations, and checks exact similarity within a cluster, so some difference
    is to be expected. Where it cannot be installed or run, `failed` says how.
    """
    try:
        python = interpreter("dedup", ["text-dedup"], least=(3, 12))
    except (OSError, subprocess.SubprocessError) as error:
        return {"failed": last_words(error)}
    said = told(python, "peer_text_dedup.py", [str(rows), str(threshold), str(scratch)], timeout_s=1800)
    if "failed" in said:
        return said
    theirs = np.arange(found.height)
    for row, cluster in said.pop("clusters").items():
        theirs[int(row)] = cluster
    clusters = found["cluster"].to_numpy()
    apart = [np.bincount(each, minlength=found.height)[each] > 1 for each in (theirs, clusters)]
    return {
        **said,
        "rows in a cluster": {
            "text-dedup": int(apart[0].sum()),
            "foxing": int(apart[1].sum()),
            "both": int((apart[0] & apart[1]).sum()),
        },
        "clusters": agreement(theirs, clusters),
    }
