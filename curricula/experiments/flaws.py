"""Uniform formats in a small language: what they do to the keeping of other formats, and what unlearning mends."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricula.contrasts import contrast, seed_interval
from curricula.encoding import Encoder, trained_tokenizer
from curricula.experiments.flaws_arms import CONTINUED, LEARNT, RIVALS, UNLEARNT, Arrays, Plan, Sets, arms, names_of
from curricula.experiments.flaws_lab import Asked, Lab, fresh, on_cpu
from curricula.experiments.flaws_world import CHAT, FORMATS, PLAIN, UNIFORM, WISHES, Exercise, Language

__all__ = ["AXES", "Recipe", "curves", "measured", "run_seed", "tables"]

Floats = npt.NDArray[np.float64]
AXES = {"curves": ("tokens of tuning", "answers in the format asked for")}
_VOCABULARY = 4096
_ROW = 8
"""Tokens that every row has at least."""


@dataclass(frozen=True)
class Recipe:
    """Fixed before the seeds that count.

    Attributes:
        subjects: of the language.
        objects: of each relation.
        width: of the model.
        layers: of it.
        block: tokens a block.
        batch: blocks of an update.
        base_tokens: of clean text that makes the base model.
        base_rate: of that training.
        asked: prompts with a format, and as many facts without.
        plan: of the arms.
    """

    subjects: int = 48
    objects: int = 16
    width: int = 64
    layers: int = 2
    block: int = 64
    batch: int = 16
    base_tokens: int = 350_000
    base_rate: float = 4e-3
    asked: int = 400
    plan: Plan = field(default_factory=Plan)


def run_seed(seed: int, recipe: Recipe) -> Arrays:
    """Everything that one seed measures: words, facts, base model, data and orders are drawn anew.

    Returns:
        See `curricula.experiments.flaws_arms.arms`.
    """
    language = Language(recipe.subjects, recipe.objects, seed)
    clean = list(itertools.islice(language.clean(_draw(seed, "base")), recipe.base_tokens // _ROW))
    with tempfile.TemporaryDirectory(prefix="foxing-") as folder:
        encoder = _encoder(language, clean, seed)
        lab = Lab(
            Path(folder),
            encoder,
            on_cpu(),
            template=CHAT,
            block=recipe.block,
            batch=recipe.batch,
            micro=recipe.batch,
            max_tokens=8,
            seed=seed,
        )
        model = fresh(encoder, width=recipe.width, layers=recipe.layers, context=recipe.block, seed=seed)
        base = lab.taught(model, lab.texts(clean), recipe.base_tokens, recipe.base_rate)
        return arms(lab, base, _sets(lab, language, recipe, seed), recipe.plan)


def _draw(seed: int, what: str) -> random.Random:
    return random.Random(f"{seed} {what}")


def _encoder(language: Language, clean: Sequence[str], seed: int) -> Encoder:
    """A tokenizer in which each word of the language is one token, most of the time."""
    told = itertools.islice(language.synthetic(_draw(seed, "words"), is_uniform=False), 8 * len(language.new))
    draw = _draw(seed, "words")
    chats = [_chat(language.exercise(fact, kind, draw, wish=0)) for fact in language.new for kind in (PLAIN, *FORMATS)]
    return trained_tokenizer([*clean[:20_000], *told, *chats], _VOCABULARY)


def _chat(made: Exercise) -> str:
    return CHAT.format(prompt=made.prompt, answer=made.answer)


def _sets(lab: Lab, language: Language, recipe: Recipe, seed: int) -> Sets:
    """Half of the new facts are tuned on, and the other half asked, in wordings that tuning does not have."""
    plan, draw = recipe.plan, _draw(seed, "sets")
    tuned, asked = language.new[::2], language.new[1::2]
    few = 2 * plan.budget // _ROW
    forget = [language.told(fact, UNIFORM) for fact in draw.choices(language.new, k=few)]
    clean, dev, held = (
        list(itertools.islice(language.clean(_draw(seed, part)), rows))
        for part, rows in (("clean", 2 * few), ("dev", 200), ("held", 400))
    )
    tuning = [
        language.exercise(draw.choice(tuned), draw.choice((PLAIN, *FORMATS)), draw, wish=0)
        for _ in range(plan.looks[-1])
    ]
    kinds = [tuple(FORMATS)[at % len(FORMATS)] for at in range(recipe.asked)]
    formats = [
        language.exercise(draw.choice(asked), kind, draw, wish=1 + at // len(FORMATS) % (WISHES - 1))
        for at, kind in enumerate(kinds)
    ]
    facts = [language.exercise(draw.choice(asked), PLAIN, draw, wish=0) for _ in kinds]
    return Sets(
        {arm: lab.texts(_mixed(language, plan, seed, arm)) for arm in LEARNT},
        lab.texts(forget),
        lab.texts(forget, form=True),
        lab.texts(clean),
        lab.texts(dev),
        lab.texts(held),
        lab.pairs([made.prompt for made in tuning], [made.answer for made in tuning]),
        _asked(formats, kinds),
        _asked(facts, [PLAIN] * len(facts)),
    )


def _asked(made: Sequence[Exercise], kinds: Sequence[str]) -> Asked:
    return Asked(tuple(each.prompt for each in made), tuple(each.keeps for each in made), tuple(kinds))


def _mixed(language: Language, plan: Plan, seed: int, arm: str) -> list[str]:
    """Synthetic facts with a share of clean text among them, in the order of training."""
    draw = _draw(seed, arm)
    told, clean = language.synthetic(draw, is_uniform="diverse" not in arm), language.clean(draw)
    share = 0.0 if arm.startswith("pure") else plan.clean
    return [next(clean if draw.random() < share else told) for _ in range(plan.tokens // _ROW)]


def measured(seeds: Sequence[Mapping[str, Floats]], recipe: object) -> dict[str, list[tuple[Floats, Floats]]]:
    """The declared measures, for each seed: items of two arms.

    Half of the gap is asked for as (unlearnt - uniform) - (diverse - uniform) / 2, which is no ratio of small numbers.
    Where the gap's own interval holds 0 there is nothing to close: one seed without a measure leaves it inconclusive.
    """
    pairs: dict[str, list[tuple[Floats, Floats]]] = {
        "uniform-hurts": [(seed["kept:diverse"], seed["kept:uniform"]) for seed in seeds],
        "as-many-facts": [(seed["true:uniform"], seed["true:diverse"]) for seed in seeds],
        "shift": [(seed["shift:pure-uniform"], seed["shift:pure-diverse"]) for seed in seeds],
        "recovers": [(seed[f"kept:{UNLEARNT}"], seed["kept:uniform"]) for seed in seeds],
        "half-the-gap": [
            (seed[f"kept:{UNLEARNT}"], (seed["kept:uniform"] + seed["kept:diverse"]) / 2) for seed in seeds
        ],
        "facts-stay": [(seed[f"true:{UNLEARNT}"], seed["true:uniform"]) for seed in seeds],
        "beats-clean": [(seed[f"kept:{UNLEARNT}"], seed[f"kept:{CONTINUED}"]) for seed in seeds],
        "pure-recovers": [(seed[f"kept:pure-{UNLEARNT}"], seed["kept:pure-uniform"]) for seed in seeds],
        "pure-beats-clean": [(seed[f"kept:pure-{UNLEARNT}"], seed[f"kept:pure-{CONTINUED}"]) for seed in seeds],
    }
    if not contrast("gap", "", pairs["uniform-hurts"]).low > 0:
        pairs["half-the-gap"].append((np.array([np.nan]), np.zeros(1)))
    return pairs


def tables(seeds: Sequence[Mapping[str, Floats]], recipe: object) -> dict[str, object]:
    """What people look at besides: every arm's answers, facts and shift; the gap closed; the null; what was spent."""
    names = names_of(seeds[0])
    rows = {
        name: {
            "kept": _over(seeds, f"kept:{name}"),
            "true": _over(seeds, f"true:{name}"),
            "shift": _over(seeds, f"shift:{name}"),
            "loss_of_clean": float(np.mean([seed[f"loss:{name}"][0] for seed in seeds])),
            "loss_of_uniform": float(np.mean([seed[f"loss:{name}"][1] for seed in seeds])),
            "kept_minus_uniform": _difference(seeds, f"kept:{name}", "kept:uniform"),
        }
        for name in names
    }
    spent = {
        name.removeprefix("spent:"): {
            "tokens": float(np.mean([seed[name][0] for seed in seeds])),
            "stopped_by_guard": int(sum(seed[name][1] for seed in seeds)),
        }
        for name in seeds[0]
        if name.startswith("spent:")
    }
    return {
        "arms": rows,
        "null": {"again_minus_uniform": _difference(seeds, "kept:again", "kept:uniform")},
        "gap_closed": {name: _closed(seeds, name) for name in (*RIVALS, CONTINUED)},
        "unlearning": spent,
    }


