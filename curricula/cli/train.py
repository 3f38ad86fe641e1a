"""`foxing train`: train a model on rows in their order, from scratch or from a causal model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable

if TYPE_CHECKING:
    from curricula.training import Job

P = ParamSpec("P")
EXAMPLES = """\b
Examples:
  foxing train curated/ -o run --base models/smollm2 --dev held-out.parquet --rate 1e-5
  foxing train curated/ -o run --tokens 100M --width 512 --layers 8 --heads 8 --vocabulary 16384
  foxing train pairs.parquet -o mt --encoder-layers 2 --layers 2 --epochs 10
  torchrun --nproc-per-node 8 $(which foxing) train curated/ -o run --base owner/name --tokens 1B
"""
_SIZES = {"K": 10**3, "M": 10**6, "B": 10**9}


class Amount(click.ParamType[int]):
    """A number of tokens or rows: 5000, 10K, 1.5M, 2B."""

    name = "N[K|M|B]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value).strip().upper()
        scale = _SIZES.get(text[-1:], 1)
        try:
            number = float(text[:-1] if scale > 1 else text) * scale
        except ValueError:
            self.fail(f"{value!r} is no number such as 5000, 10K, 1.5M or 2B.", param, ctx)
        if not 1 <= number < 2**63 or number != int(number):
            self.fail(f"{value!r} is no whole number of 1 or more.", param, ctx)
        return int(number)


def _options() -> dict[str, Callable[[Callable[P, None]], Callable[P, None]]]:
    """Options by the field of a job, its recipe or its model from scratch that each one sets."""
    where = {
        "dev": click.option("--dev", multiple=True, metavar="PATH", help="Rows that decide when to stop. Repeatable."),
        "base": click.option("--base", metavar="MODEL", help="Folder, GGUF file or hub id to fine-tune."),
        "lora_rank": click.option("--lora", "lora_rank", type=int, help="Train low-rank updates of this rank only."),
        "text": click.option("--text", metavar="COL", help="The text column (found by its name)."),
        "template": click.option("--template", help='Of questions with answers ("Q: {prompt}\\nA: {answer}").'),
        "shuffle": click.option("--shuffle", is_flag=True, default=None, help="Shuffle each pass, held in memory."),
        "precision": click.option(
            "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), help="Of multiplications (auto)."
        ),
        "attention": click.option(
            "--attention", type=click.Choice(["auto", "mask"]), help="To packed documents: by blocks on a GPU (auto)."
        ),
        "compiles": click.option("--compile", "compiles", is_flag=True, default=None, help="Use torch.compile."),
    }
    how = {
        "tokens": click.option("--tokens", type=Amount(), help="To train on, exactly: 500K, 1B. Overrides --epochs."),
        "epochs": click.option("--epochs", type=int, help="Passes over the rows (1)."),
        "rate": click.option("--rate", type=float, help="Peak learning rate (3e-4)."),
        "block": click.option("--block", type=int, help="Tokens of a block, the context (1024)."),
        "batch": click.option("--batch", type=int, help="Blocks of an update (32)."),
        "micro": click.option("--micro", type=int, help="Blocks that go through the model together (8)."),
        "schedule": click.option("--schedule", type=click.Choice(["cosine", "wsd", "constant"]), help="(cosine)"),
        "warmup": click.option("--warmup", type=float, help="Share of the run over which the rate goes up (.02)."),
        "weight_decay": click.option("--weight-decay", type=float, help="Of matrices (.1)."),
        "clip": click.option("--clip", type=float, help="Largest norm of the gradient (1); 0 is no limit."),
        "ema": click.option("--ema", type=float, help="Moving average of weights, such as .999; 0 is none."),
        "check_every": click.option(
            "--check-every", type=int, help="Updates between looks at --dev (a pass, or a tenth of the run)."
        ),
        "patience": click.option("--patience", type=int, help="Looks without a lower loss before it stops (3)."),
        "to_convergence": click.option("--to-convergence", is_flag=True, default=None, help="Do not stop early."),
        "keep_every": click.option("--keep-every", type=int, help="Updates between states to go on from (each look)."),
        "whole_rows": click.option(
            "--whole-rows/--split-rows", default=None, help="Keep rows whole in a block (all but plain text)."
        ),
        "seed": click.option("--seed", type=int, help="Of weights, dropout and --shuffle (17)."),
    }
    made = {
        "width": click.option("--width", type=int, help="Of a model from scratch (256)."),
        "layers": click.option("--layers", type=int, help="Of its decoder (4)."),
        "heads": click.option("--heads", type=int, help="Of its attention (4)."),
        "encoder_layers": click.option("--encoder-layers", type=int, help="An encoder-decoder, for pairs: src, tgt."),
        "tokenizer": click.option("--tokenizer", metavar="MODEL", help="Folder or hub id (learnt from the data)."),
        "vocabulary": click.option("--vocabulary", type=int, help="Ids of a tokenizer that is learnt (4096)."),
    }
    return {**where, **how, **made}


def asking(*, without: Sequence[str] = ()) -> Callable[[Callable[Concatenate[Job, P], None]], Callable[P, None]]:
    """Add the options of a job, all but some, and pass the job that they ask for as first argument."""

    def add(command: Callable[Concatenate[Job, P], None]) -> Callable[P, None]:
        @functools.wraps(command)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
            command(_job(kwargs), *args, **kwargs)

        given: Callable[P, None] = wrapped
        for name, option in reversed(_options().items()):
            if name not in without:
                given = option(given)
        return given

    return add


def _job(kwargs: dict[str, object]) -> Job:
    """The job that options ask for, which are taken out of `kwargs`."""
    from curricula.recipe import Recipe
    from curricula.training import Job, Scratch

    def taken(kind: type) -> dict[str, object]:
        names = [spec.name for spec in dataclasses.fields(kind) if spec.name in kwargs]
        return {name: value for name in names if (value := kwargs.pop(name)) is not None}

    recipe, scratch = Recipe(**taken(Recipe)), Scratch(**taken(Scratch))  # type: ignore[arg-type]
    given: dict[str, object] = {"data": (), **taken(Job)}  # `data` is a command's argument where it has one
    given["template"] = str(given.get("template", Job.template)).replace("\\n", "\n")
    return Job(**given, recipe=recipe, scratch=scratch)  # type: ignore[arg-type]


@click.command("train", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("data", nargs=-1, required=True, metavar="DATA...", type=PLACE)
@click.option("-o", "--output", "out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder.")
@asking()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where.")
@click.option("--fresh", is_flag=True, help="Throw away what an earlier run left in the folder.")
@common
def command(session: Session, job: Job, /, out: Path, device: str, fresh: bool) -> None:
    """Train a model on DATA (a folder that `foxing curate` wrote, files or directories), in the order of its rows.

    With --dev it stops when the loss there rises, and keeps the best weights in DIR/best; DIR/last holds the last ones.
    A run that was killed goes on with the same losses. Of questions with answers, and of chats, answers are learnt.
    """
    from audit.destination import local_folder
    from audit.lock import locked
    from curricula.distributed import distributed
    from curricula.training import run_job
    from detectors.protocols import Device

    folder = local_folder(out)
    with distributed(Device(device)) as rank, session.progress("train", unit="%") as bar:

        def show(done: float, text: str) -> None:
            bar.update(100 * done, 100, f"  {text}")

        if rank:
            run_job(job, folder, device=Device(device), fresh=False)
            return
        with locked(folder):
            outcome = run_job(job, folder, device=Device(device), fresh=fresh, on_step=show)
    progress = outcome.progress
    lines = [f"{progress.step:,} updates, {progress.tokens:,} tokens, {progress.documents:,} documents"]
    if outcome.distinct:
        lines[0] += f"; {progress.tokens / outcome.distinct:.1f} passes over {outcome.distinct:,} distinct tokens"
    if progress.best is not None:
        lines.append(f"loss on development rows {progress.best:.4f} after update {progress.best_step:,}")
    lines += _speed(outcome.speed)
    kept = folder / ("last" if progress.best is None else "best")
    lines.append(f"model {kept}; losses {folder / 'metrics.jsonl'}")
    session.result("\n".join(printable(line) for line in lines))


def _speed(speed: Mapping[str, float | None]) -> list[str]:
    """How fast it was, as far as that is known."""
    shown = [
        ("tokens_per_s", "{:,.0f} tokens a second"),
        ("mfu", "MFU {:.1%}"),
        ("peak_memory_mb", "{:,.0f} MB at most"),
    ]
    known = [form.format(value) for name, form in shown if (value := speed.get(name)) is not None]
    return [", ".join(known)] if known else []
