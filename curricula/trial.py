"""Arms times seeds on equal token budgets: what a curriculum changes, with intervals, beside what chance alone does."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audit.execute import Executor
from audit.findings_folder import write_json
from audit.layout import Kind, find_layout
from curricula.contrasts import Contrast, contrast, corrected, seed_interval
from curricula.encoding import encoder_of
from curricula.evaluation import Items, evaluate_items, prompts_of, read_items, summed_up, trainable
from curricula.lexical_variety import INDICES
from curricula.training import Job, base_folder, learn_tokenizer, run_job
from curricula.training_rows import shards_in_order
from curricula.trial_arms import run_arms
from curricula.writing import Sampling, open_writer, positions_of
from detectors.errors import ConfigError, InputError
from detectors.pretrained import quiet_transformers
from detectors.protocols import Device

__all__ = ["Arm", "Trial", "TrialResult", "run_trial"]

Floats = npt.NDArray[np.float64]
FORMAT, VERSION = "foxing-trial", 1
_TOKENIZER = "tokenizer"
_FILES = (".json", ".svg", ".png")


@dataclass(frozen=True)
class Arm:
    """One way to make the training data.

    Attributes:
        name: short, of letters, digits, `-`, `_` and `.`.
        data: what is trained on.
        shuffle: a random order in place of the rows' own.
        relabel: share of rows, drawn at random, whose answer becomes "I don't know".
    """

    name: str
    data: tuple[str, ...]
    shuffle: bool = False
    relabel: float = 0.0


@dataclass(frozen=True)
class Trial:
    """What is compared.

    Attributes:
        arms: the first one is the control, against which the others stand.
        job: what all arms share; its data and seed are replaced. Its budget is in tokens.
        tests: what models are tried on, each a path.
        seeds: of weights, order of shuffled rows and draws.
        by: column of the tests that groups items, such as a SliCK category.
        limit: items of a test at most; 0 is all.
        max_tokens: of an answer.
    """

    arms: tuple[Arm, ...]
    job: Job
    tests: tuple[str, ...]
    seeds: tuple[int, ...] = (1, 2, 3)
    by: str | None = None
    limit: int = 0
    max_tokens: int = 32

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(
                f"trial: arms {', '.join(names) or 'none'}. Name two or more, each once, with --arm NAME=DATA."
            )
        if any(not name.replace("-", "").replace("_", "").replace(".", "").isalnum() for name in names):
            raise ConfigError(f"trial: arms {', '.join(names)}. Names are of letters, digits, '-', '_' and '.'.")
        if taken := sorted({"tokenizer"} & set(names)) or [name for name in names if name.endswith(_FILES)]:
            raise ConfigError(f"trial: arm {taken[0]}. The trial has a file of that name. Name the arm otherwise.")
        if any(not 0 <= arm.relabel <= 1 for arm in self.arms):
            raise ConfigError("trial: a share of relabelled rows is below 0 or above 1. Set it between them.")
        if self.max_tokens < 1 or self.limit < 0:
            raise ConfigError(
                f"trial: max_tokens {self.max_tokens}, limit {self.limit}. Set them to 1 or more, and 0 or more."
            )
        if not self.job.recipe.tokens:
            raise ConfigError("trial: no budget. Arms are compared on equal tokens: give --tokens, for example 2M.")
        if len(set(self.seeds)) < len(self.seeds) or not self.seeds:
            raise ConfigError(f"trial: seeds {self.seeds}. Name one or more, each once.")


@dataclass(frozen=True, eq=False)
class ArmRun:
    """One arm with one seed.

    Attributes:
        arm: its name.
        seed: of it.
        tokens: trained on.
        passes: over distinct tokens; None when less than one.
        metrics: test to metric to float64[n].
        means: test to metric to mean.
    """

    arm: str
    seed: int
    tokens: int
    passes: float | None
    metrics: Mapping[str, Mapping[str, Floats]]
    means: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What came of a trial.

    Attributes:
        trial: as it was asked for.
        runs: arms by seeds.
        contrasts: every arm against the first, of each test and metric, corrected over all of them.
        digest: of what the result depends on.
        curves: arm to (tokens, loss by seed): float64[steps], float64[seeds, steps].
        notes: signatures of metrics and the like.
    """

    trial: Trial
    runs: tuple[ArmRun, ...]
    contrasts: tuple[Contrast, ...]
    digest: str
    curves: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def mean(self, arm: str, test: str, metric: str) -> tuple[float, float, float]:
        """Mean over seeds of an arm, and its 95 % interval by Student's t."""
        values = np.array([run.means[test][metric] for run in self.runs if run.arm == arm])
        return (float(values.mean()), *seed_interval(values))

    def to_json(self) -> dict[str, object]:
        """The result as JSON has it; see docs/json.md."""
        tests = sorted({test for run in self.runs for test in run.means})
        table = [
            {"arm": arm.name, "test": test, "metric": metric, "mean": mean, "low": low, "high": high}
            for arm in self.trial.arms
            for test in tests
            for metric in self.runs[0].means[test]
            for mean, low, high in [self.mean(arm.name, test, metric)]
        ]
        return {
            "format": FORMAT,
            "version": VERSION,
            "digest": self.digest,
            "trial": asdict(self.trial),
            "tokens": self.trial.job.recipe.tokens,
            "arms": _plain(table),
            "contrasts": _plain([asdict(each) for each in self.contrasts]),
            "runs": [
                {
                    "arm": run.arm,
                    "seed": run.seed,
                    "tokens": run.tokens,
                    "passes": run.passes,
                    "means": _plain(run.means),
                }
                for run in self.runs
            ],
            "notes": list(self.notes),
        }


