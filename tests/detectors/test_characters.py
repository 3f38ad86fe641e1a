"""Rates of characters against their plain-Python definitions."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.characters import Characters
from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.protocols import Device
from detectors.unicode_classes import punctuation_table
from tests.detectors import reference
from tests.detectors.texts import any_bytes


def measure(texts: list[bytes]) -> list[dict[str, float | None]]:
    return Characters().load(Device.CPU)(Documents.from_texts([*texts])).to_pylist()


def test_characters_keep_the_contract_of_a_signal() -> None:
    check_signal(Characters())


@given(st.lists(any_bytes, max_size=4))
@example([b""])
@example([b"  \n"])
@example(
    [b"\xff\xff plain text, with \xe2\x80\x9cquotes\xe2\x80\x9d and digits 0123456789 over one block of bytes" * 3]
)
@example(["ΑΒΓ где 中文。".encode() * 40, b"A" * 200])
def test_every_rate_agrees_with_its_definition(texts: list[bytes]) -> None:
    for found, text in zip(measure(texts), texts, strict=True):
        expected = reference.characters(text)
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name] == (value if value is None else pytest.approx(value, rel=1e-6, abs=1e-7)), name


def test_a_frequent_character_is_counted_beyond_the_table_of_logarithms() -> None:
    (found,) = measure([b"a" * 70_000 + b"b" * 70_000])
    assert found["entropy"] == pytest.approx(1.0)


def test_threads_that_share_a_measure_do_not_count_for_one_another() -> None:
    shared, documents = Characters().load(Device.CPU), Documents.from_texts(["漢字カナ été лиса " * 2000] * 10)
    expected = shared(documents)
    with ThreadPoolExecutor(4) as threads:
        assert all(found.equals(expected) for found in threads.map(shared, [documents] * 40))
    assert shared(documents).equals(expected)


def test_no_punctuation_lies_beyond_the_table() -> None:
    assert not any(unicodedata.category(chr(code))[0] == "P" for code in range(0x20000, 0x110000))
    assert [chr(code) for code in range(128) if punctuation_table()[code]] == list("!\"#%&'()*,-./:;?@[\\]_{}")
