"""Draws the first screen of a report on the sample corpus, in light and dark, and writes the schema of its JSON.

Usage: python samples/report_picture.py CORPUS

Needs chromium and Playwright (pip install playwright). The same browser and fonts give the same pictures.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path

from audit.config import Config, ScanConfig
from audit.report.build import Asked, build_report
from audit.report.document import schema
from audit.report.page import render_page
from audit.rules import DEFAULTS
from audit.scan_run import scan
from curricula.outcomes import outcomes, plans

DOCS = Path(__file__).resolve().parent.parent / "docs"
SIGNALS = ("document", "diversity", "language", "near_dup", "residue", "ai_text", "format")
WIDTH, HEIGHT = 1000, 1105
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def page(corpus: Path, folder: Path) -> Path:
    """A report on the corpus, in FOLDER."""
    config = Config(scan=ScanConfig(signals=SIGNALS, workers=1))
    findings = scan([str(corpus)], folder / "audit", config).findings
    report = build_report(findings, DEFAULTS, Asked(title="The sample corpus"))
    foreseen = outcomes(findings, DEFAULTS, plans([["dedup"]], seed=findings.seed))
    file = folder / "report.html"
    file.write_text(render_page(dataclasses.replace(report, outcomes=foreseen)), "utf-8")
    return file


def draw(file: Path, browser: str) -> None:
    """Write docs/report-light.png and docs/report-dark.png."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        for scheme in ("light", "dark"):
            opened = started.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            opened.goto(file.as_uri())
            opened.screenshot(path=DOCS / f"report-{scheme}.png")
        started.close()


if __name__ == "__main__":
    (DOCS / "report.schema.json").write_text(json.dumps(schema(), indent=1) + "\n", "utf-8")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("chromium is absent, so there are no pictures: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="foxing-") as scratch:
        draw(page(Path(sys.argv[1]), Path(scratch)), found)
