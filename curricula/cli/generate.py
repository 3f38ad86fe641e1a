"""`foxing generate`: synthetic rows by a model, in the shape of the rows of a corpus."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable
from curricula.cli.train import Amount

EXAMPLES = """\b
Examples:
  foxing generate run/best questions.parquet -o synthetic --temperature 0.7 --top-p 0.9
  foxing generate owner/name corpus/ -o synthetic --rows 10K --prefix 32 --max-tokens 256
"""


@click.command("generate", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("model", metavar="MODEL", type=PLACE)
@click.argument("data", nargs=-1, required=True, metavar="DATA...", type=PLACE)
@click.option("-o", "--output", "out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--temperature", type=float, help="Of draws (1); 0 takes the likeliest token.")
@click.option("--top-k", type=int, help="Draw from so many of the likeliest tokens (0: all).")
@click.option("--top-p", type=float, help="Draw from the fewest tokens with this share of probability (1).")
@click.option("--max-tokens", type=int, help="Of what is written (128).")
@click.option("--prefix", type=int, help="Tokens of a plain text that the model goes on from (16).")
@click.option("--batch", type=int, help="Rows that are written together (32).")
@click.option("--part", type=int, help="Rows of an output file (1024).")
@click.option("--template", help='How a question and its answer are put together ("Q: {prompt}\\nA: {answer}").')
@click.option("--rows", type=Amount(), help="Write so many rows at most: 500, 10K.")
@click.option("--label", help="What the column generator says (the model's name).")
@click.option("--text", metavar="COL", help="The text column (found by its name).")
@click.option("--seed", type=int, help="Of draws (17).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where.")
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", help="Of weights (auto)."
)
@common
def command(
    session: Session,
    /,
    model: str,
    data: tuple[str, ...],
    out: Path,
    rows: int | None,
    label: str | None,
    text: str | None,
    device: str,
    precision: str,
    **chosen: object,
) -> None:
    """Let MODEL write the answers of DATA, or go on with its texts, into Parquet files of the same columns.

    Rows keep their other columns; a column generator says who wrote. A run that was killed goes on after its last file.
    """
    from audit.destination import local_folder
    from curricula.generate import generate
    from curricula.writing import Sampling
    from detectors.protocols import Device

    given = {name: value for name, value in chosen.items() if value is not None}
    if "template" in given:
        given["template"] = str(given["template"]).replace("\\n", "\n")
    sampling = dataclasses.replace(Sampling(), **given)  # type: ignore[arg-type]
    folder = local_folder(out)
    with session.progress("generate", unit="rows") as bar:
        written, left = generate(
            model,
            data,
            folder,
            sampling,
            label=label,
            text=text,
            rows=rows or 0,
            device=Device(device),
            precision=precision,
            on_rows=lambda done, total: bar.update(done, max(done, total)),
        )
    lines = [f"{written:,} rows written to {folder / 'data'}"]
    if left:
        lines.append(f"{left:,} rows without a prompt were left out")
    session.result("\n".join(printable(line) for line in lines))
