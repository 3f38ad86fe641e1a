"""Sequence classifiers over windows of tokens: a folder that `foxing train-detector` wrote, any on the hub, any ONNX.

A margin is the logit of the machine label less the log-sum-exp of the others: log odds, higher is more machine-like. A
head of one output gives its logit.

On a CPU every window goes through the model alone and without padding, so that its margin depends on nothing but
itself, to the last bit; an int8 model scales its activations by all that is in a batch, so it must. On a GPU windows of
like length go together, and margins agree up to float noise (1e-4 in float32).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from detectors.ai_text.detector_folder import read_detector
from detectors.ai_text.labels import machine_labels
from detectors.ai_text.windows import Margins, cut
from detectors.errors import MissingExtraError, SignalError
from detectors.pretrained import (
    context_of,
    from_pretrained,
    may_use_gpu,
    pretrained_tokens,
    quiet_transformers,
    torch_device,
    torch_dtype,
)
from detectors.protocols import Device
from detectors.tokens import Batching, Tokens, read_tokenizer

if TYPE_CHECKING:
    import torch
    from onnxruntime import InferenceSession
    from transformers import PreTrainedModel

__all__ = [
    "DEFAULT_TOKENS",
    "Classifier",
    "Wanted",
    "load_classifier",
    "load_detector",
    "load_graph",
    "torch_run",
]

Ids = npt.NDArray[np.int64]
Run = Callable[[Ids, Ids], npt.NDArray[np.float32]]

DEFAULT_TOKENS = 512
_GPU_TOKENS = 32_768


@dataclass(frozen=True)
class Wanted:
    """How a classifier is to be loaded.

    Attributes:
        device: where it runs.
        precision: `auto`, `float32`, `bfloat16`, `float16` (both on a GPU), or `int8` (ONNX).
        max_tokens: of a window, with its marks; 0 is what the model takes, 512 at most.
        machine_label: name or number of the label that means machine-written; empty is a guess by the names.
        setting: what the model was given as, for messages.
    """

    device: Device = Device.CPU
    precision: str = "auto"
    max_tokens: int = 0
    machine_label: str = ""
    setting: str = "model"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier ready to judge texts.

    Attributes:
        run: int64[b, t] ids and mask -> float32[b, labels] logits.
        tokens: its tokenizer.
        max_tokens: of a window, with its marks.
        machine: numbers of the labels that mean machine-written.
        batching: how windows go through it.
        precision: that it computes in.
    """

    run: Run
    tokens: Tokens
    max_tokens: int
    machine: tuple[int, ...]
    batching: Batching
    precision: str

    def margins(self, texts: Sequence[str]) -> Margins:
        """Judge texts; a text without tokens has no margin."""
        windows = cut(texts, self.tokens, self.max_tokens)
        margin = np.full(len(windows.ids), np.nan)
        for batch in self.batching.batches(windows.ids, self.tokens.pad):
            logits = self.run(batch.ids, batch.mask).reshape(len(batch.rows), -1).astype(np.float64)
            margin[batch.rows] = _log_odds(logits, self.machine)
        return windows.margins(margin)


def _log_odds(logits: npt.NDArray[np.float64], machine: tuple[int, ...]) -> npt.NDArray[np.float64]:
    if logits.shape[1] == 1:
        return logits[:, 0]
    own = np.isin(np.arange(logits.shape[1]), machine)
    found: npt.NDArray[np.float64] = np.logaddexp.reduce(logits[:, own], 1) - np.logaddexp.reduce(logits[:, ~own], 1)
    return found


def load_detector(folder: Path, wanted: Wanted) -> Classifier:
    """Load a folder that `foxing train-detector` wrote: ONNX on a CPU, int8 where parity held; torch on a GPU.

    Raises:
        SignalError: see `read_detector`; a precision that it does not have; no such device.
        MissingExtraError: tokenizers (ONNX), torch or transformers (GPU) are not installed.
    """
    record = read_detector(folder)
    graphs = record.onnx
    on_gpu = _has_gpu(wanted)
    if on_gpu or not graphs:
        if wanted.precision == "int8":
            raise SignalError(f"{folder}: int8 runs on the CPU. Use --device cpu, or another precision.")
        return _from_hub(folder, wanted, record.max_tokens, record.machine)
    precision = wanted.precision if wanted.precision != "auto" else next(k for k in ("int8", "float32") if k in graphs)
    if precision not in graphs:
        raise SignalError(
            f"{folder}: has no {precision} graph (has: {', '.join(graphs)}). Set precision to one of these."
        )
    tokens = Tokens.of(read_tokenizer(folder / "tokenizer.json"), record.pad)
    run = _onnx_run(folder / graphs[precision], Device.CPU, wanted.setting)
    limit = min(wanted.max_tokens or record.max_tokens, record.max_tokens)
    return Classifier(run, tokens, limit, record.machine, Batching(), precision)


