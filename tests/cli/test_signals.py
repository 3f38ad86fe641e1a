from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
BUNDLED = (
    "ai_text",
    "characters",
    "cloze",
    "diversity",
    "document",
    "falsity",
    "format",
    "given",
    "gram_sample",
    "knowledge",
    "language",
    "leakage",
    "near_dup",
    "novelty",
    "pair_quality",
    "residue",
    "token_count",
)
STAGES = ("cascade", "contradictions", "duplicates", "templates")


def test_signals_and_stages_are_listed_with_a_summary(foxing: Run) -> None:
    lines = foxing("signals").out.splitlines()
    assert tuple(line.split()[0] for line in lines) == (*BUNDLED, *STAGES)
    assert all(len(line.split()) > 4 for line in lines)


@pytest.mark.parametrize("name", [*BUNDLED, *STAGES])
def test_every_field_of_a_signal_is_documented(foxing: Run, name: str) -> None:
    answer = foxing("signals", name)
    fields = [line for line in answer.out.splitlines() if line.startswith(f"  {name}.")]
    assert answer.code == 0 and fields and all(len(line.split(None, 2)) == 3 for line in fields), answer.out


def test_settings_are_shown_with_their_defaults(foxing: Run) -> None:
    assert "mattr_window = 50" in foxing("signals", "diversity").out


def test_a_typo_names_the_nearest_signal(foxing: Run) -> None:
    answer = foxing("signals", "residu")
    assert answer.code == 2 and "Did you mean 'residue'" in answer.err


def test_a_field_that_no_rule_can_read_says_so(foxing: Run) -> None:
    fields = [line for line in foxing("signals", "near_dup").out.splitlines() if line.startswith("  near_dup.")]
    assert ["not for rules" in line for line in fields] == ["minhash" in line for line in fields]
