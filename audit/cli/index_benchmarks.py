"""`foxing index-benchmarks`: make the index of benchmark items that a scan looks for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common, printable, use_system_memory_pool

if TYPE_CHECKING:
    from audit.benchmarks import Item
    from audit.clean_text import CleanText, Sighting
    from audit.rules import Rule
    from detectors.benchmark_index import BenchmarkIndex, FalseFlags

RULE = "FX303"
_LEAST_WORDS, _LEAST_N, _MOST_N = 8, 8, 1000
_NAMED = 5
EXAMPLES = """\b
Examples:
  foxing index-benchmarks mmlu/ arc.jsonl -o benchmarks.idx --clean web-2018/
  foxing index-benchmarks gsm8k.parquet -o gsm8k.idx --name gsm8k --n 8
  foxing scan corpus/ -o audit --benchmarks benchmarks.idx
"""


@click.command("index-benchmarks", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=PLACE)
@click.option(
    "-o",
    "--output",
    "output",
    metavar="IDX",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the index.",
)
@click.option("--name", help="Benchmark of files that do not name it in a column; else the file's name.")
@click.option("--n", "lengths", multiple=True, metavar="N|NAME=N", help="Words of an n-gram, 8 or more. Repeatable.")
@click.option("--clean", multiple=True, metavar="PATH", help="Text that cannot hold the benchmarks. Repeatable.")
@click.option("--clean-column", metavar="COLUMN", help="Text column of the clean text. Found by convention.")
@click.option("--clean-time", metavar="COLUMN", help="Column of dates of the clean text.")
@click.option("--clean-before", metavar="DATE", help="Of the clean text take only rows of an earlier date.")
@click.option("--seed", type=int, help="Which half of the clean text is learned from and which is measured.")
@common
def command(
    session: Session,
    /,
    files: tuple[str, ...],
    output: Path,
    name: str | None,
    lengths: tuple[str, ...],
    clean: tuple[str, ...],
    **chosen: object,
) -> None:
    """Index the items of FILES (Parquet, JSONL, CSV or Arrow; files, folders, globs) for `foxing scan --benchmarks`.

    The index holds hashes of words and no text. Phrases that stand in the --clean text do not count as leakage, and the
    rate at which such text is flagged is stored with the index: without it `foxing check` gives no verdict.
    """
    use_system_memory_pool()
    from audit.benchmarks import index_items, read_items
    from audit.replacing import replacing
    from audit.rules import find, rules_from

    rule = find(rules_from(session.config.rules), RULE)
    items = read_items(files, name=name)
    index = index_items(items, n=_lengths(lengths, sorted({item.benchmark for item in items})))
    notes: list[str] = _unresolved(items)
    if clean:
        index, learned = _cleaned(session, index, _clean_text(session, clean, chosen), rule)
        notes += learned
    else:
        notes.append("no --clean text: stop-grams and the false-flag rate are unknown, and check will give no verdict")
    with replacing(output) as stream:
        stream.write(index.to_bytes())
    session.result("\n".join([*_table(index), f"{len(index):,} items in {output}, digest {index.digest[:12]}"]))
    for note in notes:
        session.note(note)


def _lengths(given: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Words of an n-gram for each benchmark, of `N` and `NAME=N`."""
    from audit.expressions import nearest
    from detectors.benchmark_index import DEFAULT_N
    from detectors.errors import ConfigError

    everywhere, own = DEFAULT_N, dict[str, int]()
    for text in given:
        name, _, digits = text.rpartition("=")
        if not digits.isdecimal() or not _LEAST_N <= int(digits) <= _MOST_N:
            raise ConfigError(f"--n {text!r} is not N or NAME=N with N from {_LEAST_N} to {_MOST_N}. Write --n 13.")
        if not name:
            everywhere = int(digits)
        elif name in names:
            own[name] = int(digits)
        else:
            raise ConfigError(f"--n {text!r}: no benchmark {name!r}. {nearest(name, list(names))}")
    return {name: own.get(name, everywhere) for name in names}


