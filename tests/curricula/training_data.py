"""Small data to train on, made in code."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = "the of and a house dog ran over hill we then saw old boat with my it".split()


def write_texts(file: Path, rows: int = 200, seed: int = 0, *, group: int = 30) -> Path:
    """Rows of three to forty words."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(3, 40))) for _ in range(rows)]
    pq.write_table(pa.table({"text": texts}), file, row_group_size=group)
    return file


def write_questions(file: Path, rows: int = 60) -> Path:
    """Questions whose answers follow from them."""
    answers = [WORDS[row % len(WORDS)] for row in range(rows)]
    pq.write_table(
        pa.table({"question": [f"{answer} {row}?" for row, answer in enumerate(answers)], "answer": answers}), file
    )
    return file


def write_pairs(file: Path, rows: int = 60, seed: int = 0) -> Path:
    """Sources, and targets that are their words in capitals."""
    draw = random.Random(seed)
    sources = [" ".join(draw.choices(WORDS, k=draw.randint(1, 2))) for _ in range(rows)]
    pq.write_table(pa.table({"src": sources, "tgt": [source.upper() for source in sources]}), file)
    return file
