"""`foxing curate`: training shards and a manifest from findings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, executor_options, placed, printable
from curricula.cli.curate_options import Asked, Mode, asking, request_of

if TYPE_CHECKING:
    from audit.execute import Executor
    from audit.findings_folder import Findings
    from audit.rules import Rule
    from curricula.curate import Curated
    from curricula.foresee import Request

EXAMPLES = """\b
Examples:
  foxing curate audit -o curated --curriculum human-first
  foxing curate audit -o curated --curriculum decontaminate,dedup,shuffled --tokens 1B --split 0.01
  foxing curate audit --curriculum relabel-unknown --check --diff
  foxing curate audit --drop FX101,FX2 --dry-run --format json
"""


@click.command("curate", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "out", metavar="OUT", help="Folder or URL for data/, dropped/ and the manifest.", type=PLACE
)
@click.option(
    "--workers", type=click.IntRange(0), help="Processes that read and write rows (1); of Ray, actors (one a core)."
)
@executor_options
@asking
@common
def command(
    session: Session,
    asked: Asked,
    mode: Mode,
    /,
    directory: Path,
    out: str | None,
    workers: int | None,
    executor: str | None,
    ray_address: str | None,
) -> None:
    """Write the rows of the corpus that findings in DIR are about, ordered and filtered, and account for each.

    Kept rows go to OUT/data, dropped ones with rules and scores to OUT/dropped; every column, type, metadata entry and
    byte stays as it was. OUT/manifest.json is written last. A killed run goes on where it was.
    """
    from audit.execute import executor_for
    from audit.rules import rules_from

    mode.refuse(out)
    where = placed(session.config, executor, ray_address).scan
    count = workers if workers is not None else int(where.executor == "local")
    findings = session.findings(directory)
    rules = rules_from(session.config.rules)
    request = request_of(session, findings.seed, asked)
    if mode.dry_run:
        _show(session, findings, rules, request, form=mode.form or "text")
    elif mode.check:
        _check(session, findings, rules, request, diff=mode.diff)
    else:
        assert out
        spread = executor_for(count, where.executor, ray_address=where.ray_address)
        _write(session, findings, rules, request, out, mode, spread)


def _show(session: Session, findings: Findings, rules: Sequence[Rule], request: Request, *, form: str) -> None:
    from curricula.cli.preview_text import preview_json, preview_table
    from curricula.cost import predict
    from curricula.foresee import preview

    began = time.perf_counter()
    foreseen = preview(findings, rules, request)
    cost = predict(findings, request, foreseen, deciding_s=time.perf_counter() - began)
    session.result(preview_json(foreseen, cost) if form == "json" else preview_table(foreseen, cost))
    _refuse(session, foreseen.refusal)


def _check(session: Session, findings: Findings, rules: Sequence[Rule], request: Request, *, diff: bool) -> None:
    from curricula.changes import changes
    from curricula.cli.preview_text import unanswered_text

    found, lines = changes(findings, rules, request, diff=diff)
    for line in lines:
        session.result(printable(line))
    session.note(
        f"{found.dropped:,} rows would be dropped, {found.edited:,} edited, {found.copied:,} copied; "
        f"the order would {'change' if found.reordered else 'stay'}; nothing was written"
    )
    for line in unanswered_text(found.foreseen):
        session.note(line)
    _refuse(session, found.foreseen.refusal)
    if found.any:
        raise SystemExit(1)


def _refuse(session: Session, refusal: str | None) -> None:
    if refusal is not None:
        session.error(refusal)
        raise SystemExit(2)


def _write(
    session: Session,
    findings: Findings,
    rules: Sequence[Rule],
    request: Request,
    out: str,
    mode: Mode,
    executor: Executor,
) -> None:
    from curricula.curate import curate

    with session.progress("curate", unit="rows") as bar:

        def show(phase: str, done: float, total: float) -> None:
            bar.label = phase
            bar.update(done / max(1.0, total) * findings.rows, findings.rows)

        made = curate(
            findings, rules, out, request, fresh=mode.fresh, work=mode.work, on_progress=show, executor=executor
        )
    for series in made.manifest.series:
        for change in series.changes:
            session.warn(printable(f"{change}, because Parquet has no such type; no value changed"))
    if unedited := made.manifest.totals()["unedited"]:
        named = ", ".join(f"{shard.key} {shard.unedited:,}" for shard in made.manifest.inputs if shard.unedited)
        session.warn(
            printable(f"{unedited:,} answers were to be replaced and stay as they were read: none is text ({named})")
        )
    session.result(_describe(made))


def _describe(made: Curated) -> str:
    from curricula.cli.preview_text import report_text, unanswered_text

    manifest = made.manifest
    totals = manifest.totals()
    order = ",".join(str(curriculum["name"]) for curriculum in manifest.curricula)
    lines = [
        "{rows:,} rows in = {kept:,} kept + {dropped:,} dropped + {errored:,} errored".format(**totals),
        f"order: {order}, seed {manifest.seed}; {manifest.unranked:,} kept rows without a rank follow in corpus order",
    ]
    dropped_by = manifest.dropped_by()
    for reason in dict.fromkeys((*manifest.drop, *dropped_by)):
        lines.append(f"dropped by {reason}: {dropped_by.get(reason, 0):,} rows")
    lines += [f"{one['name']}: {report_text(one['report'])}" for one in manifest.curricula if "report" in one]
    if totals["rows_out"] != totals["kept"]:
        lines.append(f"{totals['rows_out']:,} rows out, copies counted")
    if totals["exempt"]:
        lines.append(f"on the allow-list: {totals['exempt']:,} rows, of which {totals['spared']:,} were spared")
    if sections := manifest.sections():
        lines.append(", ".join(f"{name}: {rows:,} rows" for name, rows in sections.items()))
    if totals["edited"]:
        columns = ", ".join(sorted({series.original for series in manifest.series if series.original}))
        lines.append(
            f"answers replaced: {totals['edited']:,} rows; what stood there is kept in the last column ({columns})"
        )
    if totals["unedited"]:
        lines.append(f"answers that could not be replaced: {totals['unedited']:,} rows, left as they were read")
    lines += unanswered_text(made.foreseen)
    size = sum(receipt.size_bytes for receipt in manifest.data) / 1e6
    data = f"{made.path.rpartition('/')[0]}/data"
    written, dropped = _files(len(manifest.data)), _files(len(manifest.dropped))
    lines.append(f"{data}: {written}, {size:,.1f} MB; dropped rows: {dropped}")
    if len(manifest.series) > 1:
        names = ", ".join(series.name for series in manifest.series)
        lines.append(
            f"the inputs have {len(manifest.series)} schemas and nothing is coerced: "
            f"each has its own folder and order ({names})"
        )
    if made.already:
        lines.append("nothing to do: this output was finished before")
    lines += [f"signature {manifest.signature}", f"manifest {made.path}. Next: foxing verify {made.path}"]
    return "\n".join(printable(line) for line in lines)


def _files(number: int) -> str:
    return f"{number:,} file{'' if number == 1 else 's'}"
