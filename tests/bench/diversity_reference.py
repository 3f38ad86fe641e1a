"""`python -m tests.bench.diversity_reference`: the human reference of diversity in reports.

Measures the human documents of the reference data and writes counts by language, no text, to
audit/report/human_diversity.json. Languages of fewer than 200 documents are left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from audit.config import Config, ScanConfig
from audit.report.variety import MEASURES, SIGNAL, Histograms
from audit.scan_run import scan
from tests.bench.corpora import REPOSITORY, data_folder

OUT = REPOSITORY / "audit" / "report" / "human_diversity.json"
FILES = ("bench/human_web_40k.parquet", "detection/dated_web.parquet")
NAME = (
    "51,456 human documents: English books, reviews, news and standards, "
    "and websites of many languages dated up to 2022"
)
LEAST = 200


def main() -> int:
    """Write the file; 2 where the data are absent."""
    paths = [data_folder() / name for name in FILES]
    if absent := [path for path in paths if not path.is_file()]:
        print(f"SKIPPED: {absent[0]} is not there. Set FOXING_DATA.", file=sys.stderr)
        return 2
    histograms = Histograms()
    config = Config(
        scan=ScanConfig(signals=("document", "language", "diversity"), stages=(), sketches=False, workers=1)
    )
    for path in paths:
        with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
            findings = scan([str(path)], Path(folder) / "scan", config).findings
            for part in findings.parts({SIGNAL: frozenset(MEASURES), "language": frozenset(["language"])}):
                histograms.add(part)
    languages = {
        name: counts.tolist()
        for name, counts in sorted(histograms.languages.items())
        if counts[0].sum() >= LEAST and name != "und"
    }
    n = int(histograms.total[0].sum())
    assert NAME.startswith(f"{n:,} "), f"the reference has {n:,} documents, not as NAME says"
    OUT.write_text(json.dumps({"name": NAME, "languages": languages}, separators=(",", ":")) + "\n", "utf-8")
    print(f"{OUT}: {n:,} documents, {', '.join(languages)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
