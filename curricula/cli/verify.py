"""`foxing verify`: recount and re-digest what a manifest promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from curricula.verify import Verification


@click.command("verify", context_settings=CONTEXT)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--corpus", metavar="ROOT", help="Folder that the inputs were moved to.")
@common
def command(session: Session, /, manifest: Path, corpus: str | None) -> None:
    """Check that the output of MANIFEST (the file, or its folder) holds every input row, unchanged and in order.

    Files are recounted and digested again; inputs are read again where they still are. Exit 0: all matches. 1: a
    mismatch, each named. 2: the manifest cannot be read.
    """
    from curricula.verify import verify

    done = 0

    with session.progress("verify") as bar:

        def advance(size_bytes: int) -> None:
            nonlocal done
            done += size_bytes
            bar.update(done / 1e6, max(total, done) / 1e6)

        total = _total_bytes(manifest)
        found = verify(manifest, corpus=corpus, advance=advance)
    session.result(_describe(found))
    raise SystemExit(found.return_code)


def _total_bytes(path: Path) -> int:
    from curricula.manifest_reader import read_manifest

    manifest = read_manifest(path)
    written = sum(receipt.size_bytes for receipt in (*manifest.data, *manifest.dropped))
    return written + sum(shard.size_bytes for shard in manifest.inputs)


def _describe(found: Verification) -> str:
    totals = found.manifest.totals()
    lines = [f"mismatch: {problem}" for problem in found.problems]
    lines.append("{rows:,} rows in = {kept:,} kept + {dropped:,} dropped + {errored:,} errored".format(**totals))
    lines.append(f"read again: {found.files:,} output files with {found.rows:,} rows, {found.inputs:,} inputs")
    if found.absent:
        named = ", ".join(found.absent[:3]) + (" ..." if len(found.absent) > 3 else "")
        lines.append(
            f"inputs no longer there: {len(found.absent):,} ({named}); "
            "their rows were checked against recorded sums only"
        )
    if found.problems:
        number = "1 mismatch" if len(found.problems) == 1 else f"{len(found.problems):,} mismatches"
        lines.append(f"{number}: foxing undo may not rebuild the inputs from this output")
    else:
        against = "" if found.inputs else " by the sums that the manifest recorded"
        edits = f" but for {totals['edited']:,} answers that were to be replaced" if totals["edited"] else ""
        lines.append(f"every input row is accounted for, unchanged{edits}{against}")
        lines.append("foxing undo can rebuild the inputs from this output")
    return "\n".join(printable(line) for line in lines)
