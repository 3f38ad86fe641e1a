"""`foxing verify`: recount and re-digest what a manifest promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable

if TYPE_CHECKING:
    from curricula.verify import Verification


@click.command("verify", context_settings=CONTEXT)
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=PLACE)
@click.option("--corpus", metavar="ROOT", help="Folder that the inputs were moved to.")
@click.option("--remote", is_flag=True, help="Read inputs at URLs that the manifest names, with your credentials.")
@common
def command(session: Session, /, manifests: tuple[str, ...], corpus: str | None, remote: bool) -> None:
    """Check that an output holds every input row, unchanged and in order.

    MANIFEST is the manifest of a foxing curate, its folder, or the URL of either; several are checked one by one.

    Files are recounted and digested again; inputs are read again where they still are. Exit 0: all matches. 1: a
    mismatch, each named. 2: the manifest cannot be read.
    """
    raise SystemExit(max(_verified(session, manifest, corpus, remote) for manifest in manifests))


def _verified(session: Session, manifest: str, corpus: str | None, remote: bool) -> int:
    """Check one output, say what was found, and return the exit code that it asks for."""
    from curricula.verify import verify

    done = 0

    with session.progress("verify") as bar:

        def advance(size_bytes: int) -> None:
            nonlocal done
            done += size_bytes
            bar.update(done / 1e6, max(total, done) / 1e6)

        total = _total_bytes(manifest)
        found = verify(manifest, corpus=corpus, remote=remote, advance=advance)
    session.result(_describe(found))
    return found.return_code


def _total_bytes(path: str) -> int:
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
    if found.remote:
        named = ", ".join(found.remote[:3]) + (" ..." if len(found.remote) > 3 else "")
        lines.append(
            f"inputs at URLs that were not read: {len(found.remote):,} ({named}); "
            "their rows were checked against recorded sums only. Read them with --remote"
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
