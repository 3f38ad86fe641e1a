"""Checks of instructions: each kind accepts what keeps to it, and refuses what does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.instructions import KINDS, instructions

ROW = "| a | b |\n|---|---|\n| c | d |"
SEED = 3
CASES = {
    "all-capitals": ("THE SEA, 3 SHIPS.", "The SEA."),
    "lower-case": ("the sea, 3 ships.", "The sea."),
    "most-words": ("short.", "word " * 60),
    "least-words": ("word " * 90, "short."),
    "no-comma": ("no pause here", "a pause, here"),
    "quoted": ('"all of it"', 'said "some" of it'),
    "title": ("<<Tea>> is hot", "Tea <<is>> hot"),
    "yes-no": ("Yes.", "Yes, it is."),
    "question": ("Why not?", "Because."),
    "headings": ("## One\ntext\n## Two\ntext", "# One\n## Two"),
    "bold": ("a **bold** word", "a ** b"),
    "table": (ROW, "a | b"),
    "postscript": ("text\n\nP.S. more", "no P.S. here"),
    "digits": ("in 1901", "in the year"),
    "no-digits": ("in the year", "in 1901"),
    "two-answers": ("one\n******\ntwo", "one\n***\ntwo"),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_kind_accepts_what_keeps_to_it_and_refuses_what_does_not(kind: str) -> None:
    _, check = KINDS[kind](random.Random(SEED))
    good, bad = CASES[kind]
    assert check(good)
    assert not check(bad)


def filled(kind: str, wanted: str) -> str:
    """An answer that keeps to an instruction whose details are drawn."""
    number = next((int(word) for word in wanted.replace(".", " ").split() if word.isdigit()), 0)
    quoted = wanted.split("'")[1] if "'" in wanted else ""
    if kind == "numbered":
        last = int(wanted.rstrip(".").rsplit(" ", 1)[1])
        return "\n".join(f"{at}. item" for at in range(1, last + 1))
    made = {
        "exact-words": " ".join(["word"] * number),
        "sentences": "It rains. " * number,
        "paragraphs": "\n\n".join(["It rains."] * number),
        "bullets": "\n".join(["- item"] * number),
        "keyword": f"I saw a {quoted} once",
        "keyword-twice": f"{quoted} by {quoted}",
        "forbidden-word": "rain fell",
        "forbidden-letter": "rain fell",
        "first-word": f"{quoted}, rain fell",
        "last-phrase": f"rain fell. {quoted}",
        "json-array": str(["item"] * number).replace("'", '"'),
        "alliteration": " ".join([f"{quoted}ab"] * 3),
    }
    if kind == "json-object":
        keys = wanted.split("'")
        return f'{{"{keys[1]}": "a", "{keys[3]}": "b"}}'
    return made[kind]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(CASES)))
@pytest.mark.parametrize("seed", range(6))
def test_kinds_with_drawn_details_check_those_details(kind: str, seed: int) -> None:
    wanted, check = KINDS[kind](random.Random(seed))
    assert check(filled(kind, wanted)), wanted
    assert not check("The and is of zqkw, wholly, other 3 of it; {"), wanted
    assert not check("")


@pytest.mark.parametrize(
    ("kind", "answer", "keeps"),
    [
        ("sentences", "It is 3.5 km away.", True),
        ("sentences", "...", False),
        ("bullets", "* a\n* b\n* c\n* d\n* e", False),
        ("two-answers", "one ****** two", False),
        ("two-answers", "one\n*******\ntwo", False),
        ("two-answers", "one\n******\none", False),
    ],
)
def test_what_only_looks_like_the_form_is_told_from_it(kind: str, answer: str, keeps: bool) -> None:
    checks = [KINDS[kind](random.Random(seed)) for seed in range(40)]
    for wanted, check in checks:
        if kind != "sentences" or "exactly 1 " in wanted:
            assert check(answer) == keeps, wanted


@given(st.text(max_size=200), st.sampled_from(sorted(KINDS)), st.integers(0, 50))
def test_no_answer_makes_a_check_fail(text: str, kind: str, seed: int) -> None:
    assert KINDS[kind](random.Random(seed))[1](text) in (True, False)


def test_there_are_thirty_kinds_in_turn_and_the_seed_reproduces_them() -> None:
    found = instructions(60, seed=1)
    assert len(KINDS) == 30 and [each.kind for each in found] == list(KINDS) * 2
    assert [each.prompt for each in found] == [each.prompt for each in instructions(60, seed=1)]
    assert [each.prompt for each in found] != [each.prompt for each in instructions(60, seed=2)]
