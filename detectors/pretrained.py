"""What transformers loads, loaded as foxing wants it: from files that are here, whole, quiet, without their code."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from detectors.errors import MissingExtraError, SignalError
from detectors.hub import digest_of
from detectors.protocols import Device
from detectors.tokens import Tokens

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = [
    "PRECISIONS",
    "context_of",
    "from_pretrained",
    "may_use_gpu",
    "pretrained_tokens",
    "quiet_transformers",
    "torch_device",
    "torch_dtype",
    "unpacked",
]

PRECISIONS = ("float32", "bfloat16", "float16")
_GGUF_CACHE = 1
_ROBERTA = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")


def quiet_transformers() -> ModuleType:
    """transformers, without its progress bars: what goes to standard error is for the command line to say.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "lm") from error
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    found: ModuleType = transformers
    return found


def may_use_gpu(device: Device) -> bool:
    """Whether a GPU is asked for, or may be taken: there is a driver. Costs no import of torch."""
    if device is not Device.AUTO:
        return device is Device.CUDA
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def torch_device(device: Device, setting: str) -> torch.device:
    """The device to use.

    Raises:
        MissingExtraError: torch is not installed. SignalError: CUDA is asked for, and there is none.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "lm") from error
    present = torch.cuda.is_available()
    if device is Device.CUDA and not present:
        raise SignalError(
            f"{setting}: --device cuda, but torch finds no GPU. Use --device cpu, or a CUDA build of torch."
        )
    if device is Device.CPU or not present:
        # A worker has one core to itself; with more threads sums would come in another order, too.
        torch.set_num_threads(1)
        return torch.device("cpu")
    return torch.device("cuda")


def torch_dtype(precision: str, device: torch.device, setting: str) -> torch.dtype:
    """The dtype of a precision.

    Raises:
        SignalError: no such precision.
    """
    import torch

    if precision == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if precision not in PRECISIONS:
        known = ", ".join(("auto", *PRECISIONS))
        raise SignalError(f"{setting}: precision {precision!r} is none of {known}. Set precision to one of them.")
    found: torch.dtype = getattr(torch, precision)
    return found


def pretrained_tokens(folder: Path, what: str) -> Tokens:
    """The tokenizer in a folder.

    Raises:
        SignalError: none there, or none that the tokenizers library runs.
    """
    transformers = quiet_transformers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise SignalError(
            f"{what}: no tokenizer can be loaded ({_line(error)}). Put tokenizer.json beside it."
        ) from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise SignalError(f"{what}: {type(tokenizer).__name__} has no tokenizer.json. Convert it with save_pretrained.")
    pad = next((found for found in (tokenizer.pad_token_id, tokenizer.eos_token_id) if found is not None), 0)
    return Tokens.of(backend, pad)


def context_of(config: object, limit: int | None) -> int:
    """Most tokens that a model takes at once, by its configuration and what its tokenizer says."""
    known = [
        value
        for name in ("max_position_embeddings", "n_positions", "max_seq_len")
        if isinstance(value := getattr(config, name, None), int) and value > 0
    ]
    sizes = [*known[:1], *([limit] if limit is not None and limit < 1 << 20 else [])]
    # Position ids of the RoBERTa family start behind the id of padding.
    offset = 2 if getattr(config, "model_type", "") in _ROBERTA else 0
    return max(1, min(sizes) - (offset if known[:1] == [min(sizes)] else 0)) if sizes else 512


def from_pretrained(
    load: Callable[..., PreTrainedModel], folder: Path, dtype: torch.dtype, what: str
) -> PreTrainedModel:
    """Load a model from files that are here, with all of its weights and none of its code.

    Weights are safetensors: files that Python's pickle reads can run code, and are not opened.
    """
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise SignalError(
            f"{what}: is an adapter without the model that it adapts, which may change behind it. Merge the two "
            "(merge_and_unload), and name what was saved."
        )
    if not any(folder.glob("*.safetensors")) and any(folder.glob("*.bin")):
        raise SignalError(
            f"{what}: its weights are pickled (.bin), which can run code. Convert them to safetensors, or name another."
        )
    try:
        model, info = load(
            str(folder),
            dtype=dtype,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise SignalError(f"{what}: cannot be loaded ({_line(error)}). Name another model.") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise SignalError(
            f"{what}: has no weights for {missing[0]}, so its numbers would be random. "
            "Name a model that was trained for this."
        )
    return model


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def unpacked(path: Path, digest: str) -> Path:
    """The folder that a GGUF file was unpacked to: reading one takes half a minute, reading its weights a moment."""
    if not path.is_file():
        raise SignalError(f"{path}: no such file.")
    try:
        import gguf  # noqa: F401 - transformers reads the file with it
        import torch
    except ImportError as error:
        raise MissingExtraError(str(error.name), "lm") from error
    transformers = quiet_transformers()
    key = hashlib.sha256(f"{_GGUF_CACHE} {digest or digest_of(path)}".encode()).hexdigest()[:24]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foxing"
    folder = root / f"gguf-{key}"
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=root, prefix=f".gguf-{key}-"))
    try:
        where = {"gguf_file": path.name, "trust_remote_code": False, "local_files_only": True}
        transformers.AutoTokenizer.from_pretrained(str(path.parent), **where).save_pretrained(temporary)
        model = transformers.AutoModelForCausalLM.from_pretrained(str(path.parent), dtype=torch.float32, **where)
        # The weights are plain by now; what remembers where they came from would refuse to write them.
        model.hf_quantizer, model.quantization_method, model.is_quantized = None, None, False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(temporary)
        with suppress(OSError):  # another process was faster
            temporary.rename(folder)
    except (OSError, ValueError, KeyError) as error:
        raise SignalError(f"{path}: cannot be unpacked ({_line(error)}). Name a folder of safetensors.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
