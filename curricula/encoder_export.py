"""Exports a fine-tuned classifier to ONNX, in float32 and int8, and measures whether the graphs agree with it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricula.detector_card import auroc
from detectors.ai_text.encoder import Classifier
from detectors.errors import MissingExtraError
from detectors.pretrained import from_pretrained, pretrained_tokens, quiet_transformers

__all__ = ["GRAPHS", "Parity", "export_int8", "export_onnx", "parity"]

Floats = npt.NDArray[np.float64]

GRAPHS = {"float32": "model.onnx", "int8": "model.int8.onnx"}
_OPSET = 18
_INLINE_BYTES = 1_500_000_000
_LIMITS = {"float32": (0.0005, 0.9999), "int8": (0.003, 0.995)}
"""Of each precision: most AUROC that may be lost, least correlation of margins."""


@dataclass(frozen=True)
class Parity:
    """How far a graph is from the model that it was exported from, over n texts.

    Attributes:
        precision: of the graph.
        n: texts.
        largest: largest difference of two margins.
        correlation: Pearson's, of margins; 1 where one of both is constant.
        auroc_loss: AUROC of the model less that of the graph; 0 with labels of one class.
    """

    precision: str
    n: int
    largest: float
    correlation: float
    auroc_loss: float

    @property
    def holds(self) -> bool:
        """Whether the graph may stand for the model."""
        loss, correlation = _LIMITS[self.precision]
        return self.auroc_loss <= loss and self.correlation >= correlation

    def __str__(self) -> str:
        verdict = "parity holds" if self.holds else "parity does not hold, so the graph is not kept"
        return (
            f"{self.precision} ONNX against the model, {self.n} left-out texts: largest difference of margins "
            f"{self.largest:.4f}, correlation {self.correlation:.5f}, AUROC lost {self.auroc_loss:+.4f}: {verdict}"
        )


def parity(precision: str, model: Floats, graph: Floats, label: npt.NDArray[np.int64]) -> Parity:
    """Compare margins of the same texts; texts that either leaves undefined do not count."""
    both = np.isfinite(model) & np.isfinite(graph)
    one, two, kind = model[both], graph[both], label[both]
    constant = len(one) < 2 or one.std() == 0 or two.std() == 0
    correlation = 1.0 if constant else float(np.corrcoef(one, two)[0, 1])
    loss = auroc(kind, one) - auroc(kind, two)
    largest = float(np.abs(one - two).max()) if len(one) else 0.0
    return Parity(precision, len(one), largest, correlation, 0.0 if np.isnan(loss) else loss)


def measured_parity(
    precision: str, model: Classifier, graph: Classifier, texts: Sequence[str], label: npt.NDArray[np.int64]
) -> Parity:
    """`parity` of the margins of texts."""
    return parity(precision, model.margins(texts).document, graph.margins(texts).document, label)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep exporters from telling about their own inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def export_onnx(folder: Path, path: Path) -> None:
    """Write the float32 graph of the classifier in `folder`: input_ids and attention_mask, int64[b, t], to logits.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed. SignalError: no classifier there.
    """
    try:
        import onnx  # noqa: F401 - both are what torch exports with
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise MissingExtraError(str(error.name), "train") from error
    transformers = quiet_transformers()
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    model = from_pretrained(load, folder, torch.float32, str(folder)).eval()
    tokens = pretrained_tokens(folder, str(folder))
    window = torch.from_numpy(np.tile(tokens.marked(tokens.ids("a b c")), (2, 1)))

    model.config.get_text_config().use_cache = False
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    with _quiet():
        torch.onnx.export(
            model,
            (),
            str(path),
            kwargs={"input_ids": window, "attention_mask": torch.ones_like(window)},
            output_names=["logits"],
            dynamic_shapes={name: {0: batch, 1: time} for name in ("input_ids", "attention_mask")},
            opset_version=_OPSET,
            external_data=sum(p.numel() for p in model.parameters()) * 4 > _INLINE_BYTES,
            dynamo=True,
            verbose=False,
        )


def export_int8(source: Path, path: Path) -> None:
    """Write the graph at `source` with int8 weights, and activations that are scaled as they come.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("onnx", "train") from error
    graph = onnx.load(str(source))
    # The shapes that torch noted down are those before quantisation, and would be checked against.
    del graph.graph.value_info[:]
    plain = path.with_name(f".{path.name}.tmp")
    onnx.save(graph, str(plain))
    try:
        with _quiet():
            quantize_dynamic(str(plain), str(path), weight_type=QuantType.QInt8)
    finally:
        plain.unlink(missing_ok=True)
