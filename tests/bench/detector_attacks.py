"""Text altered on the surface, and what that does to the detector: margins, hits and false alarms before and after."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tests.bench.detector_rows import measured
from tests.bench.detector_stats import Rate

__all__ = ["CHANGES", "attack_table", "sample", "with_paragraph"]

Change = Callable[[str, random.Random], str]
_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_GREEK = str.maketrans("ovABEHIKMNOPTXYZ", "ονΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
_ZERO_WIDTH = "\u200b"
_SENTENCE = re.compile(r"(?<=[.!?]) +")
_MARKUP = re.compile(r"^[ \t]*(?:#{1,6} |[-*+] |> )|[*_`]{1,3}", re.MULTILINE)
_PARAGRAPH = 400
_THRESHOLD = 0.01


def _each(text: str, rng: random.Random, share: float, change: Callable[[str], str]) -> str:
    return "".join(change(one) if rng.random() < share else one for one in text)


def _homoglyphs(text: str, rng: random.Random) -> str:
    return _each(text, rng, 0.1, lambda one: one.translate(_CYRILLIC))


def _all_homoglyphs(text: str, rng: random.Random) -> str:
    return text.translate(_CYRILLIC).translate(_GREEK)


def _random_case(text: str, rng: random.Random) -> str:
    return _each(text, rng, 0.3, str.swapcase)


def _spaces(text: str, rng: random.Random) -> str:
    return re.sub(" ", lambda found: "  " if rng.random() < 0.2 else found[0], text)


def _newlines(text: str, rng: random.Random) -> str:
    return re.sub(" ", lambda found: "\n" if rng.random() < 0.1 else found[0], text)


def _zero_width(text: str, rng: random.Random) -> str:
    return _each(text, rng, 0.1, lambda one: one + _ZERO_WIDTH)


def _wide(text: str, rng: random.Random) -> str:
    """ASCII as full-width forms, spaces as ideographic ones."""
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else "\u3000" if one == " " else one for one in text)


def _mathematical(text: str, rng: random.Random) -> str:
    """Small letters as bold mathematical ones."""
    return "".join(chr(0x1D41A + ord(one) - ord("a")) if "a" <= one <= "z" else one for one in text)


def _misspelt(text: str, rng: random.Random) -> str:
    """Two neighbouring letters of one word in twenty change places."""

    def swap(found: re.Match[str]) -> str:
        word = found[0]
        if rng.random() >= 0.05:
            return word
        at = rng.randrange(len(word) - 1)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return re.sub(r"[^\W\d_]{3,}", swap, text)


def _markdown(text: str, rng: random.Random) -> str:
    """A heading, list marks before every third sentence, and one word in thirty in bold."""
    sentences = _SENTENCE.split(text)
    marked = [("\n- " if at % 3 == 2 else "") + sentence for at, sentence in enumerate(sentences)]

    def bold(found: re.Match[str]) -> str:
        return f"**{found[0]}**" if rng.random() < 1 / 30 else found[0]

    return "## Overview\n\n" + re.sub(r"\b\w{4,}\b", bold, " ".join(marked))


def _no_markdown(text: str, rng: random.Random) -> str:
    return _MARKUP.sub("", text)


def _quotes(text: str, rng: random.Random) -> str:
    """Straight quotes become curly ones, curly ones straight."""
    if any(one in text for one in "“”‘’"):
        return text.translate(str.maketrans("“”‘’", "\"\"''"))
    return re.sub(r'"([^"]*)"', r"“\1”", text).replace("'", "’")


def _first(characters: int) -> Change:
    return lambda text, rng: text[:characters]


CHANGES: dict[str, Change] = {
    "homoglyphs, a tenth of the letters": _homoglyphs,
    "homoglyphs, all that have one": _all_homoglyphs,
    "case of three letters in ten changed": _random_case,
    "lower case": lambda text, rng: text.lower(),
    "a fifth of the spaces doubled": _spaces,
    "a tenth of the spaces made line breaks": _newlines,
    "zero-width spaces, one in ten characters": _zero_width,
    "full-width letters and marks": _wide,
    "mathematical letters": _mathematical,
    "misspellings, one word in twenty": _misspelt,
    "Markdown added": _markdown,
    "Markdown removed": _no_markdown,
    "quotes changed": _quotes,
    "first 800 characters": _first(800),
    "first 400 characters": _first(400),
    "first 200 characters": _first(200),
}
"""Every change by name. They alter nothing but the surface, or cut."""


def with_paragraph(text: str, other: str) -> str:
    """Human text with 400 characters of machine text as a paragraph of its own, at the sentence nearest the middle."""
    ends = [found.end() for found in _SENTENCE.finditer(text)] or [len(text)]
    at = min(ends, key=lambda end: abs(end - len(text) / 2))
    cut = other[:_PARAGRAPH].rsplit(" ", 1)[0]
    return f"{text[:at].rstrip()}\n\n{cut.strip()}\n\n{text[at:].lstrip()}"


def sample(corpus: pl.DataFrame, rows: int, seed: int) -> pl.DataFrame:
    """English rows of 800 characters or more, as many of each class, each source counting alike; seeded."""
    long = corpus.filter((pl.col("lang") == "en") & (pl.col("text").str.len_chars() >= 800))
    plain = long.filter((pl.col("label") == 0) | (pl.col("attack") == "none"))
    shuffled = plain.sample(fraction=1.0, shuffle=True, seed=seed)
    in_turn = shuffled.with_columns(turn=pl.int_range(pl.len()).over("label", "source")).sort(
        "turn", maintain_order=True
    )
    return in_turn.group_by("label", maintain_order=True).head(rows).drop("turn")


def attack_table(chosen: pl.DataFrame, seed: int = 17) -> list[dict[str, Any]]:
    """One row a change: hits at `p_human <= 0.01` before and after, and the median shift of the margin.

    Args:
        chosen: rows with text and label, of `sample`.
        seed: of the changes.
    """
    before = measured(chosen["text"])
    label = chosen["label"].to_numpy()
    table = []
    for name, change in CHANGES.items():
        rng = random.Random(f"{seed} {name}")
        after = measured(pl.Series([change(text, rng) for text in chosen["text"]]))
        effects = {key: _effect(before, after, label == kind) for key, kind in (("machine", 1), ("human", 0))}
        table.append({"change": name, **effects})
    human, machine = chosen.filter(pl.col("label") == 0)["text"], chosen.filter(pl.col("label") == 1)["text"]
    mixed = [with_paragraph(text, machine[at % len(machine)]) for at, text in enumerate(human)] if len(machine) else []
    after = measured(pl.Series(mixed, dtype=pl.String))
    rest = before.filter(pl.Series(label == 0))
    effect = _effect(rest, after, np.ones(len(mixed), np.bool_))
    return [*table, {"change": "a machine paragraph inserted", "machine": None, "human": effect}]


def _effect(before: pl.DataFrame, after: pl.DataFrame, keep: npt.NDArray[np.bool_]) -> dict[str, Any]:
    rows = pl.Series(keep)
    one, two = before.filter(rows), after.filter(rows)
    middle = (two["margin"] - one["margin"]).drop_nulls().median()
    return {
        "before": _hits(one),
        "after": _hits(two),
        "abstained": int(two["p_human"].is_null().sum()),
        "out_of_support": int(two["out_of_support"].fill_null(False).sum()),
        "median_shift": float(middle) if isinstance(middle, float) else None,
    }


def _hits(frame: pl.DataFrame) -> dict[str, Any]:
    """Hits among all documents: one on which the detector abstains is none."""
    rate = Rate.of(int((frame["p_human"] <= _THRESHOLD).sum()), frame.height)
    return {"hits": rate.hits, "n": rate.n, "share": rate.share, "low": rate.low, "high": rate.high}
