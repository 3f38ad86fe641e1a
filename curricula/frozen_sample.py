"""The documents that a head over a language model is measured on, as long in either class, and more to fit it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["EXTRA", "LONG", "MIRROR", "MODERN", "OTHER", "WEB", "drawn", "fitted_on"]

LONG = 800
"""Fewest characters; Han and kana count threefold, Hangul twofold."""
MODERN, OTHER, WEB, MIRROR = "modern_ai", "other languages", "dated_web", "mirror_2026"
EXTRA = "extra"
"""Group of the documents that are fitted on and never measured on."""
SHORTEST, SHORT_EACH, _FOUR = 250, 20, 4
_WIDE = {"zh": 3, "ja": 3, "ko": 2}
_BINS_PER_DOUBLING = 2

ENGLISH: Mapping[tuple[str, str], int] = {
    ("biscope", "review"): 28,
    ("biscope", "story"): 28,
    ("biscope", "abstract"): 24,
    **{("detectrl", domain): 26 for domain in ("news", "review", "story")},
    **{("gecscore", domain): 30 for domain in ("news", "story")},
    **{("glimpse", domain): 26 for domain in ("news", "story")},
    ("hppt", "abstract"): 52,
    ("imbd", "news"): 24,
    ("imbd", "wiki"): 24,
    ("imbd", "story"): 14,
    **{("l2r", domain): 14 for domain in ("legal", "education", "docs", "story", "news", "entertainment")},
    **{("lastde", domain): 20 for domain in ("forum", "news", "story")},
    ("mixset", "mixed"): 50,
    ("fast_detect_gpt", "story"): 24,
}
"""Documents of each class, by source and domain."""
MIRRORED: Mapping[str, int] = {"abstract": 18, "blog": 24, "docs": 16, "news": 22, "review": 20, "story": 20}
"""English pairs by domain."""
MODERN_EACH = 25
"""Documents by newer models from each source, and as many dated pages."""
ELSEWHERE: Mapping[tuple[str, str], int] = {
    ("cred_composition", "zh"): 18,
    ("hc3_zh", "zh"): 10,
    ("imbd_multilang", "es"): 20,
    ("airabic", "ar"): 20,
    ("m4_multilingual", "ru"): 10,
    ("m4_multilingual", "id"): 10,
}
MIRRORED_ELSEWHERE: Mapping[str, int] = {"de": 6, "es": 6, "fr": 6, "ru": 4, "zh": 4}

Pairs = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class _Pool:
    """What is drawn from: long rows, rows that no mirrored text is paired with, and where chance comes from."""

    long: pl.DataFrame
    free: pl.DataFrame
    random: np.random.Generator

    def matched(self, human: pl.DataFrame, machine: pl.DataFrame, most: int) -> Pairs:
        """Rows of either class, as many of each in every bin of length."""
        sides = [_by_length(part, self.random) for part in (human, machine)]
        pairs = [
            pair
            for key in sorted(sides[0].keys() & sides[1].keys())
            for pair in zip(*(side[key] for side in sides), strict=False)
        ]
        return [pairs[at] for at in self.random.permutation(len(pairs))[:most].tolist()]

    def of(self, source: str, **others: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Free rows of a source, human and machine."""
        part = self.free.filter(source=source, **others)
        return part.filter(pl.col("label") == 0), part.filter(pl.col("label") == 1)

    def mirrored(self, most: int, **others: str) -> Pairs:
        """Mirrored texts and what they mirror."""
        paired = self.long.select(pl.col("id").alias("pair"), pl.col("row").alias("human")).unique(
            "pair", keep="first", maintain_order=True
        )
        both = self.long.filter(split="mirror", **others).join(paired, on="pair", maintain_order="left")
        order = self.random.permutation(both.height)[:most].tolist()
        return [(both["human"][at], both["row"][at]) for at in order]


