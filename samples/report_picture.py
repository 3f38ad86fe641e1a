"""Draws the first screen of a report on the sample corpus, in light and dark, and writes the schema of its JSON.

Usage: python samples/report_picture.py CORPUS

Needs chromium and Playwright (pip install playwright). The same browser and fonts give the same pictures.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import audit
from audit.config import Config, ScanConfig
from audit.report.document import schema
from curricula.report import Wanted, write_report

DOCS = Path(__file__).resolve().parent.parent / "docs"
SIGNALS = ("document", "diversity", "language", "near_dup", "residue", "ai_text", "format")
WIDTH, HEIGHT = 1000, 1105
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def page(corpus: Path, folder: Path) -> Path:
    """A report on the corpus, in FOLDER."""
    config = Config(scan=ScanConfig(signals=SIGNALS, workers=1))
    found = audit.scan(corpus, folder / "audit", settings=config)
    wanted = Wanted(title="The sample corpus", curricula=[["dedup"]])
    return write_report(found, folder / "report.html", wanted)


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
