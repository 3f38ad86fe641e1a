"""How uniform the form of each source is: shared skeletons, openings, structure, order of words, effective number.

The diagnosis of Chen et al. 2024, Unveiling the Flaws (arXiv:2406.12397), which found answers of one form and their
peaked token frequencies to make models fit the form. Everything is worked out when it is asked for, from the findings
of `format` and from some hundreds of texts a source, where these are still in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audit.format_distance import STRUCTURES, Distance, Reference, structures_of
from audit.format_measures import (
    Compression,
    Share,
    compression,
    effective_number,
    entropy_bits,
    skeleton_features,
    top_share,
)
from audit.format_sample import SIGNAL, Sample, Sampling, cheap_rows, read_texts, sample_findings
from detectors.errors import FindingsError, InputError

if TYPE_CHECKING:
    from audit.findings_folder import Findings
    from detectors.skeletons import Shape

__all__ = ["LEAST_WORDS", "QUANTILES", "STRUCTURES", "Distance", "Form", "FormatProfile", "Recurring", "format_profile"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

LEAST_WORDS = 50
"""Texts of fewer words are alike without having been made from a template, and are counted apart."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MAX_SOURCES = 256
_READ_SOURCES = 20
_MIN_EQUAL_ROWS = 200
_TEXT_ROWS = 300
_VENDI_ROWS = 200
_VENDI_WORDS = 64
_COMPRESSED_BYTES = 1 << 18
_TOP = 5
_EXAMPLE_BYTES = 160


@dataclass(frozen=True)
class Recurring:
    """A skeleton, or a run of masked words, that rows share.

    Attributes:
        rows: of the sample that have it.
        share: of the sample.
        index: position in the corpus of a row that has it.
        text: as it reads, content as `_`; None where the texts cannot be read.
        example: how the text of that row begins; None likewise.
    """

    rows: int
    share: float
    index: int
    text: str | None
    example: str | None


@dataclass(frozen=True)
class Form:
    """The form of one source, or of the corpus. All figures are of a seeded sample of at most 20,000 rows.

    Attributes:
        rows: with words.
        sampled: of them looked at.
        share: rows of 50 words or more in the 100 most frequent skeletons of such rows; None where there are none.
        equal: the same in a sample of `FormatProfile.equal_rows` rows; None where the source has fewer.
        every: the same over rows of any length.
        skeleton_bits: entropy of the skeletons, over as many rows as `equal`: 0 when all have one, the logarithm of
            the rows when none have the same. It tells ten templates from a hundred, which the shares do not.
        opening_bits: of the masked first words, over as many.
        closing_bits: of the last.
        structures: share of rows by `STRUCTURES`.
        lengths: words at `QUANTILES`.
        spread: standard deviation of the logarithm of words; 0 where all are equally long.
        skeletons: the most frequent.
        openings: first words.
        closings: last words.
        compression: None where texts cannot be read.
        effective: effective number of texts among `compared`, by their masked n-grams; None likewise.
        compared: rows behind `effective`.
        distance: to the reference; None where there is none.
    """

    rows: int
    sampled: int
    share: Share | None
    equal: Share | None
    every: Share | None
    skeleton_bits: float | None
    opening_bits: float | None
    closing_bits: float | None
    structures: Mapping[str, float]
    lengths: tuple[float, ...]
    spread: float
    skeletons: tuple[Recurring, ...]
    openings: tuple[Recurring, ...]
    closings: tuple[Recurring, ...]
    compression: Compression | None
    effective: float | None
    compared: int
    distance: Distance | None


@dataclass(frozen=True)
class FormatProfile:
    """The form of a corpus.

    Attributes:
        signature: name, version and hash of the settings of the signal behind it.
        total: over all sources.
        sources: by name, most rows first; at most 256.
        more: sources that are not among them.
        equal_rows: rows of 50 words or more at which sources are compared: those of the smallest that has 200.
        unread: why texts could not be read; None where they were, or need not be.
    """

    signature: str
    total: Form
    sources: Mapping[str, Form]
    more: int
    equal_rows: int | None
    unread: str | None


def format_profile(
    findings: Findings,
    *,
    reference: Findings | None = None,
    corpus: str | None = None,
    sampling: Sampling | None = None,
) -> FormatProfile | None:
    """Profile the form of a corpus.

    Args:
        findings: of a scan.
        reference: of a scan to measure distances to.
        corpus: folder that the files were moved to.
        sampling: that has taken in all parts of the findings; None reads them for it.

    Returns:
        The profile; None where `format` was not measured.

    Raises:
        FindingsError: `format` was measured otherwise in the reference, or not at all.
    """
    record = next((signal for signal in findings.measured if signal.name == SIGNAL), None)
    if record is None:
        return None
    if reference is not None and record.config_hash not in {
        signal.config_hash for signal in reference.measured if signal.name == SIGNAL
    }:
        raise FindingsError(
            f"{reference.directory}: format was not scanned as in {findings.directory}. Scan both alike."
        )
    total, samples = sample_findings(findings) if sampling is None else sampling.samples()
    chosen = dict(list(samples.items())[:MAX_SOURCES])
    sizes = [int((sample.counts["words"] >= LEAST_WORDS).sum()) for sample in chosen.values()]
    equal_rows = min((size for size in sizes if size >= _MIN_EQUAL_ROWS), default=None)
    reader = _Reader(findings, corpus, _shape(record.config))
    against = Reference.of(reference) if reference is not None else None
    read = {name for name, _ in list(chosen.items())[:_READ_SOURCES]}
    form = _Profiler(reader, against, equal_rows, findings.seed).form
    return FormatProfile(
        signature=f"{SIGNAL}:{record.version}:{record.config_hash[:4]}",
        total=form(total, read=True),
        sources={name: form(sample, read=name in read) for name, sample in chosen.items()},
        more=len(samples) - len(chosen),
        equal_rows=equal_rows,
        unread=reader.unread,
    )


