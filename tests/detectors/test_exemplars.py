"""Exemplars: never the fact that is asked for, the same in every run, from the relation where it has enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import SignalError
from detectors.exemplars import ANY, Fact, Pool, form_of, prompt, question_hash

FACTS = [Fact("capital", f"What is the capital of land {n}?", f"town {n % 5}") for n in range(20)]
POOL = Pool.of([*FACTS, Fact("rare", "Who wrote it?", "nobody")])


@given(order=st.permutations(FACTS))
def test_a_pool_does_not_depend_on_the_order_of_facts(order: list[Fact]) -> None:
    assert Pool.of(order).digest == Pool.of(FACTS).digest


@pytest.mark.parametrize("fact", FACTS)
def test_the_fact_that_is_asked_for_is_never_shown(fact: Fact) -> None:
    family = POOL.family("capital", fact.question.upper(), 17)
    shown = {each for group in POOL.sets("capital", family, sets=10, shots=4, seed=17) for each in group}
    assert fact not in shown and len(shown) > 4


def test_sets_hold_different_facts_and_are_drawn_alike_each_time() -> None:
    drawn = POOL.sets("capital", 0, sets=10, shots=4, seed=17)
    assert all(len(set(group)) == 4 for group in drawn) and len(set(drawn)) > 5
    assert drawn == Pool.from_bytes(POOL.to_bytes(), "x").sets("capital", 0, sets=10, shots=4, seed=17)
    assert drawn != POOL.sets("capital", 0, sets=10, shots=4, seed=18)


def test_a_relation_with_too_few_facts_takes_any() -> None:
    assert POOL.relation("rare", 4) == ANY and POOL.relation("capital", 4) == "capital"
    assert POOL.relation("never seen", 4) == ANY


def test_a_pool_that_is_too_small_says_how_many_it_needs() -> None:
    with pytest.raises(SignalError, match="8 are needed"):
        Pool.of(FACTS[:4]).sets(ANY, 0, sets=1, shots=4, seed=1)


def test_other_questions_are_those_to_which_the_answer_is_wrong() -> None:
    others = POOL.others("capital", 0, "Town 3", count=12, seed=17)
    assert others and all(fact.answer != "town 3" for fact in others)
    shown = {fact for group in POOL.sets("capital", 0, sets=10, shots=4, seed=17) for fact in group}
    assert not shown & set(others)


def test_a_question_asked_in_another_spelling_is_the_same_fact() -> None:
    assert question_hash(" Who\nwrote it? ") == question_hash("who wrote it?") != question_hash("who wrote")
    assert len(Pool.of([Fact("a", "Who wrote it?", "x"), Fact("a", "who wrote  it?", "y")]).facts) == 1


def test_questions_that_begin_alike_stand_for_a_relation() -> None:
    assert form_of("What is the capital of X?") == form_of("what is the age of Y?") == "form: what is the"


def test_a_prompt_is_read_as_it_is_written() -> None:
    facts = [Fact("", "a?", "b"), Fact("", "c?", "d")]
    assert prompt(facts, "e?") == "Q: a?\nA: b\nQ: c?\nA: d\nQ: e?\nA:"


def test_other_files_are_refused() -> None:
    with pytest.raises(SignalError, match="no pool of exemplars"):
        Pool.from_bytes(b'{"question": 1}\n', "it")
