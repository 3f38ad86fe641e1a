"""The documents tell the truth: commands and flags exist, links lead somewhere, the worked example works."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from curricula.cli import COMMANDS, foxing
from detectors import registry
from tests.conftest import Answer
from tests.corpora import texts, write_texts

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "samples" / "README.md", ROOT / "samples" / "demo.sh"]
)
README = (ROOT / "README.md").read_text("utf-8")
_QUOTED = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"(?:^|\s)(?:\$ )?(?:\S*/)?foxing ([a-z][a-z-]*)(?![\w.:/-])(.*)")
_FLAG = re.compile(r"(?<!\S)(--?[a-zA-Z][\w-]*)")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def _commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(command, flags) of each `foxing ...` in code: fenced or indented lines, and single back-quotes."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    if path.suffix == ".sh":
        code = [f"foxing {line.strip().removeprefix('run ')}" for line in text.splitlines() if line.startswith("run ")]
    else:
        indented = [line for line in text.splitlines() if line.startswith("    ")]
        fenced = [
            line
            for block in re.findall(r"```(?:sh|console|yaml)?\n(.*?)```", text, re.DOTALL)
            for line in block.splitlines()
        ]
        code = [
            *indented,
            *fenced,
            *_QUOTED.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " ")),
        ]
    for line in code:
        found = _COMMAND.search(line.partition(" # ")[0])
        if found:
            yield found[1], _FLAG.findall(found[2])


def _flags(command: click.Command) -> set[str]:
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    return known | set(command.context_settings.get("help_option_names", ["--help"]))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_flag_in_the_documents_exists(path: Path) -> None:
    context = click.Context(foxing)
    for name, flags in _commands(path):
        assert name in COMMANDS, f"{path.name}: no command foxing {name}"
        command = foxing.get_command(context, name)
        assert command is not None
        assert set(flags) <= _flags(command), f"{path.name}: foxing {name} has no {set(flags) - _flags(command)}"


def test_readme_shows_every_command() -> None:
    assert {name for name, _ in _commands(ROOT / "README.md")} == set(COMMANDS)


def test_help_of_every_command_opens_with_a_sentence() -> None:
    context = click.Context(foxing)
    for name in COMMANDS:
        command = foxing.get_command(context, name)
        assert command is not None and command.help and command.help.split("\n\n")[0].strip().endswith((".", ":"))
        assert command.name == name


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if path.suffix == ".md"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    for target in _LINK.findall(path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_readme_warns_against_verdicts_about_authors_before_anything_else() -> None:
    first = " ".join(README.split("\n\n")[1].split())
    assert "never a verdict about one author" in first


def test_readme_names_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[-1] == "make test"
    assert "set -euo pipefail" in lines


def _example(language: str) -> list[str]:
    section = (
        (ROOT / "CONTRIBUTING.md")
        .read_text("utf-8")
        .partition("## Add a signal in five steps")[2]
        .partition("\n## ")[0]
    )
    blocks = re.findall(rf"^   ```{language}\n(.*?)^   ```$", section, re.DOTALL | re.MULTILINE)
    return [re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in blocks]


def test_signal_example_keeps_the_contract_as_written(tmp_path: Path) -> None:
    signal, check = _example("python")
    (tmp_path / "shouting.py").write_text(signal, "utf-8")
    (tmp_path / "test_shouting.py").write_text(check, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_signal_example_measures_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detectors.documents import Documents
    from detectors.protocols import Device

    (tmp_path / "shouting.py").write_text(_example("python")[0], "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    from shouting import Shouting  # type: ignore[import-not-found]

    documents = Documents.from_texts(["x" * 10, "ABCD efgh" * 5, None, "LOUD" * 10])
    shares = Shouting().load(Device.CPU)(documents)["share"].to_pylist()
    assert (shares[0], shares[1], shares[3]) == (None, 0.5, 1.0)


def test_signal_example_is_registered_scanned_and_judged_as_written(
    tmp_path: Path, foxing: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    registration, settings = _example("toml")
    (tmp_path / "shouting.py").write_text(_example("python")[0], "utf-8")
    (tmp_path / "foxing.toml").write_text(settings, "utf-8")
    write_texts(tmp_path / "corpus.parquet", [*texts(20), "THIS IS HOW ONE SHOUTS " * 20])
    # As pip leaves a distribution that has the table in its pyproject.toml.
    ((group, points),) = tomllib.loads(registration)["project"]["entry-points"].items()
    about = tmp_path / "shouting-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n", "utf-8")
    lines = [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_points", registry._points.__wrapped__)
    monkeypatch.chdir(tmp_path)
    scanned = foxing("scan", "corpus.parquet", "-o", "audit", "--workers", 1, settings=True)
    assert scanned.code == 0 and "ai_text, shouting" in scanned.out, scanned
    judged = foxing("check", "audit", "--format", "json", settings=True)
    (rule,) = [one for one in json.loads(judged.out)["rules"] if one["id"] == "XX101"]
    assert judged.code == 1 and (rule["hits"], rule["n"], rule["verdict"]) == (1, 21, "over")


def test_readme_explains_the_exit_codes() -> None:
    assert all(re.search(rf"^\| {code} \|", README, re.MULTILINE) for code in (0, 1, 2, 130))


def test_demo_is_a_valid_shell_script() -> None:
    script = (ROOT / "samples" / "demo.sh").read_text("utf-8")
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    for line in script.splitlines():
        if line.startswith("run "):
            assert shlex.split(line)[1] in COMMANDS


def test_pre_commit_hook_runs_a_command_that_takes_files() -> None:
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    entry = re.search(r"^  entry: foxing (\w+)$", hook, re.MULTILINE)
    assert entry is not None
    command = foxing.get_command(click.Context(foxing), entry[1])
    assert command is not None
    (argument,) = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    assert argument.nargs == -1


def test_every_output_in_the_readme_can_be_made_anew() -> None:
    sys.path.insert(0, str(ROOT / "samples"))
    try:
        from fill_readme import fill
    finally:
        sys.path.remove(str(ROOT / "samples"))
    names = re.findall(r"<!-- output: (\w+) -->", README)
    assert sorted(names) == ["check", "curate", "scan", "tally", "verify"]
    filled = fill(README, {name: f"this is {name}\n\nand more" for name in names})
    for name in names:
        assert f"<!-- output: {name} -->\n    this is {name}\n\n    and more\n<!-- end -->" in filled
