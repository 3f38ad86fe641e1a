"""Fixtures that every test may use: the command line in this process, and where reference data is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from audit.findings_folder import Findings
    from audit.report.content import Report
    from tests.stores import S3Server

# The first example may compile a kernel, and machines are shared: no example has a deadline.
hypothesis.settings.register_profile("foxing", deadline=None)
hypothesis.settings.load_profile("foxing")

# `make test VENV=...` hands its options on to every make that a test runs.
for _name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(_name, None)

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Answer:
    """What a command line printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def hostile_scan(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """A scan of a corpus that attacks whoever reads a report of it; nobody writes into its folder."""
    from tests.reports import scan_hostile

    return scan_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def hostile_report(hostile_scan: Findings) -> Report:
    """A report on that scan, by the default rules."""
    from audit.report.build import build_report
    from audit.rules import DEFAULTS

    return build_report(hostile_scan, DEFAULTS)


@pytest.fixture
def foxing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run `foxing ARGS...` in this process, without settings files."""
    from curricula.cli import main

    def run(*arguments: object, settings: bool = False) -> Answer:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(
            sys, "argv", ["foxing", *words, *([] if settings or words[-1:] == ["-h"] else ["--isolated"])]
        )
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        streams = capsys.readouterr()
        return Answer(code, streams.out, streams.err)

    return run


def build(source: Path, target: str, folder: Path, umask: int = -1, **variables: str) -> Path:
    """Build a wheel or an sdist of a tree, as of one moment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **variables}
    subprocess.run(command, cwd=source, env=environment, umask=umask, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def take_kernels(site: Path) -> None:
    """Kernels that were compiled from the same bytes are the same: with their files' times they need no compiler."""
    for path in site.glob("detectors/**/*.py"):
        own = REPOSITORY / path.relative_to(site)
        if own.read_bytes() == path.read_bytes():
            os.utime(path, ns=(own.stat().st_atime_ns, own.stat().st_mtime_ns))
            for kernel in (own.parent / "__pycache__").glob(f"{own.stem}.*.nb[ic]"):
                (path.parent / "__pycache__").mkdir(exist_ok=True)
                shutil.copy(kernel, path.parent / "__pycache__")


@pytest.fixture(scope="session")
def built_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return build(REPOSITORY, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def built_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive of this tree."""
    return build(REPOSITORY, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of labelled reference data; tests that need it are skipped, saying so, when it is absent."""
    folder = Path(os.environ.get("FOXING_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"reference data is absent: {folder}. Set FOXING_DATA to run this test.")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server on the loopback; tests that need it are skipped, saying so, where moto or s3fs is absent."""
    for name in ("moto.server", "s3fs"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'foxing[test]'")
    from tests.stores import S3Server

    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """That server with an empty bucket, which clients of this process and its children find."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_server.reset()
    return s3_server
