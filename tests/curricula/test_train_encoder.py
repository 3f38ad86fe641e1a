"""Fine-tuning a detector: from labelled files to a folder that the encoder tier reads, which ranks what it learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from curricula.encoder_data import Sampler, read_labelled
from curricula.encoder_export import parity
from curricula.encoder_fit import fine_tune
from curricula.train_encoder import EncoderRecipe, TrainedEncoder, train_encoder
from detectors.ai_text.detector_folder import read_detector
from detectors.ai_text.encoder import Wanted, load_detector
from detectors.errors import ConfigError, InputError, OutputError
from detectors.protocols import Device
from detectors.tokens import Tokens, read_tokenizer
from tests.detectors.tiny_models import need_torch, write_base, write_tokenizer

need_torch()
pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'foxing[train]' to run this test")

PLAIN = "the of and a house dog ran over hill we then saw old boat with my it".split()
ORNATE = "furthermore crucial landscape delve tapestry moreover overall key the of and is".split()
QUICK = EncoderRecipe(max_tokens=48, steps=60, batch=16, rate=2e-3, check_every=30, checked=80, judged=120)


def labelled(documents: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rows = []
    for i in range(documents):
        words = random.choice(ORNATE if i % 2 else PLAIN, size=int(random.integers(60, 90)))
        rows.append((" ".join(words) + ".", i % 2, f"site{i % 10 // 2}", "en"))
    return pl.DataFrame(rows, schema=["text", "label", "source", "lang"], orient="row")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.parquet"
    labelled(800, 1).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedEncoder:
    said: list[str] = []
    made = train_encoder(
        str(base),
        read_labelled([data]),
        tmp_path_factory.mktemp("out") / "new",
        QUICK,
        device=Device.CPU,
        say=said.append,
    )
    assert any("macro AUROC on sources left out" in line for line in said)
    return made


def test_what_was_learned_holds_on_sources_left_out(trained: TrainedEncoder) -> None:
    assert len(trained.areas) == 1, "one fold of five sources is one source"
    assert trained.areas[0].value > 0.95
    assert 0 < trained.steps <= QUICK.steps


def test_folder_loads_as_the_encoder_tier_and_ranks_new_text(trained: TrainedEncoder) -> None:
    record = read_detector(trained.folder)
    assert record.machine == (1,) and record.max_tokens == 48
    assert set(record.onnx) == {parity.precision for parity in trained.parities if parity.holds} >= {"float32"}
    classifier = load_detector(trained.folder, Wanted())
    margins = classifier.margins([" ".join(ORNATE * 12), " ".join(PLAIN * 12)])
    assert margins.document[0] > margins.document[1]
    assert all(len(windows) > 1 for windows in margins.windows.to_pylist())


def test_margins_of_documents_left_out_are_kept_for_a_calibration(trained: TrainedEncoder, data: Path) -> None:
    found = pl.read_parquet(trained.folder / "margins.parquet")
    assert {"margin", "label", "source", "lang", "length", "windows"} <= set(found.columns)
    assert "text" not in found.columns
    assert found["source"].unique().to_list() == [trained.areas[0].source]


def test_card_states_figures_and_what_it_is_not_for(trained: TrainedEncoder) -> None:
    card = (trained.folder / "MODEL_CARD.md").read_text("utf-8")
    assert card == trained.card
    for phrase in ("Not for judging a person", "95 %", "parity", "0 sources", trained.areas[0].source):
        assert (phrase in card) == (phrase != "0 sources"), phrase


def test_low_rank_updates_are_merged_and_the_command_says_what_came_out(data: Path, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")
    from curricula.cli.train_detector import command

    words = [
        "--base",
        base,
        "--data",
        data,
        "-o",
        tmp_path / "out",
        "--lora",
        "4",
        "--steps",
        "4",
        "--check-every",
        "2",
    ]
    words += [
        "--max-tokens",
        "32",
        "--checked",
        "40",
        "--judged",
        "40",
        "--device",
        "cpu",
        "--isolated",
        "--batch",
        "8",
    ]
    done = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    assert "macro AUROC" in done.output and "Next: foxing scan" in done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"detector.json", "model.safetensors", "model.onnx", "tokenizer.json", "MODEL_CARD.md"} <= names
    assert not [name for name in names if name.startswith("adapter")]
    load_detector(tmp_path / "out", Wanted())


def test_word_embeddings_can_be_left_as_they_are(data: Path, base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    corpus, name = read_labelled([data]), "embeddings.word_embeddings.weight"
    before = load_file(base / "model.safetensors")[name]
    for train_embeddings in (True, False):
        recipe = replace(QUICK, steps=2, check_every=2, checked=20, train_embeddings=train_embeddings)
        work = tmp_path / str(train_embeddings)
        fine_tune(base, corpus, corpus.rows(np.arange(800) < 40), work, recipe, Device.CPU, lambda _: None)
        after = load_file(work / "model.safetensors")[f"bert.{name}"]
        assert np.array_equal(before, after) == (not train_embeddings)


def test_nothing_is_overwritten_and_a_run_that_fails_leaves_nothing(data: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    with pytest.raises(OutputError, match="is not empty"):
        train_encoder(str(base), read_labelled([data]), tmp_path / "out", QUICK, device=Device.CPU)
    one = read_labelled([data]).rows(np.ones(800, np.bool_))
    same = type(one)(one.frame.with_columns(family=pl.lit("site0")))
    with pytest.raises(InputError, match="1 sources, which cannot be split"):
        train_encoder(str(base), same, tmp_path / "new", QUICK, device=Device.CPU)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_need_text_and_label_and_both_classes(tmp_path: Path) -> None:
    labelled(10, 2).drop("label").write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'label'"):
        read_labelled([tmp_path / "a.parquet"])
    labelled(10, 2).filter(pl.col("label") == 1).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="training needs 0 and 1"):
        read_labelled([tmp_path / "b.parquet"])
    frame = labelled(10, 2).with_columns(id=pl.int_range(10).cast(pl.String))
    frame.with_columns(pair=pl.when(pl.col("id") == "3").then(pl.lit("0"))).write_parquet(tmp_path / "c.parquet")
    found = read_labelled([tmp_path / "c.parquet"]).frame
    assert found["family"][3] == found["source"][0]
    assert found["generator"].unique().sort().to_list() == ["human", "machine"]


def test_windows_are_drawn_by_weight_and_alike_with_the_same_seed(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokens = Tokens.of(read_tokenizer(tmp_path / "tokenizer.json"), 0)
    texts = [" ".join(PLAIN * 30), " ".join(ORNATE * 30)]

    def sampler(seed: int) -> Sampler:
        return Sampler(texts, np.array([0, 1]), np.array([1.0, 9.0]), tokens, 40, seed)

    def first(seed: int) -> list[np.ndarray]:
        stream = sampler(seed).batches(50)
        return [part for _ in range(4) for part in next(stream)]

    one, two, other = first(1), first(1), first(2)
    assert all(left.tobytes() == right.tobytes() for left, right in zip(one, two, strict=True))
    assert one[2].tobytes() != other[2].tobytes() or one[0].tobytes() != other[0].tobytes()
    labels = np.concatenate(one[2::3])
    assert 0.8 < labels.mean() < 0.98
    for ids, mask in zip(one[::3], one[1::3], strict=True):
        assert ids.shape == mask.shape and ids.shape[1] <= 40
        assert (ids[:, 0] == 2).all() and ((ids != 0) == (mask == 1)).all()


def test_parity_fails_where_a_graph_ranks_otherwise() -> None:
    margin, label = np.linspace(-3, 3, 200), np.repeat([0, 1], 100)
    assert parity("int8", margin, margin + 0.01, label).holds
    assert not parity("int8", margin, -margin, label).holds
    assert not parity("float32", margin, margin + np.sin(50 * margin), label).holds


@pytest.mark.parametrize("change", [{"steps": 0}, {"folds": 1}, {"max_tokens": 0}])
def test_senseless_settings_are_refused(change: dict[str, int], replaced: Callable[..., EncoderRecipe]) -> None:
    with pytest.raises(ConfigError):
        replaced(**change)


@pytest.fixture
def replaced() -> Callable[..., EncoderRecipe]:
    return lambda **change: EncoderRecipe(**change)


def test_labels_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", "b"], "label": ["human", "machine"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="label is String, not a number"):
        read_labelled([tmp_path / "a.parquet"])
