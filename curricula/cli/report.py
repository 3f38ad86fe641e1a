"""`foxing report`: one page about one audit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common
from audit.report.render import FORMS

if TYPE_CHECKING:
    from curricula.report import Wanted

EXAMPLES = """\b
Examples:
  foxing report audit -o report.html
  foxing report audit -o report.html --baseline audit-last-week --trial trial
  foxing report audit --format card -o README.md --no-text
"""


@click.command("report", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there instead of to stdout."
)
@click.option("--format", "form", type=click.Choice(FORMS), default="html", show_default=True)
@click.option(
    "--baseline",
    metavar="OLD",
    type=click.Path(path_type=Path, exists=True),
    help="Earlier scan, or JSON of an earlier report or check: adds what changed.",
)
@click.option(
    "--reference",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Scan whose documents diversity is laid beside, in place of the bundled human ones.",
)
@click.option(
    "--trial",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of a finished foxing trial: adds its curves.",
)
@click.option(
    "--curriculum",
    "curricula",
    metavar="NAMES",
    multiple=True,
    help="Curricula to foresee together, comma-separated. Repeatable; without it each one by itself.",
)
@click.option("--no-curricula", is_flag=True, help="Foresee none, which saves a pass over the rows for each.")
@click.option(
    "--examples", type=click.IntRange(0, 50), default=3, show_default=True, help="Worst cases shown of each rule."
)
@click.option("--no-text", is_flag=True, help="Show no text of the corpus.")
@click.option("--corpus", metavar="ROOT", help="Folder that the scanned files were moved to.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Random sample of rows with shard, row and label, for FX101, as for foxing check.",
)
@click.option("--title", default="Corpus audit", show_default=True, help="Of the page.")
@common
def command(
    session: Session,
    /,
    directory: Path,
    output: Path | None,
    form: str,
    **chosen: object,
) -> None:
    """Write what the scan in DIR means as one page: self-contained, without scripts, to be read in two minutes.

    `html` works from a file, without a network, on screen and on paper; `json` has the same content and more of it,
    `markdown` the same as text. `card` writes a section and metadata for a Hugging Face dataset card; a card that is
    at FILE keeps all else that it holds. A report judges by the settings of `foxing check`, and always exits 0.
    """
    if output is None and form == "html" and sys.stdout.isatty():
        raise click.UsageError("A page is not for a terminal. Name a file with -o.")
    if chosen["curricula"] and chosen["no_curricula"]:
        raise click.UsageError("--curriculum and --no-curricula exclude each other.")
    from audit.api import Audit
    from audit.report.render import rendered, write_rendered
    from curricula.report import built

    audit = Audit(session.findings(directory), session.config)
    with session.progress("report", unit="rows") as bar:

        def tell(what: str, done: int, total: int) -> None:
            bar.label = what
            bar.update(done, total)

        report = built(audit, _wanted(chosen), tell)
    if output is None:
        session.result(rendered(report, form))
        return
    write_rendered(report, form, output)
    session.note(f"{output}: {output.stat().st_size / 1000:,.0f} kB")


def _wanted(chosen: dict[str, object]) -> Wanted:
    from curricula.report import Wanted

    names = [[name.strip() for name in text.split(",") if name.strip()] for text in _texts(chosen["curricula"])]
    corpus = chosen["corpus"]
    return Wanted(
        title=str(chosen["title"]),
        baseline=_path(chosen["baseline"]),
        reference=_path(chosen["reference"]),
        trial=_path(chosen["trial"]),
        curricula=None if chosen["no_curricula"] else names,
        examples=int(str(chosen["examples"])),
        with_text=not chosen["no_text"],
        corpus=None if corpus is None else str(corpus),
        labels=_path(chosen["labels"]),
    )


def _path(value: object) -> Path | None:
    return value if isinstance(value, Path) else None


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, tuple) else ()
