"""Trains the bundled machine-text detector from labelled text, and measures it on sources it never saw.

    python -m curricula.train_detector --data ../shared/data/detection --out detectors/ai_text

Reads train, dev, modern_ai, mirror and dated_web.parquet (columns as described in their README), fits an ensemble of
logistic regressions over the features of `detectors.ai_text.features`, averages and quantises it, calibrates it on
margins of sources left out, and writes model files, calibration and model card. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricula.detector_card import Area, Evidence, measure, model_card, wilson
from curricula.detector_corpus import Corpus, cut, document_weights, intercept_groups, read_corpus, source_folds
from curricula.detector_fit import (
    Fit,
    Judged,
    Member,
    Problem,
    blank_tables,
    damping,
    emitted,
    fit_member,
    judged,
    mean_fit,
    quantised,
)
from detectors.ai_text import AiText
from detectors.ai_text.calibration import CALIBRATION_FILE, Reference, fit_reference
from detectors.ai_text.features import Tables
from detectors.ai_text.model import FastModel, write_files
from detectors.errors import FoxingError

__all__ = ["MODEL_FILE", "Recipe", "Trained", "main", "train", "write_model"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
MODEL_FILE = "fast.npz"
_LICENCES = """\
Licences as the sources state them. Public domain: state_union, python_peps, gutenberg (Project Gutenberg licence), \
GSA/digitalgov.gov, open-austin. CC BY: airabic, l2r (3.0), github/opensource.guide, reactjs translations, \
jfrappier. CC BY-SA: biscope, hc3_zh, thechangelog. MIT, Apache-2.0, BSD or GPL: fast_detect_gpt, glimpse, gecscore \
(badge only), imbd, imbd_multilang, xlr8harder/llm-compliance, openclaw/docs, pfnet-research/pfgen-bench, \
P2P-OpenClaw/papers2, lmmx/spiral-bench, and about a third of the dated sites. Non-commercial: alpaca_eval (CC \
BY-NC), progit2 (CC BY-NC-SA), soulteary, serokell. No licence stated: abc_news_2006, nltk_webtext, \
cred_composition, detectrl, hc3_plus, hppt, hppt_zh, lastde, m4_multilingual, mixset, lechmazur/debate, EQ-bench, \
catdevnull/lunfardobench and the remaining sites. Only weights and figures are distributed, no text."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides the data.

    Attributes:
        members: the ensemble; margins are averaged.
        iterations: L-BFGS steps a member.
        folds: groups of sources for the leave-sources-out margins.
        mirror_weight: factor on documents of `mirror`.
        source_power: a source of n documents weighs n to the power of 1 minus this, 0 to 1.
        cut_share: share of training documents cut to a random run of words, so that beginnings, endings and length
            say nothing.
        left_out: (column, value) pairs; for each a model is trained without such rows, and without the human
            documents that they mirror, and measured on them.
        seed: of folds and cuts.
    """

    members: tuple[Member, ...] = (Member(30.0), Member(15.0, intercept_ridge=30.0))
    iterations: int = 40
    folds: int = 5
    mirror_weight: float = 4.0
    source_power: float = 0.5
    cut_share: float = 0.25
    left_out: tuple[tuple[str, str], ...] = (("generator", "assistant-2026"), ("lang", "zh"), ("lang", "es"))
    seed: int = 17


_DEFAULT = Recipe()


@dataclass(frozen=True)
class Trained:
    """A trained model and what was measured of it.

    Attributes:
        model: as shipped, int8.
        reference: calibration on out-of-source margins.
        card: text of MODEL_CARD.md.
        cross: AUROC per source left out.
        inside: AUROC per source on held-back rows.
    """

    model: FastModel
    reference: Reference
    card: str
    cross: tuple[Area, ...]
    inside: tuple[Area, ...]


def train(corpus: Corpus, recipe: Recipe = _DEFAULT) -> Trained:
    """Train, calibrate and measure. Rows of split `dev` are never trained on; they give the in-source figures."""
    held_back = corpus.names("split") == "dev"
    seen, unseen = corpus.rows(~held_back), corpus.rows(held_back)
    tables = blank_tables()
    features = emitted(cut(seen, recipe.cut_share, recipe.seed).frame, tables)
    share = document_weights(seen, mirror_weight=recipe.mirror_weight, source_power=recipe.source_power)
    problem = Problem(features, damping(features), seen.label, share, intercept_groups(seen))
    outside = _out_of_source(seen, problem, tables, recipe)
    model = quantised(_fit(problem, np.arange(len(share)), recipe), tables)
    evidence = _evidence(seen, outside)
    rows = outside.enough
    reference = fit_reference(
        outside.margin[rows],
        seen.label[rows],
        seen.names("source")[rows],
        outside.language[rows],
        outside.length[rows],
    )
    cross = (*measure(evidence), *measure(_mirrored(seen, outside)))
    inside = measure(_evidence(unseen, _judge(unseen, model))) if held_back.any() else ()
    card = model_card(
        recipe=repr(recipe),
        counts=_counts(seen),
        licences=_LICENCES,
        cross=cross,
        inside=inside,
        notes=[*_left_out(seen, problem, tables, recipe), *_notes(seen, outside, reference)],
        reference=reference,
    )
    return Trained(model, reference, card, cross, inside)


def write_model(trained: Trained, directory: Path) -> None:
    """Write fast.npz, calibration.npz, MODEL_CARD.md and, last, the checksums in model.json."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "MODEL_CARD.md").write_text(trained.card, "utf-8")
    write_files(directory, {MODEL_FILE: trained.model.arrays(), CALIBRATION_FILE: trained.reference.arrays()})


