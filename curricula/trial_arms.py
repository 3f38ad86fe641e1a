"""Runs the arms of a trial by an executor's workers; each leaves model and results where the trial looks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.errors import FoxingError, InputError

if TYPE_CHECKING:
    from audit.execute import Executor
    from curricula.trial import Arm

__all__ = ["run_arms"]

Planned = tuple["Arm", int]


@dataclass(frozen=True)
class _ArmTask:
    """Trains and tries one arm with one seed: the task of an executor."""

    run: Callable[[Arm, int], object]

    def __call__(self, planned: Planned) -> bool:
        self.run(*planned)
        return True


def run_arms(
    executor: Executor,
    run: Callable[[Arm, int], object],
    plan: Sequence[Planned],
    folder: Path,
    done: Callable[[int, Arm, int], None],
) -> None:
    """Run every planned arm and seed, in any order.

    Args:
        executor: whose workers run them.
        run: trains and tries an arm with a seed; can be sent to a worker, and leaves what it makes in files.
        plan: arms and seeds.
        folder: where `run` writes.
        done: told how many are done, and which was last.

    Raises:
        FoxingError: what a run raised, once the others are done; they are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = dict.fromkeys(path for arm, _ in plan for path in arm.data)
    executor.reach(folder, [path for path in named if Path(path).exists()])
    failed: list[tuple[Planned, Exception]] = []
    for number, outcome in enumerate(executor.map(_ArmTask(run), plan), start=1):
        if outcome.error is not None:
            failed.append((outcome.item, outcome.error))
        done(number, *outcome.item)
    if failed:
        (arm, seed), error = failed[0]
        raise (
            error
            if isinstance(error, FoxingError)
            else InputError(f"{arm.name}, seed {seed}: {error}. Run the same trial again: the other runs are kept.")
        )
