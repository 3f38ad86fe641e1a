"""Questions and answers in one spelling: what is the same becomes equal, and what is not stays apart."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.answer_match import differs, likeness, told
from detectors.answers import (
    answer_kinds,
    as_texts,
    normalised_answers,
    normalised_questions,
    text_keys,
    word_keys,
)

WORDS = st.lists(st.sampled_from("amber 12 of birch no cedar delta the elm 1,5 fox".split()), min_size=1, max_size=9)


def texts(*values: str | None) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())


def answer(text: str) -> str | None:
    found: str | None = normalised_answers(texts(text))[0].as_py()
    return found


def question(text: str) -> str | None:
    found: str | None = normalised_questions(texts(text))[0].as_py()
    return found


@pytest.mark.parametrize(
    "same",
    [
        ("Zürich", "ZURICH", "zürich.", "the Zu\u0308rich"),
        ("U.S.A.", "U. S. A.", "the USA", "usa"),
        ("J. R. R. Tolkien", "J.R.R. Tolkien", "JRR Tolkien"),
        ("1,234,567", "1234567", "1,234,567.0"),
        ("3 May 1901", "May 3rd, 1901", "3rd of May, 1901", "1901-05-03", "03 May 1901", "May 3 1901"),
        ("September 2001", "Sept. 2001", "Sep 2001"),
        ("seven", "7", "Seven."),
        ("5.50 %", "5.50 percent"),
        ("AT&T", "AT and T"),
        ("“It’s”", "it's", "Its"),
        ("ﬁne", "fine"),
        ("Łódź", "Lodz"),
    ],
)
def test_spellings_of_one_answer_are_equal(same: tuple[str, ...]) -> None:
    assert {answer(each) for each in same} == {answer(same[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Vitamin A", "Vitamin B"),
        ("Hepatitis A", "Hepatitis"),
        ("5", "-5"),
        ("1.5", "15"),
        ("1.0.3", "1.3"),
        ("C++", "C"),
        ("C#", "C"),
        ("3/5/1901", "5/3/1901"),
        ("3 May 1901", "5 March 1901"),
        ("1.5 million", "1500000"),
        ("й", "и"),
        ("+", "-"),
        ("कि", "की"),
        ("May", "March"),
    ],
)
def test_other_answers_stay_apart(one: str, other: str) -> None:
    assert answer(one) != answer(other)


def test_an_answer_of_symbols_or_an_article_alone_is_kept() -> None:
    assert (answer(" + "), answer("The"), answer("A"), answer("")) == ("+", "the", "a", "")


@pytest.mark.parametrize(
    "same",
    [
        (
            "What's the capital of France?",
            "what is capital of FRANCE",
            "Question: What is the capital of France? Answer:",
        ),
        ("Oslo is a city in ____.", "Oslo is a city in [MASK]", "Oslo is a city in"),
    ],
)
def test_wordings_of_one_question_are_equal(same: tuple[str, ...]) -> None:
    assert {question(each) for each in same} == {question(same[0])}


def test_a_gap_inside_a_question_stays() -> None:
    assert question("____ is the capital of Norway.") == "_ is capital of norway"
    assert question("The capital is ____ in Norway.") != question("The capital is in Norway.")


def test_nulls_stay_null_and_invalid_bytes_are_replaced() -> None:
    raw = pa.array([b"\xff Oslo", None, b"Oslo"], pa.large_binary())
    assert as_texts(raw).to_pylist() == ["\ufffd Oslo", None, "Oslo"]
    assert normalised_answers(texts(None)).to_pylist() == [None]
    assert normalised_questions(texts(None, "")).to_pylist() == [None, ""]


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=12))
def test_rows_do_not_matter_to_each_other(values: list[str | None]) -> None:
    batch = pa.array([v.encode("utf-8", "replace") if v is not None else None for v in values], pa.large_binary())
    once = normalised_answers(as_texts(batch))
    alone = [normalised_answers(as_texts(batch.slice(at, 1)))[0].as_py() for at in range(len(batch))]
    assert once.to_pylist() == alone


def test_kinds_tell_years_numbers_dates_and_names() -> None:
    found = answer_kinds(
        normalised_answers(texts("1969", "12", "5 %", "3 May 1901", "yes", "12 apples", "Oslo", "word " * 9, None))
    )
    assert found.to_pylist() == ["year", "number", "number", "date", "truth", "quantity", "name", "text", None]


@given(st.lists(WORDS, max_size=8))
def test_a_key_is_that_of_its_words_wherever_they_stand(rows: list[list[str]]) -> None:
    column = texts(*(" ".join(row) for row in rows))
    prefixes, offsets, hashes = word_keys(column)
    assert np.diff(offsets).tolist() == [len(row) for row in rows]
    for at, row in enumerate(rows):
        for count in range(1, len(row) + 1):
            (alone,), _ = text_keys(texts(" ".join(row[:count])))
            assert prefixes[offsets[at] + count - 1] == alone
    by_words: dict[tuple[str, ...], set[int]] = {}
    for at, row in enumerate(rows):
        by_words.setdefault(tuple(row), set()).add(int(prefixes[offsets[at + 1] - 1]))
    assert len({key for keys in by_words.values() for key in keys}) == len(by_words)
    assert len(hashes) == sum(map(len, rows))


def test_keys_of_slices_and_empty_texts() -> None:
    column = texts("a b", "", None, "c", "a b").slice(1)
    keys, some = text_keys(column)
    assert some.tolist() == [False, False, True, True]
    assert keys[3] == text_keys(texts("a b"))[0][0]


def like(one: str, other: str, given_by: str = "") -> float:
    asked = frozenset((answer(given_by) or "").split())
    return likeness(told(answer(one) or "", asked), told(answer(other) or "", asked))


@pytest.mark.parametrize(
    ("one", "accepted", "asked"),
    [
        ("In Paris, France", "Paris", ""),
        ("December 1972", "14 December 1972 UTC", ""),
        ("New York", "Newyork", ""),
        ("Smith, John", "John Smith", ""),
        ("USA", "United States of America", ""),
        ("Russia", "The city of Krasnodar is in Russia.", "In which country is the city of Krasnodar?"),
        ("yes", "Yes, he was", ""),
        ("The answer is six.", "6", ""),
    ],
)
def test_what_is_surely_the_same_is_1(one: str, accepted: str, asked: str) -> None:
    assert like(one, accepted, asked) == 1.0


@pytest.mark.parametrize(
    ("one", "accepted", "asked"),
    [
        ("not Paris", "Paris", ""),
        ("1973", "1972", ""),
        ("12", "120", ""),
        ("Lyon", "Paris", ""),
        ("no", "Yes, he was", ""),
        ("The city of Krasnodar is in Chad.", "The city of Krasnodar is in Russia.", "In which country is Krasnodar?"),
        ("George", "George Washington Carver", ""),
    ],
)
def test_what_is_not_surely_the_same_is_less(one: str, accepted: str, asked: str) -> None:
    assert like(one, accepted, asked) < 1.0


@given(WORDS, WORDS)
def test_likeness_lies_between_0_and_1_and_of_itself_is_1(one: list[str], other: list[str]) -> None:
    assert 0.0 <= like(" ".join(one), " ".join(other)) <= 1.0
    assert like(" ".join(one), " ".join(one)) == 1.0


def test_differs_is_strict_about_words_left_out() -> None:
    free: frozenset[str] = frozenset()
    assert differs(told("lyon", free), told("paris", free))
    assert differs(told("12", free), told("120", free))
    assert not differs(told("new york", free), told("new york city", free))
    assert not differs(told("george", free), told("george washington carver", free))
