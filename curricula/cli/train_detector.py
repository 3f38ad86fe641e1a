"""`foxing train-detector`: fine-tune an encoder or decoder as a detector for the encoder tier."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from curricula.train_encoder import TrainedEncoder

EXAMPLES = """\b
Examples:
  foxing train-detector --base models/e5-small --data labelled/ -o detector --device cuda
  foxing train-detector --base owner/name --data a.parquet --data b.parquet -o detector --lora 16
  foxing scan corpus/ -o audit --ai-tier encoder --ai-model detector
"""


@click.command("train-detector", context_settings=CONTEXT, epilog=EXAMPLES)
@click.option("--base", metavar="MODEL", required=True, help="Folder or hub id of the model to fine-tune.")
@click.option(
    "--data",
    "files",
    metavar="FILE",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Parquet with text, label (1 machine) and, better, source, lang, generator; or a folder. Repeatable.",
)
@click.option(
    "-o", "--output", "out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="New folder."
)
@click.option("--max-tokens", type=int, help="Tokens of a window (256).")
@click.option("--steps", type=int, help="Updates at most (2000); it stops when sources left out gain nothing.")
@click.option("--minutes", type=float, help="Minutes of training at most. What it cuts short depends on the machine.")
@click.option("--batch", type=int, help="Windows of an update (32).")
@click.option("--rate", type=float, help="Peak learning rate (5e-5; 5e-4 with --lora).")
@click.option("--lora", "lora_rank", type=int, help="Train low-rank updates of this rank instead of all weights.")
@click.option("--train-embeddings/--freeze-embeddings", default=None, help="Whether word embeddings are trained too.")
@click.option("--check-every", type=int, help="Updates between two looks at sources left out (200).")
@click.option("--checked", type=int, help="Documents that such a look is at (1500).")
@click.option("--judged", type=int, help="Documents that the figures of the card are of (4000).")
@click.option("--seed", type=int, help="Seed of everything (17).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where.")
@common
def command(
    session: Session,
    /,
    base: str,
    files: Sequence[Path],
    out: Path,
    device: str,
    **chosen: object,
) -> None:
    """Fine-tune MODEL on labelled text, measure it on sources that it never saw, write a folder for the encoder tier.

    The folder holds the model, ONNX graphs in float32 and int8 where they agree with it, a card with the figures, and
    digests of all of these. Sources are balanced; one in five is left out, decides when to stop, and gives the figures.
    """
    from curricula.encoder_data import read_labelled
    from curricula.train_encoder import EncoderRecipe, train_encoder
    from detectors.protocols import Device

    given = {name: value for name, value in chosen.items() if value is not None}
    recipe = dataclasses.replace(EncoderRecipe(), **given)  # type: ignore[arg-type]
    trained = train_encoder(base, read_labelled(files), out, recipe, device=Device(device), say=session.note)
    session.result(_describe(trained))


def _describe(trained: TrainedEncoder) -> str:
    areas = trained.areas
    mean = sum(area.value for area in areas) / len(areas) if areas else None
    ranking = f"macro AUROC {mean:.3f} over {len(areas)} sources left out" if mean is not None else "no source to rank"
    lines = [f"{trained.steps:,} updates; {ranking}", *(str(parity) for parity in trained.parities)]
    lines += [f"card {trained.folder / 'MODEL_CARD.md'}"]
    lines += [f"Next: foxing scan PATHS -o DIR --ai-tier encoder --ai-model {trained.folder}"]
    return "\n".join(printable(line) for line in lines)
