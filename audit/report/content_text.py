"""What a report says of text: diversity, form, and the worst cases to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.intervals import Interval

__all__ = ["Document", "Excerpt", "Fit", "Measure", "PairText", "Shown", "Skeleton", "Uniformity", "Variety"]

Bins = tuple[float, ...]


@dataclass(frozen=True)
class Measure:
    """One measure of diversity, of documents.

    Attributes:
        name: field of `diversity`.
        title: in words.
        levels: ranks, 0 to 1, of the values.
        corpus: value at each; None without documents.
        reference: likewise of the reference.
        n: documents of the corpus that have the measure, of languages that the reference has where there are any.
        below: share of them below the reference's 5 % point; above its 95 % point where high is bad.
        high_is_bad: whether large values are the repetitive ones.
        sources: source to its median, largest sources first.
    """

    name: str
    title: str
    levels: Bins
    corpus: Bins | None
    reference: Bins | None
    n: int
    below: float | None
    high_is_bad: bool
    sources: Mapping[str, float]


@dataclass(frozen=True)
class Variety:
    """Lexical diversity beside a reference.

    Attributes:
        reference: what it is, in words.
        reference_n: documents behind it.
        left_out: documents of languages that it has not got; they are in the measures only where it has none at all of
            the corpus.
        measures: each measure.
        distinct: source to share of different pairs of words among `equal_words` words; empty without sketches.
        equal_words: at which sources are compared.
        heaps: exponent of Heaps' law over the corpus; None where it cannot be fitted.
        phrases: phrases that most documents share, each with the share of documents.
    """

    reference: str
    reference_n: int
    left_out: int
    measures: tuple[Measure, ...]
    distinct: Mapping[str, float]
    equal_words: int | None
    heaps: float | None
    phrases: Mapping[str, float]


@dataclass(frozen=True)
class Document:
    """One text of a pair: where it is, and pieces of it, each with whether it is what the pair is about."""

    shard: str
    row: int
    role: str
    pieces: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class PairText:
    """A bad case side by side: both rows of a duplicate, or a passage and the benchmark item that it has.

    Attributes:
        rule: id.
        facts: what was measured, in words.
        left: the row that was hit.
        right: the row that is kept; None for a benchmark item, whose text no index holds.
    """

    rule: str
    facts: str
    left: Document
    right: Document | None


@dataclass(frozen=True)
class Excerpt:
    """The beginning of one bad row."""

    rule: str
    shard: str
    row: int
    facts: str
    text: str


@dataclass(frozen=True)
class Shown:
    """Examples of one rule, worst first, or why there are none."""

    rule: str
    name: str
    pairs: tuple[PairText, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Skeleton:
    """A form that rows share: its text with content as `_`, and a row that has it."""

    source: str
    rows: int
    share: float
    text: str
    example: str


@dataclass(frozen=True)
class Fit:
    """How uniform one source is.

    Attributes:
        source: its name; "" is the whole corpus.
        rows: with words.
        share, interval: rows in the 100 most frequent skeletons; None where no row is long enough.
        bits: entropy of skeletons at equal rows.
        effective: effective number of different skeletons among `compared` rows.
        compared: see there.
        structures: share of rows with lists, headings and the like.
        token_distance, structure_distance: to the form of another scan; None without one.
    """

    source: str
    rows: int
    share: float | None
    interval: Interval | None
    bits: float | None
    effective: float | None
    compared: int
    structures: Mapping[str, float]
    token_distance: float | None = None
    structure_distance: float | None = None


@dataclass(frozen=True)
class Uniformity:
    """Form of the corpus and of its sources.

    Attributes:
        fits: the corpus first.
        skeletons: the most frequent of each source.
        unread: why texts could not be read, or were not to be shown; "" where they were.
    """

    fits: tuple[Fit, ...]
    skeletons: tuple[Skeleton, ...]
    unread: str
