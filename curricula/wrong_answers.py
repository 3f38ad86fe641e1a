"""Finds a wrong answer for each question among the answers that a data set gives to others of the same relation.

A wrong answer is one that the same relation has for another question, of the same kind (`detectors.answers`: a year for
a year), drawn as often as it occurs there, so that rarity does not give it away. It is never an answer that the data
gives to the same question or subject, never one that stands in one list with a right answer (an alias), and never a
right answer with words added or left out. A row that names its own `false_answers` gets one of these, by the same
tests but that of aliases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curricula.order import splitmix64
from detectors.answer_match import differs, told
from detectors.answers import answer_kinds, normalised_answers, text_keys

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NOTHING", "OWN", "Asked", "Gathering", "Pool", "joined_texts", "question_forms"]

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
NOTHING = -1
"""A choice: no wrong answer was found."""
OWN = -2
"""A choice: the row's own false answer at `OWN - choice`."""
_MOST_A_RELATION = 50_000
_MOST_ALIASES = 16
_WEIGHTED_DRAWS = 8
_MOST_TRIES = 256
_MERGE_ROWS = 1 << 19
_COMPARED = 300
"""Characters of a long answer by which it is told from another."""
_OPENING = r"(?s)^((?:who|when|where|how)\s+\S+|\S+\s+\S+\s+\S+\s+\S+).*$"
_SUBJECT = np.uint64(0x5375626A65637421)


@dataclass(frozen=True)
class Asked:
    """The rows of a batch as questions with answers.

    Attributes:
        questions: large_string[n], normalised; null where there is none.
        subjects: large_string[n], normalised subject and relation as one text; null where not known.
        relations: for each of one or two ways of grouping, string[n]: rows of equal text are of one relation.
        answers: list<large_string>[n], all right answers as written; empty or null where there is none.
        refused: list<large_string>[n], the row's own false answers; null where it has none.
    """

    questions: pa.LargeStringArray
    subjects: pa.LargeStringArray
    relations: tuple[pa.LargeStringArray, ...]
    answers: pa.LargeListArray
    refused: pa.LargeListArray


