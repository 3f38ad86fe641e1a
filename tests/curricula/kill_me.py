"""Curates with a slow, small layout, so that it can be killed in the middle: python kill_me.py AUDIT OUT."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import audit.calibrate
from audit.findings import Findings
from curricula.curate import Request, curate
from tests.curricula.fake_findings import RULES, Tables
from tests.curricula.test_emit import SMALL


def main(directory: Path, out: Path, pause_s: float) -> None:
    audit.calibrate.reference = Tables  # type: ignore[assignment]

    def pause(phase: str, done: float, total: float) -> None:
        time.sleep(pause_s)

    print("started", flush=True)
    request = Request(drop=("FX101",), allow_loss=1.0, layout=SMALL)
    curate(Findings.open(directory), RULES, out, request, on_progress=pause)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
