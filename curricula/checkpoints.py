"""What a training run needs to go on exactly where it was: written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from curricula.packing import Place
from detectors.errors import OutputError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "Progress",
    "forget_after",
    "is_whole",
    "latest",
    "read_state",
    "trained_weights",
    "without_weights",
    "write_state",
]

_STATE, _WEIGHTS, _OPTIMIZER = "state.json", "weights.safetensors", "optimizer.safetensors"
_PREFIX = "state-"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: updates made.
        tokens: tokens seen, padding not counted.
        documents: documents seen whole.
        place: where the next update begins to read.
        best: lowest loss on the development rows so far; None before the first look.
        best_step: update after which it was.
        looks: looks since then.
        distinct: tokens of one pass, where the first pass is done; None before that.
        loss: mean over learnt tokens of the last update; None before the first.
        is_done: the run is over.
        run: digest of recipe, model and data, which the run that goes on has to share.
    """

    step: int = 0
    tokens: int = 0
    documents: int = 0
    place: Place = field(default_factory=Place)
    best: float | None = None
    best_step: int = 0
    looks: int = 0
    distinct: int | None = None
    loss: float | None = None
    is_done: bool = False
    run: str = ""


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """What is trained of a model, by name: with LoRA, its updates alone."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def write_state(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    extra: Mapping[str, torch.Tensor],
) -> None:
    """Write weights, the optimizer's moments and the progress, then forget the state before.

    Args:
        folder: of the run.
        progress: so far.
        model: being trained.
        optimizer: of `trained_weights(model)`.
        extra: tensors besides, such as a moving average.
    """
    from safetensors.torch import save_file

    target, temporary = folder / f"{_PREFIX}{progress.step:08d}", folder / f".{_PREFIX}{os.getpid()}"
    for torn in folder.glob(f".{_PREFIX}*"):
        shutil.rmtree(torn, ignore_errors=True)
    temporary.mkdir(parents=True)
    weights = {name: _plain(value) for name, value in trained_weights(model).items()}
    save_file({**weights, **{f"extra:{name}": _plain(value) for name, value in extra.items()}}, temporary / _WEIGHTS)
    names = _names(model, optimizer)
    moments = {
        f"{names[at]}:{key}": _plain(value)
        for at, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }
    save_file(moments, temporary / _OPTIMIZER)
    (temporary / _STATE).write_text(json.dumps(asdict(progress)) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    for other in folder.glob(f"{_PREFIX}*"):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def _plain(value: torch.Tensor) -> torch.Tensor:
    return value.detach().cpu().contiguous()


def _names(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Names of the optimizer's weights, in its order."""
    names = {id(value): name for name, value in trained_weights(model).items()}
    return [names[id(value)] for group in optimizer.param_groups for value in group["params"]]


def latest(folder: Path) -> tuple[Path, Progress] | None:
    """The last whole state of a run, None when there is none.

    Raises:
        OutputError: a state that cannot be read.
    """
    found = sorted(folder.glob(f"{_PREFIX}*"))
    if not found:
        return None
    try:
        values = json.loads((found[-1] / _STATE).read_text())
        return found[-1], Progress(**{**values, "place": Place(**values["place"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputError(f"{found[-1]}: cannot be read ({error}). Start anew with --fresh.") from error


def is_whole(state: Path) -> bool:
    """Whether a state still has its weights; that of a run whose model is written has not."""
    return (state / _WEIGHTS).exists()


def without_weights(folder: Path) -> None:
    """Throw away weights and moments of a run that is over and whose model is written: three times its size."""
    for state in folder.glob(f"{_PREFIX}*"):
        for name in (_WEIGHTS, _OPTIMIZER):
            (state / name).unlink(missing_ok=True)


def forget_after(metrics: Path, step: int) -> None:
    """Leave out what a killed run noted after its last state."""
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    temporary = metrics.with_suffix(f".{os.getpid()}")
    temporary.write_text("".join(f"{line}\n" for line in kept))
    temporary.replace(metrics)


def read_state(state: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Put weights and moments back; returns what was written besides."""
    import torch
    from safetensors.torch import load_file

    saved, moments = load_file(state / _WEIGHTS), load_file(state / _OPTIMIZER)
    with torch.no_grad():
        for name, parameter in trained_weights(model).items():
            parameter.copy_(saved[name])
    places = {name: at for at, name in enumerate(_names(model, optimizer))}
    states: dict[int, dict[str, torch.Tensor]] = {at: {} for at in places.values()}
    for key, value in moments.items():
        name, _, moment = key.rpartition(":")
        states[places[name]][moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": {at: found for at, found in states.items() if found}})
    return {key.removeprefix("extra:"): value for key, value in saved.items() if key.startswith("extra:")}
