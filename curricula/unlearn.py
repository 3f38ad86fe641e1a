"""Forgets what training on synthetic rows of one format did, at low cost, and keeps the rest.

Loss of an update, after "Unveiling the Flaws" (Chen et al. 2024, arXiv 2406.12397), over rows to forget and rows to
keep:

    forget   lower-bounded   -mean log(1 - p(token))        0 at best, so that it cannot run away
             ascent          mean log p(token)              (gradient ascent: for comparison)
             npo             -2/b mean log s(-b log(p/p0))  (Zhang et al. 2024, arXiv 2404.05868, by token)
    replay   cross-entropy of rows to keep
    bias     KL(p0 || p) on rows to keep: what the model said before

`ascent` with replay is gradient difference. The derivative of log(1 - p) by log p grows without bound as p nears 1:
from 1 - 1e-3 on it is held at what it is there, so that the surest tokens are forgotten, too, and no faster.

    B blocks, T tokens a block, N positions, D width, V vocabulary
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from curricula.model import Trainable
from curricula.packing import IGNORED, Packed, TokenBlock, pack, stacked
from curricula.recipe import Recipe, pace
from curricula.retention import token_accuracy
from curricula.trainer import Setting, evaluate, loss_sum
from curricula.training_rows import TrainingRows
from detectors.errors import ConfigError, MissingExtraError

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F  # noqa: N812 - as everybody calls it
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

__all__ = ["METHODS", "Forgetting", "Forgot", "forget_loss", "relearned", "unlearn"]

METHODS = ("lower-bounded", "ascent", "npo")
_MOST = 1 - 1e-3


@dataclass(frozen=True)
class Forgetting:
    """How to forget.

    Attributes:
        method: lower-bounded, ascent or npo.
        forget: weight of forgetting.
        replay: weight of the cross-entropy of rows to keep.
        bias: weight of KL(p0 || p) on them.
        beta: of npo.
        guard: stop when the loss of the development rows rises by more than this, in nats; 0 is no guard.
        guard_every: updates between looks.
    """

    method: str = "lower-bounded"
    forget: float = 0.01
    replay: float = 1.0
    bias: float = 1.0
    beta: float = 0.1
    guard: float = 0.2
    guard_every: int = 10

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"unlearning: method {self.method!r} is none of {', '.join(METHODS)}. Name one.")
        for name in ("forget", "replay", "bias", "guard"):
            if getattr(self, name) < 0:
                raise ConfigError(f"unlearning: {name} is {getattr(self, name)}. Set it to 0 or more.")
        if self.beta <= 0 or self.guard_every < 1:
            raise ConfigError(f"unlearning: beta {self.beta}, guard_every {self.guard_every}. Set both to more than 0.")


@dataclass(frozen=True)
class Forgot:
    """What came of it.

    Attributes:
        steps: updates made.
        tokens: of rows to forget and to keep that were read.
        before: loss of the development rows before.
        after: after the last update that is kept.
        stopped: the guard stopped it: the weights are those of the last look that passed.
        right_before: share of the tokens of the development rows that the model would write, before; they are none of
            the rows to keep, so that what replay alone repeats does not count.
        right_after: the same after.
    """

    steps: int
    tokens: int
    before: float
    after: float
    stopped: bool
    right_before: float
    right_after: float


def forget_loss(log_p: Tensor, log_p0: Tensor, forgetting: Forgetting) -> Tensor:
    """Mean over positions of what forgetting makes of log p, float32[N], of the tokens that came.

    Args:
        log_p: under the model, natural logarithm.
        log_p0: under the model as it was; only npo looks at it.
        forgetting: how.
    """
    if forgetting.method == "ascent":
        return log_p.mean()
    if forgetting.method == "npo":
        return -2 / forgetting.beta * F.logsigmoid(-forgetting.beta * (log_p - log_p0)).mean()
    bounded = -torch.log1p(-log_p.exp().clamp(max=_MOST))
    beyond = F.relu(log_p - math.log(_MOST)) * (_MOST / (1 - _MOST))
    return (bounded + beyond - beyond.detach()).mean()


def unlearn(
    model: Trainable,
    before: Trainable,
    forget: TrainingRows,
    keep: TrainingRows,
    dev: TrainingRows,
    recipe: Recipe,
    forgetting: Forgetting,
    setting: Setting,
    *,
    log: Path | None = None,
    on_step: Callable[[float, str], None] = lambda done, text: None,
) -> Forgot:
    """Update a model until a budget of tokens is spent or the guard stops it.

    Each update reads `recipe.batch` blocks of rows to forget and as many of rows to keep; both count against
    `recipe.tokens`, which is not exceeded. The weights that are left are those of the last look that passed.

    Args:
        model: changed in place.
        before: the same model as it was, whose expectations are kept.
        forget: rows to forget: their learnt tokens, which of `TrainingRows(form=True)` are those of the format alone.
        keep: rows to keep.
        dev: rows whose loss the guard watches; none of `keep`.
        recipe: budget, rate and sizes.
        forgetting: how.
        setting: where.
        log: file of losses, a JSON line an update.
        on_step: told the share that is done, and a line about the update.

    Raises:
        ConfigError: no budget of tokens, or one that is spent before the first update.
    """
    if not recipe.tokens:
        raise ConfigError("unlearning: no budget. Give tokens: at most a hundredth of training is usual.")
    module, other = (cast(nn.Module, each).to(setting.device) for each in (model, before))
    other.eval()
    weights = [value for value in module.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.rate, betas=(recipe.beta1, recipe.beta2), weight_decay=0.0)
    start = kept_loss = evaluate(model, dev, recipe, setting)
    right = token_accuracy(model, dev, recipe, setting)
    kept = [value.detach().clone() for value in weights]
    step = tokens = kept_step = 0
    lines: list[str] = []
    pairs = zip(_endless(forget, recipe), _endless(keep, recipe), strict=False)
    left = _within(pairs, recipe.tokens)
    batches = list(itertools.islice(left, recipe.batch))
    if not batches:
        raise ConfigError(f"unlearning: {recipe.tokens:,} tokens are fewer than two blocks have. Raise the budget.")
    while batches:
        read = sum(one.tokens + other_one.tokens for one, other_one in batches)
        done = (tokens + read / 2) / recipe.tokens
        parts = _update(model, before, batches, optimizer, recipe, forgetting, setting, done)
        tokens += read
        step += 1
        lines.append(json.dumps({"step": step, "tokens": tokens, **parts}))
        on_step(min(1.0, tokens / recipe.tokens), f"forget {parts['forget']:.4f}  replay {parts['replay']:.4f}")
        following = list(itertools.islice(left, recipe.batch))
        if following and step % forgetting.guard_every:
            batches = following
            continue
        loss = evaluate(model, dev, recipe, setting)
        lines.append(json.dumps({"step": step, "tokens": tokens, "dev_loss": loss}))
        if forgetting.guard and not loss - start <= forgetting.guard:
            _put_back(weights, kept)
            _write(log, lines)
            right_after = token_accuracy(model, dev, recipe, setting)
            return Forgot(kept_step, tokens, start, kept_loss, True, right, right_after)
        kept, kept_step, kept_loss = [value.detach().clone() for value in weights], step, loss
        batches = following
    _write(log, lines)
    return Forgot(step, tokens, start, kept_loss, False, right, token_accuracy(model, dev, recipe, setting))


def relearned(
    model: Trainable, forgot: TrainingRows, recipe: Recipe, setting: Setting, *, every: int = 5
) -> list[tuple[int, float]]:
    """How soon a copy of a model learns again what it was made to forget: what was only hidden comes back at once.

    Args:
        model: left as it is.
        forgot: rows that were to be forgotten.
        recipe: budget, rate and sizes of learning them again.
        setting: where.
        every: updates between looks at the loss.

    Returns:
        (tokens, loss of the rows), from no tokens on.
    """
    pupil = copy.deepcopy(model)
    weights = [value for value in cast(nn.Module, pupil).parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.rate, betas=(recipe.beta1, recipe.beta2), weight_decay=0.0)
    found, tokens, step = [(0, evaluate(pupil, forgot, recipe, setting))], 0, 0
    blocks = _endless(forgot, recipe)
    while tokens < recipe.tokens:
        batch = list(itertools.islice(blocks, recipe.batch))
        block = stacked(batch, setting.device)
        optimizer.zero_grad(set_to_none=True)
        with setting.mixed():
            loss = loss_sum(pupil, block) / max(1, int((block.targets != IGNORED).sum()))
        loss.backward()
        nn.utils.clip_grad_norm_(weights, recipe.clip or math.inf)
        optimizer.step()
        tokens, step = tokens + sum(one.tokens for one in batch), step + 1
        if step % every == 0 or tokens >= recipe.tokens:
            found.append((tokens, evaluate(pupil, forgot, recipe, setting)))
    return found


def _endless(rows: TrainingRows, recipe: Recipe) -> Iterator[Packed]:
    return pack(rows.read, recipe.block, splits=rows.is_text, pad=rows.encoder.pad)


def _within(pairs: Iterator[tuple[Packed, Packed]], tokens: int) -> Iterator[tuple[Packed, Packed]]:
    """Pairs of blocks as long as they keep to the budget."""
    for forget, keep in pairs:
        tokens -= forget.tokens + keep.tokens
        if tokens < 0:
            return
        yield forget, keep


def _update(
    model: Trainable,
    before: Trainable,
    batches: list[tuple[Packed, Packed]],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    forgetting: Forgetting,
    setting: Setting,
    done: float,
) -> dict[str, float]:
    """One update; returns its losses."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate * pace(done, recipe)
    optimizer.zero_grad(set_to_none=True)
    totals = {"forget": 0.0, "replay": 0.0, "bias": 0.0}
    counts = [max(1, sum(int((pair[at].targets != IGNORED).sum()) for pair in batches)) for at in range(2)]
    for start in range(0, len(batches), recipe.micro):
        part = batches[start : start + recipe.micro]
        to_forget = stacked([one for one, _ in part], setting.device)
        to_keep = stacked([one for _, one in part], setting.device)
        with setting.mixed():
            forgot = _forget(model, before, to_forget, forgetting)
            replay, bias = _retained(model, before, to_keep)
        # Sums over all parts: how many blocks go through together changes nothing.
        forgot, replay, bias = forgot / counts[0], replay / counts[1], bias / counts[1]
        loss = forgetting.forget * forgot + forgetting.replay * replay + forgetting.bias * bias
        loss.backward()
        for name, value in (("forget", forgot), ("replay", replay), ("bias", bias)):
            totals[name] += float(value.detach())
    weights = [value for group in optimizer.param_groups for value in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(weights, recipe.clip or math.inf))
    optimizer.step()
    return {**totals, "norm": norm}


