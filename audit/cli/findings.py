"""`foxing findings`: findings and decisions out, one line a corpus row, in corpus order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import click

from audit.cli.options import CONTEXT, Session, common

EXAMPLES = """\b
Examples:
  foxing findings audit --format jsonl --columns row,rules,ai_text.score
  foxing findings audit --format parquet -o findings.parquet
  foxing findings audit --format dolma -o attributes/foxing
"""


@click.command("findings", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["parquet", "jsonl", "csv", "dolma"]),
    default="jsonl",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write there instead of to stdout; for dolma the folder attributes/NAME.",
)
@click.option(
    "--columns",
    help="Comma-separated: shard, row, source, rules, action, dropped_by, unmeasured, errors, SIGNAL.FIELD.",
)
@common
def command(session: Session, directory: Path, format_name: str, output: Path | None, columns: str | None) -> None:
    """Write one line for every corpus row of the scan in DIR: where it is, what was measured, which rules it hits.

    `row` is the position in the shard, `rules` the list of every rule hit (joined by `;` in CSV), `action` drop when
    one of them drops, else report, or keep without a hit, and `dropped_by` the first that drops.

    `dolma` writes a file of attributes for each file of documents, as the dolma toolkit has them: the rules and numbers
    named by --columns as spans over the whole text. Its documents need an `id`.
    """
    from audit.export import DEFAULT_COLUMNS, export, export_file
    from audit.rules import rules_from

    wanted = tuple(name.strip() for name in columns.split(",")) if columns else DEFAULT_COLUMNS
    findings = session.findings(directory)
    rules = rules_from(session.config.rules)
    if format_name == "dolma":
        from audit.dolma import export_attributes

        if output is None:
            raise click.UsageError("dolma is a folder of files. Name it with -o attributes/NAME.")
        files = export_attributes(findings, rules, output, columns=wanted if columns else None)
        session.note(f"{findings.rows:,} rows in {len(files):,} files below {output}")
        return
    if output is not None and output.is_dir():
        raise click.UsageError(f"{output}: is a folder. Name a file with -o.")
    if output is None:
        stream = standard_output()
        if format_name == "parquet" and stream.isatty():
            raise click.UsageError("Parquet is not for a terminal. Name a file with -o.")
        export(findings, rules, stream, form=format_name, columns=wanted)
        stream.flush()
        return
    export_file(findings, rules, output, form=format_name, columns=wanted)
    session.note(f"{findings.rows:,} rows in {output}")


def standard_output() -> IO[bytes]:
    """Standard output in binary."""
    return sys.stdout.buffer
