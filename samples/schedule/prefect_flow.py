"""A Prefect flow that audits a corpus on a schedule and fails when it has drifted from its baseline.

    python prefect_flow.py /data/web /var/lib/foxing/web

A deployment gives it a schedule: `audit_corpus.serve(cron="0 6 * * 1", parameters={...})`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from prefect import flow, task


class DriftError(RuntimeError):
    """The corpus has drifted: the flow run fails, and whatever watches flow runs says so."""


@task(retries=2, retry_delay_seconds=60)  # type: ignore[untyped-decorator]
def scan(corpus: str, folder: str) -> None:
    """Measure what is new or has changed; a retry goes on where it was."""
    audit = Path(folder) / "audit"
    subprocess.run(["foxing", "scan", corpus, "-o", str(audit), "--update", "--quiet"], check=True)


@task  # type: ignore[untyped-decorator]
def drift(folder: str) -> list[str]:
    """Write the audit down; the rules that drifted."""
    ledger, chart, audit = (str(Path(folder) / name) for name in ("web.ledger", "trend.svg", "audit"))
    words = ["foxing", "ledger", ledger, "--add", audit, "--chart", chart, "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    return [change["rule"] for change in json.loads(done.stdout)["changes"] if change["drifted"]]


@flow(name="foxing-audit")  # type: ignore[untyped-decorator]
def audit_corpus(corpus: str, folder: str) -> None:
    """Scan, write down, and fail on drift."""
    scan(corpus, folder)
    if rules := drift(folder):
        raise DriftError(f"{corpus}: drifted in {', '.join(rules)}")


if __name__ == "__main__":
    audit_corpus(sys.argv[1], sys.argv[2])
