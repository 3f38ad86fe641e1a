"""What a user installs: three packages with their model files, working entry points, and a light command."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests import apart

ROOT = Path(__file__).parent.parent
PACKAGES = ("audit", "detectors", "curricula")
HEAVY = ("numba", "polars", "pyarrow", "numpy", "onnxruntime", "torch", "transformers", "sklearn", "scipy", "ray")


def pins(name: str) -> dict[str, str]:
    """Package to version, of a file of constraints."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {package.lower().replace("_", "-"): version for package, version in pairs}


@pytest.fixture(scope="module")
def wheel(built_wheel: Path) -> list[str]:
    with zipfile.ZipFile(built_wheel) as archive:
        return archive.namelist()


def test_wheel_holds_three_packages_and_its_own_metadata(wheel: list[str]) -> None:
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    assert len(top) == len(PACKAGES) + 1


def test_wheel_holds_every_bundled_model_file(wheel: list[str]) -> None:
    kinds = (".npz", ".npy", ".onnx", ".bin", ".json", ".md")
    bundled = [path for path in (ROOT / "detectors").rglob("*") if path.suffix in kinds]
    assert any(path.suffix == ".bin" for path in bundled), "no Unicode classes beside detectors/unicode_classes.py"
    assert any(path.suffix in (".npz", ".npy", ".onnx") for path in bundled), "no model beside detectors/ai_text"
    assert any(path.suffix == ".md" for path in bundled), "no model card beside detectors/ai_text"
    assert {path.relative_to(ROOT).as_posix() for path in bundled} <= set(wheel)


def test_wheel_marks_each_package_as_typed(wheel: list[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel)


def test_wheel_holds_nothing_that_a_run_leaves_behind(wheel: list[str]) -> None:
    assert not [name for name in wheel if "__pycache__" in name or name.endswith((".pyc", ".nbi", ".nbc", ".pkl"))]


def test_sdist_can_be_tested_and_demonstrated(built_sdist: Path) -> None:
    with tarfile.open(built_sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "constraints.txt")
    assert names.issuperset(wanted)
    assert names.issuperset(("samples/make_samples.py", "samples/machine_text.txt", "tests/test_packaging.py"))
    assert not [name for name in names if name.startswith(("samples/corpus", "out/", ".venv"))]


def test_version_stands_in_one_place() -> None:
    import audit

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert importlib.metadata.version("foxing") == audit.__version__
    assert f"## {audit.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8").replace("[", "").replace("]", "")


def test_every_entry_point_resolves() -> None:
    points = list(importlib.metadata.distribution("foxing").entry_points)
    assert {point.group for point in points} == {
        "console_scripts",
        "foxing.signals",
        "foxing.stages",
        "foxing.curricula",
        "foxing.formats",
        "data_juicer.ops",
    }
    for point in points:
        if point.group != "data_juicer.ops":  # data-juicer is not here: tests/audit/test_adapters.py lets it load ours
            assert callable(point.load()), point


def test_installed_entry_points_are_those_of_the_checkout() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {("console_scripts", *item) for item in project["scripts"].items()}
    declared |= {(group, *item) for group, table in project["entry-points"].items() for item in table.items()}
    installed = importlib.metadata.distribution("foxing").entry_points
    assert declared == {(point.group, point.name, point.value) for point in installed}


def test_constraints_pin_every_dependency_of_the_base_and_the_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [one for part in (project["dependencies"], *map(extras.get, ("test", "train", "lm"))) for one in part]
    needed = [one for one in needed if not one.startswith("foxing[")]
    assert {re.split(r"[\[>]", entry)[0].lower() for entry in needed} <= pins("constraints.txt").keys()


def test_all_that_is_installed_for_programs_of_others_is_pinned() -> None:
    python = apart.program("python")
    script = (
        "import importlib.metadata as m, json, sysconfig\n"
        "found = m.distributions(path=[sysconfig.get_paths()['purelib']])\n"
        "print(json.dumps({one.name: one.version for one in found}))\n"
    )
    found = json.loads(subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout)
    installed = {name.lower().replace("_", "-"): version for name, version in found.items()}
    pinned = pins("constraints-apart.txt")
    assert installed.items() <= pinned.items() and installed.keys() > set(apart.PACKAGES)
    # Python needs the first before 3.11.3, the others before 3.13.
    assert pinned.keys() - installed.keys() <= {"async-timeout", "pendulum", "tzdata"}


def test_what_cannot_be_had_apart_is_named_and_not_asked_for_again_by_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside it lies a pip without an index, and nothing by the name of npm."""
    monkeypatch.setattr(apart, "HOME", tmp_path / "apart")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PATH", str(tmp_path))
    apart.main()
    said = capsys.readouterr().err
    assert "check-jsonschema" in said and "'npm'" in said and said.count("make apart tries again") == 2
    assert [path.name for path in (tmp_path / "apart").iterdir()] == [apart.DONE]
    with pytest.raises(pytest.skip.Exception, match="python is absent: make apart"):
        apart.program("python")


def test_an_environment_that_was_not_filled_to_its_end_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "HOME", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    with pytest.raises(pytest.skip.Exception, match="python is absent"):
        apart.program("python")
    (tmp_path / apart.DONE).touch()
    assert apart.program("python") == tmp_path / "bin" / "python"


def test_a_program_that_takes_too_long_leaves_no_process_behind(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > child; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        apart.run(["sh", "-c", script], tmp_path, os.environ, 0.5)
    child = (tmp_path / "child").read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", child], capture_output=True, text=True).stdout
    assert child and state[:1] in ("", "Z")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import json, sys\n"
        "from importlib.metadata import entry_points\n"
        "(point,) = entry_points(group='console_scripts', name='foxing')\n"
        "sys.argv = ['foxing', '--help']\n"
        "try:\n"
        "    code = point.load()()\n"
        "except SystemExit as leaving:\n"
        "    code = leaving.code\n"
        "print(json.dumps([code, sorted(sys.modules)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert not code
    assert not set(HEAVY) & set(modules)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    script = f"import json, sys, {package}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(done.stdout))
