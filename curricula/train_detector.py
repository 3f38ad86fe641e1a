"""Trains the bundled machine-text detector from labelled text, and measures it on sources it never saw.

    python -m curricula.train_detector --data ../shared/data/detection --out detectors/ai_text

Reads train, dev, modern_ai, mirror and dated_web.parquet (columns as described in their README), fits linear machines
over the features of `detectors.ai_text.features`, averages and quantises them, calibrates on margins of sources left
out, and writes model files, calibration and model card. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.detector_card import Area, Evidence, measure, model_card, wilson
from curricula.detector_corpus import Corpus, document_weights, read_corpus, source_folds
from curricula.detector_fit import Judged, Member, Problem, judged, problem_of
from curricula.detector_left_out import (
    Trial,
    curve,
    generator_trials,
    language_trials,
    model_of,
    out_of_source,
    write_trials,
)
from detectors.ai_text import AiText
from detectors.ai_text.calibration import CALIBRATION_FILE, Labelled, Reference, build_reference
from detectors.ai_text.model import FastModel, write_files
from detectors.errors import FoxingError

__all__ = ["MODEL_FILE", "Recipe", "Trained", "main", "train", "write_left_out", "write_margins", "write_model"]

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
        members: the ensemble; weights are averaged.
        passes: over all documents, for each member and stage.
        folds: groups of sources for the leave-sources-out margins.
        mirror_weight: factor on documents of `mirror`.
        source_power: a source of n documents weighs n to the power of 1 minus this, 0 to 1.
        languages_left_out: for each a model is trained without its documents, and measured on them.
        generators_left_out: the same; measured against people that the model did not see either.
        seed: of the order of documents.
    """

    members: tuple[Member, ...] = (Member(2.0, own_intercepts=(0.05, 0.1, 0.3)),)
    passes: int = 12
    folds: int = 5
    mirror_weight: float = 4.0
    source_power: float = 0.5
    languages_left_out: tuple[str, ...] = ("zh", "es", "de", "ru", "ar")
    generators_left_out: tuple[str, ...] = (
        "assistant-2026",
        "gpt-4o",
        "llama-3-70b",
        "claude-3-opus",
        "deepseek-v3",
        "qwen-2.5",
    )
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
        outside: every document as judged by a model that saw no document of its family, and
        fold: int64[n], in which fold it was left out.
        languages: what models without a language said of it, and
        generators: the same of generators.
        problem: of the documents that were trained on.
    """

    model: FastModel
    reference: Reference
    card: str
    cross: tuple[Area, ...]
    inside: tuple[Area, ...]
    outside: Judged
    fold: Integers
    languages: tuple[Trial, ...]
    generators: tuple[Trial, ...]
    problem: Problem


def train(corpus: Corpus, recipe: Recipe = _DEFAULT) -> Trained:
    """Train, calibrate and measure. Rows of split `dev` are never trained on; they give the in-source figures."""
    held_back = corpus.names("split") == "dev"
    seen, unseen = corpus.rows(~held_back), corpus.rows(held_back)
    share = document_weights(seen, mirror_weight=recipe.mirror_weight, source_power=recipe.source_power)
    problem, fold = problem_of(seen, share), source_folds(corpus, recipe.folds)
    outside = out_of_source(corpus, problem, fold, recipe)
    model = model_of(problem, np.arange(len(share)), recipe)
    rows = outside.enough
    labelled = Labelled(
        margin=outside.margin[rows],
        label=corpus.label[rows],
        source=corpus.names("source")[rows],
        family=corpus.names("family")[rows],
        domain=corpus.names("domain")[rows],
        generator=corpus.names("generator")[rows],
        language=outside.language[rows],
        length=outside.length[rows],
        style=outside.style[rows].astype(np.float64),
    )
    reference = build_reference(labelled)
    cross = (*measure(_evidence(corpus, outside)), *measure(_mirrored(corpus, outside)))
    inside = measure(_evidence(unseen, _judge(unseen, model))) if held_back.any() else ()
    languages = tuple(language_trials(corpus, problem, recipe, recipe.languages_left_out))
    generators = tuple(generator_trials(corpus, problem, recipe, recipe.generators_left_out))
    notes = [
        *(line for trial in generators for line in _lines("generator", trial, corpus)),
        *(line for trial in languages for line in _lines("lang", trial, corpus)),
    ]
    card = model_card(
        recipe=repr(recipe),
        counts=_counts(seen),
        licences=_LICENCES,
        cross=cross,
        inside=inside,
        notes=[*notes, *_notes(corpus, outside, reference)],
        reference=reference,
    )
    return Trained(model, reference, card, cross, inside, outside, fold, languages, generators, problem)


def write_model(trained: Trained, directory: Path) -> None:
    """Write fast.npz, calibration.npz, MODEL_CARD.md and, last, the checksums in model.json."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "MODEL_CARD.md").write_text(trained.card, "utf-8")
    write_files(directory, {MODEL_FILE: trained.model.arrays(), CALIBRATION_FILE: trained.reference.arrays()})


