"""`foxing trial`: train arms that differ in their data, and say which is better."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, executor_options, placed, printable
from curricula.cli.train import asking

if TYPE_CHECKING:
    from audit.config import Config
    from audit.execute import Executor
    from curricula.training import Job
    from curricula.trial import Arm, TrialResult
    from detectors.protocols import Device

EXAMPLES = """\b
Examples:
  foxing trial --arm as-is=curated-original --arm human-first=curated --test held-out.parquet \\
      --tokens 20M --seeds 5 -o trial
  foxing trial --arm all=qa/ --arm idk=relabelled/ --null-relabel 0.3 --test qa-test.parquet --by category \\
      --base models/smollm2 --rate 1e-5 --tokens 1M -o trial
"""


@click.command("trial", context_settings=CONTEXT, epilog=EXAMPLES)
@click.option(
    "--arm",
    "arms",
    metavar="NAME=DATA[,DATA]",
    multiple=True,
    required=True,
    help="Repeatable; the first is the control.",
)
@click.option(
    "--test", "tests", metavar="PATH", multiple=True, required=True, help="What models are tried on. Repeatable."
)
@click.option("-o", "--output", "out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--seeds", default="3", show_default=True, help="How many, or which: 5, or 1,2,7.")
@click.option("--null-order", is_flag=True, help="Add an arm: the control's rows in a random order.")
@click.option(
    "--null-relabel",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Add an arm: so many of the control's rows, drawn at random, answered by \"I don't know\".",
)
@click.option("--by", metavar="COL", help="Column of the tests that groups items, such as a SliCK category.")
@click.option("--limit", type=int, default=0, help="Items of a test at most.")
@click.option("--max-tokens", type=int, default=32, show_default=True, help="Of an answer.")
@asking(without=("to_convergence", "patience", "epochs", "seed"))
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where.")
@click.option("--workers", type=click.IntRange(1), help="Runs at the same time, each in a process of its own (1).")
@executor_options
@click.option("--fresh", is_flag=True, help="Throw away what an earlier trial left in the folder.")
@common
def command(
    session: Session,
    job: Job,
    /,
    arms: tuple[str, ...],
    tests: tuple[str, ...],
    out: Path,
    seeds: str,
    null_order: bool,
    null_relabel: float | None,
    by: str | None,
    limit: int,
    max_tokens: int,
    device: str,
    fresh: bool,
    workers: int | None,
    executor: str | None,
    ray_address: str | None,
) -> None:
    """Train a model for each arm and seed on equal tokens, try each on PATHs, and compare arms with the first one.

    Texts are tried by loss; questions by loss, exact match, F1 and refusals; pairs (src, tgt) by loss, chrF and BLEU;
    questions with choices by the share of right ones; instructions:N is N instructions whose form a program checks.
    What is written is tried by how varied its words are, too. Intervals are over seeds and items, p values after Holm.
    """
    from audit.destination import local_folder
    from audit.lock import locked
    from curricula.trial import Arm, Trial, run_trial
    from detectors.protocols import Device

    named = [_arm(text) for text in arms]
    if null_order:
        named.append(Arm("null-order", named[0].data, shuffle=True))
    if null_relabel is not None:
        named.append(Arm("null-relabel", named[0].data, relabel=null_relabel))
    trial = Trial(tuple(named), job, tests, _seeds(seeds), by, limit, max_tokens)
    folder = local_folder(out)
    with locked(folder), session.progress("trial", unit="%") as bar:
        result = run_trial(
            trial,
            folder,
            device=Device(device),
            fresh=fresh,
            executor=_executor(placed(session.config, executor, ray_address), workers, Device(device)),
            on_progress=lambda done, text: bar.update(100 * done, 100, f"  {text}"),
        )
        drawn = _drawn(session, result, folder)
    session.result(_table(result))
    session.result(f"{folder / 'trial.json'}{drawn}")


def _executor(config: Config, workers: int | None, device: Device) -> Executor | None:
    """None where one run follows another in this process."""
    from audit.execute import executor_for
    from detectors.protocols import Device

    where = config.scan
    if where.executor == "local" and (workers or 1) == 1:
        return None
    gpu = {Device.CPU: False, Device.CUDA: True, Device.AUTO: None}[device]
    return executor_for(workers or 0, where.executor, ray_address=where.ray_address, gpu=gpu)


def _arm(text: str) -> Arm:
    from curricula.trial import Arm

    name, equal, data = text.partition("=")
    paths = tuple(path for path in data.split(",") if path)
    if not equal or not name or not paths:
        raise click.UsageError(f"--arm {text!r}: is not NAME=DATA. Give a name, and what is trained on.")
    return Arm(name, paths)


def _seeds(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise click.UsageError(f"--seeds {text!r}: is neither a number of seeds nor a list of them, such as 1,2,7.")
    given = tuple(int(part) for part in text.split(","))
    return given if len(given) > 1 else tuple(range(1, given[0] + 1))


def _drawn(session: Session, result: TrialResult, folder: Path) -> str:
    from curricula.trial_plot import plot_trial
    from detectors.errors import MissingExtraError

    try:
        files = plot_trial(result, folder)
    except MissingExtraError as error:
        session.warn(f"no pictures: {error}")
        return ""
    return f"; pictures {', '.join(file.name for file in files if file.suffix == '.svg')}"


def _table(result: TrialResult) -> str:
    """Means of each arm, then differences to the control, in aligned columns."""
    control = result.trial.arms[0].name
    lines = [f"control {control}; {len(result.trial.seeds)} seeds; {result.trial.job.recipe.tokens:,} tokens each"]
    rows = [("", "test", "metric", "mean", "95 % interval", "")]
    for test, means in result.runs[0].means.items():
        for metric in means:
            for arm in result.trial.arms:
                mean, low, high = result.mean(arm.name, test, metric)
                if not math.isnan(mean):  # such as how varied too few words are
                    rows.append((arm.name, test, metric, f"{mean:.4g}", f"{low:.4g} to {high:.4g}", ""))
    rows.append(("", "", "", "difference", "95 % interval", "p (Holm)"))
    for each in result.contrasts:
        p = "-" if each.p_corrected is None else f"{each.p_corrected:.3g}"
        span = f"{each.low:+.4g} to {each.high:+.4g}"
        rows.append((each.name, "", each.metric, f"{each.difference:+.4g}", span, p))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += list(result.notes)
    return "\n".join(printable(line) for line in lines)
