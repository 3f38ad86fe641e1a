"""`make eval-detector`: how the machine-text detector ranks, keeps its rates and stands edits. See docs/detector.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from audit.calibrate import reference
from audit.signature import config_hash, corpus_hash, signal_config, signature
from audit.storage import digest
from curricula.detector_corpus import FILES, read_corpus
from detectors.ai_text import AiText
from tests.bench import corpora, detector_report, detector_tables, report
from tests.bench.detector_attacks import attack_table, sample
from tests.bench.detector_peers import compared, install_all, peer_sample
from tests.bench.detector_plot import PICTURE, picture
from tests.bench.detector_rows import KINDS, Rows, left_out, scanned
from tests.bench.machine import machine

_SEED = 17
_LONG = 800


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, print, store; or put the newest result into the documents."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.render:
        return _render()
    if asked.install_only:
        install_all()
        return 0
    margins = list(_margins(parser, asked.margins))
    data = corpora.data_folder() / "detection"
    if not any((data / f"{name}.parquet").is_file() for name in FILES):
        print(f"SKIPPED: there is nothing to evaluate on in {data}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    result = evaluate(data, margins, asked)
    print(detector_report.text(result))
    if not asked.dry:
        print(f"\nstored in {detector_report.save(result, Path(asked.out))}")
    return 0


def evaluate(data: Path, margins: Sequence[tuple[str, Path]], asked: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured, as docs/detector.md describes it."""
    corpus = read_corpus(data).frame
    _say("scanning the corpus")
    everything = scanned(corpus, unseen="nothing")
    held_back = Rows(everything.frame.filter(pl.col("split") == "dev"), "row", "seen")
    notes = []
    rows = {kind: left_out(everything, path, kind) for kind, path in margins}
    if "source" not in rows:
        notes.append("no margins of models that left sources out: sources are seen here, only the rows are not")
    tables: dict[str, Any] = {}
    for kind, part in (("row", held_back), *rows.items()):
        _say(f"tables, unseen: {kind}")
        tables[kind] = detector_tables.curve(part) if kind == "curve" else tables_of(part)
    result: dict[str, Any] = {
        "schema": detector_report.SCHEMA,
        "version": detector_report.VERSION,
        **machine(),
        "signature": _signature(data),
        "documents": {"human": int((corpus["label"] == 0).sum()), "machine": int((corpus["label"] == 1).sum())},
        "tables": tables,
    }
    _say("altered text")
    result["surface"] = {"unseen": "row", "changes": attack_table(sample(held(corpus), asked.attack_rows, _SEED))}
    if asked.peer_rows:
        best = rows.get("source")
        chosen, texts = (best, corpus["text"]) if best is not None else (held_back, held(corpus)["text"])
        part, texts = peer_sample(chosen, texts, english=asked.peer_rows * 4 // 5, other=asked.peer_rows // 5)
        install_all()
        result["peers"] = compared(part, texts)
        notes += result["peers"]["failed"]
    return {**result, "notes": notes}


def held(corpus: pl.DataFrame) -> pl.DataFrame:
    """The rows that training leaves out."""
    return corpus.filter(pl.col("split") == "dev")


def tables_of(rows: Rows) -> dict[str, Any]:
    """All tables over rows whose models had left the same thing out; one alone where that was a generator."""
    head: dict[str, Any] = {
        "unseen": rows.unseen,
        "calibration": rows.calibration,
        "rows": rows.frame.height,
        "judged": rows.judged.frame.height,
    }
    if rows.unseen == "generator":
        return {**head, "generators": detector_tables.by_generator(rows)}
    found = detector_tables.units(rows)
    wide = pl.when(pl.col("lang").is_in(["zh", "ja"])).then(3).when(pl.col("lang") == "ko").then(2).otherwise(1)
    long = detector_tables.units(rows.where(pl.col("length").cast(pl.Int64) * wide >= _LONG))
    return {
        **head,
        "macro": detector_tables.macro(found),
        "macro_100": detector_tables.macro(found, least=100),
        "macro_long": detector_tables.macro(long),
        "sources": found,
        "generators": detector_tables.by_generator(rows),
        "languages": detector_tables.by_language(rows),
        "lengths": detector_tables.by_length(rows),
        "attacks": detector_tables.by_attack(rows),
        "false_positives": {name: detector_tables.false_positives(rows, name) for name in ("source", "domain", "lang")},
        "reliability": detector_tables.reliability(rows),
        "abstentions": detector_tables.abstentions(rows),
    }


def _margins(parser: argparse.ArgumentParser, given: Sequence[str]) -> Iterator[tuple[str, Path]]:
    folders = [one for one in given if Path(one).is_dir()]
    for folder in folders:
        yield from ((kind, path) for kind in KINDS if (path := Path(folder) / f"{kind}.parquet").is_file())
    for one in (one for one in given if one not in folders):
        kind, found, path = one.rpartition("=")
        if not found:
            kind = KINDS[0]
        if kind not in KINDS:
            parser.error(f"--margins {one}: {kind!r} is none of {', '.join(KINDS)}. Write KIND=FILE.")
        if not Path(path).is_file():
            parser.error(f"--margins {one}: there is no file {path}.")
        yield kind, Path(path)


def _signature(data: Path) -> str:
    signal = AiText()
    files = [data / f"{name}.parquet" for name in FILES]
    digests = corpus_hash(f"{digest(str(path))} text(text)" for path in files if path.is_file())
    used = [(signal.name, signal.version, config_hash(signal_config(signal)))]
    return signature(used, digests, _SEED, calibration=reference().digest)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _render() -> int:
    result = report.newest(detector_report.SCHEMA)
    if result is None:
        print(f"no result in {report.RESULTS}. Run: make eval-detector", file=sys.stderr)
        return 2
    for path in detector_report.DOCUMENTS:
        path.write_text(detector_report.filled(path.read_text("utf-8"), result), "utf-8")
    PICTURE.write_text(picture(result), "utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.detector", description=__doc__)
    parser.add_argument(
        "--margins",
        action="append",
        default=[],
        metavar="[KIND=]FILE|DIR",
        help=f"margins of models without the row's KIND: {', '.join(KINDS)} (source), or a folder of KIND.parquet",
    )
    parser.add_argument("--peer-rows", type=int, default=750, help="rows for other detectors; 0 leaves them out (750)")
    parser.add_argument("--attack-rows", type=int, default=500, help="rows of each class that are altered (500)")
    parser.add_argument("--install-only", action="store_true", help="make the environments of other detectors and stop")
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    parser.add_argument("--render", action="store_true", help="put the newest result into docs/detector.*")
    return parser


if __name__ == "__main__":
    sys.exit(main())
