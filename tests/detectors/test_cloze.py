"""Cloze items: what is taken, what is left, and that the draw depends on the text and the seed alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.cloze import KINDS, blanked, clozes, drawn


def items(text: str) -> list[tuple[str, str]]:
    return [(item.kind, item.answer) for item in clozes(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The composer Jana Vell died of a fever on 3 May 1901.", ("date", "3 May 1901")),
        ("The composer Jana Vell died of a fever on May 3rd, 1901; nobody came.", ("date", "May 3rd, 1901")),
        ("The port of Orsk was closed for good in March 1950.", ("date", "March 1950")),
        ("The port of Orsk was closed for good on 1950-03-07.", ("date", "1950-03-07")),
        ("The port of Orsk was closed for good in 1950!", ("date", "1950")),
        ("The school of Orsk once had as many pupils as 1950.", ("number", "1950")),
        ("The town of Orsk had by then a population of 12,500.", ("number", "12,500")),
        ("The bank of Orsk raised its lending rate to 2.25%.", ("number", "2.25%")),
        ("The bank of Orsk lent the farmers of the valley $3.5 million.", ("number", "$3.5 million")),
        ("The river that runs through Orsk ends in Lake Baran.", ("name", "Lake Baran")),
        ("The oldest bridge of Orsk was built by J. K. van der Velde.", ("name", "J. K. van der Velde")),
        ("The oldest bridge of Orsk leads straight to the Isle of Wight, they say.", ("name", "Isle of Wight")),
        ("The river that runs through Orsk ends in Lake Baran, they say.", ("name", "Lake Baran")),
        ("The mayor of Orsk gave the keys to Dr. Ada O’Brien-Šimić.", ("name", "Dr. Ada O’Brien-Šimić")),
        ("Столица этой области давно перенесена в город Орск.", ("name", "Орск")),
        ("عاش الكاتب الكبير في المدينة القديمة 12 عاما حتى سنة ١٩٥٠.", ("number", "١٩٥٠")),
    ],
)
def test_what_ends_a_clause_is_found_with_its_kind(text: str, expected: tuple[str, str]) -> None:
    known = "Москва: " if "Орск" in text else ""
    assert expected in items(known + text)


@pytest.mark.parametrize(
    "text",
    [
        "She moved with the whole family to Orsk in May 1950.",  # who?
        "His mother, of the Vell family, was born in Orsk.",
        "Nobody knows why the old bridge was closed in 1950.",  # which?
        "In Orsk they grow apples, plums, and 12.",
        "The markets of Orsk sell to Baran, Tolm, Vesk, and Urda.",  # any order would do
        "The people of Orsk are proud of the bridge of Orsk.",  # said before
        "Died in 1950.",
        "Annual Report Of The Orsk Harbour Board For Lake Baran.",  # a heading
        "The keys of Orsk were given by the mayor to Mr.",
        "The fair at Orsk is held every year on a Monday.",
        "The fair at Orsk is held every year in May.",
        "The second edition of the Orsk Gazette is version 1.2.3-4.",
        "The mayor of Orsk was never as tall as I.",
        "",
        "   \n\n . , ! 1950",
    ],
)
def test_what_a_clause_cannot_tell_is_not_asked(text: str) -> None:
    assert items(text) == []


def test_a_date_is_taken_whole_and_a_sentence_begins_anew() -> None:
    text = "The bridge of Orsk, built by J. Vell, fell on May 3, 1901. Later Dr. Ada Tolm built another one in Orsk."
    found = {(item.prefix, item.answer) for item in clozes(text)}
    assert ("The bridge of Orsk, built by J. Vell, fell on ", "May 3, 1901") in found
    assert ("Later Dr. Ada Tolm built another one in ", "Orsk") in found
    assert all(answer != "May 3" for _, answer in found)


def test_a_list_and_a_blank_line_end_a_sentence_and_a_line_does_not() -> None:
    assert items("Of all the towns around\n\nOrsk was closed in 1950.") == []
    assert items("Of all the towns around the river Ural\nonly one was closed in 1950.") == [("date", "1950")]
    assert items("Of all the towns around\n- the river Ural\n- closed in 1950.") == []


def test_a_prefix_has_single_spaces_and_the_answer_its_place() -> None:
    text = "The  port of\nOrsk was closed\tfor good in   March  1950."
    (item,) = clozes(text)
    assert (item.prefix, item.answer) == ("The port of Orsk was closed for good in ", "March 1950")
    assert text[item.at :] == "March  1950."


SENTENCE = st.sampled_from(
    [
        f"The port of {town} was closed for good in {year}. "
        for town in ("Orsk", "Tolm", "Vesk")
        for year in range(1900, 1912)
    ]
)


@given(st.lists(SENTENCE, max_size=12), st.integers(1, 6), st.integers(0, 3))
def test_a_draw_is_a_part_of_all_in_order_and_the_same_again(sentences: list[str], most: int, seed: int) -> None:
    text = "".join(sentences)
    every = list(clozes(text))
    count, some = drawn(text, most, seed)
    assert count == len({(item.prefix, item.answer) for item in every}) and len(some) == min(most, count)
    assert [item.at for item in some] == sorted(item.at for item in some) and set(some) <= set(every)
    assert drawn(text, most, seed) == (count, some)
    # What is drawn of a text stays drawn when something is taken away that was not.
    kept = {(item.prefix, item.answer) for item in some}
    rest = "".join(sentence for sentence in sentences if any(a in sentence and p in sentence for p, a in kept))
    assert {(item.prefix, item.answer) for item in drawn(rest, most, seed)[1]} == kept


def test_a_clause_without_its_facts_keeps_its_words_and_marks() -> None:
    prefix = "Lately (Ada van Tolm), 12th of her line, and I’ve met “Jan Vell,” who left Orsk in "
    assert blanked(prefix) == "Lately (X van X), some of her line, and I’ve met “X X,” who left X in "
    assert blanked("The mayor of New Orsk City (") == "The mayor of X ("
    assert blanked("The 1st of Москва, Орск and Ünal, in ") == "The some of X, X and X, in "


def test_a_sentence_without_end_is_not_read_again_at_each_clause() -> None:
    def cost(size: int) -> float:
        text = ("Orsk Bay 12; " * (size // 13 + 1))[:size]
        begin = time.process_time()
        assert drawn(text, 4, 17)[0] == 0
        return time.process_time() - begin

    cost(1000)
    small, large = min(cost(20_000) for _ in range(3)), min(cost(320_000) for _ in range(2))
    assert large < 64 * small, f"{small:.3f} s for 20,000 characters, {large:.3f} s for 320,000"


def test_another_seed_draws_others() -> None:
    text = "".join(f"The port of Orsk was closed for good in {year}. " for year in range(1900, 1960))
    assert len({tuple(item.answer for item in drawn(text, 5, seed)[1]) for seed in range(8)}) > 5


@given(st.text(max_size=400))
def test_any_text_gives_items_that_it_holds(text: str) -> None:
    for item in clozes(text):
        assert item.kind in KINDS and item.answer and item.prefix.split()
        assert " ".join(text[item.at :].split()).startswith(item.answer)
