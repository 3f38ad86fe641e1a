"""Scans for the tests of reports: of a corpus that attacks, and of one without anything to show."""

from __future__ import annotations

from pathlib import Path

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.scan_run import scan
from detectors.benchmark_index import BenchmarkIndex
from detectors.documents import Documents
from tests.hostile import ITEM, PAYLOADS, write_hostile

SIGNALS = ("document", "diversity", "language", "near_dup", "residue", "ai_text", "format", "leakage")


def scan_hostile(folder: Path) -> Findings:
    """A scan in FOLDER/audit of the hostile corpus, by source, domain and date."""
    corpus = folder / "corpus"
    corpus.mkdir()
    write_hostile(corpus)
    index = BenchmarkIndex.from_documents(Documents.from_texts([ITEM]), [PAYLOADS[1]], [PAYLOADS[0]])
    (folder / "items.idx").write_bytes(index.to_bytes())
    config = Config(
        scan=ScanConfig(signals=SIGNALS, by="src", domain_column="dom", time_column="day", workers=1),
        signals={"leakage": {"index": str(folder / "items.idx")}},
    )
    return scan([str(corpus)], folder / "audit", config).findings
