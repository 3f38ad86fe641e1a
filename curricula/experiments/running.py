"""Runs an experiment seed by seed, keeps what each measured, and says what follows."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from audit import __version__
from audit.findings_folder import write_json
from curricula.experiments.declaration import Declaration, Finding, declared, judged
from curricula.experiments.source import Source
from detectors.errors import ConfigError
from detectors.pretrained import torch_device
from detectors.protocols import Device

__all__ = ["EXPERIMENTS", "SCALES", "Experiment", "Ran", "run_experiment"]

Floats = npt.NDArray[np.float64]
FORMAT, VERSION = "foxing-experiment", 1
SCALES = ("smoke", "cpu", "gpu")
EXPERIMENTS = ("slick", "faco", "regurgitative", "flaws")
_AT_GPU = {"slick": "slick_model", "faco": "faco_model", "regurgitative": "regurgitative_model", "flaws": "flaws_model"}
"""Modules that run an experiment with a language model; what they declare is in NAME-gpu.json."""
_SMOKE: dict[str, dict[str, Any]] = {
    "slick": {"epochs": 20, "shares": (0.0, 0.5, 1.0)},
    "faco": {},
    "regurgitative": {"tokens": 45_000, "test": 150},
    "flaws": {},
}


@dataclass(frozen=True)
class Experiment:
    """One of the experiments at a scale.

    Attributes:
        declaration: what is said before.
        scale: smoke, cpu or gpu.
        module: run_seed, measured, tables, curves.
        recipe: of the module.
    """

    declaration: Declaration
    scale: str
    module: ModuleType
    recipe: Any

    @classmethod
    def of(cls, name: str, scale: str, source: Source | None = None) -> Experiment:
        """An experiment by name.

        Args:
            name: of it.
            scale: smoke, cpu or gpu.
            source: the model, data and device of gpu scale; None takes what there is.

        Raises:
            ConfigError: no such experiment or scale.
            SignalError: no such model. InputError: a file that holds no data for it.
        """
        if name not in EXPERIMENTS or scale not in SCALES:
            known = f"{', '.join(EXPERIMENTS)} at {', '.join(SCALES)}"
            raise ConfigError(
                f"experiment {name!r} at scale {scale!r}: there is none (known: {known}). Name one of those."
            )
        if scale == "gpu" and name in _AT_GPU:
            module = importlib.import_module(f"curricula.experiments.{_AT_GPU[name]}")
            return cls(declared(f"{name}-gpu"), scale, module, module.Recipe.of(source or Source()))
        module = importlib.import_module(f"curricula.experiments.{name}")
        recipe = module.Recipe()
        return cls(declared(name), scale, module, replace(recipe, **_SMOKE[name]) if scale == "smoke" else recipe)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were declared for the scale."""
        return self.declaration.seeds[self.scale]

    @property
    def key(self) -> str:
        """Digest of what a seed's measures depend on, besides the seed."""
        recipe = asdict(self.recipe)  # what is digested counts, not where it lies
        recipe = {name: value for name, value in recipe.items() if f"{name}_digest" not in recipe}
        asked = json.dumps([self.declaration.experiment, recipe], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Ran:
    """What came of an experiment.

    Attributes:
        experiment: as it ran.
        findings: a signature each.
        tables: what people look at besides.
        curves: label to (where, values by seed).
        wall_s: of all seeds.
        cpu_s: of all seeds.
    """

    experiment: Experiment
    findings: tuple[Finding, ...]
    tables: Mapping[str, object]
    curves: Mapping[str, tuple[Floats, Floats]]
    wall_s: float
    cpu_s: float

    def to_json(self) -> dict[str, object]:
        """The result as JSON has it; see docs/json.md."""
        declaration = self.experiment.declaration
        return {
            "format": FORMAT,
            "version": VERSION,
            "foxing": __version__,
            "experiment": declaration.experiment,
            "paper": declaration.paper,
            "scale": self.experiment.scale,
            "declaration_sha256": declaration.digest,
            "rule": declaration.rule,
            "recipe": asdict(self.experiment.recipe),
            "seeds": list(self.experiment.seeds),
            "signatures": [
                {
                    "id": found.signature.id,
                    "claim": found.signature.claim,
                    "margin": found.signature.margin,
                    **{name: getattr(found.effect, name) for name in ("difference", "low", "high", "p", "p_corrected")},
                    "seeds": found.effect.seeds,
                    "items": found.effect.items,
                    "verdict": found.verdict,
                }
                for found in self.findings
            ],
            "tables": self.tables,
            "wall_s": round(self.wall_s, 1),
            "cpu_s": round(self.cpu_s, 1),
            "machine": {"processor": platform.machine(), "python": platform.python_version(), **_versions()},
        }


def _versions() -> dict[str, str]:
    import torch

    return {"torch": str(torch.__version__), "numpy": np.__version__}


def run_experiment(
    experiment: Experiment, out: Path, *, on_progress: Callable[[float, str], None] = lambda done, text: None
) -> Ran:
    """Run the declared seeds, those that are not done yet, and write OUT/result.json.

    OUT/seed-N-KEY.npz holds what a seed measured; OUT/LOG.md has a dated line for each start, end and failure.
    """
    torch_device(Device.CPU, "experiment")  # one thread: models this small lose time to more
    out.mkdir(parents=True, exist_ok=True)
    seeds: list[Mapping[str, Floats]] = []
    for number, seed in enumerate(experiment.seeds):
        on_progress(number / len(experiment.seeds), f"seed {seed}")
        seeds.append(_measured(experiment, seed, out))
    on_progress(1.0, "")
    pairs = experiment.module.measured(seeds, experiment.recipe)
    ran = Ran(
        experiment,
        tuple(judged(experiment.declaration, pairs, with_verdict=experiment.scale != "smoke")),
        experiment.module.tables(seeds, experiment.recipe),
        experiment.module.curves(seeds, experiment.recipe),
        sum(float(seed["wall_s"]) for seed in seeds),
        sum(float(seed["cpu_s"]) for seed in seeds),
    )
    write_json(out / "result.json", _plain(ran.to_json()))
    return ran


def _plain(value: Any) -> Any:
    """NaN as null, all the way down."""
    if isinstance(value, float):
        return None if np.isnan(value) else float(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _measured(experiment: Experiment, seed: int, out: Path) -> Mapping[str, Floats]:
    """What a seed measured, now or by an earlier run of the same recipe."""
    kept = out / f"seed-{seed}-{experiment.key}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    wall, cpu = time.monotonic(), time.process_time()
    _log(out, f"{experiment.declaration.experiment} {experiment.scale} {experiment.key}: seed {seed} started")
    try:
        found = experiment.module.run_seed(seed, experiment.recipe)
    except BaseException as error:
        _log(out, f"seed {seed} failed: {type(error).__name__}: {error}")
        raise
    took = {"wall_s": np.array(time.monotonic() - wall), "cpu_s": np.array(time.process_time() - cpu)}
    temporary = out / f".seed-{os.getpid()}.npz"
    np.savez(temporary, allow_pickle=False, **found, **took)
    temporary.replace(kept)
    _log(out, f"seed {seed} done in {float(took['wall_s']):.0f} s, {float(took['cpu_s']):.0f} s of CPU")
    return {**found, **took}


def _log(out: Path, line: str) -> None:
    with (out / "LOG.md").open("a") as handle:
        handle.write(f"- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {line}\n")
