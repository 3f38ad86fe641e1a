"""`foxing doctor` in a real process: what it finds, what stands in the way, and the exit status that follows."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import audit
from detectors.registry import SIGNALS

ROOT = Path(__file__).parent.parent.parent


def doctor(*words: str, folder: Path, path: Path | None = None, torch: bool = False) -> tuple[int, str, str]:
    """Run it where `path` comes before everything else that is installed; to import torch takes seconds."""
    without = folder / "without-torch"
    without.mkdir(exist_ok=True)
    (without / "torch.py").write_text("raise ImportError('is not needed here')\n", "utf-8")
    found = [*([str(path)] if path else []), *([] if torch else [str(without)])]
    command = [sys.executable, "-c", "from curricula.cli import main; main()", "doctor", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*found, str(ROOT)])}
    environment.pop("FOXING_CONFIG", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def distribution(folder: Path, name: str, version: str, points: str = "") -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    (info / "entry_points.txt").write_text(points, "utf-8")


def test_it_says_what_foxing_runs_on_and_exits_0(tmp_path: Path) -> None:
    code, out, err = doctor(folder=tmp_path, torch=True)
    assert (code, err) == (0, "")
    words = [line.split() for line in out.splitlines() if line]
    assert ["foxing", f"{audit.__version__},", str(ROOT)] in words
    packages = {line[0]: line[1].rstrip(",") for line in words if line[0] in ("click", "numba", "polars", "pyarrow")}
    assert packages == {name: importlib.metadata.version(name) for name in packages} and len(packages) == 4
    assert any(line[0] == "kernels" and line[-1] in ("(writable)", "needed)") for line in words)


def test_json_has_every_extra_with_what_it_gives(tmp_path: Path) -> None:
    code, out, _ = doctor("--json", folder=tmp_path)
    found: dict[str, Any] = json.loads(out)
    assert code == found["exit_code"] == 0 and found["problems"] == []
    extras = {extra["name"]: extra for extra in found["extras"]}
    declared = set(importlib.metadata.metadata("foxing").get_all("Provides-Extra") or ()) - {"all", "test"}
    assert set(extras) == declared and all(extra["gives"] for extra in extras.values())
    for package in found["packages"]:
        assert (Path(package["origin"]) / package["name"]).exists()
    assert found["settings"].startswith("defaults")


def test_package_that_is_too_old_stops_a_scan_and_exits_2(tmp_path: Path) -> None:
    distribution(tmp_path / "old", "zstandard", "0.9.0")
    code, out, err = doctor(folder=tmp_path, path=tmp_path / "old")
    assert code == 2 and f"0.9.0, {tmp_path / 'old'} (needs >=0.22)" in out
    assert err == "foxing: error: zstandard>=0.22: is 0.9.0. Install it: pip install 'zstandard>=0.22'\n"


def test_extra_lacks_what_the_extras_that_it_takes_in_lack(tmp_path: Path) -> None:
    distribution(tmp_path / "old", "tokenizers", "0.1")
    code, out, _ = doctor("--json", folder=tmp_path, path=tmp_path / "old")
    missing = {extra["name"]: extra["missing"] for extra in json.loads(out)["extras"]}
    assert code == 0 and "tokenizers" in missing["lm"] and "tokenizers" in missing["train"]
    assert "tokenizers" not in missing["ray"]


def test_checkout_that_is_not_installed_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not path.name.startswith(("foxing-", "torch")):
            (tmp_path / "site" / path.name).symlink_to(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    command = [sys.executable, "-S", "-c", "from curricula.cli import main; main()", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "foxing: error: foxing: is not installed" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_packages_that_do_not_import_are_told_and_not_tripped_over(tmp_path: Path) -> None:
    for name in ("numba", "pyarrow", "polars"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text("raise ImportError('libgone.so is missing')\n", "utf-8")
    code, out, err = doctor(folder=tmp_path, path=tmp_path / "broken")
    assert code == 2 and "Traceback" not in err
    assert "numba: kernels do not load (ImportError: libgone.so is missing). Install it anew." in err
    assert "the bundled detector does not load" in err and "not looked at: libgone.so is missing" in out


def test_plugin_that_does_not_import_is_named_and_exits_1(tmp_path: Path) -> None:
    points = f"[{SIGNALS}]\nbroken = nothing_here:Signal\nfine = detectors.document:Document\n"
    distribution(tmp_path / "site", "other-signals", "1.0", points)
    code, out, err = doctor(folder=tmp_path, path=tmp_path / "site")
    assert code == 1 and err.startswith("foxing: warning: foxing.signals 'broken' of other-signals: ")
    assert [line.split()[-1] for line in out.splitlines() if "other-signals" in line] == ["import", "ok"]


def test_settings_that_cannot_be_used_exit_2(tmp_path: Path) -> None:
    (tmp_path / "foxing.toml").write_text("sed = 3\n", "utf-8")
    code, out, err = doctor("--json", folder=tmp_path)
    (problem,) = json.loads(out)["problems"]
    assert code == 2 and err == "" and problem["fatal"] and "Did you mean 'seed'" in problem["text"]


@pytest.mark.parametrize("words", [("--config", "good.toml"), ("--isolated",)])
def test_settings_are_those_that_the_command_line_names(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "foxing.toml").write_text("sed = 3\n", "utf-8")
    (tmp_path / "good.toml").write_text("seed = 3\n", "utf-8")
    code, out, err = doctor(*words, folder=tmp_path)
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("settings ")]
    assert line.endswith(words[-1] if "--config" in words else "defaults (--isolated)")


@pytest.mark.parametrize(
    ("needs", "version", "fits"),
    [
        (">=1.20", "1.3", False),
        (">=1.20", "1.20", True),
        (">=2.0", "2", True),
        ("<0.5,>=0.4", "0.5.0", False),
        ("<0.5,>=0.4", "0.4.9rc1", True),
        ("", "0.1", True),
        (">=1", None, False),
    ],
)
def test_versions_are_compared_as_numbers(needs: str, version: str | None, fits: bool) -> None:
    from audit.environment import Package

    assert Package("x", needs, version, "/x").fits is fits
