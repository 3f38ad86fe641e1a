"""Trains a model on rows in the order in which they come, and can be stopped anywhere: it goes on with the same losses.

    train(model, rows, dev, out, Recipe(tokens=100_000_000), Setting(device))

The stream of blocks knows its place after each block, and a state holds that place with weights and moments; nothing
else makes a difference, so a run that was killed and one that was not end in the same bytes on the same machine.

    B blocks, T tokens a block, N learnt positions, D width, V vocabulary
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from curricula.averaging import Swapped, put
from curricula.checkpoints import Progress, forget_after, is_whole, latest, read_state, trained_weights, write_state
from curricula.distributed import agreed, sum_gradients
from curricula.model import Trainable
from curricula.packing import IGNORED, START, Packed, Place, TokenBlock, cut, pack, stacked
from curricula.recipe import Recipe, pace
from curricula.throughput import Meter, speed_of
from curricula.training_rows import TrainingRows
from detectors.errors import ConfigError, MissingExtraError

try:
    import torch
    from torch import Tensor, nn
    from torch import distributed as dist
    from torch.nn import functional as F  # noqa: N812 - as everybody calls it
    from torch.utils.checkpoint import checkpoint
except ImportError as error:
    raise MissingExtraError("torch", "train") from error

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Outcome", "Setting", "blocks_of", "evaluate", "loss_sum", "optimizer_of", "train"]

_CHUNK = 2048


@dataclass(frozen=True)
class Setting:
    """Where it runs.

    Attributes:
        device: of weights and blocks.
        bfloat16: whether matrices are multiplied in bfloat16; weights and sums stay float32.
        compiles: whether torch.compile is used.
    """

    device: torch.device
    bfloat16: bool = False
    compiles: bool = False

    def mixed(self) -> AbstractContextManager[object]:
        """The context that a forward pass runs in."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        progress: at its end.
        speed: `tokens_per_s`, `mfu` and `peak_memory_mb` of its updates (`curricula.throughput`); empty in a process
            that does not write.
    """

    progress: Progress
    speed: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """Mean over learnt tokens of the last update."""
        return self.progress.loss

    @property
    def distinct(self) -> int | None:
        """Tokens of one pass, where a pass was finished; None before that."""
        return self.progress.distinct


def loss_sum(model: Trainable, block: TokenBlock) -> Tensor:
    """Sum of the cross-entropy over learnt positions, in nats. Logits exist for a few thousand positions at a time."""
    hidden = model.hidden(block)  # [B, T, D]
    learnt = block.targets != IGNORED
    picked, targets = hidden[learnt], block.targets[learnt]  # [N, D], [N]

    def part(rows: Tensor, wanted: Tensor) -> Tensor:
        return F.cross_entropy(model.head(rows).float(), wanted, reduction="sum")

    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), _CHUNK):
        span = slice(start, start + _CHUNK)
        if len(targets) <= _CHUNK:
            total = total + part(picked[span], targets[span])
        else:  # logits are made again on the way back, and never held for all positions
            total = total + cast(Tensor, checkpoint(part, picked[span], targets[span], use_reentrant=False))
    return total


def evaluate(model: Trainable, rows: TrainingRows, recipe: Recipe, setting: Setting, *, blocks: int = 0) -> float:
    """Mean loss over learnt tokens of rows, in nats; of their first `blocks` blocks when that is not 0."""
    total, count = 0.0, 0
    module = cast(nn.Module, model)
    was_training = module.training
    module.eval()
    with torch.inference_mode(), setting.mixed():
        for number, batch in enumerate(_grouped(blocks_of(rows, recipe, epochs=1), recipe.micro)):
            if blocks and number * recipe.micro >= blocks:
                break
            total += float(loss_sum(model, stacked(batch, setting.device)))
            count += sum(int((block.targets != IGNORED).sum()) for block in batch)
    module.train(was_training)
    if not count:
        raise ConfigError(
            f"{rows.shards[0].uri}: holds nothing to learn. Look at its columns, and whether answers fit in a block."
        )
    return total / count


def train(
    model: Trainable,
    rows: TrainingRows,
    dev: TrainingRows | None,
    out: Path,
    recipe: Recipe,
    setting: Setting,
    *,
    run: str = "",
    on_step: Callable[[float, str], None] = lambda done, text: None,
    on_best: Callable[[Path], None] = lambda folder: None,
) -> Outcome:
    """Train, or go on with training.

    Writes OUT/metrics.jsonl, a line for each update and each look, and states to go on from. Under torchrun each
    process takes its share of every update, and the first one writes.

    Args:
        model: a module; what of it requires gradients is trained.
        rows: to train on.
        dev: rows whose loss decides when to stop and which weights are best; None trains to the end.
        out: folder.
        recipe: how.
        setting: where.
        run: digest of model, data and recipe; a state of another run is refused.
        on_step: told the share that is done, and a line about the update.
        on_best: told the folder to write the model to, whenever a look is the best so far.

    Raises:
        ConfigError: a state of another run; nothing to learn in the rows.
    """
    return _Run(model, rows, dev, out, recipe, setting, run, on_step, on_best).go()


class _Run:
    """One run: its moving parts, and the loop over updates."""

    def __init__(
        self,
        model: Trainable,
        rows: TrainingRows,
        dev: TrainingRows | None,
        out: Path,
        recipe: Recipe,
        setting: Setting,
        run: str,
        on_step: Callable[[float, str], None],
        on_best: Callable[[Path], None],
    ) -> None:
        self.model, self.rows, self.dev, self.out = model, rows, dev, out
        self.recipe, self.setting, self.on_step, self.on_best = recipe, setting, on_step, on_best
        self.module = cast(nn.Module, model).to(setting.device)
        self.weights = trained_weights(self.module)
        self.optimizer = optimizer_of(self.weights, recipe, setting.device)
        self.average = {name: value.detach().clone() for name, value in self.weights.items()} if recipe.ema else {}
        joined = dist.is_initialized()
        self.rank: int = dist.get_rank() if joined else 0
        self.world: int = dist.get_world_size() if joined else 1
        self.loss = torch.compile(loss_sum) if setting.compiles else loss_sum
        self.progress = self._resumed(run)
        self.before = self.progress
        self.meter = Meter(model, setting.device, bfloat16=setting.bfloat16, world=self.world)

    def _resumed(self, run: str) -> Progress:
        found = latest(self.out)
        if found is None:
            if self.rank == 0:
                self.out.mkdir(parents=True, exist_ok=True)
                (self.out / "metrics.jsonl").write_text("")
            return Progress(run=run)
        state, progress = found
        if progress.run != run:
            raise ConfigError(
                f"{self.out}: holds a run of another recipe, model or data. Name a new folder, or --fresh."
            )
        if not is_whole(state):  # the run is over and its model is written: nothing is left to go on with
            self.average = {}
            return progress
        extra = read_state(state, self.module, self.optimizer)
        self.average = {name: value.to(self.setting.device) for name, value in extra.items()}
        if self.rank == 0:
            forget_after(self.out / "metrics.jsonl", progress.step)
        return progress

    def go(self) -> Outcome:
        """Update until the budget, the passes or the patience are spent."""
        epochs = 0 if self.recipe.tokens else self.recipe.epochs
        blocks = blocks_of(self.rows, self.recipe, start=self.progress.place, epochs=epochs)
        self.module.train()
        self.meter.start()
        for batch in () if self.progress.is_done else self._within_budget(_grouped(blocks, self.recipe.batch)):
            self.before = self.progress
            self._update(batch)
            ended = self.progress.place.epoch > self.before.place.epoch
            over = self._share() >= 1.0
            if self._looks_now(ended) or over:
                over |= self._look()
            self.progress = replace(self.progress, is_done=over)
            if over or self._keeps_now(ended):
                self._keep()
            if over:
                break
            self.meter.start()
        put(self.average, self.weights)
        return Outcome(self.progress, {} if self.rank else speed_of(self.out / "metrics.jsonl"))

    def _within_budget(self, batches: Iterator[list[Packed]]) -> Iterator[list[Packed]]:
        """Batches up to the budget of tokens, the last one cut to the token."""
        for batch in batches:
            left = self.recipe.tokens - self.progress.tokens if self.recipe.tokens else None
            if left is None:
                yield batch
                continue
            taken: list[Packed] = []
            for block in batch:
                if left <= 0:
                    break
                taken.append(block if block.tokens <= left else cut(block, left))
                left -= block.tokens
            yield taken

    def _share(self, at: Progress | None = None) -> float:
        """How much of the run is over, now or at another moment, 0 to 1."""
        at = at or self.progress
        if self.recipe.tokens:
            return min(1.0, at.tokens / self.recipe.tokens)
        place = at.place
        return min(1.0, (place.epoch + place.row / max(1, self.rows.rows)) / self.recipe.epochs)

    def _update(self, batch: Sequence[Packed]) -> None:
        """One update with a batch, of which this process takes every `world`-th block."""
        after = self._read(batch)
        # The rate is that of the middle of the update: at its start a run of one update would have a rate of 0.
        rate = self.recipe.rate * pace((self._share() + self._share(after)) / 2, self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.progress.step * self.world + self.rank)
        count = max(1, sum(int((block.targets != IGNORED).sum()) for block in batch))
        total = torch.zeros((), device=self.setting.device)
        for mine in _grouped(iter(batch[self.rank :: self.world]), self.recipe.micro):
            with self.setting.mixed():
                loss = self.loss(self.model, stacked(mine, self.setting.device)) / count
            if loss.requires_grad:  # there is something to learn
                loss.backward()
            total += loss.detach()
        norm = self._step(total)
        found = float(total)
        if not math.isfinite(found):
            raise ConfigError(
                f"{self.out}: the loss of update {after.step:,} is {found}. Lower --rate or --clip, in a new folder."
            )
        self.progress = replace(after, loss=found)
        speed = self.meter.stop(batch)
        self._note({"loss": found, "rate": rate, "norm": norm, **speed})
        text = f"step {self.progress.step:,}  loss {found:.4f}  {speed['tokens_per_s']:,.0f} tokens/s"
        self.on_step(self._share(), text)

    def _read(self, batch: Sequence[Packed]) -> Progress:
        """The progress once a batch is learnt."""
        now, counts = self.progress, [block.tokens for block in batch]
        distinct = now.distinct
        if distinct is None:
            last = next((at for at, block in enumerate(batch) if block.after.epoch and not block.is_cut), None)
            distinct = None if last is None else now.tokens + sum(counts[: last + 1])
        return replace(
            now,
            step=now.step + 1,
            tokens=now.tokens + sum(counts),
            documents=now.documents + sum(block.documents for block in batch),
            place=batch[-1].after,
            distinct=distinct,
        )

    def _step(self, total: Tensor) -> float:
        """Sum gradients over processes, clip, and move; returns the norm of the gradient."""
        parameters = list(self.weights.values())
        if self.world > 1:
            sum_gradients(parameters)
            dist.all_reduce(total)
        norm = float(nn.utils.clip_grad_norm_(parameters, self.recipe.clip or math.inf))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for name, mean in self.average.items():
            mean.lerp_(self.weights[name].detach(), 1 - self.recipe.ema)
        return norm

    def _looks_now(self, ended: bool) -> bool:
        every = self.recipe.check_every
        if every:
            return self.progress.step % every == 0
        if not self.recipe.tokens and self.recipe.epochs >= 10:
            return ended
        return int(10 * self._share(self.before)) != int(10 * self._share())

    def _look(self) -> bool:
        """Look at the development rows; True when it is time to stop."""
        if self.dev is None:
            return False
        with Swapped(self.weights, self.average):
            loss = agreed(evaluate(self.model, self.dev, self.recipe, self.setting), self.setting.device)
            better = math.isfinite(loss) and (self.progress.best is None or loss < self.progress.best)
            if better and self.rank == 0:
                self.on_best(self.out / "best")
        looks = 0 if better else self.progress.looks + 1
        self.progress = replace(self.progress, looks=looks)
        if better:
            self.progress = replace(self.progress, best=loss, best_step=self.progress.step)
        self._note({"dev_loss": loss})
        return looks >= self.recipe.patience and not self.recipe.to_convergence

    def _keeps_now(self, ended: bool) -> bool:
        every = self.recipe.keep_every
        return self.progress.step % every == 0 if every else self._looks_now(ended)

    def _keep(self) -> None:
        if self.rank == 0:
            write_state(self.out, self.progress, self.module, self.optimizer, self.average)
        if self.world > 1:
            dist.barrier()

    def _note(self, values: dict[str, float | None]) -> None:
        if self.rank:
            return
        place = self.progress.place
        line = {"step": self.progress.step, "tokens": self.progress.tokens, "epoch": place.epoch, "row": place.row}
        with (self.out / "metrics.jsonl").open("a") as handle:
            handle.write(json.dumps({**line, **values}) + "\n")


def blocks_of(rows: TrainingRows, recipe: Recipe, *, start: Place = START, epochs: int) -> Iterator[Packed]:
    """Blocks of rows, packed as a recipe has it; without end where `epochs` is 0."""
    whole = not rows.is_text if recipe.whole_rows is None else recipe.whole_rows
    return pack(rows.read, recipe.block, splits=not whole, pad=rows.encoder.pad, start=start, epochs=epochs)


def _grouped(blocks: Iterator[Packed], size: int) -> Iterator[list[Packed]]:
    """Blocks in lists of `size`, the last one shorter."""
    batch: list[Packed] = []
    for block in blocks:
        batch.append(block)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def optimizer_of(weights: dict[str, Tensor], recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """AdamW, with decay for matrices only."""
    groups = [
        {"params": [value for value in weights.values() if value.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [value for value in weights.values() if value.dim() <= 1], "weight_decay": 0.0},
    ]
    betas = (recipe.beta1, recipe.beta2)
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=betas, fused=device.type == "cuda")