def write_margins(trained: Trained, corpus: Corpus, path: Path) -> None:
    """Write the out-of-source margins as Parquet: all columns of the corpus but its text, and what was judged."""
    found = trained.outside
    columns = [
        pl.Series("margin", found.margin),
        pl.Series("language", found.language.tolist(), pl.String),
        pl.Series("length", found.length),
        pl.Series("enough", found.enough),
        pl.Series("style", found.style.tolist(), pl.List(pl.Float32)),
        pl.Series("fold", trained.fold),
        pl.Series("row", np.arange(len(trained.fold))),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    corpus.frame.drop("text").with_columns(columns).write_parquet(path)


def write_left_out(trained: Trained, corpus: Corpus, recipe: Recipe, directory: Path) -> None:
    """Write what models said of what they never saw: source.parquet (see `write_margins`), language.parquet,
    generator.parquet and curve.parquet, by models of a share of the families. The last takes models of its own.
    """
    write_margins(trained, corpus, directory / "source.parquet")
    points = [*curve(corpus, trained.problem, trained.fold, recipe), _whole(trained, corpus)]
    for name, trials in (("language", trained.languages), ("generator", trained.generators), ("curve", points)):
        if trials:
            write_trials(trials, corpus, directory / f"{name}.parquet")


def _whole(trained: Trained, corpus: Corpus) -> Trial:
    """The end of the learning curve: all families but those of a fold."""
    family, seen = corpus.names("family"), corpus.names("split") != "dev"
    kept = [seen & (trained.fold != index) for index in np.unique(trained.fold)]
    families = np.mean([len(np.unique(family[rows])) for rows in kept])
    return Trial(
        "1", np.arange(len(family)), trained.outside, float(families), float(np.mean([rows.sum() for rows in kept]))
    )


def _lines(what: str, trial: Trial, corpus: Corpus) -> list[str]:
    """AUROC on what the model of a trial never saw, as lines of the card."""
    rows = np.zeros(corpus.frame.height, np.bool_)
    rows[trial.rows] = True
    part = corpus.rows(rows)
    # A mirrored text has its people in another source: those that it mirrors.
    areas = (*measure(_evidence(part, trial.found)), *measure(_mirrored(part, trial.found)))
    return [_line(f"{what} {trial.group}", area) for area in areas]


def _line(what: str, area: Area) -> str:
    n = f"n {area.n_human} human / {area.n_ai} machine"
    return (
        f"AUROC with {what} left out of training, {area.source} {area.language}: "
        f"{area.value:.3f} ({area.low:.3f}-{area.high:.3f}, {n})"
    )


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
    p = reference.p_human(found.margin, found.language, found.length, found.style)
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
    """Command line: `python -m curricula.train_detector --data DIR --out DIR` and what `--help` names."""
    parser = argparse.ArgumentParser(
        prog="python -m curricula.train_detector", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train.parquet and the like")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--margins", type=Path, help="Parquet file to write out-of-source margins to")
    parser.add_argument(
        "--left-out", type=Path, help="folder to write margins to: sources, languages and generators left out, a curve"
    )
    parser.add_argument("--seed", type=int, default=_DEFAULT.seed)
    options = parser.parse_args(arguments)
    try:
        corpus = read_corpus(options.data)
        recipe = dataclasses.replace(_DEFAULT, seed=options.seed)
        trained = train(corpus, recipe)
        write_model(trained, options.out)
        if options.margins:
            write_margins(trained, corpus, options.margins)
        if options.left_out:
            write_left_out(trained, corpus, recipe, options.left_out)
    except FoxingError as error:
        sys.stderr.write(f"foxing: error: {error}\n")
        return 2
    sys.stdout.write(trained.card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
