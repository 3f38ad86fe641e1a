"""`foxing scan`: measure a corpus and write findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.completing import SIGNALS, STAGES
from audit.cli.options import CONTEXT, PLACE, Session, common, executor_options, placed, use_system_memory_pool

if TYPE_CHECKING:
    from audit.cli.options import Bar
    from audit.config import Config
    from audit.estimate import Estimate
    from audit.scan_part import PartResult
    from audit.scan_run import Progress, ScanResult

_RATE_BYTES = 20_000_000
EXAMPLES = """\b
Examples:
  foxing scan corpus/ -o audit
  foxing scan 's3://bucket/data/*.parquet' -o audit --by domain
  zcat dump.jsonl.gz | foxing scan - -o audit
  foxing scan corpus/ -o audit --part 3/16 && foxing scan corpus/ -o audit
"""


@click.command("scan", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True, type=PLACE)
@click.option("-o", "--output", "directory", metavar="DIR", required=True, help="Folder for the findings.", type=PLACE)
@click.option("--signals", type=SIGNALS, help="Signals to measure, comma-separated (see: foxing signals).")
@click.option("--text", help="Text column. Found by convention when not given.")
@click.option("--by", help="Column whose values are the sources. Each file is one when not given.")
@click.option("--domain-column", help="Column whose values are the domains that reports break shares down by.")
@click.option("--time-column", help="Column of dates that reports break shares down by.")
@click.option("--ai-tier", help="Detector of ai_text: fast (default), encoder, custom or cascade.")
@click.option("--ai-model", metavar="M", help="Model of the other tiers: folder, file or hub id.")
@click.option("--ai-rows", type=click.IntRange(1), help="Rows that a cascade judges with the model.")
@click.option(
    "--ai-minutes", type=click.FloatRange(0, min_open=True), help="The same as a time, turned into rows first."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where models run.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes, each with a core to itself; 0 (default) is one a core, 1 runs in this process.",
)
@executor_options
@click.option("--part", metavar="I/N", help="Measure one of N parts; finish with a scan without --part.")
@click.option("--seed", type=int, help="Seed, recorded in every number's signature.")
@click.option(
    "--sketches/--no-sketches",
    default=None,
    help="Keep corpus sketches (distinct n-grams, growth curves, frequent phrases) beside the findings; on by default.",
)
@click.option(
    "--stages",
    type=STAGES,
    help="What to find over the whole corpus at its end, comma-separated ('': nothing; default: all there are).",
)
@click.option(
    "--benchmarks", metavar="IDX", help="Index of benchmark items to look for (see: foxing index-benchmarks)."
)
@click.option("--reference", metavar="DIR", help="Scan of rows that stay: duplicates of theirs are reported.")
@click.option("--update", is_flag=True, help="Measure files that have changed anew, instead of refusing them.")
@click.option("--fresh", is_flag=True, help="Throw away what is in the folder and start over.")
@click.option(
    "--dry-run", is_flag=True, help="Predict bytes, rows, time and findings size from a timed sample; write nothing."
)
@common
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    directory: str,
    update: bool,
    fresh: bool,
    dry_run: bool,
    part: str | None,
    executor: str | None,
    ray_address: str | None,
    **chosen: object,
) -> None:
    """Measure PATHS (files, folders, globs, URLs, or - for JSONL on standard input) and write findings.

    A killed or interrupted scan goes on where it was when the same command runs again. No threshold is applied here:
    rules judge findings later, so a new rule never rereads the corpus.

    With --part any number of processes, on one machine or many, measure a part each into the same DIR. When all are
    done, the same command without --part looks at the corpus as a whole and makes DIR ready to be read.
    """
    use_system_memory_pool()
    config = _configured(placed(session.config, executor, ray_address), chosen)
    if part is not None:
        from audit.cli.scan_part import run_part

        run_part(session, paths, directory, part, config, alone=not (fresh or dry_run))
        return
    if dry_run:
        from audit.estimate import estimate

        with session.progress("sample"):
            found = estimate(paths, config)
        session.result(_describe_estimate(found))
        return
    from audit.reused import forgotten_reference, refuse_unmet
    from audit.scan_run import scan

    if chosen["stages"] is not None:
        refuse_unmet(config, directory, fresh=fresh)
    forgotten = None if fresh else forgotten_reference(config, directory)
    if update and not fresh:
        from audit.changed_files import forget_changed

        for uri in forget_changed(paths, directory):
            session.note(f"{uri}: has changed and is measured anew")
    with session.progress("scan") as bar:
        result = scan(paths, directory, config, fresh=fresh, on_progress=bar_of(bar))
    session.result(_describe(result, directory))
    if session.verbose:
        for shard in result.findings.shards:
            session.note(
                f"{shard.uri}: {_count(shard.rows, 'row')} read as {shard.layout}, {_count(len(shard.parts), 'part')}"
            )
    if result.skipped:
        names = ", ".join(result.skipped[:3]) + (", ..." if len(result.skipped) > 3 else "")
        session.note(f"passed over {_count(len(result.skipped), 'file')} of no known format: {names}")
    if forgotten is not None:
        session.warn(
            f"{directory}: was scanned with --reference {forgotten}, and now without one: copies of its rows are no "
            "longer reported. Name it again to have them."
        )
    absent = set(config.scan.stages) - {signal.name for signal in result.findings.measured}
    if chosen["stages"] is not None and absent:
        names = " and ".join(sorted(absent))
        session.warn(
            f"--stages {names}: did not run, for what was measured does not fit. foxing signals says what it reads; "
            "duplicates needs whole signatures (near_dup with bits = 0)."
        )
    for uri in result.gone:
        session.warn(f"{uri}: is gone from the folder that was scanned again, and so from this audit.")
    for failed in result.findings.failed:
        session.error(failed.message)
    if result.findings.failed:
        raise SystemExit(2)


def bar_of(bar: Bar) -> Callable[[Progress], None]:
    """What shows the progress of a scan."""

    def show(progress: Progress) -> None:
        bar.label = "scan" if progress.phase == "measure" else progress.phase
        text_mb = progress.text_bytes / 1e6 if progress.phase == "measure" else None
        done, total = progress.done_bytes / 1e6, progress.total_bytes / 1e6
        bar.update(done, total, f"  {progress.rows:,} rows", text_mb=text_mb)

    return show


def _configured(config: Config, chosen: Mapping[str, object]) -> Config:
    given = {name: value for name, value in chosen.items() if value is not None}
    reference, index = given.pop("reference", None), given.pop("benchmarks", None)
    detector = {name: given.pop(f"ai_{name}", None) for name in ("tier", "model", "rows", "minutes")}
    for listed in ("signals", "stages"):
        if listed in given:
            given[listed] = tuple(name.strip() for name in str(given[listed]).split(",") if name.strip())
    signals = dict(config.signals)
    stages = dict(config.stages)
    # Paths are recorded, and read again from wherever the next command runs.
    if reference is not None:
        stages["duplicates"] = {**stages.get("duplicates", {}), "reference": str(Path(str(reference)).absolute())}
    if index is not None:
        signals["leakage"] = {**signals.get("leakage", {}), "index": str(Path(str(index)).absolute())}
        named = given.get("signals", config.scan.signals)
        assert isinstance(named, tuple)
        given["signals"] = tuple(dict.fromkeys((*named, "leakage")))
    scan = dataclasses.replace(config.scan, **given)  # type: ignore[arg-type]
    configured = dataclasses.replace(config, scan=scan, signals=signals, stages=stages)
    if all(value is None for value in detector.values()) and "tier" not in signals.get("ai_text", {}):
        return configured
    from audit.cascade import with_tier
    from detectors.errors import ConfigError

    asked = [f"--ai-{name}" for name, value in detector.items() if value is not None]
    if asked and "ai_text" not in configured.scan.signals:
        raise ConfigError(f"{asked[0]}: is for the signal ai_text, which is not measured. Add it to --signals.")
    return with_tier(configured, **detector)  # type: ignore[arg-type]


def _describe(result: ScanResult, directory: str) -> str:
    findings = result.findings
    names = ", ".join(signal.name for signal in findings.measured)
    lines = [f"{findings.rows:,} rows in {_count(len(findings.shards), 'shard')}: {names}"]
    lines += measured_lines(result)
    if findings.failed:
        lines.append(
            f"{_count(len(findings.failed), 'shard')} could not be read (named below); the others are complete"
        )
    lines += [f"signature {findings.signature()}", f"findings in {directory}. Next: foxing check {directory}"]
    return "\n".join(lines)


def measured_lines(result: ScanResult | PartResult) -> list[str]:
    """What was measured now, at which rate, and what failed on single rows."""
    lines = ["measured now: nothing, all findings were there"]
    if result.measured_rows:
        # Compiling kernels drowns the rate of a small corpus.
        large = result.text_bytes >= _RATE_BYTES
        rate = f" ({result.text_bytes / 1e6 / result.cpu_s:,.1f} MB/s a worker)" if large else ""
        lines = [
            f"measured now: {result.measured_rows:,} rows, {result.text_bytes / 1e6:,.1f} MB of text "
            f"in {result.wall_s:.1f} s{rate}"
        ]
    if result.faults:
        lines.append(f"{result.faults:,} measurements failed on single rows; foxing check counts them under FX901")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _describe_estimate(found: Estimate) -> str:
    return (
        f"{_count(found.shards, 'shard')}, {found.rows:,} rows{'' if found.rows_exact else ' (estimated)'}, "
        f"{found.text_bytes / 1e6:,.1f} MB of text\n"
        f"time: {found.wall_s:,.0f} s with {found.workers} workers ({found.rate_mb_s:,.1f} MB/s a worker, "
        f"timed on {found.sample_rows:,} rows)\n"
        f"findings: {found.findings_bytes / 1e6:,.1f} MB in {found.signals} signals\n"
        "nothing was written"
    )
