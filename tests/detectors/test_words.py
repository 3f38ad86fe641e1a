"""Segmentation against its plain-Python definition, on any text, any bytes and any batch."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.documents import Documents
from detectors.ngrams import prefix_hashes
from detectors.unicode_classes import class_table, fold_table
from detectors.words import CAPITAL, SENTENCE_START, Words, segment
from tests.detectors import reference
from tests.detectors.texts import any_bytes, batches

ZWJ = "\u200d"


def spans(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    words = Documents.from_texts([data]).words
    return [data[a:b].decode() for a, b in zip(words.start, words.end, strict=True)]


def sentences(text: str) -> list[str]:
    data = text.encode()
    words = Documents.from_texts([text]).words
    starts = words.start[words.sentence_starts].tolist()
    return [data[a:b].decode().strip() for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def same_word(a: str, b: str) -> bool:
    words = Documents.from_texts([a, b]).words
    assert len(words) == 2
    return bool(words.hashes[0] == words.hashes[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world", ["Hello", "world"]),
        ("don't rock ’n’ roll y’all's 'quoted'", ["don't", "rock", "n", "roll", "y’all's", "quoted"]),
        ("snake_case well-known 3.14 x2", ["snake", "case", "well", "known", "3", "14", "x2"]),
        ("e\u0301te\u0301 \u0301alone", ["e\u0301te\u0301", "alone"]),
        ("Быстрая лиса", ["Быстрая", "лиса"]),
        ("لَوْحَة كتابة", ["لَوْحَة", "كتابة"]),
        ("तेज़ लोमड़ी क्\u200dष", ["तेज़", "लोमड़ी", "क्\u200dष"]),
        ("빠른 여우", ["빠른", "여우"]),
        ("漢字とカナ", ["漢", "字", "と", "カ", "ナ"]),
        ("ab漢cd", ["ab", "漢", "cd"]),
        ("ｶﾞ𠀀", ["ｶﾞ", "𠀀"]),
        ("น้ำ ๑๒", ["น้", "ำ", "๑๒"]),
        (
            f"😀😀 👩{ZWJ}🚀 👍🏽 ❤\ufe0f ❤ 🇩🇪🇫🇷🇯 1\ufe0f\u20e3",
            ["😀", "😀", f"👩{ZWJ}🚀", "👍🏽", "❤\ufe0f", "🇩🇪", "🇫🇷", "🇯", "1\ufe0f\u20e3"],
        ),
        (f"👩{ZWJ}⚕\ufe0f👩{ZWJ}⚕", [f"👩{ZWJ}⚕\ufe0f", f"👩{ZWJ}"]),
        (b"caf\xc3\xa9 caf\xc3 \xe2\x82a \xed\xa0\x80b\xff\xf4\x90\x80\x80c", ["café", "caf", "a", "b", "c"]),
        ("", []),
        ("\u0301 \ufe0f … — !", []),
    ],
)
def test_words_are_cut_as_documented(text: str | bytes, expected: list[str]) -> None:
    assert spans(text) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("HELLO", "hello"),
        ("ÉCOLE", "école"),
        ("ΟΔΟΣ", "οδος"),
        ("οδός", "ΟΔΌΣ"),
        ("БЫСТРАЯ", "быстрая"),
        ("don’t", "DON'T"),
        ("so\u00adft", "soft"),
        ("❤\ufe0f", "❤\ufe0f\ufe0f"),
        ("Antidisestablishmentarianism", "antidisestablishmentarianism"),
    ],
)
def test_same_word_in_other_spelling_has_same_hash(a: str, b: str) -> None:
    assert same_word(a, b)


@pytest.mark.parametrize(
    ("a", "b"), [("hell", "hello"), ("👍🏽", "👍"), ("abcdefgh", "abcdefghi"), ("e", "é"), ("1", "１")]
)
def test_other_words_have_other_hashes(a: str, b: str) -> None:
    assert not same_word(a, b)


def test_hashes_never_change() -> None:
    words = Documents.from_texts(["Foxing is the brown stain Zeitgenössisch 漢 😀"]).words
    assert [f"{h:016x}" for h in words.hashes] == [
        f"{reference.hash_word(w):016x}"
        for w in ["foxing", "is", "the", "brown", "stain", "zeitgenössisch", "漢", "😀"]
    ]
    assert f"{words.hashes[0]:016x}" == "ab301858bd5745f0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two. Three four! Five?", ["One two.", "Three four!", "Five?"]),
        ("“Why?” she asked. He (who?) left.", ["“Why?” she asked.", "He (who?) left."]),
        ("Version 3.5 of J. Smith e.g. this. That", ["Version 3.5 of J. Smith e.g. this.", "That"]),
        ("Was it I! Then go", ["Was it I!", "Then go"]),
        ("A heading\nand its wrapped line\nThen a list\n- one\n\nall new", None),
        ("他走了。我来了！好", ["他走了。", "我来了！", "好"]),
        ("यह है। वह है", ["यह है।", "वह है"]),
    ],
)
def test_sentences_are_cut_as_documented(text: str, expected: list[str] | None) -> None:
    expected = expected or ["A heading\nand its wrapped line", "Then a list\n- one", "all new"]
    found = sentences(text)
    assert [s.strip(" (“") for s in found] == [s.strip(" (“") for s in expected]


def check_against_reference(words: Words, texts: list[bytes]) -> None:
    assert len(words.doc_offsets) == len(texts) + 1
    for i, text in enumerate(texts):
        part = slice(words.doc_offsets[i], words.doc_offsets[i + 1])
        expected = reference.segment(text)
        assert words.characters[part].tolist() == [len(w.text) for w in expected]
        assert words.hashes[part].tolist() == [reference.hash_word(w.folded) for w in expected]
        assert (words.flags[part] & SENTENCE_START != 0).tolist() == [w.new_sentence for w in expected]
        assert (words.flags[part] & CAPITAL != 0).tolist() == [w.capital for w in expected]
        ids: dict[str, int] = {}
        last: dict[str, int] = {}
        for k, word in enumerate(expected):
            assert words.ids[part][k] == ids.setdefault(word.folded, len(ids))
            assert words.previous[part][k] == last.get(word.folded, -1)
            last[word.folded] = k
        assert words.types[i] == len(ids)
        starts = words.sentence_starts[words.sentence_offsets[i] : words.sentence_offsets[i + 1]] - part.start
        assert starts.tolist() == [k for k, word in enumerate(expected) if word.new_sentence]


@given(any_bytes)
@example(b"\xe2\x80")
@example("a’".encode())
@example("a’b’".encode())
@example("x'\u0301y".encode())
@example(b"A. B! C. d. E")
def test_any_bytes_agree_with_the_definition(data: bytes) -> None:
    words = Documents.from_texts([data]).words
    check_against_reference(words, [data])
    expected = reference.segment(data)
    assert words.start.tolist() == [w.start for w in expected]
    assert [data[a:b] for a, b in zip(words.start, words.end, strict=True)] == [w.text.encode() for w in expected]


@given(batches)
def test_any_batch_agrees_with_the_definition_document_by_document(texts: list[bytes | None]) -> None:
    check_against_reference(Documents.from_texts([*texts]).words, [t or b"" for t in texts])


@given(batches, st.data())
def test_slices_hold_the_same_words(texts: list[bytes | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts)))
    length = data.draw(st.integers(0, len(texts) - start))
    documents = Documents.from_texts([*texts]).slice(start, length)
    check_against_reference(documents.words, [t or b"" for t in texts[start : start + length]])


@given(any_bytes, st.integers(0, 9), st.integers(0, 9))
def test_bytes_around_a_document_do_not_matter(data: bytes, before: int, after: int) -> None:
    around = b"a" * before + data + b"z" * after
    words = segment(np.frombuffer(around, np.uint8), np.array([before, before + len(data)]))
    check_against_reference(words, [data])


def test_every_code_point_has_the_class_of_its_definition() -> None:
    names = ["other", "letter", "lower", "upper", "single", "mark", "ignored", "emoji", "regional", "symbol",
             "apostrophe", "space", "newline", "period", "exclamation", "full stop"]  # fmt: skip
    table = class_table()
    wrong = [
        f"U+{code:04X} {unicodedata.name(chr(code), '')}: {names[table[code]]}, not {reference.kind(chr(code))}"
        for code in range(sys.maxunicode + 1)
        if names[table[code]] != reference.kind(chr(code))
    ]
    assert not wrong, f"{len(wrong)}: {wrong[:10]}"


def test_every_code_point_folds_as_its_definition() -> None:
    assert all(chr(folded) == reference.fold(chr(code)) for code, folded in enumerate(fold_table().tolist()))
    assert all(chr(code).lower() == chr(code) for code in range(len(fold_table()), sys.maxunicode + 1))


def test_room_grows_for_documents_dense_with_words() -> None:
    texts = [b"a " * 1000, b"", "漢a".encode() * 3000, b"plain words here " * 50]
    check_against_reference(Documents.from_texts([*texts]).words, texts)


def test_large_vocabulary_keeps_ids_apart() -> None:
    text = " ".join(f"w{i % 70_000}" for i in range(100_000))
    words = Documents.from_texts(["first", text, "w1 w1"]).words
    assert words.types.tolist() == [1, 70_000, 1]
    assert words.ids[1:-2].tolist() == [i % 70_000 for i in range(100_000)]
    assert words.previous[-2:].tolist() == [-1, 0]


def test_words_are_read_only() -> None:
    words = Documents.from_texts(["a b"]).words
    for array in (words.doc_offsets, words.start, words.hashes, words.flags, words.ids, words.previous):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@given(batches)
def test_the_prefix_polynomial_is_that_of_the_hashes(texts: list[bytes | None]) -> None:
    words = Documents.from_texts([*texts]).words
    assert words.prefix.tolist() == prefix_hashes(words.hashes).tolist()
