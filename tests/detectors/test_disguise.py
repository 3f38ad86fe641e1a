"""Text as it reads: what is undone, what is left alone, and that the detector sees through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given as given_texts
from hypothesis import strategies as st

from detectors.ai_text import AiText
from detectors.ai_text.disguise import as_read, undisguised
from detectors.ai_text.look_alikes import INVISIBLE, LATIN, LIMIT, LOOK_ALIKE, STYLED, ascii_forms, roles
from detectors.ai_text.tiers import Judge, measured_by
from detectors.ai_text.windows import Margins
from detectors.documents import Documents
from detectors.protocols import Device, Measure

PROSE = (
    "The committee shall keep a record of each meeting, and any member may ask for a copy of it. Where a copy costs "
    "more than a dollar to make (twelve pages, say) the member who asked is to pay. Nobody has ever asked, which the "
    "clerk takes for a sign of trust. Box upon box of paper sits in the cellar of the town hall, next to the coal."
)
LOOK_ALIKES = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
RUSSIAN = "Собака на сене сама не ест и другим не даёт. А о том, что с ней у нас, никто не спорит: «само собой»."
GREEK = "Το ποντίκι και ο νόμος, όπως λένε, χωράνε στο ίδιο κουτί."


def wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else "\u3000" if one == " " else one for one in text)


def read(*texts: str | bytes | None) -> list[str | None]:
    return as_read(Documents.from_texts(list(texts))).texts()


@pytest.fixture(scope="module")
def measure() -> Measure:
    return AiText().load(Device.CPU)


DISGUISES = {
    "wide": wide(PROSE),
    "mathematical": "".join(chr(0x1D41A + ord(one) - 97) if "a" <= one <= "z" else one for one in PROSE),
    "look-alikes": PROSE.translate(LOOK_ALIKES),
    "zero-width spaces": "\u200b".join(PROSE),
    "soft hyphens": PROSE.replace("mm", "m\u00adm"),
    "joiners": PROSE.replace("e", "e\u200d").replace("a", "a\u2060"),
    "ligatures": PROSE.replace("fi", "ﬁ").replace("ff", "ﬀ"),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_disguised_text_is_read_and_judged_as_the_plain_one(name: str, measure: Measure) -> None:
    assert read(DISGUISES[name]) == [PROSE]
    plain, disguised, after = measure(Documents.from_texts([PROSE, DISGUISES[name], RUSSIAN])).to_pylist()
    assert disguised == plain
    assert measure(Documents.from_texts([RUSSIAN])).to_pylist() == [after]


def test_costlier_tiers_are_given_the_text_as_it_reads(measure: Measure) -> None:
    given: list[str] = []

    def margins(texts: Sequence[str]) -> Margins:
        given.extend(texts)
        return Margins(np.zeros(len(texts)), pa.nulls(len(texts), pa.list_(pa.float32())))

    found = measured_by(Judge("mine", margins), measure)(Documents.from_texts([DISGUISES["wide"], None, PROSE]))
    assert given == [PROSE, PROSE] and found["tier"].to_pylist() == ["mine"] * 3


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "It’s “naïve” – a café in Malmö, 20 °C, 5 m², x₂, ½, №5, Windows™.",
        RUSSIAN,
        RUSSIAN + " Программа called make и README.",
        GREEK,
        "漢字、かな。「東京」は，今日も　雨だ！",
        "می\u200cخواهم کتاب\u200cها را بخوانم",
        "क्\u200dष और क्\u200cष",
        "👩\u200d👩\u200d👧 is a family",
        "TNFα and Δt, µm, β-carotene, Путин",
        "",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert read(text) == [text]
    assert undisguised(Documents.from_texts([text])) is None


def test_look_alikes_alone_are_words_of_their_own_script_in_a_document_of_that_script() -> None:
    assert read("с а о", "с а о: see a book, all of it") == ["с а о", "c a o: see a book, all of it"]
    assert read(f"{RUSSIAN} pассказ, cоp") == [f"{RUSSIAN} pассказ, cop"]


def test_words_of_two_scripts_are_undone_among_foreign_words_too() -> None:
    assert read("жжж éа", "жжж 1а'b") == ["жжж éa", "жжж 1a'b"]


def test_wide_marks_stay_in_chinese_text_and_wide_letters_do_not() -> None:
    assert read("使用ＡＢＣ１２，然后（重启）。") == ["使用ABC12，然后（重启）。"]
    assert read("Ｕse it！（now）") == ["Use it!(now)"]


def test_nulls_and_invalid_bytes_are_kept() -> None:
    rows = (
        as_read(Documents.from_texts([None, b"torn \xc3", "ａ", b"\xff\xfe\xef\xbc"])).batch.column("text").to_pylist()
    )
    assert rows == [None, b"torn \xc3", b"a", b"\xff\xfe\xef\xbc"]


letters = st.text(alphabet="abé .,’\n\u200b\u200d\u00ad\ufeffаеобжοωａＡ１，！漢𝐚ﬁ👧", max_size=90)


@given_texts(texts=st.lists(letters, min_size=1, max_size=5))
def test_a_document_is_read_alone_as_in_any_batch(texts: list[str]) -> None:
    alone = [read(text)[0] for text in texts]
    assert read(*texts) == alone
    found = undisguised(Documents.from_texts(["ａ", *texts, "plain"]).slice(1, len(texts)))
    changed = [row for row, (text, other) in enumerate(zip(texts, alone, strict=True)) if text != other]
    assert ([] if found is None else found.rows.tolist()) == changed


@given_texts(text=letters)
def test_what_is_left_can_be_seen_and_is_no_longer(text: str) -> None:
    (after,) = read(text)
    assert after is not None
    assert len(after.encode()) <= len(text.encode())
    kinds = [int(roles()[ord(one)]) for one in after if ord(one) < LIMIT]
    assert not {STYLED, INVISIBLE} & set(kinds)


def test_tables_give_ascii_and_nothing_in_ascii_is_touched() -> None:
    found, kinds = ascii_forms(), roles()
    assert found.max() < 0x80 << 16
    assert not found[:0x80].any() and set(kinds[:0x80].tolist()) == {0, LATIN}
    assert all(found[kinds == kind].all() for kind in (LOOK_ALIKE, STYLED))
