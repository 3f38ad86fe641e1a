"""Findings made in code, of margins that a test chooses: no detector runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from audit.corpus import Corpus
from audit.findings_folder import Findings, ShardRecord, SignalRecord
from audit.parts import PartIdentity, PartWriter, part_path
from audit.rules import Action, Rule
from detectors.ai_text import AiText
from tests.audit.judging import AI_TEXT, DOCUMENT

LAYOUT = "text(text)"
BY = pa.schema([("value", pa.string())])
CLUSTERS = pa.schema([("cluster", pa.int64())])
RULES = (
    Rule(id="FX101", name="machine-written", when="ai_text.margin > 0.5"),
    Rule(id="FX201", name="long", when="document.words > 90"),
    Rule(id="FX202", name="needs a signal that was not scanned", when="diversity.mtld < 1"),
    Rule(id="FX901", name="unmeasured", when="unmeasured > 0"),
)
DROPPING = Rule(id="MY101", name="dropped by configuration", when="document.words > 95", action=Action.DROP)


class Tables:
    """A calibration whose score is the logistic function of the margin."""

    digest = "fa4e" * 8
    tier = "fast"

    def p_human(
        self, margin: object, language: object, length: object, style: object = None
    ) -> npt.NDArray[np.float32]:
        return 1 - self.score(margin, language, length)

    def score(self, margin: object, language: object, length: object, style: object = None) -> npt.NDArray[np.float32]:
        return (1 / (1 + np.exp(-np.asarray(margin, np.float64)))).astype(np.float32)


def patch_calibration(patch: pytest.MonkeyPatch) -> None:
    """Take `Tables` for the bundled calibration."""
    patch.setattr("audit.calibrate.reference", Tables)
    patch.setattr("audit.assess.reference", Tables)


def margins(rows: int, seed: int = 1) -> list[float | None]:
    """Margins in [-1, 1] with ties, and None for one row in nine."""
    draws = np.random.default_rng(seed).integers(-20, 20, rows) / 20
    return [None if i % 9 == 4 else float(value) for i, value in enumerate(draws)]


def make_findings(
    directory: Path,
    paths: Sequence[Path],
    margins_of: Mapping[str, Sequence[float | None]] | None = None,
    sources_of: Mapping[str, Sequence[str]] | None = None,
    *,
    faults_of: Mapping[str, Sequence[int]] | None = None,
    clusters_of: Mapping[str, Sequence[int | None]] | None = None,
    seed: int = 17,
) -> Findings:
    """Write a finished scan of `paths`: `document` (words = row % 100), `ai_text`, and sources when given by file.

    `duplicates` is there when clusters are given by file; a row of a file that is not named has none.

    One row in 31 is unmeasured, as a null text is; on the rows of `faults_of`, by file, `ai_text` raised.
    """
    corpus = Corpus.open([str(path) for path in paths])
    records = []
    for shard in corpus.shards:
        rows = sum(batch.num_rows for batch in shard.batches(None))
        name = shard.uri.rsplit("/", 1)[-1]
        found = (margins_of or {}).get(name) or margins(rows, seed=len(name) + rows)
        digest = shard.digest()
        signals = {
            "document": DOCUMENT,
            "ai_text": AI_TEXT,
            **({"column.source": BY} if sources_of else {}),
            **({"duplicates": CLUSTERS} if clusters_of is not None else {}),
        }
        for signal, schema in signals.items():
            if signal == "duplicates":
                clusters = pa.array((clusters_of or {}).get(name, [None] * rows), pa.int64())
                batch = pa.RecordBatch.from_arrays([clusters], schema=schema)
            else:
                batch = _batch(signal, schema, rows, found, (sources_of or {}).get(name, [name] * rows))
            identity = PartIdentity(signal, 1, {}, seed, "text", digest, 0, rows)
            writer = PartWriter(part_path(directory, signal, shard.key, 0), identity, schema)
            raised = set((faults_of or {}).get(name, ())) if signal == "ai_text" else set()
            measured = [row % 31 != 30 and row not in raised for row in range(rows)]
            errors = ["ValueError: no lanterns" if row in raised else None for row in range(rows)]
            writer.write(batch, pa.array(measured, pa.bool_()), errors if raised else None)
            writer.close()
        columns = {field.name: str(field.type) for field in shard.schema()}
        records.append(
            ShardRecord(shard.key, shard.uri, shard.format.value, rows, shard.size_bytes, digest, LAYOUT, columns, (0,))
        )
    names = ["document", "ai_text", *(["column.source"] if sources_of else [])]
    names += ["duplicates"] if clusters_of is not None else []
    findings = Findings(
        directory=directory,
        shards=tuple(records),
        failed=(),
        signals=tuple(SignalRecord(name, AiText.version if name == AiText.name else 1, {}, "0" * 12) for name in names),
        seed=seed,
        by="source" if sources_of else None,
    )
    findings.commit("0")
    return Findings.open(directory)


def _batch(
    signal: str, schema: pa.Schema, rows: int, found: Sequence[float | None], sources: Sequence[str]
) -> pa.RecordBatch:
    if signal == "document":
        columns = [[10] * rows, [10] * rows, [row % 100 for row in range(rows)], [True] * rows]
    elif signal == "ai_text":
        missing = [value is None or math.isnan(value) for value in found]
        columns = [list(found), ["fast"] * rows, [100] * rows, ["en"] * rows, missing, [False] * rows]
    else:
        columns = [list(sources)]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
