"""What a model still gets right of rows that it was not trained on: the share of their learnt tokens it would write."""

from __future__ import annotations

import itertools
from typing import cast

from curricula.model import Trainable
from curricula.packing import IGNORED, stacked
from curricula.recipe import Recipe
from curricula.trainer import Setting, blocks_of
from curricula.training_rows import TrainingRows
from detectors.errors import ConfigError, MissingExtraError

try:
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["token_accuracy"]


def token_accuracy(model: Trainable, rows: TrainingRows, recipe: Recipe, setting: Setting) -> float:
    """Share of the learnt tokens of rows, 0 to 1, that the model finds likeliest behind what comes before them.

    Args:
        model: left as it is.
        rows: read once.
        recipe: sizes of blocks.
        setting: where.

    Raises:
        ConfigError: nothing to learn in the rows.
    """
    module = cast(nn.Module, model)
    was_training = module.training
    module.eval()
    right = count = 0
    blocks = blocks_of(rows, recipe, epochs=1)
    with torch.inference_mode(), setting.mixed():
        while batch := list(itertools.islice(blocks, recipe.micro)):
            block = stacked(batch, setting.device)
            learnt = block.targets != IGNORED
            found = model.head(model.hidden(block)[learnt]).argmax(-1)
            right += int((found == block.targets[learnt]).sum())
            count += int(learnt.sum())
    module.train(was_training)
    if not count:
        raise ConfigError(f"{rows.shards[0].uri}: holds nothing to learn. Look at its columns.")
    return right / count
