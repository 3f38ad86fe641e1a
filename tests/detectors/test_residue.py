from __future__ import annotations

import re
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import residue_anchors, residue_build
from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.protocols import Device
from detectors.residue import Residue
from detectors.residue_anchors import candidates
from detectors.residue_phrases import STRONG as PHRASES
from detectors.residue_phrases import WEAK
from detectors.residue_spelling import GAP, spelled_out
from tests.detectors import residue_reference

measure = Residue().load(Device.CPU)


def _spelled(every: int = 1) -> list[str]:
    """What the phrases of the table stand for; digits where anything may stand, which suits all of them."""
    patterns = [phrase for table in (PHRASES, WEAK) for phrases in table.values() for phrase in phrases]
    strings = [text for pattern in patterns for text in spelled_out(pattern)[::every] or [""]]
    return [re.sub(f"{GAP}+", "1", text) for text in strings]


STRONG = {
    "en": "As an AI language model, I do not have opinions.",
    "en_curly": "I’m an AI assistant and I can’t taste food.",
    "en_cutoff": "As of my last knowledge update in September 2021, there were two.",
    "en_refusal": "I'm sorry, but I cannot assist with that request.",
    "citation": "It rose by 4 %. :contentReference[oaicite:0]{index=0}",
    "zh": "作为一个AI语言模型,我没有个人观点。",
    "zh_cutoff": "截至我最后的知识更新,情况如此。",
    "ja": "AI言語モデルとして、私は意見を持ちません。",
    "ko": "저는 대규모 언어 모델이므로 의견이 없습니다.",
    "ru": "Как языковая модель, я не имею мнения.",
    "uk": "Як мовна модель, я не маю власної думки.",
    "de": "Als KI-Sprachmodell habe ich keine Meinung.",
    "fr": "En tant que modèle de langage, je n'ai pas d'opinion.",
    "es": "Como modelo de lenguaje, no tengo opiniones.",
    "pt": "Como um modelo de linguagem, não tenho opiniões.",
    "it": "In quanto modello linguistico, non ho opinioni.",
    "nl": "Als taalmodel heb ik geen mening.",
    "pl": "Jako model językowy nie mam opinii.",
    "tr": "Bir yapay zeka dil modeli olarak kişisel görüşüm yok.",
    "ar": "بصفتي نموذج لغوي، ليس لدي رأي.",
    "hi": "एक एआई भाषा मॉडल के रूप में, मेरी कोई राय नहीं है।",
    "id": "Sebagai model bahasa AI, saya tidak memiliki pendapat.",
    "vi": "Tôi là một mô hình ngôn ngữ và không có ý kiến.",
}
HUMAN = (
    "As an AI researcher I have worked on language models for years.",
    "She works as an air traffic controller and assists with your request.",
    "The language model was trained by Google on web text.",
    "My knowledge of Latin is poor; as of my last visit nothing had changed.",
    "Я не могу выполнить этот запрос: база отвечает ошибкой.",
    "I hope this helps someone.",
)


@pytest.mark.parametrize("language", STRONG)
def test_self_identification_is_found_in_every_language(language: str) -> None:
    found = measure(Documents.from_texts(["Plain text.", "Before. " + STRONG[language] + " After."])).to_pydict()
    assert found["hits"][0] == 0 and found["phrase"][0] is None and found["start"][0] is None
    assert found["hits"][1] >= 1 and found["phrase"][1]


def test_texts_state_the_number_of_languages_in_the_table() -> None:
    from audit.rules import DEFAULTS, find

    languages = {name.partition(".")[0] for name in PHRASES} - {"any"}
    for text in (Residue.__doc__, find(DEFAULTS, "FX102").explanation):
        assert f"{len(languages)} languages" in str(text)
    assert languages <= {name.partition("_")[0] for name in STRONG}


@pytest.mark.parametrize("text", HUMAN)
def test_what_people_write_is_not_a_strong_hit(text: str) -> None:
    assert measure(Documents.from_texts([text])).to_pydict()["hits"] == [0]


def test_weak_phrases_are_counted_apart() -> None:
    found = measure(Documents.from_texts(["Certainly! Here is the text. I hope this helps! Let me know."])).to_pydict()
    assert found["hits"] == [0] and found["weak_hits"] == [2] and found["phrase"] == ["en.lead_in"]


