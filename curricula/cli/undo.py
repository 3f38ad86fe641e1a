"""`foxing undo`: the rows that a curate read, back in their order."""

from __future__ import annotations

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable


@click.command("undo", context_settings=CONTEXT)
@click.argument("manifest", type=PLACE)
@click.option(
    "-o", "--output", "out", metavar="DIR", required=True, help="New folder for the rebuilt files.", type=PLACE
)
@common
def command(session: Session, /, manifest: str, out: str) -> None:
    """Rebuild the files that foxing curate read, as Parquet.

    MANIFEST is the manifest that it wrote, its folder, or the URL of either.

    Rows come from data/, dropped/ and the column of replaced answers. Each file must have the rows and the content that
    the manifest recorded, else none is written. The inputs themselves are not needed.
    """
    from curricula.manifest_reader import read_manifest
    from curricula.undo import undo

    rows = read_manifest(manifest).totals()
    total, done = rows["rows_out"] + rows["dropped"], 0
    with session.progress("undo", unit="rows") as bar:

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            bar.update(done, max(total, done))

        made = undo(manifest, out, advance=advance)
    session.result(printable(f"{made.rows:,} rows in {len(made.files):,} files, as they were read: {out}"))
