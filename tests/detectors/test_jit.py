from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detectors.compiling import also_told, compiling_told, tell_compiling

REPOSITORY = Path(__file__).resolve().parents[2]
CALLER = """
from detectors.compiling import compiling_told
told = []
with compiling_told(told.append):
    from kernels import twice
    print(twice(21), told)
"""


def call(folder: Path, script: str = CALLER, **environment: str) -> str:
    """What CALLER prints in a process of its own: the kernel's answer, and what was told."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": f"{folder}:{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=100,
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


def start(folder: Path, script: str, stdin: int | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate()
    return process.returncode


def test_processes_that_start_at_once_share_one_compilation(folder: Path) -> None:
    counted = (
        "from numba.core import event\nbegun = []\n"
        "class Listener(event.Listener):\n"
        "    def on_start(self, e): begun.append(e.data['dispatcher'].py_func.__name__)\n"
        "    def on_end(self, e): pass\n"
        "from kernels import twice\n"
        "event.register('numba:compile', Listener())\n"
        "assert twice(21) == 42\nprint(*begun)\n"
    )
    running = [start(folder, counted) for _ in range(4)]
    compiled = [process.communicate()[0].split() for process in running]
    assert all(process.returncode == 0 for process in running)
    assert sorted(itertools.chain(*compiled)) == ["add", "twice"]


def test_each_signature_has_a_file_of_its_own_whoever_compiles_at_the_same_time(folder: Path) -> None:
    """Types of different sizes: code of another one would answer with something else."""
    types = ("int64", "float64", "complex128", "uint8", "float32")
    script = "import numpy as np, sys\nfrom kernels import twice\nx = np.{}(3)\nassert twice(x) == 6, twice(x)\n"
    running = [start(folder, script.format(kind)) for kind in types]
    assert [ended(process) for process in running] == [0] * 5
    assert len(list((folder / "__pycache__").glob("kernels.twice*.nbc"))) == 5
    assert all(ended(start(folder, script.format(kind))) == 0 for kind in types)


def test_a_process_that_dies_while_it_compiles_keeps_nobody_waiting(folder: Path) -> None:
    held = (
        "import os, signal\nfrom numba.core import event\n"
        "class Listener(event.Listener):\n"
        "    def on_start(self, e): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    def on_end(self, e): pass\n"
        "event.register('numba:compile', Listener())\n"
        "from kernels import twice\ntwice(21)\n"
    )
    assert ended(start(folder, held)) == -signal.SIGKILL
    assert call(folder) == "42 [True]"


def test_code_of_a_source_that_is_gone_is_removed(folder: Path) -> None:
    assert call(folder) == "42 [True]"
    before = set((folder / "__pycache__").glob("*.nbc"))
    helper = folder / "helper.py"
    helper.write_text(helper.read_text().replace("x + y", "x + y + 1"))
    assert call(folder) == "43 [True]"
    after = set((folder / "__pycache__").glob("*.nbc"))
    assert len(after) == len(before) == 2 and not after & before


@pytest.mark.parametrize(
    ("old", "new", "answer"), [("x + y", "x + y + 1", "43"), ("EXTRA = 0", "EXTRA = 8", "50")], ids=["code", "constant"]
)
def test_a_change_in_an_imported_file_compiles_anew(folder: Path, old: str, new: str, answer: str) -> None:
    assert call(folder) == "42 [True]"
    helper = folder / "helper.py"
    helper.write_text(helper.read_text().replace(old, new))
    assert call(folder) == f"{answer} [True]"
    assert call(folder) == f"{answer} []"


def test_a_change_of_what_an_intrinsic_is_made_by_compiles_anew(folder: Path) -> None:
    (folder / "maker.py").write_text(
        "from llvmlite import ir\n\ndef number():\n    return ir.Constant(ir.IntType(64), 42)\n"
    )
    (folder / "kernels.py").write_text(
        "from numba import types\nfrom numba.extending import intrinsic\nfrom detectors.jit import compiled\n"
        "from maker import number\n\n"
        "@intrinsic\ndef made(context, x):\n    return types.int64(x), lambda *parts: number()\n\n"
        "@compiled\ndef twice(x):\n    return made(x)\n"
    )
    assert call(folder) == "42 [True]"
    assert call(folder) == "42 []"
    maker = folder / "maker.py"
    maker.write_text(maker.read_text().replace("42", "43"))
    assert call(folder) == "43 [True]"


@pytest.mark.parametrize(
    "other",
    ["import numba\nnumba.__version__ = '0'", "import detectors.jit\ndetectors.jit._BARE['boundscheck'] = True"],
    ids=["version", "options"],
)
def test_another_numba_and_other_options_have_files_of_their_own(folder: Path, other: str) -> None:
    assert call(folder) == "42 [True]"
    before = set((folder / "__pycache__").glob("*.nbc"))
    assert call(folder, f"{other}\n{CALLER}") == "42 [True]"
    assert len(before) == 2 and not before & set((folder / "__pycache__").glob("*.nbc"))


@pytest.mark.parametrize(
    ("kind", "left"), [("nbi", "a half"), ("nbc", "nothing"), ("nbc", "a half"), ("nbi", "a folder")]
)
def test_what_cannot_be_read_is_compiled_anew(folder: Path, kind: str, left: str) -> None:
    """A file that was cut off when the machine went down, or one that is another user's."""
    assert call(folder) == "42 [True]"
    for path in (folder / "__pycache__").glob(f"*.{kind}"):
        whole = path.read_bytes()
        path.unlink()
        if left == "a folder":
            path.mkdir()
        else:
            path.write_bytes(whole[: len(whole) // 2] if left == "a half" else b"")
    assert call(folder) == "42 [True]"
    assert call(folder) == ("42 [True]" if left == "a folder" else "42 []")


def test_where_the_lock_is_another_users_nobody_is_waited_for(folder: Path) -> None:
    refused = (
        "import os\nopened = os.open\n"
        "def refused(path, *options, **more):\n"
        "    if str(path).endswith('.lock'): raise PermissionError(13, 'another user')\n"
        "    return opened(path, *options, **more)\n"
        "os.open = refused\n"
    )
    assert call(folder, refused + CALLER) == "42 [True]"
    assert call(folder) == "42 []"


def test_a_compilation_that_fails_keeps_nobody_waiting(folder: Path) -> None:
    failed = (
        "from kernels import twice\nfrom numba.core.errors import TypingError\n"
        "try:\n    twice(None)\nexcept TypingError as error:\n    print(type(error).__name__, flush=True)\n"
        "input()\n"
    )
    with start(folder, failed, stdin=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == "TypingError\n"
        assert call(folder) == "42 [True]"
        process.communicate("\n")


def test_what_a_killed_process_was_writing_is_removed(folder: Path) -> None:
    assert call(folder) == "42 [True]"
    (index,) = (folder / "__pycache__").glob("kernels.*.nbi")
    left = [index.with_name(f"{index.name}.tmp.0"), index.with_name(index.name.replace("nbi", "1.nbc.tmp.0"))]
    for path in left:
        path.touch()
    index.unlink()
    assert call(folder) == "42 [True]"
    assert index.exists() and not any(path.exists() for path in left)


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


def test_a_second_listener_hears_beside_the_first_and_neither_hears_twice() -> None:
    outer: list[bool] = []
    inner: list[bool] = []
    with compiling_told(outer.append):
        with also_told(inner.append):
            tell_compiling(True)
            tell_compiling(True)
        tell_compiling(True)
    with also_told(inner.append):
        tell_compiling(False)
    assert (outer, inner) == ([True], [True, False])
    with compiling_told(outer.append):
        with also_told(inner.append):
            pass
        tell_compiling(False)
    assert (outer, inner) == ([True, False], [True, False])