def test_a_strong_phrase_names_the_row_before_a_weak_one() -> None:
    text = "Sure! Here is an answer. As an AI language model, I cannot know. As an AI language model, I guess."
    found = measure(Documents.from_texts([text])).to_pydict()
    assert found["hits"] == [2] and found["weak_hits"] == [1] and found["phrase"] == ["en.as_an_ai"]
    assert text.encode()[found["start"][0] :].startswith(b"As an AI")


def test_start_is_a_byte_offset() -> None:
    text = "été — AS AN  AI\u00a0language\nMODEL"
    found = measure(Documents.from_texts([text])).to_pydict()
    assert found["hits"] == [1] and found["start"] == [text.encode().index(b"AS")]


def test_case_of_other_alphabets_is_folded() -> None:
    assert measure(Documents.from_texts([STRONG["ru"].upper(), STRONG["uk"].upper()]))["hits"].to_pylist() == [1, 1]


def test_invalid_utf8_is_searched_as_it_is() -> None:
    found = measure(Documents.from_texts([b"\xff\xfe As an AI language model, I \xf0\x28", b"\xc3\x28"])).to_pydict()
    assert found["hits"] == [1, 0] and found["start"] == [3, None]


def test_nulls_empties_and_no_rows_are_fine() -> None:
    assert measure(Documents.from_texts([None, "", STRONG["en"]]))["hits"].to_pylist() == [0, 0, 1]
    assert measure(Documents.from_texts([])).num_rows == 0


def test_it_keeps_the_contract_of_signals() -> None:
    check_signal(Residue())
    check_signal(Residue(), Documents.from_texts([*STRONG.values(), None, *HUMAN]))


@settings(max_examples=25)
@given(st.lists(st.sampled_from([None, "", b"\xff", *STRONG.values(), *HUMAN]), max_size=12), st.integers(0, 12))
def test_splitting_a_batch_changes_nothing(texts: list[str | bytes | None], at: int) -> None:
    whole = Documents.from_texts(texts)
    at = min(at, len(texts))
    parts = [measure(whole.slice(0, at)), measure(whole.slice(at, len(texts) - at))]
    assert [row for part in parts for row in part.to_pylist()] == measure(whole).to_pylist()


def test_people_hardly_ever_write_a_strong_phrase(reference_data: object) -> None:
    hits, rows, size, spent = 0, 0, 0, 0.0
    for batch in pq.ParquetFile(f"{reference_data}/bench/human_web_40k.parquet").iter_batches(8192, columns=["text"]):
        documents = Documents(batch)
        size += int(np.diff(documents.offsets).sum())
        began = time.process_time()
        hits += int(np.count_nonzero(measure(documents)["hits"]))
        spent += time.process_time() - began
        rows += len(documents)
    assert rows == 40_000 and hits == 0
    assert size / spent > 50e6  # a third of what a quiet core does


def test_every_string_that_a_phrase_stands_for_has_an_anchor() -> None:
    texts = [f"{before}{text}{after}" for text in _spelled() for before, after in (("", ""), (". ", ". "), ("é", "é"))]
    documents = Documents.from_texts(texts)
    found = np.unique(candidates(documents.data, documents.offsets, documents.words)[:, 0])
    assert np.setdiff1d(np.arange(len(texts)), found).tolist() == []


PIECES = st.one_of(
    st.sampled_from(_spelled(every=7)),
    st.sampled_from(
        ["", " ", "! ", "\u00a0", "\n", "'", "\u3820", "turn0view1", "[oaicite:1", "é", "ı", "как", "AI", "я"]
    ),
    st.text(max_size=4),
    st.binary(max_size=3),
)


def _twisted(pieces: list[str | bytes], case: int, space: str, apostrophe: str, cut: int) -> bytes:
    joined = b""
    for piece in pieces:
        if isinstance(piece, str):
            piece = piece.replace(" ", space).replace("'", apostrophe)
            piece = (piece, piece.upper(), piece.title(), piece.swapcase())[case].encode("utf-8", "surrogatepass")
        joined += piece
    return joined[cut:]


SPACES = [" ", "  ", "\u00a0", "\u3000", "\t\n", "\r\n", " \f", "\v", "\u0080", "\u3820", "\u3860 ", "\u2009", "\u200b"]


