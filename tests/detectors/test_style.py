"""The five numbers of style against plain Python, on any text and in any batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ai_text.adjustment import STYLE
from detectors.ai_text.style import style
from detectors.documents import Documents
from detectors.lexical import sentence_lengths

texts = st.lists(st.text(alphabet="ab (.)!\n漢é", max_size=700), min_size=1, max_size=6)


def measured(*found: str) -> np.ndarray:
    return style(Documents.from_texts(list(found)), np.array([len(text) for text in found]))


def plainly(text: str) -> list[float]:
    words = Documents.from_texts([text]).words
    hashes = words.hashes.tolist()
    lengths = sentence_lengths(words)
    mean = float(np.nan_to_num(lengths.mean, nan=1.0)[0])
    near = sum(hashes[at] in hashes[max(0, at - 10) : at] for at in range(len(hashes)))
    size = max(len(text), 1)
    return [
        np.log(max(mean, 1.0)),
        float(np.nan_to_num(lengths.std, nan=0.0)[0]) / max(mean, 1.0),
        near / max(len(hashes), 1),
        np.sqrt(text.count("(") / size),
        np.sqrt(text.count(".") / size),
    ]


@given(found=texts)
def test_numbers_are_those_of_a_plain_reference(found: list[str]) -> None:
    expected = np.array([plainly(text) for text in found])
    assert measured(*found) == pytest.approx(expected, abs=1e-5)


def test_marks_are_counted_beyond_what_a_byte_holds() -> None:
    text = "(" * 700 + "." * 1300
    found = dict(zip(STYLE, measured("x", text)[1].tolist(), strict=True))
    assert found["parentheses"] == pytest.approx(np.sqrt(700 / 2000))
    assert found["full_stops"] == pytest.approx(np.sqrt(1300 / 2000))


def test_a_text_without_anything_has_finite_numbers() -> None:
    assert measured("", " ", "\n").tolist() == [[0.0] * len(STYLE)] * 3
