"""The bundled detector: what it abstains on, what it folds away, what its calibration promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ai_text import AiText
from detectors.ai_text.calibration import Reference, fit_reference, load_reference
from detectors.ai_text.fast import enough, languages
from detectors.ai_text.features import (
    COMMON_BITS,
    KEY_BITS,
    SLOT_BITS,
    STATS,
    WINDOW_BYTES,
    Tables,
    common_words,
    emit,
    score,
)
from detectors.ai_text.folding import fold_character
from detectors.ai_text.kernel import CHECK_BITS
from detectors.ai_text.model import MODEL_DIR, FastModel, load_model, write_files
from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.language import Languages
from detectors.protocols import Device, Measure

PROSE = (
    "We went down to the harbour at six. My brother had the keys, or said he did, and the gate was shut anyway. "
    "“You never ask,” I told him. He didn’t answer; it was too cold for that. So we climbed over the wall — badly — "
    "and I tore my coat. The boat wasn’t there. Somebody had paid for the mooring till March, in cash, and left no "
    "name. A man selling bait thought he’d seen it go out on Sunday, towards the island, with two people aboard."
)


@pytest.fixture(scope="module")
def measure() -> Measure:
    return AiText().load(Device.CPU)


@pytest.fixture(scope="module")
def model() -> FastModel:
    return load_model()


@pytest.fixture(scope="module")
def reference() -> Reference:
    return load_reference()


def found(measure: Measure, *texts: str | bytes | None) -> list[dict[str, object]]:
    return measure(Documents.from_texts(list(texts))).to_pylist()


def margin(measure: Measure, text: str) -> float:
    (row,) = found(measure, text)
    assert isinstance(row["margin"], float)
    return row["margin"]


def test_contract_of_signals_is_kept() -> None:
    check_signal(AiText())


def test_a_negative_least_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="min_characters is -1"):
        AiText(min_characters=-1)


def test_import_is_light() -> None:
    code = "import sys; import detectors.ai_text; assert not {'numba', 'polars'} & set(sys.modules), 'heavy import'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_prose_gets_a_margin(measure: Measure) -> None:
    (row,) = found(measure, PROSE)
    assert row["tier"] == "fast"
    assert row["language"] == "en"
    assert row["length"] == len(PROSE)
    assert not row["abstained"]
    assert not row["out_of_support"]
    assert isinstance(row["margin"], float)


@pytest.mark.parametrize("text", ["", " ", "Too short to judge.", None, "x" * 5000, b"\xff\xfe" * 300])
def test_text_without_enough_words_abstains(measure: Measure, text: str | bytes | None) -> None:
    (row,) = found(measure, text)
    assert row["margin"] is None
    assert row["abstained"]


def test_shortest_judged_length_is_a_setting() -> None:
    assert found(AiText(min_characters=5000).load(Device.CPU), PROSE)[0]["abstained"]
    assert not found(AiText(min_characters=100).load(Device.CPU), PROSE[:200])[0]["abstained"]


def test_chinese_needs_a_third_of_the_characters(measure: Measure) -> None:
    row, short = found(measure, "我们六点钟到了港口，门是关着的，船也不在那里。" * 6, "我们六点钟到了港口。" * 3)
    assert row["language"] == "zh"
    assert not row["abstained"]
    assert short["abstained"]


@pytest.mark.parametrize(
    "changed",
    [
        PROSE.replace("“", '"').replace("”", '"').replace("’", "'"),
        PROSE.replace("—", "-"),
        PROSE.replace("—", "–"),
        PROSE.replace(" ", "\u00a0"),
        PROSE.replace(". ", ".\n\n"),
        PROSE.replace(". ", ".\r\n   "),
        PROSE.replace("harbour", "**harbour**").replace("My brother", "# My brother"),
        PROSE.replace("said", "sa\u00adid"),
        "\ufeff  " + PROSE + "\n",
        PROSE.lower(),
        PROSE.upper(),
    ],
    ids=["quotes", "hyphen", "en-dash", "nbsp", "lines", "crlf", "markdown", "soft-hyphen", "bom", "lower", "upper"],
)
def test_typography_does_not_change_the_margin(measure: Measure, changed: str) -> None:
    assert changed != PROSE
    assert margin(measure, changed) == pytest.approx(margin(measure, PROSE), abs=1e-6)


@pytest.mark.parametrize("pair", ["aÁ", "Wｗ", "18", '“"', "’'", "—-", "\u00a0\n", "中中", "йи", "。."])
def test_characters_fold_together_in_n_grams(pair: str) -> None:
    one, other = pair
    assert fold_character(ord(one))[0] == fold_character(ord(other))[0]


@pytest.mark.parametrize("pair", ["ab", "中国", "1a", ",.", "жш"])
def test_characters_stay_apart_in_n_grams(pair: str) -> None:
    one, other = pair
    assert fold_character(ord(one))[0] != fold_character(ord(other))[0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=400), st.binary(max_size=200), st.just(PROSE)), max_size=6), st.data())
def test_batches_split_anywhere_give_the_same_rows(texts: list[str | bytes], data: st.DataObject) -> None:
    measured = AiText(min_characters=10).load(Device.CPU)
    documents = Documents.from_texts(list(texts))
    cut = data.draw(st.integers(0, len(texts)))
    parts = [measured(documents.slice(0, cut)), measured(documents.slice(cut, len(texts) - cut))]
    assert pa.Table.from_batches(parts).to_pylist() == measured(documents).to_pylist()


def test_long_document_is_the_mean_of_its_windows(measure: Measure) -> None:
    text = (PROSE + " ") * 60
    row, once = found(measure, text, PROSE)
    assert once["windows"] is None
    assert isinstance(row["windows"], list)
    assert len(row["windows"]) == len(windows(text.encode())) == -(-len(text.encode()) // WINDOW_BYTES)
    assert row["margin"] == pytest.approx(np.mean(row["windows"]), abs=1e-5)
    assert row["length"] == len(text)


def test_windows_tell_a_page_of_two_hands_apart(measure: Measure) -> None:
    other = "Overall, it is important to note that a comprehensive approach plays a crucial role in achieving success. "
    row, alone, second = found(measure, (PROSE + " ") * 20 + other * 80, (PROSE + " ") * 20, other * 80)
    assert isinstance(row["windows"], list)
    assert row["windows"][0] == pytest.approx(alone["margin"], abs=0.3)
    assert row["windows"][-1] == pytest.approx(second["margin"], abs=0.3)
    assert row["windows"][-1] > row["windows"][0] + 0.5


def test_unbroken_megabytes_are_measured(measure: Measure) -> None:
    row, other = found(measure, b"a" * 3_000_000, "字" * 1_000_000)
    assert row["length"] == 3_000_000
    assert other["length"] == 1_000_000


def points(raw: bytes) -> list[int]:
    """Code points as the detector reads them: stray continuation bytes are skipped, missing ones left out."""
    found, at = [], 0
    while at < len(raw):
        lead = raw[at]
        at += 1
        if 0x80 <= lead < 0xC0:
            continue
        length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        point = lead if length == 1 else lead & (0x7F >> length)
        for _ in range(length - 1):
            if at < len(raw) and raw[at] & 0xC0 == 0x80:
                point = point << 6 | raw[at] & 0x3F
                at += 1
        found.append(point if point <= 0xFFFF else 0x25A1)
    return found


def windows(raw: bytes) -> list[tuple[int, int]]:
    n = max(1, -(-len(raw) // WINDOW_BYTES))
    edges = [0]
    for k in range(1, n + 1):
        edge = len(raw) * k // n
        for _ in range(3):
            edge += edge < len(raw) and raw[edge] & 0xC0 == 0x80
        edges.append(edge)
    return list(pairwise(edges))


M64 = (1 << 64) - 1
LAST, PAIR = 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3
AFTER, ALONE, BEFORE = 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
FIRST, SECOND, KIND = 0x2545F4914F6CDD1D, 0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD


def kind_of(word: bytes, hashed: int, characters: int, tables: Tables) -> int:
    bit = hashed >> 64 - COMMON_BITS
    if int(tables.common[bit // 64]) >> bit % 64 & 1:
        return hashed
    if characters == 1 and word[-1] >= 0x80:
        ending = 0x27D4EB2F165667C5
    elif max(word[-2:]) < 0x80:
        one, two = (int(tables.fold[byte]) & 255 for byte in word[-2:].rjust(2, word[-1:]))
        ending = one << 8 | two
    else:
        start = max(len(word) - 8, 0)
        while start > 0 and word[start] & 0xC0 == 0x80:
            start -= 1
        tail = [code for code in (int(tables.fold[point]) & 255 for point in points(word[start:])) if code]
        one, two = [0, 0, *tail][-2:]
        ending = one << 8 | two
    return (ending * 0x9FB21C651E98DF25 ^ min(characters >> 2, 3) * 0xC2B2AE3D27D4EB4F) & M64


def marks_of(gap: bytes, fold: np.ndarray) -> int:
    hashed, before = 0, 32
    for mark in (int(fold[point]) & 255 for point in points(gap[:24])):
        if mark not in (0, 32, before):
            hashed = (hashed ^ mark) * 0xBF58476D1CE4E5B9 & M64
            before = mark
    return hashed


def keys_of(raw: bytes, tables: Tables) -> list[list[int]]:
    """Features of each window, as often as they stand there, in plain Python."""
    words = Documents.from_texts([raw]).words
    columns = words.hashes, words.start, words.end, words.characters
    hashes, start, end, characters = ([int(value) for value in column] for column in columns)
    found, kinds = [], [0, 0]
    for low, high in windows(raw):
        features: list[int] = []
        for k in range(len(hashes)):
            if not (low <= start[k] < high):
                continue
            features.append(hashes[k])
            features += [hashes[k - 1] * PAIR + hashes[k]] if k else []
            kinds.append(kind_of(raw[start[k] : end[k]], hashes[k], characters[k], tables))
            features += triple(kinds)
            marks = marks_of(raw[end[k] : start[k + 1] if k + 1 < len(start) else len(raw)], tables.fold)
            if marks:
                features += [hashes[k] * AFTER + marks, marks * ALONE]
                features += [hashes[k + 1] * BEFORE & M64 ^ marks] if k + 1 < len(hashes) else []
                kinds.append(marks)
                features += triple(kinds)
        found.append([(feature * LAST & M64) >> 64 - KEY_BITS for feature in features])
    return found


def triple(kinds: list[int]) -> list[int]:
    first, second, third = kinds[-3:]
    return [first * FIRST + second * SECOND + third * KIND] if first else []


def sum_of(keys: list[int], tables: Tables) -> float:
    """Weights of the features that the table holds, each once, by the root of their number."""
    slots = {
        key >> CHECK_BITS for key in keys if int(tables.weights[key >> CHECK_BITS]) >> 8 == key & (1 << CHECK_BITS) - 1
    }
    weights = [int(np.uint8(tables.weights[slot] & 255).view(np.int8)) for slot in slots]
    known = [weight for weight in weights if weight]
    return sum(known) / max(len(known), 1) ** 0.5


ANYTHING = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.binary(max_size=20),
        st.sampled_from(
            [PROSE, "word ", " -- ", "...", "Ab, cd. ", "12 345", "中文。", "한국어", "**x**", "\r\n", "e\u0301"]
        ),
    ),
    max_size=12,
).map(lambda parts: b"".join(p if isinstance(p, bytes) else p.encode("utf-8", "surrogatepass") for p in parts))


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_features_equal_a_plain_reference(raw: bytes) -> None:
    tables = load_model().tables
    (keys,) = keys_of(raw, tables)
    document = Documents.from_texts([raw])
    assert sorted(emit(document, tables).keys.tolist()) == sorted(keys)
    assert score(document, tables).sums[0] == pytest.approx(sum_of(keys, tables), abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(ANYTHING.filter(len), st.integers(4_000, 20_000))
def test_windows_equal_a_plain_reference(raw: bytes, size: int) -> None:
    tables = load_model().tables
    raw = (raw * (size // len(raw) + 1))[:size]
    parts = keys_of(raw, tables)
    document = Documents.from_texts(["before it", raw, "and after"]).slice(1, 1)
    scores = score(document, tables)
    assert scores.windows.tolist() == pytest.approx([sum_of(part, tables) for part in parts], abs=1e-9)
    assert scores.firsts.tolist() == [0, len(parts)]
    assert sorted(emit(document, tables).keys.tolist()) == sorted(parts[0])


def test_full_table_counts_every_feature_once() -> None:
    """The bundled table holds some features only; here each slot holds the feature that asks for it."""
    text, blank = (PROSE + " ") * 3, load_model().tables
    (keys,) = keys_of(text.encode(), blank)
    weights = np.zeros(1 << SLOT_BITS, np.uint16)
    slots = np.array(sorted(set(keys)))
    weights[slots >> CHECK_BITS] = (slots & (1 << CHECK_BITS) - 1) << 8 | slots % 255 + 1
    tables = Tables(blank.fold, blank.common, weights)
    once, twice = score(Documents.from_texts([text]), tables), score(Documents.from_texts([text, text]), tables)
    assert once.sums[0] == pytest.approx(sum_of(keys, tables), abs=1e-9)
    assert twice.sums.tolist() == [once.sums[0]] * 2


def test_common_words_are_all_marked() -> None:
    words = Documents.from_texts(["the quick brown fox"]).words.hashes
    bitmap = common_words(words)
    bits = np.unpackbits(bitmap.view(np.uint8), bitorder="little")
    assert bits[(words >> np.uint64(64 - COMMON_BITS)).astype(np.int64)].all()
    assert bits.sum() == 4


def test_unknown_words_count_for_nothing(model: FastModel) -> None:
    noise = " ".join(f"qx{k}zv" for k in range(2000, 2400))
    clean, noisy = score(Documents.from_texts([PROSE * 2, PROSE * 2 + " " + noise]), model.tables).sums * model.scale
    assert abs(noisy - clean) < 0.3


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_counters_equal_a_plain_reference(raw: bytes) -> None:
    model = load_model()
    found = dict(zip(STATS, score(Documents.from_texts([raw]), model.tables).stats[0].tolist(), strict=True))
    bits = [fold_character(point)[1] for point in points(raw)]
    expected = {"letters": sum(b & 1 for b in bits), "visible": sum(b >> 1 & 1 for b in bits)}
    expected |= {"code": sum(b >> 2 & 1 for b in bits), "extra": sum(b >> 3 for b in bits)}
    assert found == {"characters": len(bits), **expected}


def test_language_is_that_of_the_shared_view() -> None:
    texts = [PROSE, "我们六点钟到了港口，门是关着的，船也不在那里。" * 6, "12 34 56"]
    assert languages(Documents.from_texts(texts)).to_pylist() == ["en", "zh", "und"]


def test_varieties_count_as_their_standard_language() -> None:
    class Found:
        languages = Languages(
            np.array([1, 2, 0, 3, 4], np.int16),
            ("und", "wuu", "nn", "ary", "en"),
            np.zeros(5, np.int16),
            ("Zyyy",),
            np.ones(5, np.float32),
        )

    assert languages(Found()).to_pylist() == ["zh", "no", "und", "ar", "en"]  # type: ignore[arg-type]


def piece(**changes: object) -> dict[str, object]:
    row = {"margin": 1.0, "tier": "fast", "language": "en", "length": 100, "abstained": False, "out_of_support": False}
    style = None if changes.get("abstained") else [1.0, 2.0, 0.0, 0.5, 0.25]
    return {**row, "windows": None, "style": style, **changes}


def combined(*rows: dict[str, object]) -> dict[str, object]:
    pieces = pa.RecordBatch.from_pylist(list(rows), schema=AiText.schema)
    found = AiText().combine(pieces, [1000 * k for k in range(len(rows))])
    assert found.schema == AiText.schema
    (row,) = found.to_pylist()
    return row


def test_pieces_weigh_by_their_length() -> None:
    long = piece(margin=4.0, length=300, out_of_support=True, style=[3.0, 2.0, 0.0, 0.5, 0.25])
    silent = piece(margin=None, length=5, abstained=True)
    expected = piece(margin=pytest.approx(3.25), length=405, out_of_support=True, windows=[1.0, 4.0])
    expected["style"] = [2.5, 2.0, 0.0, 0.5, 0.25]
    assert combined(piece(), long, silent) == expected


def test_pieces_abstain_together_only() -> None:
    silent = piece(margin=None, length=5, abstained=True, language="und")
    assert combined(silent, silent) == piece(margin=None, length=10, abstained=True, language="und")
    assert combined(silent, piece(language="de")) == piece(length=105, language="de")


def test_pieces_keep_their_windows_in_order() -> None:
    silent = piece(margin=None, length=5, abstained=True)
    joined = combined(piece(windows=[0.5, 1.5]), silent, piece(margin=4.0), piece(windows=[1.0, 1.0]))
    assert joined["windows"] == [0.5, 1.5, 4.0, 1.0, 1.0]


def test_pieces_of_one_text_come_to_about_the_whole(measure: Measure) -> None:
    part = (PROSE + " ") * 200
    halves = measure(Documents.from_texts([part, part]))
    (whole,) = found(measure, part + part)
    (joined,) = AiText().combine(halves, [0, len(part.encode())]).to_pylist()
    assert joined["margin"] == pytest.approx(whole["margin"], abs=0.1)
    assert isinstance(joined["windows"], list)
    assert isinstance(whole["windows"], list)
    assert np.mean(joined["windows"]) == pytest.approx(np.mean(whole["windows"]), abs=0.1)
    assert joined["style"] == pytest.approx(whole["style"], abs=1e-3)
    same = {"margin": None, "windows": None, "style": None}
    assert {**joined, **same} == {**whole, **same}


def test_few_words_are_not_enough_however_long(model: FastModel) -> None:
    scores = score(Documents.from_texts(["x" * 5000, PROSE]), model.tables)
    assert enough(scores, 250).tolist() == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        "x = [i for i in range(10)]; y = {k: v for (k, v) in z.items()}; if (x == y) { return [x, y]; }\n" * 10,
        "12.5 | 33.1 | 18.0 | 7 |\n" * 60,
        "Bu uzun bir yazı değil ama çok da kısa değil, çünkü bizim için her şey daha önemli ve o kadar. " * 6,
    ],
    ids=["code", "table", "language without reference"],
)
def test_text_unlike_the_reference_says_so(measure: Measure, text: str) -> None:
    assert found(measure, text)[0]["out_of_support"]


def test_unknown_tier_is_refused() -> None:
    with pytest.raises(SignalError, match="no tier 'oracle'"):
        AiText(tier="oracle").load(Device.CPU)


def test_fast_tier_refuses_a_gpu() -> None:
    with pytest.raises(SignalError, match="CPU only"):
        AiText().load(Device.CUDA)


@pytest.mark.parametrize("name", ["fast.npz", "calibration.npz"])
def test_changed_model_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    for file in ("fast.npz", "calibration.npz", "model.json"):
        shutil.copy(MODEL_DIR / file, tmp_path / file)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SignalError, match=f"{name}: SHA-256"):
        load_model(tmp_path)
        load_reference(tmp_path)


def test_missing_model_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match=r"model\.json: cannot be read"):
        load_model(tmp_path)
    shutil.copy(MODEL_DIR / "model.json", tmp_path)
    with pytest.raises(SignalError, match=r"fast\.npz: cannot be read"):
        load_model(tmp_path)


def test_model_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"format": 99, "sha256": {}}')
    (tmp_path / "fast.npz").write_bytes(b"")
    with pytest.raises(SignalError, match="format 99"):
        load_model(tmp_path)


def test_model_survives_writing_and_reading(tmp_path: Path, model: FastModel) -> None:
    write_files(tmp_path, {"fast.npz": model.arrays()})
    again = load_model(tmp_path)
    assert np.array_equal(again.tables.weights, model.tables.weights)
    assert np.array_equal(again.tables.common, model.tables.common)
    assert again.scale == model.scale
    assert isinstance(again.tables, Tables)


def test_bundled_files_are_small() -> None:
    assert sum(path.stat().st_size for path in MODEL_DIR.iterdir() if path.suffix in (".npz", ".json")) < 1_000_000


@pytest.mark.parametrize("language", ["en", "zh", "de", "und", "xx"])
@pytest.mark.parametrize("length", [250, 700, 1500, 50_000])
def test_p_human_falls_and_score_rises_with_the_margin(reference: Reference, language: str, length: int) -> None:
    margins = np.linspace(-40.0, 40.0, 2001)
    p = reference.p_human(margins, [language] * 2001, np.full(2001, length))
    assert p.dtype == np.float32
    assert (np.diff(p) <= 0).all()
    assert p.min() > 0
    assert p.max() <= 1
    scores = reference.score(margins, [language] * 2001, np.full(2001, length))
    assert (np.diff(scores) >= 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_null_margins_stay_null(reference: Reference) -> None:
    margins, names, lengths = np.array([np.nan, 0.0]), np.array(["en", "en"]), np.array([300, 300])
    assert np.isnan(reference.p_human(margins, names, lengths)).tolist() == [True, False]
    assert np.isnan(reference.score(margins, names, lengths)).tolist() == [True, False]
    assert reference.p_human(np.array([]), [], np.array([])).shape == (0,)


def test_language_without_reference_takes_the_most_cautious_p_value(reference: Reference) -> None:
    margins = np.linspace(-10.0, 20.0, 300)
    lengths = np.full(300, 5000)
    unknown = reference.p_human(margins, ["xx"] * 300, lengths)
    for code in reference.languages:
        assert (unknown >= reference.p_human(margins, [code] * 300, lengths) - 1e-6).all()


def test_error_rates_count_both_kinds_and_grow_with_the_rate(reference: Reference) -> None:
    fine, coarse = reference.error_rates(0.001), reference.error_rates(0.01)
    assert {rate.kind for rate in fine} == {"human", "ai"}
    assert [rate.source for rate in fine] == [rate.source for rate in coarse]
    assert all(0 <= a.hits <= b.hits <= b.n for a, b in zip(fine, coarse, strict=True))
    human = [rate for rate in coarse if rate.kind == "human"]
    assert np.mean([rate.hits / rate.n for rate in human if rate.n >= 100]) <= 0.01


def test_reference_holds_its_rate_on_new_sources() -> None:
    random = np.random.default_rng(3)
    n, sources = 150, 60
    offsets = random.normal(0.0, 1.0, sources)
    human = (offsets[:, None] + random.normal(0.0, 1.0, (sources, n))).ravel()
    machine = random.normal(4.0, 1.5, 2000)
    margins = np.concatenate([human, machine])
    label = np.repeat([0, 1], [len(human), len(machine)])
    source = np.concatenate([np.repeat([f"site {i}" for i in range(sources)], n), np.full(2000, "model")])
    fitted = fit_reference(margins, label, source, np.full(len(label), "en"), np.full(len(label), 800))
    fresh = random.normal(0.0, 1.0, 400)[:, None] + random.normal(0.0, 1.0, (400, 200))
    p = fitted.p_human(fresh.ravel(), ["en"] * fresh.size, np.full(fresh.size, 800)).reshape(fresh.shape)
    rates = (p <= 0.01).mean(axis=1)
    assert rates.mean() <= 0.01
    assert (rates <= 0.01).mean() >= 0.85


def test_digest_names_the_calibration(reference: Reference) -> None:
    assert len(reference.digest) == 32
    assert reference.prior == 0.5


@pytest.mark.slow
def test_bundled_model_ranks_held_back_rows(reference_data: Path, measure: Measure, reference: Reference) -> None:
    from curricula.detector_card import auroc

    path = reference_data / "detection" / "dev.parquet"
    if not path.exists():
        pytest.skip(f"{path} is absent. Set FOXING_DATA to a folder that has it.")
    frame = pl.read_parquet(path).sample(4000, seed=1)
    row = measure(Documents(pa.record_batch({"text": frame["text"].to_arrow()})))
    margins = row["margin"].to_numpy(zero_copy_only=False)
    kept = ~np.isnan(margins)
    label = frame["label"].to_numpy().astype(np.int64)[kept]
    assert auroc(label, margins[kept]) > 0.9
    lengths = row["length"].to_numpy()
    scores = reference.score(margins, row["language"].to_pylist(), lengths)
    assert auroc(label, scores[kept].astype(np.float64)) > 0.9
