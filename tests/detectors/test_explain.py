"""A margin taken apart: the same features as the kernel's, and shares that add up to the margin."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ai_text import AiText
from detectors.ai_text.disguise import as_read
from detectors.ai_text.explain import KINDS, Attribution, attribute, window_features
from detectors.ai_text.features import SLOT_BITS, Tables, common_words, emit, fold_table, score
from detectors.ai_text.kernel import CHECK_BITS
from detectors.ai_text.model import FastModel, load_model
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.pieces import cuts_of, pieces
from detectors.protocols import Device

TEXTS = [
    "",
    " ",
    "x",
    "…",
    "One. Two, three; four - five — “six”!",
    "Don’t STOP: *the* `mark-up` of the naïve café, 1999.\n\n- And then?\n- Then, nothing.",
    "漢字かな交じり文。東京は、今日も雨でした。",
    "안녕하세요. 오늘은 비가 옵니다!",
    "👩‍👩‍👧 is a family; 🇩🇪 is a flag.",
    "zero\u200bwidth and the end",
]
WRITTEN = [
    "The quiet lantern stood there. A lantern, and another lantern.",
    "Stop here, please — now.",
    "One is here. Two is there. Three.",
    "Line 5 of a book: it goes on, and on.",
]
LONG = ["A long walk, and a longer talk. " * 1200, "日本語の長い文書です。" * 2500]


@pytest.fixture(scope="module")
def random_model() -> FastModel:
    """Weights for the features of the texts below, those of every third one left out."""
    common = common_words(one("the is it and a of 、").words.hashes)
    blank = Tables(fold_table(), common, np.zeros(1 << SLOT_BITS, np.uint16))
    keys = np.unique(np.concatenate([emit(one(text), blank).keys for text in [*TEXTS, *LONG, *WRITTEN]]))
    keys = keys[np.arange(len(keys)) % 3 > 0]
    weights = np.random.default_rng(5).integers(1, 256, len(keys))
    blank.weights[keys >> CHECK_BITS] = (keys & (1 << CHECK_BITS) - 1) << 8 | weights
    return FastModel(blank, scale=0.01, bias=0.25)


def one(text: str | bytes) -> Documents:
    return Documents.from_texts(["before it", text, "after it"]).slice(1, 1)


def margin(text: str | bytes, model: FastModel) -> float:
    return float(model.margins(score(as_read(one(text)), model.tables).sums)[0])


def check(found: Attribution, expected: float) -> None:
    assert found.margin == pytest.approx(expected, abs=1e-9)
    assert found.bias + found.by_segment.sum() == pytest.approx(expected, abs=1e-9)
    assert found.bias + sum(found.kind_sums().values()) == pytest.approx(expected, abs=1e-9)
    assert np.dot(found.windows, found.weights) == pytest.approx(expected, abs=1e-9)
    assert sum(found.weights) == pytest.approx(1.0)


def same_features(text: str | bytes, model: FastModel) -> None:
    emission = emit(one(text), model.tables)
    first = next(iter(window_features(one(text), model.tables)))
    assert sorted(feature.bucket for feature in first) == sorted(emission.keys.tolist())


@pytest.mark.parametrize("text", [*TEXTS, *LONG, b"torn \xc3", b"\x80 stray \xff\xfe bytes, and more"])
def test_features_and_margin_are_those_of_the_kernel(text: str | bytes, random_model: FastModel) -> None:
    same_features(text, random_model)
    check(attribute(one(text), random_model), margin(text, random_model))


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_any_text_adds_up(text: str) -> None:
    model = load_model()
    raw = text.encode("utf-8", "surrogatepass")
    same_features(raw, model)
    check(attribute(one(raw), model), margin(raw, model))


def test_a_document_measured_in_pieces_adds_up_to_what_a_scan_combines(
    random_model: FastModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detectors.pieces.LONG_BYTES", 20_000)
    monkeypatch.setattr("detectors.pieces.PIECE_BYTES", 9_000)
    monkeypatch.setattr("detectors.pieces._LOOK_BACK", 100)
    document = one("\n".join(f"Line {number} of a book: it goes on, and on." for number in range(700)))
    edges = cuts_of(document)
    assert len(edges) == 5
    margins = np.concatenate(
        [random_model.margins(score(batch, random_model.tables).sums) for _, batch in pieces(document, edges)]
    )
    found = attribute(document, random_model)
    check(found, float(np.average(margins, weights=np.diff(edges))))
    assert found.ends.max() == edges[-1] and len(found.windows) > 4


def test_a_text_too_long_to_explain_says_so(random_model: FastModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.ai_text.explain.MAX_BYTES", 50)
    with pytest.raises(InputError, match="51 bytes of text: at most 50"):
        attribute(one("x" * 51), random_model)


def test_the_margin_of_a_scan_is_explained() -> None:
    text = "We went down to the harbour at six. He said nothing; it was cold. " * 8
    (stored,) = AiText().load(Device.CPU)(one(text))["margin"].to_pylist()
    assert attribute(one(text), load_model()).margin == pytest.approx(stored, abs=1e-5)


def test_a_weight_is_found_where_its_word_stands(random_model: FastModel) -> None:
    text = "The quiet lantern stood there. A lantern, and another lantern."
    key = next(
        feature.bucket
        for feature in next(iter(window_features(one(text), random_model.tables)))
        if KINDS[feature.kind] == "word" and text[feature.start : feature.end] == "lantern"
    )
    weights = np.zeros_like(random_model.tables.weights)
    weights[key >> CHECK_BITS] = (key & (1 << CHECK_BITS) - 1) << 8 | 100
    only = dataclasses.replace(random_model, tables=dataclasses.replace(random_model.tables, weights=weights))
    found = attribute(one(text), only)
    words = [text[a:b] for a, b in zip(found.edges, found.edges[1:], strict=False)]
    moved = {word for word, value in zip(words, found.by_segment, strict=True) if abs(value) > 1e-12}
    assert moved == {"lantern ", "lantern, ", "lantern."}
    assert "".join(words) == text


def test_spans_hold_what_their_kind_says(random_model: FastModel) -> None:
    text = "Stop here, please — now."
    found = attribute(one(text), random_model)
    raw = text.encode()
    spans = {
        name: {
            raw[start:end].decode()
            for kind, start, end in zip(found.kinds, found.starts, found.ends, strict=True)
            if KINDS[kind] == name
        }
        for name in KINDS
    }
    assert spans["word"] == {"Stop", "here", "please", "now"}
    assert spans["pair"] == {"Stop here", "here, please", "please — now"}
    assert {"here, ", ", ", ", please", "now.", "."} <= spans["mark"]
    assert {"Stop here, ", "here, please", "please — now."} <= spans["kinds"]


def test_sentences_start_where_the_words_say(random_model: FastModel) -> None:
    found = attribute(one("One is here. Two is there. Three."), random_model)
    assert found.sentences.tolist() == [0, 13, 27]
