"""Planted benchmark items as decon finds them, in the same rows and the same human text, with its default settings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from audit.benchmarks import Item
from tests.bench.detector_stats import Rate
from tests.bench.peer_venv import interpreter, last_words, told

__all__ = ["by_decon", "counted"]


def by_decon(items: Sequence[Item], planted: pl.DataFrame, texts: Sequence[str], scratch: Path) -> dict[str, Any]:
    """What decon (`decontaminate` on PyPI) finds.

    Its documents are those that it reports, whatever the score of its report. Where it cannot be installed or run,
    `failed` says how.

    Args:
        items: of the benchmarks, all of them.
        planted: documents that hold an item each, see `tests.bench.leakage.plant`.
        texts: human documents.
        scratch: folder.
    """
    try:
        python = interpreter("decon", ["decontaminate"], least=(3, 12))
    except (OSError, subprocess.SubprocessError) as error:
        return {"failed": last_words(error)}
    folders = {name: scratch / f"decon-{name}" for name in ("training", "evals", "reports")}
    folders["training"].mkdir()
    folders["evals"].mkdir()
    _write(folders["evals"] / "items.jsonl", [_record(item, at) for at, item in enumerate(items)])
    _write(folders["training"] / "planted.jsonl", [{"text": text} for text in planted["text"]])
    _write(folders["training"] / "human.jsonl", [{"text": text} for text in texts])
    said = told(python, "peer_decon.py", [str(folder) for folder in folders.values()], timeout_s=1800)
    if "failed" in said:
        return said
    found = said.pop("found")
    return {**said, **counted(found, planted, len(texts), [(item.benchmark, item.id) for item in items])}


def counted(
    found: Sequence[dict[str, Any]], planted: pl.DataFrame, humans: int, names: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Its reports by kind of planting: documents reported, those of the right item among them, human ones reported.

    Args:
        found: a report each: `training_file`, `training_line`, `eval_instance_index`.
        planted: documents, in the order of the file `planted.jsonl`.
        humans: documents of `human.jsonl`.
        names: benchmark and id of each item.
    """
    named: dict[int, set[tuple[str, str]]] = {}
    for each in found:
        if each["training_file"] == "planted.jsonl":
            named.setdefault(each["training_line"], set()).add(names[each["eval_instance_index"]])
    human = {each["training_line"] for each in found if each["training_file"] == "human.jsonl"}
    frame = planted.select("kind", "benchmark", "item").with_row_index("row")
    kinds = {}
    for (kind,), part in frame.group_by("kind", maintain_order=True):
        reported = [row for row in part.iter_rows(named=True) if row["row"] in named]
        right = sum((row["benchmark"], row["item"]) in named[row["row"]] for row in reported)
        kinds[str(kind)] = {
            "flagged": Rate.of(len(reported), part.height)._asdict(),
            "right item": Rate.of(right, len(reported))._asdict(),
        }
    return {"recall": kinds, "human text flagged": Rate.of(len(human), humans)._asdict()}


def _record(item: Item, number: int) -> dict[str, object]:
    return {
        "eval_key": item.benchmark,
        "eval_instance_index": number,
        "doc_id": number,
        "split": "test",
        "passage": "",
        "question": item.text.question or item.text.between,
        "answer": item.text.answer,
        "is_correct": True,
        "fingerprint": str(number),
    }


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
