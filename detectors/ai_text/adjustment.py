"""Puts margins of different languages and styles on one scale: what is compared with human text, and ranked by.

    adjusted = margin - language offset - weights . style

Style is centred and scaled by human text of the same kind of script and clipped, so that an odd text moves little. An
offset is how far the margins of people who write in a language lie from those of all people, by the upper quartile of
each source, shrunk where sources are few. Languages without one take the largest of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CLIP", "KINDS", "STYLE", "Adjustment", "effective", "kinds"]

STYLE = ("sentence_words", "sentence_spread", "near_repeats", "parentheses", "full_stops")
"""Log of the mean words of a sentence; standard deviation of the words of sentences / their mean; share of words that
stand among the ten words before them; square roots of `(` a character and of `.` a character."""

KINDS = ("English", "Chinese and Japanese", "other")
"""What style is scaled by, and what `score` has weights for."""
CLIP = 2.5
_KIND_OF = {"en": 0, "zh": 1, "ja": 1}
_PER_CHARACTER = {"zh": 3.0, "ja": 3.0, "ko": 2.0}

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]


def kinds(language: Names) -> npt.NDArray[np.int64]:
    """int64[n]: index into `KINDS` of each language code."""
    found = np.full(len(language), len(KINDS) - 1)
    for code, kind in _KIND_OF.items():
        found[language == code] = kind
    return found


def effective(length: npt.ArrayLike, language: Names) -> Floats:
    """float64[n]: characters, counted threefold for Chinese and Japanese and twofold for Korean; 1 at least."""
    factor = np.ones(len(language))
    for code, value in _PER_CHARACTER.items():
        factor[language == code] = value
    result: Floats = np.maximum(np.asarray(length, np.float64), 1.0) * factor
    return result


@dataclass(frozen=True, eq=False)
class Adjustment:
    """What is taken off a margin.

    Attributes:
        centre: float64[len(KINDS), len(STYLE)], of human text.
        scale: float64[len(KINDS), len(STYLE)], above 0.
        weights: float64[len(STYLE)].
        languages: calibrated languages.
        offsets: float64[languages + 1]; the last is for all other languages.
    """

    centre: Floats
    scale: Floats
    weights: Floats
    languages: tuple[str, ...]
    offsets: Floats

    def __call__(self, margin: npt.ArrayLike, language: Sequence[str] | Names, style: npt.ArrayLike | None) -> Floats:
        """float64[n]: adjusted margins, NaN where the margin is NaN.

        Args:
            margin: float[n].
            language: n codes.
            style: float[n, len(STYLE)], NaN where unknown, which counts as usual; None where all are.
        """
        codes = np.asarray(language, dtype=np.str_)
        values = np.asarray(margin, np.float64) - self.offsets[self.row(codes)]
        if style is not None:
            values = values - self.standardised(style, codes) @ self.weights
        return values

    def row(self, codes: Names) -> npt.NDArray[np.int64]:
        """int64[n]: index of each language, len(languages) for others."""
        row = np.full(len(codes), len(self.languages))
        for index, code in enumerate(self.languages):
            row[codes == code] = index
        return row

    def standardised(self, style: npt.ArrayLike, codes: Names) -> Floats:
        """float64[n, len(STYLE)]: style in deviations from human text of the same kind of script, clipped."""
        kind = kinds(codes)
        values = np.asarray(style, np.float64).reshape(len(codes), len(STYLE))
        return np.nan_to_num(np.clip((values - self.centre[kind]) / self.scale[kind], -CLIP, CLIP), nan=0.0)
