"""Curricula by name: settings from tables and the command line, and the order in which they are applied."""

from __future__ import annotations

import pytest

from curricula.composing import overridden, resolve
from curricula.order import HumanFirst
from curricula.slick import RelabelUnknown
from detectors.errors import ConfigError, PluginError
from tests.curricula.spooled import Backwards, Resampled


def test_settings_are_the_fields_of_a_curriculum() -> None:
    (found,) = resolve(["relabel-unknown"], 5, {"relabel-unknown": {"refusal": "Ask someone."}})
    assert found == RelabelUnknown(seed=5, refusal="Ask someone.")
    (own,) = resolve(["human-first"], 5, {"human-first": {"seed": 9}})
    assert own == HumanFirst(seed=9)


def test_unknown_key_names_the_nearest_and_the_file() -> None:
    with pytest.raises(ConfigError, match=r"foxing\.toml: curriculum\.relabel-unknown.*Did you mean 'refusal'"):
        resolve(["relabel-unknown"], 5, {"relabel-unknown": {"refusl": "x"}}, "foxing.toml")
    with pytest.raises(ConfigError, match=r"refusal = 3 is not a string"):
        resolve(["relabel-unknown"], 5, {"relabel-unknown": {"refusal": 3}})


def test_settings_of_a_curriculum_that_does_not_exist_are_refused_though_it_is_not_used() -> None:
    resolve(["original"], 5, {"human-first": {"seed": 1}})
    with pytest.raises(PluginError, match="Did you mean 'human-first'"):
        resolve(["original"], 5, {"human-frist": {"seed": 1}})


def test_those_that_resample_are_applied_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"backwards": Backwards, "resampled": Resampled}
    monkeypatch.setattr("curricula.composing.load", lambda group, name: kinds[name])
    assert [each.name for each in resolve(["backwards", "resampled"], 1)] == ["resampled", "backwards"]


def test_assignments_are_read_as_toml_else_as_text() -> None:
    tables = {"importance": {"b": 1.0, "seed": 3}}
    found = overridden(
        tables, ["importance.b=2.5", "a.on=true", "a.names=['x']", "a.said=I don't know"], ["importance", "a"]
    )
    assert found == {
        "importance": {"b": 2.5, "seed": 3},
        "a": {"on": True, "names": ["x"], "said": "I don't know"},
    }
    assert tables == {"importance": {"b": 1.0, "seed": 3}}


@pytest.mark.parametrize("text", ["b=2", "importance.b", "=2", ".b=2"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not NAME\.key=value.*--set (\S+)\.$") as found:
        overridden({}, [text], ["importance"])
    example = str(found.value).rpartition("--set ")[2].rstrip(".")
    resolve(["importance"], 5, overridden({}, [example], ["importance"]))  # what the message says to write is a setting


def test_setting_of_a_curriculum_that_is_not_asked_for_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"importance is not among the curricula \(shuffled\)"):
        overridden({}, ["importance.strength=2"], ["shuffled"])
    with pytest.raises(PluginError, match="Did you mean 'importance'"):
        overridden({}, ["importanse.strength=2"], ["importance"])
