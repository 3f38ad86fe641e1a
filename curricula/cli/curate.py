"""`foxing curate`: training shards and a manifest from findings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from curricula.curate import Curated, Preview, Request

P = ParamSpec("P")
EXAMPLES = """\b
Examples:
  foxing curate audit -o curated --curriculum human-first
  foxing curate audit -o curated --curriculum shuffled --drop FX101,FX2 --dry-run
  foxing curate audit -o curated --drop FX102 --allow-loss 0.8
"""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; None is left to the settings file."""

    curriculum: str | None
    drop: str | None
    allow_loss: float | None
    corpus: str | None
    seed: int | None


def _asking(command: Callable[Concatenate[Asked, P], None]) -> Callable[P, None]:
    """Add the options of a request, and pass them together, as first argument."""

    @click.option(
        "--curriculum",
        help="Curricula, comma-separated: human-first (default), original, shuffled, dedup, decontaminate, your own.",
    )
    @click.option("--drop", help="Rules, or beginnings of their ids, whose rows go to dropped/: FX101,FX2.")
    @click.option(
        "--allow-loss", type=click.FloatRange(0, 1), help="Largest share of rows a source may lose (default 0.5)."
    )
    @click.option("--corpus", metavar="ROOT", help="Folder that the scanned files were moved to.")
    @click.option("--seed", type=int, help="Seed of ties and shuffles (default: that of the scan).")
    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        asked = Asked(**{spec.name: kwargs.pop(spec.name) for spec in dataclasses.fields(Asked)})  # type: ignore[arg-type]
        command(asked, *args, **kwargs)

    return wrapped


@click.command("curate", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-o", "--output", "out", metavar="OUT", help="Folder for data/, dropped/ and the manifest.")
@_asking
@click.option("--fresh", is_flag=True, help="Throw away what an earlier curate left in the folder.")
@click.option("--dry-run", is_flag=True, help="Show per source what would happen; write nothing.")
@common
def command(
    session: Session,
    asked: Asked,
    /,
    directory: Path,
    out: str | None,
    fresh: bool,
    dry_run: bool,
) -> None:
    """Write the rows of the corpus that findings in DIR are about, ordered and filtered, and account for each.

    Kept rows go to OUT/data, dropped ones with rules and scores to OUT/dropped; every column, type, metadata entry and
    byte stays as it was. OUT/manifest.json is written last. A killed run goes on where it was.
    """
    from audit.rules import rules_from
    from curricula.curate import curate, preview

    if not out and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output'.")
    findings = session.findings(directory)
    rules = rules_from(session.config.rules)
    request = _request(session, findings.seed, asked)
    if dry_run:
        foreseen = preview(findings, rules, request)
        session.result(printable_table(foreseen))
        if foreseen.refusal is not None:
            click.echo(f"foxing: error: {printable(foreseen.refusal)}", err=True)
            raise SystemExit(2)
        return
    assert out
    with session.progress("curate", unit="rows") as bar:

        def show(phase: str, done: float, total: float) -> None:
            bar.label = phase
            bar.update(done / max(1.0, total) * findings.rows, findings.rows)

        made = curate(findings, rules, out, request, fresh=fresh, on_progress=show)
    for series in made.manifest.series:
        for change in series.changes:
            session.warn(printable(f"{change}, because Parquet has no such type; no value changed"))
    session.result(_describe(made))


def _request(session: Session, seed: int, asked: Asked) -> Request:
    from curricula.curate import Request

    config = session.config.curate
    return Request(
        curriculum=_names(asked.curriculum, config.curriculum),
        drop=_names(asked.drop, config.drop),
        allow_loss=config.allow_loss if asked.allow_loss is None else asked.allow_loss,
        seed=seed if asked.seed is None else asked.seed,
        corpus=asked.corpus,
    )


def _names(given: str | None, default: Sequence[str]) -> tuple[str, ...]:
    if given is None:
        return tuple(default)
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _describe(made: Curated) -> str:
    manifest = made.manifest
    totals = manifest.totals()
    order = ",".join(str(curriculum["name"]) for curriculum in manifest.curricula)
    lines = [
        "{rows:,} rows in = {kept:,} kept + {dropped:,} dropped + {errored:,} errored".format(**totals),
        f"order: {order}, seed {manifest.seed}; {manifest.unranked:,} kept rows without a rank follow in corpus order",
    ]
    for rule in manifest.drop:
        lines.append(f"dropped by {rule}: {sum(shard.dropped_by.get(rule, 0) for shard in manifest.inputs):,} rows")
    if totals["edited"]:
        columns = ", ".join(sorted({series.original for series in manifest.series if series.original}))
        lines.append(
            f"answers replaced: {totals['edited']:,} rows; what stood there is kept in the last column ({columns})"
        )
    size = sum(receipt.size_bytes for receipt in manifest.data) / 1e6
    data = made.path.parent / "data"
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


def printable_table(foreseen: Preview) -> str:
    """What would happen, a line a source and the total, in aligned columns."""
    rules = list(foreseen.drop)
    head = ["source", "rows in", *rules, "kept", "lost", "unscored", "words kept", "mean score", "after"]
    body = [
        [
            printable(counts.name),
            f"{counts.rows:,}",
            *(f"{counts.dropped[rule]:,}" for rule in rules),
            f"{counts.kept:,}",
            f"{counts.lost_share:.1%}",
            f"{counts.unscored:,}",
            "-" if counts.words is None else f"{counts.words:,}",
            _score(counts.score_before),
            _score(counts.score_after),
        ]
        for counts in (*foreseen.tally.sources, foreseen.tally.total())
    ]
    widths = [max(len(row[at]) for row in (head, *body)) for at in range(len(head))]
    lines = [_aligned(row, widths) for row in (head, *body)]
    lines.insert(1, "-" * len(lines[0]))
    lines.insert(-1, "-" * len(lines[0]))
    order = ",".join(curriculum.name for curriculum in foreseen.curricula)
    dropped = f"dropped: {', '.join(rules)}" if rules else "dropped: nothing (--drop names rules)"
    lines.append(
        f"order: {order}; {dropped}; a row hit by several rules counts at the first; score: mean AI score, 0 to 1"
    )
    return "\n".join([*lines, "nothing was written"])


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if at == 0 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest])


def _files(number: int) -> str:
    return f"{number:,} file{'' if number == 1 else 's'}"