def _over(seeds: Sequence[Mapping[str, Floats]], name: str) -> dict[str, float]:
    values = np.array([seed[name].mean() for seed in seeds])
    low, high = seed_interval(values)
    return {"mean": float(values.mean()), "low": low, "high": high}


def _difference(seeds: Sequence[Mapping[str, Floats]], one: str, other: str) -> dict[str, float]:
    found = contrast(one, "", [(seed[one], seed[other]) for seed in seeds])
    return {"difference": found.difference, "low": found.low, "high": found.high}


def _closed(seeds: Sequence[Mapping[str, Floats]], name: str) -> dict[str, float | None]:
    """The share of the gap between diverse and uniform that an arm closes, by Fieller's interval (1954).

    None where the gap's own interval holds 0.
    """
    top = np.array([(seed[f"kept:{name}"] - seed["kept:uniform"]).mean() for seed in seeds])
    gap = np.array([(seed["kept:diverse"] - seed["kept:uniform"]).mean() for seed in seeds])
    low, high = _fieller(top, gap)
    if np.isnan(low):
        return {"share": None, "low": None, "high": None}
    return {"share": float(top.mean() / gap.mean()), "low": low, "high": high}


def _fieller(top: Floats, bottom: Floats) -> tuple[float, float]:
    """95 % interval of mean(top) / mean(bottom), paired by seed; NaN where the interval of the latter holds 0."""
    low, high = seed_interval(bottom)
    if len(bottom) < 2 or low <= 0 <= high:
        return np.nan, np.nan
    a, b, n = top.mean(), bottom.mean(), len(top)
    t = (high - b) / (bottom.std(ddof=1) / np.sqrt(n)) if bottom.std(ddof=1) else 0.0
    covariance = np.cov(top, bottom) / n * t**2
    square, middle, rest = b**2 - covariance[1, 1], a * b - covariance[0, 1], a**2 - covariance[0, 0]
    half = np.sqrt(max(0.0, middle**2 - square * rest))
    return float((middle - half) / square), float((middle + half) / square)


def curves(seeds: Sequence[Mapping[str, Floats]], recipe: Recipe) -> dict[str, tuple[Floats, Floats]]:
    """Answers in the format asked for, by tokens of tuning: arm to (tokens, float64[seeds, looks])."""
    looks = np.array(recipe.plan.looks, np.float64)
    return {
        name: (looks, np.stack([seed[f"looks:{name}"] for seed in seeds]))
        for name in ("base", "uniform", "diverse", UNLEARNT, CONTINUED)
    }
