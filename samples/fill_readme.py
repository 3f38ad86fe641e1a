"""Runs the tour of `make demo` and puts what it printed between the markers of README.md.

Usage: python samples/fill_readme.py [FOXING]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tour(foxing: str) -> str:
    """What samples/demo.sh prints."""
    environment = {**os.environ, "FOXING": foxing, "PYTHON": sys.executable}
    done = subprocess.run(
        ["sh", "samples/demo.sh"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.replace(f"{ROOT}/", "")


def blocks(printed: str) -> dict[str, str]:
    """Each command with its output, by name; `check` is cut to its table, its first finding and its last lines."""
    steps = re.split(r"^== .*$", printed, flags=re.MULTILINE)
    found = {}
    for step in steps:
        command = re.search(r"^\$ foxing (\w+).*", step, re.MULTILINE)
        if command:
            found[command[1]] = step[command.start() :].strip()
    head, *rest = found["check"].split("\n\n")
    found["check"] = "\n\n".join([head, rest[0], rest[1], "...", rest[-1].partition("\nExit code")[0]])
    found["tally"] = steps[-1].strip().split("\n\n")[0]
    return found


def fill(readme: str, found: dict[str, str]) -> str:
    """The README with every `<!-- output: NAME -->` block replaced."""

    def replaced(match: re.Match[str]) -> str:
        lines = [("    " + line).rstrip() for line in found[match[2]].splitlines()]
        return "\n".join([match[1], *lines, match[3]])

    pattern = re.compile(r"^(<!-- output: (\w+) -->)$.*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
    return pattern.sub(replaced, readme)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(
        fill(path.read_text("utf-8"), blocks(tour(sys.argv[1] if len(sys.argv) > 1 else "foxing"))), "utf-8"
    )
