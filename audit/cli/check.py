"""`foxing check`: judge findings, or scan and judge, and exit by the verdict."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.completing import RULES
from audit.cli.options import CONTEXT, PLACE, Session, common, use_system_memory_pool

if TYPE_CHECKING:
    from audit.assessment import Assessment
    from audit.calibrate import Calibration
    from audit.config import CheckConfig
    from audit.findings_folder import Findings
    from audit.rules import Rule

EXAMPLES = """\b
Examples:
  foxing check audit
  foxing check corpus/*.parquet --budget FX101=0.02 --format github
  foxing check audit --select FX1 --strict --statistics
  foxing check 's3://bucket/web/*.parquet' --sample
  foxing check audit --baseline last-week.json --format sarif --output-file foxing.sarif
"""


@click.command("check", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True, type=PLACE)
@click.option(
    "--format", "format_name", default="text", show_default=True, help="text, json, github, sarif, or an installed one."
)
@click.option(
    "--output-file", type=click.Path(path_type=Path, dir_okay=False), help="Write there instead of to stdout."
)
@click.option(
    "--select",
    multiple=True,
    type=RULES,
    help="Judge only rules that begin so: FX101, FX1. Repeatable or comma-separated.",
)
@click.option(
    "--ignore", multiple=True, type=RULES, help="Leave out rules that begin so. Repeatable or comma-separated."
)
@click.option("--budget", multiple=True, metavar="ID=SHARE", help="Share tolerated, 0 to 1. Repeatable.")
@click.option(
    "--strict", is_flag=True, help="Judge FX101 by the upper end of its interval, and take undecided for over budget."
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="OLD.json",
    help="An earlier --format json: fail only on what is new or worse than there.",
)
@click.option(
    "--sample", is_flag=True, help="Judge PATHS by a random sample that stops as soon as every budget is cleared."
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=200_000,
    show_default=True,
    help="With --sample: most rows to measure; what is not clear by then is undecided.",
)
@click.option(
    "--error-rate",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="With --sample: chance that any verdict is wrong because of the rows drawn.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 when over budget; 2 stays 2.")
@click.option("--statistics", is_flag=True, help="Add every rule's table by source, and the lexical profile.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Random sample of rows with shard, row and label (0 human, 1 machine), for FX101: Parquet, CSV or JSONL.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --statistics: folder of another scan, to which distances of form and words are measured.",
)
@common
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    format_name: str,
    output_file: Path | None,
    exit_zero: bool,
    statistics: bool,
    **chosen: object,
) -> None:
    """Judge a scan's folder, or scan PATHS into a temporary folder and judge that.

    Exit status: 0 within budget, 1 over budget, 2 when something could not be read. With -v the text names every worst
    row kept and explains the rules over budget. With --sample PATHS are files that nobody scanned.
    """
    use_system_memory_pool()
    from audit.formats import FORMATS, View, render
    from audit.replacing import replacing
    from audit.rules import choose, rules_from
    from detectors.registry import load

    load(FORMATS, format_name)
    _refuse_idle(statistics, chosen)
    rules = rules_from(session.config.rules)
    config = _configured(session.config.check, chosen, rules)
    choose(rules, config.select, config.ignore)
    baseline = _path(chosen["baseline"])
    old = None
    if baseline is not None:
        from audit.baseline import read_baseline

        old = read_baseline(baseline)
    if chosen["sample"]:
        from audit.cli.check_sample import refuse_with_sample, sampled

        refuse_with_sample(paths, chosen, is_scan=_is_scan(paths), statistics=statistics)
        assessment = sampled(session, paths, config, chosen, old)
    else:
        assessment = _whole(session, paths, config, chosen, statistics)
    _refuse_unjudged(assessment)
    if old is not None:
        from audit.baseline import against

        assessment = against(assessment, old)
    _warn(session, assessment)
    color = session.color and output_file is None
    text = render(format_name, assessment, View(color=color, statistics=statistics, verbose=session.verbose))
    if output_file is None:
        session.result(text)
    else:
        with replacing(output_file) as stream:
            stream.write((text + "\n").encode())
    if assessment.exit_code and not (exit_zero and assessment.exit_code == 1):
        raise SystemExit(assessment.exit_code)


def _whole(
    session: Session, paths: Sequence[str], config: CheckConfig, chosen: Mapping[str, object], statistics: bool
) -> Assessment:
    """Judge every row of a scan, which is made now where there is none."""
    from audit.assess import assess
    from audit.calibrate import tables_of
    from audit.evidence import Evidence
    from audit.format_profile import format_profile
    from audit.profile import corpus_profile
    from audit.rules import rules_from
    from audit.two_phase import Labels

    labels, other = (_path(chosen[name]) for name in ("labels", "reference"))
    with _opened(session, paths) as findings:
        evidence = Evidence(tables_of(findings), Labels.read(labels) if labels else None)
        assessment = assess(
            findings,
            rules_from(session.config.rules),
            budgets=config.budget,
            select=config.select,
            ignore=config.ignore,
            strict=config.strict,
            evidence=evidence,
        )
        if statistics:
            form = format_profile(findings, reference=session.findings(other) if other else None)
            assessment = dataclasses.replace(assessment, profile=corpus_profile(findings), form=form)
        unused = _unused(evidence.tables, findings, assessment)
    if unused:
        session.warn(unused)
    return assessment


def _refuse_idle(statistics: bool, chosen: Mapping[str, object]) -> None:
    """Options that would change nothing are a mistake: the check would not be the one that was meant."""
    from click.core import ParameterSource

    from detectors.errors import ConfigError

    if chosen["reference"] is not None and not (statistics or chosen["sample"]):
        raise ConfigError("--reference: only --statistics compares with it. Add that, or leave it out.")
    context = click.get_current_context()
    for name in () if chosen["sample"] else ("max_rows", "error_rate"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise ConfigError(f"--{name.replace('_', '-')}: is about a sample. Add --sample, or leave it out.")


def _refuse_unjudged(assessment: Assessment) -> None:
    """A gate that judged nothing must not look as if it had."""
    from audit.assessment import Verdict
    from detectors.errors import ConfigError

    if assessment.failed or any(result.verdict is not Verdict.NOT_APPLICABLE for result in assessment.results):
        return
    why = "; ".join(f"{result.rule.id} ({result.reason})" for result in assessment.results) or "none was chosen"
    raise ConfigError(f"no rule could be judged: {why}. Choose others with --select and --ignore, or scan for these.")


def _warn(session: Session, assessment: Assessment) -> None:
    """What an exit of 0 must not hide."""
    undecided = ", ".join(result.rule.id for result in assessment.undecided)
    if undecided and not (assessment.over or assessment.strict or assessment.failed):
        session.warn(
            f"undecided: {undecided}. The sample ended before their intervals cleared the budget; "
            "--max-rows allows more, --strict fails on it."
        )
    if assessment.baseline is not None:
        for warning in assessment.baseline.warnings:
            session.warn(f"baseline: {warning}")


def _configured(config: CheckConfig, chosen: Mapping[str, object], rules: Sequence[Rule]) -> CheckConfig:
    """The settings of `check` with the options given on the command line in their place."""
    return dataclasses.replace(
        config,
        select=_listed(chosen["select"]) or config.select,
        ignore=_listed(chosen["ignore"]) or config.ignore,
        budget=_budgets(config.budget, _texts(chosen["budget"]), rules),
        strict=bool(chosen["strict"]) or config.strict,
    )


def _unused(tables: Calibration | None, findings: Findings, assessment: Assessment) -> str | None:
    """Says that the user's reference is by groups of a column that these findings do not have."""
    from audit.calibrate import OwnCalibration

    if not isinstance(tables, OwnCalibration) or tables.own.by is None:
        return None
    own = tables.own
    if own.by in (findings.by, findings.domain) or own.groups.keys() & assessment.sources.keys():
        return None
    return (
        f"{findings.reference}: is by {own.by}, which the scan did not carry, so it judged no row. "
        f"Scan with --by {own.by} or --domain-column {own.by}."
    )


def _path(value: object) -> Path | None:
    return value if isinstance(value, Path) else None


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, tuple) else ()


def _listed(values: object) -> tuple[str, ...]:
    return tuple(piece.strip() for value in _texts(values) for piece in value.split(",") if piece.strip())


def _budgets(configured: Mapping[str, float], given: Sequence[str], rules: Sequence[Rule]) -> dict[str, float]:
    from audit.rules import find
    from detectors.errors import ConfigError

    budgets = {find(rules, rule_id).id: value for rule_id, value in configured.items()}
    for text in given:
        rule_id, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1:
            raise ConfigError(f"--budget {text!r} is not ID=SHARE. Write, for example, --budget FX101=0.02.")
        budgets[find(rules, rule_id).id] = number
    return budgets


def _is_scan(paths: Sequence[str]) -> bool:
    from audit.findings_folder import RECORD

    return len(paths) == 1 and ((Path(paths[0]) / RECORD).is_file() or (Path(paths[0]) / "findings").is_dir())


@contextmanager
def _opened(session: Session, paths: Sequence[str]) -> Iterator[Findings]:
    if _is_scan(paths):
        yield session.findings(Path(paths[0]))
        return
    with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
        scanned = _scanned(session, paths, Path(folder) / "scan")
        yield dataclasses.replace(scanned, reference=session.config.reference)


def _scanned(session: Session, paths: Sequence[str], folder: Path) -> Findings:
    from audit.cascade import with_tier
    from audit.scan_run import Progress, scan

    config = session.config
    if "tier" in config.signals.get("ai_text", {}):
        config = with_tier(config)
    with session.progress("scan") as bar:

        def show(progress: Progress) -> None:
            done, total, text = (
                size / 1e6 for size in (progress.done_bytes, progress.total_bytes, progress.text_bytes)
            )
            bar.update(done, total, f"  {progress.rows:,} rows", text_mb=text)

        return scan(paths, folder, config, on_progress=show).findings
