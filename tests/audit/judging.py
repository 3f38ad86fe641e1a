"""Findings made in code, and a detector whose errors are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.findings_folder import FailedShard, Findings, ShardRecord, SignalRecord
from audit.parts import PartIdentity, PartWriter, part_path
from detectors.ai_text import AiText
from detectors.ai_text.calibration import ErrorRate

DOCUMENT = pa.schema(
    [("bytes", pa.int64()), ("characters", pa.int64()), ("words", pa.int32()), ("utf8_valid", pa.bool_())]
)
AI_TEXT = pa.schema(
    [
        ("margin", pa.float32()),
        ("tier", pa.string()),
        ("length", pa.int32()),
        ("language", pa.string()),
        ("abstained", pa.bool_()),
        ("out_of_support", pa.bool_()),
    ]
)
RESIDUE = pa.schema([("hits", pa.int32()), ("weak_hits", pa.int32()), ("phrase", pa.string()), ("start", pa.int64())])
SCHEMAS = {"document": DOCUMENT, "ai_text": AI_TEXT, "residue": RESIDUE}

Row = Mapping[str, Any]


def document(words: int = 100, *, valid: bool = True) -> dict[str, object]:
    return {"bytes": words * 6, "characters": words * 6, "words": words, "utf8_valid": valid}


def ai_text(margin: float | None, *, language: str = "en", length: int = 600) -> dict[str, object]:
    return {
        "margin": margin,
        "tier": "fast",
        "length": length,
        "language": language,
        "abstained": margin is None,
        "out_of_support": False,
    }


def residue(hits: int) -> dict[str, object]:
    return {"hits": hits, "weak_hits": 0, "phrase": "en.as_an_ai" if hits else None, "start": 0 if hits else None}


def row(margin: float | None = 0.0, *, words: int = 100, hits: int = 0, source: str | None = None) -> dict[str, Any]:
    """One measured document; margins of 2 and more are flagged by `Tables`."""
    return {"document": document(words), "ai_text": ai_text(margin), "residue": residue(hits), "source": source}


def write_findings(
    folder: Path,
    shards: Mapping[str, Sequence[Row]],
    *,
    signals: Sequence[str] = ("document", "residue", "ai_text"),
    columns: Mapping[str, Mapping[str, str]] | None = None,
    failed: Sequence[FailedShard] = (),
    by: str | None = None,
) -> Findings:
    """A findings folder as a scan writes it. A row maps signal names to findings (None or absent: unmeasured),
    `source` to its source and `error:SIGNAL` to what that signal raised.
    """
    schemas = {name: SCHEMAS[name] for name in signals}
    if by is not None:
        schemas[f"column.{by}"] = pa.schema([("value", pa.string())])
    records = []
    for key, rows in shards.items():
        for name, schema in schemas.items():
            _write(folder, key, name, schema, rows)
        kinds = dict((columns or {}).get(key, {"text": "string"}))
        records.append(
            ShardRecord(key, f"/data/{key}", "parquet", len(rows), 1, f"sha256:{key}", "text(text)", kinds, (0,))
        )
    run = tuple(SignalRecord(name, AiText.version if name == AiText.name else 1, {}, "abcd") for name in schemas)
    findings = Findings(folder, tuple(records), tuple(failed), run, 17, by)
    findings.commit("0.1.0")
    return Findings.open(folder)


def _write(folder: Path, key: str, name: str, schema: pa.Schema, rows: Sequence[Row]) -> None:
    path = part_path(folder, name, key, 0)
    writer = PartWriter(path, PartIdentity(name, 1, {}, 17, "text(text)", f"sha256:{key}", 0, len(rows)), schema)
    if rows:
        found = [{"value": r.get("source")} if name.startswith("column.") else r.get(name) for r in rows]
        struct = pa.array([f or {} for f in found], pa.struct(list(schema)))
        errors = [r.get(f"error:{name}") for r in rows]
        batch = pa.RecordBatch.from_struct_array(struct)
        writer.write(batch, pa.array([f is not None for f in found]), errors)
    writer.close()


@dataclass(frozen=True)
class Tables:
    """p_human is 10 ** -margin; error rates are as given."""

    rates: tuple[ErrorRate, ...] = (
        ErrorRate("books", "human", 1000, 5),
        ErrorRate("web", "human", 1000, 10),
        ErrorRate("chat", "ai", 1000, 800),
        ErrorRate("essays", "ai", 1000, 700),
    )

    @property
    def digest(self) -> str:
        return "fa4e" * 8

    @property
    def tier(self) -> str:
        return "fast"

    def p_human(self, margin: Any, language: Any, length: Any, style: Any = None) -> npt.NDArray[np.float32]:
        return np.asarray(10.0**-margin, np.float32).clip(0, 1)

    def score(self, margin: Any, language: Any, length: Any, style: Any = None) -> npt.NDArray[np.float32]:
        return np.asarray(1 / (1 + np.exp(-margin)), np.float32)

    def error_rates(self, fpr: float) -> Sequence[ErrorRate]:
        return self.rates