def _clean_text(session: Session, paths: Sequence[str], chosen: Mapping[str, object]) -> CleanText:
    from audit.clean_text import CleanText
    from audit.corpus import Corpus

    names = {"seed": "seed", "clean_column": "text", "clean_time": "time", "clean_before": "before"}
    given = {names[option]: value for option, value in chosen.items() if value is not None}
    clean = CleanText(Corpus.open(list(paths)), session.config.scan.seed)
    return dataclasses.replace(clean, **given)  # type: ignore[arg-type]


def _cleaned(session: Session, index: BenchmarkIndex, clean: CleanText, rule: Rule) -> tuple[BenchmarkIndex, list[str]]:
    """The index with what clean text teaches, and what people should know of it."""
    from audit.clean_text import learn_stops, measure_flags

    total = 2 * sum(shard.size_bytes for shard in clean.corpus.shards)
    done = 0
    with session.progress("clean text") as bar:

        def show(size: int) -> None:
            nonlocal done
            done += size
            bar.update(done / 1e6, total / 1e6)

        learned = learn_stops(index, clean, show)
        measured = measure_flags(learned.index, clean, rule, show)
    notes = [f"stop-grams learned from {learned.documents:,} documents; {rule.id} is: {rule.when}"]
    notes += _sighted("more than half of it stands in clean text, so it has no stop-grams", learned.sightings)
    notes += _sighted("flagged in clean text", measured.sightings)
    return measured.index, notes


def _sighted(what: str, sightings: Sequence[Sighting]) -> Iterator[str]:
    for one in sightings[:_NAMED]:
        yield f"{one.benchmark} {one.item}: {what}: {one.uri} row {one.row}"
    if len(sightings) > _NAMED:
        yield f"and {len(sightings) - _NAMED:,} more that are {what.split(',')[0]}"


def _unresolved(items: Sequence[Item]) -> list[str]:
    found = [item for item in items if item.text.is_unresolved]
    if not found:
        return []
    return [f"{found[0].uri}: {len(found):,} answers name no option, the first in row {found[0].row}"]


def _table(index: BenchmarkIndex) -> list[str]:
    import numpy as np

    sizes = np.diff(index.offsets)
    names = np.array(index.benchmarks.to_pylist(), object)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    stops = np.bincount(owners[index.stops], minlength=len(sizes))
    items = Counter(names.tolist())
    rows = [("benchmark", "items", "too short", "n", "stop-grams", "false flags", "95 % interval", "clean documents")]
    for name, n in index.n.items():
        own = names == name
        grams = int(np.maximum(sizes[own] - _LEAST_WORDS + 1, 0).sum())
        short, stopped = int((sizes[own] < _LEAST_WORDS).sum()), int(stops[own].sum())
        rows.append((name, f"{items[name]:,}", f"{short:,}", str(n), f"{stopped:,} of {grams:,}", *_rate(index, name)))
    if len(index.n) > 1:
        rows.append(("all", f"{len(index):,}", "", "", "", *_rate(index, None)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        printable("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        for row in rows
    ]


def _rate(index: BenchmarkIndex, name: str | None) -> tuple[str, str, str]:
    """Share of clean documents that are flagged for a benchmark, or for any; its interval; hits of n."""
    from audit.intervals import wilson

    flags = index.false_flags
    if flags is None:
        return "unknown", "", ""
    hits = flags.flagged if name is None else flags.by_benchmark.get(name, 0)
    found = wilson(hits, flags.documents)
    return _percent(hits / flags.documents), f"{_percent(found.low)} to {_percent(found.high)}", _of(hits, flags)


def _percent(share: float) -> str:
    # Finer than elsewhere: one document in ten thousand is what matters here.
    return f"{100 * share:.4f} %" if share else "0 %"


def _of(hits: int, flags: FalseFlags) -> str:
    return f"{hits:,} of {flags.documents:,}"