def load_classifier(path: Path, wanted: Wanted) -> Classifier:
    """Load any sequence classifier: a folder in the layout of transformers, or an ONNX file with its tokenizer.

    Args:
        path: the folder, or an .onnx file with tokenizer.json beside it.
        wanted: how.

    Raises:
        SignalError: nothing there that is one, or its labels do not tell. MissingExtraError: torch and the like.
    """
    graph = _graph(path)
    if graph is None:
        return _from_hub(path, wanted, 0, None)
    folder = graph.parent
    config = _json(folder / "config.json")
    tokens = Tokens.of(read_tokenizer(folder / "tokenizer.json"), config.get("pad_token_id"))
    gpu = wanted.device is Device.CUDA
    run = _onnx_run(graph, wanted.device, wanted.setting)
    labels = {int(index): str(name) for index, name in config.get("id2label", {}).items()}
    outputs = run(
        np.array([tokens.marked(tokens.ids("a"))]), np.ones((1, tokens.marks + len(tokens.ids("a"))), np.int64)
    )
    count = outputs.reshape(1, -1).shape[1]
    if len(labels) != count:
        labels = {index: f"output {index}" for index in range(count)}
    machine = machine_labels(labels, wanted.machine_label, str(path))
    known = _json(folder / "tokenizer_config.json").get("model_max_length")
    limit = context_of(_Settings(config), int(known) if isinstance(known, int | float) else None)
    size = min(wanted.max_tokens or DEFAULT_TOKENS, limit)
    return Classifier(run, tokens, size, machine, Batching(_GPU_TOKENS) if gpu else Batching(), "onnx")


class _Settings:
    """A config.json as an object, as `context_of` reads configurations."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.__dict__.update(values)


def _graph(path: Path) -> Path | None:
    """The ONNX file that a path names; None for a folder with weights that torch reads."""
    if path.suffix == ".onnx":
        return path
    if not path.is_dir():
        raise SignalError(f"{path}: neither a folder nor an .onnx file. Name one.")
    found = sorted([*path.glob("*.onnx"), *path.glob("onnx/model.onnx")])
    if not found or any(path.glob("*.safetensors")):
        return None
    if len(found) > 1 and not (path / "model.onnx").is_file():
        names = ", ".join(graph.name for graph in found)
        raise SignalError(f"{path}: holds several graphs ({names}). Name one of them.")
    return path / "model.onnx" if (path / "model.onnx").is_file() else found[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SignalError(f"{path}: cannot be read ({error}). Write it again with save_pretrained.") from error
    return found if isinstance(found, dict) else {}


def _has_gpu(wanted: Wanted) -> bool:
    """Whether to run on a GPU; where nobody asks for one, torch is imported only if there is a driver for it."""
    if not may_use_gpu(wanted.device):
        return False
    try:
        return str(torch_device(wanted.device, wanted.setting).type) == "cuda"
    except MissingExtraError:
        if wanted.device is Device.CUDA:
            raise
        return False


def _onnx_run(path: Path, device: Device, setting: str) -> Run:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    gpu = "CUDAExecutionProvider"
    if device is Device.CUDA and gpu not in available:
        raise SignalError(
            f"{setting}: --device cuda, but onnxruntime finds no GPU. Use --device cpu, or onnxruntime-gpu."
        )
    options = onnxruntime.SessionOptions()
    # A worker has one core to itself.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[gpu] if device is Device.CUDA else ["CPUExecutionProvider"]
        )
    except Exception as error:
        raise SignalError(
            f"{path}: onnxruntime cannot load it ({str(error).splitlines()[0]}). Export it again."
        ) from error
    return _session_run(session, path)


def _session_run(session: InferenceSession, path: Path) -> Run:
    names = [entry.name for entry in session.get_inputs()]
    output = session.get_outputs()[0].name
    unknown = [name for name in names if name not in ("input_ids", "attention_mask", "token_type_ids")]
    if "input_ids" not in names or unknown:
        raise SignalError(
            f"{path}: takes {', '.join(names)}. It must take input_ids and attention_mask, token_type_ids at most."
        )

    def run(ids: Ids, mask: Ids) -> npt.NDArray[np.float32]:
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (logits,) = session.run([output], {name: known[name] for name in names})
        found: npt.NDArray[np.float32] = np.asarray(logits, np.float32)
        return found

    return run


def _from_hub(path: Path, wanted: Wanted, max_tokens: int, machine: tuple[int, ...] | None) -> Classifier:
    """A classifier of transformers, run by torch."""
    device = torch_device(wanted.device, wanted.setting)
    precision = "float32" if wanted.precision == "auto" else wanted.precision
    dtype = torch_dtype(precision, device, wanted.setting)
    transformers = quiet_transformers()
    what = f"{wanted.setting} = {str(path)!r}"
    model = from_pretrained(transformers.AutoModelForSequenceClassification.from_pretrained, path, dtype, what)
    model = model.to(device).eval()
    tokens = pretrained_tokens(path, what)
    if model.config.get_text_config().pad_token_id is None:
        model.config.get_text_config().pad_token_id = tokens.pad
    labels = {int(index): str(name) for index, name in model.config.id2label.items()}
    limit = context_of(model.config.get_text_config(), None)
    size = min(wanted.max_tokens or max_tokens or DEFAULT_TOKENS, limit)

    chosen = machine_labels(labels, wanted.machine_label, str(path)) if machine is None else machine
    batching = Batching() if device.type == "cpu" else Batching(_GPU_TOKENS)
    return Classifier(torch_run(model, device), tokens, size, chosen, batching, str(dtype)[6:])


def torch_run(model: PreTrainedModel, device: torch.device) -> Run:
    """A classifier of transformers as a function."""
    import torch

    def run(ids: Ids, mask: Ids) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found = model(
                input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)
            ).logits
        logits: npt.NDArray[np.float32] = found.float().cpu().numpy()
        return logits

    return run


def load_graph(path: Path, like: Classifier) -> Classifier:
    """An ONNX graph in place of the model of `like`, on the CPU."""
    return replace(like, run=_onnx_run(path, Device.CPU, str(path)), batching=Batching(), precision=path.stem)
