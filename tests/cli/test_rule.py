from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.rules import DEFAULTS

Run = Callable[..., Any]


def test_all_rules_are_listed(foxing: Run) -> None:
    answer = foxing("rule")
    assert answer.code == 0 and [line.split()[0] for line in answer.out.splitlines()] == [rule.id for rule in DEFAULTS]


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.id)
def test_each_rule_is_explained(foxing: Run, rule: Any) -> None:
    answer = foxing("rule", rule.id.lower())
    assert answer.code == 0 and rule.explanation in answer.out and f"budget: {rule.budget:g}" in answer.out
    assert (rule.when or "looks at files") in answer.out


def test_a_typo_names_the_nearest_rule(foxing: Run) -> None:
    answer = foxing("rule", "FX11")
    assert answer.code == 2 and answer.err == "foxing: error: no rule 'FX11'. Did you mean 'FX101'?\n"


def test_rules_of_the_settings_are_explained_too(foxing: Run, tmp_path: Path) -> None:
    settings = tmp_path / "foxing.toml"
    settings.write_text(
        '[rule.MY101]\nname = "mine\\u001b[31m"\nwhen = "document.words < 5"\nexplanation = "Too short."\n'
    )
    answer = foxing("rule", "MY101", "--config", settings, settings=True)
    assert answer.code == 0 and "Too short." in answer.out and "\x1b" not in answer.out
