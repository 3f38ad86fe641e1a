"""`foxing scan --part`: measure one part, and say what is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from audit.cli.scan import bar_of, measured_lines

if TYPE_CHECKING:
    from audit.cli.options import Session
    from audit.config import Config
    from audit.scan_part import PartResult

__all__ = ["run_part"]


def run_part(
    session: Session, paths: tuple[str, ...], directory: str, part: str, config: Config, *, alone: bool
) -> None:
    """Measure one part of a scan.

    Args:
        session: of the command.
        paths: to scan.
        directory: for the findings.
        part: as it was given, `i/n`.
        config: of the scan.
        alone: False where it was given with --fresh or --dry-run, which are about the whole.
    """
    from audit.scan_part import scan_part
    from audit.slices import Slice

    piece = Slice.parse(part)
    if not alone:
        raise click.UsageError("--fresh and --dry-run are about the whole scan, not one part. Leave out --part.")
    with session.progress(f"part {piece}") as bar:
        result = scan_part(paths, directory, piece, config, on_progress=bar_of(bar))
    session.result(_described(result, directory))
    for failed in result.failed:
        session.error(failed.message)
    if result.failed:
        raise SystemExit(2)


def _described(result: PartResult, directory: str) -> str:
    units = f"{result.units:,} unit{'' if result.units == 1 else 's'}"
    lines = [f"part {result.piece}: {units}", *measured_lines(result)]
    if result.failed:
        lines.append(f"shards that could not be read: {len(result.failed):,} (named below); the others are measured")
    if result.left:
        numbers = ", ".join(map(str, result.left[:10])) + (", ..." if len(result.left) > 10 else "")
        lines.append(f"not finished yet: {numbers} of {result.piece.of}")
    else:
        lines.append(f"all parts are measured. Next: the same foxing scan -o {directory} without --part")
    return "\n".join(lines)
