"""How a model is trained: everything that decides its weights besides model, data and machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectors.errors import ConfigError

__all__ = ["SCHEDULES", "Recipe", "pace"]

SCHEDULES = ("cosine", "wsd", "constant")
_WSD_DECAY = 0.2


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides model, data and machine.

    Attributes:
        block: tokens of a block, the context of the model.
        batch: blocks of an update.
        micro: blocks that go through the model together; a matter of memory, and of nothing else but rounding.
        tokens: to train on, exactly; 0 is by `epochs`.
        epochs: passes over the rows when `tokens` is 0.
        rate: peak learning rate.
        schedule: cosine; wsd (up, level, down over the last fifth; Hu et al. 2024, arXiv 2404.06395); constant.
        warmup: share of the run over which the rate goes up.
        floor: share of the peak rate that cosine and wsd end at.
        weight_decay: of matrices.
        beta1: of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
        beta2: of AdamW.
        clip: largest norm of the gradient; 0 is no limit.
        ema: of a moving average of weights, which is what is checked and kept; 0 is none.
        check_every: updates between looks at the development rows; 0 is a look at the end of each pass, and with a
            budget of tokens or fewer than ten passes ten looks in all.
        patience: looks without a lower loss before it stops.
        to_convergence: do not stop early; the best weights are kept all the same.
        keep_every: updates between states that a killed run goes on from; 0 is at each look.
        whole_rows: keep rows whole in their block; None does so for all but plain text.
        seed: of weights and dropout.
    """

    block: int = 1024
    batch: int = 32
    micro: int = 8
    tokens: int = 0
    epochs: int = 1
    rate: float = 3e-4
    schedule: str = "cosine"
    warmup: float = 0.02
    floor: float = 0.1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    ema: float = 0.0
    check_every: int = 0
    patience: int = 3
    to_convergence: bool = False
    keep_every: int = 0
    whole_rows: bool | None = None
    seed: int = 17

    def __post_init__(self) -> None:
        for name in ("block", "batch", "micro", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training: {name} is {getattr(self, name)}. Set it to 1 or more.")
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"training: schedule {self.schedule!r} is none of {', '.join(SCHEDULES)}. Name one.")
        for name in ("tokens", "check_every", "keep_every", "clip", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"training: {name} is {getattr(self, name)}. Set it to 0 or more.")
        for name in ("ema", "beta1", "beta2", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training: {name} is {getattr(self, name)}. Set it to 0 or more, and less than 1.")
        if not 0 < self.rate < math.inf:
            raise ConfigError(f"training: rate is {self.rate}. Set it to more than 0, such as 3e-4.")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"training: seed is {self.seed}. Set it to 0 or more, and less than 2^32.")


def pace(done: float, recipe: Recipe) -> float:
    """Share of the peak rate when a share `done` of the run is over."""
    if done < recipe.warmup:
        return done / recipe.warmup
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "wsd":
        left = min(1.0, (1 - done) / _WSD_DECAY)
    else:
        left = 0.5 * (1 + math.cos(math.pi * (done - recipe.warmup) / max(1e-9, 1 - recipe.warmup)))
    return recipe.floor + (1 - recipe.floor) * max(0.0, left)
