"""The plugin example, installed by pip as anyone would, is found and used by a real command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "samples" / "plugin" / "README.md").read_text("utf-8")
COMMANDS = [line.strip() for line in README.splitlines() if line.startswith("    ")]
LINKS = "see https://a.example/x and http://b.example " * 10
RUN = [sys.executable, "-c", "from curricula.cli import main; main()"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and the plugin installed into `site`."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "samples" / "plugin", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    done = subprocess.run(
        [*install, "--disable-pip-version-check", "--target", str(folder / "site"), str(folder / "source")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = ["A long quiet day by the river. " * 60, LINKS, "Short and without any link, this one."]
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), "utf-8")
    return folder


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home / "site"), str(ROOT)])}
    return subprocess.run([*RUN, *words], cwd=home, env=environment, capture_output=True, text=True)


def test_every_command_of_its_readme_runs_and_uses_it(home: Path) -> None:
    assert COMMANDS[0] == "pip install ./samples/plugin" and len(COMMANDS) == 5
    said = {}
    for line in COMMANDS[1:]:
        _, command, *words = shlex.split(line)
        workers = ["--workers", "1"] if command == "scan" else []
        done = run(home, command, *words, *workers, "--isolated")
        assert done.returncode in ((0, 1) if command == "check" else (0,)), done.stderr
        said[command] = done.stdout
    assert "links.per_100_words" in said["signals"] and 'schemes = ["http://", "https://"]' in said["signals"]
    assert said["check"].startswith("| rule | verdict | share |") and "| FX901 " in said["check"]
    manifest = json.loads((home / "out" / "manifest.json").read_text("utf-8"))
    assert [one["name"] for one in manifest["curricula"]] == ["short-first"]
    import pyarrow.parquet as pq

    order = [
        text
        for path in sorted((home / "out" / "data").glob("**/*.parquet"))
        for text in pq.read_table(path)["text"].to_pylist()
    ]
    assert [len(text.split()) for text in order] == [40, 7, 420]


def test_its_setting_and_its_rule_judge(home: Path) -> None:
    settings = ("--config", str(home / "source" / "foxing.toml"))
    done = run(home, "check", "corpus.jsonl", "--format", "json", *settings)
    (rule,) = [one for one in json.loads(done.stdout)["rules"] if one["id"] == "XX101"]
    assert done.returncode == 1 and (rule["hits"], rule["n"], rule["verdict"]) == (1, 3, "over")
    found = run(home, "config", "--check", str(home / "source" / "foxing.toml"))
    assert found.returncode == 0, found.stderr


def test_doctor_lists_it_with_its_origin(home: Path) -> None:
    done = run(home, "doctor", "--json", "--isolated")
    plugins = {one["name"]: one for one in json.loads(done.stdout)["plugins"]}
    assert set(plugins) == {"links", "short-first", "table"}
    assert all(one["distribution"] == "foxing-example" and one["error"] is None for one in plugins.values())


def test_its_own_tests_pass_where_it_is_installed(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(home / "site"), str(ROOT)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(home / "source")]
    done = subprocess.run(
        [*command, str(home / "source" / "test_links.py")], cwd=home, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and re.search(r"\b2 passed", done.stdout), done.stdout + done.stderr


def test_without_the_plugin_its_names_are_unknown(home: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*RUN, "signals", "links"], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "no signal 'links'" in done.stderr