def _logits(model: Trainable, block: TokenBlock) -> Tensor:
    """float32[N, V] at the learnt positions of a block."""
    return model.head(model.hidden(block)[block.targets != IGNORED]).float()


def _forget(model: Trainable, before: Trainable, block: TokenBlock, forgetting: Forgetting) -> Tensor:
    """The sum over the learnt positions of a block."""
    targets = block.targets[block.targets != IGNORED][:, None]
    log_p = _logits(model, block).log_softmax(-1).gather(1, targets)[:, 0]
    if not len(log_p):
        return log_p.sum()
    if forgetting.method != "npo":
        return forget_loss(log_p, log_p, forgetting) * len(log_p)
    with torch.no_grad():
        log_p0 = _logits(before, block).log_softmax(-1).gather(1, targets)[:, 0]
    return forget_loss(log_p, log_p0, forgetting) * len(log_p)


def _retained(model: Trainable, before: Trainable, block: TokenBlock) -> tuple[Tensor, Tensor]:
    """Cross-entropy, and KL from what the model said before, of rows to keep: sums over learnt positions."""
    targets = block.targets[block.targets != IGNORED]
    log_p = _logits(model, block).log_softmax(-1)
    with torch.no_grad():
        log_p0 = _logits(before, block).log_softmax(-1)
    kl = F.kl_div(log_p, log_p0, reduction="sum", log_target=True)
    return F.nll_loss(log_p, targets, reduction="sum"), kl


def _put_back(weights: list[nn.Parameter], kept: list[Tensor]) -> None:
    with torch.no_grad():
        for value, old in zip(weights, kept, strict=True):
            value.copy_(old)


def _write(log: Path | None, lines: list[str]) -> None:
    if log is not None:
        log.write_text("".join(f"{line}\n" for line in lines))
