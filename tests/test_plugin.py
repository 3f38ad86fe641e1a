"""The plugin example, installed by pip as anyone would, is found and used by a real command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.code_blocks import blocks

ROOT = Path(__file__).parent.parent
COMMANDS = [line for block in blocks("samples/plugin/README.md") for line in block.commands]
LINKS = "see https://a.example/x and http://b.example " * 10
RUN = """
import contextlib, io, json, sys
from curricula.cli import main
answers = []
for words in json.loads(sys.argv[1]):
    sys.argv, code, out, err = ["foxing", *words], 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""
Answer = tuple[int, str, str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and the plugin installed into `site` by the line of its README, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "samples" / "plugin"
    shutil.copytree(ROOT / "samples" / "plugin", source, ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    install = [sys.executable, "-m", *shlex.split(COMMANDS[0]), *offline, "--target", "site"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = ["A long quiet day by the river. " * 60, LINKS, "Short and without any link, this one."]
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), "utf-8")
    return folder


@pytest.fixture(scope="module")
def said(home: Path) -> dict[str, Answer]:
    """What the commands of the README, in their order, and some more came to, in one process that has the plugin."""
    settings = str(home / "samples" / "plugin" / "foxing.toml")
    commands = [shlex.split(line)[1:] for line in COMMANDS[1:]]
    commands = [[*words, *(["--workers", "1"] if words[0] == "scan" else []), "--isolated"] for words in commands]
    commands += [
        ["check", "corpus.jsonl", "--format", "json", "--config", settings],
        ["config", "--check", settings],
        ["doctor", "--json", "--isolated"],
    ]
    # To import torch takes seconds, and nothing here is about it.
    (home / "without").mkdir()
    (home / "without" / "torch.py").write_text("raise ImportError('is not needed here')\n", "utf-8")
    found = [str(home / "without"), str(home / "site"), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    command = [sys.executable, "-c", RUN, json.dumps(commands)]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = ["signals", "scan", "check", "curate", "judged", "config", "doctor"]
    return dict(zip(names, map(tuple, json.loads(done.stdout)), strict=True))


def test_every_command_of_its_readme_runs_and_uses_it(home: Path, said: dict[str, Answer]) -> None:
    assert [shlex.split(line)[1] for line in COMMANDS[1:]] == ["signals", "scan", "check", "curate"]
    for command in ("signals", "scan", "curate"):
        assert said[command][0] == 0, said[command]
    _, signals, _ = said["signals"]
    assert "links.per_100_words" in signals and 'schemes = ["http://", "https://"]' in signals
    code, table, _ = said["check"]
    assert code in (0, 1) and table.startswith("| rule | verdict | share |") and "| FX901 " in table
    manifest = json.loads((home / "out" / "manifest.json").read_text("utf-8"))
    assert [one["name"] for one in manifest["curricula"]] == ["short-first"]
    import pyarrow.parquet as pq

    order = [
        text
        for path in sorted((home / "out" / "data").glob("**/*.parquet"))
        for text in pq.read_table(path)["text"].to_pylist()
    ]
    assert [len(text.split()) for text in order] == [40, 7, 420]


def test_its_setting_and_its_rule_judge(said: dict[str, Answer]) -> None:
    code, out, err = said["judged"]
    (rule,) = [one for one in json.loads(out)["rules"] if one["id"] == "XX101"]
    assert code == 1 and (rule["hits"], rule["n"], rule["verdict"]) == (1, 3, "over"), err
    assert said["config"][0] == 0, said["config"]


def test_doctor_lists_it_with_its_origin(said: dict[str, Answer]) -> None:
    plugins = {one["name"]: one for one in json.loads(said["doctor"][1])["plugins"]}
    assert set(plugins) == {"links", "short-first", "table"}
    assert all(one["distribution"] == "foxing-example" and one["error"] is None for one in plugins.values())


def test_its_own_tests_pass_where_it_is_installed(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(home / "site"), str(ROOT)])
    command = [sys.executable, "-m", "pytest", "samples/plugin", "-q", "-p", "no:cacheprovider"]
    where = ["--rootdir", str(home / "samples" / "plugin")]
    done = subprocess.run([*command, *where], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"\b2 passed", done.stdout), done.stdout + done.stderr


def test_without_the_plugin_its_names_are_unknown(foxing: Callable[..., Any]) -> None:
    answer = foxing("signals", "links")
    assert answer.code == 2 and "no signal 'links'" in answer.err
