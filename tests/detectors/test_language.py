from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import langid_model
from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.langid import normal
from detectors.language import Language, measure
from detectors.protocols import Device
from detectors.sampling import SAMPLE_BYTES, sample_documents
from detectors.scripts import NAMES, SCRIPT_BITS, UNSETTLED, script_table
from detectors.unicode_classes import OTHER, class_table

TEXTS = {
    ("en", "Latn"): "The binding had come loose, and brown stains ran along the inner margin of every page.",
    ("de", "Latn"): "Der Einband hatte sich gelöst, und braune Flecken zogen sich am Rand jeder Seite entlang.",
    ("fr", "Latn"): "La reliure s'était défaite et des taches brunes couraient le long de chaque page.",
    ("es", "Latn"): "La encuadernación se había soltado y unas manchas marrones recorrían todas las páginas.",
    ("pl", "Latn"): "Oprawa się poluzowała, a wzdłuż marginesu każdej strony biegły brązowe plamy.",
    ("tr", "Latn"): "Cilt gevşemişti ve her sayfanın iç kenarı boyunca kahverengi lekeler vardı.",
    ("vi", "Latn"): "Bìa sách đã bong ra và những vết ố nâu chạy dọc theo lề của mỗi trang.",
    ("ru", "Cyrl"): "Переплёт расшатался, и по внутреннему полю каждой страницы шли бурые пятна.",
    ("uk", "Cyrl"): "Палітурка розхиталася, і вздовж внутрішнього поля кожної сторінки йшли бурі плями.",
    ("el", "Grek"): "Το δέσιμο είχε χαλαρώσει και καφέ κηλίδες έτρεχαν στο περιθώριο κάθε σελίδας.",
    ("zh", "Hani"): "装订已经松动,每一页的内侧边缘都有褐色的斑点。自从洪水以后没有人打开过这本书。",
    ("ja", "Jpan"): "製本が緩み、すべてのページの内側の余白に茶色の染みが走っていた。",
    ("ko", "Hang"): "제본이 느슨해졌고 모든 페이지의 안쪽 여백을 따라 갈색 얼룩이 있었다.",
    ("ar", "Arab"): "كان التجليد قد ارتخى وكانت البقع البنية تمتد على طول الهامش الداخلي لكل صفحة.",
    ("hi", "Deva"): "जिल्द ढीली हो गई थी और हर पन्ने के भीतरी हाशिये पर भूरे धब्बे थे।",
    ("th", "Thai"): "สันหนังสือหลวม และมีคราบสีน้ำตาลตามขอบด้านในของทุกหน้า",
}


def found(*texts: str | bytes | None) -> list[tuple[str, str]]:
    rows = measure(Documents.from_texts(list(texts))).to_pylist()
    return [(row["language"], row["script"]) for row in rows]


@pytest.mark.parametrize("expected", TEXTS)
def test_language_and_script_are_told(expected: tuple[str, str]) -> None:
    assert found(TEXTS[expected]) == [expected]


@pytest.mark.parametrize(
    "text", [None, "", " ", "\n\t", "1234 5678 90, 12.5", "!!! ??? ---", "ok", b"\xff\xfe", "https://a.example/the/one"]
)
def test_what_is_no_language_is_unknown(text: str | bytes | None) -> None:
    assert found(text)[0][0] == "und"


def test_space_markup_and_addresses_before_the_text_do_not_matter() -> None:
    plain = TEXTS["de", "Latn"]
    for before in ("\n \t" * 300, '<div class="page"><p>', "https://example.com/some/english/words/in/here ", "\ufffd"):
        assert found(before + plain) == [("de", "Latn")]


def test_capitals_and_decomposed_letters_do_not_matter() -> None:
    for (language, script), text in TEXTS.items():
        for changed in (unicodedata.normalize("NFD", text), text.upper()):
            assert found(changed) == [(language, script)]


@settings(max_examples=100)
@given(st.one_of(st.text(max_size=400), st.binary(max_size=400), st.sampled_from([*TEXTS.values()])))
def test_a_sample_is_valid_utf8_and_no_longer_than_said(text: str | bytes) -> None:
    documents = Documents.from_texts([text])
    samples, starts, lengths, _, letters, unsettled = sample_documents(documents.data, documents.offsets)
    sample = samples[starts[0] : starts[0] + lengths[0]].tobytes()
    assert len(sample) <= SAMPLE_BYTES and letters[0] <= len(sample)
    sample.decode()
    assert unsettled[0] or normal(sample) == sample


def test_every_code_point_that_normal_form_changes_is_flagged() -> None:
    table = script_table()
    for point in (*range(0xD800), *range(0xE000, len(table))):
        if not unicodedata.is_normalized("NFC", chr(point)) or (
            unicodedata.combining(chr(point)) and class_table()[point] != OTHER
        ):
            assert table[point] & UNSETTLED, hex(point)


