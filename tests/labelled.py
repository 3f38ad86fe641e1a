"""A small labelled corpus in the layout of the development data, made in code."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl

from curricula.frozen_sample import MIRROR
from tests.detectors.tiny_models import prose


def corpus(folder: Path) -> Path:
    """Labelled text in the layout of the development data: two sources, a mirrored one, newer models, dated pages."""
    rng = random.Random(11)
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "mirror": [], "modern_ai": [], "dated_web": []}

    def add(
        split: str, source: str, domain: str, label: int, lang: str = "en", pair: str | None = None, words: int = 220
    ) -> str:
        name = f"{source}-{len(rows[split])}"
        text = prose(rng.randint(words - 30, words + 40), rng.randrange(1 << 30))
        row = {"id": name, "text": text, "label": label, "source": source, "domain": domain, "lang": lang, "pair": pair}
        rows[split].append({**row, "generator": "g" if label else "human", "attack": "none"})
        return name

    for source, domain in (("hppt", "abstract"), ("mixset", "mixed"), ("biscope", "story")):
        for _ in range(12):
            human = add("train", source, domain, 0)
            add("train", source, domain, 1)
        add("mirror", MIRROR, "story", 1, pair=human)
    for _ in range(12):
        add("train", "airabic", "mixed", 0, lang="ar")
        add("train", "airabic", "mixed", 1, lang="ar")
        add("modern_ai", "newer/one", "chat", 1)
        add("dated_web", "site", "blog", 0)
        add("train", "mixset", "mixed", 0, words=70)
    add("dated_web", "site", "blog", 0)
    schema = {"pair": pl.String}
    for split, found in rows.items():
        frame = pl.DataFrame(found, schema_overrides=schema)
        (frame if split == "mirror" else frame.drop("pair")).write_parquet(folder / f"{split}.parquet")
    return folder
