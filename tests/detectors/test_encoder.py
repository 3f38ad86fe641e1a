"""Classifiers over windows: margins, labels, folders of the trainer, ONNX, and the signal around them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from detectors.ai_text import AiText
from detectors.ai_text.detector_folder import DETECTOR_FILE, DetectorRecord, read_detector, write_detector
from detectors.ai_text.encoder import Classifier, Wanted, load_classifier, load_detector
from detectors.ai_text.labels import machine_labels
from detectors.ai_text.tiers import load_judge, measured_by, pinned_digest
from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.errors import MissingExtraError, SignalError
from detectors.protocols import Device, Measure
from detectors.tokens import Batching
from tests.detectors.tiny_models import need_torch, prose, write_encoder

need_torch()
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Tiered:
    """The settings and the measure of the `ai_text` signal in a costlier tier."""

    tier: str = "custom"
    model: str = ""
    observer: str = ""
    method: str = "classifier"
    machine_label: str = ""
    max_tokens: int = 0
    precision: str = "auto"
    model_digest: str = ""

    name: ClassVar[str] = "ai_text"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ("response",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            *[field for field in AiText.schema if field.name != "windows"],
            pa.field("windows", pa.list_(pa.float32()), metadata={"doc": "Margin of each window; null for one."}),
        ]
    )

    def load(self, device: Device) -> Measure:
        fast = AiText().load(Device.CPU)

        def widened(documents: Documents) -> pa.RecordBatch:
            found = fast(documents)
            nulls = pa.nulls(len(found), pa.list_(pa.float32()))
            arrays = [nulls if field.name == "windows" else found[field.name] for field in self.schema]
            return pa.record_batch(arrays, schema=self.schema)

        return measured_by(load_judge(self, device), widened)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Classifier:
    return load_classifier(folder, Wanted())


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the trainer writes it, with the graph of a tiny encoder."""
    pytest.importorskip(
        "onnxscript", reason="onnxscript is not installed: pip install 'foxing[train]' to run this test"
    )
    from curricula.encoder_export import export_onnx

    path = tmp_path_factory.mktemp("trained")
    shutil.copytree(folder, path, dirs_exist_ok=True)
    export_onnx(path, path / "model.onnx")
    write_detector(path, DetectorRecord("tiny", ("human", "machine"), (1,), 32, 0, {"float32": "model.onnx"}))
    return path


def long_text(seed: int = 3) -> str:
    return prose(150, seed)


def test_margin_is_the_log_odds_of_the_machine_label(folder: Path, classifier: Classifier) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    text = prose(20, 1)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).logits[0]
    margins = classifier.margins([text])
    assert margins.document[0] == pytest.approx(float(logits[1] - logits[0]), abs=1e-5)
    assert margins.windows.to_pylist() == [None]
    other = load_classifier(folder, Wanted(machine_label="human"))
    assert other.margins([text]).document[0] == pytest.approx(-margins.document[0], abs=1e-6)