def test_scripts_are_those_of_the_characters_names() -> None:
    named = {"LATIN": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek", "ARMENIAN": "Armn", "HEBREW": "Hebr"}
    named |= {"ARABIC": "Arab", "DEVANAGARI": "Deva", "BENGALI": "Beng", "TAMIL": "Taml", "THAI": "Thai"}
    named |= {"HANGUL": "Hang", "HIRAGANA": "Jpan", "KATAKANA": "Jpan", "CJK": "Hani", "GEORGIAN": "Geor"}
    table = script_table()
    for point in range(0x250):
        _check_name(table, named, point)
    for point in (*range(0x370, 0x1100), *range(0x3040, 0x3100), *range(0x4E00, 0x4F00), *range(0xAC00, 0xAD00)):
        _check_name(table, named, point)


def _check_name(table: np.ndarray, named: dict[str, str], point: int) -> None:
    script = named.get(unicodedata.name(chr(point), "").partition(" ")[0])
    if script and unicodedata.category(chr(point)) in ("Lu", "Ll", "Lo"):
        assert NAMES[table[point] & SCRIPT_BITS] == script, hex(point)


def test_it_answers_as_the_library_does(reference_data: object) -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    batch = next(pq.ParquetFile(f"{reference_data}/detection/modern_ai.parquet").iter_batches(1500, columns=["text"]))
    documents = Documents(batch)
    samples, starts, lengths, _, _, _ = sample_documents(documents.data, documents.offsets)
    languages = documents.languages
    agreed = 0
    for i in range(len(documents)):
        name, confidence = library.classify(samples[starts[i] : starts[i] + lengths[i]].tobytes())
        agreed += languages.names[languages.indices[i]] == name or languages.confidence[i] < 0.35
        # Costs are kept in a byte each.
        assert abs(confidence - float(languages.confidence[i])) < 0.12
    assert agreed >= 0.998 * len(documents)


def test_it_keeps_the_contract_of_signals() -> None:
    check_signal(Language())
    check_signal(Language(), Documents.from_texts([*TEXTS.values(), None, "", "x"]))


def test_the_first_piece_with_a_language_decides() -> None:
    measured = Language().load(Device.CPU)(Documents.from_texts(["1 2 3", TEXTS["de", "Latn"], TEXTS["en", "Latn"]]))
    assert Language().combine(measured, [0, 5, 90]).to_pylist() == measured.slice(1, 1).to_pylist()
    nothing = measured.slice(0, 1)
    assert Language().combine(pa.concat_batches([nothing, nothing]), [0, 5]).to_pylist() == nothing.to_pylist()


@pytest.fixture(scope="module")
def model() -> langid_model.Model:
    return langid_model.load()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: langid_model.Model) -> Iterator[Path]:
    """A cache folder of its own; the library's file is not unpacked again for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(langid_model, "build", lambda source: model)
    langid_model.load.cache_clear()
    yield tmp_path / "foxing"
    langid_model.load.cache_clear()


def _same(one: langid_model.Model, other: langid_model.Model) -> bool:
    arrays = ("columns", "moves", "costs", "prior", "twin")
    return (one.names, one.first_row) == (other.names, other.first_row) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def test_the_cached_model_is_the_one_that_was_built(cache: Path, model: langid_model.Model) -> None:
    assert _same(langid_model.load(), model)
    (file,) = cache.iterdir()
    before = file.stat().st_mtime_ns
    langid_model.load.cache_clear()
    assert _same(langid_model.load(), model)
    assert [file] == list(cache.iterdir()) and file.stat().st_mtime_ns == before


def test_the_model_is_what_the_library_brings_along(model: langid_model.Model) -> None:
    assert _same(langid_model.build(langid_model._source()), model)


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path, model: langid_model.Model) -> None:
    cache.write_bytes(b"a file where the folder should be")
    assert langid_model.load() is model


@pytest.mark.parametrize("fault", ["cut", "changed", "empty", "header"])
def test_a_damaged_cache_is_made_anew(cache: Path, model: langid_model.Model, fault: str) -> None:
    langid_model.load()
    (file,) = cache.iterdir()
    good = file.read_bytes()
    half = len(good) // 2
    damaged = {
        "cut": good[:half],
        "changed": good[:half] + bytes([good[half] ^ 1]) + good[half + 1 :],
        "empty": b"",
        "header": b"{}" + good[2:],
    }
    file.unlink()
    file.write_bytes(damaged[fault])
    langid_model.load.cache_clear()
    assert _same(langid_model.load(), model)
    assert file.read_bytes() == good


def test_processes_that_start_at_once_get_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = "from detectors.langid_model import load; print(load().costs.sum())"
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0] and answers[0] == answers[1]
    assert [file.suffix for file in (tmp_path / "foxing").iterdir()] == [".bin"]
