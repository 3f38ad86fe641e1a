from __future__ import annotations

from pathlib import Path

import pytest

from audit.config import Config, load_config
from detectors.errors import ConfigError


def test_no_file_means_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_config() == Config()
    assert load_config(tmp_path / "absent.toml", isolated=True) == Config()


@pytest.mark.parametrize(
    ("name", "head"), [("foxing.toml", ""), ("pyproject.toml", "tool.foxing."), ("foxing.toml", "tool.foxing.")]
)
def test_file_is_found_above_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: str
) -> None:
    top = f"[{head.rstrip('.')}]\n" if head else ""
    (tmp_path / name).write_text(
        f'{top}text = "body"\nsignals = ["diversity"]\n[{head}check]\nstrict = true\nbudget = {{ FX101 = 0.02 }}\n'
        f"[{head}signal.diversity]\nmin_words = 20\n[{head}rule.FX201]\nbudget = 1\n"
    )
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    config = load_config()
    assert config.scan.text == "body" and config.scan.signals == ("diversity",)
    assert config.check.strict and config.check.budget == {"FX101": 0.02}
    assert config.signals == {"diversity": {"min_words": 20}} and config.rules == {"FX201": {"budget": 1}}
    assert config.path == tmp_path / name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('txt = "a"', r"unknown key 'txt'. Did you mean 'text'\?"),
        ("[check]\nstrikt = true", r"unknown key 'check.strikt'. Did you mean 'check.strict'\?"),
        ("[chekc]\nstrict = true", r"Did you mean 'check'\?"),
        ("seed = true", "seed = True is not a whole number"),
        ("signals = 'a'", "is not a list of a string"),
        ('[check]\nbudget = { FX101 = "x" }', "is not a table of a number"),
        ("check = 1", "check = 1 is not a table"),
        ("text = ", "is not TOML"),
    ],
)
def test_bad_settings_are_named_with_a_remedy(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "foxing.toml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(environ={"FOXING_CONFIG": str(tmp_path / "absent.toml")})
