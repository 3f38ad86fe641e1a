"""The bundled detector: what it abstains on, what it folds away, what its calibration promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ai_text import AiText
from detectors.ai_text.calibration import Reference, fit_reference, load_reference
from detectors.ai_text.fast import languages
from detectors.ai_text.features import WINDOW_BYTES, Tables, emit, score, word_hash
from detectors.ai_text.language import LANGUAGES, function_words
from detectors.ai_text.model import MODEL_DIR, FastModel, load_model, write_files
from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import SignalError
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
        PROSE.replace("said", "sa\u200bid"),
        PROSE.replace("coat", "coát"),
        "\ufeff  " + PROSE + "\n",
        PROSE.replace("We", "Ｗｅ"),
    ],
    ids=["quotes", "hyphen", "en-dash", "nbsp", "lines", "crlf", "markdown", "zero-width", "accent", "bom", "wide"],
)
def test_typography_does_not_change_the_margin(measure: Measure, changed: str) -> None:
    assert changed != PROSE
    assert margin(measure, changed) == pytest.approx(margin(measure, PROSE), abs=1e-6)


def test_case_moves_style_features_only(model: FastModel) -> None:
    lower, upper = (Documents.from_texts([text]) for text in (PROSE.lower(), PROSE.upper()))
    one, other = (score(part.data, part.offsets, model.tables) for part in (lower, upper))
    assert one.sums[0] == other.sums[0]


def test_any_number_gives_the_same_features(model: FastModel) -> None:
    one, other = (Documents.from_texts([PROSE + text]) for text in (" In 1987.", " In 30512."))
    assert score(one.data, one.offsets, model.tables).sums == score(other.data, other.offsets, model.tables).sums


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=400), st.binary(max_size=200), st.just(PROSE)), max_size=6), st.data())
def test_batches_split_anywhere_give_the_same_rows(texts: list[str | bytes], data: st.DataObject) -> None:
    measured = AiText(min_characters=10).load(Device.CPU)
    documents = Documents.from_texts(list(texts))
    cut = data.draw(st.integers(0, len(texts)))
    parts = [measured(documents.slice(0, cut)), measured(documents.slice(cut, len(texts) - cut))]
    assert pa.Table.from_batches(parts).to_pylist() == measured(documents).to_pylist()


def test_long_document_is_the_mean_of_its_windows(model: FastModel) -> None:
    text = (PROSE + " ") * 60
    document = Documents.from_texts([text])
    emission = score(document.data, document.offsets, model.tables)
    assert emission.windows[0] == -(-len(text.encode()) // WINDOW_BYTES)
    once = Documents.from_texts([(PROSE + " ") * 15])
    assert emission.sums[0] == pytest.approx(score(once.data, once.offsets, model.tables).sums[0], rel=0.1)
    assert emission.stats[0, 0] == len(text)


def test_unbroken_megabytes_are_measured(measure: Measure) -> None:
    row, other = found(measure, b"a" * 3_000_000, "字" * 1_000_000)
    assert row["length"] == 3_000_000
    assert other["length"] == 1_000_000


def test_training_sees_the_features_that_scoring_sums(model: FastModel) -> None:
    document = Documents.from_texts([PROSE, "", "Второй текст, покороче."])
    seen, summed = (run(document.data, document.offsets, model.tables) for run in (emit, score))
    weights = model.tables.weights.astype(np.float64)
    for row in range(3):
        buckets = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        assert len(set(buckets.tolist())) == len(buckets) == summed.counts[row]
        assert weights[buckets].sum() / max(len(buckets), 1) ** 0.5 == pytest.approx(summed.sums[row])


def test_function_words_are_found_by_the_kernel(model: FastModel) -> None:
    for word in function_words():
        document = Documents.from_texts([f" {word} "])
        votes = score(document.data, document.offsets, model.tables).votes[0]
        assert votes.any(), word
        hashed, bucket = word_hash(word, model.tables.fold)
        assert 0 <= bucket < len(model.tables.weights)
        assert hashed >> 64 == 0


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "This is the house that they had when we were young, and it was not for sale."),
        ("de", "Das ist nicht das Haus, das wir mit den Kindern in der Stadt gesehen haben."),
        ("fr", "Ce n'est pas la maison que nous avons vue dans la ville avec les enfants."),
        ("es", "Esta no es la casa que vimos en la ciudad con los niños cuando era de noche."),
        ("pt", "Esta não é a casa que nós vimos na cidade com as crianças quando era noite."),
        ("ru", "Это не тот дом, который мы видели в городе, когда были с детьми."),
        ("uk", "Це не той будинок, що ми бачили у місті, коли були з дітьми, але він був дуже гарний."),
        ("ja", "これは私たちが町で見た家ではありません。"),
        ("zh", "这不是我们在城里看到的房子。"),
        ("ko", "이것은 우리가 도시에서 본 집이 아닙니다."),
        ("ar", "هذا ليس البيت الذي رأيناه في المدينة مع الأطفال"),
        ("und", "Zxq vbn mkl pwr ttg hhj"),
        ("und", "12 34 56"),
    ],
)
def test_language_is_guessed(model: FastModel, language: str, text: str) -> None:
    document = Documents.from_texts([text])
    assert languages(score(document.data, document.offsets, model.tables)).tolist() == [language]
    assert language in LANGUAGES or language in ("ja", "zh", "ko", "und")


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
    assert again.scale == model.scale
    assert isinstance(again.tables, Tables)


def test_bundled_files_are_small() -> None:
    assert sum(path.stat().st_size for path in MODEL_DIR.iterdir() if path.suffix in (".npz", ".json")) < 3_000_000


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
