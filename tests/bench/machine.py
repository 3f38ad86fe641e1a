"""What a figure was measured with: machine, versions, commit."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.corpora import REPOSITORY

PACKAGES = ("foxing", "numba", "numpy", "pyarrow", "polars", "onnxruntime", "py3langid")


def machine(packages: tuple[str, ...] = PACKAGES) -> dict[str, object]:
    """Machine, versions, date and commit, JSON-ready."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.platform(),
        "cpu": cpu_model(),
        "cores": _lines("/proc/cpuinfo", "processor"),
        "memory_mb": memory_mb(),
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := _version(name)) is not None},
        "commit": commit(),
    }


def cpu_model() -> str:
    """As /proc/cpuinfo names it."""
    for line in _read("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def memory_mb() -> int:
    """Of the machine."""
    for line in _read("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return int(line.split()[1]) // 1024
    return 0


def commit() -> str:
    """Of the working tree, `+` behind it where files differ from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head + ("+" if head and _git("status", "--porcelain") else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _lines(path: str, start: str) -> int:
    return sum(line.startswith(start) for line in _read(path))
