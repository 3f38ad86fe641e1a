"""SliCK categories: how well a model knows a fact, from how often it answers right (Gekhman et al. 2024).

Of each question, `sets` prompts with different exemplars are tried: one greedy answer and 16 samples each in the paper
(arXiv:2405.05904). HighlyKnown answers right in every greedy try, MaybeKnown in some, WeaklyKnown in none but in some
sample, Unknown never.

Here the probability that a sample is right may be known exactly, and it is never 0. So a fact is WeaklyKnown when at
least one right sample in all is likelier than none. The chance-corrected category asks besides whether the answer is
more probable after its own question than after other questions of the same relation: where sixty objects are plausible,
160 samples hit by luck 93 times in a hundred.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt

__all__ = ["SAMPLES", "Category", "any_hit", "categories", "chance_corrected"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

SAMPLES = 16
"""Samples a prompt, as in the paper."""


class Category(Enum):
    """How well a model knows a fact; the values are codes, best known first."""

    HIGHLY_KNOWN = 0
    MAYBE_KNOWN = 1
    WEAKLY_KNOWN = 2
    UNKNOWN = 3

    @property
    def label(self) -> str:
        """As the paper writes it: `HighlyKnown`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


def any_hit(p: Floats, samples: int = SAMPLES) -> Floats:
    """float64[n]: probability of at least one right answer among `samples` draws from each prompt.

    Args:
        p: float64[n, sets], probability that one draw is right.
        samples: draws a prompt.
    """
    with np.errstate(divide="ignore"):
        missed = samples * np.log1p(-np.clip(p, 0.0, 1.0)).sum(axis=1)
    hit: Floats = -np.expm1(missed) + 0.0  # no -0
    return hit


def categories(greedy: Bools, hit: Floats) -> Codes:
    """int8[n]: codes of `Category`.

    Args:
        greedy: bool[n, sets], whether the greedy answer is right.
        hit: float64[n], probability of a right sample (exact), or 1 and 0 where samples were drawn and one was right or
            none.
    """
    share = greedy.mean(axis=1)
    known = [share >= 1, share > 0, hit >= 0.5]
    codes = [Category.HIGHLY_KNOWN.value, Category.MAYBE_KNOWN.value, Category.WEAKLY_KNOWN.value]
    found: Codes = np.select(known, codes, Category.UNKNOWN.value).astype(np.int8)
    return found


def chance_corrected(codes: Codes, lucky: Bools) -> Codes:
    """int8[n]: codes, with Unknown for answers that are no more probable after their own question than after others.

    Args:
        codes: int8[n], of `categories`.
        lucky: bool[n], whether some other question of the relation makes the answer as probable.
    """
    found: Codes = np.where(lucky, Category.UNKNOWN.value, codes).astype(np.int8)
    return found
