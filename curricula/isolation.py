"""Makes sure that a model of transformers keeps the documents of a packed block apart, before anything is trained."""

from __future__ import annotations

import numpy as np

from curricula.encoding import Encoded
from curricula.model import Pretrained
from curricula.packing import Row, pack, stacked
from detectors.errors import ConfigError, MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["refuse_mixing"]

_EACH = 6
_TOLERANCE = 1e-3


def refuse_mixing(model: Pretrained, name: str) -> None:
    """Compare what the model makes of a document alone and behind another one in a block.

    Args:
        model: as it was loaded.
        name: for the message.

    Raises:
        ConfigError: it takes no mask and positions of packed documents, or lets one see the other.
    """
    size = model.lm.config.get_text_config().vocab_size
    first, second = (np.arange(start, start + _EACH) % size for start in (1, 1 + _EACH))
    try:
        alone, together = _made(model, [second]), _made(model, [first, second])[_EACH:]
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ConfigError(
            f"{name}: takes no packed documents ({line}). Name a model that takes position ids and a mask of its "
            "attention, such as one of the Llama, Qwen or GPT-2 families."
        ) from error
    if not (alone - together).abs().max() <= _TOLERANCE * max(1.0, float(alone.abs().max())):
        raise ConfigError(
            f"{name}: lets the documents of a block see each other. Name another model, such as one of the Llama, "
            "Qwen or GPT-2 families."
        )


def _made(model: Pretrained, rows: list[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> torch.Tensor:
    """Logits [tokens, vocabulary] of the rows, packed into one block."""
    encoded = [Row(at, Encoded(ids, np.ones(len(ids), np.bool_))) for at, ids in enumerate(rows)]
    size = sum(map(len, rows))
    block = next(pack(lambda epoch, first: iter(encoded), size, splits=False, pad=0))
    with torch.inference_mode():
        device = next(model.parameters()).device
        return model.head(model.hidden(stacked([block], device)))[0].float()
