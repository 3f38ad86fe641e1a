"""`foxing calibrate`: a human reference of the user's own text, at a false-positive rate that it can vouch for."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable, use_system_memory_pool

if TYPE_CHECKING:
    from audit.findings_folder import Findings
    from audit.reference_build import Achieved, Made

EXAMPLES = """\b
Examples:
  foxing calibrate before-2020/*.parquet --fpr 0.001 --by domain
  foxing calibrate audit-of-human-text --fpr 0.01 -o news.ref.json
"""
_NAME = "foxing.ref.json"


@click.command("calibrate", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("paths", metavar="ROWS...", nargs=-1, required=True, type=PLACE)
@click.option("--fpr", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.01, show_default=True)
@click.option("--by", help="Column whose values are the groups. One group when not given.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=_NAME,
    show_default=True,
    help="Reference file to write.",
)
@click.option("--text", help="Text column. Found by convention when not given.")
@click.option("--skip-small", is_flag=True, help="Leave groups that are too small out instead of stopping.")
@click.option("--fresh", is_flag=True, help="Replace the reference file that is there.")
@common
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    fpr: float,
    by: str | None,
    output: Path,
    text: str | None,
    **chosen: bool,
) -> None:
    """Make a reference of ROWS: text that people wrote, such as that of before 2020; files, or the folder of a scan.

    At `ai_text.p_human <= FPR` the false-positive rate in text like that of a group is FPR or less, with 95 %
    confidence. Prints what each group reaches, and the settings that use the file. Exit status 2, and no file, where a
    group has too few documents: 299 are needed at 0.01, 2,995 at 0.001.
    """
    use_system_memory_pool()
    from audit.reference_build import make_reference, too_small
    from audit.reference_file import is_reference
    from detectors.errors import ConfigError, InputError

    if output.exists() and not chosen["fresh"]:
        raise ConfigError(f"{output}: is there already. Choose another file with -o, or --fresh to replace it.")
    if output.exists() and not is_reference(output):
        raise ConfigError(f"{output}: is no reference file, so --fresh does not replace it. Choose another with -o.")
    if not output.parent.is_dir():
        raise ConfigError(f"{output}: there is no folder {output.parent}. Make it, or choose another file with -o.")
    with _opened(session, paths, by, text) as findings:
        made = make_reference(findings, fpr, by)
        failed = findings.failed
    for shard in failed:
        session.error(shard.message)
    if failed:
        raise SystemExit(2)
    if made.small and (not chosen["skip_small"] or len(made.small) == len(made.groups)):
        raise InputError(too_small(made, fpr))
    made.reference.write(output)
    session.result(_described(made, fpr, output))
    if made.small:
        session.warn(f"left out, for want of text: {', '.join(group.group for group in made.small)}")


@contextmanager
def _opened(session: Session, paths: Sequence[str], by: str | None, text: str | None) -> Iterator[Findings]:
    """Findings of a scan that is there, or of one made now in a temporary folder."""
    from audit.findings_folder import RECORD, Findings
    from audit.scan_run import Progress, scan

    if len(paths) == 1 and ((Path(paths[0]) / RECORD).is_file() or (Path(paths[0]) / "findings").is_dir()):
        yield Findings.open(paths[0])
        return
    config = session.config
    if "tier" in config.signals.get("ai_text", {}):
        from audit.cascade import with_tier

        # A reference of the cascade is one of its fast tier, which every row is judged by.
        config = with_tier(config)
    settings = dataclasses.replace(
        config.scan, signals=("ai_text",), stages=(), by=by, text=text or config.scan.text, sketches=False
    )
    config = dataclasses.replace(config, scan=settings)
    with tempfile.TemporaryDirectory(prefix="foxing-") as folder, session.progress("scan") as bar:

        def show(progress: Progress) -> None:
            done, total, read = (
                size / 1e6 for size in (progress.done_bytes, progress.total_bytes, progress.text_bytes)
            )
            bar.update(done, total, f"  {progress.rows:,} rows", text_mb=read)

        yield scan(paths, Path(folder) / "scan", config, on_progress=show).findings


def _described(made: Made, fpr: float, output: Path) -> str:
    from audit.reference_file import EVERYTHING

    width = max(len(printable(_named(group.group))) for group in made.groups)
    lines = [f"{'group':<{width}}  {'n':>9}  {'flagged':>8}  {'rate':>8}  95 % interval      margin above"]
    lines += [_line(group, width) for group in made.groups]
    scale = "adjusted margins" if made.reference.model.adjustment else f"margins of {made.reference.model.tier}"
    lines += [
        f"{made.left_out:,} row{'' if made.left_out == 1 else 's'} without a margin left out; thresholds are {scale}.",
        f"At p_human <= {fpr:g} the rate is {fpr:g} or less in such text, with 95 % confidence in each group.",
        "",
        "# foxing.toml: the reference judges "
        + ("all rows" if EVERYTHING in made.reference.groups else "rows of these groups, the bundled one the others"),
        "[calibration]",
        f"reference = {json.dumps(str(output), ensure_ascii=False)}",
        "",
        "[rule.FX101]",
        f'when = "ai_text.p_human <= {fpr:g}"',
    ]
    if made.reference.by is not None:
        lines.insert(-6, f"# scan with --by {made.reference.by} or --domain-column {made.reference.by}")
    return "\n".join(lines)


def _line(group: Achieved, width: int) -> str:
    from audit.reference_build import rounded_up

    name = printable(_named(group.group))
    if group.threshold is None or group.interval is None:
        return (
            f"{name:<{width}}  {group.n:>9,}  too few: {rounded_up(group.least)} is the smallest rate it can vouch for"
        )
    low, high = group.interval.low, group.interval.high
    counted = f"{group.n:>9,}  {group.hits:>8,}  {group.hits / group.n:>8.5f}"
    return f"{name:<{width}}  {counted}  {low:.5f}-{high:.5f}  {group.threshold:>12.3f}"


def _named(group: str) -> str:
    from audit.reference_file import EVERYTHING

    return "all" if group == EVERYTHING else group
