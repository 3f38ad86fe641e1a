"""A release can be built again byte by byte, holds all of the tree, and works where only its wheel is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from tests.conftest import build, take_kernels
from tests.corpora import texts, write_texts

ROOT = Path(__file__).parent.parent


def test_the_same_tree_gives_the_same_bytes_whatever_time_folder_rights_and_time_zone(
    built_wheel: Path, built_sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(built_sdist) as archive:
        archive.extractall(tmp_path / "tree", filter="data")
    (tree,) = (tmp_path / "tree").iterdir()
    for path in tree.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(path.stat().st_mode & 0o700)
    elsewhere = {"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"}
    assert build(tree, "wheel", tmp_path / "wheel", 0o077, **elsewhere).read_bytes() == built_wheel.read_bytes()
    assert build(tree, "sdist", tmp_path / "sdist", 0o077, **elsewhere).read_bytes() == built_sdist.read_bytes()


def test_sdist_holds_every_file_of_the_tree(built_sdist: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: git clone the repository to run this test")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split("\0") if name and (ROOT / name).exists()}
    with tarfile.open(built_sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked - names == set()


def test_wheel_alone_gives_a_command_that_scans_and_checks(built_wheel: Path, tmp_path: Path) -> None:
    """As pipx and uv do: an environment of its own; the dependencies are those of this one, for want of a network."""
    home = tmp_path / "tool"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--disable-pip-version-check", str(built_wheel)], check=True, capture_output=True)
    site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # Plain paths of a .pth come after what is installed; the editable install of this checkout is not among them.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", "utf-8")
    take_kernels(site)
    write_texts(tmp_path / "a.parquet", list(texts(30)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FOXING"))}

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(home / "bin" / "foxing"), *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = [str(python), "-c", "import audit; print(audit.__file__)"]
    where = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert Path(where.stdout.strip()).is_relative_to(site)
    assert re.fullmatch(r"foxing, version \d+\.\d+\.\d+\n", run("--version"))
    assert "foxing:" in run("scan", "a.parquet", "-o", "audit", "--workers", "1", "--isolated")
    assert "FX101" in run("check", "audit", "--isolated", "--exit-zero")


def test_workflow_releases_only_what_was_tested_and_built() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: pip install pyyaml")
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
        assert all(job["runs-on"] and job["steps"] for job in jobs.values()), path.name
        assert path.name != "ci.yml" or set(jobs["release"]["needs"]) == set(jobs) - {"release"}


def test_workflow_runs_the_tests_and_builds_reproducibly() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert "- run: .ci/run" in workflow and "diff -r dist again" in workflow and "SOURCE_DATE_EPOCH" in workflow
    version = re.search(r"^requires-python = \">=(\S+)\"", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None and f'python: ["{version[1]}", ' in workflow