def question_forms(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """What stands for a relation where none is named: the question without its names, and its first words.

    Names are capitalised words after the first, quoted passages and numbers. First words are two after who, when, where
    and how, else four.

    Args:
        texts: questions as written.
    """
    found = pc.replace_substring_regex(texts, r"[\"“”«»‘][^\"“”«»’]+[\"“”«»’]", "_")
    found = pc.replace_substring_regex(found, r"(\s)[\p{Lu}\d][^\s?.,;:]*", r"\1_")
    found = pc.replace_substring_regex(found, r"_(?:['’]s)?(?:(?:[\s,.-]| of | and | the | de | von | van )*_)+", "_")
    found = pc.utf8_trim_whitespace(pc.utf8_lower(found))
    opening = pc.replace_substring_regex(found, _OPENING, r"\1")
    return joined_texts(_text("form "), found), joined_texts(_text("opening "), opening)


def joined_texts(*parts: pa.LargeStringArray | pa.LargeStringScalar) -> pa.LargeStringArray:
    """Texts put together row by row; null where one is null."""
    return pc.binary_join_element_wise(*parts, _text(""))


def _text(text: str) -> pa.LargeStringScalar:
    return pa.scalar(text, pa.large_string())


@dataclass(frozen=True)
class _Answers:
    """All answers of a batch, one after the other."""

    owner: I64
    first: npt.NDArray[np.bool_]
    raw: pa.LargeStringArray
    texts: pa.LargeStringArray
    keys: U64


def _taken_apart(lists: pa.LargeListArray) -> _Answers:
    sizes = np.asarray(pc.fill_null(pc.list_value_length(lists), 0)).astype(np.int64)
    owner = np.repeat(np.arange(len(lists)), sizes)
    raw = lists.flatten()
    texts = normalised_answers(raw)
    keep = np.asarray(pc.fill_null(pc.not_equal(texts, ""), False))
    place = pa.array(np.flatnonzero(keep))
    owner, raw, texts = owner[keep], raw.take(place), texts.take(place)
    first = np.diff(owner, prepend=-1) > 0
    return _Answers(owner, first, raw, texts, text_keys(texts)[0])


def _bound(questions: U64, answers: U64) -> U64:
    """One number for a question and an answer to it."""
    return splitmix64(questions ^ splitmix64(answers))


def _facts(asked: Asked, answers: _Answers) -> U64:
    """Numbers of all facts of a batch: question and answer, subject and answer."""
    found = []
    for texts, mark in ((asked.questions, np.uint64(0)), (asked.subjects, _SUBJECT)):
        keys, some = text_keys(texts)
        known = some[answers.owner]
        found.append(_bound(keys[answers.owner][known] ^ mark, answers.keys[known]))
    return np.concatenate(found)


def _aliases(answers: _Answers) -> U64:
    """Numbers of all pairs of answers that stand in one list, in both orders, of the first 16."""
    found = [np.zeros(0, np.uint64)]
    for apart in range(1, _MOST_ALIASES):
        together = answers.owner[:-apart] == answers.owner[apart:] if len(answers.owner) > apart else np.zeros(0, bool)
        if not together.any():
            break
        one, other = answers.keys[:-apart][together], answers.keys[apart:][together]
        found += [_bound(one, other), _bound(other, one)]
    return np.concatenate(found)


class Gathering:
    """Collects the answers of each relation, and what is true, batch by batch.

    Memory: 8 bytes for each fact and each pair of aliases, and at most 50,000 answers a relation and kind (those with
    the lowest hashes, whatever the order of batches).

    Args:
        seed: of which answers are kept where there are more.
    """

    def __init__(self, seed: int) -> None:
        self._seed = np.uint64(seed)
        self._facts: list[U64] = []
        self._aliases: list[U64] = []
        self._pools: list[pl.DataFrame] = []
        self._held = 0

    def add(self, asked: Asked) -> None:
        """Take in a batch."""
        import polars as pl

        answers = _taken_apart(asked.answers)
        self._facts.append(np.unique(_facts(asked, answers)))
        self._aliases.append(np.unique(_aliases(answers)))
        first = pa.array(np.flatnonzero(answers.first))
        owner = pa.array(answers.owner[answers.first])
        for relations in asked.relations:
            frame = pl.DataFrame(
                {
                    "relation": pl.from_arrow(relations.take(owner)),
                    "kind": pl.from_arrow(answer_kinds(answers.texts.take(first)).cast(pa.large_string())),
                    "key": answers.keys[answers.first],
                    "text": pl.from_arrow(answers.texts.take(first)),
                    "raw": pl.from_arrow(answers.raw.take(first)),
                }
            )
            self._pools.append(_counted(frame.drop_nulls("relation").with_columns(count=pl.lit(1, pl.Int64))))
            self._held += self._pools[-1].height
        if self._held > _MERGE_ROWS:
            self._merge()

    def _merge(self) -> None:
        import polars as pl

        merged = _counted(pl.concat(self._pools))
        order = splitmix64(merged["key"].to_numpy() ^ splitmix64(np.array([self._seed], np.uint64)))
        merged = merged.with_columns(order=pl.Series(order)).sort("relation", "kind", "order", "key")
        within = pl.int_range(pl.len()).over("relation", "kind")
        self._pools = [merged.filter(within < _MOST_A_RELATION).drop("order")]
        self._held = self._pools[0].height
        self._facts = [np.unique(np.concatenate(self._facts))]
        self._aliases = [np.unique(np.concatenate(self._aliases))]

    def pool(self) -> Pool:
        """What was gathered."""
        if not self._pools:
            return Pool.empty()
        self._merge()
        (merged,) = self._pools
        groups = merged["relation"] + "\x1f" + merged["kind"]
        edges = np.flatnonzero((groups != groups.shift()).fill_null(True).to_numpy()).astype(np.int64)
        return Pool(
            groups=groups.gather(edges).to_arrow().cast(pa.large_string()),
            offsets=np.concatenate([edges, [merged.height]]),
            weights=np.concatenate([[0], np.cumsum(merged["count"].to_numpy())]),
            keys=merged["key"].to_numpy(),
            texts=merged["text"].to_arrow().cast(pa.large_string()),
            raw=merged["raw"].to_arrow().cast(pa.large_string()),
            facts=self._facts[0],
            aliases=self._aliases[0],
        )


def _counted(frame: pl.DataFrame) -> pl.DataFrame:
    """Each answer of a relation once, with how often it occurs, in the spelling that comes first in the alphabet."""
    import polars as pl

    return frame.group_by("relation", "kind", "key", maintain_order=True).agg(
        pl.col("text").first(), pl.col("raw").min(), pl.col("count").sum()
    )


@dataclass(frozen=True, eq=False)
class Pool:
    """Answers by relation and kind, and what is true.

    Attributes:
        groups: large_string[groups], relation and kind.
        offsets: int64[groups + 1] into the answers.
        weights: int64[answers + 1], running counts.
        keys, texts, raw: of the answers: key, normalised, as written.
        facts, aliases: uint64, ascending.
    """

    groups: pa.LargeStringArray
    offsets: I64
    weights: I64
    keys: U64
    texts: pa.LargeStringArray
    raw: pa.LargeStringArray
    facts: U64
    aliases: U64

    @classmethod
    def empty(cls) -> Pool:
        """Without any answer."""
        none, texts = np.zeros(0, np.uint64), pa.array([], pa.large_string())
        one = np.zeros(1, np.int64)
        return cls(texts, one, one, none, texts, texts, none, none)

    def choose(self, asked: Asked, hashes: U64) -> I32:
        """int32[n]: the wrong answer of each row as a position in `raw`, `OWN - k` for its own, or `NOTHING`.

        Args:
            asked: rows.
            hashes: uint64[n], of which all that is random is made.
        """
        answers = _taken_apart(asked.answers)
        choices: I32 = np.full(len(hashes), NOTHING, np.int32)
        self._choose_own(choices, asked, answers, hashes)
        rows = answers.owner[answers.first]
        kinds = answer_kinds(answers.texts.take(pa.array(np.flatnonzero(answers.first)))).cast(pa.large_string())
        trial = _Trial(self, asked, answers, self.aliases)
        for relations in asked.relations:
            names = joined_texts(relations.take(pa.array(rows)), _text("\x1f"), kinds)
            group = np.asarray(pc.fill_null(pc.index_in(names, self.groups), -1)).astype(np.int64)
            open_rows = (choices[rows] == NOTHING) & (group >= 0) & np.asarray(asked.refused.is_null())[rows]
            self._draw(choices, trial, rows[open_rows], group[open_rows], hashes)
        return choices

    def _draw(self, choices: I32, trial: _Trial, rows: I64, group: I64, hashes: U64) -> None:
        """A few draws by frequency, then one after the other from a random place."""
        start, size = self.offsets[group], np.diff(self.offsets)[group]
        low, high = self.weights[start], self.weights[start + size]
        begin = hashes[rows] % size.astype(np.uint64)
        for attempt in range(_WEIGHTED_DRAWS + _MOST_TRIES):
            if not len(rows):
                return
            if attempt < _WEIGHTED_DRAWS:
                drawn = splitmix64(hashes[rows] + np.uint64(attempt)) % (high - low).astype(np.uint64)
                at = np.searchsorted(self.weights, low + drawn.astype(np.int64), side="right") - 1
            else:
                step = attempt - _WEIGHTED_DRAWS
                at = start + ((begin + np.uint64(step)) % size.astype(np.uint64)).astype(np.int64)
            wrong = trial.wrong(rows, self.keys[at], self.texts, at)
            choices[rows[wrong]] = at[wrong]
            left = ~wrong & (size > attempt + 1 - _WEIGHTED_DRAWS)
            rows, start, size, low, high = (each[left] for each in (rows, start, size, low, high))
            begin = begin[left]

    def _choose_own(self, choices: I32, asked: Asked, answers: _Answers, hashes: U64) -> None:
        rows = np.flatnonzero(np.asarray(asked.refused.is_valid()) & np.isin(np.arange(len(hashes)), answers.owner))
        if not len(rows):
            return
        trial = _Trial(self, asked, answers, np.zeros(0, np.uint64))  # what the data calls wrong is no alias
        sizes = np.asarray(pc.list_value_length(asked.refused.take(pa.array(rows)))).astype(np.int64)
        rows, sizes = rows[sizes > 0], sizes[sizes > 0]
        flat = normalised_answers(asked.refused.take(pa.array(rows)).flatten())
        keys, some = text_keys(flat)
        starts = np.cumsum(sizes) - sizes
        for attempt in range(int(sizes.max(initial=0))):
            within = ((hashes[rows] + np.uint64(attempt)) % sizes.astype(np.uint64)).astype(np.int64)
            at = starts + within
            wrong = trial.wrong(rows, keys[at], flat, at) & some[at]
            choices[rows[wrong]] = OWN - within[wrong]
            left = ~wrong & (sizes > attempt + 1)
            rows, sizes, starts = rows[left], sizes[left], starts[left]


class _Trial:
    """Tells whether candidates are wrong for the rows of one batch."""

    def __init__(self, pool: Pool, asked: Asked, answers: _Answers, aliases: U64) -> None:
        self._pool, self._answers, self._aliases = pool, answers, aliases
        self._questions, self._asks = text_keys(asked.questions)
        self._subjects, self._known = text_keys(asked.subjects)
        counts = np.bincount(answers.owner, minlength=len(asked.questions))
        self._offsets = np.concatenate([[0], np.cumsum(counts)])
        self._texts = [text[:_COMPARED] for text in answers.texts.to_pylist()]

    def wrong(self, rows: I64, keys: U64, texts: pa.LargeStringArray, at: I64) -> npt.NDArray[np.bool_]:
        """bool[rows]: whether a candidate is no answer to the question, for all that the data says.

        Args:
            rows: of the batch, each with an answer.
            keys: of the candidates.
            texts: in which `at` says where they are.
            at: int64[rows].
        """
        found = self._asks[rows] & ~_is_in(_bound(self._questions[rows], keys), self._pool.facts)
        found &= ~(self._known[rows] & _is_in(_bound(self._subjects[rows] ^ _SUBJECT, keys), self._pool.facts))
        sizes = np.diff(self._offsets)[rows]
        right = _ranges(self._offsets[rows], sizes)
        alias = _is_in(_bound(self._answers.keys[right], np.repeat(keys, sizes)), self._aliases)
        found[np.repeat(np.arange(len(rows)), sizes)[alias]] = False
        left = np.flatnonzero(found)
        candidates = texts.take(pa.array(at[left])).to_pylist()
        found[left] = [self._differs(int(rows[k]), text) for k, text in zip(left.tolist(), candidates, strict=True)]
        return found

    def _differs(self, row: int, text: str) -> bool:
        given: frozenset[str] = frozenset()
        candidate = told(text[:_COMPARED], given)
        right = self._texts[int(self._offsets[row]) : int(self._offsets[row + 1])]
        return all(differs(candidate, told(each, given)) for each in right)


def _ranges(starts: I64, sizes: I64) -> I64:
    ends = np.cumsum(sizes)
    return np.asarray(np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes))


def _is_in(values: U64, ascending: U64) -> npt.NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[at] == values)
