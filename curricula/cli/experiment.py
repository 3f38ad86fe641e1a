"""`foxing experiment`: what a paper found, looked for here, by what was said before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from curricula.experiments.running import Ran

EXAMPLES = """\b
Examples:
  foxing experiment slick --scale smoke -o slick
  foxing experiment faco --scale cpu -o faco
  foxing experiment slick --scale gpu --model models/smollm2 --data qa.parquet -o slick-gpu
"""


@click.command("experiment", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("name", metavar="NAME", type=click.Choice(["slick", "faco", "regurgitative", "flaws"]))
@click.option(
    "--scale",
    type=click.Choice(["smoke", "cpu", "gpu"]),
    default="smoke",
    show_default=True,
    help="smoke: three seeds, no verdict. cpu: the declared seeds, with verdicts. gpu: those, with a language model.",
)
@click.option("--model", metavar="MODEL", help="Of gpu scale: folder, GGUF file or hub id (smollm2).")
@click.option("--data", metavar="PATH", help="Of gpu scale: a file (of the development data, else made in code).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Of gpu scale: where (auto).")
@click.option("-o", "--output", "out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder.")
@common
def command(
    session: Session, /, name: str, scale: str, model: str | None, data: str | None, device: str | None, out: Path
) -> None:
    """Run the experiment NAME offline, on data made in code, and hold it against what was declared.

    NAME is one of slick, faco, regurgitative and flaws.

    Seeds draw the base model, the data and the order anew. Those that are done are kept in DIR, and a run that was
    killed goes on with the others. A verdict never changes the exit code.
    """
    from audit.destination import local_folder
    from audit.lock import locked
    from curricula.experiments.running import Experiment, run_experiment
    from curricula.experiments.source import MODEL, Source
    from detectors.protocols import Device

    if scale != "gpu" and any(value is not None for value in (model, data, device)):
        raise click.UsageError("--model, --data and --device go with --scale gpu: what is smaller is made in code.")
    source = Source(model or MODEL, data or "", Device(device or "auto"))
    folder = local_folder(out)
    with locked(folder), session.progress(name, unit="%") as bar:
        ran = run_experiment(
            Experiment.of(name, scale, source),
            folder,
            on_progress=lambda done, text: bar.update(100 * done, 100, f"  {text}"),
        )
    session.result(_table(ran))
    session.result(f"{folder / 'result.json'}{_drawn(session, ran, folder)}")


def _table(ran: Ran) -> str:
    declaration = ran.experiment.declaration
    rows = [("signature", "effect", "95 % interval", "margin", "p (Holm)", "verdict")]
    for found in ran.findings:
        effect = found.effect
        p = "-" if effect.p_corrected is None else f"{effect.p_corrected:.3g}"
        shown, span = f"{effect.difference:+.3g}", f"{effect.low:+.3g} to {effect.high:+.3g}"
        if not effect.seeds:
            shown, span, p = "-", "not measured", "-"
        rows.append((found.signature.id, shown, span, f"{found.signature.margin:g}", p, found.verdict))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        f"{declaration.experiment}, {ran.experiment.scale}: {len(ran.experiment.seeds)} seeds, "
        f"declaration {declaration.digest[:12]}",
        declaration.paper,
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
    ]
    if ran.experiment.scale == "smoke":
        lines.append(f"too few seeds for a verdict: --scale cpu has {len(declaration.seeds.get('cpu', ()))}")
    return "\n".join(printable(line) for line in lines)


def _drawn(session: Session, ran: Ran, folder: Path) -> str:
    from curricula.experiments.plot import plot_experiment
    from detectors.errors import MissingExtraError

    try:
        files = plot_experiment(ran, folder)
    except MissingExtraError as error:
        session.warn(f"no pictures: {error}")
        return ""
    return f"; pictures {', '.join(file.name for file in files if file.suffix == '.svg')}"
