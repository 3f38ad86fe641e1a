"""Fits what human margins are compared by, adjustment and tail, to all labelled documents or to some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.ai_text.adjustment import KINDS, STYLE, Adjustment, kinds
from detectors.ai_text.tail import Tail, tail_of

__all__ = ["Fitted", "Fitter", "Labelled"]

_MIN_LANGUAGE, _MIN_CLASS, _MIN_CELL = 200, 30, 8
_STYLE_RIDGE, _MARGIN_RIDGE = 0.3, 0.1
_SHRUNK_SOURCES, _SHRUNK_DOCUMENTS = 1.0, 20.0
_UPPER = 0.75
_BEYOND = 2e-4
_NORMAL_DEVIATION, _LEAST_SCALE = 1.4826, 0.5
_UNKNOWN = "und"

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Out-of-source margins of documents long enough to judge, and what is known of them.

    Attributes:
        margin: float64[n], each from a model that never saw that document's source family.
        label: int64[n], 1 for machine text.
        source: str[n].
        family: str[n]; documents of one family are left out together.
        domain: str[n].
        generator: str[n]; of human text it is not looked at.
        language: str[n], as the signal finds it.
        length: int64[n], characters.
        style: float64[n, len(STYLE)]; NaN where unknown.
    """

    margin: Floats
    label: Integers
    source: Names
    family: Names
    domain: Names
    generator: Names
    language: Names
    length: Integers
    style: Floats

    @property
    def human(self) -> Rows:
        """bool[n]: written by people."""
        found: Rows = np.asarray(self.label) == 0
        return found


@dataclass(frozen=True, eq=False)
class Fitted:
    """The adjustment and the tail of human text after it."""

    adjustment: Adjustment
    tail: Tail

    def adjusted(self, data: Labelled, rows: Rows) -> Floats:
        """float64[rows]: adjusted margins of some documents."""
        return self.adjustment(data.margin[rows], data.language[rows], data.style[rows])


class Fitter:
    """What every fit to parts of the same labelled documents shares: where they are, and how style is scaled."""

    def __init__(self, data: Labelled) -> None:
        self.data = data
        self.source_names, self.source = np.unique(data.source, return_inverse=True)
        self.centre, self.scale, self.limits = _style_of_people(data)
        unscaled = Adjustment(self.centre, self.scale, np.zeros(len(STYLE)), (), np.zeros(1))
        self.style = unscaled.standardised(data.style, data.language)
        self._sets = _two_class_sets(data)
        self._cells = _cells(data)

    def fit(self, keep: Rows) -> Fitted:
        """Fit to the documents where `keep` holds."""
        weights = self._weights(keep)
        margin = self.data.margin - self.style @ weights
        languages, offsets = self._offsets(margin, keep)
        adjustment = Adjustment(self.centre, self.scale, weights, languages, offsets)
        rows = np.flatnonzero(keep & self.data.human)
        human = margin[rows] - offsets[adjustment.row(self.data.language[rows])]
        return Fitted(adjustment, tail_of(human, self.source[rows]))

    def _weights(self, keep: Rows) -> Floats:
        """float64[len(STYLE)]: the linear discriminant within sets (Fisher 1936), each set counting alike.

        Within a set people and models write on the same things, so that what sets differ in cannot be taken for what
        people and models differ in.
        """
        width = 1 + len(STYLE)
        scatter, gap, used = np.zeros((width, width)), np.zeros(width), 0
        for human, machine in self._sets:
            values = [self._values(rows[keep[rows]]) for rows in (human, machine)]
            if min(map(len, values)) < _MIN_CLASS:
                continue
            scatter += sum(np.cov(part, rowvar=False, bias=True) for part in values) / 2
            gap += values[1].mean(axis=0) - values[0].mean(axis=0)
            used += 1
        if not used:
            return np.zeros(len(STYLE))
        ridge = np.diag([_MARGIN_RIDGE, *[_STYLE_RIDGE] * len(STYLE)])
        direction = np.linalg.solve(scatter / used + ridge, gap / used)
        result: Floats = -direction[1:] / direction[0] if direction[0] > 0 else np.zeros(len(STYLE))
        return result

    def _values(self, rows: Integers) -> Floats:
        return np.column_stack([self.data.margin[rows], self.style[rows]])

    def _offsets(self, margin: Floats, keep: Rows) -> tuple[tuple[str, ...], Floats]:
        """Languages with human text enough, and how far the upper quartiles of their sources lie from those of all."""
        cells = [(language, rows[keep[rows]]) for language, rows in self._cells]
        cells = [(language, rows) for language, rows in cells if len(rows) >= _MIN_CELL]
        if not cells:
            return (), np.zeros(1)
        counts = np.array([len(rows) for _, rows in cells], np.float64)
        upper = np.array([np.quantile(margin[rows], _UPPER) for _, rows in cells])
        weight = counts / (counts + _SHRUNK_DOCUMENTS)
        apart = upper - np.average(upper, weights=weight)
        codes = np.array([language for language, _ in cells])
        found = {}
        for code in np.unique(codes):
            own = codes == code
            if counts[own].sum() >= _MIN_LANGUAGE and code != _UNKNOWN:
                found[str(code)] = float((weight * apart)[own].sum() / (weight[own].sum() + _SHRUNK_SOURCES))
        return tuple(found), np.array([*found.values(), max(found.values(), default=0.0)])


def _style_of_people(data: Labelled) -> tuple[Floats, Floats, Floats]:
    """Centre, scale and limits of human style in each kind of script; those of all where people are few."""
    kind = kinds(data.language)
    centre, scale = np.zeros((2, len(KINDS), len(STYLE)))
    limits = np.tile(np.array([-np.inf, np.inf])[:, None, None], (1, len(KINDS), len(STYLE)))
    known = data.human & np.isfinite(data.style).all(axis=1)
    scale += 1.0
    for index in range(len(KINDS)):
        rows = known & (kind == index)
        values = data.style[rows if rows.sum() >= _MIN_LANGUAGE else known]
        if not len(values):
            continue
        centre[index] = np.median(values, axis=0)
        usual = _NORMAL_DEVIATION * np.median(np.abs(values - centre[index]), axis=0)
        scale[index] = np.maximum(usual, _LEAST_SCALE * values.std(axis=0)) + 1e-9
        limits[:, index] = np.quantile(values, [_BEYOND, 1.0 - _BEYOND], axis=0)
    return centre, scale, limits


def _two_class_sets(data: Labelled) -> list[tuple[Integers, Integers]]:
    """(human rows, machine rows) of each source and language; of machine text alone, against people of its families."""
    sets = []
    human = data.human
    for source in np.unique(data.source[~human]):
        machine_only = not human[data.source == source].any()
        for language in np.unique(data.language[data.source == source]):
            spoken = data.language == language
            machine = ~human & spoken & (data.source == source)
            same = np.isin(data.family, np.unique(data.family[machine])) if machine_only else data.source == source
            people = human & spoken & same
            if min(people.sum(), machine.sum()) >= _MIN_CLASS:
                sets.append((np.flatnonzero(people), np.flatnonzero(machine)))
    return sets


def _cells(data: Labelled) -> list[tuple[str, Integers]]:
    """Language and human rows of each source and language."""
    rows = np.flatnonzero(data.human)
    key = np.char.add(np.char.add(data.source[rows], "\0"), data.language[rows])
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.r_[True, key[order][1:] != key[order][:-1]])
    return [(str(data.language[part[0]]), part) for part in np.split(rows[order], starts[1:]) if len(part)]
