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
"""


@click.command("experiment", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("name", metavar="NAME", type=click.Choice(["slick", "faco"]))
@click.option(
    "--scale",
    type=click.Choice(["smoke", "cpu"]),
    default="smoke",
    show_default=True,
    help="smoke: three seeds, no verdict. cpu: the eight seeds that were declared, with verdicts.",
)
@click.option("-o", "--output", "out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Folder.")
@common
def command(session: Session, /, name: str, scale: str, out: Path) -> None:
    """Run the experiment NAME (slick, faco) offline, on data made in code, and hold it against what was declared.

    Seeds draw the base model, the data and the order anew. Those that are done are kept in DIR, and a run that was
    killed goes on with the others. A verdict never changes the exit code.
    """
    from audit.destination import local_folder
    from audit.lock import locked
    from curricula.experiments.running import Experiment, run_experiment

    folder = local_folder(out)
    with locked(folder), session.progress(name, unit="%") as bar:
        ran = run_experiment(
            Experiment.of(name, scale), folder, on_progress=lambda done, text: bar.update(100 * done, 100, f"  {text}")
        )
    session.result(_table(ran))
    session.result(f"{folder / 'result.json'}{_drawn(session, ran, folder)}")


def _table(ran: Ran) -> str:
    declaration = ran.experiment.declaration
    rows = [("signature", "effect", "95 % interval", "margin", "p (Holm)", "verdict")]
    for found in ran.findings:
        effect = found.effect
        p = "-" if effect.p_corrected is None else f"{effect.p_corrected:.3g}"
        span = f"{effect.low:+.3g} to {effect.high:+.3g}"
        margin = f"{found.signature.margin:g}"
        rows.append((found.signature.id, f"{effect.difference:+.3g}", span, margin, p, found.verdict))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        f"{declaration.experiment}, {ran.experiment.scale}: {len(ran.experiment.seeds)} seeds, "
        f"declaration {declaration.digest[:12]}",
        declaration.paper,
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
    ]
    if ran.experiment.scale == "smoke":
        lines.append("too few seeds for a verdict: --scale cpu has eight")
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
