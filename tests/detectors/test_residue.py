from __future__ import annotations

import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.protocols import Device
from detectors.residue import Residue
from detectors.residue_phrases import STRONG as PHRASES

measure = Residue().load(Device.CPU)

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
