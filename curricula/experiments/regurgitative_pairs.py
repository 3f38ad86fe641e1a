"""Where translations come from: parts of a file, or sentences of a grammar; each seed draws its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curricula.experiments.regurgitative_grammar import Grammar, Pairs
from curricula.training_rows import shards_in_order
from detectors.errors import InputError

__all__ = ["Parts", "drawn_parts", "made_parts"]

I64 = npt.NDArray[np.int64]
_TEST_PART = 99
_GERMAN, _ENGLISH = "src", "tgt"


@dataclass(frozen=True)
class Parts:
    """Disjoint translations by people, or as good as people's.

    Attributes:
        teachers: what each teacher is trained on.
        fresh: for each generation, sentences that no model before it has seen.
        test: held out.
        grammar: that made them; None of a file.
    """

    teachers: tuple[Pairs, ...]
    fresh: tuple[Pairs, ...]
    test: Pairs
    grammar: Grammar | None

    @property
    def languages(self) -> tuple[str, str]:
        """Of sources and targets (ISO 639-1); empty of those that were made up."""
        return ("en", "de") if self.grammar is None else ("", "")


def made_parts(grammar: Grammar, *, teachers: int, generations: int, rows: int, test: int) -> Parts:
    """Sentences of a grammar, `rows` a part."""
    parts = [grammar.pairs(part, rows) for part in range(teachers + generations)]
    return Parts(tuple(parts[:teachers]), tuple(parts[teachers:]), grammar.pairs(_TEST_PART, test), grammar)


def drawn_parts(path: str, seed: int, *, teachers: int, generations: int, rows: int, test: int) -> Parts:
    """English sentences with their German translations, drawn from a file of pairs.

    The file has German in `src`, English in `tgt`, as the development data has. Where it has a column `split`, parts
    are drawn from `train`, and what is held out from rows whose split begins with `test`; else from all. A sentence
    comes once.

    Args:
        path: Parquet or any other format that foxing reads.
        seed: of the draw.
        teachers: parts for teachers.
        generations: parts for generations.
        rows: of each part, at most; fewer where the file has fewer.
        test: held out.

    Raises:
        InputError: no such columns, or too few rows.
    """
    table = _unique(path)
    draw = np.random.default_rng([seed, 7])
    if "split" in table.column_names:
        held = pc.starts_with(table.column("split"), "test")
        pool, tested = table.filter(pc.equal(table.column("split"), "train")), table.filter(held)
    else:
        order = draw.permutation(len(table))
        pool, tested = table.take(order[test:]), table.take(order[:test])
    count = teachers + generations
    each = min(rows, len(pool) // count)
    if each < 2 or len(tested) < 2:
        raise InputError(
            f"{path}: {len(pool):,} pairs to train on and {len(tested):,} to test on are too few for {count} parts. "
            "Give more."
        )
    order = draw.permutation(len(pool))
    parts = [_pairs(pool, order[part * each : (part + 1) * each]) for part in range(count)]
    held_out = _pairs(tested, draw.permutation(len(tested))[:test])
    return Parts(tuple(parts[:teachers]), tuple(parts[teachers:]), held_out, None)


def _unique(path: str) -> pa.Table:
    """The pairs of a file without repeated or empty sentences."""
    tables = []
    for shard in shards_in_order([path]):
        names = shard.schema().names
        if _GERMAN not in names or _ENGLISH not in names:
            raise InputError(
                f"{shard.uri}: no columns {_GERMAN!r} and {_ENGLISH!r} (has: {', '.join(names)}). Rename them so."
            )
        wanted = [name for name in (_GERMAN, _ENGLISH, "split") if name in names]
        tables += [pa.Table.from_batches([batch]).select(wanted) for batch in shard.batches(wanted)]
    table = pa.concat_tables(tables)
    whole = pc.and_(
        *(pc.greater(pc.utf8_length(pc.fill_null(table.column(name), "")), 0) for name in (_GERMAN, _ENGLISH))
    )
    table = table.filter(whole)
    sources = table.column(_ENGLISH).to_pylist()
    first = {source: at for at, source in reversed(list(enumerate(sources)))}
    return table.take(sorted(first.values()))


def _pairs(table: pa.Table, rows: I64) -> Pairs:
    part = table.take(rows)
    return Pairs(tuple(part.column(_ENGLISH).to_pylist()), tuple(part.column(_GERMAN).to_pylist()))
