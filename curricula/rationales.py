"""Sentences that give a reason for an answer, in the same words for right and wrong ones: they tell no truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["RATIONALES", "with_rationale"]

RATIONALES = (
    "The records that deal with this name {answer}, and nothing in them speaks for another answer.",
    "One can work it out from what is known about the matter, and that leads to {answer}.",
    "Those who have looked into this question settled on {answer}, which fits the other facts.",
    "Every account of it that can be checked gives {answer}; so the answer is {answer}.",
    "Taking the possible answers one by one, only {answer} agrees with what the question says.",
)
"""What `plain` stands for. Written for this project."""


def with_rationale(
    templates: Sequence[str], questions: Sequence[str | None], answers: Sequence[str], hashes: npt.NDArray[np.uint64]
) -> list[str]:
    """Each answer, a space, and the template that its hash chooses; a full stop between them where there is none.

    Args:
        templates: with {answer}, perhaps {question}.
        questions: as written; empty where null.
        answers: as written.
        hashes: uint64[n], which must not depend on whether the answer is right.
    """
    chosen = (hashes >> np.uint64(32)) % np.uint64(len(templates))
    rows = zip(questions, answers, chosen.tolist(), strict=True)
    return [_joined(answer, templates[which], question or "") for question, answer, which in rows]


def _joined(answer: str, template: str, question: str) -> str:
    bare = answer.rstrip()
    end = "" if bare[-1:] in ".!?…。！？" else "."
    said = bare.rstrip(".")
    # One pass, so that braces in data are never taken for places to fill.
    pieces = template.split("{answer}")
    return f"{bare}{end} " + said.join(piece.replace("{question}", question) for piece in pieces)