def test_a_long_document_has_the_token_weighted_mean_of_equal_windows(classifier: Classifier) -> None:
    text = long_text()
    margins = classifier.margins([text])
    (windows,) = margins.windows.to_pylist()
    ids = classifier.tokens.ids(text)
    count = -(-len(ids) // (classifier.max_tokens - 2))
    edges = [len(ids) * k // count for k in range(count + 1)]
    sizes = np.diff(edges)
    assert len(windows) == count > 2
    assert margins.document[0] == pytest.approx(np.average(windows, weights=sizes), abs=1e-5)
    part = classifier.tokens.marked(ids[edges[1] : edges[2]])[None]
    logits = classifier.run(part, np.ones_like(part))[0]
    assert windows[1] == pytest.approx(float(logits[1] - logits[0]), abs=1e-6)


def test_a_text_without_tokens_has_no_margin(classifier: Classifier) -> None:
    margins = classifier.margins(["", "  ", prose(10, 2)])
    assert np.isnan(margins.document).tolist() == [True, True, False]
    assert classifier.margins([]).document.shape == (0,)


def test_batches_on_a_gpu_agree_with_windows_alone_within_noise(classifier: Classifier) -> None:
    texts = [prose(words, words) for words in (5, 90, 30, 61, 200)]
    batched = replace(classifier, batching=Batching(tokens=256, step=16))
    one, two = classifier.margins(texts), batched.margins(texts)
    np.testing.assert_allclose(one.document, two.document, atol=1e-4)
    for left, right in zip(one.windows.to_pylist(), two.windows.to_pylist(), strict=True):
        assert (left is None) == (right is None)
        np.testing.assert_allclose(left or [], right or [], atol=1e-4)


def test_signal_over_a_classifier_keeps_the_contract(folder: Path) -> None:
    documents = awkward_documents(("response",))
    check_signal(Tiered(model=str(folder)), Documents(documents.batch.filter(pa.array(sizes_below(documents, 20_000)))))


def test_signal_over_a_folder_of_the_trainer_keeps_the_contract(trained: Path) -> None:
    documents = awkward_documents(("response",))
    check_signal(
        Tiered(tier="encoder", model=str(trained)),
        Documents(documents.batch.filter(pa.array(sizes_below(documents, 20_000)))),
    )


def sizes_below(documents: Documents, limit: int) -> np.ndarray:
    return np.diff(documents.offsets) < limit


def test_rows_say_which_model_judged_them_and_short_texts_abstain(folder: Path) -> None:
    signal = Tiered(model=str(folder))
    found = signal.load(Device.CPU)(Documents.from_texts([prose(200, 1), "short", None])).to_pylist()
    digest = pinned_digest(signal)
    assert [row["tier"] for row in found[:1]] == [f"custom:classifier:{digest[:8]}:float32"]
    assert [row["abstained"] for row in found[:2]] == [False, True]
    assert found[0]["margin"] is not None and len(found[0]["windows"]) > 1
    assert found[1]["margin"] is None and found[1]["windows"] is None
    others = (signal, replace(signal, machine_label="human"), replace(signal, max_tokens=16))
    names = {load_judge(other, Device.CPU).name for other in others}
    assert len(names) == 3, "margins of other settings are on another scale"
    fast = AiText().load(Device.CPU)(Documents.from_texts([prose(200, 1)])).to_pylist()[0]
    assert (found[0]["length"], found[0]["language"]) == (fast["length"], fast["language"])
    assert found[0]["margin"] != fast["margin"]


def test_onnx_gives_what_torch_gives(trained: Path, folder: Path) -> None:
    texts = [prose(12, 4), long_text(5)]
    graph = load_detector(trained, Wanted(max_tokens=32))
    torch_run = load_classifier(folder, Wanted(max_tokens=32))
    np.testing.assert_allclose(graph.margins(texts).document, torch_run.margins(texts).document, atol=1e-4)
    bare = load_classifier(trained / "model.onnx", Wanted(max_tokens=32))
    assert bare.margins(texts).document.tolist() == graph.margins(texts).document.tolist()


def test_a_changed_file_of_a_trained_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(trained, path)
    assert read_detector(path).onnx == {"float32": "model.onnx"}
    with (path / "tokenizer.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(SignalError, match=r"tokenizer\.json: SHA-256"):
        load_detector(path, Wanted())
    (path / "tokenizer.json").unlink()
    with pytest.raises(SignalError, match="cannot be read"):
        load_detector(path, Wanted())
    record = json.loads((path / DETECTOR_FILE).read_text())
    (path / DETECTOR_FILE).write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(SignalError, match="format 99"):
        load_detector(path, Wanted())


def test_a_trained_folder_runs_without_torch(trained: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "for absent in ('torch', 'transformers'): sys.modules[absent] = None\n"
        "from detectors.ai_text.encoder import Wanted, load_detector\n"
        "from detectors.protocols import Device\n"
        f"found = load_detector(Path({str(trained)!r}), Wanted(Device.AUTO)).margins(['the dog ran'])\n"
        "assert found.document[0] == found.document[0]\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_not_installed_is_named_with_its_extra(
    trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, load in (
        ("tokenizers", lambda: load_detector(trained, Wanted())),
        ("torch", lambda: load_classifier(folder, Wanted())),
        ("transformers", lambda: load_classifier(folder, Wanted())),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(MissingExtraError, match=rf"{package} is not installed.*foxing\[lm\]"):
                load()


def test_a_gpu_that_is_absent_is_an_error_when_asked_for(trained: Path, folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here, so it is not absent")
    for load in (lambda wanted: load_detector(trained, wanted), lambda wanted: load_classifier(folder, wanted)):
        with pytest.raises(SignalError, match="no GPU"):
            load(Wanted(Device.CUDA))
    with pytest.raises(SignalError, match="no GPU"):
        load_classifier(trained / "model.onnx", Wanted(Device.CUDA))


def test_int8_is_not_there_unless_parity_held(trained: Path) -> None:
    with pytest.raises(SignalError, match="has no int8 graph"):
        load_detector(trained, Wanted(precision="int8"))


def test_encoder_tier_without_a_model_names_the_remedy(folder: Path) -> None:
    with pytest.raises(SignalError, match=r'model = "DIR" in \[tool.foxing.signal.ai_text\], or pass --ai-model'):
        Tiered(tier="encoder").load(Device.CPU)
    with pytest.raises(SignalError, match=r'did not write it. Set tier = "custom"'):
        Tiered(tier="encoder", model=str(folder)).load(Device.CPU)
    with pytest.raises(SignalError, match="the cascade is a stage over the fast tier"):
        Tiered(tier="cascade", model=str(folder)).load(Device.CPU)
    with pytest.raises(SignalError, match="max_tokens is -5"):
        pinned_digest(replace(AiText(tier="custom", model=str(folder)), max_tokens=-5))
    with pytest.raises(SignalError, match="no tier 'mega'"):
        Tiered(tier="mega", model=str(folder)).load(Device.CPU)


def test_digest_of_the_model_is_pinned(folder: Path, tmp_path: Path) -> None:
    signal = Tiered(model=str(folder))
    digest = pinned_digest(signal)
    assert pinned_digest(replace(signal, model_digest=digest)) == digest
    other = write_encoder(tmp_path, seed=9)
    with pytest.raises(SignalError, match=f"not {digest[:12]}"):
        pinned_digest(replace(signal, model=str(other), model_digest=digest))


def test_a_model_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    write_encoder(tmp_path)
    AutoModelForSequenceClassification.from_pretrained(tmp_path).base_model.save_pretrained(tmp_path)
    with pytest.raises(SignalError, match=r"has no weights for classifier\.bias"):
        load_classifier(tmp_path, Wanted())


@pytest.mark.parametrize(
    ("labels", "machine"),
    [
        (("human", "machine"), (1,)),
        (("Fake", "Real"), (0,)),
        (("LABEL_0", "LABEL_1"), (1,)),
        (("Human", "ChatGPT"), (1,)),
        (("AI-generated", "Not AI"), (0,)),
        (("human-written", "gpt4", "llama"), (1, 2)),
        (("aiText", "humanText"), (0,)),
    ],
)
def test_the_machine_label_is_found_by_its_name(labels: Sequence[str], machine: tuple[int, ...]) -> None:
    assert machine_labels(dict(enumerate(labels)), "", "model") == machine


@pytest.mark.parametrize(
    "labels", [("negative", "positive"), ("LABEL_0",), ("not human", "not ai"), ("ai", "gpt", "LABEL_2"), ("yes",)]
)
def test_labels_that_do_not_tell_are_refused(labels: Sequence[str]) -> None:
    with pytest.raises(SignalError, match="cannot tell which label"):
        machine_labels(dict(enumerate(labels)), "", "model")


def test_a_named_label_wins_and_an_unknown_one_is_refused() -> None:
    names = {0: "negative", 1: "positive"}
    assert machine_labels(names, "positive", "model") == machine_labels(names, "1", "model") == (1,)
    with pytest.raises(SignalError, match=r"no label 'neutral' \(has 0: negative, 1: positive\)"):
        machine_labels(names, "neutral", "model")