@settings(max_examples=150)
@given(
    st.lists(
        st.builds(
            _twisted,
            st.lists(PIECES, min_size=1, max_size=6),
            st.integers(0, 3),
            st.sampled_from(SPACES),
            st.sampled_from(["'", "\u2019", "\u02bc"]),
            st.integers(0, 3),
        ),
        min_size=20,
        max_size=60,
    )
)
def test_anchors_lose_no_phrase_and_add_none(texts: list[bytes]) -> None:
    documents = Documents.from_texts(list(texts))
    assert measure(documents).to_pylist() == residue_reference.measure(documents).to_pylist()


@pytest.mark.parametrize("name", ["detection/dev", "detection/modern_ai"])
def test_findings_on_real_text_are_those_of_a_search_through_all_of_it(reference_data: object, name: str) -> None:
    for batch in pq.ParquetFile(f"{reference_data}/{name}.parquet").iter_batches(2000, columns=["text"]):
        documents = Documents(batch)
        assert measure(documents).to_pylist() == residue_reference.measure(documents).to_pylist()


def test_pieces_of_a_long_document_come_to_the_document() -> None:
    texts = [
        "Sure! Here is an answer. ",
        "As an AI language model, I cannot know. ",
        "As a large language model, I pass.",
    ]
    starts = [0, len(texts[0]), len(texts[0]) + len(texts[1])]
    whole = measure(Documents.from_texts(["".join(texts)]))
    pieces = measure(Documents.from_texts(list(texts)))
    assert Residue().combine(pieces, starts).equals(whole)
    nothing = measure(Documents.from_texts(["one", "two"]))
    assert Residue().combine(nothing, [0, 3]).to_pylist() == [
        {"hits": 0, "weak_hits": 0, "phrase": None, "start": None}
    ]


def test_the_anchors_beside_the_code_are_those_of_the_phrase_table() -> None:
    made = residue_build.build()
    with np.load(residue_anchors.PATH, allow_pickle=False) as stored:
        assert sorted(stored.files) == sorted(made)
        for name, array in made.items():
            assert stored[name].dtype == array.dtype and np.array_equal(stored[name], array), name


def test_anchors_of_another_phrase_table_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residue_anchors, "WEAK", {**WEAK, "en.more": ("one more phrase",)})
    residue_anchors.anchors.cache_clear()
    with pytest.raises(ValueError, match="phrase table"):
        residue_anchors.anchors()


def test_anchors_load_in_no_time() -> None:
    residue_anchors.anchors.cache_clear()
    began = time.process_time()
    residue_anchors.anchors()
    assert time.process_time() - began < 0.1  # a few milliseconds when nobody else is at work


def test_matches_are_no_longer_than_said_and_found_when_white_space_runs_on() -> None:
    for length in (1, 8, 9, 400):
        texts = [text.replace(" ", " " * length) for text in (*STRONG.values(), "Certainly! Here is the text.")]
        documents = Documents.from_texts([f"{'x ' * 300}{text}{' x' * 300}" for text in texts])
        assert measure(documents).to_pylist() == residue_reference.measure(documents).to_pylist()
    assert all(residue_anchors.anchors().bounds)


def test_a_phrase_that_begins_where_another_ends_counts() -> None:
    texts = [f"{one}{two}{one}" for one in STRONG.values() for two in ("", "x", " ", "i am an ai model")]
    documents = Documents.from_texts(texts)
    assert measure(documents).to_pylist() == residue_reference.measure(documents).to_pylist()


def test_more_anchors_than_there_is_room_for_at_first() -> None:
    documents = Documents.from_texts([STRONG["en"] * 2000, STRONG["ru"] * 2000, None, STRONG["zh"] * 2000])
    assert measure(documents).to_pylist() == residue_reference.measure(documents).to_pylist()


def test_time_grows_with_a_text_full_of_phrases_and_not_with_its_square() -> None:
    others = f"{STRONG['en_curly']} {STRONG['en_cutoff']} {STRONG['en_refusal']}"
    documents = Documents.from_texts([f"{STRONG['en']} " * 4000 + others])
    began = time.process_time()
    found = measure(documents)["hits"].to_pylist()
    assert time.process_time() - began < 4  # a tenth of a second on a quiet core, and 18 when it was the square
    assert found == residue_reference.measure(documents)["hits"].to_pylist() == [4003]
