"""Phrases of two collections: counts worked out by hand, and log-odds against the published formula."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.phrases import Texts, count_marks, count_phrases, log_odds
from detectors.documents import Documents


def texts(*found: str, most: int = 100) -> Texts:
    made = Texts(most)
    made.add(Documents.from_texts(["not this one", *found]).slice(1, len(found)))
    return made


def counts(collections: list[Texts], n: int) -> dict[str, tuple[list[int], list[int]]]:
    found = count_phrases(collections, n)
    return {
        collections[0].phrase(int(place), n): (found.counts[at].tolist(), found.documents[at].tolist())
        for at, place in enumerate(found.places)
    }


def test_occurrences_and_documents_are_counted_in_every_collection() -> None:
    one, other = texts("The cat. The cat!", "a cat"), texts("the dog saw the cat")
    assert counts([one, other], 1) == {"the": ([2, 2], [1, 1]), "cat": ([3, 1], [2, 1]), "a": ([1, 0], [1, 0])}
    assert counts([one, other], 2) == {
        "the cat": ([2, 1], [1, 1]),
        "cat the": ([1, 0], [1, 0]),
        "a cat": ([1, 0], [1, 0]),
    }


def test_no_phrase_runs_over_the_end_of_a_document() -> None:
    assert "cat dog" not in counts([texts("a cat", "dog b")], 2)
    assert counts([texts("one", "two")], 2) == {}


def test_only_the_first_words_of_a_document_are_counted() -> None:
    made = texts("one two three four", most=2)
    assert made.total_words == 2 and counts([made], 1).keys() == {"one", "two"}


def test_totals_include_phrases_that_the_first_collection_lacks() -> None:
    assert count_phrases([texts("a b"), texts("c d e")], 1).totals.tolist() == [2, 3]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=4), st.integers(1, 3))
def test_counts_are_those_of_a_plain_count(documents: list[list[str]], n: int) -> None:
    made = texts(*(" ".join(words) for words in documents))
    plain = Counter(" ".join(words[at : at + n]) for words in documents for at in range(len(words) - n + 1))
    assert {phrase: one[0] for phrase, (one, _) in counts([made], n).items()} == plain


def test_marks_are_counted_per_word_of_text() -> None:
    names, found = count_marks([texts("One — two’s, three.\n\n**Four** — x", "a, don't"), texts("no — z; q")])
    counts = {name: (found.counts[at].tolist(), found.documents[at].tolist()) for at, name in enumerate(names)}
    assert counts == {
        "—": ([2, 1], [1, 1]),
        ",": ([2, 0], [2, 0]),
        ".": ([1, 0], [1, 0]),
        "blank line": ([1, 0], [1, 0]),
        "**": ([2, 0], [1, 0]),
    }
    assert found.totals.tolist() == [8, 3]
    assert log_odds(found, against=1).shape == (5,)


def test_log_odds_are_those_of_the_published_formula() -> None:
    one, other = texts("x x x x y y z z z z"), texts("x y y y y y z z z z z z z z z z z z z z")
    found = count_phrases([one, other], 1)
    order = [one.phrase(int(place), 1) for place in found.places]
    z = dict(zip(order, log_odds(found, against=1), strict=True))
    weight, total = 10.0, 30.0
    for word, a, b in (("x", 4, 1), ("y", 2, 5), ("z", 4, 14)):
        prior = (a + b) / total * weight
        odds = log((a + prior) / (10 + weight - a - prior)) - log((b + prior) / (20 + weight - b - prior))
        assert z[word] == pytest.approx(odds / sqrt(1 / (a + prior) + 1 / (b + prior)))
    assert z["x"] > 0 > z["z"]


def test_equal_use_is_no_difference_and_the_sign_turns_with_the_sides() -> None:
    one, other = texts("p q r p"), texts("p q r p")
    found = count_phrases([one, other], 1)
    assert np.allclose(log_odds(found, against=1), 0.0)
    uneven = count_phrases([texts("p p p q"), texts("p q q q")], 1)
    assert np.allclose(log_odds(uneven, against=1), -log_odds(uneven, 1, against=0))
