"""How well planted benchmark items are found, and how often human text is flagged for one.

    python -m tests.bench.leakage [--no-peers] [--dry] [--out FOLDER]

300 items are put into human documents: whole, as the question alone, cut in two, and with a tenth or a fifth of their
words replaced by other words. An edited item can be found only where enough words in a row are left: `reach` is the
share of planted items that still hold a run of n words of the item (all of a shorter item), which no search for
n-grams can beat. Unless told otherwise, decon looks through the same rows (`tests.bench.leakage_peers`).
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from audit.benchmarks import Item, index_items, read_items
from audit.clean_text import CleanText, learn_stops, measure_flags
from audit.config import Config, ScanConfig
from audit.corpus import Corpus
from audit.rulebook import DEFAULTS, Rule
from audit.rules import decided, evaluate
from audit.scan_run import scan
from detectors.benchmark_index import BenchmarkIndex
from detectors.documents import Documents
from tests.bench import corpora, report
from tests.bench.detector_stats import Rate
from tests.bench.leakage_peers import by_decon
from tests.bench.machine import machine

SCHEMA = "foxing-bench-leakage"
_ITEMS, _SEED, _LEAST_WORDS = 300, 17, 8
_CONDITIONS = (
    "leakage.hits > 0",
    "leakage.item_share >= 0.2 OR leakage.item_covered >= 20",
    "leakage.item_share >= 0.3 OR leakage.item_covered >= 25",
    "leakage.item_share >= 0.5 OR leakage.item_covered >= 50",
    "leakage.item_share >= 0.5",
    "leakage.item_share >= 0.8",
)
_WORD = re.compile(r"\w+")
Edit = Callable[[Item, random.Random, Sequence[str]], list[str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, scan, count, print, store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--no-peers", action="store_true", help="leave decon out")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    asked = parser.parse_args(arguments)
    human = corpora.web()
    benchmarks = corpora.data_folder() / "tasks" / "benchmarks.parquet"
    if human is None or not benchmarks.is_file():
        print(f"SKIPPED: no human text or no benchmarks in {corpora.data_folder()}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="foxing-bench-") as folder:
        result = {"schema": SCHEMA, "version": 1, **machine(), **measured(human, benchmarks, Path(folder))}
        if not asked.no_peers:
            items = read_items([str(benchmarks)])
            texts = pl.read_parquet(human)["text"].to_list()
            result["decon"] = by_decon(items, plant(items, texts), texts, Path(folder))
    print(_text(result))
    if not asked.dry:
        print(f"\nstored in {report.save(result, 'leakage', Path(asked.out))}")
    return 0


def measured(human: Path, benchmarks: Path, scratch: Path) -> dict[str, Any]:
    """Everything, for n = 13 and n = 8, with and without stop-grams."""
    items = read_items([str(benchmarks)])
    rule = next(one for one in DEFAULTS if one.id == "FX303")
    texts = pl.read_parquet(human)["text"].to_list()
    planted = plant(items, texts)
    rows = scratch / "planted.parquet"
    planted.select("text").write_parquet(rows)
    searches: dict[str, Any] = {}
    for n in (13, 8):
        index = index_items(items, n=dict.fromkeys({item.benchmark for item in items}, n))
        clean = CleanText(Corpus.open([str(human)]), _SEED)
        learned = learn_stops(index, clean)
        flags = measure_flags(learned.index, clean, rule).index.false_flags
        assert flags is not None
        plain = _flagged(index, human, scratch / f"human-{n}", rule)
        unlearned = Rate.of(int(plain["flagged"].sum()), plain.height)
        found = _flagged(index, rows, scratch / f"planted-{n}", rule)
        searches[f"n={n}"] = {
            "stop_grams": int(learned.index.stops.sum()),
            "false_flags": {
                "all human text, no stop-grams": unlearned._asdict(),
                "half, stop-grams of the other": Rate.of(flags.flagged, flags.documents)._asdict(),
            },
            "recall": _recall(planted, found, n),
            "recall with stop-grams": _recall(
                planted, _flagged(learned.index, rows, scratch / f"planted-clean-{n}", rule), n
            ),
            "conditions": {when: _under(when, planted, found, plain) for when in _CONDITIONS},
        }
    return {"condition": rule.when, "items": _ITEMS, "benchmark_items": len(items), "searches": searches}


def plant(items: Sequence[Item], texts: Sequence[str]) -> pl.DataFrame:
    """Documents that hold an item each: `text`, `kind`, `benchmark`, `item`, and `planted`, what was put in."""
    chosen = random.Random(_SEED)
    long = [item for item in items if len(_WORD.findall(_whole(item))) >= _LEAST_WORDS]
    sample = chosen.sample(long, _ITEMS)
    hosts = [text for text in texts if len(text.split()) >= 80]
    words = [word for text in chosen.sample(hosts, min(200, len(hosts))) for word in text.split() if word.isalpha()]
    kinds: dict[str, Edit] = {
        "whole": lambda item, drawn, words: [_whole(item)],
        "question alone": lambda item, drawn, words: [item.text.question or item.text.between],
        "cut in two": _cut,
        "10 % of words replaced": lambda item, drawn, words: [_edited(_whole(item), 0.1, drawn, words)],
        "20 % of words replaced": lambda item, drawn, words: [_edited(_whole(item), 0.2, drawn, words)],
    }
    rows = []
    for kind, edit in kinds.items():
        for item in sample:
            parts = edit(item, chosen, words)
            rows.append((kind, item.benchmark, item.id, _whole(item), parts, _put(parts, chosen.choice(hosts), chosen)))
    names = ["kind", "benchmark", "item", "whole", "planted", "text"]
    return pl.DataFrame(rows, schema=names, orient="row")


def _put(parts: Sequence[str], host: str, drawn: random.Random) -> str:
    """The parts as lines of their own between words of a document, each in its own stretch, never side by side."""
    words = re.split(r"(?<=\s)(?=\S)", host)
    size = len(words) // len(parts)
    for number, part in reversed(list(enumerate(parts))):
        words.insert(number * size + drawn.randrange(size // 2), f"\n{part}\n")
    return "".join(words)


def _whole(item: Item) -> str:
    return "\n".join(part for part in (item.text.question, item.text.between, item.text.answer) if part)


def _cut(item: Item, drawn: random.Random, words: Sequence[str]) -> list[str]:
    pieces = re.split(r"(?<=\s)", _whole(item))
    return ["".join(pieces[: len(pieces) // 2]), "".join(pieces[len(pieces) // 2 :])]


def _edited(text: str, share: float, drawn: random.Random, words: Sequence[str]) -> str:
    """The text with so many of its words, drawn at random, replaced by words of other documents."""
    found = list(_WORD.finditer(text))
    at = sorted(drawn.sample(range(len(found)), max(1, round(share * len(found)))), reverse=True)
    for place in at:
        word = found[place]
        text = text[: word.start()] + drawn.choice(words) + text[word.end() :]
    return text


def _flagged(index: BenchmarkIndex, rows: Path, folder: Path, rule: Rule) -> pl.DataFrame:
    """`flagged`, `benchmark` and `item` of every row, by a scan."""
    path = folder.with_suffix(".index")
    path.write_bytes(index.to_bytes())
    settings = ScanConfig(signals=("leakage",), workers=1, sketches=False)
    config = Config(scan=settings, signals={"leakage": {"index": str(path)}})
    findings = scan([str(rows)], folder, config).findings
    found = pl.concat(decided(findings, (rule,)))
    fields = pl.col("leakage").struct
    return found.select(
        flagged=pl.col("rules").list.contains(rule.id),
        benchmark=fields.field("benchmark"),
        item=fields.field("item"),
        leakage="leakage",
    )


def _recall(planted: pl.DataFrame, found: pl.DataFrame, n: int) -> dict[str, Any]:
    """By kind: the share flagged, the share that any search for n-grams could find, and the right item named."""
    frame = planted.with_columns(
        flagged=found["flagged"],
        named=(found["item"] == planted["item"]) & (found["benchmark"] == planted["benchmark"]),
        reach=pl.Series([_in_reach(row[0], row[1], n) for row in planted.select("whole", "planted").iter_rows()]),
    )
    tables = {}
    for (kind,), part in frame.group_by("kind", maintain_order=True):
        flagged = part.filter("flagged")
        tables[str(kind)] = {
            "flagged": Rate.of(flagged.height, part.height)._asdict(),
            "reach": part["reach"].mean(),
            "right item": Rate.of(int(flagged["named"].fill_null(value=False).sum()), flagged.height)._asdict(),
        }
    return tables


def _under(when: str, planted: pl.DataFrame, found: pl.DataFrame, human: pl.DataFrame) -> dict[str, Any]:
    """What another condition would find, by kind, and how many human documents it would flag."""
    rule = Rule("FX303", "benchmark leakage", when)
    hits = planted.select("kind").with_columns(hit=evaluate(found.select("leakage"), [rule])["FX303"])
    shares = hits.group_by("kind", maintain_order=True).agg(pl.col("hit").fill_null(value=False).mean())
    flagged = evaluate(human.select("leakage"), [rule])["FX303"].fill_null(value=False).sum()
    return {"found": dict(shares.iter_rows()), "human documents flagged": Rate.of(int(flagged), human.height)._asdict()}


def _in_reach(whole: str, planted: Sequence[str], n: int) -> bool:
    words = Documents.from_texts([whole, *planted]).words
    first, *parts = (words.hashes[a:b].tolist() for a, b in itertools.pairwise(words.doc_offsets.tolist()))
    wanted = min(n, len(first))
    grams = _grams(first, wanted)
    return any(grams & _grams(part, wanted) for part in parts)


def _grams(words: Sequence[int], n: int) -> set[tuple[int, ...]]:
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}


def _text(result: dict[str, Any]) -> str:
    items = f"{result['benchmark_items']:,} items, {result['items']} planted of each kind"
    lines = [f"FX303: {result['condition']}; {items}"]
    for name, search in result["searches"].items():
        lines += ["", f"{name}: {search['stop_grams']:,} stop-grams"]
        for what, rate in search["false_flags"].items():
            low, high = 100 * rate["low"], 100 * rate["high"]
            share = f"{100 * rate['share']:.4f} % ({low:.4f} to {high:.4f})"
            lines.append(f"  flagged of {what}: {rate['hits']} of {rate['n']:,}, {share}")
        rows = [("", "found", "95 % interval", "in reach", "right item", "with stop-grams")]
        for kind, one in search["recall"].items():
            rate, again = one["flagged"], search["recall with stop-grams"][kind]["flagged"]
            rows.append(
                (
                    f"  {kind}",
                    f"{100 * rate['share']:.1f} %",
                    f"{100 * rate['low']:.1f} to {100 * rate['high']:.1f} %",
                    f"{100 * one['reach']:.1f} %",
                    f"{100 * one['right item']['share']:.1f} %",
                    f"{100 * again['share']:.1f} %",
                )
            )
        lines.append(report.table(rows))
        for when, one in search["conditions"].items():
            flagged = one["human documents flagged"]
            shares = ", ".join(f"{kind} {100 * share:.1f} %" for kind, share in one["found"].items())
            lines.append(f"  {when}: {flagged['hits']} of {flagged['n']:,} human documents; {shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
