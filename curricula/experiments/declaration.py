"""What an experiment says before it runs: signatures, margins, seeds; and the verdict that follows from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
import numpy.typing as npt

from curricula.contrasts import Contrast, contrast, corrected

__all__ = ["Declaration", "Finding", "Signature", "declared", "judged"]

Floats = npt.NDArray[np.float64]
_ALPHA = 0.05


@dataclass(frozen=True)
class Signature:
    """Something that has to show.

    Attributes:
        id: short name.
        claim: in words, ending with what is measured.
        margin: what the measure has to exceed.
    """

    id: str
    claim: str
    margin: float


@dataclass(frozen=True)
class Declaration:
    """What is said before.

    Attributes:
        experiment: its name.
        paper: whose finding is looked for.
        rule: how a verdict follows.
        seeds: scale to seeds.
        signatures: in order.
        digest: SHA-256 of the file, hex.
    """

    experiment: str
    paper: str
    rule: str
    seeds: Mapping[str, tuple[int, ...]]
    signatures: tuple[Signature, ...]
    digest: str


@dataclass(frozen=True)
class Finding:
    """A signature, how large it is here, and what follows.

    Attributes:
        signature: as it was declared.
        effect: measured over seeds, against 0, with the p of being at the margin.
        verdict: reproduced, not reproduced or inconclusive; "-" at a scale too small for one.
    """

    signature: Signature
    effect: Contrast
    verdict: str


def declared(experiment: str) -> Declaration:
    """The declaration of an experiment, which lies beside this module."""
    content = (resources.files("curricula.experiments") / "declarations" / f"{experiment}.json").read_bytes()
    found = json.loads(content)
    signatures = tuple(Signature(each["id"], each["claim"], each["margin"]) for each in found["signatures"])
    seeds = {scale: tuple(numbers) for scale, numbers in found["seeds"].items()}
    digest = hashlib.sha256(content).hexdigest()
    return Declaration(found["experiment"], found["paper"], found["rule"], seeds, signatures, digest)


def judged(
    declaration: Declaration, measured: Mapping[str, Sequence[tuple[Floats, Floats]]], *, with_verdict: bool
) -> list[Finding]:
    """Hold every signature against its margin.

    Args:
        declaration: what was said.
        measured: signature to, for each seed, two arrays of items whose mean difference is the measure: an array of one
            value and an array of 0 where it is a number of the whole seed.
        with_verdict: whether there are seeds enough for a verdict.

    Raises:
        KeyError: a signature that was not measured.
    """
    plain = [contrast(each.id, "", measured[each.id]) for each in declaration.signatures]
    beyond = corrected(
        [
            contrast(each.id, "", [(one - each.margin, other) for one, other in measured[each.id]])
            for each in declaration.signatures
        ]
    )
    found = []
    for signature, effect, shifted in zip(declaration.signatures, plain, beyond, strict=True):
        effect = replace(effect, p=shifted.p, p_corrected=shifted.p_corrected)
        whole = shifted.seeds == len(measured[signature.id])  # a seed without a measure leaves the rule unmet
        verdict = _verdict(shifted) if whole else "inconclusive"
        found.append(Finding(signature, effect, verdict if with_verdict else "-"))
    return found


def _verdict(shifted: Contrast) -> str:
    """What follows from a difference to the margin."""
    if shifted.low > 0 and (shifted.p_corrected or 0.0) < _ALPHA:
        return "reproduced"
    return "not reproduced" if shifted.high < 0 else "inconclusive"
