"""`foxing probe`: what a model knows of the facts in a corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, executor_options, placed
from detectors.packaged_models import DEFAULT, PACKAGED

if TYPE_CHECKING:
    from audit.config import Config
    from audit.corpus import Corpus
    from audit.findings_folder import Findings

EXAMPLES = """\b
Examples:
  foxing probe qa.parquet -o probed --model HuggingFaceTB/SmolLM2-135M
  foxing probe qa.jsonl -o probed --model ./model --pool exemplars.jsonl
  foxing probe qa.jsonl -o probed --generate my_client:generate
  foxing probe web.parquet -o probed --model ./model --cloze 4 --by domain
"""
_FACTS = 128


@click.command("probe", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True, type=PLACE)
@click.option("-o", "--output", "directory", metavar="DIR", required=True, help="Folder for the findings.", type=PLACE)
@click.option(
    "--model",
    metavar="M",
    help=f"Causal language model: folder, GGUF file, hub id, or {' or '.join(PACKAGED)} ({DEFAULT}).",
)
@click.option("--pool", metavar="FILE", help=f"Exemplars; by default {_FACTS} facts of each relation of PATHS.")
@click.option("--question", metavar="COL", help="Column of the question. Found by convention when not given.")
@click.option("--answers", metavar="COL", help="Column of the answer, or of a list of accepted ones.")
@click.option("--relation", metavar="COL", help="Column of the kind of fact ('relation' where there is one).")
@click.option(
    "--estimator",
    type=click.Choice(["exact", "sampled"]),
    help="exact (default): right answers are read; sampled: 170 answers a question are drawn.",
)
@click.option(
    "--generate", metavar="MODULE:FUNCTION", help="Instead of a model, a function that answers prompts; sampled."
)
@click.option(
    "--cloze",
    type=click.IntRange(1),
    metavar="N",
    help="Plain text: ask for up to N dates, numbers and names that end a clause of each document.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Of the shares that --cloze finds."
)
@click.option("--by", help="Column whose values are the sources.")
@click.option("--fresh", is_flag=True, help="Throw away what an earlier probe left in the folder.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where the model runs.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes, each with a model.")
@executor_options
@common
def command(
    session: Session,
    /,
    paths: tuple[str, ...],
    directory: str,
    model: str | None,
    pool: str | None,
    workers: int,
    cloze: int | None,
    fresh: bool,
    executor: str | None,
    ray_address: str | None,
    **chosen: str | None,
) -> None:
    """Put every question of PATHS to a model, and say how well it knows the answer (SliCK categories).

    Findings go to DIR, one a row, in the column `knowledge`; a killed probe goes on where it was. Training on Unknown
    facts teaches a model to make things up: see `foxing rule FX401`. Rows that the model contradicts, with an answer
    that it is sure of, are FX403.

    With the pool that a probe leaves in DIR a scan measures the same (`foxing scan --signals knowledge`, with model and
    pool under `[tool.foxing.signal.knowledge]`).

    Plain text has no questions. With --cloze the model is asked for dates, numbers and names at the end of clauses, in
    the column `cloze`, and the share that it does not know is printed by source: see `foxing signals cloze`.
    """
    from audit.cli.probe_cloze import cloze_config, described
    from audit.destination import EXEMPLARS, refuse_foreign
    from audit.scan_run import Progress, scan

    if fresh:
        refuse_foreign(Path(directory))
    form = chosen.pop("form")
    if cloze is not None:
        config = cloze_config(session, cloze, model, {**chosen, "pool": pool})
    elif form == "json":
        raise click.UsageError("--format json is for the shares that --cloze finds; see foxing findings for others.")
    else:
        config = _configured(session, paths, Path(directory), model, pool, {**chosen, "fresh": fresh})
    config = dataclasses.replace(config, scan=dataclasses.replace(config.scan, workers=workers))
    config = placed(config, executor, ray_address)
    with session.progress("probe") as bar:

        def show(progress: Progress) -> None:
            bar.update(progress.done_bytes / 1e6, progress.total_bytes / 1e6, f"  {progress.rows:,} rows")

        findings = scan(paths, directory, config, fresh=fresh, on_progress=show).findings
    if fresh:
        _forget_pool(Path(directory) / EXEMPLARS, None if cloze is not None else config)
    session.result(_described(findings) if cloze is None else described(findings, form or "text"))
    for failed in findings.failed:
        session.error(failed.message)
    if findings.failed:
        raise SystemExit(2)


def _configured(
    session: Session,
    paths: tuple[str, ...],
    directory: Path,
    model: str | None,
    pool: str | None,
    chosen: Mapping[str, str | bool | None],
) -> Config:
    from audit.corpus import Corpus
    from audit.destination import EXEMPLARS, refuse_foreign
    from audit.exemplar_pool import columns_of_questions, make_pool
    from detectors.hub import located

    config = session.config
    settings = dict(config.signals.get("knowledge", {}))
    settings |= {name: value for name, value in (("model", model), ("pool", pool)) if value is not None}
    settings |= {name: value for name in ("estimator", "generate") if (value := chosen[name]) is not None}
    if chosen["generate"] is not None:
        if model is not None:
            raise click.UsageError("--model and --generate are two ways to say who answers. Name one.")
        settings = {"estimator": "sampled", **settings, "model": ""}
    if not settings.get("model") and not settings.get("generate"):
        settings["model"] = DEFAULT
    if settings.get("model"):
        located(str(settings["model"]), "--model")
    corpus = Corpus.open(list(paths))
    if chosen["question"] is None and "question" not in settings:
        names = ("question", "answers", "relation")
        settings |= dict(zip(names, columns_of_questions(corpus), strict=True))
    for name in ("question", "answers", "relation"):
        if (value := chosen[name]) is not None:
            settings[name] = value
    columns = (str(settings["question"]), str(settings.get("answers", "answers")), str(settings.get("relation", "")))
    if "pool" not in settings:
        path = directory / EXEMPLARS
        if chosen["fresh"] or not path.exists():
            refuse_foreign(directory)
            made = make_pool(corpus, columns, facts=_FACTS).to_bytes()
            directory.mkdir(parents=True, exist_ok=True)
            spare = directory / f".{EXEMPLARS}.tmp"
            spare.write_bytes(made)
            spare.replace(path)
        settings["pool"] = str(path)
    changes: dict[str, object] = {name: chosen[name] for name in ("by", "device") if chosen[name] is not None}
    text = _text_column(corpus, columns)
    scan = dataclasses.replace(
        config.scan,
        signals=("document", "knowledge"),
        stages=(),
        sketches=False,
        text=config.scan.text or text,
        **changes,  # type: ignore[arg-type]
    )
    return dataclasses.replace(config, scan=scan, signals={**config.signals, "knowledge": settings})


def _forget_pool(left: Path, config: Config | None) -> None:
    """Remove the pool that an earlier probe left, unless it is what this one asked with."""
    pool = config.signals["knowledge"]["pool"] if config is not None else ""
    if not (pool and left.exists() and left.samefile(str(pool))):
        left.unlink(missing_ok=True)


def _text_column(corpus: Corpus, columns: tuple[str, str, str]) -> str | None:
    """The question, as text; None where rows are read as question and answer anyhow: those can be relabelled."""
    from audit.layout import find_layout
    from audit.readers.protocol import ShardError

    shard = corpus.shards[0]
    try:
        read = find_layout(shard.reader.names(), shard.uri).columns
    except ShardError:
        return columns[0] or None
    return None if (read[0], read[-1]) == columns[:2] else columns[0] or None


def _described(findings: Findings) -> str:
    """Shares of the categories, as measured and corrected for chance, with 95 % intervals."""
    from collections import Counter

    from audit.prevalence import wilson
    from detectors.slick import Category

    counts: dict[str, Counter[str | None]] = {"category": Counter(), "corrected": Counter()}
    for part in findings.parts({"knowledge": frozenset(counts)}):
        for name, counter in counts.items():
            counter.update(part["knowledge"].struct.field(name).to_list())
    n = sum(count for label, count in counts["category"].items() if label is not None)
    lines = [
        f"{findings.rows:,} rows, {n:,} with a question and an answer",
        "",
        "category      share    95 % interval    corrected for chance",
    ]
    for category in Category:
        hits, corrected = (counts[name][category.label] for name in ("category", "corrected"))
        interval = wilson(hits, n)
        lines.append(
            f"{category.label:<12} {_percent(hits, n)}  {100 * interval.low:5.1f} to {100 * interval.high:5.1f} %"
            f"    {_percent(corrected, n)}"
        )
    return "\n".join([*lines, "", f"signature {findings.signature()}", f"findings in {findings.directory}"])


def _percent(hits: int, n: int) -> str:
    return f"{100 * hits / n:5.1f} %" if n else "      -"
