"""What a command imports: nothing that it does not use. Times are for the bench; these tests look at modules only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpora import texts, write_texts

ROOT = Path(__file__).parent.parent
RUN = """
import sys

class Absent:
    '''Makes modules look as if they were not installed.'''

    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {absent!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ['foxing', *{words!r}]
from curricula.cli import main
code = 0
try:
    main()
except SystemExit as stop:
    code = stop.code or 0
print('MODULES', *sorted({{name.partition('.')[0] for name in sys.modules}} & {heavy!r}), file=sys.stderr)
sys.exit(code)
"""
HEAVY = {
    "IPython", "aiohttp", "altair", "datasketch", "jinja2", "numba", "numpy", "onnxruntime", "pandas", "polars",
    "pyarrow", "ray", "s3fs", "scipy", "sklearn", "torch", "transformers",
}  # fmt: skip
# numba and pyarrow import these where they are installed, which no base install does.
OPTIONAL = {"scipy", "pandas"}


def imported(*words: object, folder: Path, absent: set[str] = OPTIONAL) -> set[str]:
    """Heavy packages that `foxing WORDS...` imports, where those named are not installed."""
    script = RUN.format(absent=absent, words=[str(word) for word in words], heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return set(done.stderr.rpartition("MODULES")[2].split())


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus `a.parquet` and its findings `audit`, made without anything that a base install lacks."""
    folder = tmp_path_factory.mktemp("scanned")
    write_texts(folder / "a.parquet", list(texts(30)))
    used = imported("scan", "a.parquet", "-o", "audit", "--workers", "1", "--isolated", folder=folder)
    (folder / "used").write_text(" ".join(used))
    return folder


def test_a_scan_imports_arrow_and_numba_and_nothing_else_heavy(scanned: Path) -> None:
    assert set((scanned / "used").read_text().split()) == {"numpy", "pyarrow", "numba"}


@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), ("scan", "-h"), ("check", "-h"), ("curate", "-h"), ("rule",)]
)
def test_help_imports_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    assert imported(*words, folder=tmp_path) == set()


@pytest.mark.parametrize("words", [("check", "audit"), ("findings", "audit"), ("config",)])
def test_what_reads_findings_compiles_no_kernel(scanned: Path, words: tuple[str, ...]) -> None:
    assert not imported(*words, "--isolated", folder=scanned) & {"numba", "onnxruntime", "torch", "sklearn", "scipy"}


def test_a_scan_that_finds_everything_done_imports_no_numba(scanned: Path) -> None:
    used = imported("scan", "a.parquet", "-o", "audit", "--workers", "1", "--isolated", folder=scanned)
    assert used == {"numpy", "pyarrow"}


@pytest.mark.parametrize("package", ["audit", "detectors", "curricula", "detectors.compiling", "audit.cli.options"])
def test_importing_a_package_costs_nothing(package: str) -> None:
    script = f"import sys, {package}; sys.exit(repr(set(sys.modules) & {HEAVY!r} or ''))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() in ("", "''"), done.stderr


def test_a_cold_scan_says_once_that_it_compiles_and_a_warm_one_does_not(tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", list(texts(30)))
    command = [sys.executable, "-c", "from curricula.cli import main; main()", "scan", "a.parquet", "--workers", "1"]
    command += ["--isolated", "--signals", "document"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    said = []
    for out in ("one", "two"):
        done = subprocess.run([*command, "-o", out], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stderr)
    assert said[0].startswith("compiling kernels for this machine (about ") and said[0].count("\n") == 1
    assert said[1] == ""
