"""Environments of tools that are installed apart from all else, below `FOXING_PEERS` (default .scratch/peers)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import corpora

__all__ = ["interpreter", "last_words", "told"]

VENVS = Path(os.environ.get("FOXING_PEERS", corpora.REPOSITORY / ".scratch" / "peers"))
_NAMES = (sys.executable, "python3.14", "python3.13", "python3.12")


def interpreter(name: str, requires: Sequence[str], *, least: tuple[int, int]) -> Path:
    """The interpreter of an environment; it is made, and filled by pip, where it is not there.

    Args:
        name: of its folder.
        requires: what pip installs.
        least: version of Python that this asks for.

    Raises:
        OSError: no such Python is here.
        subprocess.CalledProcessError: it cannot be installed.
    """
    folder = VENVS / name
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists():
        return python
    base = next((each for each in _NAMES if _is_at_least(each, least)), None)
    if base is None:
        raise OSError(f"{', '.join(requires)}: no Python {least[0]}.{least[1]} is here")
    print(f"installing {', '.join(requires)} into {folder} ...", file=sys.stderr, flush=True)
    for command in ([base, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *requires]):
        subprocess.run(command, capture_output=True, text=True, check=True)
    done.touch()
    return python


def _is_at_least(name: str, least: tuple[int, int]) -> bool:
    asked = [name, "-c", f"import sys; sys.exit(sys.version_info < {least})"]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def told(python: Path, script: str, arguments: Sequence[str], *, timeout_s: float) -> dict[str, Any]:
    """The last line that a script beside this file prints, which is JSON; `failed` with its last words instead."""
    command = [str(python), str(Path(__file__).with_name(script)), *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True, env=environment)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        return {"failed": last_words(error)}
    return found


def last_words(error: Exception) -> str:
    """What a program that failed said last."""
    said = str(getattr(error, "stderr", None) or error).strip().splitlines()
    return said[-1][-300:] if said else type(error).__name__