def _plain(value: object) -> object:
    """NaN as null, all the way down."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def run_trial(
    trial: Trial,
    out: Path,
    *,
    device: Device = Device.AUTO,
    fresh: bool = False,
    on_progress: Callable[[float, str], None] = lambda done, text: None,
    executor: Executor | None = None,
) -> TrialResult:
    """Train every arm with every seed on the same number of tokens, try each model on the tests, and compare.

    Nothing stops early, since budgets would differ; where the job has development rows, the best weights are tried.
    Models of runs that are done are kept in OUT/ARM/seed-N, and a trial that was killed goes on with the others.
    With an executor its workers train the arms; progress is then told by whole runs.

    Raises:
        InputError: data of an arm or a test that are not there or not what they should be, or a question that leaves a
            model too few positions for its answer: before anything is trained.
        ConfigError: an arm that trained on another number of tokens than the budget, which a defect would be.
    """
    items = {
        name: read_items([test], text=trial.job.text, by=trial.by, limit=trial.limit)
        for name, test in zip(_short(trial.tests), trial.tests, strict=True)
    }
    for arm in trial.arms:  # what cannot be trained on is said before anything is trained
        _looked_at(trial, arm)
    _refuse_too_long(trial, items)
    if fresh:
        shutil.rmtree(out / _TOKENIZER, ignore_errors=True)
    if trial.job.base is None and not trial.job.scratch.tokenizer:
        # One for all arms, from the control's rows: losses a token can be compared only so.
        kept = learn_tokenizer(replace(trial.job, data=trial.arms[0].data), out / _TOKENIZER)
        scratch = replace(trial.job.scratch, tokenizer=str(kept))
        trial = replace(trial, job=replace(trial.job, scratch=scratch))
    plan = [(arm, seed) for arm in trial.arms for seed in trial.seeds]
    if executor is not None:
        work = partial(_run_in, trial, items, out, device, fresh)
        run_arms(executor, work, plan, out, lambda n, arm, seed: on_progress(n / len(plan), f"{arm.name}, seed {seed}"))
        fresh = False
    runs: list[ArmRun] = []
    for number, (arm, seed) in enumerate(plan):
        label = f"{arm.name}, seed {seed}"

        def show(done: float, text: str, number: int = number, label: str = label) -> None:
            on_progress((number + done) / len(plan), f"{label}  {text}")

        runs.append(_run(trial, arm, seed, items, out / arm.name / f"seed-{seed}", device, fresh, show))
    wrong = [run for run in runs if run.tokens != trial.job.recipe.tokens]
    if wrong:
        raise ConfigError(f"{wrong[0].arm}: trained on {wrong[0].tokens:,} tokens, not on the budget. Report this.")
    result = TrialResult(
        trial, tuple(runs), tuple(_contrasts(trial, runs)), _digest(trial, out), _curves(trial, out), _signatures(items)
    )
    write_json(out / "trial.json", result.to_json())
    return result


def _looked_at(trial: Trial, arm: Arm) -> None:
    """Raise InputError where the data of an arm are not there, or not what the arm needs."""
    for shard in shards_in_order(arm.data):
        layout = find_layout(shard.schema().names, shard.uri, text=trial.job.text)
        if arm.relabel and layout.kind is not Kind.ANSWER:
            raise InputError(f"{arm.name}: {shard.uri}: has no answers to relabel. Give questions with answers.")


def _refuse_too_long(trial: Trial, items: Mapping[str, Items]) -> None:
    """Raise InputError where a base has no positions for a prompt and its answer; what is made here has no end."""
    if trial.job.base is None:
        return
    folder = base_folder(trial.job.base)
    load = quiet_transformers().AutoConfig.from_pretrained
    most = positions_of(load(str(folder), trust_remote_code=False, local_files_only=True))
    asked = {test: found for test, found in items.items() if found.kind in ("answer", "pair", "instruction")}
    if most is None or not asked:
        return
    encoder = encoder_of(folder)
    for test, found in asked.items():
        longest = max(map(len, prompts_of(encoder, found, trial.job.template)))
        if longest + trial.max_tokens > most + 1:
            raise InputError(
                f"test {test}: its longest prompt has {longest} tokens, which with --max-tokens {trial.max_tokens} is "
                f"more than the {most} positions of --base {trial.job.base}. Lower --max-tokens, or leave such out."
            )


def _short(tests: Sequence[str]) -> list[str]:
    """Names of tests: of their files, numbered where two are alike."""
    found: list[str] = []
    for test in tests:
        name = test.rstrip("/").rsplit("/", 1)[-1].split(".")[0] or test
        free = (f"{name}-{at}" if at > 1 else name for at in itertools.count(1))
        found.append(next(one for one in free if one not in found))
    return found


def _run_in(
    trial: Trial, items: Mapping[str, Items], out: Path, device: Device, fresh: bool, arm: Arm, seed: int
) -> None:
    """An arm with a seed in a process of its own, which tells nobody how far it is."""
    _run(trial, arm, seed, items, out / arm.name / f"seed-{seed}", device, fresh, lambda done, text: None)


def _run(
    trial: Trial,
    arm: Arm,
    seed: int,
    items: Mapping[str, Items],
    folder: Path,
    device: Device,
    fresh: bool,
    show: Callable[[float, str], None],
) -> ArmRun:
    recipe = replace(trial.job.recipe, seed=seed, to_convergence=True)
    job = replace(
        trial.job, data=arm.data, recipe=recipe, shuffle=arm.shuffle or trial.job.shuffle, relabel=arm.relabel
    )
    outcome = run_job(job, folder, device=device, fresh=fresh, on_step=show)
    record = json.loads((folder / "run.json").read_text())
    metrics = {test: _tried(trial, job, folder, record, test, found, device) for test, found in items.items()}
    means = {test: summed_up(found, items[test]) for test, found in metrics.items()}
    distinct = record["tokens_of_a_pass"]
    passes = outcome.progress.tokens / distinct if distinct else None
    return ArmRun(arm.name, seed, outcome.progress.tokens, passes, metrics, means)


def _tried(
    trial: Trial, job: Job, folder: Path, record: Mapping[str, object], test: str, items: Items, device: Device
) -> dict[str, Floats]:
    """The metrics of a model on a test, kept beside it."""
    sampling = Sampling(temperature=0.0, max_tokens=trial.max_tokens, template=job.template, seed=job.recipe.seed)
    asked = json.dumps([record["run"], asdict(sampling), items.prompts, items.answers, items.right])
    key = hashlib.sha256(asked.encode()).hexdigest()[:16]
    kept = folder / f"items-{key}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    writer = open_writer(str(folder / str(record["model"])), device, job.precision)
    metrics = evaluate_items(trainable(writer), writer, items, sampling, block=job.recipe.block)
    temporary = folder / f".items-{os.getpid()}.npz"
    np.savez(temporary, allow_pickle=False, **metrics)
    temporary.replace(kept)
    return metrics


def _contrasts(trial: Trial, runs: Sequence[ArmRun]) -> list[Contrast]:
    """Every arm against the first; a positive difference of a loss is a worse model, of all else a better one."""
    by = {(run.arm, run.seed): run for run in runs}
    control = trial.arms[0].name
    found = []
    for arm in trial.arms[1:]:
        for test, metrics in runs[0].metrics.items():
            for metric in (name for name in metrics if name not in INDICES):
                pairs = [
                    (by[arm.name, seed].metrics[test][metric], by[control, seed].metrics[test][metric])
                    for seed in trial.seeds
                ]
                found.append(contrast(f"{arm.name} - {control} on {test}", metric, pairs, shared=True))
    return corrected(found)


def _curves(trial: Trial, out: Path) -> dict[str, tuple[Floats, Floats]]:
    """Training losses, at the updates that all seeds of an arm have."""
    curves = {}
    for arm in trial.arms:
        rows = []
        for seed in trial.seeds:
            lines = (out / arm.name / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
            found = [line for line in map(json.loads, lines) if "loss" in line]
            rows.append([(line["tokens"], line["loss"]) for line in found])
        steps = min(map(len, rows))
        table = np.array([row[:steps] for row in rows], np.float64)
        curves[arm.name] = (table[0, :, 0], table[:, :, 1])
    return curves


def _signatures(items: Mapping[str, Items]) -> tuple[str, ...]:
    if not any(found.kind == "pair" for found in items.values()):
        return ()
    from sacrebleu.metrics import BLEU, CHRF

    chrf, bleu = CHRF(), BLEU(effective_order=True)
    chrf.corpus_score(["a"], [["a"]])
    bleu.corpus_score(["a"], [["a"]])
    return (f"chrF {chrf.get_signature()}", f"BLEU {bleu.get_signature()}")


def _digest(trial: Trial, out: Path) -> str:
    runs = [
        json.loads((out / arm.name / f"seed-{seed}" / "run.json").read_text())["run"]
        for arm in trial.arms
        for seed in trial.seeds
    ]
    asked = json.dumps([runs, trial.by, trial.limit, trial.max_tokens])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
