"""Other offline detectors on the rows that foxing is measured on: accuracy, and documents a CPU second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tests.bench.detector_rows import Rows, timed_scan
from tests.bench.detector_stats import Rate, area_interval, auroc, true_positive_rate
from tests.bench.peers import ENVIRONMENT, PEERS, VENVS, Peer, install

__all__ = ["DETECTORS", "Detector", "compared", "install_all", "peer_sample"]

_TIMEOUT_S = 900
_PARTS = ("en", "other")


@dataclass(frozen=True)
class Detector:
    """A detector that is installed apart.

    Attributes:
        name: of its distribution.
        venv: folder of its interpreter.
        note: what its rows cannot say by themselves.
    """

    name: str
    venv: str
    note: str = ""


DETECTORS = (
    Detector("is-it-slop", "slop", "trained on public data that may hold these very sources"),
    Detector("ai-text-audit", "textaudit"),
    Detector("aifingerprint", "fingerprint", "names no threshold"),
    Detector("k-uncanny", "uncanny", "as by default, without its language model"),
    Detector("lmscan", "lmscan"),
)


def install_all() -> None:
    """Make the environments that are missing."""
    slop = next(peer for peer in PEERS if peer.venv == "slop")
    for one in DETECTORS:
        install(slop if one.venv == "slop" else Peer(one.venv, (one.name, "pyarrow"), "", 0, ()))


def peer_sample(rows: Rows, texts: pl.Series, *, english: int, other: int, seed: int = 17) -> tuple[Rows, pl.Series]:
    """Judged rows, half of each class, sources of a class taking turns; with their texts.

    Args:
        rows: all rows of the corpus, in its order.
        texts: of the same rows.
        english: how many English rows.
        other: how many in other languages.
        seed: of the draw.
    """
    frame = rows.frame.with_columns(text=texts).filter(pl.col("p_human").is_not_null())
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    chosen = []
    for part, size in ((pl.col("lang") == "en", english), (pl.col("lang") != "en", other)):
        turn = pl.int_range(pl.len()).over("label", "source")
        mixed = shuffled.filter(part).with_columns(turn=turn).sort("turn", maintain_order=True)
        chosen.append(mixed.group_by("label", maintain_order=True).head(size // 2).drop("turn"))
    both = pl.concat([one.select(chosen[0].columns) for one in chosen])
    return Rows(both.drop("text"), rows.unseen, rows.calibration), both["text"]


def compared(rows: Rows, texts: pl.Series) -> dict[str, Any]:
    """Foxing and every peer on these rows. A peer that fails says so instead of figures."""
    label, english = rows.label, (rows.frame["lang"] == "en").to_numpy()
    p = rows.floats("p_human")
    ours = _figures(label, english, rows.floats("margin"), p <= 0.01)
    seconds = min(timed_scan(texts) for _ in range(3))
    lines = [{"detector": "foxing, fast tier", "note": "p_human <= 0.01", **ours, "docs_s": len(texts) / seconds}]
    calibrated = _figures(label, english, rows.floats("score"), p <= 0.01)
    lines.append({**lines[0], "detector": "the same, by score", "note": "", **calibrated})
    failed = []
    with tempfile.TemporaryDirectory(prefix="foxing-detectors-") as folder:
        path = Path(folder) / "rows.parquet"
        pl.DataFrame({"text": texts}).write_parquet(path)
        for one in DETECTORS:
            print(f"{one.name} ...", file=sys.stderr, flush=True)
            try:
                found = _run(one, path)
            except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                failed.append(f"{one.name}: {error}")
                continue
            score = np.array(found["scores"], np.float64)
            flagged = score >= found["threshold"] if found["threshold"] is not None else None
            figures = _figures(label, english, score, flagged)
            name = f"{one.name} {found['version']}"
            lines.append({"detector": name, "note": one.note, **figures, "docs_s": len(texts) / found["cpu_s"]})
    return {"rows": len(texts), "unseen": rows.unseen, "detectors": lines, "failed": failed}


def _figures(
    label: npt.NDArray[np.int64],
    english: npt.NDArray[np.bool_],
    score: npt.NDArray[np.float64],
    flagged: npt.NDArray[np.bool_] | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, keep in zip(_PARTS, (english, ~english), strict=True):
        own, value = label[keep], score[keep]
        area, machine = auroc(own, value), int(own.sum())
        low, high = area_interval(area, len(own) - machine, machine)
        rate = true_positive_rate(own, value, 0.01)
        found[name] = {
            "human": len(own) - machine,
            "machine": machine,
            "auroc": None if np.isnan(area) else area,
            "low": None if np.isnan(low) else low,
            "high": None if np.isnan(high) else high,
            "own_tpr_01": None if np.isnan(rate) else rate,
            "default_fpr": _share(flagged, keep & (label == 0)),
            "default_tpr": _share(flagged, keep & (label == 1)),
        }
    return found


def _share(flagged: npt.NDArray[np.bool_] | None, keep: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    if flagged is None or not keep.any():
        return None
    rate = Rate.of(int(flagged[keep].sum()), int(keep.sum()))
    return {"hits": rate.hits, "n": rate.n, "share": rate.share, "low": rate.low, "high": rate.high}


def _run(one: Detector, path: Path) -> dict[str, Any]:
    environment = {**os.environ, **ENVIRONMENT}
    shim = VENVS / "isoc23.so"
    if one.venv == "slop" and shim.exists():
        environment["LD_PRELOAD"] = str(shim)
    done = subprocess.run(
        [
            str(VENVS / one.venv / "bin" / "python"),
            str(Path(__file__).with_name("peer_detectors.py")),
            str(path),
            one.name,
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else "no word")
    return dict(json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{"))))
