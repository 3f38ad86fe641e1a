from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from audit.config import Config, ScanConfig, load_config, settings
from detectors.errors import ConfigError, PluginError


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
        ("workers = -1", "workers = -1 is not from 0 to 4096"),
        ("seed = -1", "seed = -1 is not from 0 to"),
        ('device = "cdua"', "device = 'cdua' is none of auto, cpu, cuda"),
        ("[curate]\nallow_loss = 5", "curate.allow_loss = 5 is not a share"),
        ("[curate]\nallow_loss = nan", "curate.allow_loss = nan is not a share"),
        ("[check]\nbudget = { FX101 = 1.5 }", "check.budget.FX101 = 1.5 is not a share"),
        ("[check]\nbudget = { FX101 = -0.1 }", "check.budget.FX101 = -0.1 is not a share"),
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


@dataclass(frozen=True)
class Counting:
    """A component with settings, constants and a value that it works out."""

    version: ClassVar[int] = 1
    least: int = 3
    derived: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.least < 0:
            raise ValueError(f"least = {self.least} is negative. Give 0 or more.")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"version": 2}, "unknown key 'version'. Known: least"),
        ({"derived": 2}, "unknown key 'derived'. Known: least"),
        ({"least": "x"}, "least = 'x' is not a whole number"),
        ({"least": -1}, "least = -1 is negative"),
    ],
)
def test_a_component_takes_its_fields_and_nothing_else(values: dict[str, object], says: str) -> None:
    assert settings(Counting, {"least": 4}, "here").least == 4
    with pytest.raises(ConfigError, match=f"^here: .*{says}"):
        settings(Counting, values, "here")


def test_a_component_that_is_no_dataclass_is_a_fault_of_its_package() -> None:
    class Plain:
        """No dataclass."""

    with pytest.raises(PluginError, match="Plain is not a dataclass"):
        settings(Plain, {}, "here")


def test_values_from_the_command_line_are_checked_like_those_of_a_file() -> None:
    with pytest.raises(ConfigError, match="workers = -2"):
        dataclasses.replace(ScanConfig(), workers=-2)
