from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from curricula.cli import COMMANDS
from tests.conftest import Answer

Foxing = Callable[..., Answer]


def test_help_lists_every_command(foxing: Foxing) -> None:
    answer = foxing("-h")
    assert answer.code == 0
    for name, (_, text) in COMMANDS.items():
        assert name in answer.out and text.rstrip(".") in " ".join(answer.out.split())


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself_and_its_options(foxing: Foxing, name: str) -> None:
    answer = foxing(name, "-h")
    assert answer.code == 0 and "Usage: " in answer.out
    assert all(option in answer.out for option in ("--config", "--isolated", "--quiet", "--verbose", "--no-color"))


def test_unknown_command_exits_2(foxing: Foxing) -> None:
    answer = foxing("scam")
    assert answer.code == 2 and "No such command" in answer.err


def test_ctrl_c_exits_130_and_says_how_to_go_on(
    foxing: Foxing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scan = importlib.import_module("audit.scan_run")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scan, "scan", interrupted)
    answer = foxing("scan", "x", "-o", tmp_path / "o")
    assert answer.code == 130 and "interrupted" in answer.err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['foxing', '--help']\n"
        "from curricula.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numba', 'polars', 'pyarrow', 'numpy', 'onnxruntime', 'torch', 'fsspec'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "scan" in done.stdout


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -c 'from curricula.cli import main; main()'"
    return subprocess.run(["sh", "-c", script.format(foxing=command)], cwd=folder, capture_output=True, text=True)


def test_closed_standard_output_is_no_verdict(tmp_path: Path) -> None:
    done = shell("{foxing} rule FX101 >&-", tmp_path)
    assert done.returncode != 1 and "Traceback" not in done.stderr


def test_a_working_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = shell("rmdir ../gone; {foxing} config", tmp_path / "gone")
    assert done.returncode == 2 and "working directory is gone" in done.stderr and "Traceback" not in done.stderr