def _shape(config: Mapping[str, object]) -> Shape:
    from detectors.skeletons import Shape

    return Shape(*(int(str(config[name])) for name in ("elements", "tokens", "edge_words")))


class _Reader:
    """Reads texts until some cannot be read, and remembers why."""

    def __init__(self, findings: Findings, corpus: str | None, shape: Shape) -> None:
        self._findings = findings
        self._corpus = corpus
        self.shape = shape
        self.unread: str | None = None

    def read(self, index: I64) -> dict[int, bytes] | None:
        """The texts of rows, by their place in the corpus; None once some could not be read."""
        if self.unread is not None:
            return None
        chosen = np.unique(index)
        try:
            return dict(zip(chosen.tolist(), read_texts(self._findings, chosen, self._corpus), strict=True))
        except InputError as error:
            self.unread = str(error)
            return None


@dataclass(frozen=True)
class _Profiler:
    reader: _Reader
    reference: Reference | None
    equal_rows: int | None
    seed: int

    def form(self, sample: Sample, *, read: bool) -> Form:
        long = sample.first(len(sample), LEAST_WORDS)
        equal = long.first(self.equal_rows) if self.equal_rows is not None and len(long) >= self.equal_rows else None
        words, structures = sample.counts["words"], structures_of(sample)
        cheap = cheap_rows(sample, _TEXT_ROWS)
        kinds = {"skeleton": long if len(long) else sample, "opening": sample, "closing": sample}
        recurring = {kind: _recurring(rows, cheap, kind) for kind, rows in kinds.items()}
        members = [np.array([each.index for each in found], np.int64) for found in recurring.values()]
        known = self.reader.read(np.concatenate([cheap.index, *members])) if read and len(sample) else None
        if known is not None:
            recurring = {kind: self._told(found, known, kind) for kind, found in recurring.items()}
        texts = None if known is None else [known[at] for at in cheap.index.tolist()]
        effective, compared = self._effective(texts)
        return Form(
            rows=sample.rows,
            sampled=len(sample),
            share=top_share(long.hashes["skeleton"]),
            equal=None if equal is None else top_share(equal.hashes["skeleton"]),
            every=top_share(sample.hashes["skeleton"]),
            skeleton_bits=None if equal is None else entropy_bits(equal.hashes["skeleton"]),
            opening_bits=None if equal is None else entropy_bits(equal.hashes["opening"]),
            closing_bits=None if equal is None else entropy_bits(equal.hashes["closing"]),
            structures={name: float(has.mean()) if len(sample) else 0.0 for name, has in structures.items()},
            lengths=tuple(np.quantile(words, QUANTILES).tolist()) if len(sample) else (),
            spread=float(np.log(words).std()) if len(sample) else 0.0,
            skeletons=recurring["skeleton"],
            openings=recurring["opening"],
            closings=recurring["closing"],
            compression=None if texts is None else compression(b"\n".join(texts)[:_COMPRESSED_BYTES], self.seed),
            effective=effective,
            compared=compared,
            distance=None if self.reference is None else self.reference.distance(sample, texts),
        )

    def _effective(self, texts: Sequence[bytes] | None) -> tuple[float | None, int]:
        from detectors.documents import Documents
        from detectors.skeletons import masked_words

        documents = Documents.from_texts(list((texts or ())[:_VENDI_ROWS]))
        starts, counts = documents.words.doc_offsets[:-1], np.minimum(documents.words.counts, _VENDI_WORDS)
        starts, counts = starts[counts > 0], counts[counts > 0]
        if not len(counts):
            return None, 0
        offsets = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return effective_number(skeleton_features(masked_words(documents)[places], offsets)), len(counts)

    def _told(self, found: Sequence[Recurring], known: Mapping[int, bytes], kind: str) -> tuple[Recurring, ...]:
        """The same with the text of the row that stands for each."""
        return tuple(
            replace(
                each,
                text=self._rendered(known[each.index], kind),
                example=_beginning(known[each.index]),
            )
            for each in found
        )

    def _rendered(self, text: bytes, kind: str) -> str:
        from detectors.skeletons import render_edges, render_skeleton

        if kind == "skeleton":
            return render_skeleton(text, self.reader.shape)
        return render_edges(text, self.reader.shape)[kind == "closing"]


def _beginning(text: bytes) -> str:
    cut = text[:_EXAMPLE_BYTES].decode("utf-8", "ignore")
    return cut if len(text) <= _EXAMPLE_BYTES else f"{cut}…"


def _recurring(sample: Sample, cheap: Sample, kind: str) -> tuple[Recurring, ...]:
    """The most frequent values of one hash that two rows have, each with a row that is cheap to read if one is."""
    near = np.argsort(~np.isin(sample.index, cheap.index), kind="stable")
    values, first, counts = np.unique(sample.hashes[kind][near], return_index=True, return_counts=True)
    order = np.lexsort((values, -counts))[:_TOP]
    members = sample.index[near[first]]
    return tuple(
        Recurring(int(counts[at]), float(counts[at] / len(sample)), int(members[at]), None, None)
        for at in order[counts[order] > 1].tolist()
    )