def drawn(corpus: pl.DataFrame, seed: int = 17) -> pl.DataFrame:
    """Draw documents; English ones first, in random order, so that the first n are a sample too.

    Args:
        corpus: frame of `curricula.detector_corpus.Corpus`.
        seed: of the draw.

    Returns:
        Columns of the corpus and `row` (position in it), `size` (characters, wide ones counted by what they say),
        `unit` (source of the machine text) and `group` (what is to be left out together). No row twice.
    """
    frame = _sized(corpus)
    long = frame.filter(pl.col("size") >= LONG)
    pool = _Pool(
        long, long.filter(~pl.col("id").is_in(frame["pair"].drop_nulls().implode())), np.random.default_rng(seed)
    )
    english = [(row, unit, group) for pairs, unit, group in _english(pool) for pair in pairs for row in pair]
    others = [(row, unit, OTHER) for pairs, unit in _elsewhere(pool) for pair in pairs for row in pair]
    order: npt.NDArray[np.int64] = np.concatenate(
        [pool.random.permutation(len(english)), len(english) + pool.random.permutation(len(others))]
    )
    rows = [*english, *others]
    schema = {"row": pl.UInt32, "unit": pl.String, "group": pl.String}
    chosen = pl.DataFrame([rows[at] for at in order.tolist()], schema, orient="row")
    return chosen.join(frame, on="row", how="left", maintain_order="left")


def fitted_on(corpus: pl.DataFrame, seed: int = 29) -> pl.DataFrame:
    """The English documents of `drawn`, and one shorter document after every four of them; the first n are a sample.

    Args:
        corpus: frame of `curricula.detector_corpus.Corpus`.
        seed: of the draw of shorter documents, of 250 to 800 characters and none of split `dev`.

    Returns:
        Columns as those of `drawn`; the shorter documents are of group `EXTRA`, and dated pages of all sites are one
        unit there.
    """
    random = np.random.default_rng(seed)
    measured = drawn(corpus).filter(pl.col("group") != OTHER)
    frame = _sized(corpus).filter((pl.col("lang") == "en") & (pl.col("split") != "dev"))
    frame = frame.filter((pl.col("size") >= SHORTEST) & (pl.col("size") < LONG))
    unit = pl.when(pl.col("split") == WEB).then(pl.lit(WEB)).otherwise(pl.col("source"))
    frame = _capped(frame[random.permutation(frame.height)].with_columns(unit=unit, group=pl.lit(EXTRA)), SHORT_EACH)
    shorter = frame[random.permutation(frame.height)].select(measured.columns)
    places = [np.arange(measured.height), _FOUR * np.arange(1, shorter.height + 1) - 0.5]
    order = np.argsort(np.concatenate(places), kind="stable")
    return pl.concat([measured, shorter])[order]


def _capped(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """The first rows of each unit, class and language."""
    return frame.filter(pl.int_range(pl.len()).over("unit", "label", "lang") < most)


def _sized(corpus: pl.DataFrame) -> pl.DataFrame:
    """The corpus with `row` and `size`."""
    wide = pl.col("lang").replace_strict(_WIDE, default=1, return_dtype=pl.Int64)
    return corpus.with_row_index("row").with_columns(size=(pl.col("text").str.len_chars() * wide).cast(pl.Float64))


def _english(pool: _Pool) -> Iterator[tuple[Pairs, str, str]]:
    for (source, domain), most in ENGLISH.items():
        yield pool.matched(*pool.of(source, domain=domain, lang="en"), most), source, source
    for domain, most in MIRRORED.items():
        yield pool.mirrored(most, domain=domain, lang="en"), MIRROR, MIRROR
    web = pool.free.filter(split=WEB, lang="en")
    modern = pool.free.filter((pl.col("split") == MODERN) & (pl.col("lang") == "en"))
    for source in sorted(modern["source"].unique()):
        pairs = pool.matched(web, modern.filter(source=source), MODERN_EACH)
        web = web.filter(~pl.col("row").is_in([human for human, _ in pairs]))
        yield pairs, source, MODERN


def _elsewhere(pool: _Pool) -> Iterator[tuple[Pairs, str]]:
    for (source, language), most in ELSEWHERE.items():
        yield pool.matched(*pool.of(source, lang=language), most), source
    for language, most in MIRRORED_ELSEWHERE.items():
        yield pool.mirrored(most, lang=language), MIRROR


def _by_length(frame: pl.DataFrame, random: np.random.Generator) -> dict[int, list[int]]:
    """Rows by bin of length, in random order."""
    bins = (frame["size"].log(2) * _BINS_PER_DOUBLING).floor().cast(pl.Int64).to_list()
    rows, found = frame["row"].to_list(), dict[int, list[int]]()
    for at in random.permutation(frame.height).tolist():
        found.setdefault(bins[at], []).append(rows[at])
    return found