def _fit(problem: Problem, rows: Integers, recipe: Recipe) -> Fit:
    return mean_fit([fit_member(problem, rows, member, iterations=recipe.iterations) for member in recipe.members])


def _out_of_source(corpus: Corpus, problem: Problem, tables: Tables, recipe: Recipe) -> Judged:
    """Judge every document with a model that saw no document of its family, in the very way that a scan does."""
    fold = source_folds(corpus, recipe.folds)
    n = len(fold)
    whole = Judged(np.zeros(n), np.full(n, "und", "<U8"), np.zeros(n, np.int64), np.zeros(n, np.bool_))
    for index in range(recipe.folds):
        left_out = fold == index
        if not left_out.any():
            continue
        model = quantised(_fit(problem, np.flatnonzero(~left_out), recipe), tables)
        found = _judge(corpus.rows(left_out), model)
        for field in dataclasses.fields(Judged):
            getattr(whole, field.name)[left_out] = getattr(found, field.name)
    return whole


def _left_out(corpus: Corpus, problem: Problem, tables: Tables, recipe: Recipe) -> list[str]:
    """AUROC on a generator or a language that the model never saw, as lines of the card."""
    lines = []
    for column, value in recipe.left_out:
        out = corpus.names(column) == value
        pairs = corpus.frame.filter(out)["pair"].drop_nulls().implode()
        out |= corpus.frame["id"].is_in(pairs).to_numpy()
        if not out.any() or out.all():
            continue
        model = quantised(_fit(problem, np.flatnonzero(~out), recipe), tables)
        part = corpus.rows(out)
        evidence = _evidence(part, _judge(part, model))
        if column == "generator":  # one set a language: the generator's texts against those that they mirror
            evidence = dataclasses.replace(evidence, source=np.full(len(evidence.label), value))
        for area in measure(evidence):
            n = f"n {area.n_human} human / {area.n_ai} machine"
            lines.append(
                f"AUROC with {column} {value} left out of training, {area.source} {area.language}: "
                f"{area.value:.3f} ({area.low:.3f}-{area.high:.3f}, {n})"
            )
    return lines


def _judge(corpus: Corpus, model: FastModel) -> Judged:
    return judged(corpus.frame, model, AiText().min_characters)


def _evidence(corpus: Corpus, found: Judged) -> Evidence:
    rows = found.enough
    return Evidence(found.margin[rows], corpus.label[rows], corpus.names("source")[rows], corpus.names("lang")[rows])


def _mirrored(corpus: Corpus, found: Judged) -> Evidence:
    """Mirror documents against the human documents that they mirror."""
    mirror = corpus.names("split") == "mirror"
    paired = corpus.frame["id"].is_in(corpus.frame["pair"].drop_nulls().implode()).to_numpy()
    rows = found.enough & (mirror | paired)
    n = int(rows.sum())
    language = corpus.names("lang")[rows]
    source = np.full(n, "mirror and pairs")
    return Evidence(found.margin[rows], mirror[rows].astype(np.int64), source, language)


def _counts(corpus: Corpus) -> list[str]:
    lines = []
    for split in dict.fromkeys(corpus.names("split").tolist()):
        part = corpus.rows(corpus.names("split") == split)
        human = int((part.label == 0).sum())
        sources, languages_ = part.frame["source"].n_unique(), part.frame["lang"].n_unique()
        lines.append(
            f"{split}: {human} human and {part.frame.height - human} machine documents, {sources} sources, "
            f"{languages_} languages, {part.frame.filter(part.frame['label'] == 1)['generator'].n_unique()} generators"
        )
    return lines


def _notes(corpus: Corpus, found: Judged, reference: Reference) -> list[str]:
    """True-positive rates at p_human <= 0.01 by kind of text, with n and intervals."""
    p = reference.p_human(found.margin, found.language, found.length)
    hit, machine = p <= 0.01, found.enough & (corpus.label == 1)
    notes = []
    splits, attacks, language = corpus.names("split"), corpus.names("attack"), corpus.names("lang")
    cuts = [(f"split {name}", splits == name) for name in dict.fromkeys(splits.tolist())]
    cuts += [(f"attack {name}", attacks == name) for name in np.unique(attacks).tolist()]
    cuts += [(f"language {name}", language == name) for name in np.unique(language).tolist()]
    for name, keep in cuts:
        rows = machine & keep
        n, hits = int(rows.sum()), int((rows & hit).sum())
        if n >= 100:
            low, high = wilson(hits, n)
            notes.append(f"machine text found at p <= 0.01, {name}: {hits / n:.3f} ({low:.3f}-{high:.3f}, n {n})")
    return notes


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m curricula.train_detector --data DIR --out DIR [--seed N]`."""
    parser = argparse.ArgumentParser(
        prog="python -m curricula.train_detector", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train.parquet and the like")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--seed", type=int, default=_DEFAULT.seed)
    options = parser.parse_args(arguments)
    try:
        trained = train(read_corpus(options.data), dataclasses.replace(_DEFAULT, seed=options.seed))
        write_model(trained, options.out)
    except FoxingError as error:
        sys.stderr.write(f"foxing: error: {error}\n")
        return 2
    sys.stdout.write(trained.card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
