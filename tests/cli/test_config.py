from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Answer

Foxing = Callable[..., Answer]


def test_config_shows_what_is_in_force(foxing: Foxing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foxing.toml").write_text('text = "body"\n[check]\nbudget = { FX101 = 0.02 }\n')
    monkeypatch.chdir(tmp_path)
    shown = json.loads(foxing("config", settings=True).out)
    assert shown["text"] == "body" and shown["check"]["budget"] == {"FX101": 0.02}
    assert shown["from"] == str(tmp_path / "foxing.toml")
    assert "FX101" in shown["rule"] and "ai_text" in shown["signal"]
    assert json.loads(foxing("config").out)["text"] is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("sead = 3", "Did you mean 'seed'?"),
        ("[signal.diversity]\nmin_wrods = 3", "Did you mean 'min_words'?"),
        ("[signal.diversty]\nmin_words = 3", "Did you mean 'diversity'?"),
        ("[rule.FX101]\nwhen = 'no_such_signal.x > 1'", "FX101"),
        ("workers = -1", "workers = -1"),
        ('device = "cdua"', "auto, cpu, cuda"),
        ("[curate]\nallow_loss = 5", "allow_loss = 5"),
        ('[curate]\ndrop = ["FX7"]', "no rule begins with 'FX7'"),
        ('[curate]\ndrop = ["FX901"]', "never dropped"),
        ('[curate]\ncurriculum = ["human-frist"]', "Did you mean 'human-first'?"),
        ("[check]\nbudget = { FX101 = 2 }", "check.budget.FX101 = 2"),
        ("[check]\nbudget = { FX11 = 0.2 }", "Did you mean 'FX101'?"),
        ('[check]\nselect = ["FX7"]', "no rule begins with 'FX7'"),
        ("[signal.diversity]\nversion = 2", "signal.diversity: unknown key 'version'"),
        ('signals = ["residue"]\n[signal.diversity]\nmin_words = -2', "min_words"),
        ("[rule.FX102]\nworst = 'residue.hit'", "Did you mean 'hits'?"),
        ("[rule.FX901]\naction = 'drop'", "never dropped"),
        ("[rule.MY101]\nwhen = 'COALESCE(document.words, 0) < 5'\naction = 'drop'", "without any measurement"),
        ("[rule.FX777]\nwhen = 'row > 5'", "Name it MY777"),
    ],
)
def test_config_check_exits_2_on_what_does_not_fit(foxing: Foxing, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "foxing.toml"
    path.write_text(content)
    answer = foxing("config", "--check", "--config", path, settings=True)
    assert answer.code == 2 and words in answer.err
    path.write_text("seed = 4")
    assert foxing("config", "--check", "--config", path, settings=True).out == f"{path}: ok\n"


def test_named_files_are_each_checked_wherever_they_lie(foxing: Foxing, tmp_path: Path) -> None:
    good, bad, other = (tmp_path / name for name in ("good.toml", "bad.toml", "pyproject.toml"))
    good.write_text("seed = 3\n")
    bad.write_text("sed = 3\n")
    other.write_text("[tool.other]\nx = 1\n")
    answer = foxing("config", "--check", good, other)
    assert answer.code == 0 and answer.out.splitlines() == [f"{good}: ok", f"{other}: ok"]
    answer = foxing("config", "--check", good, bad)
    assert answer.code == 2 and f"{bad}: unknown key 'sed'" in answer.err
