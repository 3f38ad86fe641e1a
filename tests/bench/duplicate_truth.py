"""How well planted copies are found: recall by similarity beside what banding promises, and what went wrongly.

2,000 exact and 2,000 edited copies of known likeness (`tests.bench.planted_copies`) among human web pages. Banding
finds a pair of similarity s with probability 1 - (1 - s^rows)^bands, the S-curve; of what it finds a row goes when its
estimated similarity reaches the threshold. Both are held against what happens, once in a scan and, so that chance
does not decide, over 32 independent sets of permutations.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from audit.config import Config, ScanConfig
from audit.duplicates import Duplicates
from audit.findings_folder import Findings
from audit.scan_run import scan
from detectors.banding import band_keys, optimal_bands
from detectors.documents import Documents
from detectors.minhash import minhash_signatures
from detectors.near_dup import NearDup
from tests.bench.detector_stats import Rate
from tests.bench.planted_copies import SHINGLE_WORDS, jaccard, plant, shingles

__all__ = ["PERMUTATIONS", "THRESHOLD", "chance", "found_rows", "measured", "minima_of"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COPIES, SEED = 2_000, 17
_SETS, _BATCH = 32, 1_000
_EDGES = np.round(np.arange(0.5, 0.951, 0.05), 2)
_AT_LEAST = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
PERMUTATIONS, THRESHOLD = NearDup().permutations, Duplicates().threshold


def measured(texts: list[str], scratch: Path, *, exact: int = COPIES, near: int = COPIES) -> dict[str, Any]:
    """Plant copies in texts, scan, and count.

    Args:
        texts: human documents.
        scratch: folder; `planted.parquet` there has the rows, `audit` their findings.
        exact: copies that are exact.
        near: copies that are edited.
    """
    planted = plant(texts, exact=exact, near=near, seed=SEED)
    path = scratch / "planted.parquet"
    planted.select("text").write_parquet(path)
    settings = ScanConfig(signals=("near_dup",), stages=("duplicates",), workers=1, sketches=False, seed=SEED)
    found = found_rows(scan([str(path)], scratch / "audit", Config(scan=settings)).findings)
    bands, rows = optimal_bands(THRESHOLD, PERMUTATIONS)
    went = (found["keeper"] != np.arange(planted.height)).to_numpy()
    copies = planted.with_row_index("row").filter(pl.col("kind") == "exact")
    return {
        "rows": planted.height,
        "bands": bands,
        "rows of a band": rows,
        "threshold": THRESHOLD,
        "exact copies gone": Rate.of(int(went[copies["row"].to_numpy()].sum()), copies.height)._asdict(),
        "edited copies": _recall(planted, went, (bands, rows)),
        "rows gone": _precision(planted, found, went),
    }


def found_rows(findings: Findings) -> pl.DataFrame:
    """What a scan of one file found of each row: `keeper` (itself where kept), `similarity`, `exact`, `cluster`."""
    fields = ("keeper_row", "similarity", "exact", "cluster")
    frame = pl.concat(part.select("duplicates") for part in findings.parts({"duplicates": frozenset(fields)}))
    return frame.unnest("duplicates").with_row_index("row").select(
        keeper=pl.col("keeper_row").fill_null(pl.col("row").cast(pl.Int64)),
        similarity="similarity",
        exact="exact",
        cluster=pl.col("cluster").fill_null(pl.col("row").cast(pl.Int64)),
    )  # fmt: skip


def minima_of(texts: list[str]) -> npt.NDArray[np.uint32]:
    """uint32[n, permutations]: the signatures that a scan gives these texts."""
    starts = range(0, len(texts), _BATCH)
    parts = [Documents.from_texts(texts[start : start + _BATCH]).words for start in starts]
    return np.concatenate([minhash_signatures(words, PERMUTATIONS, SHINGLE_WORDS) for words in parts])


def chance(similarity: F64, bands: int, rows: int, permutations: int, least: int) -> F64:
    """float64[n]: probability that a pair so alike shares a band and agrees in `least` minima or more."""
    found = np.empty(len(similarity))
    for at, s in enumerate(similarity.tolist()):
        binomial = [math.comb(rows, k) * s**k * (1 - s) ** (rows - k) for k in range(rows)]  # a band that differs
        unshared, every = np.ones(1), np.ones(1)
        for _ in range(bands):
            unshared = np.convolve(unshared, binomial)
        rest = permutations - bands * rows
        for _ in range(rest):
            unshared = np.convolve(unshared, [1 - s, s])
        for _ in range(permutations):
            every = np.convolve(every, [1 - s, s])
        found[at] = every[least:].sum() - unshared[least:].sum()
    return found


def _recall(planted: pl.DataFrame, went: Bools, scheme: tuple[int, int]) -> dict[str, Any]:
    bands, rows = scheme
    copies = planted.with_row_index("row").filter(pl.col("kind").is_in(["scattered", "run"]))
    similarity, least = copies["jaccard"].to_numpy(), math.ceil(THRESHOLD * PERMUTATIONS - 1e-9)
    curve, expected = 1 - (1 - similarity**rows) ** bands, chance(similarity, bands, rows, PERMUTATIONS, least)
    shared, kept = _over_sets(planted, copies, scheme, least)
    gone = went[copies["row"].to_numpy()]

    def line(chosen: Bools) -> dict[str, Any]:
        count = int(chosen.sum())
        return {
            "pairs": count,
            "share a band": float(shared[chosen].mean()),
            "S-curve": float(curve[chosen].mean()),
            "points off": float(100 * (shared[chosen].mean() - curve[chosen].mean())),
            "gone, over 32 sets of permutations": float(kept[chosen].mean()),
            "expected": float(expected[chosen].mean()),
            "points off expected": float(100 * (kept[chosen].mean() - expected[chosen].mean())),
            "gone in the scan": Rate.of(int(gone[chosen].sum()), count)._asdict(),
        }

    bins = np.clip(np.digitize(similarity, _EDGES) - 1, 0, len(_EDGES) - 2)
    kinds = copies["kind"].to_numpy()
    return {
        "all": line(np.ones(len(bins), np.bool_)),
        **{f"{kind}": line(kinds == kind) for kind in ("scattered", "run")},
        "by similarity": {
            f"{_EDGES[at]:.2f} to {_EDGES[at + 1]:.2f}": line(bins == at)
            for at in range(len(_EDGES) - 1)
            if (bins == at).any()
        },
    }


def _over_sets(planted: pl.DataFrame, copies: pl.DataFrame, scheme: tuple[int, int], least: int) -> tuple[F64, F64]:
    """Share of 32 sets of permutations in which each pair shares a band, and in which it agrees enough besides."""
    bands, rows = scheme
    texts = planted["text"].to_list()

    def signed(chosen: list[int]) -> npt.NDArray[np.uint32]:
        words = Documents.from_texts([texts[row] for row in chosen]).words
        return minhash_signatures(words, _SETS * PERMUTATIONS, SHINGLE_WORDS)

    one, other = signed(copies["origin"].to_list()), signed(copies["row"].to_list())
    shared, kept = np.zeros(len(one)), np.zeros(len(one))
    for number in range(_SETS):
        span = slice(number * PERMUTATIONS, (number + 1) * PERMUTATIONS)
        keys = [band_keys(np.ascontiguousarray(each[:, span]), bands=bands, rows=rows) for each in (one, other)]
        is_shared = (keys[0] == keys[1]).any(axis=1)
        shared += is_shared
        kept += is_shared & ((one[:, span] == other[:, span]).sum(axis=1) >= least)
    return shared / _SETS, kept / _SETS


def _precision(planted: pl.DataFrame, found: pl.DataFrame, went: Bools) -> dict[str, Any]:
    """Of the rows that went, how like the kept row they are, by exact Jaccard similarity of word 5-grams."""
    texts, keepers = planted["text"].to_list(), found["keeper"].to_list()
    rows = np.flatnonzero(went)
    exact = np.array([jaccard(shingles(texts[row]), shingles(texts[keepers[row]])) for row in rows.tolist()])
    estimated = found["similarity"].to_numpy()[rows]
    planted_rows = planted["kind"].is_not_null().to_numpy()[rows]
    near = exact < 1

    def line(chosen: Bools) -> dict[str, Any]:
        counts = {f"{least}": Rate.of(int((exact[chosen] >= least).sum()), int(chosen.sum())) for least in _AT_LEAST}
        return {
            "rows": int(chosen.sum()),
            "exactly so alike": {least: rate._asdict() for least, rate in counts.items()},
            "least": float(exact[chosen].min()) if chosen.any() else None,
            "estimate less exact, mean": float((estimated - exact)[chosen].mean()) if chosen.any() else None,
            "estimate less exact, deviation": float((estimated - exact)[chosen].std()) if chosen.any() else None,
        }

    return {
        "all": line(np.ones(len(rows), np.bool_)),
        "not word for word alike": line(near),
        "planted ones": line(planted_rows),
        "the corpus's own": line(~planted_rows),
    }
