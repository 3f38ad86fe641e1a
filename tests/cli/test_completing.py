"""What shells are told of rules and signals; tests/test_guides.py asks the shells themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from curricula.cli import foxing

HEAVY = ("numba", "polars", "pyarrow", "numpy", "onnxruntime", "torch")


def completed(*words: str) -> dict[str, str | None]:
    """Completions of the last word, each with what it stands for."""
    shell = ShellComplete(foxing, {}, "foxing", "_FOXING_COMPLETE")
    return {found.value: found.help for found in shell.get_completions(list(words[:-1]), words[-1])}


def test_rules_are_those_of_the_settings_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("rule", "fx10") == {"FX101": "machine-written", "FX102": "assistant residue"}
    (tmp_path / "own.toml").write_text(
        '[rule.MY101]\nname = "two\\n\\u001b[31mlines"\nwhen = "document.characters > 9"\n'
    )
    assert completed("rule", "--config", "own.toml", "MY") == {"MY101": "two \ufffd[31mlines"}
    assert completed("rule", "--config", "own.toml", "--isolated", "MY") == {}


@pytest.mark.parametrize("text", ["[rule", '[rule.MY101]\nwhen = "1 +"\n', "[scan]\nworkres = 1\n"])
def test_settings_that_cannot_be_read_leave_the_default_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foxing.toml").write_text(text)
    assert completed("rule", "FX9").keys() == {"FX901", "FX902", "FX903", "FX904"}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("check", "x", "--select", "FX3,FX10"), {"FX3,FX101", "FX3,FX102"}),
        (("check", "x", "--ignore", "FX10"), {"FX101", "FX102"}),
        (("ledger", "x", "--select", "FX10"), {"FX101", "FX102"}),
        (("compare", "x", "y", "--select", "FX10"), {"FX101", "FX102"}),
        (("curate", "x", "--drop", "FX10"), {"FX101", "FX102"}),
        (("curate", "x", "--curriculum", "human-first,shuf"), {"human-first,shuffled"}),
        (("signals", "d"), {"diversity", "document", "duplicates"}),
        (("scan", "x", "--signals", "document,resi"), {"document,residue"}),
        (("scan", "x", "--stages", "d"), {"duplicates"}),
    ],
)
def test_names_complete_wherever_they_are_asked_for(words: tuple[str, ...], wanted: set[str]) -> None:
    assert completed(*words).keys() == wanted


def test_completing_imports_nothing_heavy() -> None:
    script = (
        "import json, sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from curricula.cli import foxing\n"
        "shell = ShellComplete(foxing, {}, 'foxing', '_FOXING_COMPLETE')\n"
        "found = [shell.get_completions(words, '') for words in (['rule'], ['signals'], ['check', 'x', '--select'])]\n"
        "print(json.dumps([list(map(len, found)), sorted(sys.modules)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    numbers, modules = json.loads(done.stdout)
    assert min(numbers) > 10 and not set(HEAVY) & set(modules)
