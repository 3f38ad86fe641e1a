"""The checks of `make check` pass: style, formatting, types, import contracts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The recipe of `make check` is the one list of checks.
CHECKS = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split("\n\t")  # type: ignore[index]


@pytest.mark.parametrize("check", [line.strip().removeprefix("$(BIN)/") for line in CHECKS])
def test_check_passes(check: str) -> None:
    tool, *arguments = check.split()
    command = [str(Path(sys.executable).parent / tool), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
