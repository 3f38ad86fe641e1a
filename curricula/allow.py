"""The allow-list: rows that are machine-written on purpose, known by source or metadata, never by a detector."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit.config import AllowConfig
from audit.corpus import Shard
from detectors.errors import ConfigError, InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FAMILY", "AllowList"]

FAMILY = "FX1"
"""Rules of this family drop no row that is on the list."""
Bits = npt.NDArray[np.bool_]


@dataclass
class AllowList:
    """Which rows are exempt.

    Args:
        config: the patterns.
        find: the shard of a key, where it is now; called only where patterns look at columns.
    """

    config: AllowConfig
    find: Callable[[str], Shard]
    _key: str = field(default="", init=False)
    _marks: Bits = field(default_factory=lambda: np.zeros(0, np.bool_), init=False)

    def marks(self, part: pl.DataFrame) -> Bits:
        """bool[n]: of rows of findings that follow each other, in corpus order, which are exempt.

        Raises:
            ConfigError: a column that a shard does not have, or that holds no text.
            InputError: a shard that is gone, or has lost rows, where patterns look at columns.
        """
        exempt = np.zeros(part.height, np.bool_)
        if self.config.source:
            exempt |= part["source"].str.contains(_pattern(self.config.source)).fill_null(False).to_numpy()
        if self.config.column:
            shards, rows = part["shard"], part["row"].to_numpy()
            edges = [*np.flatnonzero((shards != shards.shift()).fill_null(value=True).to_numpy()).tolist(), len(rows)]
            for begin, end in itertools.pairwise(edges):
                found = self._of_shard(shards[begin])
                if rows[end - 1] >= len(found):
                    raise InputError(
                        f"{shards[begin]}: holds {len(found):,} rows, and more were scanned. Scan it again."
                    )
                exempt[begin:end] |= found[rows[begin:end]]
        return exempt

    def _of_shard(self, key: str) -> Bits:
        """The marks of a shard by its columns; of the last one they are held."""
        if key != self._key:
            shard = self.find(key)
            found = [_marked(shard, name, _pattern(globs)) for name, globs in self.config.column.items()]
            self._key, self._marks = key, np.logical_or.reduce(found)
        return self._marks


def _marked(shard: Shard, name: str, pattern: str) -> Bits:
    columns = shard.schema().names
    top, _, rest = (name, "", "") if name in columns else name.partition(".")
    if top not in columns:
        raise ConfigError(f"{shard.uri}: allow.column names {name!r} (has: {', '.join(columns)}). Name one of these.")
    found = [_matches(shard, name, batch.column(top), rest, pattern) for batch in shard.batches([top])]
    return np.concatenate(found) if found else np.zeros(0, np.bool_)


def _matches(shard: Shard, name: str, values: pa.Array, rest: str, pattern: str) -> Bits:
    try:
        for piece in rest.split(".") if rest else ():
            values = pc.struct_field(values, piece)
        text = values.cast(pa.large_string())
    except pa.ArrowException as error:
        raise ConfigError(
            f"{shard.uri}: allow.column names {name!r}, which is {values.type}. Name a column of text."
        ) from error
    return np.asarray(pc.fill_null(pc.match_substring_regex(text, pattern), False))


def _pattern(globs: Iterable[str]) -> str:
    """A regular expression that matches what one of the patterns matches as a whole."""
    return rf"(?s)\A(?:{'|'.join(_translated(glob) for glob in globs)})\z"


def _translated(glob: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(mark, re.escape(mark)) for mark in glob)
