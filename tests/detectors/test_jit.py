from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from detectors.compiling import compiling_told, tell_compiling

REPOSITORY = Path(__file__).resolve().parents[2]
CALLER = """
from detectors.compiling import compiling_told
told = []
with compiling_told(told.append):
    from kernels import twice
    print(twice(21), told)
"""


def call(folder: Path, **environment: str) -> str:
    """What CALLER prints in a process of its own: the kernel's answer, and what was told."""
    done = subprocess.run(
        [sys.executable, "-c", CALLER],
        env={**os.environ, "PYTHONPATH": f"{folder}:{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kernels.py").write_text(
        "from detectors.jit import compiled\nfrom helper import EXTRA, add\n\n\n"
        "@compiled\ndef twice(x):\n    return add(x, x) + EXTRA\n"
    )
    (tmp_path / "helper.py").write_text(
        "from detectors.jit import inlined\n\nEXTRA = 0\n\n\n@inlined\ndef add(x, y):\n    return x + y\n"
    )
    return tmp_path


def test_only_a_kernel_that_is_not_cached_is_announced_and_once(folder: Path) -> None:
    assert call(folder) == "42 [True]"
    assert call(folder) == "42 []"


@pytest.mark.parametrize(
    ("old", "new", "answer"), [("x + y", "x + y + 1", "43"), ("EXTRA = 0", "EXTRA = 8", "50")], ids=["code", "constant"]
)
def test_a_change_in_an_imported_file_compiles_anew(folder: Path, old: str, new: str, answer: str) -> None:
    assert call(folder) == "42 [True]"
    helper = folder / "helper.py"
    helper.write_text(helper.read_text().replace(old, new))
    assert call(folder) == f"{answer} [True]"
    assert call(folder) == f"{answer} []"


def test_where_the_package_is_read_only_the_users_cache_is_used(folder: Path, tmp_path: Path) -> None:
    (folder / "__pycache__").write_text("not a folder, so nothing can be written below it")
    home = tmp_path / "home"
    assert call(folder, XDG_CACHE_HOME=str(home)) == "42 [True]"
    assert list(home.rglob("*.nbi"))
    assert call(folder, XDG_CACHE_HOME=str(home)) == "42 []"


def test_where_no_folder_can_be_written_kernels_work_and_are_said_to_be_compiled_each_time(folder: Path) -> None:
    (folder / "__pycache__").write_text("not a folder")
    for _ in range(2):
        assert call(folder, XDG_CACHE_HOME="/dev/null/none") == "42 [False]"


def test_the_users_choice_of_a_cache_folder_comes_first(folder: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    assert call(folder, NUMBA_CACHE_DIR=str(chosen)) == "42 [True]"
    assert list(chosen.rglob("*.nbi")) and not list((folder / "__pycache__").glob("*.nbi"))


def test_the_inner_listener_hears_and_the_outer_one_is_back_afterwards() -> None:
    outer: list[bool] = []
    inner: list[bool] = []
    tell_compiling(True)
    with compiling_told(outer.append):
        with compiling_told(inner.append):
            tell_compiling(True)
            tell_compiling(True)
        tell_compiling(False)
    assert (outer, inner) == ([False], [True])
